//! Decides everything that the recipe leaves open, from the data and the model: recipe -> plan. The only place
//! where a default depends on what was found.

use crate::freeze;
use anyhow::Result;
use finetuned_job::data::DataReport;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::{DataPlan, EvalPlan, FreezePlan, LoadSummary, ModelPlan, PLAN_VERSION, Plan, TensorPlan, TrainPlan};
use finetuned_job::recipe::{ClassWeights, Freeze, Pattern, Recipe, Task};
use finetuned_job::scores::Split;
use finetuned_models::Parts;
use std::collections::{BTreeMap, BTreeSet};

/// Where a recipe names no base model.
pub(crate) const BASE_DEFAULT: &str = "hf:sentence-transformers/all-MiniLM-L6-v2";
/// Long enough for most texts, and four times cheaper than the usual limit of 512.
const MAX_TOKENS_DEFAULT: u32 = 256;
/// Passes over the data when the body trains, and when only the head does, whose passes cost nothing.
const EPOCHS_DEFAULT: u32 = 4;
const EPOCHS_HEAD_DEFAULT: u32 = 30;
/// BERT's own fine-tuning rate for its base size (Devlin et al. 2019); narrower models bear more, wider ones
/// less, so it is scaled by the width.
const LR_DEFAULT: f64 = 5e-5;
const LR_WIDTH: f64 = 768.0;
/// A new head on frozen features.
const LR_HEAD_DEFAULT: f64 = 1e-3;
/// Most memory that kept features may take.
const CACHE_BYTES_MAX: u64 = 1 << 30;

/// Facts that the plan rests on.
pub(crate) struct Facts<'a> {
    pub data: &'a DataReport,
    pub model: ModelFacts,
    pub parts: &'a Parts,
    pub tensors: &'a BTreeMap<String, Vec<i64>>,
    pub threads: u32,
    pub device: String,
}

pub(crate) struct ModelFacts {
    pub base: String,
    pub folder: String,
    pub architecture: String,
    pub weights_hash: String,
    pub width: i64,
    /// What the config says.
    pub dropout: f64,
    pub load: LoadSummary,
}

/// Tokens kept of each text, before anything is tokenised.
pub(crate) fn max_tokens(recipe: &Recipe, positions: u32) -> Result<u32, Failure> {
    match recipe.data.max_tokens {
        Some(asked) if positions < asked => {
            let message = format!("data.max_tokens is {asked}, but the model reads at most {positions} tokens");
            Err(Failure::new(FailureKind::Recipe, message).with_cure(format!("set it to {positions} or less")))
        }
        Some(asked) => Ok(asked),
        None => Ok(MAX_TOKENS_DEFAULT.min(positions)),
    }
}

pub(crate) fn plan(recipe: &Recipe, max_tokens: u32, facts: Facts) -> Result<Plan, Failure> {
    let counts = |split: Split| facts.data.splits.iter().filter(|it| it.split == split).map(|it| it.rows).sum();
    let data = DataPlan {
        classes: facts.data.classes.iter().map(|it| it.class.clone()).collect(),
        text_column: facts.data.text_column.clone(),
        label_column: facts.data.label_column.clone(),
        train: counts(Split::Train),
        validation: counts(Split::Validation),
        test: counts(Split::Test),
        max_tokens,
        content_hash: facts.data.content_hash.clone(),
    };
    let freeze = freeze_plan(recipe, &facts, data.train + data.validation)?;
    let train = train_plan(recipe, &facts, &freeze, &data);
    let report_on = if 0 < data.test { Split::Test } else { Split::Validation };
    Ok(Plan {
        version: PLAN_VERSION,
        finetuned: env!("CARGO_PKG_VERSION").into(),
        libtorch: finetuned_libtorch::version(),
        task: recipe.task.unwrap_or(Task::TextClassification),
        model: ModelPlan {
            base: facts.model.base,
            folder: facts.model.folder,
            architecture: facts.model.architecture,
            weights_hash: facts.model.weights_hash,
            head: recipe.model.head,
            dropout: recipe.model.dropout.unwrap_or(facts.model.dropout),
            attention_dropout: recipe.model.attention_dropout,
            load: facts.model.load,
        },
        freeze,
        data,
        train,
        eval: EvalPlan { metrics: recipe.eval.metrics.clone(), best: recipe.eval.best.clone(), every_steps: recipe.eval.every_steps, report_on },
        save: recipe.save.clone(),
        threads: facts.threads,
        device: facts.device,
    })
}

/// What trains in an epoch, counted from 1.
pub(crate) fn trainable(freeze: &FreezePlan, epoch: u32, parts: &Parts, names: &BTreeSet<String>) -> Result<BTreeSet<String>, Failure> {
    freeze::select(&patterns(&freeze.train, freeze.unfreeze.iter().filter(|it| it.epoch <= epoch).map(|it| &it.train)), parts, names)
}

fn patterns<'a>(first: &'a [Pattern], later: impl Iterator<Item = &'a Vec<Pattern>>) -> Vec<Pattern> {
    first.iter().chain(later.flatten()).cloned().collect()
}

fn freeze_plan(recipe: &Recipe, facts: &Facts, examples: u64) -> Result<FreezePlan, Failure> {
    let Freeze { train, unfreeze, layer_decay } = &recipe.freeze;
    let names: BTreeSet<String> = facts.tensors.keys().cloned().collect();
    let selected = freeze::select(train, facts.parts, &names)?;
    // Patterns of later epochs are judged now, not when their epoch comes.
    freeze::select(&patterns(train, unfreeze.iter().map(|it| &it.train)), facts.parts, &names)?;
    let scales = freeze::learning_rate_scales(facts.parts, *layer_decay);
    let tensor = |(name, shape): (&String, &Vec<i64>)| TensorPlan {
        name: name.clone(),
        shape: shape.clone(),
        lr_scale: scales.get(name).copied().unwrap_or(1.0),
        weight_decay: if freeze::decays(name, facts.parts) { recipe.train.weight_decay } else { 0.0 },
    };
    let (trainable, frozen): (Vec<TensorPlan>, Vec<TensorPlan>) = facts.tensors.iter().map(tensor).partition(|it| selected.contains(&it.name));
    let parameters = |tensors: &[TensorPlan]| tensors.iter().map(|it| it.shape.iter().product::<i64>() as u64).sum();
    let body_frozen = trainable.iter().all(|it| facts.parts.head.contains(&it.name));
    let cache_bytes = examples * facts.model.width as u64 * 4;
    Ok(FreezePlan {
        train: train.clone(),
        unfreeze: unfreeze.clone(),
        layer_decay: *layer_decay,
        trainable_parameters: parameters(&trainable),
        frozen_parameters: parameters(&frozen),
        cached: body_frozen && cache_bytes <= CACHE_BYTES_MAX,
        trainable,
        frozen,
    })
}

fn train_plan(recipe: &Recipe, facts: &Facts, freeze: &FreezePlan, data: &DataPlan) -> TrainPlan {
    let asked = &recipe.train;
    let body_frozen = freeze.trainable.iter().all(|it| facts.parts.head.contains(&it.name)) && freeze.unfreeze.is_empty();
    let epochs = asked.epochs.unwrap_or(if body_frozen { EPOCHS_HEAD_DEFAULT } else { EPOCHS_DEFAULT });
    let lr = asked.lr.unwrap_or(if body_frozen { LR_HEAD_DEFAULT } else { LR_DEFAULT * LR_WIDTH / facts.model.width as f64 });
    let steps_per_epoch = data.train.div_ceil(u64::from(asked.batch)).div_ceil(u64::from(asked.accumulate));
    let steps = steps_per_epoch * u64::from(epochs);
    TrainPlan {
        epochs,
        batch: asked.batch,
        accumulate: asked.accumulate,
        steps_per_epoch,
        steps,
        // As transformers counts: rounded up.
        warmup_steps: (asked.warmup * steps as f64).ceil() as u64,
        lr,
        optimizer: asked.optimizer,
        weight_decay: asked.weight_decay,
        schedule: asked.schedule,
        clip: asked.clip,
        label_smoothing: asked.label_smoothing,
        class_weights: asked.class_weights,
        class_weight_values: match asked.class_weights {
            ClassWeights::None => Vec::new(),
            ClassWeights::Auto => {
                let classes = facts.data.classes.len() as f64;
                facts.data.classes.iter().map(|it| data.train as f64 / (classes * it.train as f64)).collect()
            }
        },
        patience: asked.patience,
        seed: asked.seed,
    }
}
