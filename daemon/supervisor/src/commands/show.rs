//! `finetuned show JOB`: one job, its attempts, and what came of it.

use super::{find, status};
use crate::cli::Exit;
use crate::home::Home;
use crate::queue::{Attempt, State};
use crate::report::Report;
use crate::{run_facts, words};
use anyhow::Result;
use finetuned_job::outcome::Done;
use finetuned_job::run_folder;
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn show(home: &Home, wanted: &str, as_json: bool, report: &mut Report) -> Result<Exit> {
    let (queue, job) = find(home, wanted)?;
    let run = home.runs().join(&job.run);
    let attempts = queue.attempts(job.id)?;
    let exit = match job.state {
        State::Failed(_) | State::Quarantined(_) => Exit::JobFailed,
        _ => Exit::Done,
    };
    if as_json {
        let mut value = status::job_json(home, &job);
        value["attempts"] = attempts.iter().map(attempt_json).collect();
        value["outcome"] = run_facts::json(&run.join(run_folder::DONE))
            .or_else(|_| run_facts::json(&run.join(run_folder::FAILED)))
            .unwrap_or(Value::Null);
        report.json(&value)?;
        return Ok(exit);
    }
    let mut rows = vec![
        row("job", format!("{} {}", job.id, job.state.name())),
        row("drop", format!("{}, from {}", job.name, job.source.display())),
        row("run", run.display().to_string()),
    ];
    if let Some(recipe) = &job.recipe {
        rows.push(row(
            "recipe",
            format!("{} (of the inbox; a job.toml in the drop wins)", recipe.file.display()),
        ));
    }
    rows.extend(attempts.iter().map(|it| row("attempt", attempt_words(it))));
    match &job.state {
        State::Done => rows.extend(outcome(&run_facts::done(&run)?, &run)),
        _ => rows.push(row("now", status::remark(home, &job))),
    }
    rows.retain(|it| !it[1].is_empty());
    report.line(&words::table(&rows))?;
    Ok(exit)
}

/// What a person wants to know of a proven model; `finetuned run` ends with it too.
pub(crate) fn outcome(done: &Done, run: &Path) -> Vec<Vec<String>> {
    let baseline = done
        .baseline
        .metrics
        .get(&done.metric)
        .map_or_else(String::new, |it| format!("; always `{}`: {it:.3}", done.baseline.answer));
    let mut rows = vec![row(
        "score",
        format!(
            "{} {} on {} examples of {}{baseline}",
            done.metric,
            words::score(done.score, done.scores.intervals.get(&done.metric)),
            done.scores.examples,
            done.split.name()
        ),
    )];
    for (metric, interval) in done.scores.intervals.iter().filter(|(name, _)| **name != done.metric)
    {
        let value = done.scores.metrics.get(metric).copied().unwrap_or(f64::NAN);
        rows.push(row("", format!("{metric} {}", words::score(value, Some(interval)))));
    }
    rows.push(row(
        "proof",
        format!(
            "loaded again from disk, {} examples: loss {:.6}, before {:.6}",
            done.proof.examples, done.proof.loss_reloaded, done.proof.loss_trained
        ),
    ));
    rows.push(row(
        "training",
        format!(
            "{} steps, the best at {}; {:.1} epochs in {}",
            done.steps,
            done.best_step,
            done.epochs,
            words::seconds(done.seconds)
        ),
    ));
    rows.push(row("model", run.join(&done.model).display().to_string()));
    rows.push(row("report", run.join(&done.report).display().to_string()));
    rows
}

fn row(name: &str, text: String) -> Vec<String> {
    vec![name.to_string(), text]
}

fn attempt_words(it: &Attempt) -> String {
    let end = match (it.ended_ms, it.outcome.as_deref()) {
        (Some(ended), Some(outcome)) => format!(
            "{outcome} after {}",
            words::seconds(ended.saturating_sub(it.started_ms) as f64 / 1000.0)
        ),
        _ => "running".into(),
    };
    let detail = it
        .detail
        .as_deref()
        .filter(|it| !it.is_empty())
        .map_or_else(String::new, |it| format!(": {it}"));
    format!("{} on {}, {end}{detail}", it.attempt, words::moment(it.started_ms))
}

fn attempt_json(it: &Attempt) -> Value {
    json!({ "attempt": it.attempt, "started_ms": it.started_ms, "ended_ms": it.ended_ms, "outcome": it.outcome, "detail": it.detail })
}
