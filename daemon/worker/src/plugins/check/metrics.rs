//! What is tried of a metric.

use super::teller::{Fault, Outcome, Seen, Teller};
use super::{CALLS, Trial, steady};
use crate::plugins::MetricInstance;
use anyhow::Result;

const CLASSES: usize = 3;
const EXAMPLES: usize = 60;
/// Merged halves may differ from the whole by the order of sums.
const MERGE_TOLERANCE: f64 = 1e-6;

/// Rows of probabilities and labels, the same each time. Four of five rows are right, and none of the first seven:
/// no part scores what the whole does.
fn examples(n: usize) -> (Vec<f32>, Vec<u32>) {
    let (mut probabilities, mut labels) = (vec![], vec![]);
    for idx in 0..n {
        let label = (idx * 7 + idx / 5) % CLASSES;
        let favourite = if idx % 5 == 4 || idx < 7 { (label + 1) % CLASSES } else { label };
        let sure = 0.4 + 0.5 * ((idx * 37 % 100) as f32 / 100.0);
        probabilities.extend((0..CLASSES).map(|it| if it == favourite { sure } else { (1.0 - sure) / (CLASSES - 1) as f32 }));
        labels.push(label as u32);
    }
    (probabilities, labels)
}

fn create(trial: Trial<'_>) -> Result<MetricInstance, Fault> {
    Ok(trial.plugins.metric(trial.name, "{}", &["a".into(), "b".into(), "c".into()])?)
}

fn score_of(trial: Trial<'_>, (probabilities, labels): (&[f32], &[u32])) -> Result<f64, Fault> {
    let metric = create(trial)?;
    metric.update(probabilities, labels)?;
    Ok(metric.compute()?)
}

pub(super) fn check(trial: Trial<'_>, subject: &str, teller: &mut Teller) -> Result<()> {
    let (probabilities, labels) = examples(EXAMPLES);
    let all = (&probabilities[..], &labels[..]);
    let works = teller.probe(subject, "score", || {
        let better = if create(trial)?.higher_is_better() { "higher" } else { "lower" };
        Ok(Seen::Passed(format!("{:.6} for {EXAMPLES} examples, {better} is better", score_of(trial, all)?)))
    })?;
    if !works {
        return Ok(());
    }
    teller.probe(subject, "determinism", || {
        let (a, b) = (score_of(trial, all)?, score_of(trial, all)?);
        if a.to_bits() == b.to_bits() {
            Ok(Seen::Passed("same examples, same score".into()))
        } else {
            Err(format!("the same examples score {a} and {b}").into())
        }
    })?;
    teller.probe(subject, "merge", || merge(trial, all))?;
    teller.probe(subject, "empty", || {
        let metric = create(trial)?;
        metric.update(&[], &[])?;
        metric.update(all.0, all.1)?;
        let (with, without) = (metric.compute()?, score_of(trial, all)?);
        if with == without {
            Ok(Seen::Passed("an empty batch changes nothing".into()))
        } else {
            Err(format!("an empty batch changes the score from {without} to {with}").into())
        }
    })?;
    teller.probe(subject, "memory", || steady(|| score_of(trial, all).map(drop)))?;
    teller.probe(subject, "cost", || {
        let metric = create(trial)?;
        let start = std::time::Instant::now();
        for _ in 0..CALLS {
            metric.update(&[], &[])?;
        }
        let ns = start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS);
        Ok(Seen::Passed(format!("{ns:.0} ns for an update with no example: the border itself")))
    })?;
    Ok(())
}

/// Two parts, and three with an empty one: merged they are the whole.
fn merge(trial: Trial<'_>, (probabilities, labels): (&[f32], &[u32])) -> Outcome {
    let whole = score_of(trial, (probabilities, labels))?;
    for cut in [EXAMPLES / 3, EXAMPLES, 0] {
        let (first, second) = (create(trial)?, create(trial)?);
        first.update(&probabilities[..cut * CLASSES], &labels[..cut])?;
        second.update(&probabilities[cut * CLASSES..], &labels[cut..])?;
        let before = if cut < EXAMPLES { Some(second.compute()?) } else { None };
        first.merge(&second)?;
        let merged = first.compute()?;
        if MERGE_TOLERANCE * (1.0 + whole.abs()) < (merged - whole).abs() {
            return Err(format!("{cut} and {} examples merged score {merged}, all {EXAMPLES} at once {whole}", EXAMPLES - cut).into());
        }
        if let Some(before) = before
            && before != second.compute()?
        {
            return Err("merging changes the metric that is merged into another".to_string().into());
        }
    }
    Ok(Seen::Passed("parts merged are the whole".into()))
}
