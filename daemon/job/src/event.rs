//! What a worker says while it works: one line of JSON each, appended to `events.jsonl` (the truth)
//! and printed on stdout (which only wakes the supervisor).
//!
//! After a crash the steps since the last checkpoint are done and told again: a reader takes the
//! last line for a step.

use crate::outcome::Failure;
use crate::scores::{Scores, Split};
use serde::{Deserialize, Serialize};

/// Longest line that a reader accepts; a longer one was not written by ours.
pub const LINE_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
    pub attempt: u32,
    pub event: Event,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A worker runs; `resumed_from` is the step of the checkpoint it continues.
    Started {
        pid: u32,
        version: String,
        resumed_from: Option<u64>,
    },
    /// A stage begins. `total` counts its units where they are known.
    Phase {
        phase: Phase,
        total: Option<u64>,
    },
    /// The running stage has done this many units.
    Progress {
        done: u64,
        total: Option<u64>,
    },
    /// What frozen stages give for a split is kept: `found`, or to be computed when it is wanted.
    Features {
        split: Split,
        bytes: u64,
        found: bool,
    },
    /// One optimizer step.
    Step(Step),
    /// An evaluation of the validation split (or, at the end, of the split that the report is
    /// about).
    Evaluation {
        step: u64,
        epoch: f64,
        scores: Scores,
        best: bool,
    },
    /// `trainable` changed because the recipe said so.
    Unfrozen {
        epoch: u32,
        trainable_tensors: u64,
        trainable_parameters: u64,
    },
    Checkpoint {
        step: u64,
    },
    /// Something a person should know that does not stop the job.
    Warning {
        message: String,
    },
    /// The unproven model lies on disk.
    Trained {
        steps: u64,
        best_step: u64,
        seconds: f64,
    },
    /// A stop signal was obeyed; a checkpoint of this step exists (0: none needed).
    Stopped {
        step: u64,
    },
    /// `model/` and `done.json` are there.
    Done {
        metric: String,
        score: f64,
    },
    Failed {
        failure: Failure,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Unpacking,
    Reading,
    Tokenizing,
    Loading,
    Pulling,
    Training,
    /// A linear probe of the frozen base.
    Probing,
    /// Once more, on training and validation examples together.
    Refitting,
    Evaluating,
    Exporting,
    Proving,
    Predicting,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Counts from 1: the number of updates done.
    pub step: u64,
    pub steps: u64,
    /// Epochs done, with the fraction of the running one.
    pub epoch: f64,
    pub loss: f64,
    pub lr: f64,
    /// L2 norm over all trainable gradients, before clipping.
    pub grad_norm: f64,
    pub examples: u64,
    /// Tokens, and what they would be had each batch been filled up to its longest text.
    pub tokens: u64,
    pub tokens_padded: u64,
    pub seconds: f64,
    /// Part of `seconds`: of frozen stages, which need not run again for these examples.
    #[serde(default)]
    pub once_seconds: f64,
    /// Of answers that the model made to learn from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Sampled>,
}

/// Answers that the model made to learn from: means over all of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    pub reward: f64,
    pub reward_std: f64,
    /// Tokens.
    pub length: f64,
    /// Part of them that came to an end by themselves.
    pub ended: f64,
    /// Prompts, each with its answers.
    pub groups: u64,
    /// Those whose answers were all rewarded alike: nothing is learnt of them.
    pub groups_without_variance: u64,
}

impl Sampled {
    /// Both together.
    pub fn with(self, other: Sampled) -> Sampled {
        let groups = self.groups + other.groups;
        let [a, b] = [self.groups, other.groups].map(|it| it as f64 / groups.max(1) as f64);
        let mean = |of: fn(&Sampled) -> f64| a * of(&self) + b * of(&other);
        Sampled {
            reward: mean(|it| it.reward),
            reward_std: mean(|it| it.reward_std),
            length: mean(|it| it.length),
            ended: mean(|it| it.ended),
            groups,
            groups_without_variance: self.groups_without_variance + other.groups_without_variance,
        }
    }
}
