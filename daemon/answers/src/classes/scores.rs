//! Decides what scores of several classes mean: all classes count in macro averages, also those
//! that are nowhere, but for average precision.

use super::{joined, likely, or_none};
use crate::classified::{Classified, check_probabilities, check_targets, shares, surprise};
use crate::error::{check_loss, check_rows};
use crate::{Predictions, ScoresError, Target, bootstrap};
use finetuned_job::scores::{Baseline, Scores, Split};
use finetuned_job::task::{Answer, Metrics};

pub(super) fn scores(
    names: &[String],
    split: Split,
    predictions: &Predictions,
    targets: &[Target],
    loss: f64,
    intervals_for: &[&str],
    seed: u64,
) -> Result<Scores, ScoresError> {
    check_rows(split, predictions, targets, names.len())?;
    check_targets(targets, names.len())?;
    check_probabilities(predictions)?;
    check_loss(loss)?;
    let classified = Classified::new(predictions, targets, true, likely, binary_cross_entropy);
    let per_class = classified.per_class(names);
    let strata = bootstrap::together(targets.len());
    let sampled = classified.sampled(intervals_for);
    Ok(Scores {
        split,
        examples: targets.len() as u64,
        loss,
        metrics: classified.metrics(Metrics::of(Answer::Classes).known, &per_class),
        intervals: bootstrap::intervals(&sampled, intervals_for, &strata, seed)?,
        per_class,
        confusion: Vec::new(),
        per_number: Vec::new(),
    })
}

/// The mean over the classes.
fn binary_cross_entropy(row: &[f32], target: &Target) -> f64 {
    let of = |(class, &p): (u32, &f32)| {
        surprise(if target.classes().contains(&class) { p } else { 1.0 - p })
    };
    (0..).zip(row).map(of).sum::<f64>() / row.len() as f64
}

/// The share of each class in the training split as its probability, so that those are predicted
/// that half of the examples have.
pub(super) fn baseline(
    names: &[String],
    train: &[Target],
    targets: &[Target],
) -> Result<Baseline, ScoresError> {
    if train.is_empty() {
        return Err(ScoresError::Empty { split: Split::Train });
    }
    check_targets(train, names.len())?;
    let row = shares(train, names.len());
    let predictions = Predictions::one_row_each(names.len(), row.repeat(targets.len()));
    let scores = scores(names, Split::Train, &predictions, targets, 0.0, &[], 0)?;
    let answer = or_none(joined(names, &likely(&row), ", "));
    Ok(Baseline { answer, metrics: scores.metrics })
}
