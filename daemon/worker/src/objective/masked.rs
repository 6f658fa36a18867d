//! Masked language modelling, as transformers' `DataCollatorForLanguageModeling` prepares it: 15 %
//! of the tokens that are not special are asked for; of these 80 % are hidden behind the mask, 10 %
//! are replaced by any token, and 10 % stay (Devlin et al. 2019). Of each text one at least is
//! asked for.
//!
//! Which tokens, is a pure function of (seed, epoch, index). Where nothing is learnt it is one of
//! the index alone: every evaluation asks for the same, so that their scores can be compared.

use super::vocabulary::{Asked, Vocabulary};
use super::{Evaluated, Objective};
use crate::batches::{mix, uniform};
use crate::examples::ExampleSet;
use crate::modality;
use crate::network::Network;
use crate::plugins::LossInstance;
use crate::source::Batch;
use anyhow::{Context, Result, bail};
use finetuned_answers::Target;
use finetuned_job::plan::Plan;
use finetuned_models::{Input, Pass};
use tch::{Device, Tensor};

/// Part of the tokens that are asked for.
const ASKED: f64 = 0.15;
/// Of these, below the first number the mask stands in their place, below the second any token.
const HIDDEN: f64 = 0.8;
const REPLACED: f64 = 0.9;

pub(super) struct MaskedTokens {
    vocabulary: Vocabulary,
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

/// `index`: of the text in its set.
fn masked(
    tokens: &[u32],
    (of, mask): (&modality::Vocabulary, u32),
    draw: Draw,
    index: u32,
) -> Masked {
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
            found.ids[place] = mask.into();
        } else if fate < REPLACED {
            found.ids[place] = (mix(bits(place), 2) % u64::from(of.size)) as i64;
        }
    }
    found
}

/// Of these examples one behind the other, and how many tokens are asked for of each.
fn masked_batch(set: &ExampleSet, batch: &[u32], draw: Draw) -> Result<(Masked, Vec<usize>)> {
    let vocabulary = set.encoded.vocabulary().context("the examples are no passages")?;
    let mask = vocabulary.mask.context("the tokenizer has no mask")?;
    let (mut all, mut counts) = (Masked::default(), Vec::with_capacity(batch.len()));
    for &index in batch {
        let found = masked(set.encoded.tokens(index), (vocabulary, mask), draw, index);
        let before = all.ids.len() as i64;
        counts.push(found.places.len());
        all.places.extend(found.places.iter().map(|it| before + it));
        all.ids.extend(found.ids);
        all.tokens.extend(found.tokens);
    }
    Ok((all, counts))
}

fn asked(batch: &Batch, draw: Draw, device: Device) -> Result<Asked> {
    if batch.input.stage != 0 {
        bail!("what frozen stages gave for whole texts says nothing of masked ones");
    }
    let (masked, counts) = masked_batch(batch.set, &batch.indices, draw)?;
    let tensor = |numbers: &[i64]| Tensor::f_from_slice(numbers)?.f_to(device);
    Ok(Asked {
        input: Input { xs: tensor(&masked.ids)?, ..batch.input.shallow_clone() },
        rows: tensor(&masked.places)?,
        targets: tensor(&masked.tokens)?,
        counts: counts.into_iter().map(|it| (it, 0)).collect(),
    })
}

impl MaskedTokens {
    pub(super) fn new(
        plan: &Plan,
        plugin: Option<LossInstance>,
        device: Device,
    ) -> Result<MaskedTokens> {
        let vocabulary = Vocabulary::new(plan, plugin, device)?;
        Ok(MaskedTokens { vocabulary, steps_per_epoch: plan.train.steps_per_epoch })
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
        self.vocabulary.loss(network, &asked(batch, self.draw(pass), network.device)?, pass)
    }

    fn evaluate(&self, network: &Network, batch: &Batch) -> Result<Evaluated> {
        self.vocabulary.evaluate(network, &asked(batch, Draw::EVALUATION, network.device)?)
    }

    fn evaluate_outputs(&self, _: &Tensor, _: &[&Target]) -> Result<Evaluated> {
        bail!("tokens are not scored without the texts that they stand in")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: u32 = 4;

    fn vocabulary() -> modality::Vocabulary {
        let special = [0, 2, 3, MASK].into();
        modality::Vocabulary { size: 1_000, mask: Some(MASK), special }
    }

    fn text(tokens: u32) -> Vec<u32> {
        [2].into_iter().chain((0..tokens).map(|it| 10 + it % 900)).chain([3]).collect()
    }

    #[test]
    fn as_many_are_asked_for_hidden_and_replaced_as_bert_has_it() {
        let (tokens, of) = (text(400), vocabulary());
        let (mut asked, mut hidden, mut same) = (0.0_f64, 0.0, 0.0);
        for index in 0..200 {
            let found = masked(&tokens, (&of, MASK), Draw { seed: 7, epoch: 0 }, index);
            let (n, end) = (found.ids.len(), found.ids.len() as i64 - 1);
            assert_eq!(n, tokens.len());
            for (&place, &token) in found.places.iter().zip(&found.tokens) {
                assert!(place != 0 && place != end, "special tokens are not asked for");
                assert_eq!(token, i64::from(tokens[place as usize]));
                let shown = found.ids[place as usize];
                asked += 1.0;
                hidden += f64::from(u8::from(shown == i64::from(MASK)));
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
        let places =
            |seed, epoch, index| masked(&tokens, (&of, MASK), Draw { seed, epoch }, index).places;
        assert_eq!(places(1, 2, 3), places(1, 2, 3));
        for other in [places(2, 2, 3), places(1, 3, 3), places(1, 2, 4)] {
            assert_ne!(places(1, 2, 3), other);
        }
    }

    #[test]
    fn a_short_text_is_asked_for_one_token_and_an_empty_one_for_none() {
        for index in 0..50 {
            let found = masked(&text(1), (&vocabulary(), MASK), Draw::EVALUATION, index);
            assert_eq!((found.places, found.tokens), (vec![1], vec![10]));
            assert!(
                masked(&text(0), (&vocabulary(), MASK), Draw::EVALUATION, index).places.is_empty()
            );
        }
    }
}
