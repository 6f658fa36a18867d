//! The way from a spec to a model ready to train: drop, recipe, base model, examples, tokens, plan. Training,
//! checking and proving all begin with it, so that they see the same data.

use crate::journal::Journal;
use crate::planning::{self, Facts, ModelFacts};
use crate::stop::Stop;
use crate::tokens::{self, Encoder, Row, TokenSet};
use crate::{checkpoint, device, durable};
use anyhow::{Context, Result};
use finetuned_data::{Dataset, Example, Opened};
use finetuned_job::data::DataReport;
use finetuned_job::event::Phase;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::{LoadSummary, Plan};
use finetuned_job::recipe::Recipe;
use finetuned_job::run_folder;
use finetuned_job::scores::Split;
use finetuned_job::spec::Spec;
use finetuned_models::{BuildOptions, Checkpoint, Model};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a spec is about, read and judged.
pub(crate) struct Prepared {
    pub recipe: Recipe,
    pub base: Checkpoint,
    pub base_name: String,
    pub data: Data,
}

pub(crate) struct Data {
    pub report: DataReport,
    pub train: TokenSet,
    pub validation: TokenSet,
    pub test: TokenSet,
    /// Texts of the split that the report is about, for `predictions.csv`.
    pub report_texts: Vec<Example>,
}

impl Data {
    pub(crate) fn report_split(&self) -> (Split, &TokenSet) {
        if 0 < self.test.len() { (Split::Test, &self.test) } else { (Split::Validation, &self.validation) }
    }
}

pub(crate) fn prepare(spec: &Spec, journal: &mut Journal, stop: &Stop) -> Result<Prepared> {
    let drop = spec.drop.as_deref().context("the spec names no drop")?;
    let opened = finetuned_data::open(drop, &spec.run.join(run_folder::STAGING), &mut telling(journal, stop))?;
    let (recipe, near) = recipe(spec, &opened)?;
    let base_name = recipe.model.base.clone().unwrap_or_else(|| planning::BASE_DEFAULT.into());
    let resolved = finetuned_hub::resolve(&base_name, &near, &mut pulling(journal, stop))?;
    let base = finetuned_models::open(&resolved.folder).map_err(model_failure)?;
    let max_tokens = planning::max_tokens(&recipe, base.max_positions())?;
    let encoder = Encoder::open(&resolved.folder, max_tokens)?;

    let quarantine = spec.run.join(run_folder::QUARANTINE);
    let dataset = opened.load(&recipe.data, recipe.train.seed, &quarantine, &mut telling(journal, stop))?;
    let data = tokenized(dataset, &encoder, max_tokens, journal, stop)?;
    Ok(Prepared { recipe, base, base_name, data })
}

/// Builds the model and decides the plan; `plan.json` and `data.json` are left to the caller.
pub(crate) fn decide(spec: &Spec, prepared: &Prepared, journal: &mut Journal) -> Result<(Plan, Model)> {
    journal.phase(Phase::Loading, None)?;
    let Prepared { recipe, base, base_name, data } = prepared;
    let device = device::choose(spec.device)?;
    let model = base
        .build(&BuildOptions {
            classes: data.report.classes.len() as i64,
            dropout: recipe.model.dropout,
            attention_dropout: recipe.model.attention_dropout,
            device,
            seed: recipe.train.seed,
            keep_head: false,
        })
        .map_err(model_failure)?;
    let tensors: BTreeMap<String, Vec<i64>> = model.tensors.iter().map(|(name, it)| (name.clone(), it.size())).collect();
    let facts = Facts {
        data: &data.report,
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
        parts: model.classifier.parts(),
        tensors: &tensors,
        threads: spec.threads,
        device: device::name(device),
    };
    let max_tokens = data.report.tokens.as_ref().map_or(0, |it| it.max_tokens);
    let plan = planning::plan(recipe, max_tokens, facts)?;
    Ok((plan, model))
}

pub(crate) fn write_findings(run: &Path, plan: &Plan, data: &DataReport) -> Result<()> {
    durable::write_json(&run.join(run_folder::DATA), data)?;
    durable::write_json(&run.join(run_folder::PLAN), plan)
}

/// The recipe in the drop wins over the one bound to the inbox; paths in it are relative to its folder.
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

fn tokenized(dataset: Dataset, encoder: &Encoder, max_tokens: u32, journal: &mut Journal, stop: &Stop) -> Result<Data> {
    let Dataset { train, validation, test, mut report, .. } = dataset;
    let files: Vec<String> = report.files.iter().map(|it| it.path.clone()).collect();
    let total = (train.len() + validation.len() + test.len()) as u64;
    journal.phase(Phase::Tokenizing, Some(total))?;
    let mut before = 0;
    let mut encode = |examples: &[Example]| -> Result<TokenSet> {
        let rows = examples.iter().map(|it| Row { text: &it.text, label: it.label, file: it.file, line: it.line });
        let set = encoder.encode(rows, files.clone(), |done| {
            stop.check()?;
            journal.progress(before + done, Some(total))
        })?;
        before += set.len() as u64;
        Ok(set)
    };
    let train_tokens = encode(&train)?;
    drop(train);
    let (validation_tokens, test_tokens) = (encode(&validation)?, encode(&test)?);
    report.tokens = Some(tokens::report([&train_tokens, &validation_tokens, &test_tokens], max_tokens));
    let report_texts = if test.is_empty() { validation } else { test };
    Ok(Data { report, train: train_tokens, validation: validation_tokens, test: test_tokens, report_texts })
}

fn weights_hash(files: &[PathBuf]) -> Result<String> {
    let hashes = files.iter().map(|it| checkpoint::hash(it)).collect::<Result<Vec<String>>>()?;
    Ok(hashes.join("+"))
}

pub(crate) fn model_failure(err: finetuned_models::ModelError) -> Failure {
    Failure::new(FailureKind::Model, err.to_string())
}

/// What the readers say of their progress, told. Readers and downloads know no stop signal; it unwinds them to
/// `main`, which loses nothing: they are done again, downloads from where they were.
fn telling<'a>(journal: &'a mut Journal, stop: &'a Stop) -> impl FnMut(Phase, u64, Option<u64>) + 'a {
    let mut phase_now = None;
    move |phase, done, total| {
        stop.unwind_if_requested();
        // A progress line that could not be written says nothing about the data.
        let _ = if phase_now == Some(phase) { journal.progress(done, total) } else { journal.phase(phase, total) };
        phase_now = Some(phase);
    }
}

fn pulling<'a>(journal: &'a mut Journal, stop: &'a Stop) -> impl FnMut(&str, u64, Option<u64>) + 'a {
    let mut file_now = String::new();
    move |file, done, total| {
        stop.unwind_if_requested();
        let _ = if file_now == file { journal.progress(done, total) } else { journal.phase(Phase::Pulling, total) };
        file_now = file.into();
    }
}
