//! Goes on with texts, token by token: what a decoder says to a prompt. Greedy, or drawn from what
//! it holds likely (temperature, top k, top p as transformers' logits warpers have them); which
//! number is drawn is a pure function of (seed, prompt, place).
//!
//! A prompt may be gone on with several times: it is read once, and what was read is shared out.

use crate::batches::{mix, uniform};
use crate::network::Network;
use anyhow::Result;
use finetuned_job::spec::Sampling;
use finetuned_models::{Cache, Input};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// Texts that are gone on with side by side for a person, who waits for the first words.
const BATCH: usize = 8;

/// What follows a prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Generated {
    /// Without the one that ended it.
    pub tokens: Vec<u32>,
    /// The token with which it came to an end by itself.
    pub end: Option<u32>,
}

impl Generated {
    /// `text`: what the tokens say. `generated_text` as transformers' pipeline calls it, without
    /// the prompt; `finish_reason` as OpenAI has it.
    pub fn reply(&self, text: &str) -> Value {
        json!({
            "generated_text": text,
            "tokens": self.tokens.len(),
            "finish_reason": if self.end.is_some() { "stop" } else { "length" },
        })
    }
}

/// What follows each prompt, which has a token at least. `ends`: tokens after which nothing does.
/// `hear` is called with the number of a prompt and what follows it so far, after each token.
///
/// # Errors
/// A prompt that is longer than the model's positions; whatever else the model refuses; those of
/// `hear`.
pub(crate) fn generate(
    network: &Network,
    prompts: &[Vec<u32>],
    ends: &[u32],
    how: (&Sampling, u32),
    hear: &mut dyn FnMut(usize, &[u32]) -> Result<()>,
) -> Result<Vec<Generated>> {
    let seed = how.0.seed;
    let asked: Vec<Asked> =
        (0..).zip(prompts).map(|(nth, prompt)| Asked { prompt, seed: mix(seed, nth) }).collect();
    let how = How { ends, sampling: how.0, positions: how.1, batch: BATCH };
    go_on(network, &asked, &how, hear)
}

/// A prompt that is gone on with once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub prompt: &'a [u32],
    /// Of what is drawn for it.
    pub seed: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct How<'a> {
    pub ends: &'a [u32],
    /// Its seed is not asked.
    pub sampling: &'a Sampling,
    /// Tokens that the model has room for.
    pub positions: u32,
    /// Texts side by side.
    pub batch: usize,
}

/// What follows each. A prompt that stands there several times in a row is read once in a batch.
///
/// # Errors
/// As [`generate`].
pub(crate) fn go_on(
    network: &Network,
    asked: &[Asked],
    how: &How,
    hear: &mut dyn FnMut(usize, &[u32]) -> Result<()>,
) -> Result<Vec<Generated>> {
    let mut all = Vec::with_capacity(asked.len());
    for (nth, batch) in asked.chunks(how.batch).enumerate() {
        let first = nth * how.batch;
        all.extend(batch_on(network, batch, how, &mut |nth, tokens| hear(first + nth, tokens))?);
    }
    Ok(all)
}

fn batch_on(
    network: &Network,
    asked: &[Asked],
    how: &How,
    hear: &mut dyn FnMut(usize, &[u32]) -> Result<()>,
) -> Result<Vec<Generated>> {
    let (sampling, mut prompts, mut of) = (how.sampling, Vec::new(), Vec::new());
    for it in asked {
        if prompts.last().is_none_or(|last: &Vec<u32>| last != it.prompt) {
            prompts.push(it.prompt.to_vec());
        }
        of.push(prompts.len() as i64 - 1);
    }
    let mut texts: Vec<Text> = asked.iter().map(|it| Text::new(it.prompt, how.positions)).collect();
    let mut cache = Cache::new(prompts.len());
    let read = extend(network, &prompts, &mut cache)?;
    let mut logits: Vec<Vec<f32>> = of.iter().map(|it| read[*it as usize].clone()).collect();
    if prompts.len() < asked.len() {
        cache.select(&of)?;
    }
    let mut going: Vec<usize> = (0..texts.len()).collect();
    loop {
        let (mut left, mut next) = (Vec::new(), Vec::new());
        for (place, &nth) in going.iter().enumerate() {
            let text = &mut texts[nth];
            let draw = uniform(mix(asked[nth].seed, text.found.tokens.len() as u64));
            let token = choose(&logits[place], sampling, draw);
            if text.takes(token, how.ends, sampling) {
                left.push(place as i64);
                next.push(vec![token]);
            }
            hear(nth, &text.found.tokens)?;
        }
        if left.is_empty() {
            return Ok(texts.into_iter().map(|it| it.found).collect());
        }
        if left.len() < going.len() {
            cache.select(&left)?;
            going = left.iter().map(|it| going[*it as usize]).collect();
        }
        logits = extend(network, &next, &mut cache)?;
    }
}

/// One that is gone on with.
struct Text {
    found: Generated,
    /// Tokens that the model has room for beside the prompt.
    room: usize,
}

impl Text {
    fn new(prompt: &[u32], positions: u32) -> Text {
        let room = (positions as usize).saturating_sub(prompt.len());
        Text { found: Generated::default(), room }
    }

    /// Whether it goes on after this token.
    fn takes(&mut self, token: u32, ends: &[u32], sampling: &Sampling) -> bool {
        if ends.contains(&token) {
            self.found.end = Some(token);
            return false;
        }
        self.found.tokens.push(token);
        self.found.tokens.len() < self.room.min(sampling.max_new_tokens as usize)
    }
}

/// Logits of what follows each text.
fn extend(network: &Network, next: &[Vec<u32>], cache: &mut Cache) -> Result<Vec<Vec<f32>>> {
    let ids: Vec<i64> = next.iter().flatten().map(|it| i64::from(*it)).collect();
    let lengths = next.iter().map(|it| it.len() as i64).collect();
    let input = Input::tokens(Tensor::f_from_slice(&ids)?.f_to(network.device)?, lengths);
    let logits = network.model.extend(&input, cache)?;
    let logits = logits.f_to(Device::Cpu)?.f_to_kind(Kind::Float)?;
    let rows = logits.f_unbind(0)?;
    rows.into_iter().map(|it| Ok(Vec::try_from(it)?)).collect()
}

/// `draw`: uniform in [0, 1).
fn choose(logits: &[f32], sampling: &Sampling, draw: f64) -> u32 {
    let all = 0..logits.len() as u32;
    let logit = |it: u32| f64::from(logits[it as usize]);
    let likelier = |a: &u32, b: &u32| logit(*b).total_cmp(&logit(*a)).then(a.cmp(b));
    if sampling.temperature <= 0.0 {
        return all.min_by(likelier).unwrap_or(0);
    }
    if sampling.top_k == 0 && 1.0 <= sampling.top_p {
        return drawn(logits, sampling.temperature, draw);
    }
    let mut tokens: Vec<u32> = all.collect();
    tokens.sort_unstable_by(likelier);
    if 0 < sampling.top_k {
        tokens.truncate(sampling.top_k as usize);
    }
    let largest = tokens.first().map_or(0.0, |it| logit(*it));
    let weight = |it: &u32| ((logit(*it) - largest) / sampling.temperature).exp();
    let total: f64 = tokens.iter().map(weight).sum();
    // The fewest that are as likely together.
    let mut before = 0.0;
    tokens.retain(|it| {
        let keeps = before == 0.0 || before < sampling.top_p * total;
        before += weight(it);
        keeps
    });
    let mut left = draw * tokens.iter().map(weight).sum::<f64>();
    let chosen = tokens.iter().find(|it| {
        left -= weight(it);
        left < 0.0
    });
    chosen.or(tokens.last()).copied().unwrap_or(0)
}

/// Of all tokens, in the order of their numbers: to sort a vocabulary takes longer than all else.
fn drawn(logits: &[f32], temperature: f64, draw: f64) -> u32 {
    let largest = logits.iter().copied().max_by(f32::total_cmp).map_or(0.0, f64::from);
    let weight = |it: &f32| ((f64::from(*it) - largest) / temperature).exp();
    let mut left = draw * logits.iter().map(weight).sum::<f64>();
    let chosen = logits.iter().position(|it| {
        left -= weight(it);
        left < 0.0
    });
    // Roundings of the sum; what is never drawn must not be.
    let last = || logits.iter().rposition(|it| 0.0 < weight(it));
    chosen.or_else(last).unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_is_chosen_and_of_several_the_smallest_number() {
        let greedy = Sampling::default();
        assert_eq!(choose(&[0.1, 3.0, 3.0, -1.0], &greedy, 0.9), 1);
    }

    #[test]
    fn tokens_are_drawn_as_often_as_they_are_likely() {
        let logits = [0.5_f32, 0.3, 0.15, 0.05].map(f32::ln);
        let counts = |sampling: &Sampling| {
            let mut counts = [0; 4];
            (0..1_000).for_each(|it| {
                counts[choose(&logits, sampling, (f64::from(it) + 0.5) / 1e3) as usize] += 1
            });
            counts
        };
        let warm = Sampling { temperature: 1.0, ..Sampling::default() };
        assert_eq!(counts(&warm), [500, 300, 150, 50]);
        assert_eq!(counts(&Sampling { top_k: 2, ..warm.clone() }), [625, 375, 0, 0]);
        assert_eq!(counts(&Sampling { top_p: 0.79, ..warm.clone() }), [625, 375, 0, 0]);
        assert_eq!(counts(&Sampling { top_p: 0.0, ..warm.clone() }), [1_000, 0, 0, 0]);
        assert_eq!(counts(&Sampling { top_p: 0.81, ..warm.clone() })[3], 0);
        let cold = Sampling { temperature: 0.01, ..warm };
        assert_eq!(counts(&cold), [1_000, 0, 0, 0]);
    }
}
