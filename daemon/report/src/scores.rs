//! Decides what each number of an evaluation means. The definitions are scikit-learn's with
//! `zero_division=0`. Where an example has one label, also its default `labels=None`: a class that
//! is neither true nor predicted anywhere does not count in macro averages, one that is never true
//! not in that of average precision. Where it may have several, all classes count. Intervals are
//! `bootstrap`'s.

mod classified; // probabilities of classes, one or several true
mod numbers; // predictions of numbers
mod ranking; // average precision, top k
mod tally; // counts -> precision, recall, F1

use crate::bootstrap;
use classified::Classified;
use finetuned_job::scores::{Baseline, Scores, Split};
use finetuned_job::task::Answer;
use numbers::Numbers;
use std::collections::BTreeMap;

/// Room for rounding in a probability that should be at most 1.
const PROBABILITY_MAX: f32 = 1.001;
/// From here on a class that is one of several is said to be there.
const THRESHOLD: f32 = 0.5;

/// Why no score can be given: never a number instead.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum ScoresError {
    #[error("nothing to score: the {} split has no examples", .split.name())]
    Empty { split: Split },
    #[error("{outputs} outputs and {truth} true values do not make examples of {width}")]
    Shape { outputs: usize, truth: usize, width: usize },
    #[error("example {example} has the label {label}, but there are {classes} classes")]
    Label { example: usize, label: u32, classes: usize },
    #[error("example {example}: {value} is no probability; the model's outputs are unusable")]
    Probability { example: usize, value: f32 },
    #[error("example {example}: the model says {value}; its outputs are unusable")]
    Output { example: usize, value: f32 },
    #[error("example {example}: {value} can't be true of it")]
    Truth { example: usize, value: f32 },
    #[error("the loss is {0}; the model's outputs are unusable")]
    Loss(f64),
    #[error("the baseline is learnt from other answers than it is scored on")]
    Kinds,
    #[error("there is no metric {0}")]
    Metric(String),
}

/// What is true of examples, in their order.
#[derive(Debug, Clone, Copy)]
pub enum Truth<'a> {
    /// The class of each.
    Classes(&'a [u32]),
    /// Examples x classes, row by row: 1 where the class is true of the example, else 0.
    Sets(&'a [f32]),
    /// Examples x numbers, row by row.
    Numbers(&'a [f32]),
}

/// What is true of one example.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target<'a> {
    Class(u32),
    /// A 0 or 1 for each class.
    Set(&'a [f32]),
    Numbers(&'a [f32]),
}

impl<'a> Truth<'a> {
    /// `width`: outputs of the model to an example.
    pub fn examples(&self, width: usize) -> usize {
        match self {
            Truth::Classes(labels) => labels.len(),
            Truth::Sets(values) | Truth::Numbers(values) => values.len() / width.max(1),
        }
    }

    /// Each example's, as the model with `width` outputs should have it.
    pub fn answers(self, width: usize) -> impl Iterator<Item = Target<'a>> {
        (0..self.examples(width)).map(move |example| {
            let row = |values: &'a [f32]| &values[example * width..][..width];
            match self {
                Truth::Classes(labels) => Target::Class(labels[example]),
                Truth::Sets(values) => Target::Set(row(values)),
                Truth::Numbers(values) => Target::Numbers(row(values)),
            }
        })
    }

    pub fn problem(&self) -> Answer {
        match self {
            Truth::Classes(_) => Answer::Class,
            Truth::Sets(_) => Answer::Classes,
            Truth::Numbers(_) => Answer::Numbers,
        }
    }

    /// Refuses what would give a score that means nothing.
    fn check(&self, split: Split, outputs: &[f32], width: usize) -> Result<(), ScoresError> {
        let (truth, wanted) = match self {
            Truth::Classes(labels) => (labels.len(), labels.len().checked_mul(width)),
            Truth::Sets(values) | Truth::Numbers(values) => (values.len(), Some(values.len())),
        };
        if truth == 0 || width == 0 {
            return Err(ScoresError::Empty { split });
        }
        if wanted != Some(outputs.len()) || !outputs.len().is_multiple_of(width) {
            return Err(ScoresError::Shape { outputs: outputs.len(), truth, width });
        }
        self.check_truth(width)?;
        let usable = |value: f32| match self {
            Truth::Numbers(_) => value.is_finite(),
            _ => (0.0..=PROBABILITY_MAX).contains(&value),
        };
        match outputs.iter().position(|it| !usable(*it)) {
            None => Ok(()),
            Some(at) if self.problem() == Answer::Numbers => {
                Err(ScoresError::Output { example: at / width, value: outputs[at] })
            }
            Some(at) => Err(ScoresError::Probability { example: at / width, value: outputs[at] }),
        }
    }

    fn check_truth(&self, width: usize) -> Result<(), ScoresError> {
        let unusable = match self {
            Truth::Classes(labels) => {
                return match labels.iter().position(|it| width <= *it as usize) {
                    Some(example) => {
                        Err(ScoresError::Label { example, label: labels[example], classes: width })
                    }
                    None => Ok(()),
                };
            }
            Truth::Sets(values) => {
                values.iter().position(|it| *it != 0.0 && *it != 1.0).map(|at| (at, values[at]))
            }
            Truth::Numbers(values) => {
                values.iter().position(|it| !it.is_finite()).map(|at| (at, values[at]))
            }
        };
        unusable
            .map_or(Ok(()), |(at, value)| Err(ScoresError::Truth { example: at / width, value }))
    }
}

/// Scores of `outputs`, examples x `names`, row by row: for one label its probabilities (softmax),
/// of which the largest is said, and of equal ones the first, as numpy's argmax does; for several
/// the probability of each (sigmoid), said from 0.5 on; for numbers the numbers. `loss` is the mean
/// over the examples.
///
/// `intervals_for` names metrics that get a 95 % interval, drawn with `seed`; the same input gives
/// the same scores on every machine. `top5_accuracy` exists only where there are more than five
/// classes.
///
/// # Errors Shapes that do not fit, labels that are no class, outputs that are no numbers, metrics
/// that nobody knows.
pub fn scores(
    split: Split,
    names: &[String],
    outputs: &[f32],
    truth: Truth,
    loss: f64,
    intervals_for: &[&str],
    seed: u64,
) -> Result<Scores, ScoresError> {
    truth.check(split, outputs, names.len())?;
    if !loss.is_finite() {
        return Err(ScoresError::Loss(loss));
    }
    let mut scores = Scores {
        split,
        examples: truth.examples(names.len()) as u64,
        loss,
        metrics: BTreeMap::new(),
        intervals: BTreeMap::new(),
        per_class: Vec::new(),
        confusion: Vec::new(),
        per_number: Vec::new(),
    };
    if let Truth::Numbers(values) = truth {
        let numbers = Numbers::new(names.len(), outputs, values);
        scores.metrics = numbers.metrics();
        scores.per_number = numbers.per_number(names);
        scores.intervals = bootstrap::intervals(&numbers, intervals_for, seed)?;
    } else {
        let classified = Classified::new(names.len(), outputs, truth);
        scores.per_class = classified.per_class(names);
        scores.metrics = classified.metrics(&scores.per_class);
        scores.confusion = classified.confusion();
        scores.intervals =
            bootstrap::intervals(&classified.sampled(intervals_for), intervals_for, seed)?;
    }
    Ok(scores)
}

/// The index of the largest probability; of equal ones the first.
pub fn predicted(row: &[f32]) -> u32 {
    let mut best = 0;
    for (class, &value) in row.iter().enumerate() {
        if row[best] < value {
            best = class;
        }
    }
    best as u32
}

/// Whether a class that is one of several is said to be there.
pub(crate) fn is_said(probability: f32) -> bool {
    THRESHOLD <= probability
}

/// What a model scores on `truth` that says the same of everything, learnt from the training split
/// alone: the share of each class there as its probability, so that the most frequent class is said
/// (of equally frequent ones the first), or those that half of the examples have; of numbers the
/// mean. There is no `loss`.
///
/// # Errors As [`scores`]; `train` of another kind than `truth`.
pub fn baseline(names: &[String], train: Truth, truth: Truth) -> Result<Baseline, ScoresError> {
    if train.problem() != truth.problem() {
        return Err(ScoresError::Kinds);
    }
    let row = means(train, names.len())?;
    let said = match train {
        Truth::Classes(_) => names[predicted(&row) as usize].clone(),
        Truth::Sets(_) => {
            let said: Vec<&str> = names
                .iter()
                .zip(&row)
                .filter(|it| is_said(*it.1))
                .map(|it| it.0.as_str())
                .collect();
            if said.is_empty() { "no label".into() } else { said.join(", ") }
        }
        Truth::Numbers(_) if names.len() == 1 => short(row[0]),
        Truth::Numbers(_) => names
            .iter()
            .zip(&row)
            .map(|(name, mean)| format!("{name} {}", short(*mean)))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let outputs = row.repeat(truth.examples(names.len()));
    let scores = scores(Split::Train, names, &outputs, truth, 0.0, &[], 0)?;
    Ok(Baseline { answer: said, metrics: scores.metrics })
}

/// Of each output over the examples; of a class its share.
fn means(truth: Truth, width: usize) -> Result<Vec<f32>, ScoresError> {
    if width == 0 || truth.examples(width) == 0 {
        return Err(ScoresError::Empty { split: Split::Train });
    }
    truth.check_truth(width)?;
    let mut sums = vec![0.0_f64; width];
    for answer in truth.answers(width) {
        match answer {
            Target::Class(class) => sums[class as usize] += 1.0,
            Target::Set(row) | Target::Numbers(row) => {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value))
            }
        }
    }
    let n = truth.examples(width) as f64;
    Ok(sums.into_iter().map(|it| (it / n) as f32).collect())
}

/// Four digits that count: `3.142`, `0.00052`, `12750`.
pub(crate) fn short(value: f32) -> String {
    let digits =
        (3 - value.abs().max(f32::MIN_POSITIVE).log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Whether a greater value of the metric is a better one: all but `loss`, `mae` and `rmse`.
pub fn higher_is_better(metric: &str) -> bool {
    !["loss", "mae", "rmse"].contains(&metric)
}

/// A metric by its name, `loss` included.
pub fn value(scores: &Scores, metric: &str) -> Option<f64> {
    if metric == "loss" { Some(scores.loss) } else { scores.metrics.get(metric).copied() }
}

#[cfg(test)]
mod tests;
