//! `finetuned plugin list|new|check`. Descriptors are read as bytes; a library is opened only by
//! the throw-away worker of `check`, whose end is explained here.

mod check;
mod new;

use crate::cli::{Exit, PluginCommand};
use crate::config::Config;
use crate::home::Home;
use crate::report::Report;
use crate::words;
use anyhow::Result;
use finetuned_plugins::Listed;
use serde_json::{Value, json};

/// So much of a hash tells plugins apart; `--json` has it whole.
const HASH_CHARS_SHOWN: usize = 12;

pub(super) fn plugin(home: &Home, command: &PluginCommand, report: &mut Report) -> Result<Exit> {
    match command {
        PluginCommand::List { json } => list(&Config::load(&home.root)?, *json, report),
        PluginCommand::New { name, kind, sdk, path } => {
            new::new(name, *kind, sdk.as_deref(), path.as_deref(), report)
        }
        PluginCommand::Check { file, json } => {
            check::check(&Config::load(&home.root)?, file, *json, report)
        }
    }
}

/// A refused plugin is no error of the list, which is where people look for the reason.
fn list(config: &Config, as_json: bool, report: &mut Report) -> Result<Exit> {
    let folder = config.plugins.folder.display();
    let found = finetuned_plugins::list(&config.plugins)?;
    if as_json {
        report.json(&found.iter().map(to_json).collect::<Vec<_>>())?;
    } else if found.is_empty() {
        report.line(&format!("no plugin is in {folder}: put one there, or write one with `finetuned plugin new NAME --kind head`"))?;
    } else {
        report.lines(&words::table(&found.iter().map(row).collect::<Vec<_>>()))?;
    }
    Ok(Exit::Done)
}

fn row(plugin: &Listed) -> Vec<String> {
    let file = plugin.file_name();
    let hash: String =
        plugin.hash.as_deref().unwrap_or("-").chars().take(HASH_CHARS_SHOWN).collect();
    let state =
        plugin.refused.as_ref().map_or_else(|| "ok".into(), |why| format!("REFUSED: {why}"));
    match &plugin.descriptor {
        Some(it) => vec![
            it.name.clone(),
            it.exports_words(),
            it.version.clone(),
            format!("ABI {}", it.abi),
            hash,
            state,
        ],
        None => vec![file, "-".into(), "-".into(), "-".into(), hash, state],
    }
}

fn to_json(plugin: &Listed) -> Value {
    let it = plugin.descriptor.as_ref();
    let exports = it.map(|it| {
        let export = it.exports.iter().map(|it| json!({ "kind": it.kind.name(), "name": it.name }));
        export.collect::<Vec<_>>()
    });
    json!({
        "file": plugin.file,
        "name": it.map(|it| &it.name),
        "version": it.map(|it| &it.version),
        "abi": it.map(|it| it.abi.to_string()),
        "exports": exports,
        "hash": plugin.hash,
        "state": if plugin.refused.is_some() { "refused" } else { "ok" },
        "reason": plugin.refused.as_ref().map(ToString::to_string),
    })
}
