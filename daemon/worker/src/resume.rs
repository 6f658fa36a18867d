//! Whether and how a run goes on from a checkpoint: only under the plan that it was made with, and
//! with every number where it stood. What a checkpoint is on disk is left to `checkpoint`.

use crate::checkpoint::{Checkpoint, Position};
use crate::extensions::Hooks;
use crate::journal::Journal;
use crate::learner::Learner;
use anyhow::{Context, Result};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::{FreezePlan, Plan, TrainPlan};
use finetuned_job::recipe::Precision;
use finetuned_job::run_folder;
use std::fs;
use std::path::Path;

/// The plan that a run was trained by.
///
/// # Errors
/// It can't be read: then nobody knows what the checkpoints are of.
pub(crate) fn plan_of(run: &Path) -> Result<Plan> {
    let path = run.join(run_folder::PLAN);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|err| {
        let message =
            format!("{} is damaged ({err}): it says what the checkpoints are of", path.display());
        Failure::new(FailureKind::Disk, message).with_cure(format!(
            "remove {} and {}, then `finetuned retry JOB` trains anew",
            run.join(run_folder::CHECKPOINTS).display(),
            path.display()
        ))
    })?)
}

/// A checkpoint continues only under the plan that it was made with.
pub(crate) fn obey(run: &Path, plan: &mut Plan, journal: &mut Journal) -> Result<()> {
    let before = plan_of(run)?;
    if plan.train.precision == Precision::Auto {
        plan.train.precision = before.train.precision; // another measurement might say otherwise
    }
    let last_bits =
        |it: &Plan| (it.threads, it.device.clone(), it.libtorch.clone(), it.freeze.cached);
    if last_bits(&before) != last_bits(plan) {
        journal.warn("threads, device, libtorch or the room for features changed since the checkpoint: the result may differ in the last bits")?;
    }
    let Some(difference) = difference(&before, plan)? else { return Ok(()) };
    let message = format!(
        "the recipe, the data or the base model changed since the checkpoint: {difference}"
    );
    let cure = format!(
        "put it back, or remove {} to train anew",
        run.join(run_folder::CHECKPOINTS).display()
    );
    Err(Failure::new(FailureKind::Recipe, message).with_cure(cure).into())
}

/// Where two plans lead to other numbers: the first setting that differs, if any does.
fn difference(before: &Plan, now: &Plan) -> Result<Option<String>> {
    // Features on disk or not: the same numbers, to the last bits but a few.
    let freeze = |it: &Plan| FreezePlan { cached: false, ..it.freeze.clone() };
    let same_lr = before.train.lr == now.train.lr;
    let settings = |it: &Plan| Plan {
        finetuned: String::new(),
        libtorch: String::new(),
        threads: 0,
        device: String::new(),
        // A default is the same once it is written down.
        asked: None,
        // What follows from settings for each tensor is looked at last.
        freeze: FreezePlan {
            trainable: Vec::new(),
            frozen: Vec::new(),
            trainable_parameters: 0,
            frozen_parameters: 0,
            ..freeze(it)
        },
        // It follows the other rate where nobody asks for it, and that is the one to be named.
        train: TrainPlan {
            head_lr: if same_lr { it.train.head_lr } else { 0.0 },
            ..it.train.clone()
        },
        ..it.clone()
    };
    let json = serde_json::to_value::<Plan>;
    if let Some(found) = first_difference("", &json(settings(before))?, &json(settings(now))?) {
        return Ok(Some(found));
    }
    let json = serde_json::to_value::<FreezePlan>;
    Ok(first_difference("freeze", &json(freeze(before))?, &json(freeze(now))?))
}

/// `train.epochs was 3 and is 4`
fn first_difference(
    at: &str,
    before: &serde_json::Value,
    now: &serde_json::Value,
) -> Option<String> {
    use serde_json::Value::{Array, Object};
    match (before, now) {
        (Object(a), Object(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .find_map(|((key, a), (_, b))| first_difference(&format!("{at}.{key}"), a, b)),
        (Array(a), Array(b)) if a.len() == b.len() => {
            let mut each = a.iter().zip(b).enumerate();
            each.find_map(|(idx, (a, b))| first_difference(&format!("{at}[{idx}]"), a, b))
        }
        (a, b) if a == b => None,
        (a, b) => Some(format!("{} was {a} and is {b}", at.trim_start_matches('.'))),
    }
}

/// Puts the learner where the checkpoint stands.
pub(crate) fn restore(
    learner: &mut Learner,
    plan: &Plan,
    hooks: &Hooks,
    resumed: Option<Checkpoint>,
) -> Result<Position> {
    let Some(mut found) = resumed else {
        learner.unfreeze(plan, 1)?;
        return Ok(Position::default());
    };
    // The epoch of the last update done: what the next epoch unfreezes comes with the next epoch.
    let epoch = found.position.step.saturating_sub(1) / plan.train.steps_per_epoch;
    learner.unfreeze(plan, epoch as u32 + 1)?;
    learner.load_tensors(&found.tensors).context("loading the checkpoint")?;
    hooks.load(&mut found.state)?;
    learner.load_state(found.state).context("loading the checkpoint")?;
    Ok(found.position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::tests::{plan_of, texts};

    #[test]
    fn a_plan_differs_in_what_decides_numbers_and_the_setting_is_named() {
        let plan = |recipe: &str| plan_of(recipe, &texts());
        let check = |before: &Plan, now: &str, expected: Option<&str>| {
            assert_eq!(difference(before, &plan(now)).unwrap().as_deref(), expected, "{now}");
        };
        let before = plan("");
        check(&before, "[train]\nbatch = 16\nlr = 1e-4\nhead_lr = 5e-4", None);
        let rate = "train.lr was 0.0001 and is 0.002";
        check(&before, "train.lr = 2e-3", Some(rate));
        check(&before, "[train]\nlr = 2e-3\nhead_lr = 1.0", Some(rate));
        check(&before, "train.head_lr = 2e-3", Some("train.head_lr was 0.0005 and is 0.002"));
        let decay = "train.weight_decay was 0.01 and is 0.1";
        check(&before, "train.weight_decay = 0.1", Some(decay));
        let frozen = "freeze.train[0] was \"all\" and is \"last:1\"";
        check(&before, "freeze.train = ['last:1']", Some(frozen));
        // As another version may have decided it.
        let mut other = before.clone();
        other.freeze.trainable[0].lr_scale = 1.0;
        let scale = "freeze.trainable[0].lr_scale was 1.0 and is 5.0";
        check(&other, "", Some(scale));
    }
}
