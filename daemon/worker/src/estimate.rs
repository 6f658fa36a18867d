//! Guesses how long training takes and how much memory it needs, from a few measured examples.
//! Their gradients are thrown away: no tensor has changed when this returns.

use crate::batches;
use crate::examples::ExampleSet;
use crate::learner::Learner;
use crate::source::Source;
use crate::stored::{Examples, Stored};
use anyhow::Result;
use finetuned_job::data::Estimate;
use finetuned_job::plan::Plan;
use finetuned_models::Pass;
use std::time::Instant;

/// Enough to keep all threads busy; a whole batch would be as long as a step.
const MEASURED: usize = 8;

pub(crate) fn estimate(learner: &mut Learner, plan: &Plan, train: &ExampleSet) -> Result<Estimate> {
    let examples = Examples { set: train, cache: None };
    let lengths = train.lengths();
    // These run once for an example, all others in each epoch.
    let frozen = if plan.freeze.cached { learner.frozen_stages() } else { 0 };
    let only_head = frozen == learner.network.model.stages();
    let tokens = |batch: &Vec<u32>| {
        batch.iter().map(|&it| u64::from(lengths.each[it as usize])).sum::<u64>()
    };
    let sizes = (plan.train.batch as usize, 1);
    let mut all = batches::epoch(&lengths, sizes, plan.train.seed, 0).concat();
    all.sort_by_key(tokens);
    let (middle, longest) = (&all[all.len() / 2], &all[all.len() - 1]);
    // From the shortest to the longest of an ordinary batch.
    let apart = middle.len().div_ceil(MEASURED);
    let measured: Vec<u32> = middle.iter().copied().step_by(apart).collect();
    // Seconds that are spent once, and in each epoch.
    let mut run = |batch: &[u32]| -> Result<[f64; 2]> {
        let (start, mut once) = (Instant::now(), 0.0);
        let mut source = Stored::plain(examples, vec![batch.to_vec()], learner.network.device);
        while let Some(batch) = source.next(&learner.network) {
            let mut batch = batch?;
            if 0 < frozen {
                let run = || learner.network.run(&batch.input, frozen, &Pass::evaluation());
                batch.input = tch::no_grad(run)?;
                once = start.elapsed().as_secs_f64();
            }
            let weight = learner.loss_weight(train, &batch.indices);
            learner.try_backward(&batch, weight)?;
        }
        Ok([once, start.elapsed().as_secs_f64() - once])
    };
    run(&measured[..1])?; // the first call of a process sets up threads and kernels
    let before = memory("VmRSS:");
    let per_token = run(&measured)?.map(|it| it / tokens(&measured) as f64);
    let activations = memory("VmHWM:").saturating_sub(before);

    let epoch_tokens = all.iter().map(tokens).sum::<u64>() as f64;
    let optimizer_bytes = 2 * 4 * plan.freeze.trainable_parameters;
    // What frozen stages give is computed for fewer examples at a time.
    let largest = if only_head {
        train.evaluation_batches().iter().map(tokens).max().unwrap_or(0)
    } else {
        tokens(longest)
    };
    let grown = activations as f64 * largest as f64 / tokens(&measured) as f64;
    let epochs = plan.train.steps as f64 / plan.train.steps_per_epoch as f64;
    let work = match frozen {
        0 => "forward and backward pass",
        _ if only_head => "forward pass of the frozen body",
        _ => "forward pass of the frozen layers, forward and backward pass of the others",
    };
    Ok(Estimate {
        seconds: epoch_tokens * (per_token[0] + per_token[1] * epochs),
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
