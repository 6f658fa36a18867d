//! Decides what scores of answers mean that rewards score: means over the prompts.

use crate::means;
use crate::scored::{check_finite, check_rows};
use crate::{Scored, ScoresError};
use finetuned_job::scores::Scores;

/// What a model gives for a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rewarded {
    pub reward: f64,
    /// Of the answer, with the one that ends it.
    pub tokens: f64,
    /// 1 where it came to an end by itself, else 0.
    pub ended: f64,
}

impl Rewarded {
    /// Numbers of a row.
    pub(super) const WIDTH: usize = 3;

    pub(super) fn of(row: &[f32]) -> Option<Rewarded> {
        let [reward, tokens, ended] = <[f32; Self::WIDTH]>::try_from(row).ok()?.map(f64::from);
        Some(Rewarded { reward, tokens, ended })
    }
}

pub(super) fn scores(
    of: &Scored<'_>,
    intervals_for: &[&str],
    seed: u64,
) -> Result<Scores, ScoresError> {
    check_rows(of, Rewarded::WIDTH, |_| 1)?;
    check_finite(of.predictions)?;
    let rows: Vec<Rewarded> =
        (0..of.predictions.len()).filter_map(|it| Rewarded::of(of.predictions.of(it))).collect();
    let values = |value: fn(&Rewarded) -> f64| rows.iter().map(value).collect();
    let values = vec![
        ("reward", values(|it| it.reward)),
        ("length", values(|it| it.tokens)),
        ("ended", values(|it| it.ended)),
    ];
    means::scores(of, values, intervals_for, seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::of;
    use crate::{Predictions, Target};
    use finetuned_job::scores::Split;
    use finetuned_job::task::Answer;

    fn scored(values: &[f32]) -> Result<Scores, ScoresError> {
        let predictions = Predictions::one_row_each(Rewarded::WIDTH, values.to_vec());
        let targets = vec![Target::default(); predictions.len()];
        let losses: Vec<f64> = values
            .chunks(3)
            .map(|it| if it[0].is_nan() { 0.0 } else { -f64::from(it[0]) })
            .collect();
        let (split, losses) = (Split::Test, &losses[..]);
        let of = Scored { split, predictions: &predictions, targets: &targets, losses };
        scores(&of, &["reward"], 0)
    }

    #[test]
    fn rewards_lengths_and_ends_are_means_over_prompts() {
        let found = scored(&[1.0, 4.0, 1.0, 0.5, 8.0, 0.0]).unwrap();
        assert_eq!((found.metrics["reward"], found.loss), (0.75, -0.75));
        assert_eq!((found.metrics["length"], found.metrics["ended"]), (6.0, 0.5));
        let interval = &found.intervals["reward"];
        assert!(0.5 <= interval.low && interval.high <= 1.0, "{interval:?}");
        let found = scored(&[f32::NAN, 4.0, 1.0]).unwrap_err();
        assert!(matches!(found, ScoresError::Output { example: 0, .. }), "{found:?}");
    }

    #[test]
    fn the_worst_answers_are_the_furthest_behind_the_best() {
        let predictions = Predictions::one_row_each(3, vec![1.0, 4.0, 1.0, 0.25, 8.0, 0.0]);
        let answer = of(Answer::Completion, &[]);
        let degrees = answer.degrees(&predictions, &[Target::default(), Target::default()]);
        assert_eq!(degrees, [None, Some(0.75)]);
    }
}
