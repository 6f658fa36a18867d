//! Decides what a user's TOML asks for, in two stages: as typed (`Raw`, unknown keys refused with
//! a suggestion), then checked ([`Recipe`], every value usable, enums instead of strings).
//!
//! A field stays an `Option` only where its default depends on the data or the model; that default
//! is decided in the worker's `planning`, once.

mod readable; // what the parser finds wrong
mod raw;
mod foreign; // what other libraries call a key or a task
mod meant; // which key one may be meant for that is not known
mod limits; // a value outside of them, and where it stands
mod grpo; // as typed -> usable: answers that rewards score
mod check; // all else

pub use grpo::{GrpoChoice, GrpoLoss, RewardChoice, RewardRule, ScaleRewards};

use crate::task::Task;
use check::checked;
use raw::Raw;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// Its name in a drop.
pub const FILE: &str = "job.toml";
/// Of jobs, the more important ones higher; without one it is 0.
pub const PRIORITIES: RangeInclusive<i32> = -100..=100;

#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Of the job among others, in [`PRIORITIES`]; absent: as its inbox or its owner says.
    pub priority: Option<i32>,
    pub task: Option<Task>,
    pub model: ModelChoice,
    pub freeze: Freeze,
    /// Absent: the body's own weights train.
    pub adapter: Option<AdapterChoice>,
    pub data: DataChoice,
    pub augment: AugmentChoice,
    pub train: TrainChoice,
    /// Absent: as it is by default.
    pub grpo: Option<GrpoChoice>,
    /// What answers of the model's own are rewarded for.
    pub rewards: Vec<RewardChoice>,
    pub eval: EvalChoice,
    pub save: SaveChoice,
    pub plugins: PluginChoice,
    /// Dotted names of what the recipe says itself, as `train.batch`.
    pub asked: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ModelChoice {
    /// A folder, or `hf:OWNER/NAME`, with `@REVISION` where one is pinned.
    pub base: Option<String>,
    pub head: Head,
    /// Side of the square that images are brought to, in pixels; absent: as the model's config
    /// says.
    pub image_size: Option<u32>,
    /// Probability for hidden states and the head; absent: what the model's config says.
    pub dropout: Option<f64>,
    /// Probability for attention weights; 0 by default, because it costs more time than all else.
    pub attention_dropout: f64,
    pub dtype: Dtype,
}

/// What matrices are stored in that do not train. They are computed with in fp32 all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// In half the bits where the base has no more and memory is short; else fp32.
    #[default]
    Auto,
    Fp32,
    /// Rounded, where the base has more bits.
    Bf16,
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

/// How training images are changed. Absent values are the preset's.
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
    /// Absent: by the family of models.
    pub layer_decay: Option<f64>,
    /// Batch norm keeps the base's running statistics. Absent: as training has it by default.
    pub statistics: Option<bool>,
    /// What frozen parts give for an example is kept, where that is possible.
    pub cache: bool,
}

/// Adapters of linear maps, which train in the place of the body.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterChoice {
    pub form: AdapterForm,
    /// Linear maps, by their names, the last parts of those, or globs; empty: all of the body, of
    /// (IA)³ those that peft takes of such a model.
    pub target_modules: Vec<String>,
    /// Train and are saved whole, besides the head.
    pub modules_to_save: Vec<String>,
    /// All biases of the body train too.
    pub biases: bool,
}

/// What stands beside a linear map.
#[derive(Debug, Clone, PartialEq)]
pub enum AdapterForm {
    /// Two low-rank factors.
    Lora { r: u32, lora_alpha: f64, lora_dropout: f64, use_rslora: bool, use_dora: bool },
    /// (IA)³: a factor for each output; for each input of `feedforward_modules`, which are named as
    /// targets are. Empty: those that peft takes of such a model.
    Ia3 { feedforward_modules: Vec<String> },
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
                    let hint = readable::suggestion(
                        &text,
                        &["all", "head", "norms", "embeddings", "last:2"],
                    );
                    Err(format!(
                        "`{text}` is none of all, head, norms, embeddings, last:N or a glob of tensor names{hint}"
                    ))
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
    /// Columns of texts, in the order in which they go in; empty: found by their names.
    pub text: Vec<String>,
    /// Column to learn; absent: found by its name or its values.
    pub label: Option<String>,
    /// Column of paths or images.
    pub image: Option<String>,
    /// Columns to learn in place of `label`: of numbers, or of zeros and ones, one for each class.
    pub labels: Vec<String>,
    /// A plugin's reader, by name.
    pub reader: Option<String>,
    /// Parts of the data, unless the drop has its own splits. Absent: by the number of examples.
    pub validation: Option<f64>,
    pub test: f64,
    pub max_tokens: Option<u32>,
    /// What looks like a special token in a text is text.
    pub split_special_tokens: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TrainChoice {
    pub method: Method,
    pub epochs: Option<u32>,
    /// Examples in one forward pass; absent: by the number of examples.
    pub batch: Option<u32>,
    /// Forward passes in one update; absent: by the task.
    pub accumulate: Option<u32>,
    pub lr: Option<f64>,
    /// Of the head; absent: a multiple of `lr`, or `lr` where nothing else trains.
    pub head_lr: Option<f64>,
    pub optimizer: Optimizer,
    pub weight_decay: f64,
    pub schedule: Schedule,
    /// Part of all steps in which the learning rate rises; absent: by the number of steps.
    pub warmup: Option<f64>,
    /// Largest L2 norm of all gradients together.
    pub clip: Option<f64>,
    pub label_smoothing: f64,
    /// Absent: by how unlike the classes are in size.
    pub class_weights: Option<ClassWeights>,
    /// Evaluations without a better score before training stops, which it never does before the
    /// last tensors are unfrozen; 0: never. Absent: by the number of epochs.
    pub patience: Option<u32>,
    /// The finished model is trained once more on training and validation examples together, for as
    /// long as validation chose. Absent: where there are few.
    pub refit: Option<bool>,
    /// What fine-tuned weights count in the model that is scored and saved, above 0 up to 1; the
    /// rest are those that training began with. Absent: by the family.
    pub wise_ft: Option<f64>,
    /// A plugin's loss, by name; absent: cross-entropy, for several labels binary, for numbers the
    /// mean square.
    pub loss: Option<String>,
    /// Of answers that are compared, under the same key.
    pub preference: Option<PreferenceLoss>,
    /// Absent: by the loss.
    pub beta: Option<f64>,
    pub gamma: Option<f64>,
    /// Plugins' hooks, by name.
    pub hooks: Vec<String>,
    /// Less memory for more time; absent: for images.
    pub gradient_checkpointing: Option<bool>,
    pub precision: Precision,
    /// None: as it is by default.
    pub on: Option<LearntTurns>,
    pub seed: u64,
}

/// Of what matrices are multiplied in training; weights, sums and all that is scored are fp32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// `Bf16` where a measured step is faster with it.
    Auto,
    Fp32,
    /// On a GPU TF32.
    Bf16,
}

/// What of a conversation is learnt; all else is only read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearntTurns {
    /// What an assistant says.
    #[default]
    Assistant,
    /// The last thing that an assistant says.
    Completions,
    All,
}

/// What is minimised where answers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreferenceLoss {
    /// Rafailov et al. 2023, with label smoothing Mitchell 2023.
    Dpo,
    /// Azar et al. 2023.
    Ipo,
    /// Ethayarajh et al. 2024.
    Kto,
    /// Hong et al. 2024.
    Orpo,
    /// Meng et al. 2024.
    Simpo,
}

impl PreferenceLoss {
    pub const ALL: [PreferenceLoss; 5] = [
        PreferenceLoss::Dpo,
        PreferenceLoss::Ipo,
        PreferenceLoss::Kto,
        PreferenceLoss::Orpo,
        PreferenceLoss::Simpo,
    ];

    /// As a recipe says it.
    pub fn name(self) -> &'static str {
        match self {
            PreferenceLoss::Dpo => "dpo",
            PreferenceLoss::Ipo => "ipo",
            PreferenceLoss::Kto => "kto",
            PreferenceLoss::Orpo => "orpo",
            PreferenceLoss::Simpo => "simpo",
        }
    }

    pub fn named(name: &str) -> Option<PreferenceLoss> {
        PreferenceLoss::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether likelihoods are held against those of the base.
    pub fn has_reference(self) -> bool {
        !matches!(self, PreferenceLoss::Orpo | PreferenceLoss::Simpo)
    }

    /// Whether an unsure label may be smoothed.
    pub fn smooths(self) -> bool {
        matches!(self, PreferenceLoss::Dpo | PreferenceLoss::Simpo)
    }
}

/// What is learnt, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Fine-tuning that begins with a linear probe as its head; whichever is better on validation
    /// is kept.
    Auto,
    /// Fine-tuning with the family's head, made from the seed.
    Full,
    /// A linear probe of the frozen base, and nothing else.
    Probe,
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
    /// n / (classes * count of the class), as scikit-learn's `balanced`; of several labels
    /// what those with a class weigh against those without, without / with.
    Auto,
}

#[derive(Debug, Clone, PartialEq)]
pub struct EvalChoice {
    /// Shown first in reports; every metric is computed anyway. Empty: those that suit the task.
    pub metrics: Vec<String>,
    /// Chooses the best step; absent: the one that suits the task.
    pub best: Option<String>,
    /// Steps between evaluations; absent: by the number of epochs.
    pub every_steps: Option<u64>,
    /// From which probability on a class is predicted follows from validation; absent: for several
    /// labels, and for two classes of very different size.
    pub tune_thresholds: Option<bool>,
}

/// When checkpoints are written, besides the end of training and a stop signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SaveChoice {
    pub every_steps: Option<u64>,
    pub every_epochs: Option<u32>,
    pub every_minutes: Option<f64>,
    /// Newest checkpoints kept.
    pub keep: u32,
    /// An adapter is left as one; else it is merged into the weights that it stands beside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adapter: bool,
    /// The finished model lies in its folder as a GGUF file too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gguf: Option<Gguf>,
}

/// How most numbers of a GGUF file are stored, by ggml's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gguf {
    F32,
    F16,
    /// Eight bits, and a scale for every 32 numbers.
    Q8_0,
}

impl Gguf {
    pub const ALL: [Gguf; 3] = [Gguf::F32, Gguf::F16, Gguf::Q8_0];

    pub fn name(self) -> &'static str {
        match self {
            Gguf::F32 => "f32",
            Gguf::F16 => "f16",
            Gguf::Q8_0 => "q8_0",
        }
    }

    pub fn named(name: &str) -> Option<Gguf> {
        Gguf::ALL.into_iter().find(|it| it.name() == name)
    }

    /// In a model's folder: llama.cpp finds a type in a repository of the Hub by the end of the
    /// name.
    pub fn file_name(self) -> String {
        format!("model-{}.gguf", self.name().to_uppercase())
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
        let raw: Raw = raw::parse(text, meant::key)?;
        let asked = raw::names(text);
        let recipe = checked(raw).map(|it| Recipe { asked, ..it });
        recipe.map_err(|wrong| RecipeError {
            line: match wrong.nth {
                Some(nth) => raw::line_of_nth(text, wrong.field, nth),
                None => raw::line_of(text, wrong.field),
            },
            message: wrong.to_string(),
        })
    }
}

impl Recipe {
    /// Folders or names of models whose rewards are asked for.
    pub fn reward_models(&self) -> Vec<&str> {
        self.rewards.iter().filter_map(|it| it.rule.model()).collect()
    }

    /// The same, where the base model brings an adapter that training goes on with.
    ///
    /// # Errors
    /// The recipe asks for what an adapter rules out.
    pub fn on_adapter(self, adapter: AdapterChoice) -> Result<Recipe, RecipeError> {
        let recipe = Recipe { adapter: Some(adapter), ..self };
        let wrong = |it: limits::Wrong| RecipeError { line: None, message: it.to_string() };
        check::with_adapter(&recipe).map_err(wrong)?;
        Ok(recipe)
    }
}

/// The first stage alone, for our other TOML files: an unknown key is refused with its line and a
/// suggestion.
pub fn typed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, RecipeError> {
    raw::parse(text, |_, _| None)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    pub(super) fn refused(text: &str, message: &str) {
        assert_eq!(Recipe::parse(text).unwrap_err().to_string(), message);
    }

    #[test]
    fn an_empty_recipe_is_the_default() {
        assert_eq!(Recipe::parse("").unwrap(), Recipe::default());
    }

    #[test]
    fn a_typo_is_refused_with_a_suggestion_and_its_line() {
        refused(
            "[train]\nepochs = 2\nbacth = 3\n",
            "line 3: unknown key `bacth` in [train]: did you mean `batch`?",
        );
        refused("tusk = 'x'", "line 1: unknown key `tusk`: did you mean `task`?");
        refused(
            "[freeze]\ntrain = ['heat']",
            "line 2: freeze.train has `heat` is none of all, head, norms, embeddings, last:N or a glob of tensor names: did you mean `head`?",
        );
    }

    #[test]
    fn values_are_checked_where_they_stand() {
        refused(
            "[train]\n# how long\nepochs = 0",
            "line 3: train.epochs is 0, but must be at least 1",
        );
        refused("[job]\npriority = 101", "line 2: job.priority is 101, but must be at most 100");
        refused("[train]\nlr = -1.0", "line 2: train.lr is -1, but must be above 0 and at most 10");
        refused(
            "[data]\nvalidation = 1.5",
            "line 2: data.validation is 1.5, but must be at least 0 and below 0.9",
        );
        refused(
            "train.optimizer = 'adagrad'",
            "line 1: train.optimizer is `adagrad`, but must be adamw, adam or sgd",
        );
        refused(
            "[train]\nbatch = \"many\"",
            "line 2: train.batch is \"many\", but must be a whole number, 0 or more",
        );
    }

    #[test]
    fn texts_stand_in_one_column_or_in_several() {
        let text = |recipe: &str| Recipe::parse(recipe).unwrap().data.text;
        assert_eq!(text(""), [""; 0]);
        assert_eq!(text("data.text = 'a'"), ["a"]);
        assert_eq!(text("[data]\ntext = ['a', 'b']"), ["a", "b"]);
        refused(
            "[data]\ntext = 3",
            "line 2: data.text is 3, but must be a name or a list of names",
        );
        refused("data.text = ['a', 'a']", "line 1: data.text names a column twice");
        refused("data.labels = ['a', 'a']", "line 1: data.labels names a column twice");
    }

    #[test]
    fn an_adapter_is_a_table_of_its_own() {
        let adapter = |recipe: &str| Recipe::parse(recipe).unwrap().adapter;
        assert_eq!(adapter(""), None);
        let default = adapter("[adapter]").unwrap();
        let lora = |r, lora_alpha| AdapterForm::Lora {
            r,
            lora_alpha,
            lora_dropout: 0.0,
            use_rslora: false,
            use_dora: false,
        };
        assert_eq!(default.form, lora(16, 32.0));
        assert!(default.target_modules.is_empty());
        assert_eq!(adapter("adapter.target_modules = 'all-linear'").unwrap(), default);
        assert_eq!(adapter("adapter.r = 4").unwrap().form, lora(4, 8.0));
        let ia3 = adapter("adapter.peft_type = 'ia3'").unwrap();
        assert_eq!(ia3.form, AdapterForm::Ia3 { feedforward_modules: Vec::new() });
        assert!(ia3.target_modules.is_empty());
        let all = adapter("[adapter]\npeft_type = 'ia3'\ntarget_modules = 'all-linear'");
        assert_eq!(all.unwrap().target_modules, ["*"]);
        refused(
            "[adapter]\npeft_type = 'ia3'\nr = 4",
            "line 3: adapter.r is a key of LoRA, but adapter.peft_type is `ia3`: leave one of them out",
        );
        refused(
            "adapter.feedforward_modules = ['dense']",
            "line 1: adapter.feedforward_modules is a key of (IA)³: set adapter.peft_type to `ia3`, or leave it out",
        );
        assert!(adapter("adapter.bias = 'all'").unwrap().biases && !default.biases);
        refused(
            "adapter.bias = 'lora_only'",
            "line 1: adapter.bias is `lora_only`, but must be none or all",
        );
        refused(
            "save.adapter = true\n[adapter]\nbias = 'all'",
            "line 3: adapter.bias is `all`, but save.adapter leaves the adapter beside a base whose biases stay as they are: leave one of them out",
        );
        refused(
            "adapter.peft_type = 'loha'",
            "line 1: adapter.peft_type is `loha`, but must be lora or ia3",
        );
        assert_eq!(
            adapter("adapter.target_modules = ['a', 'b']").unwrap().target_modules,
            ["a", "b"]
        );
        refused("[adapter]\nrank = 4", "line 2: unknown key `rank` in [adapter]: it is `r` here");
        refused("[adapter]\nr = 0", "line 2: adapter.r is 0, but must be at least 1");
        refused(
            "adapter.lora_dropout = 1.0",
            "line 1: adapter.lora_dropout is 1, but must be at least 0 and below 0.95",
        );
        refused(
            "save.adapter = true",
            "line 1: save.adapter leaves an adapter as one, but the recipe has no [adapter]",
        );
        // The base may be an adapter, which is not known here.
        assert!(Recipe::parse("model.base = 'x'\nsave.adapter = true").is_ok());
        let probe = Recipe::parse("train.method = 'probe'").unwrap().on_adapter(default.clone());
        assert!(probe.unwrap_err().to_string().starts_with("train.method is `probe`"));
        refused("save.gguf = 'q4'", "line 1: save.gguf is `q4`, but must be f32, f16 or q8_0");
        refused(
            "save.gguf = 'f16'\nsave.adapter = true\n[adapter]",
            "line 1: save.gguf writes a whole model, but save.adapter leaves the adapter beside its base: leave one of them out",
        );
        refused(
            "[adapter]\n[train]\nmethod = 'probe'",
            "line 3: train.method is `probe`, where nothing but a head learns, but the recipe has an [adapter]: leave one of them out",
        );
    }

    #[test]
    fn rewards_are_tables_of_one_name() {
        let rewards = |recipe: &str| Recipe::parse(recipe).unwrap().rewards;
        assert_eq!(rewards(""), []);
        let two = rewards(
            "[[reward]]\nname = 'number'\nfield = 'solution'\n[[reward]]\nname = 'json'\nweight = 0.5",
        );
        assert_eq!(two[0].rule, RewardRule::Number { field: "solution".into() });
        assert_eq!((&two[1].rule, two[1].weight), (&RewardRule::Json, 0.5));
        let exact = &rewards("[[reward]]\nname = 'exact_match'")[0];
        assert_eq!((exact.rule.field(), exact.weight), (Some("answer"), 1.0));
        let one = "[[reward]]\nname = 'json'\n";
        let second =
            |rest: &str, message: &str| refused(&format!("{one}[[reward]]\n{rest}"), message);
        second(
            "name = 'json'\nweight = 0",
            "line 5: reward.weight is 0, but must be a number other than 0",
        );
        second(
            "weight = 2.0",
            "line 3: reward.name is missing: it, or reward.model, says what answers are rewarded for",
        );
        second(
            "name = 'json'\nfield = 'a'",
            "line 5: reward.field is for exact_match and number, but this reward is `json`",
        );
        let model = &rewards("[[reward]]\nmodel = 'judge'\nweight = 2")[0];
        assert_eq!((model.rule.model(), model.rule.name()), (Some("judge"), "judge"));
        second(
            "model = 'judge'\nfield = 'a'",
            "line 5: reward.field is not for a reward model, judge: give it a [[reward]] of its own, or leave reward.model out",
        );
        second(
            "model = ' '",
            "line 4: reward.model is empty: it is a reward model's folder, or its hf: name",
        );
        second("name = 'regex'", "line 3: reward.pattern is missing: it is what `regex` looks for");
        second(
            "name = 'exact-match'",
            "line 4: reward.name `exact-match` is not known: did you mean `exact_match`?; there are exact_match, number, regex, length, json, and a plugin's wants `plugins.load`",
        );
        let own = Recipe::parse("[[reward]]\nname = 'mine'\n[plugins]\nload = ['mine']").unwrap();
        assert_eq!(own.rewards[0].rule, RewardRule::Plugin { reward: "mine".into() });
    }

    #[test]
    fn settings_of_grpo_are_trls() {
        let grpo = |recipe: &str| Recipe::parse(recipe).unwrap().grpo.unwrap();
        let default = grpo("[grpo]");
        assert_eq!(default, GrpoChoice::default());
        assert_eq!((default.num_generations, default.beta, default.temperature), (8, 0.0, 1.0));
        assert_eq!((default.epsilon, default.epsilon_high, default.num_iterations), (0.2, 0.2, 1));
        assert_eq!(
            (default.loss_type, default.scale_rewards),
            (GrpoLoss::Dapo, ScaleRewards::Group)
        );
        assert_eq!(grpo("grpo.epsilon = 0.1").epsilon_high, 0.1);
        assert_eq!(grpo("grpo.loss_type = 'dr_grpo'").loss_type, GrpoLoss::DrGrpo);
        refused(
            "[grpo]\nnum_generations = 1",
            "line 2: grpo.num_generations is 1, but must be at least 2",
        );
        refused(
            "grpo.loss_type = 'ppo'",
            "line 1: grpo.loss_type is `ppo`, but must be one of grpo, bnpo, dr_grpo, dapo",
        );
        refused(
            "[grpo]\ntop_p = 0.0",
            "line 2: grpo.top_p is 0, but must be above 0 and at most 1",
        );
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
