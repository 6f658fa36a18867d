//! `finetuned model list|pull|inspect`: questions to a worker about base models, told for people.

use super::ask;
use crate::cli::{Exit, ModelCommand};
use crate::config::Config;
use crate::home::Home;
use crate::report::Report;
use crate::words;
use anyhow::{Context, Result};
use finetuned_job::spec::Action;
use serde_json::Value;

pub(super) fn models(home: &Home, command: &ModelCommand, report: &mut Report) -> Result<Exit> {
    let config = Config::load(&home.root)?;
    let (action, as_json) = match command {
        ModelCommand::List { json } => (Action::ListModels, json),
        ModelCommand::Pull { base, json } => (Action::Pull { base: base.clone() }, json),
        ModelCommand::Inspect { base, json } => (Action::Inspect { base: base.clone() }, json),
    };
    let (status, text) = ask(&config, action, None)?;
    if !status.success() {
        return Ok(Exit::Error);
    }
    if *as_json {
        report.json_text(&String::from_utf8_lossy(&text))?;
    } else {
        let value: Value = serde_json::from_slice(&text).context("reading the worker's answer")?;
        report.lines(&match command {
            ModelCommand::List { .. } => list(&value),
            ModelCommand::Pull { .. } => {
                format!("{} is in {}", word(&value["name"]), word(&value["folder"]))
            }
            ModelCommand::Inspect { .. } => facts(&value),
        })?;
    }
    Ok(Exit::Done)
}

fn list(models: &Value) -> String {
    let models = models.as_array().map_or(&[][..], Vec::as_slice);
    if models.is_empty() {
        return "no base model is in the cache: fetch one with `finetuned model pull hf:OWNER/NAME`".into();
    }
    let row = |it: &Value| {
        let revision: String = word(&it["revision"]).chars().take(12).collect();
        vec![
            format!("hf:{}", word(&it["name"])),
            revision,
            words::bytes(it["bytes"].as_u64().unwrap_or(0)),
        ]
    };
    words::table(&models.iter().map(row).collect::<Vec<_>>())
}

/// Each fact on a line; long lists are counted.
fn facts(model: &Value) -> String {
    const LISTED_MAX: usize = 8;
    let say = |value: &Value| match value {
        Value::Array(list) if LISTED_MAX < list.len() => words::count(list.len() as u64),
        Value::Array(list) if list.is_empty() => "none".into(),
        Value::Array(list) => list.iter().map(word).collect::<Vec<_>>().join(", "),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), words::count),
        other => word(other),
    };
    let rows = model.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    words::table(
        &rows.map(|(name, value)| vec![name.replace('_', " "), say(value)]).collect::<Vec<_>>(),
    )
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}
