//! Decides what a finished model folder holds: weights, config, and tokenizer or preprocessing, as
//! Hugging Face's libraries and timm expect them. The model card is added by the proof, which knows
//! what to say.

use crate::checkpoint::Named;
use crate::durable::{self, Partial};
use crate::prepare;
use anyhow::{Context, Result};
use finetuned_images::Preprocess;
use finetuned_job::plan::Plan;
use finetuned_job::task::Answer;
use finetuned_models::{Checkpoint, HeadKind};
use std::fs;
use std::path::Path;

pub(crate) const WEIGHTS: &str = "model.safetensors";

pub(crate) fn write(target: &Path, base: &Checkpoint, plan: &Plan, tensors: &Named) -> Result<()> {
    let partial = Partial::new(target)?;
    let folder = partial.path();
    finetuned_models::save(tensors, &folder.join(WEIGHTS))
        .with_context(|| format!("writing {}", target.join(WEIGHTS).display()))?;
    let preprocess = prepare::preprocess(plan)?;
    durable::write_json(&folder.join("config.json"), &config(base, plan, preprocess.as_ref())?)?;
    match preprocess {
        Some(preprocess) => {
            if let Some(config) = preprocess.preprocessor_config(base.folder())? {
                durable::write_json(&folder.join("preprocessor_config.json"), &config)?;
            }
        }
        None => copy_tokenizer(base.folder(), folder)?,
    }
    partial.finish()
}

/// Those files that exist, as they are: they fit the embeddings.
fn copy_tokenizer(from: &Path, to: &Path) -> Result<()> {
    for name in finetuned_hub::TOKENIZER_FILES {
        let source = from.join(name);
        if source.exists() {
            fs::copy(&source, to.join(name))
                .with_context(|| format!("copying {}", source.display()))?;
        }
    }
    Ok(())
}

/// The base's own config with the names of the outputs, and what it otherwise leaves to the reader
/// to guess.
fn config(
    base: &Checkpoint,
    plan: &Plan,
    preprocess: Option<&Preprocess>,
) -> Result<serde_json::Value> {
    let size = preprocess.map(|it| [it.height.into(), it.width.into()]);
    let outputs = plan.data.outputs();
    let head = HeadKind::Classes(outputs.len() as i64);
    let mut config = base.export_config(head, outputs, size);
    if let Some(preprocess) = preprocess {
        preprocess.enter_in_config(&mut config);
    }
    let fields = config.as_object_mut().context("the base's config is no JSON object")?;
    if plan.data.problem != Answer::Class {
        fields.insert("problem_type".into(), serde_json::to_value(plan.data.problem)?);
    }
    Ok(config)
}
