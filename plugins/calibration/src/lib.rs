//! Expected calibration error: how far confidence is from accuracy. A model that says 0.8 should be
//! right in 80 of 100 such cases.
//!
//! Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, eq. 3:
//! examples are put into `bins` of equal width by the probability of their most probable class; ECE
//! = sum_b (n_b / n) |acc_b - conf_b|. Where an example has several labels, each is asked alone, as
//! torchmetrics' binary error: by its own probability, and whether it is true.

use finetuned_sdk::{Error, Metric, Predictions, Problem, Result};
use serde::Deserialize;

/// More bins than this hold next to no examples each, whatever the data.
const BINS_MAX: usize = 10_000;

pub struct CalibrationError {
    bins: Vec<Bin>,
}

#[derive(Clone, Copy, Default)]
struct Bin {
    n: u64,
    hits: u64,
    confidence: f64,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    bins: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { bins: 15 }
    }
}

impl Metric for CalibrationError {
    const NAME: &'static str = "ece";
    const HIGHER_IS_BETTER: bool = false;
    const PROBLEMS: &'static [Problem] = &[Problem::SingleLabel, Problem::MultiLabel];
    type Settings = Settings;

    fn new(settings: Settings, _classes: &[&str]) -> Result<CalibrationError> {
        if !(1..=BINS_MAX).contains(&settings.bins) {
            return Err(Error::invalid(format!(
                "bins = {}: choose 1 to {BINS_MAX}",
                settings.bins
            )));
        }
        Ok(CalibrationError { bins: vec![Bin::default(); settings.bins] })
    }

    fn update(&mut self, batch: &Predictions) -> Result<()> {
        if batch.problem() == Problem::MultiLabel {
            for (probabilities, targets) in batch.target_rows() {
                probabilities
                    .iter()
                    .zip(targets)
                    .for_each(|(&p, &target)| self.count(p, target == 1.0));
            }
            return Ok(());
        }
        for (row, label) in batch.rows() {
            let (mut best, mut confidence) = (0, row[0]);
            for (class, &p) in row.iter().enumerate() {
                if confidence < p {
                    (best, confidence) = (class, p);
                }
            }
            self.count(confidence, best == label);
        }
        Ok(())
    }

    fn merge(&mut self, other: &CalibrationError) -> Result<()> {
        for (bin, other) in self.bins.iter_mut().zip(&other.bins) {
            bin.n += other.n;
            bin.hits += other.hits;
            bin.confidence += other.confidence;
        }
        Ok(())
    }

    fn compute(&self) -> Result<f64> {
        let n: u64 = self.bins.iter().map(|it| it.n).sum();
        if n == 0 {
            return Err(Error::invalid("no examples were seen"));
        }
        // (n_b / n) |hits_b / n_b - confidence_b / n_b|, without the divisions that cancel.
        Ok(self.bins.iter().map(|it| (it.hits as f64 - it.confidence).abs()).sum::<f64>()
            / n as f64)
    }
}

impl CalibrationError {
    fn count(&mut self, confidence: f32, is_right: bool) {
        // A bin begins with its lower bound; a confidence of 1 belongs to the last.
        let place = (f64::from(confidence) * self.bins.len() as f64) as usize;
        let place = place.min(self.bins.len() - 1);
        let bin = &mut self.bins[place];
        bin.n += 1;
        bin.hits += u64::from(is_right);
        bin.confidence += f64::from(confidence);
    }
}

finetuned_sdk::export! { metrics: [CalibrationError] }

#[cfg(test)]
mod tests {
    use super::*;
    use finetuned_sdk::testing;

    #[derive(Deserialize)]
    struct Case {
        bins: usize,
        probabilities: Vec<Vec<f32>>,
        labels: Vec<u32>,
        expected: f64,
    }

    #[test]
    fn as_torchmetrics_has_it() {
        // Made by fixtures/make.py.
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../fixtures/ece.json")).expect("cases");
        for case in cases {
            let examples: Vec<(Vec<f32>, u32)> =
                case.probabilities.into_iter().zip(case.labels).collect();
            let classes = vec!["class"; examples[0].0.len()];
            let found = testing::metric::<CalibrationError>(
                &format!(r#"{{"bins": {}}}"#, case.bins),
                &classes,
                &examples,
            )
            .expect("a score");
            // torchmetrics computes in f32.
            assert!((found - case.expected).abs() < 1e-6, "{found} and {}", case.expected);
        }
    }

    #[derive(Deserialize)]
    struct Sets {
        bins: usize,
        probabilities: Vec<Vec<f32>>,
        sets: Vec<Vec<f32>>,
        expected: f64,
    }

    #[test]
    fn of_several_labels_as_torchmetrics_has_it() {
        // Made by fixtures/make.py.
        let cases: Vec<Sets> =
            serde_json::from_str(include_str!("../../fixtures/ece_sets.json")).expect("cases");
        for case in cases {
            let examples: Vec<(Vec<f32>, Vec<f32>)> =
                case.probabilities.into_iter().zip(case.sets).collect();
            let classes = vec!["class"; examples[0].0.len()];
            let settings = format!(r#"{{"bins": {}}}"#, case.bins);
            let found = testing::metric_for::<CalibrationError>(
                Problem::MultiLabel,
                &settings,
                &classes,
                &examples,
            )
            .expect("a score");
            assert!((found - case.expected).abs() < 1e-6, "{found} and {}", case.expected);
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let refused = |settings: &str, n| {
            let examples = vec![(vec![0.5, 0.5], 0); n];
            testing::metric::<CalibrationError>(settings, &["no", "yes"], &examples)
                .expect_err("refused")
                .to_string()
        };
        assert_eq!(refused(r#"{"bins": 0}"#, 1), "bins = 0: choose 1 to 10000");
        assert_eq!(refused("{}", 0), "no examples were seen");
    }
}
