//! The one file that a worker is given. Everything that it may know about the world outside the
//! drop and the run folder stands here; a worker reads no configuration and no database.

use crate::recipe::Gguf;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub const SPEC_VERSION: u32 = 4;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub version: u32,
    pub job: u64,
    /// Counts from 1.
    pub attempt: u32,
    pub action: Action,
    /// The data set: a folder, an archive or one file. Absent for actions on a finished model.
    pub drop: Option<PathBuf>,
    /// The run folder. It exists.
    pub run: PathBuf,
    /// The recipe bound to the inbox or given on the command line; a `job.toml` in the drop wins.
    pub recipe: Option<RecipeText>,
    /// Which base models a recipe in the drop may name, besides folders in the drop: see
    /// [`crate::bases`]. Absent in specs of version 3.
    #[serde(default)]
    pub bases: Vec<String>,
    /// The process that starts the worker, which ends with it.
    #[serde(default)]
    pub supervisor: Option<u32>,
    pub threads: u32,
    /// Most memory that the worker may take for its data; beyond, allocation fails and the job says
    /// so.
    pub memory_bytes: Option<u64>,
    pub device: Device,
    /// Absent: no plugin may be loaded.
    pub plugins: Option<PluginRules>,
    /// Where what frozen layers give is kept for later attempts and other jobs. Absent: it is not.
    pub features: Option<FeatureCache>,
    #[serde(default)]
    pub sandbox: Sandbox,
}

/// Whether a worker closes itself in before it opens what strangers made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sandbox {
    /// As far as the kernel can.
    #[default]
    Auto,
    Off,
    /// A job fails where the kernel can't.
    Required,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureCache {
    /// Made when it is wanted.
    pub folder: PathBuf,
    /// Of all files together; what was used longest ago goes first.
    pub bytes_max: u64,
}

/// Which plugins may be loaded, and how long each of their functions may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginRules {
    /// The only folder that plugins are loaded from.
    pub folder: PathBuf,
    /// Plugin name -> blake3 of its file, hex. A pinned plugin loads with this hash only.
    pub pinned: BTreeMap<String, String>,
    /// A call into a plugin that takes longer ends the worker, in seconds.
    pub call_s: u32,
}

/// Recipe text with the file that it came from, for messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeText {
    pub file: PathBuf,
    pub text: String,
}

/// What a worker is started for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Drop to `model.unproven/` and `trained.json`; continues from the newest valid checkpoint.
    Train,
    /// `model.unproven/` is loaded from disk, evaluated and compared; ends with `model/` and
    /// `done.json`.
    Prove,
    /// Data report and plan, no training: `data.json` and `plan.json`.
    Check,
    /// Predicts with the finished model in `run`; results as `predictions.jsonl` lines on stdout.
    Predict {
        inputs: Vec<String>,
        csv: Option<PathBuf>,
        /// Where a model goes on with a text.
        #[serde(default)]
        sampling: Sampling,
        /// What follows the only text is printed while it comes into being too, as `{"delta": …}`.
        #[serde(default)]
        aloud: bool,
    },
    /// Answers conversations: on stdin a list of messages as JSON a line, on stdout `{"ready":
    /// true}`, then for each line `{"delta": …}` as often as there is more, and at its end
    /// `{"generated_text", "tokens", "finish_reason"}` or `{"error": …}`.
    Chat { sampling: Sampling },
    /// Writes the finished model in `run` as a GGUF file, into its folder where no other place is
    /// named: one JSON object on stdout, `{file, bytes}`.
    Export { gguf: Gguf, out: Option<PathBuf> },
    /// The base models in the Hugging Face cache: a JSON array on stdout, `[{name, revision, bytes,
    /// files}]`.
    ListModels,
    /// Fetches a base model into the cache; the folder on stdout as JSON, `{name, folder,
    /// revision}`.
    Pull { base: String },
    /// Describes a base model: architecture, tensors, load report. JSON on stdout.
    Inspect { base: String },
    /// libtorch, devices, threads: JSON on stdout.
    Doctor,
    /// Opens a plugin, wherever it lies, and tries what it exports: one line of
    /// [`crate::plugin_check`] on stdout for each thing tried.
    CheckPlugin { file: PathBuf },
}

/// How a model goes on with a text, by the names of transformers' `GenerationConfig`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    pub max_new_tokens: u32,
    /// 0: always the likeliest token.
    pub temperature: f64,
    /// So many of the likeliest tokens are drawn from; 0: all.
    pub top_k: u32,
    /// The fewest of them that are as likely together are drawn from.
    pub top_p: f64,
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling { max_new_tokens: 256, temperature: 0.0, top_k: 0, top_p: 1.0, seed: 0 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// The first GPU if libtorch sees one, else the CPU.
    #[default]
    Auto,
    Cpu,
    Cuda,
}

/// How a worker ends. Anything else is a crash.
pub mod exit {
    /// The action is finished.
    pub const DONE: i32 = 0;
    /// The spec was unusable; nothing was written.
    pub const USAGE: i32 = 2;
    /// The job can't succeed as it is: `failed.json` says why.
    pub const FAILED: i32 = 3;
    /// A stop signal came, a checkpoint was written: continue later.
    pub const STOPPED: i32 = 4;
}
