//! How a job ended: `done.json` or `failed.json`, and what lies between training and proof.

use crate::scores::{Baseline, Scores, Split};
use serde::{Deserialize, Serialize};

pub const OUTCOME_VERSION: u32 = 1;

/// `trained.json`: what the unproven model scored in the process that trained it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    pub version: u32,
    /// Scores of the saved weights on the split of the report.
    pub scores: Scores,
    pub validation: Scores,
    pub baseline: Baseline,
    pub steps: u64,
    pub best_step: u64,
    pub epochs: f64,
    pub stopped_early: bool,
    /// Time in training, over all attempts, without the proof.
    pub seconds: f64,
    /// blake3 of model.safetensors, hex.
    pub model_hash: String,
    /// Part of all token places in training batches that were padding, 0 to 1.
    pub padding: f64,
}

/// `done.json`, written last: a run folder with it is complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub version: u32,
    pub job: u64,
    pub name: String,
    pub task: String,
    pub base: String,
    /// Relative to the run folder.
    pub model: String,
    pub report: String,
    /// The split that the scores are about.
    pub split: Split,
    /// Name of the metric that chose the best step, and its value on `split`.
    pub metric: String,
    pub score: f64,
    pub scores: Scores,
    pub baseline: Baseline,
    pub proof: Proof,
    pub steps: u64,
    pub best_step: u64,
    pub epochs: f64,
    pub seconds: f64,
    pub attempts: u32,
}

/// What the reloaded model showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// blake3 of the model.safetensors that was loaded again, hex.
    pub model_hash: String,
    /// Examples evaluated again.
    pub examples: u64,
    /// Loss before saving and after loading again: equal.
    pub loss_trained: f64,
    pub loss_reloaded: f64,
}

/// `failed.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    pub version: u32,
    pub job: u64,
    pub name: String,
    pub attempt: u32,
    pub failure: Failure,
}

/// Why a job can't succeed as it is, in words that a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    /// One sentence, with the file and the line where there are any.
    pub message: String,
    /// What to do about it.
    pub cure: Option<String>,
    pub at_step: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    Recipe,
    Data,
    Model,
    Plugin,
    /// NaN or infinite loss, divergence.
    Training,
    /// No space, read-only, I/O errors.
    Disk,
    Memory,
    /// The saved model did not score what the trained one scored.
    Proof,
    /// The worker died by a signal, more often than is tolerated.
    Crash,
    /// A defect of finetuned.
    Internal,
}

impl Failure {
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), cure: None, at_step: None }
    }

    pub fn with_cure(self, cure: impl Into<String>) -> Failure {
        Failure { cure: Some(cure.into()), ..self }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.cure {
            Some(cure) => write!(f, " ({cure})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
