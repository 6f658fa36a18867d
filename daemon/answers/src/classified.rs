//! Decides what scores over classes mean, whether an example has one or several: predicted classes
//! against those of the targets, and the order of probabilities. The definitions are
//! scikit-learn's with `zero_division=0`, but for the macro average of average precision, which
//! leaves out classes that no example has. Which classes a row predicts is left to the kind of
//! answer.

use crate::bootstrap::Sampled;
use crate::ranking::Ranking;
use crate::tally::Tally;
use crate::{Predictions, ScoresError, Target};
use finetuned_job::scores::ClassScores;
use std::collections::BTreeMap;

/// Room for rounding in a probability that should be at most 1.
const PROBABILITY_MAX: f32 = 1.001;

/// Targets and predictions that fit each other.
pub(crate) struct Classified<'a> {
    classes: usize,
    predictions: &'a Predictions,
    targets: &'a [Target],
    /// What is predicted for each example.
    predicted: Vec<Box<[u32]>>,
    /// A class that is neither true nor predicted anywhere counts in macro averages.
    all_classes: bool,
    /// Of each example.
    losses: Vec<f64>,
    /// Whether the target is among the likeliest, where that is a metric.
    in_top: Option<Vec<bool>>,
}

impl<'a> Classified<'a> {
    /// What is predicted for a row, and its loss, say two functions.
    pub fn new(
        predictions: &'a Predictions,
        targets: &'a [Target],
        all_classes: bool,
        predict: impl Fn(&[f32]) -> Box<[u32]>,
        loss: impl Fn(&[f32], &Target) -> f64,
    ) -> Classified<'a> {
        let rows = || (0..targets.len()).map(|it| predictions.of(it));
        Classified {
            classes: predictions.width(),
            predictions,
            targets,
            predicted: rows().map(predict).collect(),
            all_classes,
            losses: rows().zip(targets).map(|(row, target)| loss(row, target)).collect(),
            in_top: None,
        }
    }

    pub fn with_top(mut self, in_top: Option<Vec<bool>>) -> Classified<'a> {
        self.in_top = in_top;
        self
    }

    fn tally(&self, times: &[u32]) -> Tally {
        let mut tally = Tally::new(self.classes, self.all_classes);
        for (example, &times) in times.iter().enumerate().filter(|it| *it.1 != 0) {
            let times = u64::from(times);
            let (target, predicted) = (self.targets[example].classes(), &self.predicted[example]);
            let mut hits = 0;
            target.iter().for_each(|it| tally.support[*it as usize] += times);
            for class in predicted {
                tally.predicted[*class as usize] += times;
                if target.contains(class) {
                    tally.hits[*class as usize] += times;
                    hits += 1;
                }
            }
            tally.examples += times;
            let right = hits == target.len() && hits == predicted.len();
            tally.right += if right { times } else { 0 };
        }
        tally
    }

    fn ranking(&self, class: usize) -> Ranking {
        let values = self.predictions.values().iter().skip(class).step_by(self.classes);
        Ranking::new(values.copied(), |it| self.targets[it].classes().contains(&(class as u32)))
    }

    fn once(&self) -> Vec<u32> {
        vec![1; self.targets.len()]
    }

    pub fn per_class(&self, names: &[String]) -> Vec<ClassScores> {
        let once = self.once();
        let tally = self.tally(&once);
        let scores = |(class, name): (usize, &String)| ClassScores {
            class: name.clone(),
            precision: tally.precision(class),
            recall: tally.recall(class),
            f1: tally.f1(class),
            average_precision: self.ranking(class).average_precision(&once),
            support: tally.support[class],
        };
        names.iter().enumerate().map(scores).collect()
    }

    /// Those of `known` but the loss.
    pub fn metrics(&self, known: &[&str], per_class: &[ClassScores]) -> BTreeMap<String, f64> {
        let tally = self.tally(&self.once());
        let value = |name: &str| match name {
            "macro_average_precision" => {
                Some(mean_of_present(per_class.iter().map(|it| (it.average_precision, it.support))))
            }
            "top5_accuracy" => self
                .in_top
                .as_ref()
                .map(|it| it.iter().filter(|it| **it).count() as f64 / it.len() as f64),
            _ => tally.metric(name),
        };
        known.iter().filter_map(|&name| Some((name.to_owned(), value(name)?))).collect()
    }

    /// `[true][predicted]`, where each example has one of both.
    pub fn confusion(&self) -> Vec<Vec<u64>> {
        let mut cells = vec![vec![0; self.classes]; self.classes];
        for (target, predicted) in self.targets.iter().zip(&self.predicted) {
            for (target, predicted) in target.classes().iter().zip(predicted) {
                cells[*target as usize][*predicted as usize] += 1;
            }
        }
        cells
    }

    /// The examples of each class, where each has one.
    pub fn by_class(&self) -> Vec<Vec<u32>> {
        let mut strata = vec![Vec::new(); self.classes];
        for (example, target) in (0..).zip(self.targets) {
            target.classes().iter().for_each(|it| strata[*it as usize].push(example));
        }
        strata
    }

    /// What measuring these metrics again and again wants to know beforehand.
    pub fn sampled(&self, metrics: &[&str]) -> SampledClasses<'_> {
        let ranked = metrics.contains(&"macro_average_precision");
        let rankings = (0..self.classes).filter(|_| ranked).map(|it| self.ranking(it)).collect();
        SampledClasses { of: self, rankings }
    }
}

/// Of (value, examples of the class) of each class that has examples.
fn mean_of_present(values: impl Iterator<Item = (f64, u64)>) -> f64 {
    let present: Vec<f64> = values.filter(|it| 0 < it.1).map(|it| it.0).collect();
    present.iter().sum::<f64>() / present.len().max(1) as f64
}

pub(crate) struct SampledClasses<'a> {
    of: &'a Classified<'a>,
    /// Of each class, where a metric asks for them.
    rankings: Vec<Ranking>,
}

impl Sampled for SampledClasses<'_> {
    fn examples(&self) -> usize {
        self.of.targets.len()
    }

    fn effort(&self) -> usize {
        let wide = self.of.all_classes || !self.rankings.is_empty();
        self.examples() * if wide { self.of.classes } else { 1 }
    }

    fn measure(&self, times: &[u32], metrics: &[&str]) -> Result<Vec<f64>, ScoresError> {
        let tally = self.of.tally(times);
        let share = |of: &dyn Fn(usize) -> f64| {
            let counted = times.iter().enumerate().map(|(it, times)| f64::from(*times) * of(it));
            counted.sum::<f64>() / tally.examples as f64
        };
        let value = |metric: &str| match metric {
            "loss" => Some(share(&|it| self.of.losses[it])),
            "top5_accuracy" => {
                let top = self.of.in_top.as_ref();
                top.map(|top| share(&|it| f64::from(u8::from(top[it]))))
            }
            "macro_average_precision" => {
                let precisions = self.rankings.iter().map(|it| it.average_precision(times));
                Some(mean_of_present(precisions.zip(tally.support.iter().copied())))
            }
            _ => tally.metric(metric),
        };
        metrics
            .iter()
            .map(|&it| value(it).ok_or_else(|| ScoresError::Metric(it.to_owned())))
            .collect()
    }
}

/// The natural logarithm's cross-entropy of what is true with this probability. One that rounds to
/// 0 in f32 counts as the smallest one there is.
pub(crate) fn surprise(probability: f32) -> f64 {
    -f64::from(probability.max(f32::from_bits(1))).ln()
}

/// Refuses targets that are not of these classes, each at most once.
pub(crate) fn check_targets(targets: &[Target], classes: usize) -> Result<(), ScoresError> {
    for (example, target) in targets.iter().enumerate() {
        let of = target.classes();
        if let Some(&label) = of.iter().find(|it| classes <= **it as usize) {
            return Err(ScoresError::Label { example, label, classes });
        }
        let twice = (1..of.len()).any(|it| of[..it].contains(&of[it]));
        if twice || !target.numbers().is_empty() {
            return Err(ScoresError::Kind { example });
        }
    }
    Ok(())
}

/// Refuses what is no probability.
pub(crate) fn check_probabilities(predictions: &Predictions) -> Result<(), ScoresError> {
    let values = predictions.values();
    match values.iter().position(|it| !(0.0..=PROBABILITY_MAX).contains(it)) {
        None => Ok(()),
        Some(at) => {
            Err(ScoresError::Probability { example: at / predictions.width(), value: values[at] })
        }
    }
}

/// The class of that number, or the number where there is none.
pub(crate) fn name(names: &[String], class: u32) -> String {
    names.get(class as usize).cloned().unwrap_or_else(|| class.to_string())
}

/// How often each class is true, as a part of the examples.
pub(crate) fn shares(targets: &[Target], classes: usize) -> Vec<f32> {
    let mut counts = vec![0_u64; classes];
    targets.iter().flat_map(Target::classes).for_each(|it| counts[*it as usize] += 1);
    counts.into_iter().map(|it| (it as f64 / targets.len() as f64) as f32).collect()
}
