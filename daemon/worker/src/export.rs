//! Decides what a finished model folder holds: weights, config, and tokenizer or preprocessing, as
//! Hugging Face's libraries and timm expect them. The model card is added by the proof, which knows
//! what to say.

use crate::checkpoint::Named;
use crate::durable::{self, Partial};
use crate::modality::{self, Encoder};
use crate::network::{self, THRESHOLDS, WEIGHTS};
use anyhow::{Context, Result};
use finetuned_job::plan::Plan;
use finetuned_models::Checkpoint;
use serde_json::Value;
use std::path::Path;

/// What the model's config follows from, besides the base's.
pub(crate) struct Config<'a> {
    pub plan: &'a Plan,
    pub encoder: &'a dyn Encoder,
    /// Of each output, or empty.
    pub thresholds: &'a [f32],
}

pub(crate) fn write(
    target: &Path,
    base: &Checkpoint,
    Config { plan, encoder, thresholds }: Config,
    tensors: &Named,
) -> Result<()> {
    let partial = Partial::new(target)?;
    let folder = partial.path();
    finetuned_models::save(tensors, &folder.join(WEIGHTS))
        .with_context(|| format!("writing {}", target.join(WEIGHTS).display()))?;
    let outputs = plan.data.outputs();
    let pooling = plan.model.pooling.map(network::pooling);
    let rows = modality::of(plan.task.modality).rows();
    let head = network::own_head((plan.task.objective, rows), pooling, outputs.len() as i64);
    let size = encoder.preparation().image_size();
    let mut config = base.export_config(head, outputs, size);
    encoder.export(base.folder(), folder, &mut config)?;
    let fields = config.as_object_mut().context("the base's config is no JSON object")?;
    if let Some(problem_type) = plan.task.problem_type {
        fields.insert("problem_type".into(), problem_type.into());
    }
    if !thresholds.is_empty() {
        let each = outputs.iter().cloned().zip(thresholds.iter().map(|it| Value::from(*it)));
        fields.insert(THRESHOLDS.into(), Value::Object(each.collect()));
    }
    durable::write_json(&folder.join("config.json"), &config)?;
    partial.finish()
}
