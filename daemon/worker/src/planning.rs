//! Decides everything that the recipe leaves open, from the data and the model: recipe -> plan. The
//! only place where a default depends on what was found.

use crate::{class_weights, freeze, schedule};
use anyhow::{Context, Result};
use finetuned_images::{Augment, Crop, Preprocess, Preset};
use finetuned_job::data::DataReport;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::{
    DataPlan, EvalPlan, FreezePlan, LoadSummary, ModelPlan, PLAN_VERSION, Plan, PluginPlan,
    TensorPlan, TrainPlan,
};
use finetuned_job::recipe::{self, AugmentChoice, ClassWeights, Freeze, Head, Recipe};
use finetuned_job::scores::Split;
use finetuned_job::task::{Metrics, Objective, Task};
use finetuned_models::{Outline, Parts, Rows};
use std::collections::BTreeMap;

/// Long enough for most texts, and four times cheaper than the usual limit of 512.
const MAX_TOKENS_DEFAULT: u32 = 256;
/// Passes over the data when the body trains, and when only the head does, whose passes cost
/// nothing.
const EPOCHS_DEFAULT: u32 = 4;
const EPOCHS_HEAD_DEFAULT: u32 = 30;
/// BERT's own fine-tuning rate for its base size (Devlin et al. 2019); narrower models bear more,
/// wider ones less, so it is scaled by the width.
const LR_DEFAULT: f64 = 5e-5;
const LR_WIDTH: f64 = 768.0;
/// Of a pretrained model of images that trains whole, with AdamW.
const LR_IMAGES_DEFAULT: f64 = 2e-4;
/// A new head on frozen features.
const LR_HEAD_DEFAULT: f64 = 1e-3;

/// The format of MNIST and its kin, as the data report calls it: almost always digits or letters.
const IDX: &str = "idx";

/// Facts that the plan rests on. They need no model and no tensor: whoever gathers them has those.
pub(crate) struct Facts<'a> {
    pub task: Task,
    pub data: &'a DataReport,
    /// Of images.
    pub preprocess: Option<&'a Preprocess>,
    /// Of texts, those of training and validation together.
    pub tokens: u64,
    pub model: ModelFacts,
    /// What the first k stages of the model give, at k.
    pub outline: &'a [Outline],
    /// With the plugin's head, where there is one.
    pub parts: &'a Parts,
    pub plugins: Vec<PluginPlan>,
    /// Shapes, buffers included.
    pub tensors: &'a BTreeMap<String, Vec<i64>>,
    /// Most that may be kept of what frozen stages give.
    pub cache_bytes_max: u64,
    pub threads: u32,
    /// `2.13.0`.
    pub libtorch: String,
    /// `cpu` or `cuda:0`.
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
            let message = format!(
                "data.max_tokens is {asked}, but the model reads at most {positions} tokens"
            );
            Err(Failure::new(FailureKind::Recipe, message)
                .with_cure(format!("set it to {positions} or less")))
        }
        Some(asked) => Ok(asked),
        None => Ok(MAX_TOKENS_DEFAULT.min(positions)),
    }
}

pub(crate) fn plan(recipe: &Recipe, max_tokens: u32, facts: Facts) -> Result<Plan> {
    let counts = |split: Split| {
        facts.data.splits.iter().filter(|it| it.split == split).map(|it| it.rows).sum()
    };
    let images = facts.data.images.as_ref();
    let data = DataPlan {
        problem: facts.task.answer,
        classes: facts.data.classes.iter().map(|it| it.class.clone()).collect(),
        numbers: facts.data.numbers.iter().map(|it| it.column.clone()).collect(),
        text_columns: match &facts.data.text_column {
            Some(_) => facts.data.input_columns.clone(),
            None => Vec::new(),
        },
        label_column: facts.data.label_column.clone(),
        image_column: images.and_then(|it| it.image_column.clone()),
        train: counts(Split::Train),
        validation: counts(Split::Validation),
        test: counts(Split::Test),
        max_tokens,
        content_hash: facts.data.content_hash.clone(),
    };
    let augment = facts.preprocess.map(|_| augment(recipe, &facts)).transpose()?;
    let freeze = freeze_plan(recipe, &facts, data.train + data.validation, augment.as_ref())?;
    let train = train_plan(recipe, &facts, &freeze, &data)?;
    let eval = eval_plan(recipe, facts.task, &data, &facts.plugins)?;
    Ok(Plan {
        version: PLAN_VERSION,
        finetuned: env!("CARGO_PKG_VERSION").into(),
        libtorch: facts.libtorch,
        task: facts.task,
        model: ModelPlan {
            base: facts.model.base,
            folder: facts.model.folder,
            architecture: facts.model.architecture,
            weights_hash: facts.model.weights_hash,
            head: recipe.model.head.clone(),
            dropout: recipe.model.dropout.unwrap_or(facts.model.dropout),
            attention_dropout: recipe.model.attention_dropout,
            preprocess: facts.preprocess.cloned(),
            load: facts.model.load,
        },
        freeze,
        data,
        augment,
        train,
        eval,
        save: recipe.save.clone(),
        plugins: facts.plugins,
        threads: facts.threads,
        device: facts.device,
    })
}

fn eval_plan(
    recipe: &Recipe,
    task: Task,
    data: &DataPlan,
    plugins: &[PluginPlan],
) -> Result<EvalPlan, Failure> {
    let Metrics { known, shown, best } = task.metrics;
    let asked = &recipe.eval;
    let metrics = if asked.metrics.is_empty() {
        shown.iter().map(|it| it.to_string()).collect()
    } else {
        asked.metrics.clone()
    };
    let best = asked.best.clone().unwrap_or_else(|| (*best).into());
    let of_plugin = |name: &str| {
        plugins.iter().flat_map(|it| &it.uses).any(|it| it.kind == "metric" && it.name == name)
    };
    if let Some(stranger) =
        metrics.iter().chain([&best]).find(|it| !known.contains(&it.as_str()) && !of_plugin(it))
    {
        let message = format!(
            "the recipe asks for the metric {stranger}, which neither this task nor a plugin that is loaded has"
        );
        return Err(Failure::new(FailureKind::Recipe, message)
            .with_cure(format!("it has {}", known.join(", "))));
    }
    let report_on = if 0 < data.test { Split::Test } else { Split::Validation };
    Ok(EvalPlan { metrics, best, every_steps: asked.every_steps, report_on })
}

/// The preset, and what the recipe says otherwise. Where only a head trains, images are left alone
/// unless the recipe says otherwise: what the body gives for them need then be computed only once.
/// Nor is anything done by default that may change the answer.
fn augment(recipe: &Recipe, facts: &Facts) -> Result<Augment, Failure> {
    let asked = &recipe.augment;
    let mut augment = match asked.preset {
        Some(recipe::Preset::None) => Augment::preset(Preset::None),
        Some(recipe::Preset::Light) => Augment::preset(Preset::Light),
        Some(recipe::Preset::Strong) => Augment::preset(Preset::Strong),
        None if only_head(recipe, facts)? => Augment::preset(Preset::None),
        None => light(facts),
    };
    let AugmentChoice {
        crop,
        horizontal_flip,
        vertical_flip,
        erasing,
        brightness,
        contrast,
        saturation,
        hue,
        mixup,
        cutmix,
        ..
    } = asked;
    if let Some(area) = *crop {
        let ratio = Augment::preset(Preset::Light).crop.map_or([0.75, 4.0 / 3.0], |it| it.ratio);
        augment.crop = Some(Crop { area, ratio });
    }
    let set = |to: &mut f64, from: &Option<f64>| *to = from.unwrap_or(*to);
    set(&mut augment.horizontal_flip, horizontal_flip);
    set(&mut augment.vertical_flip, vertical_flip);
    set(&mut augment.erasing, erasing);
    set(&mut augment.jitter.brightness, brightness);
    set(&mut augment.jitter.contrast, contrast);
    set(&mut augment.jitter.saturation, saturation);
    set(&mut augment.jitter.hue, hue);
    set(&mut augment.mixing.mixup_alpha, mixup);
    set(&mut augment.mixing.cutmix_alpha, cutmix);
    let mixes = 0.0 < augment.mixing.mixup_alpha || 0.0 < augment.mixing.cutmix_alpha;
    if mixes && (recipe.model.head != Head::Linear || recipe.train.loss.is_some()) {
        let message = "mixup and CutMix mix the labels of examples, which a plugin's head or loss is given one of each";
        return Err(Failure::new(FailureKind::Recipe, message)
            .with_cure("set augment.mixup and augment.cutmix to 0"));
    }
    Ok(augment)
}

/// The light preset without what may change the answer: the mirror image of a digit is none, and
/// a number (an age, an angle, a count) may depend on all of the image and on its side.
fn light(facts: &Facts) -> Augment {
    let mut augment = Augment::preset(Preset::Light);
    let numbers = facts.task.objective == Objective::SquaredError;
    if numbers || facts.data.format == IDX {
        augment.horizontal_flip = 0.0;
    }
    if numbers {
        augment.crop = None;
    }
    augment
}

/// Nothing but the head trains, in any epoch.
fn only_head(recipe: &Recipe, facts: &Facts) -> Result<bool, Failure> {
    let parts = facts.parts;
    let all =
        freeze::patterns(&recipe.freeze.train, recipe.freeze.unfreeze.iter().map(|it| &it.train));
    let selected = freeze::select(&all, parts, &freeze::parameters(facts.tensors.keys(), parts))?;
    Ok(selected.iter().all(|it| parts.head.contains(it)))
}

fn freeze_plan(
    recipe: &Recipe,
    facts: &Facts,
    examples: u64,
    augment: Option<&Augment>,
) -> Result<FreezePlan> {
    let parts = facts.parts;
    let Freeze { train, unfreeze, layer_decay, cache } = &recipe.freeze;
    let names = freeze::parameters(facts.tensors.keys(), parts);
    let selected = freeze::select(train, parts, &names)?;
    // Patterns of later epochs are judged now, not when their epoch comes.
    freeze::select(&freeze::patterns(train, unfreeze.iter().map(|it| &it.train)), parts, &names)?;
    let scales = parts.learning_rate_scales(*layer_decay);
    let tensor = |(name, shape): (&String, &Vec<i64>)| TensorPlan {
        name: name.clone(),
        shape: shape.clone(),
        lr_scale: scales.get(name).copied().unwrap_or(1.0),
        weight_decay: if freeze::decays(name, parts) { recipe.train.weight_decay } else { 0.0 },
    };
    let (trainable, frozen): (Vec<TensorPlan>, Vec<TensorPlan>) = facts
        .tensors
        .iter()
        .filter(|it| names.contains(it.0))
        .map(tensor)
        .partition(|it| selected.contains(&it.name));
    let parameters = |tensors: &[TensorPlan]| {
        tensors.iter().map(|it| it.shape.iter().product::<i64>() as u64).sum()
    };
    let below = facts.outline.get(parts.stages_below(&selected)).context("a stage too many")?;
    let same_each_time = recipe.augment.plugin.is_none()
        && augment.is_none_or(|it| *it == Augment::preset(Preset::None));
    let rows = match below.rows {
        Rows::PerToken => facts.tokens,
        Rows::PerExample => examples,
    };
    let cached_bytes = 4 * rows * below.numbers();
    Ok(FreezePlan {
        train: train.clone(),
        unfreeze: unfreeze.clone(),
        layer_decay: *layer_decay,
        trainable_parameters: parameters(&trainable),
        frozen_parameters: parameters(&frozen),
        cached: *cache
            && below.worth_caching
            && same_each_time
            && cached_bytes <= facts.cache_bytes_max,
        trainable,
        frozen,
    })
}

fn train_plan(
    recipe: &Recipe,
    facts: &Facts,
    freeze: &FreezePlan,
    data: &DataPlan,
) -> Result<TrainPlan, Failure> {
    let asked = &recipe.train;
    let parts = facts.parts;
    let body_frozen = freeze.trainable.iter().all(|it| parts.head.contains(&it.name))
        && freeze.unfreeze.is_empty();
    if facts.task.objective != Objective::CrossEntropy && asked.class_weights != ClassWeights::None
    {
        let message = "train.class_weights weighs the classes of examples that have one label each";
        return Err(
            Failure::new(FailureKind::Recipe, message).with_cure("leave it out of the recipe")
        );
    }
    if asked.loss.is_some() && asked.label_smoothing != 0.0 {
        let message = "train.label_smoothing belongs to cross-entropy, but the loss is a plugin's";
        return Err(Failure::new(FailureKind::Recipe, message)
            .with_cure("leave one of them out of the recipe"));
    }
    if facts.task.objective == Objective::SquaredError && asked.label_smoothing != 0.0 {
        let message = "train.label_smoothing is for classes, but numbers are learnt";
        return Err(
            Failure::new(FailureKind::Recipe, message).with_cure("leave it out of the recipe")
        );
    }
    let epochs =
        asked.epochs.unwrap_or(if body_frozen { EPOCHS_HEAD_DEFAULT } else { EPOCHS_DEFAULT });
    let lr_whole = if facts.preprocess.is_some() {
        LR_IMAGES_DEFAULT
    } else {
        LR_DEFAULT * LR_WIDTH / facts.model.width as f64
    };
    let lr = asked.lr.unwrap_or(if body_frozen { LR_HEAD_DEFAULT } else { lr_whole });
    let steps_per_epoch =
        data.train.div_ceil(u64::from(asked.batch)).div_ceil(u64::from(asked.accumulate));
    let steps = steps_per_epoch * u64::from(epochs);
    Ok(TrainPlan {
        epochs,
        batch: asked.batch,
        accumulate: asked.accumulate,
        steps_per_epoch,
        steps,
        warmup_steps: schedule::warmup_steps(asked.warmup, steps),
        lr,
        optimizer: asked.optimizer,
        weight_decay: asked.weight_decay,
        schedule: asked.schedule,
        clip: asked.clip,
        label_smoothing: asked.label_smoothing,
        class_weights: asked.class_weights,
        class_weight_values: match asked.class_weights {
            ClassWeights::None => Vec::new(),
            ClassWeights::Auto => class_weights::balanced(
                &facts.data.classes.iter().map(|it| it.train).collect::<Vec<u64>>(),
            ),
        },
        patience: asked.patience,
        loss: asked.loss.clone(),
        hooks: asked.hooks.clone(),
        gradient_checkpointing: asked.gradient_checkpointing.unwrap_or(facts.preprocess.is_some()),
        seed: asked.seed,
    })
}

#[cfg(test)]
mod tests;
