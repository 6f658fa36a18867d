//! What an evaluation says. Metric names are scikit-learn's habits: `accuracy`,
//! `macro_f1`, `weighted_precision`, …

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    Train,
    Validation,
    Test,
}

impl Split {
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    pub split: Split,
    pub examples: u64,
    /// One label: mean cross-entropy, natural logarithm, without label smoothing and class weights.
    /// Several: the mean of the binary ones over examples and classes. Numbers: the mean square
    /// error.
    pub loss: f64,
    /// Every scalar metric by name.
    pub metrics: BTreeMap<String, f64>,
    /// 95 % intervals of `accuracy`, `macro_f1` and the metric that the recipe selects.
    pub intervals: BTreeMap<String, Interval>,
    pub per_class: Vec<ClassScores>,
    /// `confusion[true][predicted]`, in the order of the classes; empty unless an example has one
    /// label.
    pub confusion: Vec<Vec<u64>>,
    /// For each number that is learnt.
    pub per_number: Vec<NumberScores>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
    /// 0.95.
    pub level: f64,
    /// Bootstrap resamples (percentile method) that it comes from.
    pub resamples: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    pub class: String,
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
    /// Area under precision over recall, as scikit-learn's `average_precision_score`; absent where
    /// what is scored has no probability of its own.
    pub average_precision: Option<f64>,
    pub support: u64,
}

/// How far predictions of one number are from the truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberScores {
    pub name: String,
    pub mae: f64,
    pub rmse: f64,
    pub r2: f64,
}

/// What a model scores that gives the same answer to everything, learnt from the training split
/// alone; where there is no such answer, what the base model scores as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The most frequent class; where there may be several, those that most examples have; the
    /// means. Empty of a base model.
    pub answer: String,
    pub metrics: BTreeMap<String, f64>,
}

impl Baseline {
    /// Whether it is the base model.
    pub fn is_of_base(&self) -> bool {
        self.answer.is_empty()
    }
}
