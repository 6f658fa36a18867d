//! How much answers are wanted: pairs of which one is preferred, or answers with a verdict each.
//! What a model gives for an example is the reward of the wanted answer and of the other one, and
//! whether it prefers as the data do. What a reward is, is the objective's to say.

pub(crate) mod read; // verdicts -> targets
mod scores; // rewards -> accuracy and margin

use crate::kind::{AnswerKind, Input, Words};
use crate::metric::short;
use crate::{Predictions, Scored, ScoresError, Target};
use finetuned_job::scores::Scores;
use finetuned_job::task::{Answer, Metrics};
use scores::Compared;
use serde_json::{Map, Value};

pub(crate) struct Reward {
    pub outputs: Vec<String>,
}

/// An answer alone, of which it is known whether it is wanted.
fn verdict(target: &Target) -> Option<bool> {
    target.classes().first().map(|it| *it == read::WANTED)
}

impl AnswerKind for Reward {
    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn width(&self) -> usize {
        Compared::WIDTH
    }

    fn metrics(&self) -> &'static Metrics {
        Metrics::of(Answer::Reward)
    }

    fn scores(
        &self,
        of: &Scored<'_>,
        intervals_for: &[&str],
        seed: u64,
    ) -> Result<Scores, ScoresError> {
        scores::scores(of, intervals_for, seed)
    }

    /// No reward is right for all: what one learns is seen beside the base model.
    fn constant(&self, _: &[Target]) -> Result<Option<(String, Vec<f32>)>, ScoresError> {
        Ok(None)
    }

    /// How far the wrong answer is ahead.
    fn degrees(&self, predictions: &Predictions, targets: &[Target]) -> Vec<Option<f64>> {
        let of = |(at, target): (usize, &Target)| {
            let row = Compared::of(predictions.of(at), target)?;
            (row.right < 1.0).then_some(-row.margin)
        };
        targets.iter().enumerate().map(of).collect()
    }

    fn columns(&self) -> Vec<String> {
        ["verdict", "reward", "reward_rejected", "margin", "correct"].map(String::from).into()
    }

    fn cells(&self, _: &Input, target: &Target, rows: &[f32]) -> Vec<String> {
        let Some(row) = Compared::of(rows, target) else { return vec![String::new(); 5] };
        let (verdict, other) = match verdict(target) {
            Some(wanted) => (read::UNPAIRED[usize::from(wanted)], String::new()),
            None => ("", row.other.to_string()),
        };
        let right = (1.0 <= row.right).to_string();
        vec![verdict.into(), row.reward.to_string(), other, row.margin.to_string(), right]
    }

    fn target_words(&self, _: &Input, target: &Target) -> String {
        match verdict(target) {
            Some(wanted) => read::UNPAIRED[usize::from(wanted)].into(),
            None => "the first of them".into(),
        }
    }

    fn prediction_words(&self, _: &Input, rows: &[f32]) -> String {
        match rows {
            [reward, other, ..] if *other != 0.0 => {
                format!("reward {} against {}", short((*reward).into()), short((*other).into()))
            }
            [reward, ..] => format!("reward {}", short((*reward).into())),
            [] => String::new(),
        }
    }

    /// `reward`.
    fn reply(&self, _: &Input, rows: &[f32]) -> Map<String, Value> {
        let reward = rows.first().map_or(Value::Null, |it| f64::from(*it).into());
        Map::from_iter([("reward".into(), reward)])
    }

    fn reply_columns(&self) -> Vec<String> {
        vec!["reward".into()]
    }

    fn reply_cells(&self, _: &Input, rows: &[f32]) -> Vec<String> {
        vec![rows.first().map(f32::to_string).unwrap_or_default()]
    }

    fn words(&self) -> Words {
        Words {
            baseline: "base model",
            scores: " Accuracy is the part of the pairs whose wanted answer has the larger reward. Where rewards are measured by the base model its own are 0; its accuracy is then how often it finds that answer likelier per token.",
            intervals: "percentile bootstrap intervals over the examples",
            mistakes: "The pairs whose unwanted answer is the furthest ahead",
            target: "Preferred",
            columns: "which of two answers is wanted, or whether one is",
            card_metrics: &["margin"],
            thresholds: "",
            activation: "",
        }
    }

    fn degree_words(&self, degree: f64) -> String {
        format!("{} behind", short(degree))
    }
}
