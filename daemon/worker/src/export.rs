//! Decides what a finished model folder holds: weights, config, and tokenizer or preprocessing, as
//! Hugging Face's libraries and timm expect them. The model card is added by the proof, which knows
//! what to say.

use crate::adapter;
use crate::checkpoint::Named;
use crate::durable::{self, Partial};
use crate::modality::{self, Encoder};
use crate::network::{self, THRESHOLDS, WEIGHTS};
use anyhow::{Context, Result};
use finetuned_job::plan::Plan;
use finetuned_models::{Adapter, AdapterNames, Checkpoint, Kind, ModelError, Rows, is_of_adapter};
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
    match plan.model.adapter.as_ref().filter(|_| plan.save.adapter) {
        Some(adapter) => {
            let adapter = adapter::of_plan(adapter);
            save_adapter(folder, &adapter, (plan, task_type(plan, base)), tensors)
        }
        None => finetuned_models::save_wide(tensors, &folder.join(WEIGHTS)),
    }
    .with_context(|| format!("writing {}", target.join(network::weights_file(plan)).display()))?;
    let outputs = plan.data.outputs();
    let pooling = plan.model.pooling.map(network::pooling);
    let rows = modality::of(plan.task.modality).rows();
    let head = network::own_head((plan.task.objective, rows), pooling, outputs.len() as i64);
    let size = encoder.preparation().image_size();
    let mut config = base.export_config(head, outputs, size);
    encoder.export(base.companions(), folder, &mut config)?;
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

/// What the adapter has and saves whole, in peft's form.
fn save_adapter(
    folder: &Path,
    adapter: &Adapter,
    (plan, task_type): (&Plan, Option<&str>),
    tensors: &Named,
) -> Result<(), ModelError> {
    let own: Named = tensors
        .iter()
        .filter(|it| is_of_adapter(&it.0) || adapter.saves(&it.0))
        .map(|(name, it)| (name.clone(), it.shallow_clone()))
        .collect();
    // As the hub's own libraries name it: `OWNER/NAME` and a revision, or a folder.
    let (base, revision) = match plan.model.whole_base().strip_prefix("hf:") {
        Some(name) => name.split_once('@').map_or((name, None), |it| (it.0, Some(it.1))),
        None => (&*plan.model.folder, None),
    };
    let names = AdapterNames { base, revision, task_type };
    finetuned_models::save_adapter(folder, adapter, names, &own)
}

/// What peft calls the task; it has no name for those of images and of masked tokens.
fn task_type(plan: &Plan, base: &Checkpoint) -> Option<&'static str> {
    match (base.kind(), modality::of(plan.task.modality).rows()) {
        _ if plan.task.objective.of_vocabulary() => base.is_decoder().then_some("CAUSAL_LM"),
        (Kind::Image, _) => None,
        (Kind::Text, Rows::PerToken) => Some("TOKEN_CLS"),
        (Kind::Text, Rows::PerExample) => Some("SEQ_CLS"),
    }
}
