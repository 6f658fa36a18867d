//! Decides what scores of numbers mean: `mean_absolute_error`, `root_mean_squared_error` and
//! `r2_score` of scikit-learn, `pearsonr` and `spearmanr` of SciPy, each the plain mean over the
//! numbers. Where targets or predictions are all equal, the correlations are 0: SciPy gives none,
//! and nothing goes together with what does not vary.

use super::listed;
use crate::bootstrap::{self, Sampled, mean};
use crate::scored::{self, check_rows};
use crate::{Scored, ScoresError, Target};
use finetuned_job::scores::{NumberScores, Scores};

/// Targets and predictions of one number.
struct Number {
    targets: Column,
    predictions: Column,
}

struct Column {
    values: Vec<f64>,
    /// Examples by rising value.
    order: Vec<u32>,
}

struct Errors {
    mae: f64,
    mse: f64,
    r2: f64,
    pearson: f64,
    spearman: f64,
}

impl Column {
    fn new(values: Vec<f64>) -> Column {
        let mut order: Vec<u32> = (0..values.len() as u32).collect();
        order.sort_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
        Column { values, order }
    }

    /// The place of each example among all, equal ones sharing the mean of theirs.
    fn ranks(&self, times: &[u32]) -> Vec<f64> {
        let mut ranks = vec![0.0; self.values.len()];
        let mut before = 0.0;
        for equal in
            self.order.chunk_by(|a, b| self.values[*a as usize] == self.values[*b as usize])
        {
            let count: f64 = equal.iter().map(|it| f64::from(times[*it as usize])).sum();
            equal.iter().for_each(|it| ranks[*it as usize] = before + (count + 1.0) / 2.0);
            before += count;
        }
        ranks
    }
}

impl Number {
    fn errors(&self, times: &[u32]) -> Errors {
        let (targets, predictions) = (&self.targets.values, &self.predictions.values);
        let n: f64 = times.iter().map(|it| f64::from(*it)).sum();
        let mean = mean(times, targets);
        let (mut scatter, mut absolute, mut squares) = (0.0, 0.0, 0.0);
        for ((times, target), predicted) in times.iter().zip(targets).zip(predictions) {
            let (times, error) = (f64::from(*times), predicted - target);
            scatter += times * (target - mean).powi(2);
            absolute += times * error.abs();
            squares += times * error * error;
        }
        // Of equal numbers the scatter is rounding at most, and there is no share of it to explain.
        let r2 = match (varies(times, targets), squares == 0.0) {
            (true, _) => 1.0 - squares / scatter,
            (false, exact) => f64::from(u8::from(exact)),
        };
        Errors {
            mae: absolute / n,
            mse: squares / n,
            r2,
            pearson: correlation(times, targets, predictions),
            spearman: correlation(
                times,
                &self.targets.ranks(times),
                &self.predictions.ranks(times),
            ),
        }
    }
}

/// The values that count.
fn counted<'a>(times: &'a [u32], values: &'a [f64]) -> impl Iterator<Item = (f64, f64)> {
    let all = times.iter().zip(values).filter(|it| *it.0 != 0);
    all.map(|(times, value)| (f64::from(*times), *value))
}

fn varies(times: &[u32], values: &[f64]) -> bool {
    let first = counted(times, values).next().map(|it| it.1);
    counted(times, values).any(|it| Some(it.1) != first)
}

/// Pearson's; 0 where either does not vary.
fn correlation(times: &[u32], a: &[f64], b: &[f64]) -> f64 {
    if !varies(times, a) || !varies(times, b) {
        return 0.0;
    }
    let (mean_a, mean_b) = (mean(times, a), mean(times, b));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for ((times, a), b) in times.iter().zip(a).zip(b) {
        let (times, a, b) = (f64::from(*times), a - mean_a, b - mean_b);
        aa += times * a * a;
        bb += times * b * b;
        ab += times * a * b;
    }
    (ab / aa.sqrt() / bb.sqrt()).clamp(-1.0, 1.0)
}

struct Regression<'a> {
    numbers: Vec<Number>,
    losses: &'a [f64],
}

impl<'a> Regression<'a> {
    fn new(width: usize, of: &Scored<'a>) -> Regression<'a> {
        let Scored { predictions, targets, losses, .. } = *of;
        let number = |number: usize| Number {
            targets: Column::new(targets.iter().map(|it| it.numbers()[number]).collect()),
            predictions: Column::new(
                predictions
                    .values()
                    .iter()
                    .skip(number)
                    .step_by(width)
                    .map(|it| f64::from(*it))
                    .collect(),
            ),
        };
        Regression { numbers: (0..width).map(number).collect(), losses }
    }

    fn all_errors(&self, times: &[u32]) -> Vec<Errors> {
        self.numbers.iter().map(|it| it.errors(times)).collect()
    }
}

fn metric(errors: &[Errors], name: &str) -> Option<f64> {
    let of: fn(&Errors) -> f64 = match name {
        "mae" => |it| it.mae,
        "rmse" => |it| it.mse.sqrt(),
        "r2" => |it| it.r2,
        "pearson" => |it| it.pearson,
        "spearman" => |it| it.spearman,
        _ => return None,
    };
    Some(errors.iter().map(of).sum::<f64>() / errors.len().max(1) as f64)
}

impl Sampled for Regression<'_> {
    fn losses(&self) -> &[f64] {
        self.losses
    }

    fn effort(&self) -> usize {
        self.losses.len() * self.numbers.len()
    }

    fn measure(&self, times: &[u32], metrics: &[&str]) -> Vec<Option<f64>> {
        let errors = self.all_errors(times);
        metrics.iter().map(|it| metric(&errors, it)).collect()
    }
}

pub(super) fn scores(
    names: &[String],
    of: &Scored<'_>,
    intervals_for: &[&str],
    seed: u64,
) -> Result<Scores, ScoresError> {
    let Scored { split, predictions, targets, losses } = *of;
    check_rows(of, names.len(), |_| 1)?;
    check(targets, names.len())?;
    if let Some(at) = predictions.values().iter().position(|it| !it.is_finite()) {
        let value = predictions.values()[at];
        return Err(ScoresError::Output { example: at / names.len(), value });
    }
    let numbers = Regression::new(names.len(), of);
    let errors = numbers.all_errors(&vec![1; targets.len()]);
    let named = ["mae", "rmse", "r2", "pearson", "spearman"];
    let per_number = |(name, it): (&String, &Errors)| NumberScores {
        name: name.clone(),
        mae: it.mae,
        rmse: it.mse.sqrt(),
        r2: it.r2,
    };
    let strata = bootstrap::together(targets.len());
    Ok(Scores {
        split,
        examples: targets.len() as u64,
        loss: scored::mean(losses),
        metrics: named
            .iter()
            .filter_map(|&it| Some((it.to_owned(), metric(&errors, it)?)))
            .collect(),
        intervals: bootstrap::intervals(&numbers, intervals_for, &strata, seed)?,
        per_class: Vec::new(),
        confusion: Vec::new(),
        per_number: names.iter().zip(&errors).map(per_number).collect(),
    })
}

/// The means of the training split.
pub(super) fn constant(
    names: &[String],
    train: &[Target],
) -> Result<(String, Vec<f32>), ScoresError> {
    check(train, names.len())?;
    let mean = |number: usize| {
        let sum: f64 = train.iter().map(|it| it.numbers()[number]).sum();
        (sum / train.len() as f64) as f32
    };
    let row: Vec<f32> = (0..names.len()).map(mean).collect();
    Ok((listed(names, row.iter().copied().map(f64::from)), row))
}

fn check(targets: &[Target], width: usize) -> Result<(), ScoresError> {
    for (example, target) in targets.iter().enumerate() {
        if target.numbers().len() != width || !target.classes().is_empty() {
            return Err(ScoresError::Kind { example });
        }
        if let Some(&value) = target.numbers().iter().find(|it| !it.is_finite()) {
            return Err(ScoresError::Target { example, value });
        }
    }
    Ok(())
}
