//! The tokens of a text itself: language modelling. What a model gives for an example is how many
//! of its tokens were asked for, how surprising they were, and how many the model guessed. Which
//! tokens those are is the objective's to say.

pub(crate) mod chrf; // found x wanted texts -> how near they are
pub(crate) mod rouge; // the same by words
mod scores; // surprise -> perplexity

use crate::kind::{AnswerKind, Input, Words};
use crate::metric::short;
use crate::{Predictions, Scored, ScoresError, Target};
use finetuned_job::scores::Scores;
use finetuned_job::task::{Answer, Metrics};
use scores::Guessed;
use serde_json::{Map, Value};

pub(crate) struct Tokens;

impl AnswerKind for Tokens {
    /// They are the vocabulary, which nobody reads as a list.
    fn outputs(&self) -> &[String] {
        &[]
    }

    fn width(&self) -> usize {
        Guessed::WIDTH
    }

    fn metrics(&self) -> &'static Metrics {
        Metrics::of(Answer::Tokens)
    }

    fn scores(
        &self,
        of: &Scored<'_>,
        intervals_for: &[&str],
        seed: u64,
    ) -> Result<Scores, ScoresError> {
        scores::scores(of, intervals_for, seed)
    }

    /// There is no text that is right for all: what one learns is seen beside the base model.
    fn constant(&self, _: &[Target]) -> Result<Option<(String, Vec<f32>)>, ScoresError> {
        Ok(None)
    }

    /// The perplexity of each.
    fn degrees(&self, predictions: &Predictions, _: &[Target]) -> Vec<Option<f64>> {
        let of = |it: usize| Guessed::of(predictions.of(it));
        (0..predictions.len()).map(|it| of(it).map(|it| it.perplexity())).collect()
    }

    /// It is the text, which stands there already.
    fn target_words(&self, _: &Input, _: &Target) -> String {
        String::new()
    }

    fn prediction_words(&self, _: &Input, rows: &[f32]) -> String {
        Guessed::of(rows)
            .map_or_else(String::new, |it| format!("{} of {} tokens guessed", it.right, it.tokens))
    }

    /// `perplexity`, `token_accuracy` and `tokens`.
    fn reply(&self, _: &Input, rows: &[f32]) -> Map<String, Value> {
        let of = Guessed::of(rows);
        let number =
            |value: fn(&Guessed) -> f64| of.as_ref().map_or(Value::Null, |it| value(it).into());
        Map::from_iter([
            ("perplexity".into(), number(Guessed::perplexity)),
            ("token_accuracy".into(), number(Guessed::accuracy)),
            ("tokens".into(), number(|it| it.tokens)),
        ])
    }

    fn reply_columns(&self) -> Vec<String> {
        ["tokens", "perplexity", "token_accuracy"].map(String::from).into()
    }

    fn reply_cells(&self, _: &Input, rows: &[f32]) -> Vec<String> {
        match Guessed::of(rows) {
            Some(it) => [it.tokens, it.perplexity(), it.accuracy()].map(|it| it.to_string()).into(),
            None => vec![String::new(); 3],
        }
    }

    fn words(&self) -> Words {
        Words {
            baseline: "base model",
            scores: " Perplexity is e to the power of the mean loss of a token; less is better.",
            intervals: "percentile bootstrap intervals over the texts",
            mistakes: "The texts that were the most surprising",
            target: "",
            columns: "nothing beside the text",
            card_metrics: &["token_accuracy"],
            thresholds: "",
            activation: "",
        }
    }

    fn degree_words(&self, degree: f64) -> String {
        format!("perplexity {}", short(degree))
    }
}
