//! Scores that are means over the examples, of values that each of them has by itself.

use crate::bootstrap::{self, Sampled, mean as weighted};
use crate::scored::mean;
use crate::{Scored, ScoresError};
use finetuned_job::scores::Scores;

/// A metric, and its value of each example.
pub(crate) type Values = (&'static str, Vec<f64>);

struct Means<'a> {
    values: Vec<Values>,
    losses: &'a [f64],
}

impl Means<'_> {
    fn metric(&self, name: &str, times: &[u32]) -> Option<f64> {
        let (_, values) = self.values.iter().find(|it| it.0 == name)?;
        Some(weighted(times, values))
    }
}

impl Sampled for Means<'_> {
    fn losses(&self) -> &[f64] {
        self.losses
    }

    fn effort(&self) -> usize {
        self.losses.len()
    }

    fn measure(&self, times: &[u32], metrics: &[&str]) -> Vec<Option<f64>> {
        metrics.iter().map(|it| self.metric(it, times)).collect()
    }
}

pub(crate) fn scores(
    of: &Scored<'_>,
    values: Vec<Values>,
    intervals_for: &[&str],
    seed: u64,
) -> Result<Scores, ScoresError> {
    let means = Means { values, losses: of.losses };
    let examples = of.targets.len();
    let once = vec![1; examples];
    let metric = |it: &Values| (it.0.to_owned(), weighted(&once, &it.1));
    let strata = bootstrap::together(examples);
    Ok(Scores {
        split: of.split,
        examples: examples as u64,
        loss: mean(of.losses),
        metrics: means.values.iter().map(metric).collect(),
        intervals: bootstrap::intervals(&means, intervals_for, &strata, seed)?,
        per_class: Vec::new(),
        confusion: Vec::new(),
        per_number: Vec::new(),
    })
}
