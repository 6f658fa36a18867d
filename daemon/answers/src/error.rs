//! Decides when no score can be given: an error instead of a number that means nothing. What else
//! is unusable about a target is left to its kind of answer.

use finetuned_job::scores::Split;

/// Why no score can be given.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum ScoresError {
    #[error("nothing to score: the {} split has no examples", .split.name())]
    Empty { split: Split },
    #[error(
        "{predictions} predictions of {width} outputs do not fit {targets} targets of {outputs}"
    )]
    Shape { predictions: usize, width: usize, targets: usize, outputs: usize },
    #[error("example {example} has the label {label}, but there are {classes} classes")]
    Label { example: usize, label: u32, classes: usize },
    #[error("example {example} has a target of another kind than the task's")]
    Kind { example: usize },
    #[error("example {example} has the target {value}, which is no number to learn")]
    Target { example: usize, value: f64 },
    #[error("example {example}: {value} is no probability; the model's outputs are unusable")]
    Probability { example: usize, value: f32 },
    #[error("example {example}: the model gives {value}; its outputs are unusable")]
    Output { example: usize, value: f32 },
    #[error("the loss is {0}; the model's outputs are unusable")]
    Loss(f64),
    #[error("there is no metric {0}")]
    Metric(String),
}
