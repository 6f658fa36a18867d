//! Decides what scores of guessed tokens mean: perplexity is e to the power of their mean negative
//! log-likelihood, as transformers' examples of language modelling print it; accuracy counts the
//! tokens that were the likeliest. Intervals are drawn over texts.

use crate::bootstrap::{self, Sampled};
use crate::scored::{check_finite, check_rows, mean};
use crate::{Scored, ScoresError};
use finetuned_job::scores::Scores;
use std::f64::consts::LN_2;

/// How a model did on tokens that it did not see.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Guessed {
    pub tokens: f64,
    /// Their negative log-likelihood in nats, all together.
    pub surprise: f64,
    /// Those that were the likeliest of the vocabulary.
    pub right: f64,
    /// UTF-8 of what they stand for; 0 where that is not to be said.
    pub bytes: f64,
}

impl Guessed {
    /// Numbers of a row.
    pub(super) const WIDTH: usize = 4;

    /// Of an example; none where no token of it was asked for.
    pub(super) fn of(row: &[f32]) -> Option<Guessed> {
        let &[tokens, surprise, right, bytes] = row else { return None };
        let [tokens, surprise] = [tokens, surprise].map(f64::from);
        let all = Guessed { tokens, surprise, right: right.into(), bytes: bytes.into() };
        (0.0 < all.tokens).then_some(all)
    }

    pub(super) fn perplexity(&self) -> f64 {
        (self.surprise / self.tokens).exp()
    }

    /// None where it is not known how many bytes there are.
    fn bits_per_byte(&self) -> Option<f64> {
        (0.0 < self.bytes).then(|| self.surprise / LN_2 / self.bytes)
    }

    pub(super) fn accuracy(&self) -> f64 {
        self.right / self.tokens
    }
}

struct Texts<'a> {
    rows: Vec<Option<Guessed>>,
    losses: &'a [f64],
}

impl Texts<'_> {
    /// Text i counts `times[i]` times.
    fn together(&self, times: &[u32]) -> Guessed {
        let mut all = Guessed::default();
        for (times, row) in times.iter().zip(&self.rows) {
            let (times, Some(row)) = (f64::from(*times), row) else { continue };
            all.tokens += times * row.tokens;
            all.surprise += times * row.surprise;
            all.right += times * row.right;
            all.bytes += times * row.bytes;
        }
        all
    }
}

fn metric(of: &Guessed, name: &str) -> Option<f64> {
    match name {
        "perplexity" => Some(of.perplexity()),
        "bits_per_byte" => of.bits_per_byte(),
        "token_accuracy" => Some(of.accuracy()),
        _ => None,
    }
}

impl Sampled for Texts<'_> {
    fn losses(&self) -> &[f64] {
        self.losses
    }

    fn effort(&self) -> usize {
        self.losses.len()
    }

    fn measure(&self, times: &[u32], metrics: &[&str]) -> Vec<Option<f64>> {
        let all = self.together(times);
        metrics.iter().map(|it| metric(&all, it)).collect()
    }
}

pub(super) fn scores(
    of: &Scored<'_>,
    intervals_for: &[&str],
    seed: u64,
) -> Result<Scores, ScoresError> {
    let Scored { split, predictions, targets, losses } = *of;
    check_rows(of, Guessed::WIDTH, |_| 1)?;
    check_finite(predictions)?;
    let rows = (0..predictions.len()).map(|it| Guessed::of(predictions.of(it))).collect();
    let texts = Texts { rows, losses };
    let all = texts.together(&vec![1; targets.len()]);
    if all.tokens == 0.0 {
        return Err(ScoresError::Empty { split });
    }
    let strata = bootstrap::together(targets.len());
    let named = ["perplexity", "bits_per_byte", "token_accuracy"];
    Ok(Scores {
        split,
        examples: targets.len() as u64,
        loss: mean(losses),
        metrics: named.iter().filter_map(|it| Some(((*it).into(), metric(&all, it)?))).collect(),
        intervals: bootstrap::intervals(&texts, intervals_for, &strata, seed)?,
        per_class: Vec::new(),
        confusion: Vec::new(),
        per_number: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Predictions, Target};
    use finetuned_job::scores::Split;

    fn scored(values: &[f32], losses: &[f64]) -> Result<Scores, ScoresError> {
        let predictions = Predictions::one_row_each(Guessed::WIDTH, values.to_vec());
        let targets = vec![Target::default(); losses.len()];
        let of =
            Scored { split: Split::Test, predictions: &predictions, targets: &targets, losses };
        scores(&of, &["perplexity"], 0)
    }

    #[test]
    fn every_token_counts_the_same_however_long_its_text_is() {
        // One text of one token, one of three.
        let found =
            scored(&[1.0, 4.0, 0.0, 3.0, 3.0, 2.0, 3.0, 5.0], &[4.0 / 2.0, 2.0 / 2.0]).unwrap();
        assert!((found.metrics["perplexity"] - 1.5_f64.exp()).abs() < 1e-12);
        assert!((found.metrics["perplexity"] - found.loss.exp()).abs() < 1e-12);
        assert_eq!(found.metrics["token_accuracy"], 0.75);
        assert!((found.metrics["bits_per_byte"] - 6.0 / LN_2 / 8.0).abs() < 1e-12);
        let interval = &found.intervals["perplexity"];
        assert!(interval.low <= interval.high && (2.0_f64 / 3.0).exp() <= interval.low);
    }

    #[test]
    fn what_has_no_tokens_and_what_is_no_number_is_refused() {
        assert_eq!(
            scored(&[0.0; 4], &[0.0]).unwrap_err(),
            ScoresError::Empty { split: Split::Test }
        );
        let found = scored(&[1.0, f32::NAN, 0.0, 0.0], &[0.0]).unwrap_err();
        assert!(matches!(found, ScoresError::Output { example: 0, .. }), "{found:?}");
        // A text without a token is no fault where others have some.
        let found = scored(&[0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 2.0, 0.0], &[0.0, 0.0]).unwrap();
        assert_eq!(found.metrics["perplexity"], 1.0);
        assert!(!found.metrics.contains_key("bits_per_byte"), "nobody says how many bytes");
    }
}
