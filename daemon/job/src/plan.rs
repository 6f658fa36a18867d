//! `plan.json`: the recipe with every default decided, the tensors that train, and the facts of
//! data and model that the decisions rest on. A resumed attempt obeys the plan that it finds; it
//! decides nothing anew.

mod upgrade; // plans of earlier versions -> of this one

use crate::recipe::{
    ClassWeights, GrpoChoice, Head, LearntTurns, Method, Optimizer, Pattern, Precision,
    PreferenceLoss, RewardChoice, SaveChoice, Schedule, Unfreeze,
};
use crate::scores::Split;
use crate::task::{Answer, Task};
use finetuned_images::{Augment, Preprocess};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;

pub const PLAN_VERSION: u32 = 3;

/// Reads the JSON of earlier versions too: see `plan/upgrade.rs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Plan {
    pub version: u32,
    pub finetuned: String,
    pub libtorch: String,
    pub task: Task,
    pub model: ModelPlan,
    pub freeze: FreezePlan,
    pub data: DataPlan,
    /// How training images are changed; absent for texts.
    pub augment: Option<Augment>,
    pub train: TrainPlan,
    pub eval: EvalPlan,
    pub save: SaveChoice,
    /// Dotted names of what the recipe said itself; all else was decided. Absent in plans of 0.1.0.
    pub asked: Option<BTreeSet<String>>,
    pub plugins: Vec<PluginPlan>,
    pub threads: u32,
    /// `cpu` or `cuda:0`.
    pub device: String,
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Plan::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Plan, D::Error> {
        let mut plan = serde_json::Value::deserialize(deserializer)?;
        upgrade::plan(&mut plan).map_err(D::Error::custom)?;
        Plan::deserialize(plan).map_err(D::Error::custom)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelPlan {
    /// As the recipe names it.
    pub base: String,
    /// Where it was found.
    pub folder: String,
    /// `bert`, `resnet50`, …
    pub architecture: String,
    /// blake3 of the base's weights file, hex.
    pub weights_hash: String,
    /// Where the base is an adapter: folder, architecture and hash are those of what lies beneath.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_adapter: Option<BaseAdapterPlan>,
    pub head: Head,
    /// What of a text's tokens the head takes while it learns; absent for images, and where it is
    /// the family's own head or a plugin's.
    pub pooling: Option<Pooling>,
    pub dropout: f64,
    pub attention_dropout: f64,
    #[serde(default)]
    pub storage: Storage,
    /// What trains in the place of the body; absent where the body's own weights do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterPlan>,
    /// How images are brought to numbers; absent for texts.
    pub preprocess: Option<Preprocess>,
    pub load: LoadSummary,
}

/// What matrices are stored in that do not train.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    #[default]
    Fp32,
    /// In bf16 or fp16 where that loses nothing: all numbers are those of fp32.
    Lossless,
    /// Rounded, where the base has more bits.
    Bf16,
}

/// An adapter that training goes on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseAdapterPlan {
    /// The model that it stands beside, as a recipe would name it.
    pub beneath: String,
    /// blake3 of its files, hex.
    pub hash: String,
}

impl ModelPlan {
    /// Of all numbers that training begins with, but those of a new head.
    pub fn begins_with(&self) -> String {
        let adapter = self.base_adapter.iter().flat_map(|it| [" ", &it.hash]);
        let rounded = (self.storage == Storage::Bf16).then_some(" bf16");
        [self.weights_hash.as_str()].into_iter().chain(adapter).chain(rounded).collect()
    }

    /// The whole model that an adapter of this run stands beside, as a recipe would name it.
    pub fn whole_base(&self) -> &str {
        self.base_adapter.as_ref().map_or(&self.base, |it| &it.beneath)
    }
}

/// What of a text's tokens makes the row that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    First,
    Mean,
}

/// Adapters of linear maps, as peft's config has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterPlan {
    pub form: AdapterFormPlan,
    /// Linear maps, by their whole names.
    pub target_modules: BTreeSet<String>,
    /// Train and are saved whole, the head among them.
    pub modules_to_save: BTreeSet<String>,
    /// All biases of the body train too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub biases: bool,
}

/// What stands beside a linear map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "peft_type", rename_all = "snake_case")]
pub enum AdapterFormPlan {
    Lora {
        r: i64,
        lora_alpha: f64,
        lora_dropout: f64,
        use_rslora: bool,
        use_dora: bool,
    },
    /// Of the linear maps those whose inputs have the factors.
    Ia3 {
        feedforward_modules: BTreeSet<String>,
    },
}

/// A plugin that was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginPlan {
    pub name: String,
    pub version: String,
    /// blake3 of the file, hex.
    pub hash: String,
    pub uses: Vec<PluginUse>,
}

/// What a run takes from a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginUse {
    /// `head`, `loss`, `metric`, …
    pub kind: String,
    pub name: String,
    /// Of the recipe; empty where it has none for it.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// How the checkpoint's tensors met the model's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadSummary {
    pub loaded: u64,
    /// In the model, not in the checkpoint: initialised by seed (only heads may be).
    pub missing: Vec<String>,
    /// In the checkpoint, not in the model: left out.
    pub surplus: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FreezePlan {
    pub train: Vec<Pattern>,
    pub unfreeze: Vec<Unfreeze>,
    pub layer_decay: f64,
    /// Batch norm goes by the base's running statistics in training too, and leaves them be; absent
    /// where the model has none, and in plans of 0.1.0, which moved them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<bool>,
    /// At the start of training.
    pub trainable: Vec<TensorPlan>,
    pub frozen: Vec<TensorPlan>,
    pub trainable_parameters: u64,
    pub frozen_parameters: u64,
    /// The frozen body runs once per example and what it gave is kept.
    pub cached: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorPlan {
    pub name: String,
    pub shape: Vec<i64>,
    /// Factor on the learning rate: of layer decay, and of the head.
    pub lr_scale: f64,
    pub weight_decay: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataPlan {
    pub problem: Answer,
    /// Empty where numbers are learnt.
    pub classes: Vec<String>,
    /// Names of the numbers that are learnt; else empty.
    pub numbers: Vec<String>,
    /// In the order in which they go in.
    pub text_columns: Vec<String>,
    pub label_column: Option<String>,
    pub image_column: Option<String>,
    pub train: u64,
    pub validation: u64,
    pub test: u64,
    /// 0 for images.
    pub max_tokens: u32,
    /// What looks like a special token in a text is text. Plans before this took it for one.
    #[serde(default)]
    pub split_special_tokens: bool,
    pub content_hash: String,
}

impl DataPlan {
    /// Names of the model's outputs, in their order.
    pub fn outputs(&self) -> &[String] {
        if self.numbers.is_empty() { &self.classes } else { &self.numbers }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainPlan {
    pub method: Method,
    pub epochs: u32,
    pub batch: u32,
    pub accumulate: u32,
    /// Updates in one epoch, and in all.
    pub steps_per_epoch: u64,
    pub steps: u64,
    pub warmup_steps: u64,
    pub lr: f64,
    /// Of the head; in `lr_scale` of its tensors too.
    pub head_lr: f64,
    pub optimizer: Optimizer,
    pub weight_decay: f64,
    pub schedule: Schedule,
    pub clip: Option<f64>,
    pub label_smoothing: f64,
    pub class_weights: ClassWeights,
    /// One for each class where `class_weights` is not `none`.
    pub class_weight_values: Vec<f64>,
    pub patience: Option<u32>,
    /// Once more at the end, on training and validation examples together.
    #[serde(default)]
    pub refit: bool,
    /// What fine-tuned weights count in what is scored and saved; the rest are those that training
    /// began with. 1: there is no rest.
    #[serde(default = "whole")]
    pub wise_ft: f64,
    /// A plugin's, by name.
    pub loss: Option<String>,
    /// Of answers that are compared by their likelihoods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference: Option<PreferencePlan>,
    /// Of answers that the model makes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpo: Option<GrpoPlan>,
    pub hooks: Vec<String>,
    /// Lower stages keep only what they were given, and run again for their gradients.
    pub gradient_checkpointing: bool,
    /// Auto: it was not measured yet.
    pub precision: Precision,
    /// Of conversations: what of them is learnt.
    #[serde(default)]
    pub on: Option<LearntTurns>,
    pub seed: u64,
}

impl TrainPlan {
    /// Updates that learn from the same answers of the model.
    pub fn updates_by_one_lot(&self) -> u64 {
        self.grpo.as_ref().map_or(1, |it| it.choice.num_iterations.into())
    }
}

/// A loss over answers, and its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PreferencePlan {
    pub loss: PreferenceLoss,
    pub beta: f64,
    /// How far ahead the wanted answer is to be; only of SimPO.
    pub gamma: Option<f64>,
}

/// How answers are sampled and learnt from, and what they are rewarded for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrpoPlan {
    pub choice: GrpoChoice,
    /// Most tokens of an answer.
    pub max_completion_length: u32,
    pub rewards: Vec<RewardChoice>,
    /// Those that reward models give.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reward_models: Vec<RewardModelPlan>,
}

/// What a reward model was when the plan was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardModelPlan {
    /// As the recipe names it.
    pub model: String,
    /// blake3 of its weights, hex.
    pub weights_hash: String,
}

fn whole() -> f64 {
    1.0
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalPlan {
    pub metrics: Vec<String>,
    pub best: String,
    /// Absent: at the end of each epoch.
    pub every_steps: Option<u64>,
    /// From which probability on a class is predicted follows from validation.
    pub tune_thresholds: bool,
    /// The split that the report is about: test where there is one, else validation.
    pub report_on: Split,
}
