//! What is tried of a metric.

use super::teller::{Fault, Outcome, Seen, Teller};
use super::{CALLS, Trial, steady};
use crate::plugins::MetricInstance;
use anyhow::Result;
use finetuned_answers::Target;
use finetuned_job::task::Answer;
use std::ops::Range;

const OUTPUTS: usize = 3;
const EXAMPLES: usize = 60;
/// Merged halves may differ from the whole by the order of sums.
const MERGE_TOLERANCE: f64 = 1e-6;

/// Made-up examples: rows of outputs, and their targets.
struct Examples {
    outputs: Vec<f32>,
    targets: Vec<Target>,
}

impl Examples {
    /// The same each time. Four of five rows are right, and none of the first seven: no part scores
    /// what the whole does.
    fn new(problem: Answer) -> Examples {
        let mut made = Examples { outputs: vec![], targets: vec![] };
        for idx in 0..EXAMPLES {
            let label = (idx * 7 + idx / 5) % OUTPUTS;
            let favourite = if idx % 5 == 4 || idx < 7 { (label + 1) % OUTPUTS } else { label };
            let sure = 0.4 + 0.5 * ((idx * 37 % 100) as f32 / 100.0);
            // Of several labels every other time the next one too; numbers stand a little beside
            // the label's 0 or 1.
            let next = (label + 1) % OUTPUTS;
            let beside = 0.01 * (idx % 7) as f64;
            let number = |it: usize| f64::from(u8::from(it == label)) + beside;
            made.targets.push(match problem {
                Answer::Classes if idx % 2 == 1 => {
                    Target::of_classes([label.min(next) as u32, label.max(next) as u32])
                }
                Answer::Numbers => Target::of_numbers([number(0), number(1), number(2)]),
                _ => Target::of_classes([label as u32]),
            });
            made.outputs.extend((0..OUTPUTS).map(|it| {
                if it == favourite { sure } else { (1.0 - sure) / (OUTPUTS - 1) as f32 }
            }));
        }
        made
    }

    fn tell(&self, metric: &MetricInstance, part: Range<usize>) -> Result<(), Fault> {
        let rows = part.start * OUTPUTS..part.end * OUTPUTS;
        Ok(metric.update(&self.outputs[rows], &self.targets[part])?)
    }
}

fn create(trial: Trial<'_>) -> Result<MetricInstance, Fault> {
    Ok(trial.plugins.metric(
        trial.name,
        "{}",
        trial.problem,
        &["a".into(), "b".into(), "c".into()],
    )?)
}

fn score_of(trial: Trial<'_>, all: &Examples) -> Result<f64, Fault> {
    let metric = create(trial)?;
    all.tell(&metric, 0..EXAMPLES)?;
    Ok(metric.compute()?)
}

pub(super) fn check(trial: Trial<'_>, subject: &str, teller: &mut Teller) -> Result<()> {
    let all = &Examples::new(trial.problem);
    let works = teller.probe(subject, "score", || {
        let better = if create(trial)?.higher_is_better() { "higher" } else { "lower" };
        Ok(Seen::Passed(format!(
            "{:.6} for {EXAMPLES} examples, {better} is better",
            score_of(trial, all)?
        )))
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
        all.tell(&metric, 0..0)?;
        all.tell(&metric, 0..EXAMPLES)?;
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
            all.tell(&metric, 0..0)?;
        }
        let ns = start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS);
        Ok(Seen::Passed(format!("{ns:.0} ns for an update with no example: the border itself")))
    })?;
    Ok(())
}

/// Two parts, and three with an empty one: merged they are the whole.
fn merge(trial: Trial<'_>, all: &Examples) -> Outcome {
    let whole = score_of(trial, all)?;
    for cut in [EXAMPLES / 3, EXAMPLES, 0] {
        let (first, second) = (create(trial)?, create(trial)?);
        all.tell(&first, 0..cut)?;
        all.tell(&second, cut..EXAMPLES)?;
        let before = if cut < EXAMPLES { Some(second.compute()?) } else { None };
        first.merge(&second)?;
        let merged = first.compute()?;
        if MERGE_TOLERANCE * (1.0 + whole.abs()) < (merged - whole).abs() {
            return Err(format!(
                "{cut} and {} examples merged score {merged}, all {EXAMPLES} at once {whole}",
                EXAMPLES - cut
            )
            .into());
        }
        if let Some(before) = before
            && before != second.compute()?
        {
            return Err("merging changes the metric that is merged into another"
                .to_string()
                .into());
        }
    }
    Ok(Seen::Passed("parts merged are the whole".into()))
}
