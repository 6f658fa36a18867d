//! Predictions of numbers: `mean_absolute_error`, `root_mean_squared_error` and `r2_score` of
//! scikit-learn, each the plain mean over the numbers.

use super::ScoresError;
use crate::bootstrap::Sampled;
use finetuned_job::scores::NumberScores;
use std::collections::BTreeMap;

pub(super) struct Numbers<'a> {
    width: usize,
    predicted: &'a [f32],
    truth: &'a [f32],
}

#[derive(Default)]
struct Errors {
    mae: f64,
    mse: f64,
    r2: f64,
}

impl<'a> Numbers<'a> {
    /// Of checked values, both (examples, `width`).
    pub fn new(width: usize, predicted: &'a [f32], truth: &'a [f32]) -> Numbers<'a> {
        Numbers { width, predicted, truth }
    }

    fn errors(&self, number: usize, times: &[u32]) -> Errors {
        let column = |values: &'a [f32]| {
            values.iter().skip(number).step_by(self.width).map(|it| f64::from(*it))
        };
        let counted = || {
            times
                .iter()
                .zip(column(self.truth))
                .filter(|it| *it.0 != 0)
                .map(|(times, truth)| (f64::from(*times), truth))
        };
        let n: f64 = times.iter().map(|it| f64::from(*it)).sum();
        let mean = counted().map(|(times, truth)| times * truth).sum::<f64>() / n;
        let scatter: f64 = counted().map(|(times, truth)| times * (truth - mean).powi(2)).sum();
        let (mut absolute, mut squares) = (0.0, 0.0);
        for ((times, truth), predicted) in
            times.iter().zip(column(self.truth)).zip(column(self.predicted))
        {
            let error = predicted - truth;
            absolute += f64::from(*times) * error.abs();
            squares += f64::from(*times) * error * error;
        }
        // Of equal numbers the scatter is rounding at most, and there is no share of it to explain.
        let first = counted().next().map(|it| it.1);
        let equal = counted().all(|it| Some(it.1) == first);
        let r2 = match (equal, squares == 0.0) {
            (false, _) => 1.0 - squares / scatter,
            (true, exact) => f64::from(u8::from(exact)),
        };
        Errors { mae: absolute / n, mse: squares / n, r2 }
    }

    fn all_errors(&self, times: &[u32]) -> Vec<Errors> {
        (0..self.width).map(|number| self.errors(number, times)).collect()
    }

    fn once(&self) -> Vec<u32> {
        vec![1; self.examples()]
    }

    pub fn per_number(&self, names: &[String]) -> Vec<NumberScores> {
        let scores = |(name, it): (&String, Errors)| NumberScores {
            name: name.clone(),
            mae: it.mae,
            rmse: it.mse.sqrt(),
            r2: it.r2,
        };
        names.iter().zip(self.all_errors(&self.once())).map(scores).collect()
    }

    /// Every metric but the loss.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let errors = self.all_errors(&self.once());
        ["mae", "rmse", "r2"]
            .iter()
            .filter_map(|&name| Some((name.to_owned(), metric(&errors, name)?)))
            .collect()
    }
}

fn metric(errors: &[Errors], name: &str) -> Option<f64> {
    let of: fn(&Errors) -> f64 = match name {
        "mae" => |it| it.mae,
        "rmse" => |it| it.mse.sqrt(),
        "r2" => |it| it.r2,
        "loss" => |it| it.mse,
        _ => return None,
    };
    Some(errors.iter().map(of).sum::<f64>() / errors.len().max(1) as f64)
}

impl Sampled for Numbers<'_> {
    fn examples(&self) -> usize {
        self.truth.len() / self.width
    }

    fn effort(&self) -> usize {
        self.truth.len()
    }

    fn measure(&self, times: &[u32], metrics: &[&str]) -> Result<Vec<f64>, ScoresError> {
        let errors = self.all_errors(times);
        metrics
            .iter()
            .map(|&it| metric(&errors, it).ok_or_else(|| ScoresError::Metric(it.to_owned())))
            .collect()
    }
}
