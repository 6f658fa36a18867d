//! What is to be scored, and whether it fits together.

use crate::{Predictions, ScoresError, Target};
use finetuned_job::scores::Split;

/// What is to be scored.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    pub split: Split,
    pub predictions: &'a Predictions,
    pub targets: &'a [Target],
    /// Of each example, as the objective has it.
    pub losses: &'a [f64],
}

/// A loss and so many rows of `outputs` for each target, and at least one target.
pub(crate) fn check_rows(
    of: &Scored<'_>,
    outputs: usize,
    rows: impl Fn(&Target) -> usize,
) -> Result<(), ScoresError> {
    let Scored { split, predictions, targets, losses } = *of;
    if targets.is_empty() || outputs == 0 {
        return Err(ScoresError::Empty { split });
    }
    let width = predictions.width();
    let fits = predictions.len() == targets.len() && width == outputs;
    let rows = |target: &Target| outputs * rows(target);
    let has_rows = |it: (usize, &Target)| predictions.of(it.0).len() == rows(it.1);
    let whole = predictions.values().len() == targets.iter().map(rows).sum::<usize>();
    let fits = fits && whole && targets.iter().enumerate().all(has_rows);
    if fits && losses.len() == targets.len() {
        return losses
            .iter()
            .find(|it| !it.is_finite())
            .map_or(Ok(()), |it| Err(ScoresError::Loss(*it)));
    }
    let (predictions, targets) = (predictions.len(), targets.len());
    Err(ScoresError::Shape { predictions, width, targets, outputs })
}

/// Numbers in all rows, of one each for an example.
pub(crate) fn check_finite(predictions: &Predictions) -> Result<(), ScoresError> {
    let Some(at) = predictions.values().iter().position(|it| !it.is_finite()) else {
        return Ok(());
    };
    let value = predictions.values()[at];
    Err(ScoresError::Output { example: at / predictions.width(), value })
}

/// Over all examples.
pub(crate) fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len().max(1) as f64
}
