//! `finetuned plugin check FILE`: a throw-away worker tries the plugin and says what it tries;
//! whatever the plugin does to that worker, this says in one sentence.

use super::super::ask_folder;
use crate::attempt::{Ending, plugin_death};
use crate::cli::Exit;
use crate::config::Config;
use crate::report::Report;
use crate::{attempt, run_facts, words, worker_process};
use anyhow::{Context, Result};
use finetuned_job::plugin_check::{Line, Tried, Verdict};
use finetuned_job::spec::{Action, PluginRules, exit};
use finetuned_plugins::Plugin;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// A call on a handful of numbers takes microseconds.
const CALL_S: u32 = 10;
/// The worker ends a call that hangs by itself; one that says nothing for longer than any probe
/// takes has lost that power too. Ten thousand calls that each compute for some milliseconds are
/// the longest.
const SILENCE_MAX: Duration = Duration::from_secs(120);

pub(super) fn check(
    config: &Config,
    file: &Path,
    as_json: bool,
    report: &mut Report,
) -> Result<Exit> {
    let file = std::path::absolute(file).context("finding the current folder")?;
    let (plugin, doubt) = match finetuned_plugins::open_anywhere(&file) {
        Ok(found) => found,
        Err(refusal) => {
            let sentence = format!("{} is refused: {refusal}", file.display());
            if as_json {
                report
                    .json(&json!({ "file": file, "sound": false, "tried": [], "end": sentence }))?;
            } else {
                report.line(&sentence)?;
            }
            return Ok(Exit::Error);
        }
    };
    if !as_json {
        report.line(&headline(&plugin))?;
        if let Some(doubt) = &doubt {
            report.line(&format!("note   in the plugin folder it would be refused: {doubt}"))?;
        }
    }
    let (tried, end) = converse(config, &file, as_json, report)?;
    let sound = end.is_none() && tried.iter().all(|it| it.verdict != Verdict::Failed);
    if as_json {
        report.json(&facts(&plugin, &tried, end.as_deref(), sound))?;
    } else {
        let words = end.unwrap_or_else(|| if sound { "sound".into() } else { "not sound".into() });
        report.line(&words)?;
    }
    Ok(if sound { Exit::Done } else { Exit::Error })
}

/// What was tried, and the sentence about a worker that did not come to the end.
fn converse(
    config: &Config,
    file: &Path,
    as_json: bool,
    report: &mut Report,
) -> Result<(Vec<Tried>, Option<String>)> {
    let rules = PluginRules { call_s: CALL_S, ..config.plugins.clone() };
    let config = Config { plugins: rules, threads: 1, ..config.clone() };
    let (folder, spec_file) =
        ask_folder(&config, Action::CheckPlugin { file: file.to_path_buf() }, None)?;
    let (mut tried, mut trying, mut over) = (Vec::new(), None, false);
    let ending = worker_process::converse(&config.worker, &spec_file, SILENCE_MAX, |line| {
        // The worker keeps its stdout from plugins, so that what can't be read is a defect of ours.
        match serde_json::from_slice(line).context("reading the worker's words")? {
            Line::Trying { what } => trying = Some(what),
            Line::Tried(it) => {
                if !as_json {
                    report.line(&row(&it))?;
                }
                tried.push(it);
                trying = None;
            }
            Line::End => over = true,
        }
        Ok(())
    })?;
    let end = match (over, ending) {
        (true, Ending::Exited(exit::DONE)) => None,
        (_, ending) => Some(match (run_facts::plugin_call(folder.path()), trying) {
            (Some(call), _) => plugin_death(&call, &ending),
            (None, Some(what)) => {
                format!("the worker ended {} while it tried {what}", attempt::describe(&ending))
            }
            (None, None) => format!("the worker ended {}", attempt::describe(&ending)),
        }),
    };
    Ok((tried, end))
}

fn headline(plugin: &Plugin) -> String {
    let it = &plugin.descriptor;
    format!(
        "{} {}, ABI {}, {}, {}, blake3 {}",
        it.name,
        it.version,
        it.abi,
        it.exports_words(),
        words::bytes(plugin.bytes.len() as u64),
        plugin.hash
    )
}

fn row(tried: &Tried) -> String {
    const SUBJECT_CHARS: usize = 24;
    const PROBE_CHARS: usize = 12;
    let verdict = match tried.verdict {
        Verdict::Passed => "ok   ",
        Verdict::Failed => "FAULT",
        Verdict::Noted => "note ",
    };
    format!(
        "{verdict}  {:<SUBJECT_CHARS$}  {:<PROBE_CHARS$}  {}",
        tried.subject, tried.probe, tried.found
    )
}

fn facts(plugin: &Plugin, tried: &[Tried], end: Option<&str>, sound: bool) -> Value {
    let it = &plugin.descriptor;
    json!({
        "file": plugin.path,
        "name": it.name,
        "version": it.version,
        "abi": it.abi.to_string(),
        "hash": plugin.hash,
        "sound": sound,
        "tried": tried,
        "end": end,
    })
}
