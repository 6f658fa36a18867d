//! The way from a spec to a model ready to train: drop, recipe, base model, examples, encoding,
//! plan. Training, checking and proving all begin with it, so that they see the same data.

use crate::attempt::Attempt;
use crate::base_model::{self, BaseModel};
use crate::examples::ExampleSet;
use crate::extensions::{Extensions, PluginHead};
use crate::failures::model_failure;
use crate::modality::{self, Changes, Encoded, Encoder, Inputs, Piece};
use crate::network::{self, Built};
use crate::planning::{self, Facts, ModelFacts};
use crate::plugins::{Files, HeadShape};
use crate::rewards::Rewards;
use crate::{
    adapter, checkpoint, device, durable, feature_cache, freeze, gguf, plugin_reader, reward_model,
    sandbox, stranger_base,
};
use anyhow::{Context, Result};
use finetuned_answers::Target;
use finetuned_data::{Dataset, Example, Opened, Request};
use finetuned_job::data::{DataReport, NumberReport, TokenReport};
use finetuned_job::event::Phase;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::{LoadSummary, Plan, Pooling, Storage};
use finetuned_job::recipe::{Method, Recipe};
use finetuned_job::run_folder;
use finetuned_job::scores::Split;
use finetuned_job::spec::Spec;
use finetuned_job::task::{Modality, Objective, TASKS, Task};
use finetuned_models::{Adapter, BuildOptions, Checkpoint, HeadKind, Kind, LoadReport};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What a spec is about, read and prepared.
pub(crate) struct Prepared {
    pub recipe: Recipe,
    pub task: Task,
    pub base: BaseModel,
    pub encoder: Rc<dyn Encoder>,
    pub data: Data,
    pub extensions: Extensions,
    pub storage: Storage,
    /// Of answers that the model makes itself.
    pub rewards: Option<Rc<Rewards>>,
}

impl Prepared {
    /// What a learner takes besides model and plan.
    pub(crate) fn learning(&self) -> (&Extensions, Option<Rc<Rewards>>) {
        (&self.extensions, self.rewards.clone())
    }
}

pub(crate) struct Data {
    pub report: DataReport,
    /// Names of the model's outputs.
    pub outputs: Vec<String>,
    pub train: ExampleSet,
    pub validation: ExampleSet,
    pub test: ExampleSet,
    /// Training and validation examples together, where a model learns from them all in the end.
    pub all: Option<ExampleSet>,
}

impl Data {
    pub(crate) fn report_split(&self) -> (Split, &ExampleSet) {
        if 0 < self.test.len() {
            (Split::Test, &self.test)
        } else {
            (Split::Validation, &self.validation)
        }
    }

    /// Those that are learnt, over the training examples.
    pub(crate) fn numbers(&self) -> &[NumberReport] {
        &self.report.numbers
    }
}

pub(crate) fn prepare(attempt: &mut Attempt) -> Result<Prepared> {
    let spec = attempt.spec;
    let drop = spec.drop.as_deref().context("the spec names no drop")?;
    let staging = spec.run.join(run_folder::STAGING);
    let opened = finetuned_data::open(drop, &staging, &mut attempt.reading())?;
    let Asked { recipe, near, is_strange } = recipe(spec, &opened)?;
    let needs_network = !is_here(&recipe, &near);
    if !needs_network {
        sandbox::cut_network(spec)?;
    }
    let extensions = Extensions::of_recipe(spec, &recipe)?;
    let opened = match read_by_plugin(attempt, &recipe, &opened, &extensions)? {
        Some(folder) => finetuned_data::open(&folder, &staging, &mut attempt.reading())?,
        None => opened,
    };
    // Before a base model is fetched: data that can't be learnt need none.
    let request = Request {
        task: recipe.task,
        choice: &recipe.data,
        validation: planning::defaults::validation,
        seed: planning::defaults::SPLIT_SEED,
        run: &spec.run,
        threads: spec.threads as usize,
    };
    let dataset = opened.load(&request, &mut attempt.reading())?;
    let task = dataset.task;
    let base_name = recipe.model.base.clone().unwrap_or_else(|| task.base.into());
    let mut find = |is_strange: bool, name: &str, to: &str| {
        let progress = &mut attempt.pulling();
        match is_strange {
            true => stranger_base::resolve(spec, name, (&near, to), progress),
            false => Ok(finetuned_hub::resolve(name, &near, progress)?),
        }
    };
    let base = base_model::open(&base_name, &near, |name, what| {
        find(is_strange && recipe.model.base.is_some(), name, what)
    })?;
    let rewards = recipe.reward_models();
    let models = reward_model::find_all(&rewards, &near, |name, to| find(is_strange, name, to))?;
    if needs_network {
        sandbox::cut_network(spec)?;
    }
    let recipe = adapter::recipe_on(recipe, &base.checkpoint)?;
    check_stays(&recipe, &base.checkpoint, spec)?;
    if base.checkpoint.kind() != modality::of(task.modality).models() {
        return Err(mismatch(&base_name, &base.checkpoint, task.modality).into());
    }
    planning::check_rewards(&recipe, task, &dataset.report)?;
    let encoder: Rc<dyn Encoder> =
        modality::of(task.modality).encoder(&base.checkpoint, &recipe)?.into();
    let rewards = match task.objective.samples() {
        true => Some(Rc::new(Rewards::new(
            &recipe.rewards,
            |it| extensions.reward(it),
            (&models, device::choose(spec.device)?),
            Rc::clone(&encoder),
        )?)),
        false => None,
    };
    let refits = planning::refits(&recipe, task, &dataset.report)?;
    let data = encode(dataset, refits, encoder.as_ref(), attempt)?;
    let numbers = base.checkpoint.numbers();
    let storage = planning::defaults::storage(recipe.model.dtype, numbers, spec.memory_bytes);
    Ok(Prepared { recipe, task, base, encoder, data, extensions, storage, rewards })
}

/// An adapter is left beside its base, which a copy of a drop's folder does not outlive.
fn check_stays(recipe: &Recipe, base: &Checkpoint, spec: &Spec) -> Result<(), Failure> {
    if !recipe.save.adapter || !base.folder().starts_with(spec.run.join(run_folder::STAGING)) {
        return Ok(());
    }
    let message = "save.adapter leaves the adapter beside its base, but the base lies in the drop, which goes when the job is done";
    Err(Failure::new(FailureKind::Recipe, message).with_cure(
        "leave save.adapter out of the recipe, which merges both, or name a base of the hub",
    ))
}

/// Whether no model has to be fetched, whichever task the data turn out to be.
fn is_here(recipe: &Recipe, near: &Path) -> bool {
    let rewards = recipe.reward_models().into_iter().all(|it| finetuned_hub::is_here(it, near));
    rewards
        && match (&recipe.model.base, recipe.task) {
            (Some(base), _) => finetuned_hub::is_here(base, near),
            (None, Some(task)) => finetuned_hub::is_here(task.base, near),
            (None, None) => TASKS.iter().all(|it| finetuned_hub::is_here(it.base, near)),
        }
}

fn mismatch(name: &str, base: &Checkpoint, modality: Modality) -> Failure {
    let model = match base.kind() {
        Kind::Text => "texts",
        Kind::Image => "images",
    };
    let message = format!(
        "the data are {}s, but {name} ({}) is a model of {model}",
        modality.noun(),
        base.architecture()
    );
    Failure::new(FailureKind::Recipe, message).with_cure("set model.base, or task, in the recipe")
}

fn encode(
    dataset: Dataset,
    refits: bool,
    encoder: &dyn Encoder,
    attempt: &mut Attempt,
) -> Result<Data> {
    let Dataset { outputs, train, validation, test, mut report, images, origins, .. } = dataset;
    let all = refits.then(|| [train.as_slice(), &validation].concat());
    let again = all.as_ref().map_or(0, Vec::len);
    let total = (train.len() + validation.len() + test.len() + again) as u64;
    if 0 < encoder.preparation().max_tokens {
        attempt.journal.phase(Phase::Tokenizing, Some(total))?;
    }
    let mut before = 0;
    let mut set = |mut examples: Vec<Example>, texts_again: bool| -> Result<ExampleSet> {
        let mut targets: Vec<Target> =
            examples.iter_mut().map(|it| std::mem::take(&mut it.target)).collect();
        let (images, origins) = (images.clone(), origins.clone());
        let mut inputs = Inputs::Split { examples: examples.into(), images, origins };
        let encoded =
            encoder.encode(&inputs, &mut |done| attempt.progress(before + done, total))?;
        before += targets.len() as u64;
        if let Some(pieces) = encoded.pieces() {
            targets = pieces.iter().map(|it| targets[it.record as usize].clone()).collect();
            inputs = inputs.cut(encoded.as_ref());
        }
        if !texts_again {
            inputs.forget_texts();
        }
        Ok(ExampleSet { inputs, encoded, targets, reference: OnceCell::new() })
    };
    // The texts of the split that is reported on are shown in predictions.csv.
    let tested = !test.is_empty();
    let (train, validation) = (set(train, false)?, set(validation, !tested)?);
    let test = set(test, tested)?;
    let all = all.map(|it| set(it, false)).transpose()?;
    let sets = [&train, &validation, &test].map(|it| it.encoded.as_ref());
    report.warnings.extend(encoder.notes(&sets));
    report.warnings.extend(note_pieces(&sets, total - again as u64, encoder));
    report.tokens = encoder.token_report(&sets);
    report.warnings.extend(report.tokens.as_ref().and_then(TokenReport::warning));
    Ok(Data { report, outputs, train, validation, test, all })
}

/// Where texts were cut into several examples.
fn note_pieces(sets: &[&dyn Encoded; 3], texts: u64, encoder: &dyn Encoder) -> Option<String> {
    let pieces = sets.iter().filter_map(|it| it.pieces()).map(<[Piece]>::len).sum::<usize>();
    let max_tokens = encoder.preparation().max_tokens;
    (texts < pieces as u64).then(|| {
        format!("{texts} texts were cut into {pieces} passages of at most {max_tokens} tokens")
    })
}

/// A model at its beginning, and how it learns.
pub(crate) struct Begun {
    pub model: Built,
    adapter: Option<Adapter>,
    method: Method,
    pooling: Option<Pooling>,
}

/// Loads the base model, and gives it the head that is to learn.
pub(crate) fn begin(attempt: &mut Attempt, prepared: &Prepared) -> Result<Begun> {
    attempt.journal.phase(Phase::Loading, None)?;
    let Prepared { recipe, task, encoder, data, extensions, .. } = prepared;
    let base = &prepared.base.checkpoint;
    let device = device::choose(attempt.spec.device)?;
    let outputs = data.outputs.len() as i64;
    let (image_size, seed) = (encoder.preparation().image_size(), recipe.train.seed);
    let shape =
        HeadShape { device, width: base.hidden_size(), outputs, seed, problem: task.answer };
    let head = extensions.head(&recipe.model.head, shape)?;
    let rows = modality::of(task.modality).rows();
    let mut method = planning::method(recipe, (task.objective, rows), &data.report)?;
    if method != Method::Full && base.is_decoder() {
        // Its head has no bias, so it can't be a probe.
        method = bias_wanted(recipe, base)?;
    }
    let keeps_head = base_model::keeps_head(base, recipe, *task, &data.outputs);
    let is_whole = recipe.save.adapter && base.kind() == Kind::Text;
    if method == Method::Auto && (is_whole || keeps_head) {
        // The form of a text's model that begins with a probe is not all adapter and head.
        method = Method::Full;
    }
    let mut pooling = pooling(base, method)?;
    let options = |head: Option<&PluginHead>, pooling: Option<Pooling>| {
        let pooling = pooling.map(network::pooling);
        let kind = match keeps_head {
            true => HeadKind::Keep,
            false => network::head_kind(head, (task.objective, rows), pooling, outputs)?,
        };
        Ok::<_, Failure>(BuildOptions {
            dropout: planning::dropout(recipe, *task),
            attention_dropout: recipe.model.attention_dropout,
            image_size,
            device,
            seed,
            storage: network::storage(prepared.storage),
            ..BuildOptions::new(kind)
        })
    };
    let mut model = network::build(base, &options(head.as_ref(), pooling)?, head)?;
    let mut adapter = adapt(&mut model, recipe, base);
    let names_all = adapter.is_ok() && has_all(recipe, &model);
    if recipe.train.method == Method::Auto && pooling.is_some() && !names_all {
        // The recipe may name tensors of the family's own head.
        (method, pooling) = (Method::Full, None);
        model = network::build(base, &options(None, None)?, None)?;
        adapter = adapt(&mut model, recipe, base);
    }
    let adapter = adapter?;
    can_give_units(task.objective, base, &model)?;
    can_be_rounded(recipe, &model.report)?;
    Ok(Begun { model, adapter, method, pooling })
}

/// How a decoder learns, in the place of a probe.
fn bias_wanted(recipe: &Recipe, base: &Checkpoint) -> Result<Method, Failure> {
    if recipe.train.method != Method::Probe {
        return Ok(Method::Full);
    }
    let message = format!(
        "train.method is `probe`, but a {} ends with a linear map without a bias, which can be none",
        base.architecture()
    );
    Err(Failure::new(FailureKind::Recipe, message)
        .with_cure("leave it out of the recipe, or set model.base to an encoder"))
}

/// Numbers are learnt in units of their own, and those of the data are put into weight and bias.
fn can_give_units(objective: Objective, base: &Checkpoint, model: &Built) -> Result<(), Failure> {
    if !objective.in_units() || model.head.is_some() || !model.parts.outputs.is_empty() {
        return Ok(());
    }
    let message = format!(
        "a {} ends with a linear map without a bias, which can't give numbers in their own units",
        base.architecture()
    );
    Err(Failure::new(FailureKind::Recipe, message)
        .with_cure("set model.base to an encoder, such as MiniLM or RoBERTa; where the numbers are answers to questions, set task to \"text-generation\" or \"grpo\""))
}

/// An adapter that is left beside a base has learnt beside its numbers as the files have them.
fn can_be_rounded(recipe: &Recipe, report: &LoadReport) -> Result<(), Failure> {
    let [first, ..] = &report.rounded[..] else { return Ok(()) };
    if !recipe.save.adapter {
        return Ok(());
    }
    let message = format!(
        "model.dtype is `bf16`, which rounds {} matrices of the base ({first} ...), but save.adapter leaves the adapter beside the base as it is",
        report.rounded.len()
    );
    Err(Failure::new(FailureKind::Recipe, message)
        .with_cure("leave model.dtype out of the recipe, or save.adapter: the finished model then has the rounded numbers"))
}

/// Gives the model the adapter that the recipe asks for, if it does. That of the base it has.
fn adapt(model: &mut Built, recipe: &Recipe, base: &Checkpoint) -> Result<Option<Adapter>> {
    let Some(choice) = &recipe.adapter else { return Ok(None) };
    let linears = model.model.linears().keys().cloned().collect();
    let adapter = match base.adapter() {
        Some(folder) => {
            return Ok(Some(adapter::of_base(folder.adapter(), recipe, &linears, &model.parts)?));
        }
        None => adapter::of_recipe(choice, base.architecture(), &linears, &model.parts)?,
    };
    if recipe.save.adapter {
        adapter::check_left(&adapter, &model.parts)?;
    }
    let added = model.model.adapt(&adapter, recipe.train.seed)?;
    let own = model.model.parts();
    model.parts.embeddings.clone_from(&own.embeddings);
    model.parts.layers.clone_from(&own.layers);
    model.parts.held.clone_from(&own.held);
    model.tensors.extend(added);
    Ok(Some(adapter))
}

/// Builds the model and decides the plan; `plan.json` and `data.json` are left to the caller.
pub(crate) fn decide(attempt: &mut Attempt, prepared: &Prepared) -> Result<(Plan, Built)> {
    let Prepared { recipe, task, encoder, data, extensions, storage, .. } = prepared;
    let base = &prepared.base.checkpoint;
    extensions.suit(task.answer)?;
    if recipe.save.gguf.is_some() {
        gguf::check(*task, base)?;
    }
    let Begun { model, adapter, method, pooling } = begin(attempt, prepared)?;
    let spec = attempt.spec;
    let preparation = encoder.preparation();
    let tensors: BTreeMap<String, Vec<i64>> =
        model.tensors.iter().map(|(name, it)| (name.clone(), it.size())).collect();
    let facts = Facts {
        method,
        pooling,
        adapter: adapter.as_ref(),
        task: *task,
        data: &data.report,
        examples: [&data.train, &data.validation, &data.test].map(|it| it.len() as u64),
        preprocess: preparation.preprocess.as_ref(),
        tokens: [&data.train, &data.validation]
            .into_iter()
            .flat_map(|it| it.encoded.lengths())
            .map(u64::from)
            .sum(),
        model: ModelFacts {
            base: prepared.base.name.clone(),
            folder: base.folder().display().to_string(),
            architecture: base.architecture().into(),
            weights_hash: checkpoint::hashes(base.weights_files())?,
            base_adapter: prepared.base.adapter_plan()?,
            width: base.hidden_size(),
            dropout: base.dropout(),
            storage: *storage,
            new: model.report.initialised().map(Into::into).collect(),
            load: load_summary(&model.report),
        },
        outline: &model.model.outline(preparation.image_size().unwrap_or_default())?,
        parts: &model.parts,
        plugins: extensions.plan(),
        reward_models: prepared.rewards.as_ref().map_or_else(Vec::new, |it| it.models()),
        tensors: &tensors,
        cache_bytes_max: feature_cache::bytes_max(spec.features.as_ref()),
        threads: spec.threads,
        libtorch: finetuned_libtorch::version(),
        device: device::name(device::choose(spec.device)?),
    };
    let plan = planning::plan(recipe, preparation.max_tokens, facts)?;
    extensions.try_metrics(&plan)?;
    Ok((plan, model))
}

fn load_summary(report: &LoadReport) -> LoadSummary {
    LoadSummary {
        loaded: report.loaded.len() as u64,
        missing: report.missing.clone(),
        surplus: report.surplus.clone(),
    }
}

/// What makes a row of a text's tokens, where a linear head learns from a probe on.
fn pooling(base: &Checkpoint, method: Method) -> Result<Option<Pooling>> {
    if method == Method::Full {
        return Ok(None);
    }
    Ok(base.pooling().map_err(model_failure)?.map(|it| match it {
        finetuned_models::Pooling::First => Pooling::First,
        finetuned_models::Pooling::Mean => Pooling::Mean,
    }))
}

/// Whether each pattern of the recipe selects tensors of this model.
fn has_all(recipe: &Recipe, model: &Built) -> bool {
    let later = recipe.freeze.unfreeze.iter().map(|it| &it.train);
    let patterns = freeze::patterns(&recipe.freeze.train, later);
    let names = freeze::parameters(model.tensors.iter().map(|it| &it.0), &model.parts);
    freeze::select(&patterns, &model.parts, &names).is_ok()
}

pub(crate) fn write_findings(run: &Path, plan: &Plan, data: &DataReport) -> Result<()> {
    durable::write_json(&run.join(run_folder::DATA), data)?;
    durable::write_json(&run.join(run_folder::PLAN), plan)
}

/// What a plugin's reader finds in the drop, in a folder of the staging area; nothing where none
/// of those loaded reads it.
fn read_by_plugin(
    attempt: &mut Attempt,
    recipe: &Recipe,
    opened: &Opened,
    extensions: &Extensions,
) -> Result<Option<PathBuf>> {
    if recipe.plugins.load.is_empty() {
        return Ok(None);
    }
    let (root, files) = opened.files()?;
    let files = Files { folder: &root, files: &files };
    let Some(reader) = extensions.reader(recipe, files)? else { return Ok(None) };
    attempt.journal.phase(Phase::Reading, None)?;
    let folder = attempt.spec.run.join(run_folder::STAGING).join("read");
    durable::remove_tree(&folder)?;
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let bad = plugin_reader::read(&reader, files, &folder)?;
    if 0 < bad {
        attempt
            .journal
            .warn(format!("the reader passed over {bad} examples; worker.log says which"))?;
    }
    Ok(Some(folder))
}

/// A recipe, and the folder that paths in it are relative to.
struct Asked {
    recipe: Recipe,
    near: PathBuf,
    /// It came with the drop.
    is_strange: bool,
}

/// The recipe in the drop wins over the one bound to the inbox; paths in it are relative to its
/// folder.
fn recipe(spec: &Spec, opened: &Opened) -> Result<Asked> {
    let is_strange = opened.recipe().is_some();
    let Some(found) = opened.recipe().or(spec.recipe.as_ref()) else {
        return Ok(Asked { recipe: Recipe::default(), near: ".".into(), is_strange });
    };
    let recipe = Recipe::parse(&found.text).map_err(|err| {
        let at = err.line.map(|it| format!(":{it}")).unwrap_or_default();
        Failure::new(FailureKind::Recipe, format!("{}{at}: {}", found.file.display(), err.message))
    })?;
    let near = found.file.parent().unwrap_or(Path::new(".")).to_path_buf();
    Ok(Asked { recipe, near, is_strange })
}

/// How training images are changed, from the first epoch on.
pub(crate) fn changes(plan: &Plan, prepared: &Prepared) -> Result<Option<Changes>> {
    let plugin = prepared.extensions.augmentation(&prepared.recipe)?;
    let augment = plan.augment.clone();
    Ok(augment.map(|augment| Changes { augment, plugin, seed: plan.train.seed, epoch: 0 }))
}
