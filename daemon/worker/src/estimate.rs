//! Guesses how long training takes and how much memory it needs, from a few measured examples.
//! Their gradients are thrown away: no tensor has changed when this returns.

use crate::feed::{Examples, Feed};
use crate::learner::Learner;
use crate::prepare::Data;
use crate::{batches, evaluate};
use anyhow::Result;
use finetuned_job::data::Estimate;
use finetuned_job::plan::Plan;
use finetuned_models::Pass;
use std::time::Instant;

/// Enough to keep all threads busy; a whole batch would be as long as a step.
const MEASURED: usize = 8;

pub(crate) fn estimate(learner: &mut Learner, plan: &Plan, data: &Data) -> Result<Estimate> {
    let examples = Examples { set: &data.train, kept: None };
    let lengths = data.train.lengths();
    // These run once for an example, all others in each epoch.
    let kept = if plan.freeze.cached { learner.frozen_stages() } else { 0 };
    let only_head = kept == learner.network.model.stages();
    let tokens =
        |batch: &Vec<u32>| batch.iter().map(|&it| u64::from(lengths[it as usize])).sum::<u64>();
    let mut all = batches::epoch(&lengths, plan.train.batch as usize, plan.train.seed, 0);
    all.sort_by_key(tokens);
    let (middle, longest) = (&all[all.len() / 2], &all[all.len() - 1]);
    // From the shortest to the longest of an ordinary batch.
    let apart = middle.len().div_ceil(MEASURED);
    let measured: Vec<u32> = middle.iter().copied().step_by(apart).collect();
    // Seconds that are spent once, and in each epoch.
    let mut run = |batch: &[u32]| -> Result<[f64; 2]> {
        let (start, mut once) = (Instant::now(), 0.0);
        let mut feed = Feed::plain(examples, vec![batch.to_vec()], learner.network.device);
        while let Some(batch) = feed.next(&learner.network) {
            let mut batch = batch?;
            if 0 < kept {
                batch.input =
                    tch::no_grad(|| learner.network.run(&batch.input, kept, &Pass::evaluation()))?;
                once = start.elapsed().as_secs_f64();
            }
            let weight = learner.loss_weight(&data.train.targets, &batch.indices);
            learner.try_backward(&data.train.targets, &batch, weight)?;
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
        evaluate::batches_of(&data.train).iter().map(tokens).max().unwrap_or(0)
    } else {
        tokens(longest)
    };
    let grown = activations as f64 * largest as f64 / tokens(&measured) as f64;
    let work = match kept {
        0 => "forward and backward pass",
        _ if only_head => "forward pass of the frozen body",
        _ => "forward pass of the frozen layers, forward and backward pass of the others",
    };
    Ok(Estimate {
        seconds: epoch_tokens * (per_token[0] + per_token[1] * f64::from(plan.train.epochs)),
        memory_bytes: before + grown as u64 + optimizer_bytes,
        basis: format!(
            "one measured {work} over {} examples, {} {}",
            measured.len(),
            tokens(&measured),
            data.train.unit()
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
