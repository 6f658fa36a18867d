//! Decides what scores of one class mean: scikit-learn's default `labels=None`, so that a class
//! that is neither true nor predicted anywhere does not count in macro averages.

use super::{Class, likeliest};
use crate::classified::{Classified, check_probabilities, check_targets, shares};
use crate::ranking::is_in_top;
use crate::scored::{check_rows, mean};
use crate::{Scored, ScoresError, Target, bootstrap};
use finetuned_job::scores::{Interval, Scores};
use finetuned_job::task::{Answer, Metrics};
use std::collections::BTreeMap;

/// `top5_accuracy` says nothing of fewer classes than one more.
const TOP: usize = 5;

pub(super) fn scores(
    kind: &Class,
    of: &Scored<'_>,
    intervals_for: &[&str],
    seed: u64,
) -> Result<Scores, ScoresError> {
    let names = &kind.outputs[..];
    let Scored { split, predictions, targets, losses } = *of;
    check_rows(of, names.len(), |_| 1)?;
    check(targets, names.len())?;
    check_probabilities(predictions)?;
    let is_in = |(example, target): (usize, &Target)| {
        f64::from(u8::from(is_in_top(predictions.of(example), class(target), TOP)))
    };
    let in_top = (TOP < names.len()).then(|| targets.iter().enumerate().map(is_in).collect());
    let predict = |row: &[f32]| -> Box<[u32]> { Box::new([kind.class(row)]) };
    let classified = Classified::new(of, false, predict).with_top(in_top);
    let per_class = classified.per_class(names);
    Ok(Scores {
        split,
        examples: targets.len() as u64,
        loss: mean(losses),
        metrics: classified.metrics(Metrics::of(Answer::Class).known, &per_class),
        intervals: intervals(&classified, targets.len(), intervals_for, seed)?,
        per_class,
        confusion: classified.confusion(),
        per_number: Vec::new(),
    })
}

/// Macro averages are drawn within each class: a plain resample lacks over a third of the classes
/// that have one example, and its average is over fewer of them than the score is.
fn intervals(
    classified: &Classified,
    examples: usize,
    metrics: &[&str],
    seed: u64,
) -> Result<BTreeMap<String, Interval>, ScoresError> {
    let (macros, others): (Vec<&str>, Vec<&str>) =
        metrics.iter().partition(|it| it.starts_with("macro_"));
    let sampled = classified.sampled(metrics);
    let mut all = bootstrap::intervals(&sampled, &others, &bootstrap::together(examples), seed)?;
    all.extend(bootstrap::intervals(&sampled, &macros, &classified.by_class(), seed)?);
    Ok(all)
}

/// The share of each class in the training split as its probability, so that the most frequent
/// class is predicted, of equally frequent ones the first.
pub(super) fn constant(
    names: &[String],
    train: &[Target],
) -> Result<(String, Vec<f32>), ScoresError> {
    check(train, names.len())?;
    let row = shares(train, names.len());
    Ok((names[likeliest(&row) as usize].clone(), row))
}

/// Of a checked target.
fn class(target: &Target) -> usize {
    target.classes().first().map_or(0, |it| *it as usize)
}

fn check(targets: &[Target], classes: usize) -> Result<(), ScoresError> {
    if let Some(example) = targets.iter().position(|it| it.classes().len() != 1) {
        return Err(ScoresError::Kind { example });
    }
    check_targets(targets, classes)
}
