//! Causal language modelling: each token that is learnt is predicted from those before it, as
//! transformers' `ForCausalLMLoss` has it. Texts do not see each other, so nothing is filled up and
//! several stand side by side in a batch. Which tokens are learnt, the encoding says.

use super::vocabulary::{Asked, Vocabulary};
use super::{Evaluated, Objective};
use crate::examples::ExampleSet;
use crate::network::Network;
use crate::plugins::LossInstance;
use crate::source::Batch;
use anyhow::{Result, bail};
use finetuned_answers::Target;
use finetuned_job::plan::Plan;
use finetuned_models::Pass;
use tch::{Device, Tensor};

pub(super) struct NextTokens {
    vocabulary: Vocabulary,
}

impl NextTokens {
    pub(super) fn new(plan: &Plan, plugin: Option<LossInstance>, device: Device) -> Result<Self> {
        Ok(NextTokens { vocabulary: Vocabulary::new(plan, plugin, device)? })
    }
}

/// Places of a text's tokens that are learnt, each with one before it.
fn learnt(set: &ExampleSet, index: u32) -> impl Iterator<Item = usize> {
    set.encoded.learnt(index).into_iter().flatten().filter(|it| 0 < *it).map(|it| it as usize)
}

fn asked(batch: &Batch, device: Device) -> Result<Asked> {
    let (mut rows, mut targets, mut counts, mut before) = (vec![], vec![], vec![], 0);
    for &index in &batch.indices {
        let tokens = batch.set.encoded.tokens(index);
        let first = rows.len();
        for place in learnt(batch.set, index) {
            rows.push(before + place as i64 - 1);
            targets.push(i64::from(tokens[place]));
        }
        counts.push((rows.len() - first, batch.set.encoded.bytes(index)));
        before += tokens.len() as i64;
    }
    let tensor = |numbers: &[i64]| Tensor::f_from_slice(numbers)?.f_to(device);
    Ok(Asked {
        input: batch.input.shallow_clone(),
        rows: tensor(&rows)?,
        targets: tensor(&targets)?,
        counts,
    })
}

impl Objective for NextTokens {
    /// The tokens that are learnt.
    fn weight(&self, set: &ExampleSet, batch: &[u32], _: &Pass) -> f64 {
        batch.iter().map(|it| learnt(set, *it).count()).sum::<usize>() as f64
    }

    fn loss(&self, network: &Network, batch: &Batch, pass: &Pass) -> Result<Tensor> {
        self.vocabulary.loss(network, &asked(batch, network.device)?, pass)
    }

    fn evaluate(&self, network: &Network, batch: &Batch) -> Result<Evaluated> {
        self.vocabulary.evaluate(network, &asked(batch, network.device)?)
    }

    fn evaluate_outputs(&self, _: &Tensor, _: &[&Target]) -> Result<Evaluated> {
        bail!("tokens are not scored without the texts that they stand in")
    }
}
