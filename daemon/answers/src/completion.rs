//! What a model says by itself, which rewards score: group relative policy optimisation and its
//! kin. What a model gives for a prompt is the reward of its answer, how many tokens that has, and
//! whether it came to an end. How an answer is made and rewarded is the objective's to say.

mod scores; // rewards -> their mean

use crate::kind::{AnswerKind, Input, Words};
use crate::metric::short;
use crate::{Predictions, Scored, ScoresError, Target};
use finetuned_job::scores::Scores;
use finetuned_job::task::{Answer, Metrics};
use scores::Rewarded;
use serde_json::{Map, Value};

pub(crate) struct Completion;

impl AnswerKind for Completion {
    /// They are the vocabulary, which nobody reads as a list.
    fn outputs(&self) -> &[String] {
        &[]
    }

    fn width(&self) -> usize {
        Rewarded::WIDTH
    }

    fn metrics(&self) -> &'static Metrics {
        Metrics::of(Answer::Completion)
    }

    fn scores(
        &self,
        of: &Scored<'_>,
        intervals_for: &[&str],
        seed: u64,
    ) -> Result<Scores, ScoresError> {
        scores::scores(of, intervals_for, seed)
    }

    /// No answer is right for all prompts: what one learns is seen beside the base model.
    fn constant(&self, _: &[Target]) -> Result<Option<(String, Vec<f32>)>, ScoresError> {
        Ok(None)
    }

    /// How far behind the best of all answers.
    fn degrees(&self, predictions: &Predictions, _: &[Target]) -> Vec<Option<f64>> {
        let rewards: Vec<f64> = (0..predictions.len())
            .filter_map(|it| Rewarded::of(predictions.of(it)))
            .map(|it| it.reward)
            .collect();
        let best = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        rewards.into_iter().map(|it| (it < best).then_some(best - it)).collect()
    }

    /// Nobody says what the answer should be.
    fn target_words(&self, _: &Input, _: &Target) -> String {
        String::new()
    }

    fn prediction_words(&self, _: &Input, rows: &[f32]) -> String {
        Rewarded::of(rows).map_or_else(String::new, |it| {
            let end = if it.ended == 1.0 { "" } else { ", without an end" };
            format!("reward {} for {} tokens{end}", short(it.reward), it.tokens)
        })
    }

    /// `reward`, `tokens` and `ended`.
    fn reply(&self, _: &Input, rows: &[f32]) -> Map<String, Value> {
        let of = Rewarded::of(rows);
        let value = |it: fn(&Rewarded) -> Value| of.as_ref().map_or(Value::Null, it);
        Map::from_iter([
            ("reward".into(), value(|it| it.reward.into())),
            ("tokens".into(), value(|it| it.tokens.into())),
            ("ended".into(), value(|it| (it.ended == 1.0).into())),
        ])
    }

    fn reply_columns(&self) -> Vec<String> {
        ["reward", "tokens", "ended"].map(String::from).into()
    }

    fn reply_cells(&self, _: &Input, rows: &[f32]) -> Vec<String> {
        match Rewarded::of(rows) {
            Some(it) => {
                vec![it.reward.to_string(), it.tokens.to_string(), (it.ended == 1.0).to_string()]
            }
            None => vec![String::new(); 3],
        }
    }

    fn words(&self) -> Words {
        Words {
            baseline: "base model",
            scores: " Each prompt was answered once, by the likeliest token each time; length is that of the answers in tokens, and ended the part of them that came to an end by themselves.",
            intervals: "percentile bootstrap intervals over the prompts",
            mistakes: "The prompts whose answers are the furthest behind the best one",
            target: "",
            columns: "what rewards read",
            card_metrics: &["ended"],
            thresholds: "",
            activation: "",
        }
    }

    fn degree_words(&self, degree: f64) -> String {
        format!("{} behind", short(degree))
    }
}
