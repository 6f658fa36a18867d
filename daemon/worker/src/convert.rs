//! The action `export`: a finished model in the form of others; one JSON object on stdout.

use crate::gguf;
use crate::network;
use crate::proof::read_json;
use crate::stop::Stop;
use anyhow::{Context, Result};
use finetuned_job::outcome::Done;
use finetuned_job::plan::Plan;
use finetuned_job::recipe::Gguf;
use finetuned_job::run_folder;
use finetuned_job::spec::Spec;
use serde_json::json;
use std::io::Write;
use std::path::Path;

/// `out`: absent, it is written into the model's folder.
pub(crate) fn export(spec: &Spec, of: Gguf, out: Option<&Path>, stop: &Stop) -> Result<()> {
    let folder = network::finished(&spec.run)?;
    let plan: Plan = read_json(&spec.run.join(run_folder::PLAN))?;
    let done: Done = read_json(&spec.run.join(run_folder::DONE))?;
    gguf::check_run(&plan)?;
    let path = out.map_or_else(|| folder.join(of.file_name()), Path::to_path_buf);
    let bytes = gguf::write((&folder, &done.name), of, &path, stop)?;
    writeln!(std::io::stdout(), "{}", json!({ "file": path, "bytes": bytes })).context("printing")
}
