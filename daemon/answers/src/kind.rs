//! What every kind of answer can do, so that nobody else asks which one it is.

use crate::{Predictions, Scored, ScoresError, Target};
use finetuned_job::scores::{Baseline, Scores, Split};
use finetuned_job::task::Metrics;
use serde_json::{Map, Value};

/// What a model was asked, as tables and pages show it.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The text, or the path of the image.
    pub text: &'a str,
    /// Where the words of `text` are, in bytes, where each has an answer of its own.
    pub words: &'a [(u32, u32)],
}

/// How a part of an input was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Of the target and predicted.
    Right,
    /// Of the target alone.
    Missed,
    /// Predicted alone.
    Spurious,
}

/// A part of an input, as pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub text: String,
    /// Each with what it is called; none where nothing is marked.
    pub marks: Vec<(Mark, String)>,
}

/// Sentences of report and card that depend on the kind of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// What answers the same to everything.
    pub baseline: &'static str,
    /// Above the table of scores; may be empty.
    pub scores: &'static str,
    /// How the intervals were drawn.
    pub intervals: &'static str,
    /// Above the worst mistakes.
    pub mistakes: &'static str,
    /// What a target is called beside a mistake; empty where the input is its own target.
    pub target: &'static str,
    /// What the columns of targets hold.
    pub columns: &'static str,
    /// Metrics that the model card lists, the chosen one apart.
    pub card_metrics: &'static [&'static str],
    /// What thresholds mean; empty where there are none.
    pub thresholds: &'static str,
    /// Of PyTorch, from logits to what is shown; empty where they are that.
    pub activation: &'static str,
}

/// `rows` are an example's [`Predictions::of`].
pub trait AnswerKind: Send + Sync {
    /// Names of the model's outputs, in their order.
    fn outputs(&self) -> &[String];

    /// Numbers in a row of predictions.
    fn width(&self) -> usize {
        self.outputs().len()
    }

    /// Metrics that a recipe may select.
    fn metrics(&self) -> &'static Metrics;

    /// `intervals_for` names metrics that get a 95 % interval, drawn with `seed`; the same input
    /// gives the same scores on every machine.
    ///
    /// # Errors
    /// Predictions and targets that do not fit, outputs that are unusable, metrics that nobody
    /// knows.
    fn scores(
        &self,
        of: &Scored<'_>,
        intervals_for: &[&str],
        seed: u64,
    ) -> Result<Scores, ScoresError>;

    /// What answers the same to everything, learnt from targets of which there is one at least: in
    /// words, and the row that a model would give. None where nothing does, and the base model
    /// itself is what there was before.
    ///
    /// # Errors
    /// Targets of another kind.
    fn constant(&self, train: &[Target]) -> Result<Option<(String, Vec<f32>)>, ScoresError>;

    /// From which probability on each output is predicted, where that was tuned; else empty.
    fn thresholds(&self) -> &[f32] {
        &[]
    }

    /// The thresholds under which what is predicted is best on examples that nothing was learnt
    /// from, one for each output; empty where there is nothing to tune, or nothing to gain.
    fn tuned(&self, _predictions: &Predictions, _targets: &[Target]) -> Vec<f32> {
        Vec::new()
    }

    /// Rows that a model gives for an example with this target.
    fn rows(&self, _target: &Target) -> usize {
        1
    }

    /// What a model scores on `targets` that answers the same to everything, learnt from the
    /// training split alone. There is no `loss`. None where [`AnswerKind::constant`] has none.
    ///
    /// # Errors
    /// As [`AnswerKind::scores`].
    fn baseline(
        &self,
        train: &[Target],
        targets: &[Target],
    ) -> Result<Option<Baseline>, ScoresError> {
        let split = Split::Train;
        if train.is_empty() {
            return Err(ScoresError::Empty { split });
        }
        let Some((answer, row)) = self.constant(train)? else { return Ok(None) };
        let rows: Vec<usize> = targets.iter().map(|it| self.rows(it)).collect();
        let values = row.repeat(rows.iter().sum());
        let predictions = Predictions::ragged(row.len(), values, rows);
        let losses = vec![0.0; targets.len()];
        let of = Scored { split, predictions: &predictions, targets, losses: &losses };
        Ok(Some(Baseline { answer, metrics: self.scores(&of, &[], 0)?.metrics }))
    }

    /// How wrong each example is, comparable within the split; nothing where all is right.
    fn degrees(&self, predictions: &Predictions, targets: &[Target]) -> Vec<Option<f64>>;

    /// Of predictions.csv, behind those that say which example it is; those of `predict`, where no
    /// target stands beside them.
    fn columns(&self) -> Vec<String> {
        self.reply_columns()
    }

    fn cells(&self, input: &Input, _target: &Target, rows: &[f32]) -> Vec<String> {
        self.reply_cells(input, rows)
    }

    fn target_words(&self, input: &Input, target: &Target) -> String;

    fn prediction_words(&self, input: &Input, rows: &[f32]) -> String;

    /// The input from left to right, where its parts are right or wrong by themselves; else empty.
    fn marked(&self, _input: &Input, _target: &Target, _rows: &[f32]) -> Vec<Segment> {
        Vec::new()
    }

    /// Whether tokens of a text that nobody has cut into words answer for themselves, as in
    /// transformers' pipelines.
    fn takes_tokens(&self) -> bool {
        false
    }

    /// What `predict` prints, but for the input and where it comes from.
    fn reply(&self, input: &Input, rows: &[f32]) -> Map<String, Value>;

    /// Of the CSV of `predict`, behind those that say which input it is.
    fn reply_columns(&self) -> Vec<String>;

    fn reply_cells(&self, input: &Input, rows: &[f32]) -> Vec<String>;

    fn words(&self) -> Words;

    /// A degree of [`AnswerKind::degrees`].
    fn degree_words(&self, degree: f64) -> String;

    /// (target, prediction) of each number by its name; none for classes.
    fn scatters(
        &self,
        _predictions: &Predictions,
        _targets: &[Target],
    ) -> Vec<(String, Vec<(f64, f64)>)> {
        Vec::new()
    }
}
