//! Decides what a user's TOML asks for, in two stages: as typed ([`Raw`], unknown keys refused with a
//! suggestion), then checked ([`Recipe`], every value usable, enums instead of strings).
//!
//! A field stays an `Option` only where its default depends on the data or the model; that default is
//! decided in the worker's `planning`, once.

mod raw;

use crate::data::Problem;
use raw::{Raw, RawAugment, RawData, RawEval, RawFreeze, RawModel, RawPlugins, RawSave, RawTrain};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    pub task: Option<Task>,
    pub model: ModelChoice,
    pub freeze: Freeze,
    pub data: DataChoice,
    pub augment: AugmentChoice,
    pub train: TrainChoice,
    pub eval: EvalChoice,
    pub save: SaveChoice,
    pub plugins: PluginChoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    TextClassification,
    ImageClassification,
    /// Any number of classes to a picture.
    ImageMultiLabelClassification,
    /// One or more numbers to a picture.
    ImageRegression,
}

impl Task {
    pub const ALL: [Task; 4] = [Task::TextClassification, Task::ImageClassification, Task::ImageMultiLabelClassification, Task::ImageRegression];

    pub fn name(self) -> &'static str {
        match self {
            Task::TextClassification => "text-classification",
            Task::ImageClassification => "image-classification",
            Task::ImageMultiLabelClassification => "image-multi-label-classification",
            Task::ImageRegression => "image-regression",
        }
    }

    pub fn problem(self) -> Problem {
        match self {
            Task::TextClassification | Task::ImageClassification => Problem::SingleLabel,
            Task::ImageMultiLabelClassification => Problem::MultiLabel,
            Task::ImageRegression => Problem::Regression,
        }
    }

    pub fn of_images(problem: Problem) -> Task {
        match problem {
            Problem::SingleLabel => Task::ImageClassification,
            Problem::MultiLabel => Task::ImageMultiLabelClassification,
            Problem::Regression => Task::ImageRegression,
        }
    }

    fn named(name: &str) -> Option<Task> {
        Task::ALL.into_iter().find(|it| it.name() == name)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ModelChoice {
    /// A folder, or `hf:OWNER/NAME`, with `@REVISION` where one is pinned.
    pub base: Option<String>,
    pub head: Head,
    /// Side of the square that pictures are brought to, in pixels; absent: as the model's config says.
    pub image_size: Option<u32>,
    /// Probability for hidden states and the head; absent: what the model's config says.
    pub dropout: Option<f64>,
    /// Probability for attention weights; 0 by default, because it costs more time than all else.
    pub attention_dropout: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Head {
    /// The family's own classification head.
    Linear,
    /// A plugin's, by name.
    Plugin(String),
}

impl From<String> for Head {
    fn from(name: String) -> Head {
        if name == "linear" { Head::Linear } else { Head::Plugin(name) }
    }
}

impl From<Head> for String {
    fn from(head: Head) -> String {
        match head {
            Head::Linear => "linear".into(),
            Head::Plugin(name) => name,
        }
    }
}

/// How training pictures are changed. Absent values are the preset's.
#[derive(Debug, Clone, PartialEq)]
pub struct AugmentChoice {
    /// Absent: decided by what trains.
    pub preset: Option<Preset>,
    /// Range of the random crop's share of the area.
    pub crop: Option<[f64; 2]>,
    /// Probabilities.
    pub horizontal_flip: Option<f64>,
    pub vertical_flip: Option<f64>,
    pub erasing: Option<f64>,
    /// Factors are drawn from 1 - x to 1 + x.
    pub brightness: Option<f64>,
    pub contrast: Option<f64>,
    pub saturation: Option<f64>,
    /// In turns, at most 0.5.
    pub hue: Option<f64>,
    /// Of the Beta distribution; 0: off.
    pub mixup: Option<f64>,
    pub cutmix: Option<f64>,
    /// A plugin's augmentation, by name, after all of these.
    pub plugin: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    None,
    Light,
    Strong,
}

/// Which plugins are loaded, and what their parts are told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PluginChoice {
    pub load: Vec<String>,
    /// Name of a head, loss, metric, … -> its settings as typed.
    pub settings: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Freeze {
    /// What is trained from the start; all else is frozen.
    pub train: Vec<Pattern>,
    pub unfreeze: Vec<Unfreeze>,
    /// Each layer below the head learns this factor slower than the one above; 1: all alike.
    pub layer_decay: f64,
    /// What frozen parts give for an example is kept, where that is possible.
    pub cache: bool,
}

/// A set of tensors, as a recipe names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pattern {
    All,
    /// All that stands between the last hidden state and the logits.
    Head,
    Norms,
    Embeddings,
    /// The last N layers of the body.
    Last(u32),
    /// `*` and `?` over whole tensor names.
    Glob(String),
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Pattern, String> {
        match text.as_str() {
            "all" => Ok(Pattern::All),
            "head" => Ok(Pattern::Head),
            "norms" => Ok(Pattern::Norms),
            "embeddings" => Ok(Pattern::Embeddings),
            "" => Err("an empty pattern names nothing".into()),
            _ => match text.strip_prefix("last:") {
                Some(n) => match n.parse() {
                    Ok(n) if 1 <= n => Ok(Pattern::Last(n)),
                    _ => Err(format!("`{text}`: last: wants a number of layers, as in `last:2`")),
                },
                None if text.contains(['*', '?', '.']) => Ok(Pattern::Glob(text)),
                None => {
                    let hint = raw::suggestion(&text, &["all", "head", "norms", "embeddings", "last:2"]);
                    Err(format!("`{text}` is none of all, head, norms, embeddings, last:N or a glob of tensor names{hint}"))
                }
            },
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        match pattern {
            Pattern::All => "all".into(),
            Pattern::Head => "head".into(),
            Pattern::Norms => "norms".into(),
            Pattern::Embeddings => "embeddings".into(),
            Pattern::Last(n) => format!("last:{n}"),
            Pattern::Glob(glob) => glob,
        }
    }
}

/// From the start of `epoch` (counted from 1) these train too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unfreeze {
    pub epoch: u32,
    pub train: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DataChoice {
    /// Column names; absent: found by the usual names.
    pub text: Option<String>,
    pub label: Option<String>,
    /// Column of paths or pictures.
    pub image: Option<String>,
    /// Columns of numbers to learn, or of zeros and ones, one for each class.
    pub labels: Vec<String>,
    /// A plugin's reader, by name.
    pub reader: Option<String>,
    /// Parts of the data, unless the drop has its own splits.
    pub validation: f64,
    pub test: f64,
    pub max_tokens: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TrainChoice {
    pub epochs: Option<u32>,
    /// Examples in one forward pass.
    pub batch: u32,
    /// Forward passes in one update.
    pub accumulate: u32,
    pub lr: Option<f64>,
    pub optimizer: Optimizer,
    pub weight_decay: f64,
    pub schedule: Schedule,
    /// Part of all steps in which the learning rate rises from zero.
    pub warmup: f64,
    /// Largest L2 norm of all gradients together.
    pub clip: Option<f64>,
    pub label_smoothing: f64,
    pub class_weights: ClassWeights,
    /// Evaluations without a better score before training stops; absent: never.
    pub patience: Option<u32>,
    /// A plugin's loss, by name; absent: cross-entropy, for several labels binary, for numbers the mean square.
    pub loss: Option<String>,
    /// Plugins' hooks, by name.
    pub hooks: Vec<String>,
    pub seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Optimizer {
    #[serde(rename = "adamw")]
    AdamW {
        betas: (f64, f64),
        eps: f64,
    },
    /// Weight decay is added to the gradient, as in torch.optim.Adam.
    Adam {
        betas: (f64, f64),
        eps: f64,
    },
    Sgd {
        momentum: f64,
        nesterov: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    Linear,
    Cosine,
    Constant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    None,
    /// n / (classes * count of the class), as scikit-learn's `balanced`.
    Auto,
}

#[derive(Debug, Clone, PartialEq)]
pub struct EvalChoice {
    /// Shown first in reports; every metric is computed anyway. Empty: those that suit the task.
    pub metrics: Vec<String>,
    /// Chooses the best step; absent: the one that suits the task.
    pub best: Option<String>,
    /// Steps between evaluations; absent: at the end of each epoch.
    pub every_steps: Option<u64>,
}

/// When checkpoints are written, besides the end of training and a stop signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SaveChoice {
    pub every_steps: Option<u64>,
    pub every_epochs: Option<u32>,
    pub every_minutes: Option<f64>,
    /// Newest checkpoints kept.
    pub keep: u32,
}

/// Metric names that a recipe may select where an example has one label.
pub const METRICS: &[&str] = &[
    "accuracy",
    "top5_accuracy",
    "macro_average_precision",
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "macro_precision",
    "micro_precision",
    "weighted_precision",
    "macro_recall",
    "micro_recall",
    "weighted_recall",
    "loss",
];

/// The same where it may have several; `accuracy` is that of whole sets.
pub const METRICS_MULTI_LABEL: &[&str] = &[
    "macro_average_precision",
    "accuracy",
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "macro_precision",
    "micro_precision",
    "weighted_precision",
    "macro_recall",
    "micro_recall",
    "weighted_recall",
    "loss",
];

/// The same where numbers are learnt; means over the numbers.
pub const METRICS_REGRESSION: &[&str] = &["r2", "mae", "rmse", "loss"];

/// What may be selected for a problem; those shown first and the one that chooses the best step by default.
pub fn metrics(problem: Problem) -> (&'static [&'static str], &'static [&'static str], &'static str) {
    match problem {
        Problem::SingleLabel => (METRICS, &["accuracy", "macro_f1"], "macro_f1"),
        Problem::MultiLabel => (METRICS_MULTI_LABEL, &["macro_average_precision", "micro_f1"], "macro_average_precision"),
        Problem::Regression => (METRICS_REGRESSION, &["r2", "mae", "rmse"], "r2"),
    }
}

/// What is wrong with a recipe, and where.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{}{message}", line.map(|it| format!("line {it}: ")).unwrap_or_default())]
pub struct RecipeError {
    /// Counts from 1.
    pub line: Option<usize>,
    pub message: String,
}

impl Recipe {
    pub fn parse(text: &str) -> Result<Recipe, RecipeError> {
        let raw: Raw = raw::parse(text)?;
        checked(raw).map_err(|wrong| RecipeError { line: raw::line_of(text, wrong.field), message: wrong.to_string() })
    }
}

/// The first stage alone, for our other TOML files: an unknown key is refused with its line and a suggestion.
pub fn typed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, RecipeError> {
    raw::parse(text)
}

/// Where a dotted field such as `train.epochs` stands in the text; counts from 1.
pub fn line_of(text: &str, field: &str) -> Option<usize> {
    raw::line_of(text, field)
}

impl Default for Recipe {
    fn default() -> Recipe {
        checked(Raw::default()).expect("an empty recipe is a good recipe: tested below")
    }
}

/// A value that can't be used, with the dotted name of its field.
#[derive(Debug, thiserror::Error)]
#[error("{field} {message}")]
struct Wrong {
    field: &'static str,
    message: String,
}

fn wrong<T>(field: &'static str, message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { field, message: message.into() })
}

fn checked(raw: Raw) -> Result<Recipe, Wrong> {
    let task = match raw.task {
        None => None,
        Some(name) => match Task::named(&name) {
            Some(task) => Some(task),
            None => {
                let known = Task::ALL.map(Task::name);
                return wrong("task", format!("`{name}` is no task{}; there are {}", raw::suggestion(&name, &known), known.join(", ")));
            }
        },
    };
    let plugins = plugins(raw.plugins.unwrap_or_default())?;
    let with_plugins = !plugins.load.is_empty();
    let recipe = Recipe {
        task,
        model: model(raw.model.unwrap_or_default())?,
        freeze: freeze(raw.freeze.unwrap_or_default())?,
        data: data(raw.data.unwrap_or_default())?,
        augment: augment(raw.augment.unwrap_or_default())?,
        train: train(raw.train.unwrap_or_default())?,
        eval: eval(raw.eval.unwrap_or_default(), with_plugins)?,
        save: save(raw.save.unwrap_or_default())?,
        plugins,
    };
    without_plugins(&recipe)?;
    Ok(recipe)
}

/// What only a plugin can give is asked for, and none is loaded: refused before anything is read.
fn without_plugins(recipe: &Recipe) -> Result<(), Wrong> {
    if !recipe.plugins.load.is_empty() {
        return Ok(());
    }
    let none = |field, name: &str, ours: &str| wrong(field, format!("`{name}` is not known; {ours}, and a plugin's wants `plugins.load`"));
    if let Head::Plugin(name) = &recipe.model.head {
        return none("model.head", name, "`linear` is the model's own head");
    }
    if let Some(name) = &recipe.train.loss {
        return none("train.loss", name, "without this key the loss suits the task");
    }
    if let Some(name) = recipe.train.hooks.first() {
        return none("train.hooks", name, "all hooks are plugins'");
    }
    if let Some(name) = &recipe.data.reader {
        return none("data.reader", name, "without this key the format is recognised");
    }
    match &recipe.augment.plugin {
        Some(name) => none("augment.plugin", name, "all of these are plugins'"),
        None => Ok(()),
    }
}

fn model(raw: RawModel) -> Result<ModelChoice, Wrong> {
    /// Below, no model of the zoo has a pixel left before its head.
    const IMAGE_SIZE_MIN: u32 = 16;
    Ok(ModelChoice {
        base: raw.base,
        head: raw.head.unwrap_or_else(|| "linear".into()).into(),
        image_size: raw.image_size.map(|it| at_least("model.image_size", it, IMAGE_SIZE_MIN)).transpose()?,
        dropout: raw.dropout.map(|p| within("model.dropout", p, 0.0..0.95)).transpose()?,
        attention_dropout: within("model.attention_dropout", raw.attention_dropout.unwrap_or(0.0), 0.0..0.95)?,
    })
}

fn data(raw: RawData) -> Result<DataChoice, Wrong> {
    if raw.label.is_some() && raw.labels.is_some() {
        return wrong("data.labels", "and data.label say the same thing: give one of them");
    }
    let data = DataChoice {
        text: raw.text,
        label: raw.label,
        image: raw.image,
        labels: raw.labels.unwrap_or_default(),
        reader: raw.reader,
        validation: within("data.validation", raw.validation.unwrap_or(0.1), 0.0..0.9)?,
        test: within("data.test", raw.test.unwrap_or(0.0), 0.0..0.9)?,
        max_tokens: match raw.max_tokens {
            Some(n) if n < 4 => return wrong("data.max_tokens", "must be at least 4"),
            n => n,
        },
    };
    if 0.95 < data.validation + data.test {
        return wrong("data.validation", "and data.test leave too little to train on");
    }
    Ok(data)
}

fn augment(raw: RawAugment) -> Result<AugmentChoice, Wrong> {
    let part = |field, value: Option<f64>| value.map(|it| within(field, it, 0.0..1.0 + f64::EPSILON)).transpose();
    let alpha = |field, value: Option<f64>| value.map(|it| within(field, it, 0.0..100.0)).transpose();
    let crop = match raw.crop {
        Some([low, high]) if !(0.0 < low && low <= high && high <= 1.0) => {
            return wrong("augment.crop", format!("is [{low}, {high}], but must be a range above 0 and at most 1"));
        }
        crop => crop,
    };
    Ok(AugmentChoice {
        preset: match raw.preset.as_deref() {
            None => None,
            Some("none") => Some(Preset::None),
            Some("light") => Some(Preset::Light),
            Some("strong") => Some(Preset::Strong),
            Some(other) => return wrong("augment.preset", format!("is `{other}`, but must be none, light or strong")),
        },
        crop,
        horizontal_flip: part("augment.horizontal_flip", raw.horizontal_flip)?,
        vertical_flip: part("augment.vertical_flip", raw.vertical_flip)?,
        erasing: part("augment.erasing", raw.erasing)?,
        brightness: part("augment.brightness", raw.brightness)?,
        contrast: part("augment.contrast", raw.contrast)?,
        saturation: part("augment.saturation", raw.saturation)?,
        hue: raw.hue.map(|it| within("augment.hue", it, 0.0..0.5 + f64::EPSILON)).transpose()?,
        mixup: alpha("augment.mixup", raw.mixup)?,
        cutmix: alpha("augment.cutmix", raw.cutmix)?,
        plugin: raw.plugin,
    })
}

fn plugins(raw: RawPlugins) -> Result<PluginChoice, Wrong> {
    let mut settings = BTreeMap::new();
    for (name, table) in raw.settings.unwrap_or_default() {
        let Ok(json) = serde_json::to_value(&table) else {
            return wrong("plugins.settings", format!("of {name} can't be passed on: a plugin is given JSON, which has no dates"));
        };
        settings.insert(name, json);
    }
    Ok(PluginChoice { load: raw.load.unwrap_or_default(), settings })
}

fn within(field: &'static str, value: f64, range: std::ops::Range<f64>) -> Result<f64, Wrong> {
    if range.contains(&value) { Ok(value) } else { wrong(field, format!("is {value}, but must be at least {} and below {}", range.start, range.end)) }
}

fn at_least<T: PartialOrd + std::fmt::Display>(field: &'static str, value: T, least: T) -> Result<T, Wrong> {
    if value < least { wrong(field, format!("is {value}, but must be at least {least}")) } else { Ok(value) }
}

fn freeze(raw: RawFreeze) -> Result<Freeze, Wrong> {
    let patterns = |field, list: Vec<String>| {
        list.into_iter().map(|it| Pattern::try_from(it).or_else(|why| wrong(field, format!("has {why}")))).collect::<Result<Vec<_>, _>>()
    };
    let train = patterns("freeze.train", raw.train.unwrap_or_else(|| vec!["all".into()]))?;
    if train.is_empty() {
        return wrong("freeze.train", "names nothing, so nothing would be trained");
    }
    let mut unfreeze = Vec::new();
    for it in raw.unfreeze.unwrap_or_default() {
        let epoch = at_least("freeze.unfreeze", it.epoch, 2)?;
        unfreeze.push(Unfreeze { epoch, train: patterns("freeze.unfreeze", it.train)? });
    }
    unfreeze.sort_by_key(|it| it.epoch);
    let layer_decay = raw.layer_decay.unwrap_or(1.0);
    if !(0.0 < layer_decay && layer_decay <= 1.0) {
        return wrong("freeze.layer_decay", format!("is {layer_decay}, but must be above 0 and at most 1"));
    }
    Ok(Freeze { train, unfreeze, layer_decay, cache: raw.cache.unwrap_or(true) })
}

fn train(raw: RawTrain) -> Result<TrainChoice, Wrong> {
    let lr = match raw.lr {
        Some(lr) if !(lr.is_finite() && 0.0 < lr && lr <= 10.0) => return wrong("train.lr", format!("is {lr}, but must be above 0 and at most 10")),
        lr => lr,
    };
    let clip = match raw.clip.unwrap_or(1.0) {
        0.0 => None,
        clip if clip.is_finite() && 0.0 < clip => Some(clip),
        clip => return wrong("train.clip", format!("is {clip}, but must be above 0 (or 0: no clipping)")),
    };
    Ok(TrainChoice {
        epochs: raw.epochs.map(|it| at_least("train.epochs", it, 1)).transpose()?,
        batch: at_least("train.batch", raw.batch.unwrap_or(32), 1)?,
        accumulate: at_least("train.accumulate", raw.accumulate.unwrap_or(1), 1)?,
        lr,
        optimizer: optimizer(&raw)?,
        weight_decay: within("train.weight_decay", raw.weight_decay.unwrap_or(0.01), 0.0..1.0)?,
        schedule: match raw.schedule.as_deref() {
            None | Some("linear") => Schedule::Linear,
            Some("cosine") => Schedule::Cosine,
            Some("constant") => Schedule::Constant,
            Some(other) => return wrong("train.schedule", format!("is `{other}`, but must be linear, cosine or constant")),
        },
        warmup: within("train.warmup", raw.warmup.unwrap_or(0.06), 0.0..1.0)?,
        clip,
        label_smoothing: within("train.label_smoothing", raw.label_smoothing.unwrap_or(0.0), 0.0..0.95)?,
        class_weights: match raw.class_weights.as_deref() {
            None | Some("none") => ClassWeights::None,
            Some("auto") => ClassWeights::Auto,
            Some(other) => return wrong("train.class_weights", format!("is `{other}`, but must be none or auto")),
        },
        patience: match raw.patience {
            Some(0) => None,
            None => Some(2),
            patience => patience,
        },
        loss: raw.loss,
        hooks: raw.hooks.unwrap_or_default(),
        seed: raw.seed.unwrap_or(0),
    })
}

fn optimizer(raw: &RawTrain) -> Result<Optimizer, Wrong> {
    let beta = |it: f64| within("train.betas", it, 0.0..1.0);
    let (b1, b2) = raw.betas.unwrap_or((0.9, 0.999));
    let betas = (beta(b1)?, beta(b2)?);
    let eps = raw.eps.unwrap_or(1e-8);
    if !(eps.is_finite() && 0.0 < eps) {
        return wrong("train.eps", format!("is {eps}, but must be above 0"));
    }
    let name = raw.optimizer.as_deref().unwrap_or("adamw");
    if name != "sgd" && (raw.momentum.is_some() || raw.nesterov.is_some()) {
        return wrong("train.momentum", format!("and train.nesterov belong to sgd, not to {name}"));
    }
    if name == "sgd" && (raw.betas.is_some() || raw.eps.is_some()) {
        return wrong("train.betas", "and train.eps belong to adamw and adam, not to sgd");
    }
    let momentum = within("train.momentum", raw.momentum.unwrap_or(0.9), 0.0..1.0)?;
    let nesterov = raw.nesterov.unwrap_or(false);
    if nesterov && momentum == 0.0 {
        return wrong("train.nesterov", "wants a momentum above 0");
    }
    match name {
        "adamw" => Ok(Optimizer::AdamW { betas, eps }),
        "adam" => Ok(Optimizer::Adam { betas, eps }),
        "sgd" => Ok(Optimizer::Sgd { momentum, nesterov }),
        other => wrong("train.optimizer", format!("is `{other}`, but must be adamw, adam or sgd")),
    }
}

fn eval(raw: RawEval, with_plugins: bool) -> Result<EvalChoice, Wrong> {
    let all = [METRICS, METRICS_MULTI_LABEL, METRICS_REGRESSION].concat();
    let known = |field, name: &String| {
        if with_plugins || all.contains(&name.as_str()) {
            return Ok(());
        }
        let mut names = all.clone();
        names.sort_unstable();
        names.dedup();
        wrong(field, format!("names `{name}`, which is no metric{}; there are {}", raw::suggestion(name, &names), names.join(", ")))
    };
    let metrics = raw.metrics.unwrap_or_default();
    metrics.iter().try_for_each(|it| known("eval.metrics", it))?;
    raw.best.iter().try_for_each(|it| known("eval.best", it))?;
    let every_steps = raw.every_steps.map(|it| at_least("eval.every_steps", it, 1)).transpose()?;
    Ok(EvalChoice { metrics, best: raw.best, every_steps })
}

fn save(raw: RawSave) -> Result<SaveChoice, Wrong> {
    /// Work that a crash may cost when the recipe is silent.
    const MINUTES_DEFAULT: f64 = 5.0;
    let minutes = match raw.every_minutes.unwrap_or(MINUTES_DEFAULT) {
        0.0 => None,
        it if it.is_finite() && 0.0 < it => Some(it),
        it => return wrong("save.every_minutes", format!("is {it}, but must be above 0 (or 0: never)")),
    };
    Ok(SaveChoice {
        every_steps: raw.every_steps.map(|it| at_least("save.every_steps", it, 1)).transpose()?,
        every_epochs: Some(at_least("save.every_epochs", raw.every_epochs.unwrap_or(1), 1)?),
        every_minutes: minutes,
        keep: at_least("save.keep", raw.keep.unwrap_or(2), 1)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, message: &str) {
        assert_eq!(Recipe::parse(text).unwrap_err().to_string(), message);
    }

    #[test]
    fn an_empty_recipe_is_the_default() {
        assert_eq!(Recipe::parse("").unwrap(), Recipe::default());
    }

    #[test]
    fn a_typo_is_refused_with_a_suggestion_and_its_line() {
        refused("[train]\nepochs = 2\nbacth = 3\n", "line 3: unknown key `bacth` in [train]: did you mean `batch`?");
        refused("tusk = 'x'", "line 1: unknown key `tusk`: did you mean `task`?");
        refused(
            "[freeze]\ntrain = ['heat']",
            "line 2: freeze.train has `heat` is none of all, head, norms, embeddings, last:N or a glob of tensor names: did you mean `head`?",
        );
    }

    #[test]
    fn values_are_checked_where_they_stand() {
        refused("[train]\n# how long\nepochs = 0", "line 3: train.epochs is 0, but must be at least 1");
        refused("[train]\nlr = -1.0", "line 2: train.lr is -1, but must be above 0 and at most 10");
        refused("[data]\nvalidation = 1.5", "line 2: data.validation is 1.5, but must be at least 0 and below 0.9");
        refused("train.optimizer = 'adagrad'", "line 1: train.optimizer is `adagrad`, but must be adamw, adam or sgd");
        refused("[train]\nbatch = \"many\"", "line 2: invalid type: string \"many\", expected u32");
    }

    #[test]
    fn nesting_is_refused_before_it_is_parsed() {
        refused(&"[".repeat(12_000), "line 1: nested deeper than 16 levels");
        refused(&format!("a{} = 1", ".a".repeat(6_000)), "line 1: nested deeper than 16 levels");
        refused(&"# \n".repeat(40_000), "longer than 65536 bytes");
    }

    #[test]
    fn the_recipe_of_the_design_is_understood() {
        let recipe = Recipe::parse(include_str!("recipe/design.toml")).unwrap();
        assert_eq!(recipe.freeze.train, [Pattern::Head, Pattern::Last(2)]);
        assert_eq!(recipe.freeze.unfreeze, [Unfreeze { epoch: 3, train: vec![Pattern::All] }]);
        assert_eq!(recipe.train.schedule, Schedule::Cosine);
    }
}
