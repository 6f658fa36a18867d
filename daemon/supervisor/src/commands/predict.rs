//! `finetuned predict RUN INPUT…`: a worker answers, we only print.

use super::{ask, ask_folder, heard, run_folder_of};
use crate::cli::{Exit, PredictArgs};
use crate::config::Config;
use crate::home::Home;
use crate::report::Report;
use crate::words;
use crate::worker_process::Talk;
use anyhow::{Context, Result};
use finetuned_job::spec::Action;
use finetuned_job::task::Task;
use serde_json::Value;
use std::path::Path;

/// Longer texts are cut in the table; `--json` and `--csv` have them whole.
const TEXT_CHARS_SHOWN: usize = 60;

pub(super) fn predict(home: &Home, args: &PredictArgs, report: &mut Report) -> Result<Exit> {
    let config = Config::load(&home.root)?;
    let run = run_folder_of(home, &args.run)?;
    let csv = args.csv.as_ref().map(std::path::absolute).transpose()?;
    let sampling = args.sampling.chosen();
    let aloud = !args.json && csv.is_none() && args.inputs.len() == 1 && report.is_terminal();
    let action = Action::Predict { inputs: args.inputs.clone(), csv, sampling, aloud };
    if aloud {
        return say(&config, action, &run, report);
    }
    let (status, lines) = ask(&config, action, Some(&run))?;
    if !status.success() {
        return Ok(Exit::Error);
    }
    if args.json && lines.is_empty() {
        // No input, no answer.
    } else if args.json {
        report.json_text(&String::from_utf8_lossy(&lines))?;
    } else {
        let rows = lines
            .split(|it| *it == b'\n')
            .filter(|it| !it.is_empty())
            .map(|it| Ok(row(&serde_json::from_slice(it).context("reading the worker's answer")?)))
            .collect::<Result<Vec<_>>>()?;
        report.lines(&words::table(&rows))?;
    }
    Ok(Exit::Done)
}

/// To a person, while it comes into being where it does.
fn say(config: &Config, action: Action, run: &Path, report: &mut Report) -> Result<Exit> {
    let (_folder, spec_file) = ask_folder(config, action, Some(run))?;
    let mut talk = Talk::start(&config.worker, &spec_file)?;
    let (mut rows, mut has_spoken) = (Vec::new(), false);
    let mut print = |delta: &str| {
        has_spoken = true;
        report.part(delta)
    };
    while let Some(value) = heard(&mut talk, &mut print)? {
        rows.push(row(&value));
    }
    let status = talk.end()?;
    if has_spoken {
        report.line("")?;
    } else if !rows.is_empty() {
        report.lines(&words::table(&rows))?;
    }
    Ok(if status.success() { Exit::Done } else { Exit::Error })
}

fn row(value: &Value) -> Vec<String> {
    let text = input(value).replace(['\n', '\r', '\t'], " ");
    let mut shown: String = text.chars().take(TEXT_CHARS_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    [columns(value), vec![shown]].concat()
}

/// What was asked; of several texts all.
fn input(answer: &Value) -> String {
    match Task::all().find_map(|it| answer.get(it.modality.noun())) {
        Some(Value::Array(texts)) => {
            texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" / ")
        }
        Some(text) => text.as_str().unwrap_or_default().into(),
        None => String::new(),
    }
}

/// One label with its probability, several labels, entities with their types, what stands behind
/// masks, what follows a text, how surprising a text is, a reward, or numbers with their names.
fn columns(answer: &Value) -> Vec<String> {
    if let Some(label) = answer["label"].as_str() {
        return vec![
            label.into(),
            format!("{:.3}", answer["probability"].as_f64().unwrap_or(f64::NAN)),
        ];
    }
    if let Some(labels) = answer["labels"].as_array() {
        return vec![labels.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")];
    }
    if let Some(entities) = answer["entities"].as_array() {
        let shown = |it: &Value| {
            let [word, group] = ["word", "entity_group"].map(|key| it[key].as_str().unwrap_or(""));
            format!("{word} ({group})")
        };
        return vec![entities.iter().map(shown).collect::<Vec<_>>().join(", ")];
    }
    if let Some(masks) = answer["masks"].as_array() {
        let token = |it: &Value| {
            let score = it["score"].as_f64().unwrap_or(f64::NAN);
            format!("{} {score:.3}", it["token_str"].as_str().unwrap_or_default().trim())
        };
        let shown = |it: &Value| {
            it.as_array().into_iter().flatten().map(token).collect::<Vec<_>>().join(", ")
        };
        return vec![masks.iter().map(shown).collect::<Vec<_>>().join(" | ")];
    }
    if let Some(text) = answer["generated_text"].as_str() {
        return vec![text.trim().replace(['\n', '\r', '\t'], " ")];
    }
    if let Some(perplexity) = answer["perplexity"].as_f64() {
        return vec![format!("perplexity {perplexity:.2}")];
    }
    if let Some(reward) = answer["reward"].as_f64() {
        return vec![format!("reward {reward:.4}")];
    }
    let numbers = answer["numbers"].as_object().into_iter().flatten();
    numbers.map(|(name, it)| format!("{name} {:.4}", it.as_f64().unwrap_or(f64::NAN))).collect()
}
