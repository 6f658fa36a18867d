//! Masked language modelling, as transformers' `DataCollatorForLanguageModeling` prepares it: 15 %
//! of the tokens that are not special are asked for; of these 80 % are hidden behind the mask, 10 %
//! are replaced by any token, and 10 % stay (Devlin et al. 2019). Of each text one at least is
//! asked for.
//!
//! Which tokens, is a pure function of (seed, epoch, index). Where nothing is learnt it is one of
//! the index alone: every evaluation asks for the same, so that their scores can be compared.

use super::cross_entropy::CrossEntropy;
use super::supervised::{Criterion, by_plugin};
use super::{Evaluated, Objective};
use crate::batches::mix;
use crate::examples::ExampleSet;
use crate::modality::Vocabulary;
use crate::network::Network;
use crate::plugins::LossInstance;
use crate::source::Batch;
use anyhow::{Context, Result, bail};
use finetuned_answers::Target;
use finetuned_job::plan::Plan;
use finetuned_models::{Input, Pass};
use tch::{Device, Kind, Tensor};

/// Part of the tokens that are asked for.
const ASKED: f64 = 0.15;
/// Of these, below the first number the mask stands in their place, below the second any token.
const HIDDEN: f64 = 0.8;
const REPLACED: f64 = 0.9;

pub(super) struct MaskedTokens {
    cross_entropy: CrossEntropy,
    /// In the place of cross-entropy.
    plugin: Option<LossInstance>,
    steps_per_epoch: u64,
}

/// Decides what is asked for.
#[derive(Clone, Copy)]
struct Draw {
    seed: u64,
    epoch: u64,
}

impl Draw {
    const EVALUATION: Draw = Draw { seed: 0, epoch: u64::MAX };
}

/// A text, or a batch of them.
#[derive(Default)]
struct Masked {
    /// What the model is shown.
    ids: Vec<i64>,
    /// Places of the tokens that are asked for.
    places: Vec<i64>,
    /// What stood there.
    tokens: Vec<i64>,
}

/// Uniform in [0, 1).
fn uniform(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// `index`: of the text in its set.
fn masked(tokens: &[u32], of: &Vocabulary, draw: Draw, index: u32) -> Masked {
    let seed = mix(mix(draw.seed, draw.epoch), index.into());
    let bits = |place: usize| mix(seed, place as u64);
    let may_be: Vec<usize> =
        (0..tokens.len()).filter(|it| !of.special.contains(&tokens[*it])).collect();
    let mut asked: Vec<usize> =
        may_be.iter().copied().filter(|it| uniform(bits(*it)) < ASKED).collect();
    if asked.is_empty() {
        asked.extend(may_be.into_iter().min_by_key(|it| bits(*it)));
    }
    let mut found =
        Masked { ids: tokens.iter().map(|&it| it.into()).collect(), ..Masked::default() };
    for place in asked {
        found.places.push(place as i64);
        found.tokens.push(tokens[place].into());
        let fate = uniform(mix(bits(place), 1));
        if fate < HIDDEN {
            found.ids[place] = of.mask.into();
        } else if fate < REPLACED {
            found.ids[place] = (mix(bits(place), 2) % u64::from(of.size)) as i64;
        }
    }
    found
}

/// Of these examples one behind the other, and how many tokens are asked for of each.
fn masked_batch(set: &ExampleSet, batch: &[u32], draw: Draw) -> Result<(Masked, Vec<usize>)> {
    let vocabulary = set.encoded.vocabulary().context("the examples are no passages")?;
    let (mut all, mut counts) = (Masked::default(), Vec::with_capacity(batch.len()));
    for &index in batch {
        let found = masked(set.encoded.tokens(index), vocabulary, draw, index);
        let before = all.ids.len() as i64;
        counts.push(found.places.len());
        all.places.extend(found.places.iter().map(|it| before + it));
        all.ids.extend(found.ids);
        all.tokens.extend(found.tokens);
    }
    Ok((all, counts))
}

/// The batch as the model is shown it, the rows that are asked for, and what stood there.
fn shown(batch: &Batch, masked: &Masked, device: Device) -> Result<(Input, Tensor, Tensor)> {
    if batch.input.stage != 0 {
        bail!("what frozen stages gave for whole texts says nothing of masked ones");
    }
    let tensor = |numbers: &[i64]| Tensor::f_from_slice(numbers)?.f_to(device);
    let input = Input { xs: tensor(&masked.ids)?, ..batch.input.shallow_clone() };
    Ok((input, tensor(&masked.places)?, tensor(&masked.tokens)?))
}

impl MaskedTokens {
    pub(super) fn new(
        plan: &Plan,
        plugin: Option<LossInstance>,
        device: Device,
    ) -> Result<MaskedTokens> {
        let cross_entropy = CrossEntropy::new(plan, device)?;
        Ok(MaskedTokens { cross_entropy, plugin, steps_per_epoch: plan.train.steps_per_epoch })
    }

    fn draw(&self, pass: &Pass) -> Draw {
        Draw { seed: pass.seed, epoch: pass.step / self.steps_per_epoch.max(1) }
    }
}

impl Objective for MaskedTokens {
    /// The tokens that are asked for. What is no passage is refused by the loss.
    fn weight(&self, set: &ExampleSet, batch: &[u32], pass: &Pass) -> f64 {
        let found = masked_batch(set, batch, self.draw(pass));
        found.map_or(0.0, |(_, counts)| counts.iter().sum::<usize>() as f64)
    }

    fn loss(&self, network: &Network, batch: &Batch, pass: &Pass) -> Result<Tensor> {
        let (masked, _) = masked_batch(batch.set, &batch.indices, self.draw(pass))?;
        let (input, rows, targets) = shown(batch, &masked, network.device)?;
        let forward = network.forward(&input, Some(&rows), None, pass)?;
        match &self.plugin {
            Some(plugin) => by_plugin(plugin, &self.cross_entropy, &forward, &targets, pass),
            None => self.cross_entropy.loss(&forward.outputs, &targets),
        }
    }

    /// Rows as [`finetuned_answers`] has them for tokens: asked for, their surprise, right.
    fn evaluate(&self, network: &Network, batch: &Batch) -> Result<Evaluated> {
        let (masked, counts) = masked_batch(batch.set, &batch.indices, Draw::EVALUATION)?;
        let (input, rows, targets) = shown(batch, &masked, network.device)?;
        let outputs = network.outputs_of(&input, Some(&rows))?.f_to_kind(Kind::Float)?;
        let log_p = outputs.f_log_softmax(-1, Kind::Float)?;
        let surprise = log_p.f_gather(1, &targets.f_unsqueeze(1)?, false)?.f_neg()?;
        let right = outputs.f_argmax(-1, false)?.f_eq_tensor(&targets)?;
        let numbers = |it: &Tensor| -> Result<Vec<f64>> {
            Ok(Vec::try_from(it.f_view(-1)?.f_to(Device::Cpu)?.f_to_kind(Kind::Double)?)?)
        };
        Evaluated::of_tokens(&counts, &numbers(&surprise)?, &numbers(&right)?)
    }

    fn evaluate_outputs(&self, _: &Tensor, _: &[&Target]) -> Result<Evaluated> {
        bail!("tokens are not scored without the texts that they stand in")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        Vocabulary { size: 1_000, mask: 4, special: [0, 2, 3, 4].into() }
    }

    fn text(tokens: u32) -> Vec<u32> {
        [2].into_iter().chain((0..tokens).map(|it| 10 + it % 900)).chain([3]).collect()
    }

    #[test]
    fn as_many_are_asked_for_hidden_and_replaced_as_bert_has_it() {
        let (tokens, of) = (text(400), vocabulary());
        let (mut asked, mut hidden, mut same) = (0.0_f64, 0.0, 0.0);
        for index in 0..200 {
            let found = masked(&tokens, &of, Draw { seed: 7, epoch: 0 }, index);
            let (n, end) = (found.ids.len(), found.ids.len() as i64 - 1);
            assert_eq!(n, tokens.len());
            for (&place, &token) in found.places.iter().zip(&found.tokens) {
                assert!(place != 0 && place != end, "special tokens are not asked for");
                assert_eq!(token, i64::from(tokens[place as usize]));
                let shown = found.ids[place as usize];
                asked += 1.0;
                hidden += f64::from(u8::from(shown == i64::from(of.mask)));
                same += f64::from(u8::from(shown == token));
            }
            let changed = (0..n).filter(|it| found.ids[*it] != i64::from(tokens[*it]));
            assert!(changed.map(|it| it as i64).all(|it| found.places.contains(&it)));
        }
        assert!((asked / (200.0 * 400.0) - 0.15).abs() < 0.005, "{asked}");
        assert!((hidden / asked - 0.8).abs() < 0.02 && (same / asked - 0.1).abs() < 0.01);
    }

    #[test]
    fn what_is_asked_for_follows_from_seed_epoch_and_index_alone() {
        let (tokens, of) = (text(100), vocabulary());
        let places = |seed, epoch, index| masked(&tokens, &of, Draw { seed, epoch }, index).places;
        assert_eq!(places(1, 2, 3), places(1, 2, 3));
        for other in [places(2, 2, 3), places(1, 3, 3), places(1, 2, 4)] {
            assert_ne!(places(1, 2, 3), other);
        }
    }

    #[test]
    fn a_short_text_is_asked_for_one_token_and_an_empty_one_for_none() {
        for index in 0..50 {
            let found = masked(&text(1), &vocabulary(), Draw::EVALUATION, index);
            assert_eq!((found.places, found.tokens), (vec![1], vec![10]));
            assert!(masked(&text(0), &vocabulary(), Draw::EVALUATION, index).places.is_empty());
        }
    }
}
