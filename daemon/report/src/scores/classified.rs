//! Examples of which one class or several are true, and the probabilities that a model gives the
//! classes.

use super::ranking::{average_precision, falling, is_in_top};
use super::tally::Tally;
use super::{ScoresError, Truth, is_said, predicted};
use crate::bootstrap::Sampled;
use finetuned_job::scores::ClassScores;
use finetuned_job::task::{Answer, Metrics};
use std::collections::BTreeMap;

/// `top5_accuracy` says nothing of fewer classes than one more.
const TOP: usize = 5;

pub(super) struct Classified<'a> {
    classes: usize,
    probabilities: &'a [f32],
    truth: Truth<'a>,
    /// The class that is said of each; empty where it may be several.
    said: Vec<u32>,
}

impl<'a> Classified<'a> {
    /// Of checked values.
    pub fn new(classes: usize, probabilities: &'a [f32], truth: Truth<'a>) -> Classified<'a> {
        let one = truth.problem() == Answer::Class;
        let said = if one {
            probabilities.chunks_exact(classes).map(predicted).collect()
        } else {
            Vec::new()
        };
        Classified { classes, probabilities, truth, said }
    }

    fn examples(&self) -> usize {
        self.truth.examples(self.classes)
    }

    fn row(&self, example: usize) -> &'a [f32] {
        &self.probabilities[example * self.classes..][..self.classes]
    }

    fn is_true(&self, example: usize, class: usize) -> bool {
        match self.truth {
            Truth::Classes(labels) => labels[example] as usize == class,
            Truth::Sets(values) | Truth::Numbers(values) => {
                values[example * self.classes + class] == 1.0
            }
        }
    }

    fn tally(&self, times: &[u32]) -> Tally {
        let mut tally = Tally::new(self.classes, self.said.is_empty());
        for (example, &times) in times.iter().enumerate().filter(|it| *it.1 != 0) {
            let times = u64::from(times);
            let mut right = true;
            if let Truth::Classes(labels) = self.truth {
                let (label, said) = (labels[example] as usize, self.said[example] as usize);
                right = label == said;
                tally.support[label] += times;
                tally.said[said] += times;
                tally.hits[label] += if right { times } else { 0 };
            } else {
                for (class, probability) in self.row(example).iter().enumerate() {
                    let (is, said) = (self.is_true(example, class), is_said(*probability));
                    right &= is == said;
                    tally.support[class] += if is { times } else { 0 };
                    tally.said[class] += if said { times } else { 0 };
                    tally.hits[class] += if is && said { times } else { 0 };
                }
            }
            tally.examples += times;
            tally.right += if right { times } else { 0 };
        }
        tally
    }

    fn order(&self, class: usize) -> Vec<u32> {
        falling(self.probabilities.iter().skip(class).step_by(self.classes).copied())
    }

    fn average_precision(&self, class: usize, order: &[u32], times: &[u32]) -> f64 {
        average_precision(
            order,
            |it| self.probabilities[it * self.classes + class],
            |it| self.is_true(it, class),
            times,
        )
    }

    pub fn per_class(&self, names: &[String]) -> Vec<ClassScores> {
        let once = vec![1; self.examples()];
        let tally = self.tally(&once);
        let scores = |(class, name): (usize, &String)| ClassScores {
            class: name.clone(),
            precision: tally.precision(class),
            recall: tally.recall(class),
            f1: tally.f1(class),
            average_precision: self.average_precision(class, &self.order(class), &once),
            support: tally.support[class],
        };
        names.iter().enumerate().map(scores).collect()
    }

    /// Every metric but the loss.
    pub fn metrics(&self, per_class: &[ClassScores]) -> BTreeMap<String, f64> {
        let tally = self.tally(&vec![1; self.examples()]);
        let value =
            |name: &str| match name {
                "macro_average_precision" => Some(self.mean_over_classes(
                    per_class.iter().map(|it| (it.average_precision, it.support)),
                )),
                "top5_accuracy" => self
                    .in_top()
                    .map(|it| it.iter().filter(|it| **it).count() as f64 / it.len() as f64),
                _ => tally.metric(name),
            };
        let names = Metrics::of(self.truth.problem()).known;
        names.iter().filter_map(|&name| Some((name.to_owned(), value(name)?))).collect()
    }

    /// (value, examples of the class) of each.
    fn mean_over_classes(&self, values: impl Iterator<Item = (f64, u64)>) -> f64 {
        let counts: Vec<f64> =
            values.filter(|it| self.said.is_empty() || 0 < it.1).map(|it| it.0).collect();
        counts.iter().sum::<f64>() / counts.len().max(1) as f64
    }

    fn in_top(&self) -> Option<Vec<bool>> {
        let Truth::Classes(labels) = self.truth else { return None };
        let is_in =
            |(example, label): (usize, &u32)| is_in_top(self.row(example), *label as usize, TOP);
        (TOP < self.classes).then(|| labels.iter().enumerate().map(is_in).collect())
    }

    /// `[true][said]`; empty where an example may have several.
    pub fn confusion(&self) -> Vec<Vec<u64>> {
        let Truth::Classes(labels) = self.truth else { return Vec::new() };
        let mut cells = vec![vec![0; self.classes]; self.classes];
        labels
            .iter()
            .zip(&self.said)
            .for_each(|(&label, &said)| cells[label as usize][said as usize] += 1);
        cells
    }

    /// Cross-entropy of each example; of several classes the mean of the binary ones. A probability
    /// that rounds to 0 in f32 counts as the smallest one there is.
    fn losses(&self) -> Vec<f64> {
        let of = |probability: f32| -f64::from(probability.max(f32::from_bits(1))).ln();
        let loss = |example: usize| match self.truth {
            Truth::Classes(labels) => of(self.row(example)[labels[example] as usize]),
            _ => {
                let binary = |(class, &p): (usize, &f32)| {
                    of(if self.is_true(example, class) { p } else { 1.0 - p })
                };
                self.row(example).iter().enumerate().map(binary).sum::<f64>() / self.classes as f64
            }
        };
        (0..self.examples()).map(loss).collect()
    }

    /// What measuring these metrics again and again wants to know beforehand.
    pub fn sampled(&self, metrics: &[&str]) -> SampledClasses<'_> {
        let ranked = metrics.contains(&"macro_average_precision");
        SampledClasses {
            of: self,
            orders: if ranked {
                (0..self.classes).map(|class| self.order(class)).collect()
            } else {
                Vec::new()
            },
            losses: if metrics.is_empty() { Vec::new() } else { self.losses() },
            in_top: if metrics.contains(&"top5_accuracy") { self.in_top() } else { None },
        }
    }
}

pub(super) struct SampledClasses<'a> {
    of: &'a Classified<'a>,
    /// Of each class, where a metric asks for them.
    orders: Vec<Vec<u32>>,
    losses: Vec<f64>,
    in_top: Option<Vec<bool>>,
}

impl Sampled for SampledClasses<'_> {
    fn examples(&self) -> usize {
        self.of.examples()
    }

    fn effort(&self) -> usize {
        let wide = self.of.said.is_empty() || !self.orders.is_empty();
        self.of.examples() * if wide { self.of.classes } else { 1 }
    }

    fn measure(&self, times: &[u32], metrics: &[&str]) -> Result<Vec<f64>, ScoresError> {
        let tally = self.of.tally(times);
        let share = |of: &dyn Fn(usize) -> f64| {
            let sum: f64 = times
                .iter()
                .enumerate()
                .map(|(example, times)| f64::from(*times) * of(example))
                .sum();
            sum / tally.examples as f64
        };
        let value = |metric: &str| match metric {
            "loss" => Some(share(&|it| self.losses[it])),
            "top5_accuracy" => {
                self.in_top.as_ref().map(|top| share(&|it| f64::from(u8::from(top[it]))))
            }
            "macro_average_precision" => {
                let precisions = self
                    .orders
                    .iter()
                    .enumerate()
                    .map(|(class, order)| self.of.average_precision(class, order, times));
                Some(self.of.mean_over_classes(precisions.zip(tally.support.iter().copied())))
            }
            _ => tally.metric(metric),
        };
        metrics
            .iter()
            .map(|&it| value(it).ok_or_else(|| ScoresError::Metric(it.to_owned())))
            .collect()
    }
}
