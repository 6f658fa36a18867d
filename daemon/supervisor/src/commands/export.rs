//! `finetuned export RUN --gguf TYPE`: a worker writes the file, we say where it lies.

use super::{ask, run_folder_of};
use crate::cli::{Exit, ExportArgs};
use crate::config::Config;
use crate::home::Home;
use crate::report::Report;
use crate::words;
use anyhow::{Context, Result};
use finetuned_job::spec::Action;
use serde_json::Value;

pub(super) fn export(home: &Home, args: &ExportArgs, report: &mut Report) -> Result<Exit> {
    let config = Config::load(&home.root)?;
    let run = run_folder_of(home, &args.run)?;
    let out = args.out.as_ref().map(std::path::absolute).transpose()?;
    let (status, line) = ask(&config, Action::Export { gguf: args.gguf, out }, Some(&run))?;
    if !status.success() {
        return Ok(Exit::Error);
    }
    let line = String::from_utf8_lossy(&line);
    if args.json {
        report.json_text(&line)?;
        return Ok(Exit::Done);
    }
    let written: Value = serde_json::from_str(&line).context("reading the worker's answer")?;
    report.line(&format!(
        "{} ({}): read back, and it is the model",
        written["file"].as_str().unwrap_or_default(),
        words::bytes(written["bytes"].as_u64().unwrap_or(0))
    ))?;
    Ok(Exit::Done)
}
