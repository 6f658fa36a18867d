//! Decides what scores of several classes mean: all classes count in macro averages, also those
//! that are nowhere, but for average precision.

use super::{Classes, joined, or_none};
use crate::classified::{Classified, check_probabilities, check_targets, shares};
use crate::scored::{check_rows, mean};
use crate::{Scored, ScoresError, Target, bootstrap};
use finetuned_job::scores::Scores;
use finetuned_job::task::{Answer, Metrics};

pub(super) fn scores(
    kind: &Classes,
    of: &Scored<'_>,
    intervals_for: &[&str],
    seed: u64,
) -> Result<Scores, ScoresError> {
    let names = &kind.outputs[..];
    let Scored { split, predictions, targets, losses } = *of;
    check_rows(of, names.len(), |_| 1)?;
    check_targets(targets, names.len())?;
    check_probabilities(predictions)?;
    let classified = Classified::new(of, true, |it| kind.likely(it));
    let per_class = classified.per_class(names);
    let strata = bootstrap::together(targets.len());
    let sampled = classified.sampled(intervals_for);
    Ok(Scores {
        split,
        examples: targets.len() as u64,
        loss: mean(losses),
        metrics: classified.metrics(Metrics::of(Answer::Classes).known, &per_class),
        intervals: bootstrap::intervals(&sampled, intervals_for, &strata, seed)?,
        per_class,
        confusion: Vec::new(),
        per_number: Vec::new(),
    })
}

/// The share of each class in the training split as its probability, so that those are predicted
/// that half of the examples have.
pub(super) fn constant(
    kind: &Classes,
    train: &[Target],
) -> Result<(String, Vec<f32>), ScoresError> {
    let names = &kind.outputs[..];
    check_targets(train, names.len())?;
    let row = shares(train, names.len());
    Ok((or_none(joined(names, &kind.likely(&row), ", ")), row))
}
