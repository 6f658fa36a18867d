//! One or more numbers, predicted in the units of the data.

mod unit; // what stands around a number
pub(crate) mod numerals; // how numbers are written
pub(crate) mod read; // cells -> targets
mod scores; // numbers x targets -> scores, baseline

use crate::kind::{AnswerKind, Input, Words};
use crate::metric::short;
use crate::{Predictions, Scored, ScoresError, Target};
use finetuned_job::scores::Scores;
use finetuned_job::task::{Answer, Metrics};
use serde_json::{Map, Value};

pub(crate) struct Numbers {
    pub outputs: Vec<String>,
}

/// Each with its name where there are several.
fn listed(names: &[String], values: impl Iterator<Item = f64>) -> String {
    let values: Vec<f64> = values.collect();
    if let [only] = values[..] {
        return short(only);
    }
    let each = names.iter().zip(values).map(|(name, it)| format!("{name} {}", short(it)));
    each.collect::<Vec<_>>().join(", ")
}

/// Standard deviation of each target over the examples; 1 where it does not vary.
fn deviations(targets: &[Target], width: usize) -> Vec<f64> {
    let n = targets.len().max(1) as f64;
    let of = |number: usize| {
        let values = || targets.iter().filter_map(|it| it.numbers().get(number));
        let mean = values().sum::<f64>() / n;
        let deviation = (values().map(|it| (it - mean).powi(2)).sum::<f64>() / n).sqrt();
        if deviation == 0.0 { 1.0 } else { deviation }
    };
    (0..width).map(of).collect()
}

impl AnswerKind for Numbers {
    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn metrics(&self) -> &'static Metrics {
        Metrics::of(Answer::Numbers)
    }

    fn scores(
        &self,
        of: &Scored<'_>,
        intervals_for: &[&str],
        seed: u64,
    ) -> Result<Scores, ScoresError> {
        scores::scores(&self.outputs, of, intervals_for, seed)
    }

    fn constant(&self, train: &[Target]) -> Result<Option<(String, Vec<f32>)>, ScoresError> {
        scores::constant(&self.outputs, train).map(Some)
    }

    /// The largest error, in standard deviations.
    fn degrees(&self, predictions: &Predictions, targets: &[Target]) -> Vec<Option<f64>> {
        let deviations = deviations(targets, self.outputs.len());
        let degree = |(example, target): (usize, &Target)| {
            let pairs = target.numbers().iter().zip(predictions.of(example)).zip(&deviations);
            let errors = pairs.map(|((target, it), by)| (f64::from(*it) - target).abs() / by);
            errors.reduce(f64::max).filter(|it| *it != 0.0)
        };
        targets.iter().enumerate().map(degree).collect()
    }

    fn columns(&self) -> Vec<String> {
        self.outputs.iter().flat_map(|it| [it.clone(), format!("predicted_{it}")]).collect()
    }

    fn cells(&self, _: &Input, target: &Target, rows: &[f32]) -> Vec<String> {
        let pairs = target.numbers().iter().zip(rows);
        pairs.flat_map(|(target, it)| [target.to_string(), it.to_string()]).collect()
    }

    fn target_words(&self, _: &Input, target: &Target) -> String {
        listed(&self.outputs, target.numbers().iter().copied())
    }

    fn prediction_words(&self, _: &Input, rows: &[f32]) -> String {
        listed(&self.outputs, rows.iter().copied().map(f64::from))
    }

    /// `numbers`.
    fn reply(&self, _: &Input, rows: &[f32]) -> Map<String, Value> {
        let each = self.outputs.iter().cloned().zip(rows.iter().map(|it| Value::from(*it)));
        Map::from_iter([("numbers".into(), Value::Object(each.collect()))])
    }

    fn reply_columns(&self) -> Vec<String> {
        self.outputs.clone()
    }

    fn reply_cells(&self, _: &Input, rows: &[f32]) -> Vec<String> {
        rows.iter().map(f32::to_string).collect()
    }

    fn words(&self) -> Words {
        Words {
            baseline: "mean",
            scores: "",
            intervals: "percentile bootstrap intervals over the examples",
            mistakes: "The largest errors, in standard deviations of the targets",
            target: "True",
            columns: "numbers",
            card_metrics: &["r2", "mae", "rmse"],
            thresholds: "",
            activation: "",
        }
    }

    fn degree_words(&self, degree: f64) -> String {
        format!("off by {degree:.1} deviations")
    }

    fn scatters(
        &self,
        predictions: &Predictions,
        targets: &[Target],
    ) -> Vec<(String, Vec<(f64, f64)>)> {
        let points = |number: usize| {
            let point = |(example, it): (usize, &Target)| {
                let predicted = predictions.of(example).get(number)?;
                Some((*it.numbers().get(number)?, f64::from(*predicted)))
            };
            targets.iter().enumerate().filter_map(point).collect()
        };
        self.outputs.iter().cloned().zip((0..).map(points)).collect()
    }
}
