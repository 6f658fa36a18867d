//! Any number of classes: each is predicted whose probability reaches its threshold, one half where
//! none was tuned.

pub(crate) mod read; // cells -> targets
mod scores; // probabilities x targets -> scores, baseline

use crate::kind::{AnswerKind, Input, Words};
use crate::{Predictions, Scored, ScoresError, Target, classified, threshold};
use finetuned_job::scores::Scores;
use finetuned_job::task::{Answer, Metrics};
use serde_json::{Map, Value};

/// Where no class is predicted, or true.
const NONE: &str = "no label";

pub(crate) struct Classes {
    pub outputs: Vec<String>,
    /// Of each output, or empty.
    pub thresholds: Vec<f32>,
}

impl Classes {
    fn is_likely(&self, class: u32, p: f32) -> bool {
        self.thresholds.get(class as usize).copied().unwrap_or(threshold::HALF) <= p
    }

    /// In rising order.
    fn likely(&self, row: &[f32]) -> Box<[u32]> {
        (0..).zip(row).filter(|it| self.is_likely(it.0, *it.1)).map(|it| it.0).collect()
    }
}

fn joined(names: &[String], classes: &[u32], between: &str) -> String {
    let names: Vec<String> = classes.iter().map(|it| classified::name(names, *it)).collect();
    names.join(between)
}

fn or_none(names: String) -> String {
    if names.is_empty() { NONE.to_owned() } else { names }
}

impl AnswerKind for Classes {
    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn metrics(&self) -> &'static Metrics {
        Metrics::of(Answer::Classes)
    }

    fn scores(
        &self,
        of: &Scored<'_>,
        intervals_for: &[&str],
        seed: u64,
    ) -> Result<Scores, ScoresError> {
        scores::scores(self, of, intervals_for, seed)
    }

    fn thresholds(&self) -> &[f32] {
        &self.thresholds
    }

    /// Of each label by itself, by its F1.
    fn tuned(&self, predictions: &Predictions, targets: &[Target]) -> Vec<f32> {
        let of = |class: u32| {
            let example = |(index, target): (usize, &Target)| {
                (predictions.of(index)[class as usize], target.classes().contains(&class))
            };
            threshold::best(targets.iter().enumerate().map(example).collect(), |it| it.f1())
        };
        let all: Vec<f32> = (0..self.outputs.len() as u32).map(of).collect();
        if all.iter().all(|it| *it == threshold::HALF) { Vec::new() } else { all }
    }

    fn constant(&self, train: &[Target]) -> Result<Option<(String, Vec<f32>)>, ScoresError> {
        scores::constant(self, train).map(Some)
    }

    /// The largest probability of what is wrong.
    fn degrees(&self, predictions: &Predictions, targets: &[Target]) -> Vec<Option<f64>> {
        let degree = |(example, target): (usize, &Target)| {
            let wrong = |(class, p): (u32, &f32)| {
                let (is, predicted) =
                    (target.classes().contains(&class), self.is_likely(class, *p));
                (is != predicted).then(|| f64::from(if predicted { *p } else { 1.0 - *p }))
            };
            (0..).zip(predictions.of(example)).filter_map(wrong).reduce(f64::max)
        };
        targets.iter().enumerate().map(degree).collect()
    }

    /// Several labels of one example are joined with `|`.
    fn columns(&self) -> Vec<String> {
        classified::columns(&self.outputs)
    }

    fn cells(&self, _: &Input, target: &Target, rows: &[f32]) -> Vec<String> {
        let names = |classes: &[u32]| joined(&self.outputs, classes, "|");
        let mut target = target.classes().to_vec();
        target.sort_unstable();
        let predicted = self.likely(rows);
        let correct = (target[..] == predicted[..]).to_string();
        let fixed = [names(&target), names(&predicted), correct];
        fixed.into_iter().chain(rows.iter().map(f32::to_string)).collect()
    }

    fn target_words(&self, _: &Input, target: &Target) -> String {
        or_none(joined(&self.outputs, target.classes(), " | "))
    }

    fn prediction_words(&self, _: &Input, rows: &[f32]) -> String {
        or_none(joined(&self.outputs, &self.likely(rows), " | "))
    }

    /// `labels`, `probabilities`.
    fn reply(&self, _: &Input, rows: &[f32]) -> Map<String, Value> {
        let each = self.outputs.iter().cloned().zip(rows.iter().map(|it| Value::from(*it)));
        let labels = self
            .likely(rows)
            .iter()
            .map(|it| classified::name(&self.outputs, *it).into())
            .collect();
        Map::from_iter([
            ("labels".into(), Value::Array(labels)),
            ("probabilities".into(), Value::Object(each.collect())),
        ])
    }

    fn reply_columns(&self) -> Vec<String> {
        classified::reply_columns(&self.outputs)
    }

    fn reply_cells(&self, _: &Input, rows: &[f32]) -> Vec<String> {
        let label = std::iter::once(joined(&self.outputs, &self.likely(rows), "|"));
        label.chain(rows.iter().map(f32::to_string)).collect()
    }

    fn words(&self) -> Words {
        Words {
            baseline: "commonest labels",
            scores: if self.thresholds.is_empty() {
                " A label is predicted from a probability of 0.5 on; accuracy counts examples \
                 whose labels are all right."
            } else {
                " Accuracy counts examples whose labels are all right."
            },
            intervals: "percentile bootstrap intervals over the examples",
            mistakes: "Where the model was surest and wrong: often it is the label that is wrong",
            target: "Label",
            columns: "labels",
            card_metrics: &["macro_average_precision", "micro_f1"],
            thresholds: "a label is predicted whose probability reaches its threshold",
            activation: ".sigmoid()",
        }
    }

    fn degree_words(&self, degree: f64) -> String {
        classified::degree_words(degree)
    }
}
