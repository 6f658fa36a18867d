//! One of several classes: the likeliest one is predicted, of equally likely ones the first, as
//! numpy's argmax does it.

pub(crate) mod read; // cells -> targets
mod scores; // probabilities x targets -> scores, baseline

use crate::kind::{AnswerKind, Input, Words};
use crate::{Predictions, Scored, ScoresError, Target, classified};
use finetuned_job::scores::Scores;
use finetuned_job::task::{Answer, Metrics};
use serde_json::{Map, Value};

pub(crate) struct Class {
    pub outputs: Vec<String>,
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
    fn predicted(&self, row: &[f32]) -> String {
        classified::name(&self.outputs, likeliest(row))
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
        scores::scores(&self.outputs, of, intervals_for, seed)
    }

    fn constant(&self, train: &[Target]) -> Result<(String, Vec<f32>), ScoresError> {
        scores::constant(&self.outputs, train)
    }

    /// How likely the wrong class was.
    fn degrees(&self, predictions: &Predictions, targets: &[Target]) -> Vec<Option<f64>> {
        let degree = |(example, target): (usize, &Target)| {
            let row = predictions.of(example);
            let class = likeliest(row);
            (target.classes() != [class]).then(|| f64::from(row[class as usize]))
        };
        targets.iter().enumerate().map(degree).collect()
    }

    fn columns(&self) -> Vec<String> {
        classified::columns(&self.outputs)
    }

    fn cells(&self, input: &Input, target: &Target, rows: &[f32]) -> Vec<String> {
        let correct = target.classes() == [likeliest(rows)];
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
            ("probability".into(), rows[likeliest(rows) as usize].into()),
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
            activation: ".softmax(-1)",
        }
    }

    fn degree_words(&self, degree: f64) -> String {
        classified::degree_words(degree)
    }
}
