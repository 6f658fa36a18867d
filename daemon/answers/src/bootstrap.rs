//! Decides how far a score could lie off by the luck of the held-out examples: a percentile
//! bootstrap, as `scipy.stats.bootstrap(method="percentile")` does it (Efron and Tibshirani, An
//! Introduction to the Bootstrap, 1993, chapter 13). What is measured on a resample is left to
//! [`Sampled`].

use crate::ScoresError;
use finetuned_job::scores::Interval;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::BTreeMap;

/// Enough that two seeds differ by about a twentieth of the interval's width.
const RESAMPLES: usize = 1_000;
/// With fewer, a 2.5 % point would be one of the five outermost draws.
const RESAMPLES_MIN: usize = 200;
/// Numbers looked at over all resamples, some seconds: many classes times many examples get fewer
/// resamples.
const EFFORT_MAX: usize = 4_000_000_000;
/// Part of repeated experiments whose interval holds the true value.
const LEVEL: f64 = 0.95;

/// Examples with what a model says of them, of which each may count any number of times.
pub(crate) trait Sampled {
    /// Of each example.
    fn losses(&self) -> &[f64];

    /// Numbers looked at to measure once.
    fn effort(&self) -> usize;

    /// The metrics, but for the loss, where example i counts `times[i]` times; none where nobody
    /// knows it.
    fn measure(&self, times: &[u32], metrics: &[&str]) -> Vec<Option<f64>>;
}

/// Of values of which the ith counts `times[i]` times.
pub(crate) fn mean(times: &[u32], values: &[f64]) -> f64 {
    let n: f64 = times.iter().map(|it| f64::from(*it)).sum();
    let counted = times.iter().zip(values).filter(|it| *it.0 != 0);
    counted.map(|(times, it)| f64::from(*times) * it).sum::<f64>() / n
}

/// All examples as one stratum.
pub(crate) fn together(examples: usize) -> Vec<Vec<u32>> {
    vec![(0..examples as u32).collect()]
}

/// Intervals of the named metrics. Each stratum is drawn from by itself and stays as large as it
/// is. Only integers decide what is drawn, so every machine draws the same.
pub(crate) fn intervals(
    of: &impl Sampled,
    metrics: &[&str],
    strata: &[Vec<u32>],
    seed: u64,
) -> Result<BTreeMap<String, Interval>, ScoresError> {
    if metrics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let resamples = (EFFORT_MAX / of.effort().max(1)).clamp(RESAMPLES_MIN, RESAMPLES);
    let mut drawn: Vec<Vec<f64>> = vec![Vec::with_capacity(resamples); metrics.len()];
    let mut times = vec![0; of.losses().len()];
    for _ in 0..resamples {
        times.fill(0);
        for stratum in strata {
            for _ in 0..stratum.len() {
                times[stratum[below(&mut rng, stratum.len() as u64)] as usize] += 1;
            }
        }
        let measured = of.measure(&times, metrics);
        for ((values, value), metric) in drawn.iter_mut().zip(measured).zip(metrics) {
            let value = if *metric == "loss" { Some(mean(&times, of.losses())) } else { value };
            values.push(value.ok_or_else(|| ScoresError::Metric((*metric).to_owned()))?);
        }
    }
    Ok(metrics
        .iter()
        .zip(drawn)
        .map(|(&metric, values)| (metric.to_owned(), interval(values)))
        .collect())
}

/// A number below `n`: the high half of a 128-bit product, whose bias is `n` in 2^64.
fn below(rng: &mut ChaCha8Rng, n: u64) -> usize {
    ((u128::from(rng.next_u64()) * u128::from(n)) >> 64) as usize
}

fn interval(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - LEVEL) / 2.0;
    Interval {
        low: percentile(&values, tail),
        high: percentile(&values, 1.0 - tail),
        level: LEVEL,
        resamples: values.len() as u32,
    }
}

/// Between neighbours in proportion, as numpy's default. `sorted` is not empty.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let low = place.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether each example was right.
    struct Right(Vec<f64>);

    impl Sampled for Right {
        fn losses(&self) -> &[f64] {
            &self.0
        }

        fn effort(&self) -> usize {
            self.0.len()
        }

        fn measure(&self, times: &[u32], metrics: &[&str]) -> Vec<Option<f64>> {
            vec![Some(mean(times, &self.0)); metrics.len()]
        }
    }

    /// Coverage over many small experiments whose true accuracy is known.
    #[test]
    fn the_interval_holds_the_mean_about_95_times_in_100() {
        const EXPERIMENTS: u64 = 400;
        const EXAMPLES: usize = 200;
        let target = 0.8;
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut held = 0;
        for experiment in 0..EXPERIMENTS {
            let right = (0..EXAMPLES)
                .map(|_| f64::from(u8::from((below(&mut rng, 1_000) as f64) < target * 1_000.0)))
                .collect();
            let found = &intervals(&Right(right), &["accuracy"], &together(EXAMPLES), experiment)
                .unwrap()["accuracy"];
            held += u64::from(found.low <= target && target <= found.high);
        }
        // The standard error over 400 experiments is 1.1 points; a percentile bootstrap of 200
        // examples covers a little less than its level.
        let coverage = held as f64 / EXPERIMENTS as f64;
        assert!((0.92..=0.98).contains(&coverage), "{coverage}");
    }

    #[test]
    fn much_to_look_at_gets_fewer_resamples_and_never_too_few() {
        struct Huge(usize);
        impl Sampled for Huge {
            fn losses(&self) -> &[f64] {
                &[0.0]
            }

            fn effort(&self) -> usize {
                self.0
            }

            fn measure(&self, _: &[u32], _: &[&str]) -> Vec<Option<f64>> {
                vec![Some(0.5)]
            }
        }
        let resamples = |effort| {
            intervals(&Huge(effort), &["accuracy"], &together(1), 0).unwrap()["accuracy"].resamples
        };
        assert_eq!([1_000, 10_000_000, usize::MAX].map(resamples), [1_000, 400, 200]);
    }
}
