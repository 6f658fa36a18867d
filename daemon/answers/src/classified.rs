//! Decides what scores over classes mean, whether an example has one or several: predicted classes
//! against those of the targets, and the order of probabilities. The definitions are
//! scikit-learn's with `zero_division=0`, but for the macro average of average precision, which
//! leaves out classes that no example has. Which classes a row predicts is left to the kind of
//! answer.

use crate::bootstrap::{self, Sampled};
use crate::ranking::Ranking;
use crate::tally::Tally;
use crate::{Predictions, Scored, ScoresError, Target};
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
    losses: &'a [f64],
    /// 1 where the target is among the likeliest, else 0, where that is a metric.
    in_top: Option<Vec<f64>>,
}

impl<'a> Classified<'a> {
    pub fn new(
        of: &Scored<'a>,
        all_classes: bool,
        predict: impl Fn(&[f32]) -> Box<[u32]>,
    ) -> Classified<'a> {
        let Scored { predictions, targets, losses, .. } = *of;
        Classified {
            classes: predictions.width(),
            predictions,
            targets,
            predicted: (0..targets.len()).map(|it| predict(predictions.of(it))).collect(),
            all_classes,
            losses,
            in_top: None,
        }
    }

    pub fn with_top(mut self, in_top: Option<Vec<f64>>) -> Classified<'a> {
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
            average_precision: Some(self.ranking(class).average_precision(&once)),
            support: tally.support[class],
        };
        names.iter().enumerate().map(scores).collect()
    }

    /// Those of `known` but the loss.
    pub fn metrics(&self, known: &[&str], per_class: &[ClassScores]) -> BTreeMap<String, f64> {
        let tally = self.tally(&self.once());
        let value = |name: &str| match name {
            "macro_average_precision" => {
                let each =
                    per_class.iter().filter_map(|it| Some((it.average_precision?, it.support)));
                Some(mean_of_present(each))
            }
            "top5_accuracy" => self.in_top.as_ref().map(|it| bootstrap::mean(&self.once(), it)),
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
    fn losses(&self) -> &[f64] {
        self.of.losses
    }

    fn effort(&self) -> usize {
        let wide = self.of.all_classes || !self.rankings.is_empty();
        self.of.targets.len() * if wide { self.of.classes } else { 1 }
    }

    fn measure(&self, times: &[u32], metrics: &[&str]) -> Vec<Option<f64>> {
        let tally = self.of.tally(times);
        let value = |metric: &&str| match *metric {
            "top5_accuracy" => self.of.in_top.as_ref().map(|it| bootstrap::mean(times, it)),
            "macro_average_precision" => {
                let precisions = self.rankings.iter().map(|it| it.average_precision(times));
                Some(mean_of_present(precisions.zip(tally.support.iter().copied())))
            }
            metric => tally.metric(metric),
        };
        metrics.iter().map(value).collect()
    }
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
    let wrong = |example: usize| {
        let of = predictions.of(example).iter();
        let value = of.copied().find(|it| !(0.0..=PROBABILITY_MAX).contains(it))?;
        Some(ScoresError::Probability { example, value })
    };
    (0..predictions.len()).find_map(wrong).map_or(Ok(()), Err)
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

/// Of predictions.csv, for classes: `label`, `predicted`, `correct`, then `p_CLASS` for each.
pub(crate) fn columns(outputs: &[String]) -> Vec<String> {
    let fixed = ["label", "predicted", "correct"].map(str::to_owned);
    fixed.into_iter().chain(probability_columns(outputs)).collect()
}

/// Of the CSV of `predict`: `label`, then `p_CLASS` for each.
pub(crate) fn reply_columns(outputs: &[String]) -> Vec<String> {
    std::iter::once("label".to_owned()).chain(probability_columns(outputs)).collect()
}

fn probability_columns(outputs: &[String]) -> impl Iterator<Item = String> {
    outputs.iter().map(|it| format!("p_{it}"))
}

/// How likely what is wrong was.
pub(crate) fn degree_words(degree: f64) -> String {
    format!("{:.1}\u{a0}% sure", degree * 100.0)
}
