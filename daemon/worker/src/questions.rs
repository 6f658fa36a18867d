//! The actions that train nothing: `check`, `pull`, `inspect`, `doctor`. Answers are files in the
//! run folder (`check`) or JSON on stdout.

use crate::attempt::Attempt;
use crate::estimate::Sample;
use crate::learner::Learner;
use crate::{base_model, device, estimate, network, precision, prepare, sandbox, stderr};
use anyhow::{Context, Result};
use finetuned_job::data::DataReport;
use finetuned_models::{BuildOptions, HeadKind};
use serde_json::{Value, json};
use std::path::Path;

/// `data.json` and `plan.json`, and no training.
pub(crate) fn check(attempt: &mut Attempt) -> Result<()> {
    let prepared = prepare::prepare(attempt)?;
    let (mut plan, model) = prepare::decide(attempt, &prepared)?;
    let device = device::choose(attempt.spec.device)?;
    let mut learner =
        Learner::new(model, device, &plan, prepared.data.numbers(), prepared.learning())?;
    let data = prepared.data;
    // Nothing is learnt here, so the model is still the base.
    learner.objective.be_base();
    learner.unfreeze(&plan, 1)?;
    let sample = Sample::new(&learner, &plan, &data.train);
    precision::settle(&mut learner, &mut plan, &sample)?;
    let estimate = estimate::estimate(&mut learner, &plan, &sample)?;
    let report = DataReport { estimate: Some(estimate), ..data.report };
    prepare::write_findings(&attempt.spec.run, &plan, &report)
}

/// The folder of a base model, fetched where it is not there yet.
pub(crate) fn pull(base: &str) -> Result<()> {
    let resolved = finetuned_hub::pull(base, Path::new("."), &mut |file, done, total| {
        let of = total.map_or_else(String::new, |it| format!(" of {it}"));
        stderr::say(&format!("{file}: {done}{of} bytes"));
    })?;
    answer(
        &json!({ "name": resolved.name, "folder": resolved.folder, "revision": resolved.revision }),
    )
}

/// The base models in the cache.
pub(crate) fn list_models() -> Result<()> {
    let models = finetuned_hub::list().into_iter();
    answer(&models.map(|it| json!({ "name": it.name, "revision": it.revision, "bytes": it.bytes, "files": it.files })).collect())
}

fn answer(value: &Value) -> Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value).context("printing")?;
    out.write_all(b"\n").context("printing")
}

/// What a base model is and how its tensors meet ours.
pub(crate) fn inspect(base: &str) -> Result<()> {
    let near = Path::new(".");
    let mut resolved = None;
    let found = base_model::open(base, near, |name, _| {
        let progress = &mut |file: &str, done, _| stderr::say(&format!("{file}: {done} bytes"));
        let found = finetuned_hub::resolve(name, near, progress)?;
        resolved.get_or_insert_with(|| found.clone());
        Ok(found)
    })?;
    let (checkpoint, resolved) = (found.checkpoint, resolved.context("no model was looked for")?);
    /// As many as any classifier has; the answer says nothing about it.
    const CLASSES: i64 = 2;
    let options = BuildOptions::new(HeadKind::Classes(CLASSES));
    let model = network::build(&checkpoint, &options, None)?;
    let head = &model.parts.head;
    let tensors: Vec<Value> = model
        .tensors
        .iter()
        .map(|(name, it)| json!({ "name": name, "shape": it.size(), "head": head.contains(name) }))
        .collect();
    let parameters: usize = model
        .tensors
        .iter()
        .filter(|(name, _)| !head.contains(name))
        .map(|(_, it)| it.numel())
        .sum();
    answer(&json!({
        "name": resolved.name,
        "folder": resolved.folder,
        "revision": resolved.revision,
        "architecture": checkpoint.architecture(),
        "layers": checkpoint.layers(),
        "hidden_size": checkpoint.hidden_size(),
        "max_tokens": checkpoint.max_positions(),
        "body_parameters": parameters,
        "loaded": model.report.loaded.len(),
        "missing": model.report.missing,
        "surplus": model.report.surplus,
        "reinitialised": model.report.reinitialised.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(),
        "tensors": tensors,
    }))
}

/// What libtorch says of itself, and that it computes.
pub(crate) fn doctor() -> Result<()> {
    let product = tch::Tensor::f_ones([2, 3], (tch::Kind::Float, tch::Device::Cpu))?
        .f_matmul(&tch::Tensor::f_ones([3, 2], (tch::Kind::Float, tch::Device::Cpu))?)?;
    answer(&json!({
        "worker": env!("CARGO_PKG_VERSION"),
        "libtorch": finetuned_libtorch::version(),
        "threads": tch::get_num_threads(),
        "landlock": sandbox::landlock_version(),
        "cuda_devices": tch::Cuda::device_count(),
        "computes": product.f_sum(tch::Kind::Float)?.f_double_value(&[])? == 12.0,
    }))
}
