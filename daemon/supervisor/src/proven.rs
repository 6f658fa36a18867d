//! What a person wants to know of a proven model, as rows of a table: `show` prints them, and `run`
//! and `wait` end with them.

use crate::report::Report;
use crate::{run_facts, words};
use anyhow::Result;
use finetuned_job::outcome::Done;
use finetuned_job::run_folder;
use std::path::Path;

/// The table, or done.json on one line.
pub(crate) fn show(run: &Path, as_json: bool, report: &mut Report) -> Result<()> {
    let done = run_facts::done(run)?;
    if as_json {
        report.json(&done)?;
    } else {
        report.lines(&words::table(&rows(&done, run)))?;
    }
    Ok(())
}

/// Name and text of each row; a row without a name goes on with the one above it.
pub(crate) fn rows(done: &Done, run: &Path) -> Vec<Vec<String>> {
    let always = match done.baseline.is_of_base() {
        true => "the base model".to_owned(),
        false => format!("always `{}`", done.baseline.answer),
    };
    let baseline = done.baseline.metrics.get(&done.metric);
    let baseline = baseline.map_or_else(String::new, |it| format!("; {always}: {it:.3}"));
    let probe = done.probe.as_ref().and_then(|it| it.metrics.get(&done.metric));
    let probe = probe.map_or_else(String::new, |it| format!("; a linear probe: {it:.3}"));
    let data: serde_json::Value = run_facts::json(&run.join(run_folder::DATA)).unwrap_or_default();
    let reason = data["task_reason"].as_str().unwrap_or_default();
    let mut rows = vec![row("task", words::task(&done.task, reason))];
    rows.push(row(
        "score",
        format!(
            "{} {} on {} examples of {}{baseline}{probe}",
            done.metric,
            words::score(done.score, done.scores.intervals.get(&done.metric)),
            done.scores.examples,
            done.split.name()
        ),
    ));
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
    rows.extend(done.refit.map(|it| row("refit", it.sentence())));
    rows.push(row("model", run.join(&done.model).display().to_string()));
    rows.push(row("report", run.join(&done.report).display().to_string()));
    rows
}

fn row(name: &str, text: String) -> Vec<String> {
    vec![name.to_string(), text]
}
