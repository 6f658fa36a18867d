//! Decides what a finished model folder holds: weights, config and tokenizer, as Hugging Face's libraries
//! expect them. The model card is added by the proof, which knows what to say.

use crate::checkpoint::Named;
use crate::durable::{self, Partial};
use anyhow::{Context, Result};
use finetuned_models::Checkpoint;
use std::fs;
use std::path::Path;

pub(crate) const WEIGHTS: &str = "model.safetensors";

pub(crate) fn write(target: &Path, base: &Checkpoint, classes: &[String], tensors: &Named) -> Result<()> {
    let partial = Partial::new(target)?;
    let folder = partial.path();
    finetuned_models::save(tensors, &folder.join(WEIGHTS)).with_context(|| format!("writing {}", target.join(WEIGHTS).display()))?;
    durable::write_json(&folder.join("config.json"), &base.export_config(classes))?;
    // Those that exist, as they are: they fit the embeddings.
    for name in finetuned_hub::TOKENIZER_FILES {
        let source = base.folder().join(name);
        if source.exists() {
            fs::copy(&source, folder.join(name)).with_context(|| format!("copying {}", source.display()))?;
        }
    }
    partial.finish()
}
