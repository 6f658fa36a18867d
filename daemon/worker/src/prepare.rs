//! The way from a spec to a model ready to train: drop, recipe, base model, examples, tokens, plan.
//! Training, checking and proving all begin with it, so that they see the same data.

use crate::examples::{ExampleSet, Inputs, Targets};
use crate::extensions::Extensions;
use crate::images::{Changes, ImageSet, Source};
use crate::journal::Journal;
use crate::network::{self, Built};
use crate::objective::Scale;
use crate::planning::{self, Facts, ModelFacts};
use crate::plugins::{Files, HeadShape};
use crate::stop::Stop;
use crate::tokens::{self, Encoder, Row, TokenSet};
use crate::{checkpoint, device, durable, kept, plugin_reader};
use anyhow::{Context, Result};
use finetuned_data::{
    Dataset, Example, ImageChoice, ImageDataset, ImageExample, ImageRequest, Opened,
};
use finetuned_images::{Augment, Preprocess};
use finetuned_job::data::DataReport;
use finetuned_job::event::Phase;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::{LoadSummary, Plan};
use finetuned_job::recipe::Recipe;
use finetuned_job::run_folder;
use finetuned_job::scores::Split;
use finetuned_job::spec::Spec;
use finetuned_job::task::{Answer, Modality, Task};
use finetuned_models::{BuildOptions, Checkpoint, Kind};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::Device;

/// What a spec is about, read and judged.
pub(crate) struct Prepared {
    pub recipe: Recipe,
    pub task: Task,
    pub base: Checkpoint,
    pub base_name: String,
    pub data: Data,
    pub extensions: Extensions,
}

pub(crate) struct Data {
    pub report: DataReport,
    pub train: ExampleSet,
    pub validation: ExampleSet,
    pub test: ExampleSet,
    /// What the examples of the split that the report is about are called, for `predictions.csv`.
    pub shown: Vec<Shown>,
}

pub(crate) struct Shown {
    /// The text, or where the image lies.
    pub what: Box<str>,
    /// Index into the files of the report.
    pub file: u32,
    pub line: u64,
}

impl Data {
    pub(crate) fn report_split(&self) -> (Split, &ExampleSet) {
        if 0 < self.test.len() {
            (Split::Test, &self.test)
        } else {
            (Split::Validation, &self.validation)
        }
    }

    /// The units in which numbers are learnt.
    pub(crate) fn scale(&self, device: Device) -> Result<Option<Scale>> {
        let numbers = self.report.images.as_ref().map_or(&[][..], |it| &it.numbers);
        if numbers.is_empty() {
            return Ok(None);
        }
        let (mean, deviation): (Vec<f64>, Vec<f64>) =
            numbers.iter().map(|it| (it.mean, it.deviation)).unzip();
        Scale::new(&mean, &deviation, device).map(Some)
    }

    /// How images are brought to numbers.
    pub(crate) fn preprocess(&self) -> Option<&Preprocess> {
        match &self.train.inputs {
            Inputs::Texts(_) => None,
            Inputs::Images(it) => Some(&it.preprocess),
        }
    }
}

pub(crate) fn prepare(spec: &Spec, journal: &mut Journal, stop: &Stop) -> Result<Prepared> {
    let drop = spec.drop.as_deref().context("the spec names no drop")?;
    let opened = finetuned_data::open(
        drop,
        &spec.run.join(run_folder::STAGING),
        &mut telling(journal, stop),
    )?;
    let (recipe, near) = recipe(spec, &opened)?;
    let extensions = Extensions::of_recipe(spec, &recipe)?;
    let opened = match read_by_plugin(spec, &recipe, &opened, &extensions, journal)? {
        Some(folder) => finetuned_data::open(
            &folder,
            &spec.run.join(run_folder::STAGING),
            &mut telling(journal, stop),
        )?,
        None => opened,
    };
    let of_images = match recipe.task {
        Some(task) => task.modality == Modality::Image,
        None => opened.image_form()?.is_some(),
    };
    let modality = if of_images { Modality::Image } else { Modality::Text };
    let usual = Task::of(modality, Answer::Class).map_or("", |it| it.base);
    let base_name = recipe.model.base.clone().unwrap_or_else(|| usual.into());
    let resolved = finetuned_hub::resolve(&base_name, &near, &mut pulling(journal, stop))?;
    let base = finetuned_models::open(&resolved.folder).map_err(model_failure)?;
    if (base.kind() == Kind::Image) != of_images {
        return Err(mismatch(&base_name, &base, of_images).into());
    }
    let data = if of_images {
        images(spec, &recipe, &opened, &base, journal, stop)?
    } else {
        texts(spec, &recipe, &opened, &base, journal, stop)?
    };
    let problem = data.report.images.as_ref().map(|it| it.problem);
    let (modality, answer) =
        problem.map_or((Modality::Text, Answer::Class), |it| (Modality::Image, it));
    let task = Task::of(modality, answer).context("no task has these data")?;
    Ok(Prepared { recipe, task, base, base_name, data, extensions })
}

fn mismatch(name: &str, base: &Checkpoint, images: bool) -> Failure {
    let (data, model) = if images { ("images", "texts") } else { ("texts", "images") };
    let message =
        format!("the data are {data}, but {name} ({}) is a model of {model}", base.architecture());
    Failure::new(FailureKind::Recipe, message).with_cure("set model.base, or task, in the recipe")
}

fn texts(
    spec: &Spec,
    recipe: &Recipe,
    opened: &Opened,
    base: &Checkpoint,
    journal: &mut Journal,
    stop: &Stop,
) -> Result<Data> {
    let max_tokens = planning::max_tokens(recipe, base.max_positions())?;
    let encoder = Encoder::open(base.folder(), max_tokens)?;
    let quarantine = spec.run.join(run_folder::QUARANTINE);
    let dataset =
        opened.load(&recipe.data, recipe.train.seed, &quarantine, &mut telling(journal, stop))?;
    tokenized(dataset, &encoder, max_tokens, journal, stop)
}

fn images(
    spec: &Spec,
    recipe: &Recipe,
    opened: &Opened,
    base: &Checkpoint,
    journal: &mut Journal,
    stop: &Stop,
) -> Result<Data> {
    let wrong =
        |err: finetuned_images::PreprocessError| Failure::new(FailureKind::Model, err.to_string());
    let preprocess =
        Preprocess::read_at_size(base.folder(), recipe.model.image_size.map(|side| [side; 2]))
            .map_err(wrong)?;
    let labels = recipe.data.label.iter().chain(&recipe.data.labels).cloned().collect();
    let choice = ImageChoice {
        problem: recipe.task.map(|it| it.answer),
        image: recipe.data.image.clone(),
        labels,
        validation: recipe.data.validation,
        test: recipe.data.test,
    };
    let request = ImageRequest {
        choice: &choice,
        seed: recipe.train.seed,
        run: &spec.run,
        threads: spec.threads as usize,
    };
    let ImageDataset { problem, classes, train, validation, test, report, images } =
        opened.load_images(&request, &mut telling(journal, stop))?;
    let files = Arc::new(report.files.clone());
    let shown = if test.is_empty() { &validation } else { &test };
    let shown = shown
        .iter()
        .map(|it| Shown { what: it.origin(&files).into(), file: it.file, line: it.line })
        .collect();
    let numbers = report.images.as_ref().map_or(0, |it| it.numbers.len());
    let set = |examples: Vec<ImageExample>| ExampleSet {
        targets: Targets::of_images(&examples, problem, classes.len(), numbers),
        inputs: Inputs::Images(Arc::new(ImageSet {
            source: Source::Split { images: images.clone(), examples, files: Arc::clone(&files) },
            preprocess: preprocess.clone(),
        })),
    };
    Ok(Data { train: set(train), validation: set(validation), test: set(test), shown, report })
}

/// Builds the model and decides the plan; `plan.json` and `data.json` are left to the caller.
pub(crate) fn decide(
    spec: &Spec,
    prepared: &Prepared,
    journal: &mut Journal,
) -> Result<(Plan, Built)> {
    journal.phase(Phase::Loading, None)?;
    let Prepared { recipe, task, base, base_name, data, extensions } = prepared;
    extensions.suit(task.answer)?;
    let device = device::choose(spec.device)?;
    let numbers = data.report.images.as_ref().map_or(0, |it| it.numbers.len());
    let outputs = if numbers == 0 { data.report.classes.len() } else { numbers } as i64;
    let image_size = data.preprocess().map(|it| [it.height.into(), it.width.into()]);
    let shape = HeadShape {
        device,
        width: base.hidden_size(),
        outputs,
        seed: recipe.train.seed,
        problem: task.answer,
    };
    let head = extensions.head(&recipe.model.head, shape)?;
    let options = BuildOptions {
        dropout: recipe.model.dropout,
        attention_dropout: recipe.model.attention_dropout,
        image_size,
        device,
        seed: recipe.train.seed,
        ..BuildOptions::new(network::head_kind(head.as_ref(), outputs))
    };
    let model = network::build(base, &options, head)?;
    let tensors: BTreeMap<String, Vec<i64>> =
        model.tensors.iter().map(|(name, it)| (name.clone(), it.size())).collect();
    let facts = Facts {
        task: *task,
        data: &data.report,
        preprocess: data.preprocess(),
        tokens: [&data.train, &data.validation]
            .map(ExampleSet::lengths)
            .concat()
            .into_iter()
            .map(u64::from)
            .sum(),
        model: ModelFacts {
            base: base_name.clone(),
            folder: base.folder().display().to_string(),
            architecture: base.architecture().into(),
            weights_hash: weights_hash(base.weights_files())?,
            width: base.hidden_size(),
            dropout: base.dropout(),
            load: LoadSummary {
                loaded: model.report.loaded.len() as u64,
                missing: model.report.missing.clone(),
                surplus: model.report.surplus.clone(),
            },
        },
        outline: &model.model.outline(image_size.unwrap_or_default())?,
        parts: &model.parts,
        plugins: extensions.plan(),
        tensors: &tensors,
        kept_bytes_max: kept::bytes_max(spec.features.as_ref()),
        threads: spec.threads,
        device,
    };
    let max_tokens = data.report.tokens.as_ref().map_or(0, |it| it.max_tokens);
    let plan = planning::plan(recipe, max_tokens, facts)?;
    extensions.try_metrics(&plan)?;
    Ok((plan, model))
}

pub(crate) fn write_findings(run: &Path, plan: &Plan, data: &DataReport) -> Result<()> {
    durable::write_json(&run.join(run_folder::DATA), data)?;
    durable::write_json(&run.join(run_folder::PLAN), plan)
}

/// What a plugin's reader finds in the drop, in a folder of the staging area; nothing where none
/// of those loaded reads it.
fn read_by_plugin(
    spec: &Spec,
    recipe: &Recipe,
    opened: &Opened,
    extensions: &Extensions,
    journal: &mut Journal,
) -> Result<Option<PathBuf>> {
    if recipe.plugins.load.is_empty() {
        return Ok(None);
    }
    let (root, files) = opened.files()?;
    let files = Files { folder: &root, files: &files };
    let Some(reader) = extensions.reader(recipe, files)? else { return Ok(None) };
    journal.phase(Phase::Reading, None)?;
    let folder = spec.run.join(run_folder::STAGING).join("read");
    durable::remove_tree(&folder)?;
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let bad = plugin_reader::read(&reader, files, &folder)?;
    if 0 < bad {
        journal.warn(format!("the reader passed over {bad} examples; worker.log says which"))?;
    }
    Ok(Some(folder))
}

/// The recipe in the drop wins over the one bound to the inbox; paths in it are relative to its
/// folder.
fn recipe(spec: &Spec, opened: &Opened) -> Result<(Recipe, PathBuf)> {
    let Some(found) = opened.recipe().or(spec.recipe.as_ref()) else {
        return Ok((Recipe::default(), PathBuf::from(".")));
    };
    let recipe = Recipe::parse(&found.text).map_err(|err| {
        let at = err.line.map(|it| format!(":{it}")).unwrap_or_default();
        Failure::new(FailureKind::Recipe, format!("{}{at}: {}", found.file.display(), err.message))
    })?;
    Ok((recipe, found.file.parent().unwrap_or(Path::new(".")).to_path_buf()))
}

fn tokenized(
    dataset: Dataset,
    encoder: &Encoder,
    max_tokens: u32,
    journal: &mut Journal,
    stop: &Stop,
) -> Result<Data> {
    let Dataset { train, validation, test, mut report, .. } = dataset;
    let files: Vec<String> = report.files.iter().map(|it| it.path.clone()).collect();
    let total = (train.len() + validation.len() + test.len()) as u64;
    journal.phase(Phase::Tokenizing, Some(total))?;
    let mut before = 0;
    let mut encode = |examples: &[Example]| -> Result<TokenSet> {
        let rows = examples.iter().map(|it| Row { text: &it.text, file: it.file, line: it.line });
        let set = encoder.encode(rows, files.clone(), |done| {
            stop.check()?;
            journal.progress(before + done, Some(total))
        })?;
        before += set.len() as u64;
        Ok(set)
    };
    let labels =
        |examples: &[Example]| Targets::Classes(examples.iter().map(|it| it.label).collect());
    let (train_targets, train_tokens) = (labels(&train), encode(&train)?);
    drop(train);
    let (validation_tokens, test_tokens) = (encode(&validation)?, encode(&test)?);
    report.tokens =
        Some(tokens::report([&train_tokens, &validation_tokens, &test_tokens], max_tokens));
    let set = |targets, tokens| ExampleSet { targets, inputs: Inputs::Texts(tokens) };
    let (validation_targets, test_targets) = (labels(&validation), labels(&test));
    let shown = if test.is_empty() { validation } else { test };
    Ok(Data {
        report,
        train: set(train_targets, train_tokens),
        validation: set(validation_targets, validation_tokens),
        test: set(test_targets, test_tokens),
        shown: shown
            .into_iter()
            .map(|it| Shown { what: it.text, file: it.file, line: it.line })
            .collect(),
    })
}

/// How training images are changed, from the first epoch on.
pub(crate) fn changes(plan: &Plan, prepared: &Prepared) -> Result<Option<Changes>> {
    let plugin = prepared.extensions.augmentation(&prepared.recipe)?;
    Ok(augment(plan)?.map(|augment| Changes { augment, plugin, seed: plan.train.seed, epoch: 0 }))
}

/// How the plan prepares images; nothing for texts.
pub(crate) fn preprocess(plan: &Plan) -> Result<Option<Preprocess>> {
    plan.model
        .preprocess
        .clone()
        .map(|it| serde_json::from_value(it).context("reading the preprocessing of the plan"))
        .transpose()
}

/// How the plan changes training images.
pub(crate) fn augment(plan: &Plan) -> Result<Option<Augment>> {
    plan.augment
        .clone()
        .map(|it| serde_json::from_value(it).context("reading the augmentation of the plan"))
        .transpose()
}

fn weights_hash(files: &[PathBuf]) -> Result<String> {
    let hashes = files.iter().map(|it| checkpoint::hash(it)).collect::<Result<Vec<String>>>()?;
    Ok(hashes.join("+"))
}

pub(crate) fn model_failure(err: finetuned_models::ModelError) -> Failure {
    Failure::new(FailureKind::Model, err.to_string())
}

/// What the readers say of their progress, told. Readers and downloads know no stop signal; it
/// unwinds them to `main`, which loses nothing: they are done again, downloads from where they
/// were.
fn telling<'a>(
    journal: &'a mut Journal,
    stop: &'a Stop,
) -> impl FnMut(Phase, u64, Option<u64>) + 'a {
    let mut phase_now = None;
    move |phase, done, total| {
        stop.unwind_if_requested();
        // A progress line that could not be written says nothing about the data.
        let _ = if phase_now == Some(phase) {
            journal.progress(done, total)
        } else {
            journal.phase(phase, total)
        };
        phase_now = Some(phase);
    }
}

fn pulling<'a>(
    journal: &'a mut Journal,
    stop: &'a Stop,
) -> impl FnMut(&str, u64, Option<u64>) + 'a {
    let mut file_now = String::new();
    move |file, done, total| {
        stop.unwind_if_requested();
        let _ = if file_now == file {
            journal.progress(done, total)
        } else {
            journal.phase(Phase::Pulling, total)
        };
        file_now = file.into();
    }
}
