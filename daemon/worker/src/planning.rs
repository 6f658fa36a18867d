//! Decides everything that the recipe leaves open, from the data and the model: recipe -> plan. The
//! only place where a default depends on what was found; those that go by sizes are in `defaults`.

pub(crate) mod defaults; // sizes -> numbers
mod evaluation; // metrics, and how often
mod preferences; // losses of answers that are compared
mod grpo; // answers that the model makes itself
mod rates; // how fast what learns

pub(crate) use grpo::{check as check_rewards, max_completion_length};

use crate::{adapter, class_weights, freeze, schedule};
use anyhow::{Context, Result};
use defaults::Training;
use finetuned_images::{Augment, Crop, Preprocess, Preset};
use finetuned_job::data::DataReport;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::{
    BaseAdapterPlan, DataPlan, FreezePlan, LoadSummary, ModelPlan, PLAN_VERSION, Plan, PluginPlan,
    Pooling, RewardModelPlan, Storage, TensorPlan, TrainPlan,
};
use finetuned_job::recipe::{
    self, AugmentChoice, ClassWeights, Freeze, Head, Method, Pattern, Recipe, TrainChoice,
};
use finetuned_job::scores::Split;
use finetuned_job::task::{Objective, Task};
use finetuned_models::{Adapter, Outline, Parts, Rows, is_of_adapter};
use rates::{Rates, only_head, rates};
use std::collections::BTreeMap;

/// Long enough for most texts, and four times cheaper than the usual limit of 512.
const MAX_TOKENS_DEFAULT: u32 = 256;
/// Of what is learnt from what comes before it: that may be far.
const MAX_TOKENS_CAUSAL: u32 = 1024;

/// The format of MNIST and its kin, as the data report calls it: almost always digits or letters.
const IDX: &str = "idx";

/// Facts that the plan rests on. They need no model and no tensor: whoever gathers them has those.
pub(crate) struct Facts<'a> {
    pub method: Method,
    /// Of a head that takes a row of each text.
    pub pooling: Option<Pooling>,
    /// That the model has.
    pub adapter: Option<&'a Adapter>,
    pub task: Task,
    pub data: &'a DataReport,
    /// Of training, validation and test: the parts of long texts may be examples of their own.
    pub examples: [u64; 3],
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
    pub reward_models: Vec<RewardModelPlan>,
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
    pub base_adapter: Option<BaseAdapterPlan>,
    pub width: i64,
    /// What the config says.
    pub dropout: f64,
    pub storage: Storage,
    /// Tensors that were initialised: the base has none of the name, or those of another task.
    pub new: Vec<String>,
    pub load: LoadSummary,
}

/// Of hidden states; none: as the model's config says. Likelihoods and rewards that are compared
/// have no noise by default, as TRL's `disable_dropout`; nor have answers that were made without.
pub(crate) fn dropout(recipe: &Recipe, task: Task) -> Option<f64> {
    let exact = task.objective.compares() || task.objective.samples();
    recipe.model.dropout.or(exact.then_some(0.0))
}

/// Tokens kept of each text, before anything is tokenised.
pub(crate) fn max_tokens(recipe: &Recipe, positions: u32, causal: bool) -> Result<u32, Failure> {
    match recipe.data.max_tokens {
        Some(asked) if positions < asked => {
            let message = format!(
                "data.max_tokens is {asked}, but the model reads at most {positions} tokens"
            );
            Err(Failure::new(FailureKind::Recipe, message)
                .with_cure(format!("set it to {positions} or less")))
        }
        Some(asked) => Ok(asked),
        None => Ok(if causal { MAX_TOKENS_CAUSAL } else { MAX_TOKENS_DEFAULT }.min(positions)),
    }
}

pub(crate) fn plan(recipe: &Recipe, max_tokens: u32, facts: Facts) -> Result<Plan> {
    let frozen;
    let recipe = match facts.method {
        Method::Probe => {
            frozen = body_frozen(recipe);
            &frozen
        }
        Method::Auto | Method::Full => recipe,
    };
    let data = data_plan(recipe, &facts, max_tokens);
    let augment = facts.preprocess.map(|_| augment(recipe, &facts)).transpose()?;
    let rates = rates(recipe, &facts, data.train)?;
    let examples = data.train + data.validation;
    let freeze = freeze_plan(recipe, &facts, &rates, examples, augment.as_ref())?;
    let train = train_plan(recipe, &facts, &rates, &data)?;
    if let Some(plan) = &train.grpo {
        grpo::check_base(plan, &freeze)?;
    }
    let eval = evaluation::plan(recipe, &facts, &data, &train)?;
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
            base_adapter: facts.model.base_adapter,
            head: recipe.model.head.clone(),
            pooling: facts.pooling,
            dropout: dropout(recipe, facts.task).unwrap_or(facts.model.dropout),
            attention_dropout: recipe.model.attention_dropout,
            storage: facts.model.storage,
            adapter: facts.adapter.map(adapter::plan),
            preprocess: facts.preprocess.cloned(),
            load: facts.model.load,
        },
        freeze,
        data,
        augment,
        train,
        eval,
        save: recipe.save.clone(),
        asked: Some(recipe.asked.clone()),
        plugins: facts.plugins,
        threads: facts.threads,
        device: facts.device,
    })
}

fn data_plan(recipe: &Recipe, facts: &Facts, max_tokens: u32) -> DataPlan {
    let [train, validation, test] = facts.examples;
    let images = facts.data.images.as_ref();
    DataPlan {
        problem: facts.task.answer,
        classes: if facts.data.numbers.is_empty() {
            facts.data.outputs.clone()
        } else {
            Vec::new()
        },
        numbers: facts.data.numbers.iter().map(|it| it.column.clone()).collect(),
        text_columns: match &facts.data.text_column {
            Some(_) => facts.data.input_columns.clone(),
            None => Vec::new(),
        },
        label_column: facts.data.label_column.clone(),
        image_column: images.and_then(|it| it.image_column.clone()),
        train,
        validation,
        test,
        max_tokens,
        split_special_tokens: recipe.data.split_special_tokens,
        content_hash: facts.data.content_hash.clone(),
    }
}

/// A recipe of a probe: what the body gives is the same for ever.
fn body_frozen(recipe: &Recipe) -> Recipe {
    let train = vec![Pattern::Head];
    let freeze = Freeze { train, unfreeze: Vec::new(), ..recipe.freeze.clone() };
    Recipe { freeze, ..recipe.clone() }
}

/// How a model with this recipe's head and loss learns, which gives outputs for these. Who names
/// epochs or an adapter means fine-tuning.
pub(crate) fn method(
    recipe: &Recipe,
    (objective, rows): (Objective, Rows),
    data: &DataReport,
) -> Result<Method, Failure> {
    let plugin = recipe.model.head != Head::Linear || recipe.train.loss.is_some();
    let tunes = recipe.train.epochs.is_some() || recipe.adapter.is_some();
    match recipe.train.method {
        Method::Probe if plugin => {
            let message = "train.method is `probe`, which is a linear head with a loss of its own, but the recipe has a plugin's";
            Err(Failure::new(FailureKind::Recipe, message)
                .with_cure("leave one of them out of the recipe"))
        }
        Method::Probe if rows == Rows::PerToken => {
            let message = "train.method is `probe`, which is a map of one row for each example, but every word is to have its own";
            Err(Failure::new(FailureKind::Recipe, message).with_cure("leave it out of the recipe"))
        }
        Method::Auto if plugin || rows == Rows::PerToken => Ok(Method::Full),
        Method::Auto if !tunes && defaults::probe_alone(objective, &counts(data)) => {
            Ok(Method::Probe)
        }
        method => Ok(method),
    }
}

/// Whether the model is trained once more at the end, on training and validation examples together.
/// Who says how many epochs there are means one training.
pub(crate) fn refits(recipe: &Recipe, task: Task, data: &DataReport) -> Result<bool, Failure> {
    let [train, validation, test] = Split::ALL.map(|it| rows(data, it));
    let plugin = recipe.model.head != Head::Linear
        || recipe.train.loss.is_some()
        || !recipe.train.hooks.is_empty();
    let tuned = evaluation::tune_thresholds(recipe.eval.tune_thresholds, task, data)?;
    let obstacle = match () {
        () if validation == 0 => {
            Some("there is no validation split, which could be learnt from then")
        }
        () if test == 0 => Some("there is no test split, which the report could be about then"),
        () if plugin => Some("a plugin's head, loss or hook is not begun twice"),
        () if task.objective.samples() => Some("the model's own answers would be others then"),
        () if tuned => Some("thresholds are tuned for the model that has not seen validation"),
        () => None,
    };
    match (recipe.train.refit, obstacle) {
        (Some(true), Some(obstacle)) => {
            let message = format!(
                "train.refit trains the model once more on training and validation examples together, but {obstacle}"
            );
            Err(Failure::new(FailureKind::Recipe, message).with_cure("leave it out of the recipe"))
        }
        (asked, None) => Ok(asked.unwrap_or_else(|| {
            recipe.train.epochs.is_none() && defaults::refit(train + validation)
        })),
        (_, Some(_)) => Ok(false),
    }
}

/// (train, validation) of each class.
fn counts(data: &DataReport) -> Vec<(u64, u64)> {
    data.classes.iter().map(|it| (it.train, it.validation)).collect()
}

/// Of a split.
fn rows(data: &DataReport, split: Split) -> u64 {
    data.splits.iter().filter(|it| it.split == split).map(|it| it.rows).sum()
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

fn freeze_plan(
    recipe: &Recipe,
    facts: &Facts,
    rates: &Rates,
    examples: u64,
    augment: Option<&Augment>,
) -> Result<FreezePlan> {
    let parts = facts.parts;
    let Freeze { train, unfreeze, cache, .. } = &recipe.freeze;
    let names = freeze::parameters(facts.tensors.keys(), parts);
    let selected = freeze::select(train, parts, &names)?;
    // Patterns of later epochs are judged now, not when their epoch comes.
    let patterns = freeze::patterns(train, unfreeze.iter().map(|it| &it.train));
    let ever = freeze::select(&patterns, parts, &names)?;
    if facts.adapter.is_some() && !ever.iter().any(|it| is_of_adapter(it)) {
        let message =
            "the recipe has an adapter, but freeze.train and freeze.unfreeze never train it";
        let cure = "leave freeze.train out of the recipe: adapter and head train by default";
        return Err(Failure::new(FailureKind::Recipe, message).with_cure(cure).into());
    }
    let scales = parts.learning_rate_scales(rates.layer_decay);
    let new = |name: &String| {
        let of_plugin = recipe.model.head != Head::Linear;
        parts.head.contains(name) && (of_plugin || facts.model.new.contains(name))
    };
    let lr_scale = |name: &String| {
        let new_head = if new(name) { rates.head_lr / rates.lr } else { 1.0 };
        new_head * scales.get(name).copied().unwrap_or(1.0)
    };
    let tensor = |(name, shape): (&String, &Vec<i64>)| TensorPlan {
        name: name.clone(),
        shape: shape.clone(),
        lr_scale: lr_scale(name),
        weight_decay: if freeze::decays(name, parts) { recipe.train.weight_decay } else { 0.0 },
    };
    let (trainable, frozen): (Vec<TensorPlan>, Vec<TensorPlan>) = facts
        .tensors
        .iter()
        .filter(|it| names.contains(it.0) || parts.held.contains(it.0))
        .map(tensor)
        .partition(|it| selected.contains(&it.name));
    let parameters = |tensors: &[TensorPlan]| {
        tensors.iter().map(|it| it.shape.iter().product::<i64>() as u64).sum()
    };
    let below = facts.outline.get(parts.stages_below(&selected)).context("a stage too many")?;
    let same_each_time = recipe.augment.plugin.is_none()
        && !facts.task.objective.of_vocabulary()
        && !facts.task.objective.compares()
        && augment.is_none_or(|it| *it == Augment::preset(Preset::None));
    let rows = match below.rows {
        Rows::PerToken => facts.tokens,
        Rows::PerExample => examples,
    };
    let cached_bytes = 4 * rows * below.numbers();
    Ok(FreezePlan {
        train: train.clone(),
        unfreeze: unfreeze.clone(),
        layer_decay: rates.layer_decay,
        statistics: rates.frozen_statistics,
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

/// Updates in a pass over so many examples: of full batches and a rest.
pub(crate) fn steps_per_epoch(examples: u64, batch: u32, accumulate: u32) -> u64 {
    examples.div_ceil(u64::from(batch)).div_ceil(u64::from(accumulate))
}

/// Settings that say nothing of what is minimised.
fn check_settings(asked: &TrainChoice, objective: Objective) -> Result<(), Failure> {
    if asked.loss.is_some() && asked.label_smoothing != 0.0 {
        let message = "train.label_smoothing belongs to cross-entropy, but the loss is a plugin's";
        return Err(Failure::new(FailureKind::Recipe, message)
            .with_cure("leave one of them out of the recipe"));
    }
    if objective == Objective::SquaredError && asked.label_smoothing != 0.0 {
        let message = "train.label_smoothing is for classes, but numbers are learnt";
        return Err(
            Failure::new(FailureKind::Recipe, message).with_cure("leave it out of the recipe")
        );
    }
    if asked.on.is_some() && objective != Objective::NextTokens {
        let message = "train.on says what of conversations is learnt, but these are none";
        return Err(
            Failure::new(FailureKind::Recipe, message).with_cure("leave it out of the recipe")
        );
    }
    Ok(())
}

fn train_plan(
    recipe: &Recipe,
    facts: &Facts,
    rates: &Rates,
    data: &DataPlan,
) -> Result<TrainPlan, Failure> {
    let asked = &recipe.train;
    check_settings(asked, facts.task.objective)?;
    let grpo = grpo::plan(recipe, facts, data.max_tokens)?;
    let preference = preferences::plan(recipe, facts)?;
    let weights =
        preference.and_then(|it| preferences::weights(asked.class_weights, it.loss, facts));
    let (class_weights, class_weight_values) = match weights {
        Some(weights) => (ClassWeights::Auto, weights),
        None => class_weights(asked, facts, data)?,
    };
    let batch = rates.batch;
    let accumulate = asked.accumulate.unwrap_or_else(|| match grpo {
        Some(_) => defaults::prompts_of_update(batch),
        None => 1,
    });
    let lots = steps_per_epoch(data.train, batch, accumulate);
    let steps_per_epoch = lots * grpo.as_ref().map_or(1, |it| it.choice.num_iterations.into());
    let training = Training {
        train: data.train,
        steps_per_epoch,
        outputs: data.outputs().len() as u64,
        images: facts.preprocess.is_some(),
        causal: facts.task.objective.goes_on() || facts.task.objective.compares(),
        only_head: rates.only_head,
    };
    let epochs = asked.epochs.unwrap_or_else(|| defaults::epochs(training));
    let patience = match asked.patience {
        None => defaults::patience(epochs),
        asked => asked.filter(|it| *it != 0),
    };
    let steps = steps_per_epoch * u64::from(epochs);
    let steps = if facts.method == Method::Probe { 0 } else { steps };
    Ok(TrainPlan {
        method: facts.method,
        epochs,
        batch,
        accumulate,
        steps_per_epoch,
        steps,
        warmup_steps: schedule::warmup_steps(asked.warmup, steps),
        lr: rates.lr,
        head_lr: rates.head_lr,
        optimizer: asked.optimizer,
        weight_decay: asked.weight_decay,
        schedule: asked.schedule,
        clip: asked.clip,
        label_smoothing: asked.label_smoothing,
        class_weights,
        class_weight_values,
        patience,
        wise_ft: rates.wise_ft,
        refit: refits(recipe, facts.task, facts.data)?,
        loss: asked.loss.clone(),
        preference,
        grpo,
        hooks: asked.hooks.clone(),
        gradient_checkpointing: asked.gradient_checkpointing.unwrap_or(facts.preprocess.is_some()),
        precision: asked.precision,
        on: asked.on,
        seed: asked.seed,
    })
}

/// How much each class weighs.
fn class_weights(
    asked: &TrainChoice,
    facts: &Facts,
    data: &DataPlan,
) -> Result<(ClassWeights, Vec<f64>), Failure> {
    let counts: Vec<u64> = facts.data.classes.iter().map(|it| it.train).collect();
    match (facts.task.objective, asked.class_weights) {
        (_, Some(ClassWeights::None)) => Ok((ClassWeights::None, Vec::new())),
        (Objective::CrossEntropy, chosen) => {
            let default = match asked.loss {
                // A plugin's loss weighs its classes itself, or not.
                Some(_) => ClassWeights::None,
                None => defaults::class_weights(&counts),
            };
            Ok(match chosen.unwrap_or(default) {
                ClassWeights::None => (ClassWeights::None, Vec::new()),
                ClassWeights::Auto => (ClassWeights::Auto, class_weights::balanced(&counts)),
            })
        }
        (Objective::BinaryCrossEntropy, Some(ClassWeights::Auto)) if asked.loss.is_none() => {
            Ok((ClassWeights::Auto, class_weights::positive(&counts, data.train)))
        }
        (_, None) => Ok((ClassWeights::None, Vec::new())),
        (_, Some(ClassWeights::Auto)) => {
            let message = "train.class_weights weighs the classes of a loss of classes";
            Err(Failure::new(FailureKind::Recipe, message).with_cure("leave it out of the recipe"))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
