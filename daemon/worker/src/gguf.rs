//! A finished model as one GGUF file, for llama.cpp and its kin. Decides which runs have one, what
//! it is called and what stands in it beside config and weights; these are the zoo's business, what
//! is said of the tokenizer that of `tokenizer`.

mod tokenizer; // a tokenizer's files -> what llama.cpp wants to know of it

use crate::durable;
use crate::failures::model_failure;
use crate::modality;
use crate::stop::Stop;
use anyhow::Result;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::Plan;
use finetuned_job::recipe::Gguf;
use finetuned_job::task::Task;
use finetuned_models::{Checkpoint, GgufType, GgufValue, ModelError};
use std::fs;
use std::path::Path;

/// Whether a model of this task that begins with `base` will have a GGUF file, so that nobody
/// trains in vain.
///
/// # Errors
/// It will not: the message says why.
pub(crate) fn check(task: Task, base: &Checkpoint) -> Result<()> {
    suits(task)?;
    base.check_gguf().map_err(no_gguf)?;
    tokenizer::values(base).map(drop)
}

/// # Errors
/// The model has no GGUF, for its task or its form.
pub(crate) fn check_run(plan: &Plan) -> Result<(), Failure> {
    suits(plan.task)?;
    if plan.save.adapter {
        let message = "the model's folder holds an adapter beside its base, and a GGUF file holds a whole model";
        return Err(Failure::new(FailureKind::Model, message)
            .with_cure("train with save.adapter = false, which merges it"));
    }
    Ok(())
}

fn suits(task: Task) -> Result<(), Failure> {
    if task.objective.goes_on() {
        return Ok(());
    }
    let message = format!(
        "a model of the task `{}` has no GGUF file: llama.cpp and its kin go on with texts",
        task.name
    );
    Err(Failure::new(FailureKind::Recipe, message).with_cure(
        "leave save.gguf out, or train with the task causal-language-modeling or text-generation",
    ))
}

/// Writes the model of `folder` to `path`, which gets its name when it has been read back and is
/// what it was made of. `name`: what readers show. The bytes written.
///
/// # Errors
/// Something has that name; no such model is llama.cpp's; the disk refuses; a stop signal.
pub(crate) fn write(
    (folder, name): (&Path, &str),
    of: Gguf,
    path: &Path,
    stop: &Stop,
) -> Result<u64> {
    if fs::symlink_metadata(path).is_ok() {
        let message = format!("{} is there already", path.display());
        let cure = match path.is_dir() {
            true => "name a file in it",
            false => "remove it, or choose another name",
        };
        return Err(Failure::new(FailureKind::Disk, message).with_cure(cure).into());
    }
    let model = finetuned_models::open(folder).map_err(model_failure)?;
    let mut values = vec![("general.name".to_string(), GgufValue::Text(name.into()))];
    values.extend(tokenizer::values(&model)?);
    if let Some(template) = modality::chat_template(folder)? {
        values.push(("tokenizer.chat_template".into(), GgufValue::Text(template)));
    }
    let of = match of {
        Gguf::F32 => GgufType::F32,
        Gguf::F16 => GgufType::F16,
        Gguf::Q8_0 => GgufType::Q8_0,
    };
    durable::write_new(path, |partial| {
        stop.check()?;
        model.write_gguf(partial, of, values).map_err(no_gguf)?;
        stop.check()
    })?;
    Ok(fs::metadata(path)?.len())
}

/// A disk that refuses is no fault of the model's.
fn no_gguf(err: ModelError) -> anyhow::Error {
    let cure = "leave save.gguf out, or choose another base model";
    match err {
        ModelError::NoGguf { .. } | ModelError::Missing { .. } => {
            model_failure(err).with_cure(cure).into()
        }
        other => other.into(),
    }
}
