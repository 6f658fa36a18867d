//! Decides what scores of rewards mean: accuracy is the part of the examples that are preferred as
//! the data have it, margin the mean of how far the wanted answer is ahead, as TRL's `DPOTrainer`
//! and `RewardTrainer` log them; the log ratio the mean over all answers.

use super::verdict;
use crate::means::{self, Values};
use crate::scored::check_rows;
use crate::{Scored, ScoresError, Target};
use finetuned_job::scores::Scores;

/// What a model gives for a pair of answers, or for one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Compared {
    /// Of the wanted answer, or of the only one.
    pub reward: f64,
    /// Of the other one; 0 where there is none.
    pub other: f64,
    /// How far the wanted answer is ahead; of one alone its reward, which is below 0 where it is
    /// not wanted.
    pub margin: f64,
    /// How much likelier the answers are than they were to the base, their mean; none where nobody
    /// asks for the base.
    log_ratio: Option<f64>,
    /// 1 where it is preferred as the data have it, 0 where not, and a half where neither can be
    /// said.
    pub right: f64,
}

impl Compared {
    /// Numbers of a row: the rewards, the log ratio, NaN where there is none, and what is right.
    pub(super) const WIDTH: usize = 4;

    pub(super) fn of(row: &[f32], target: &Target) -> Option<Compared> {
        let [reward, other, log_ratio, right] = <[f32; Self::WIDTH]>::try_from(row).ok()?;
        let [reward, other, right] = [reward, other, right].map(f64::from);
        let margin = match verdict(target) {
            Some(false) => -reward,
            Some(true) => reward,
            None => reward - other,
        };
        let log_ratio = Some(f64::from(log_ratio)).filter(|it| !it.is_nan());
        Some(Compared { reward, other, margin, log_ratio, right })
    }
}

pub(super) fn scores(
    of: &Scored<'_>,
    intervals_for: &[&str],
    seed: u64,
) -> Result<Scores, ScoresError> {
    let Scored { split, predictions, targets, .. } = *of;
    check_rows(of, Compared::WIDTH, |_| 1)?;
    let mut rows = Vec::with_capacity(targets.len());
    for (example, target) in targets.iter().enumerate() {
        let row = Compared::of(predictions.of(example), target);
        let row = row.ok_or(ScoresError::Empty { split })?;
        if let Some(value) = [row.reward, row.other].into_iter().find(|it| !it.is_finite()) {
            return Err(ScoresError::Output { example, value: value as f32 });
        }
        rows.push(row);
    }
    let mut values: Vec<Values> = vec![
        ("accuracy", rows.iter().map(|it| it.right).collect()),
        ("margin", rows.iter().map(|it| it.margin).collect()),
    ];
    // What not all have is no metric.
    let log_ratios: Option<Vec<f64>> = rows.iter().map(|it| it.log_ratio).collect();
    values.extend(log_ratios.map(|it| ("log_ratio", it)));
    means::scores(of, values, intervals_for, seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Predictions;
    use finetuned_job::scores::Split;

    fn scored(values: &[f32], targets: &[Target]) -> Result<Scores, ScoresError> {
        let predictions = Predictions::one_row_each(Compared::WIDTH, values.to_vec());
        let losses = vec![0.5; targets.len()];
        let (split, losses) = (Split::Test, &losses[..]);
        let of = Scored { split, predictions: &predictions, targets, losses };
        scores(&of, &["accuracy"], 0)
    }

    #[test]
    fn pairs_and_answers_alone_have_margins() {
        let pair = Target::default;
        let found = scored(&[1.0, -0.5, 0.25, 1.0, 2.0, 3.0, 0.75, 0.0], &[pair(), pair()]);
        let found = found.unwrap();
        assert_eq!(found.metrics["accuracy"], 0.5);
        assert_eq!((found.metrics["margin"], found.metrics["log_ratio"]), (0.25, 0.5));
        assert_eq!(found.loss, 0.5);
        let targets = [Target::of_classes([1]), Target::of_classes([0])];
        let alone = scored(&[0.5, 0.0, 1.0, 1.0, 1.5, 0.0, 1.0, 0.0], &targets).unwrap();
        assert_eq!((alone.metrics["accuracy"], alone.metrics["margin"]), (0.5, -0.5));
    }

    #[test]
    fn what_no_base_is_asked_about_has_no_log_ratio() {
        let found = scored(&[1.0, 0.0, f32::NAN, 1.0], &[Target::default()]).unwrap();
        assert!(!found.metrics.contains_key("log_ratio"));
        let found = scored(&[f32::NAN, 0.0, 0.0, 1.0], &[Target::default()]).unwrap_err();
        assert!(matches!(found, ScoresError::Output { example: 0, .. }), "{found:?}");
    }
}
