//! What an evaluation of a classifier says. Metric names are scikit-learn's habits: `accuracy`,
//! `macro_f1`, `weighted_precision`, …

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Mean cross-entropy, natural logarithm, without label smoothing and class weights.
    pub loss: f64,
    /// Every scalar metric by name.
    pub metrics: BTreeMap<String, f64>,
    /// 95 % intervals of `accuracy`, `macro_f1` and the metric that the recipe selects.
    pub intervals: BTreeMap<String, Interval>,
    pub per_class: Vec<ClassScores>,
    /// `confusion[true][predicted]`, in the order of the classes.
    pub confusion: Vec<Vec<u64>>,
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
    pub support: u64,
}

/// What a model scores that always says the most frequent class of the training split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    pub class: String,
    pub metrics: BTreeMap<String, f64>,
}
