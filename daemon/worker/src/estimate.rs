//! Guesses how long training takes and how much memory it needs, from a few measured examples.
//! Their gradients are thrown away: no tensor has changed when this returns.

use crate::batches::{self, Lengths};
use crate::examples::ExampleSet;
use crate::learner::Learner;
use crate::source::Source;
use crate::stored::{Examples, Stored};
use anyhow::Result;
use finetuned_job::data::Estimate;
use finetuned_job::plan::Plan;
use finetuned_models::Pass;
use std::time::{Duration, Instant};

/// Enough to keep all threads busy; a whole batch would be as long as a step.
const MEASURED: usize = 8;
/// Tokens that are enough for that too: a step of more takes a language model minutes in all.
const MEASURED_UNITS: u64 = 1024;

/// Examples of a batch of so many, with so many tokens in all, that are measured.
fn measured(examples: usize, units: u64) -> usize {
    let of_each = (units / examples.max(1) as u64).max(1);
    ((MEASURED_UNITS / of_each) as usize).clamp(1, MEASURED)
}

/// Batches of an epoch, by what they are in all.
pub(crate) struct Sample<'a> {
    train: &'a ExampleSet,
    lengths: Lengths,
    batches: Vec<Vec<u32>>,
    /// Stages that run once for an example; all others in each epoch.
    frozen: usize,
}

impl<'a> Sample<'a> {
    pub(crate) fn new(learner: &Learner, plan: &Plan, train: &'a ExampleSet) -> Sample<'a> {
        let lengths = train.lengths();
        let sizes = (plan.train.batch as usize, 1);
        let mut batches = batches::epoch(&lengths, sizes, plan.train.seed, 0).concat();
        batches.sort_by_key(|it| lengths.units(it));
        let frozen = if plan.freeze.cached { learner.frozen_stages() } else { 0 };
        Sample { train, lengths, batches, frozen }
    }

    /// Whether nothing but the head runs in each epoch.
    pub(crate) fn only_head(&self, learner: &Learner) -> bool {
        self.frozen == learner.network.model.stages()
    }

    /// Some of an ordinary batch, from its beginning to its end.
    pub(crate) fn ordinary(&self) -> Vec<u32> {
        let middle = &self.batches[self.batches.len() / 2];
        let wanted = measured(middle.len(), self.lengths.units(middle));
        let step = middle.len().div_ceil(wanted);
        middle.iter().copied().skip(step / 2).step_by(step).collect()
    }

    /// The time of what runs once for these examples, and of what runs in each epoch.
    pub(crate) fn step(&self, learner: &mut Learner, examples: &[u32]) -> Result<[Duration; 2]> {
        let (start, mut once) = (Instant::now(), Duration::ZERO);
        let set = Examples { set: self.train, cache: None };
        let batches = vec![examples.to_vec()];
        let begun = (&batches[..], 0);
        learner.objective.begin_update(&learner.network, self.train, begun, &mut || Ok(()))?;
        let mut source = Stored::plain(set, batches, learner.network.device);
        while let Some(batch) = source.next(&learner.network) {
            let mut batch = batch?;
            if 0 < self.frozen {
                let run = || learner.network.run(&batch.input, self.frozen, &Pass::evaluation());
                batch.input = tch::no_grad(run)?;
                once = start.elapsed();
            }
            let weight = learner.loss_weight(self.train, &batch.indices, 0);
            learner.try_backward(&batch, weight)?;
        }
        Ok([once, start.elapsed() - once])
    }
}

pub(crate) fn estimate(learner: &mut Learner, plan: &Plan, sample: &Sample) -> Result<Estimate> {
    let Sample { train, frozen, .. } = *sample;
    let only_head = sample.only_head(learner);
    let tokens = |batch: &[u32]| sample.lengths.units(batch);
    let measured = sample.ordinary();
    // The first call of a process sets up threads and kernels.
    sample.step(learner, &measured[..1])?;
    let before = memory("VmRSS:");
    let seconds = sample.step(learner, &measured)?;
    let per_token = seconds.map(|it| it.as_secs_f64() / tokens(&measured) as f64);
    let activations = memory("VmHWM:").saturating_sub(before);

    let epoch_tokens = sample.batches.iter().map(|it| tokens(it)).sum::<u64>() as f64;
    let optimizer_bytes = 2 * 4 * plan.freeze.trainable_parameters;
    // What frozen stages give is computed for fewer examples at a time.
    let largest = if only_head {
        train.evaluation_batches().iter().map(|it| tokens(it)).max().unwrap_or(0)
    } else {
        sample.batches.last().map_or(0, |it| tokens(it))
    };
    let grown = activations as f64 * largest as f64 / tokens(&measured) as f64;
    let epochs = plan.train.steps as f64 / plan.train.steps_per_epoch as f64;
    let work = match frozen {
        0 => "forward and backward pass",
        _ if only_head => "forward pass of the frozen body",
        _ => "forward pass of the frozen layers, forward and backward pass of the others",
    };
    let trainings = match plan.train.refit {
        true => 1.0 + (plan.data.train + plan.data.validation) as f64 / plan.data.train as f64,
        false => 1.0,
    };
    Ok(Estimate {
        seconds: epoch_tokens * (per_token[0] + per_token[1] * epochs) * trainings,
        memory_bytes: before + grown as u64 + optimizer_bytes,
        basis: format!(
            "one measured {work} over {} examples, {} {}",
            measured.len(),
            tokens(&measured),
            train.encoded.unit()
        ),
    })
}

/// A line of /proc/self/status in bytes; 0 where there is none.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_examples_are_measured_by_fewer() {
        assert_eq!(measured(32, 32), 8, "images");
        assert_eq!(measured(8, 240), 8);
        assert_eq!(measured(16, 16 * 256), 4);
        assert_eq!((measured(4, 4 * 3_000), measured(1, 5)), (1, 8));
    }
}
