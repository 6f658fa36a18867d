//! `finetuned show JOB`: one job, its attempts, and what came of it.

use super::{find, status};
use crate::cli::Exit;
use crate::home::Home;
use crate::queue::{Attempt, State};
use crate::report::Report;
use crate::{claim, proven, run_facts, usage, words};
use anyhow::Result;
use finetuned_job::run_folder;
use serde_json::{Value, json};

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
        value["usage"] = json!(usage::read(&run));
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
    if job.priority != 0 {
        rows.push(row("priority", job.priority.to_string()));
    }
    if job.original.is_some() {
        let original = claim::remains_of(&job);
        let until = if job.copied { "until the job is over" } else { "to be copied" };
        rows.push(row("original", format!("{}, {until}", original.display())));
    }
    if let Some(recipe) = &job.recipe {
        rows.push(row(
            "recipe",
            format!("{} (of the inbox; a job.toml in the drop wins)", recipe.file.display()),
        ));
    }
    rows.extend(attempts.iter().map(|it| row("attempt", attempt_words(it))));
    rows.extend(usage::words(&run).map(|it| row("used", it)));
    match &job.state {
        State::Done => rows.extend(proven::rows(&run_facts::done(&run)?, &run)),
        _ => rows.push(row("now", status::remark(home, &job))),
    }
    rows.retain(|it| !it[1].is_empty());
    report.lines(&words::table(&rows))?;
    Ok(exit)
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
