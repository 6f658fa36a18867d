//! A model in use: batches in, outputs out. Whether it trains is `learner`'s business.

use crate::checkpoint;
use crate::extensions::{Extensions, PluginHead};
use crate::failures::model_failure;
use crate::modality;
use crate::plugins::{HeadFeatures, HeadInstance, HeadShape, PassNumbers};
use crate::units::Units;
use anyhow::{Context, Result};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::{self, Plan};
use finetuned_job::recipe::Head;
use finetuned_job::run_folder;
use finetuned_job::task::Objective;
use finetuned_models::{
    AdapterFolder, BuildOptions, Checkpoint, HeadKind, Input, Model, Parts, Pass, Pooling, Rows,
    Storage,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};

/// Name of the file of a finished model.
pub(crate) const WEIGHTS: &str = "model.safetensors";
/// In `config.json`: from which probability on each output is predicted, by its name. Other
/// libraries pay no heed to it.
pub(crate) const THRESHOLDS: &str = "decision_thresholds";

/// What a forward pass gives.
pub(crate) struct Forward {
    /// (batch, outputs): logits, or numbers in the model's own units; where tokens have outputs,
    /// (tokens, outputs).
    pub outputs: Tensor,
    /// (batch, width) or (tokens, width); absent where the head took a vector for each token.
    pub features: Option<Tensor>,
}

/// A model that was just read, with its own tensors.
pub(crate) struct Built {
    pub model: Box<dyn Model>,
    /// A plugin's, in the place of the model's own.
    pub head: Option<HeadInstance>,
    pub tensors: Vec<(String, Tensor)>,
    /// Those of the model's own head, where a plugin's stands in its place.
    pub own_head: Vec<(String, Tensor)>,
    pub parts: Parts,
    pub report: finetuned_models::LoadReport,
}

/// What a base's matrices are stored in.
pub(crate) fn storage(planned: plan::Storage) -> Storage {
    match planned {
        plan::Storage::Fp32 => Storage::Wide,
        plan::Storage::Lossless => Storage::Lossless,
        plan::Storage::Bf16 => Storage::Rounded,
    }
}

pub(crate) fn pooling(planned: plan::Pooling) -> Pooling {
    match planned {
        plan::Pooling::First => Pooling::First,
        plan::Pooling::Mean => Pooling::Mean,
    }
}

/// What a model is built with, for so many outputs of this head.
///
/// # Errors
/// A plugin's head that gives one row for all tokens of an example, where each has its own, or
/// where the vocabulary is predicted.
pub(crate) fn head_kind(
    head: Option<&PluginHead>,
    (objective, rows): (Objective, Rows),
    pooling: Option<Pooling>,
    outputs: i64,
) -> Result<HeadKind, Failure> {
    if head.is_some() && objective.of_vocabulary() {
        let message = "model.head is a plugin's, but the vocabulary is predicted, for which the base has a head";
        return Err(Failure::new(FailureKind::Recipe, message)
            .with_cure("leave model.head out of the recipe"));
    }
    let sequence = head.is_some_and(|it| it.instance.features() == HeadFeatures::Sequence);
    match (rows, sequence) {
        (Rows::PerToken, true) => {
            let message = "model.head is a plugin's that takes all tokens of a text together and gives one row of outputs, but every word is to have its own";
            Err(Failure::new(FailureKind::Recipe, message).with_cure(
                "choose a head that takes pooled features, or leave it out of the recipe",
            ))
        }
        (Rows::PerExample, true) => Ok(HeadKind::None(Rows::PerToken)),
        (rows, false) => {
            Ok(own_head((objective, rows), pooling.filter(|_| head.is_none()), outputs))
        }
    }
}

/// The head of a model's own family, or the linear one of rows that are made so.
pub(crate) fn own_head(
    (objective, rows): (Objective, Rows),
    pooling: Option<Pooling>,
    outputs: i64,
) -> HeadKind {
    match (rows, pooling) {
        _ if objective.of_vocabulary() => HeadKind::Vocabulary,
        (Rows::PerExample, None) => HeadKind::Classes(outputs),
        (Rows::PerExample, Some(pooling)) => HeadKind::Linear(outputs, pooling),
        (Rows::PerToken, _) => HeadKind::PerToken(outputs),
    }
}

pub(crate) fn build(
    checkpoint: &Checkpoint,
    options: &BuildOptions,
    head: Option<PluginHead>,
) -> Result<Built> {
    let finetuned_models::Built { model, mut tensors, report } =
        checkpoint.build(options).map_err(model_failure)?;
    let mut parts = model.parts().clone();
    let mut own_head = Vec::new();
    let head = head.map(|head| {
        let own = std::mem::take(&mut parts.head);
        parts.norms.retain(|it| !own.contains(it));
        own_head = tensors.extract_if(.., |it| own.contains(&it.0)).collect();
        parts.head = head.tensors.iter().filter(|it| it.2).map(|it| it.0.clone()).collect();
        parts.buffers.pop();
        parts.buffers.push(head.tensors.iter().filter(|it| !it.2).map(|it| it.0.clone()).collect());
        tensors.extend(head.tensors.into_iter().map(|(name, tensor, _)| (name, tensor)));
        head.instance
    });
    Ok(Built { model, head, tensors, own_head, parts, report })
}

/// The folder of a finished run's model.
///
/// # Errors
/// The run is not done.
pub(crate) fn finished(run: &Path) -> Result<PathBuf, Failure> {
    let folder = run.join(run_folder::MODEL);
    if run.join(run_folder::DONE).exists() && folder.exists() {
        return Ok(folder);
    }
    let message = format!("{} holds no finished model", run.display());
    Err(Failure::new(FailureKind::Model, message)
        .with_cure("`finetuned status` lists the runs that are done"))
}

pub(crate) struct Network {
    pub model: Box<dyn Model>,
    pub head: Option<HeadInstance>,
    /// With the plugin's head, where there is one.
    pub parts: Parts,
    /// Numbers in a row of predictions.
    pub outputs: usize,
    pub device: Device,
    /// Those of the model, where they are not those of the data: while numbers are learnt, and of a
    /// plugin's head that has learnt them.
    pub units: Option<Units>,
}

/// A finished model, as its folder has it.
pub(crate) struct Saved {
    pub network: Network,
    pub names: Vec<String>,
    /// As [`finetuned_answers::with_thresholds`] takes them.
    pub thresholds: Vec<f32>,
    /// Most tokens of a text; 0 of images.
    pub max_positions: u32,
}

impl Network {
    /// Opens a finished model folder, which has this head; the names of its outputs come from its
    /// config.
    pub(crate) fn open(
        folder: &Path,
        head: &Head,
        plan: &Plan,
        extensions: &Extensions,
        device: Device,
    ) -> Result<Saved> {
        let saved = open(folder, plan)?;
        let names = match plan.task.objective.of_vocabulary() {
            true => Vec::new(),
            false => output_names(saved.config_json()).with_context(|| {
                format!("{} names no outputs", folder.join("config.json").display())
            })?,
        };
        let outputs = names.len() as i64;
        let shape = HeadShape {
            device,
            width: saved.hidden_size(),
            outputs,
            seed: plan.train.seed,
            problem: plan.data.problem,
        };
        let head = extensions.head(head, shape)?;
        let units = head
            .as_ref()
            .map(|it| restore(folder, it, plan.task.objective, device))
            .transpose()?
            .flatten();
        let kind = match &head {
            None => HeadKind::Keep,
            Some(head) => HeadKind::None(match head.instance.features() {
                HeadFeatures::Pooled => modality::of(plan.task.modality).rows(),
                HeadFeatures::Sequence => Rows::PerToken,
            }),
        };
        // A finished model is as it is.
        let storage = match plan.model.storage {
            plan::Storage::Fp32 => Storage::Wide,
            plan::Storage::Lossless | plan::Storage::Bf16 => Storage::Lossless,
        };
        let options = BuildOptions { device, storage, ..BuildOptions::new(kind) };
        let Built { model, head, parts, .. } = build(&saved, &options, head)?;
        let thresholds = thresholds(saved.config_json(), &names).with_context(|| {
            format!("{} in {} is damaged", THRESHOLDS, folder.join("config.json").display())
        })?;
        let width = finetuned_answers::of(plan.task.answer, &names).width();
        let network = Network { model, head, parts, outputs: width, device, units };
        Ok(Saved { network, names, thresholds, max_positions: saved.max_positions() })
    }

    /// Whether the head takes a vector for each token.
    pub(crate) fn wants_sequence(&self) -> bool {
        self.head.as_ref().is_some_and(|it| it.features() == HeadFeatures::Sequence)
    }

    /// What trains from now on.
    pub(crate) fn set_trainable(
        &mut self,
        names: &BTreeSet<String>,
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<()> {
        self.model.set_trainable(names)?;
        if self.head.is_some() {
            for name in &self.parts.head {
                let _ = tensors.get(name).map(|it| it.set_requires_grad(names.contains(name)));
            }
        }
        Ok(())
    }

    /// What the first `stages` give.
    pub(crate) fn run(&self, input: &Input, stages: usize, pass: &Pass) -> Result<Input> {
        Ok(self.model.run(input, stages, pass)?)
    }

    /// What the head is given: all rows of the features, or these, (rows) int64.
    pub(crate) fn features(
        &self,
        input: &Input,
        rows: Option<&Tensor>,
        pass: &Pass,
    ) -> Result<Input> {
        let features = self.model.features(input, pass)?;
        let Some(rows) = rows else { return Ok(features) };
        // Each stands by itself: none belongs to a text any more.
        let lengths = vec![1; rows.numel()];
        Ok(Input::at(features.stage, features.xs.f_index_select(0, rows)?, lengths))
    }

    /// `rows`: as [`Network::features`] has them. `labels`: their targets, for a plugin's head,
    /// while it trains.
    pub(crate) fn forward(
        &self,
        input: &Input,
        rows: Option<&Tensor>,
        labels: Option<&Tensor>,
        pass: &Pass,
    ) -> Result<Forward> {
        let numbers = PassNumbers::of(pass);
        let features = self.features(input, rows, pass)?;
        let Some(head) = &self.head else {
            let outputs = self.model.head(&features, pass)?;
            return Ok(Forward { outputs, features: Some(features.xs) });
        };
        if head.features() == HeadFeatures::Pooled {
            let outputs = head.forward(&features.xs, None, labels, numbers)?;
            return Ok(Forward { outputs, features: Some(features.xs) });
        }
        let (padded, mask) = padded(&features)?;
        let outputs = head.forward(&padded, Some(&mask), labels, numbers)?;
        Ok(Forward { outputs, features: None })
    }

    /// (batch, outputs), or (rows, outputs) where only these rows are wanted, without gradients:
    /// logits, or numbers in the units of the data.
    pub(crate) fn outputs_of(&self, input: &Input, rows: Option<&Tensor>) -> Result<Tensor> {
        let forward = || self.forward(input, rows, None, &Pass::evaluation());
        let outputs = tch::no_grad(forward)?.outputs;
        self.units.as_ref().map_or(Ok(outputs.shallow_clone()), |it| it.up(&outputs))
    }
}

/// The file with the numbers of a finished model.
pub(crate) fn weights_file(plan: &Plan) -> &'static str {
    if plan.save.adapter { finetuned_models::ADAPTER_WEIGHTS } else { WEIGHTS }
}

/// A finished model's folder; where it holds an adapter, over the base that it was trained beside.
fn open(folder: &Path, plan: &Plan) -> Result<Checkpoint> {
    let Some(adapter) = AdapterFolder::open(folder).map_err(model_failure)? else {
        return Ok(finetuned_models::open(folder).map_err(model_failure)?);
    };
    let base = Path::new(&plan.model.folder);
    let whole = finetuned_models::open(base).map_err(model_failure)?;
    if plan.model.weights_hash != checkpoint::hashes(whole.weights_files())? {
        let message = format!(
            "the adapter in {} was trained beside other weights than those that now lie in {}",
            folder.display(),
            base.display()
        );
        return Err(Failure::new(FailureKind::Model, message)
            .with_cure("bring the base model back that the plan names, or train again")
            .into());
    }
    Ok(finetuned_models::open_adapted(adapter, whole).map_err(model_failure)?)
}

/// (batch, seq, width), and which of them are tokens: (batch, seq) int64.
fn padded(features: &Input) -> Result<(Tensor, Tensor)> {
    let Input { xs, lengths, .. } = features;
    let mask: Vec<Tensor> = lengths
        .iter()
        .map(|it| Tensor::f_ones([*it], tch::kind::INT64_CPU))
        .collect::<Result<_, _>>()?;
    let mask = Tensor::f_pad_sequence(&mask, true, 0.0, "right")?.f_to(xs.device())?;
    let rows = xs.f_split_with_sizes(lengths, 0)?;
    Ok((Tensor::f_pad_sequence(&rows, true, 0.0, "right")?, mask))
}

/// Gives a plugin's head the numbers that were saved; gives back its units, where it has learnt
/// numbers.
fn restore(
    folder: &Path,
    head: &PluginHead,
    objective: Objective,
    device: Device,
) -> Result<Option<Units>> {
    let path = folder.join(WEIGHTS);
    let mut saved: BTreeMap<String, Tensor> =
        finetuned_models::read(&path).map_err(model_failure)?.into_iter().collect();
    for (name, tensor, _) in &head.tensors {
        let value = saved.remove(name).with_context(|| {
            format!("{} has no {name}: the plugin has changed since", path.display())
        })?;
        tch::no_grad(|| tensor.shallow_clone().f_copy_(&value))
            .with_context(|| format!("loading {name}"))?;
    }
    let unit = |name: &str| {
        Ok(saved
            .remove(name)
            .with_context(|| format!("{} has no {name}", path.display()))?
            .f_to(device)?)
    };
    objective.in_units().then(|| Units::restore(unit)).transpose()
}

/// As transformers (`id2label`, in the order of its numbers) and timm (`label_names`) have them.
/// One for each output, or none where the config has none; nothing where it fits them not.
fn thresholds(config: &serde_json::Value, names: &[String]) -> Option<Vec<f32>> {
    let Some(each) = config.get(THRESHOLDS) else { return Some(Vec::new()) };
    let value = |name: &String| {
        let value = each.get(name)?.as_f64()? as f32;
        (0.0 < value && value < 1.0).then_some(value)
    };
    names.iter().map(value).collect()
}

pub(crate) fn output_names(config: &serde_json::Value) -> Option<Vec<String>> {
    let name = |it: &serde_json::Value| it.as_str().map(String::from);
    if let Some(names) = config.get("label_names") {
        return names.as_array()?.iter().map(name).collect();
    }
    let labels = config.get("id2label")?.as_object()?;
    (0..labels.len()).map(|it| name(labels.get(&it.to_string())?)).collect()
}
