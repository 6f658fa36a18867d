//! Decides what each number of an evaluation means. The definitions are scikit-learn's with
//! `zero_division=0` and its default `labels=None`: a class that is neither true nor predicted anywhere does
//! not count in macro averages. Intervals are `bootstrap`'s.

use crate::bootstrap;
use finetuned_job::recipe::METRICS;
use finetuned_job::scores::{Baseline, ClassScores, Scores, Split};
use std::collections::BTreeMap;

/// Room for rounding in a probability that should be at most 1.
const PROBABILITY_MAX: f32 = 1.001;

/// Why no score can be given: never a number instead.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum ScoresError {
    #[error("nothing to score: the {} split has no examples", .split.name())]
    Empty { split: Split },
    #[error("{probabilities} probabilities do not make {examples} examples of {classes} classes")]
    Shape { probabilities: usize, examples: usize, classes: usize },
    #[error("example {example} has the label {label}, but there are {classes} classes")]
    Label { example: usize, label: u32, classes: usize },
    #[error("example {example}: {value} is no probability; the model's outputs are unusable")]
    Probability { example: usize, value: f32 },
    #[error("the loss is {0}; the model's outputs are unusable")]
    Loss(f64),
    #[error("there is no metric {0}")]
    Metric(String),
}

/// How often each class is true, is predicted, and is both. All metrics but the loss follow from these.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub support: Vec<u64>,
    pub predicted: Vec<u64>,
    pub hits: Vec<u64>,
}

impl Tally {
    pub fn new(classes: usize) -> Tally {
        Tally { support: vec![0; classes], predicted: vec![0; classes], hits: vec![0; classes] }
    }

    pub fn clear(&mut self) {
        for counts in [&mut self.support, &mut self.predicted, &mut self.hits] {
            counts.fill(0);
        }
    }

    pub fn add(&mut self, truth: usize, predicted: usize) {
        self.support[truth] += 1;
        self.predicted[predicted] += 1;
        self.hits[truth] += u64::from(truth == predicted);
    }

    fn of(classes: usize, pairs: &[(u32, u32)]) -> Tally {
        let mut tally = Tally::new(classes);
        pairs.iter().for_each(|&(truth, predicted)| tally.add(truth as usize, predicted as usize));
        tally
    }

    fn precision(&self, class: usize) -> f64 {
        ratio(self.hits[class], self.predicted[class])
    }

    fn recall(&self, class: usize) -> f64 {
        ratio(self.hits[class], self.support[class])
    }

    fn f1(&self, class: usize) -> f64 {
        ratio(2 * self.hits[class], self.support[class] + self.predicted[class])
    }

    fn average(&self, average: Average, of: impl Fn(usize) -> f64) -> f64 {
        let (mut sum, mut weights) = (0.0, 0_u64);
        for class in 0..self.support.len() {
            let weight = match average {
                Average::Macro => u64::from(0 < self.support[class] + self.predicted[class]),
                Average::Weighted => self.support[class],
            };
            sum += weight as f64 * of(class);
            weights += weight;
        }
        if weights == 0 { 0.0 } else { sum / weights as f64 }
    }

    /// A metric of [`METRICS`] other than `loss`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let value = match name {
            // With one label an example, the micro averages are all the accuracy.
            "accuracy" | "micro_f1" | "micro_precision" | "micro_recall" => ratio(self.hits.iter().sum(), self.support.iter().sum()),
            "macro_f1" => self.average(Average::Macro, |it| self.f1(it)),
            "macro_precision" => self.average(Average::Macro, |it| self.precision(it)),
            "macro_recall" => self.average(Average::Macro, |it| self.recall(it)),
            "weighted_f1" => self.average(Average::Weighted, |it| self.f1(it)),
            "weighted_precision" => self.average(Average::Weighted, |it| self.precision(it)),
            "weighted_recall" => self.average(Average::Weighted, |it| self.recall(it)),
            _ => return None,
        };
        Some(value)
    }

    fn metrics(&self) -> BTreeMap<String, f64> {
        METRICS.iter().filter_map(|&name| Some((name.to_owned(), self.metric(name)?))).collect()
    }

    fn per_class(&self, classes: &[String]) -> Vec<ClassScores> {
        let scores = |(class, name): (usize, &String)| ClassScores {
            class: name.clone(),
            precision: self.precision(class),
            recall: self.recall(class),
            f1: self.f1(class),
            support: self.support[class],
        };
        classes.iter().enumerate().map(scores).collect()
    }
}

#[derive(Clone, Copy)]
enum Average {
    Macro,
    Weighted,
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Scores from class probabilities (examples x classes, row by row), the true classes (one index an example)
/// and the mean cross-entropy `loss`. Of equal probabilities the first class is predicted, as numpy's argmax
/// does. `intervals_for` names metrics that get a 95 % interval, drawn with `seed`; the same input gives the
/// same scores on every machine.
pub fn scores(
    split: Split,
    classes: &[String],
    probabilities: &[f32],
    labels: &[u32],
    loss: f64,
    intervals_for: &[&str],
    seed: u64,
) -> Result<Scores, ScoresError> {
    let n_classes = classes.len();
    if labels.is_empty() || n_classes == 0 {
        return Err(ScoresError::Empty { split });
    }
    if Some(probabilities.len()) != labels.len().checked_mul(n_classes) {
        return Err(ScoresError::Shape { probabilities: probabilities.len(), examples: labels.len(), classes: n_classes });
    }
    if !loss.is_finite() {
        return Err(ScoresError::Loss(loss));
    }
    let mut confusion = vec![vec![0; n_classes]; n_classes];
    let mut pairs = Vec::with_capacity(labels.len());
    for (example, (row, &label)) in probabilities.chunks_exact(n_classes).zip(labels).enumerate() {
        if n_classes <= label as usize {
            return Err(ScoresError::Label { example, label, classes: n_classes });
        }
        if let Some(&value) = row.iter().find(|&it| !(0.0..=PROBABILITY_MAX).contains(it)) {
            return Err(ScoresError::Probability { example, value });
        }
        let predicted = predicted(row);
        confusion[label as usize][predicted as usize] += 1;
        pairs.push((label, predicted));
    }
    let losses = losses(probabilities, labels, n_classes);
    let tally = Tally::of(n_classes, &pairs);
    Ok(Scores {
        split,
        examples: labels.len() as u64,
        loss,
        metrics: tally.metrics(),
        intervals: bootstrap::intervals(&pairs, &losses, n_classes, intervals_for, seed)?,
        per_class: tally.per_class(classes),
        confusion,
    })
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

/// Cross-entropy of each example. A probability that rounds to 0 in f32 counts as the smallest one there is.
fn losses(probabilities: &[f32], labels: &[u32], n_classes: usize) -> Vec<f64> {
    let loss = |(row, &label): (&[f32], &u32)| -f64::from(row[label as usize].max(f32::from_bits(1))).ln();
    probabilities.chunks_exact(n_classes).zip(labels).map(loss).collect()
}

/// What a model scores on `labels` that always says the most frequent class of the training split; of equally
/// frequent ones the first. There is no `loss`: a model that is always sure has an infinite one.
pub fn baseline(classes: &[String], train_counts: &[u64], labels: &[u32]) -> Result<Baseline, ScoresError> {
    if classes.is_empty() || labels.is_empty() {
        return Err(ScoresError::Empty { split: Split::Train });
    }
    if train_counts.len() != classes.len() {
        return Err(ScoresError::Shape { probabilities: train_counts.len(), examples: 1, classes: classes.len() });
    }
    let most = *train_counts.iter().max().expect("there is a class");
    let majority = train_counts.iter().position(|&it| it == most).expect("the maximum is one of them");
    let mut tally = Tally::new(classes.len());
    for (example, &label) in labels.iter().enumerate() {
        if classes.len() <= label as usize {
            return Err(ScoresError::Label { example, label, classes: classes.len() });
        }
        tally.add(label as usize, majority);
    }
    Ok(Baseline { class: classes[majority].clone(), metrics: tally.metrics() })
}

/// Whether a greater value of the metric is a better one: all but `loss`.
pub fn higher_is_better(metric: &str) -> bool {
    metric != "loss"
}

/// A metric by its name in [`METRICS`], `loss` included.
pub fn value(scores: &Scores, metric: &str) -> Option<f64> {
    if metric == "loss" { Some(scores.loss) } else { scores.metrics.get(metric).copied() }
}

#[cfg(test)]
mod tests;
