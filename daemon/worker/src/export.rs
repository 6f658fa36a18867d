//! Decides what a finished model folder holds: weights, config, and tokenizer or preprocessing, as Hugging Face's
//! libraries and timm expect them. The model card is added by the proof, which knows what to say.

use crate::checkpoint::Named;
use crate::durable::{self, Partial};
use anyhow::{Context, Result};
use finetuned_job::data::Problem;
use finetuned_job::plan::Plan;
use finetuned_models::{Checkpoint, Kind};
use std::fs;
use std::path::Path;

pub(crate) const WEIGHTS: &str = "model.safetensors";
/// timm has it in its config.
const PREPROCESSING_FILES: &[&str] = &["preprocessor_config.json"];

pub(crate) fn write(target: &Path, base: &Checkpoint, plan: &Plan, tensors: &Named) -> Result<()> {
    let partial = Partial::new(target)?;
    let folder = partial.path();
    finetuned_models::save(tensors, &folder.join(WEIGHTS)).with_context(|| format!("writing {}", target.join(WEIGHTS).display()))?;
    durable::write_json(&folder.join("config.json"), &config(base, plan)?)?;
    // Those that exist, as they are: they fit the embeddings.
    let companions = if base.kind() == Kind::Text { finetuned_hub::TOKENIZER_FILES } else { PREPROCESSING_FILES };
    for name in companions {
        let source = base.folder().join(name);
        if source.exists() {
            fs::copy(&source, folder.join(name)).with_context(|| format!("copying {}", source.display()))?;
        }
    }
    partial.finish()
}

/// The base's own config with the names of the outputs, and what it otherwise leaves to the reader to guess.
fn config(base: &Checkpoint, plan: &Plan) -> Result<serde_json::Value> {
    let mut config = base.export_config(plan.data.outputs());
    let fields = config.as_object_mut().context("the base's config is no JSON object")?;
    if plan.data.problem != Problem::SingleLabel {
        fields.insert("problem_type".into(), serde_json::to_value(plan.data.problem)?);
    }
    Ok(config)
}
