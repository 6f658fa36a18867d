//! One of several classes: the likeliest one is predicted, of equally likely ones the first, as
//! numpy's argmax does it.

pub(crate) mod read; // cells -> targets
mod scores; // probabilities x targets -> scores, baseline

use crate::kind::{AnswerKind, Input, Words};
use crate::{Predictions, Scored, ScoresError, Target, classified, threshold};
use finetuned_job::scores::Scores;
use finetuned_job::task::{Answer, Metrics};
use serde_json::{Map, Value};

pub(crate) struct Class {
    pub outputs: Vec<String>,
    /// Of each output, or empty: what its probability is divided by before they are compared.
    pub thresholds: Vec<f32>,
}

/// The index of the largest probability; of equal ones the first.
fn likeliest(row: &[f32]) -> u32 {
    let mut best = 0;
    for (class, &value) in row.iter().enumerate() {
        if row[best] < value {
            best = class;
        }
    }
    best as u32
}

impl Class {
    /// The class of the largest probability against its threshold.
    fn class(&self, row: &[f32]) -> u32 {
        if self.thresholds.is_empty() {
            return likeliest(row);
        }
        let against = row.iter().zip(&self.thresholds).map(|(p, threshold)| p / threshold);
        likeliest(&against.collect::<Vec<f32>>())
    }

    fn predicted(&self, row: &[f32]) -> String {
        classified::name(&self.outputs, self.class(row))
    }
}

impl AnswerKind for Class {
    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn metrics(&self) -> &'static Metrics {
        Metrics::of(Answer::Class)
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

    /// Of two classes, that of the rarer one, by macro F1.
    fn tuned(&self, predictions: &Predictions, targets: &[Target]) -> Vec<f32> {
        if self.outputs.len() != 2 {
            return Vec::new();
        }
        let of = |class: u32| targets.iter().filter(|it| it.classes() == [class]).count();
        let rarer = u32::from(of(1) <= of(0));
        let example = |(index, target): (usize, &Target)| {
            (predictions.of(index)[rarer as usize], target.classes() == [rarer])
        };
        let examples = targets.iter().enumerate().map(example).collect();
        let best = threshold::best(examples, |it| f64::midpoint(it.f1(), it.f1_of_others()));
        match rarer {
            _ if best == threshold::HALF => Vec::new(),
            0 => vec![best, 1.0 - best],
            _ => vec![1.0 - best, best],
        }
    }

    fn constant(&self, train: &[Target]) -> Result<Option<(String, Vec<f32>)>, ScoresError> {
        scores::constant(&self.outputs, train).map(Some)
    }

    /// How likely the wrong class was.
    fn degrees(&self, predictions: &Predictions, targets: &[Target]) -> Vec<Option<f64>> {
        let degree = |(example, target): (usize, &Target)| {
            let row = predictions.of(example);
            let class = self.class(row);
            (target.classes() != [class]).then(|| f64::from(row[class as usize]))
        };
        targets.iter().enumerate().map(degree).collect()
    }

    fn columns(&self) -> Vec<String> {
        classified::columns(&self.outputs)
    }

    fn cells(&self, input: &Input, target: &Target, rows: &[f32]) -> Vec<String> {
        let correct = target.classes() == [self.class(rows)];
        let fixed = [self.target_words(input, target), self.predicted(rows), correct.to_string()];
        fixed.into_iter().chain(rows.iter().map(f32::to_string)).collect()
    }

    fn target_words(&self, _: &Input, target: &Target) -> String {
        target.classes().iter().map(|it| classified::name(&self.outputs, *it)).collect()
    }

    fn prediction_words(&self, _: &Input, rows: &[f32]) -> String {
        self.predicted(rows)
    }

    /// `label`, `probability`, `probabilities`.
    fn reply(&self, _: &Input, rows: &[f32]) -> Map<String, Value> {
        let each = self.outputs.iter().cloned().zip(rows.iter().map(|it| Value::from(*it)));
        Map::from_iter([
            ("label".into(), self.predicted(rows).into()),
            ("probability".into(), rows[self.class(rows) as usize].into()),
            ("probabilities".into(), Value::Object(each.collect())),
        ])
    }

    fn reply_columns(&self) -> Vec<String> {
        classified::reply_columns(&self.outputs)
    }

    fn reply_cells(&self, _: &Input, rows: &[f32]) -> Vec<String> {
        let label = std::iter::once(self.predicted(rows));
        label.chain(rows.iter().map(f32::to_string)).collect()
    }

    fn words(&self) -> Words {
        Words {
            baseline: "majority class",
            scores: "",
            intervals: "percentile bootstrap intervals over the examples; those of macro averages \
                        draw within each class, which keeps its number of examples",
            mistakes: "Where the model was surest and wrong: often it is the label that is wrong",
            target: "Label",
            columns: "labels",
            card_metrics: &["accuracy", "macro_f1", "weighted_f1"],
            thresholds: "the class is predicted whose probability is the largest when divided by \
                         its threshold",
            activation: ".softmax(-1)",
        }
    }

    fn degree_words(&self, degree: f64) -> String {
        classified::degree_words(degree)
    }
}
