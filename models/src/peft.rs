//! The folder of an adapter, as peft writes and reads it: `adapter_config.json` and
//! `adapter_model.safetensors`. Decides what of peft's settings is understood; all else that would
//! change what the adapter computes is refused. What an adapter computes is left to `adapter`,
//! where its base lies to the caller.

use crate::adapter::{A, Adapter, FACTORS, Form, Ranks, is_of_adapter};
use crate::error::ModelError;
use crate::weights::{self, WeightsFile};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// peft's names of kinds of adapters.
const LORA: &str = "LORA";
const IA3: &str = "IA3";
const CONFIG: &str = "adapter_config.json";
/// Name of the file with the tensors of an adapter.
pub const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
/// Files of a whole model, beside which an adapter's are of no use.
const WHOLE: [&str; 2] = ["model.safetensors", "model.safetensors.index.json"];
/// What peft puts before the names of the model that it wraps.
const PREFIX: &str = "base_model.model.";

/// Modules that transformers 5 calls otherwise than its files do, which keep their old names: what
/// the names of such a body begin with, and (name in files, name of the module), in turn.
const RENAMED: &[(&str, &[(&str, &str)])] = &[
    ("vit.", VIT_RENAMED),
    ("deit.", VIT_RENAMED),
    (
        "dinov2.",
        &[
            (".attention.attention.query.", ".attention.q_proj."),
            (".attention.attention.key.", ".attention.k_proj."),
            (".attention.attention.value.", ".attention.v_proj."),
            (".attention.output.dense.", ".attention.o_proj."),
        ],
    ),
];
const VIT_RENAMED: &[(&str, &str)] = &[
    (".encoder.layer.", ".layers."),
    (".attention.attention.query.", ".attention.q_proj."),
    (".attention.attention.key.", ".attention.k_proj."),
    (".attention.attention.value.", ".attention.v_proj."),
    (".attention.output.dense.", ".attention.o_proj."),
    (".intermediate.dense.", ".mlp.fc1."),
    (".output.dense.", ".mlp.fc2."),
];

fn renamed(name: &str) -> &'static [(&'static str, &'static str)] {
    RENAMED.iter().find(|it| name.starts_with(it.0)).map_or(&[], |it| it.1)
}

/// Name of a tensor in a model's files -> that of the parameter in its library.
fn to_library(name: &str) -> String {
    renamed(name).iter().fold(name.to_string(), |name, (ours, theirs)| name.replace(ours, theirs))
}

/// The way back.
fn of_library(name: &str) -> String {
    renamed(name).iter().fold(name.to_string(), |name, (ours, theirs)| name.replace(theirs, ours))
}

fn module_to_library(name: &str) -> String {
    to_library(&format!("{name}.")).trim_end_matches('.').to_string()
}

fn module_of_library(name: &str) -> String {
    of_library(&format!("{name}.")).trim_end_matches('.').to_string()
}

/// The settings that are understood. peft's defaults, but those that no file leaves out.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Config {
    peft_type: String,
    base_model_name_or_path: Option<String>,
    r: i64,
    lora_alpha: f64,
    lora_dropout: f64,
    use_rslora: bool,
    use_dora: bool,
    bias: String,
    modules_to_save: Option<Vec<String>>,
    /// Of (IA)³: names, the last parts of names, or one pattern; which of them its tensors say.
    feedforward_modules: Value,
    /// Those that must say nothing, beside [`WITHOUT_EFFECT`].
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Beginnings that leave the base's weights as they are; PiSSA and its kin do not.
const BEGINNINGS: [&str; 3] = ["gaussian", "orthogonal", "eva"];

/// Settings that do not change what a finished adapter computes: where it came from, how it began,
/// and which maps have one, which its tensors say.
const WITHOUT_EFFECT: [&str; 16] = [
    "auto_mapping",
    "corda_config",
    "eva_config",
    "ensure_weight_tying",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "target_modules",
    "task_type",
];

impl Default for Config {
    fn default() -> Config {
        Config {
            peft_type: String::new(),
            base_model_name_or_path: None,
            r: 8,
            lora_alpha: 8.0,
            lora_dropout: 0.0,
            use_rslora: false,
            use_dora: false,
            bias: "none".into(),
            modules_to_save: None,
            feedforward_modules: Value::Null,
            others: Map::new(),
        }
    }
}

/// An adapter on disk; its tensors have not been read yet.
pub struct AdapterFolder {
    pub(crate) folder: PathBuf,
    pub(crate) adapter: Adapter,
    pub(crate) file: WeightsFile,
    base: Option<String>,
}

/// Whether a folder holds an adapter, and no whole model beside it.
pub fn is_adapter(folder: &Path) -> bool {
    folder.join(CONFIG).exists() && !WHOLE.iter().any(|it| folder.join(it).exists())
}

impl AdapterFolder {
    /// Nothing where the folder holds no adapter, or a whole model beside it.
    ///
    /// # Errors
    /// Settings that are not understood, files that are damaged.
    pub fn open(folder: &Path) -> Result<Option<AdapterFolder>, ModelError> {
        if !is_adapter(folder) {
            return Ok(None);
        }
        let path = folder.join(CONFIG);
        let text = finetuned_files::read(&path)
            .map_err(|source| ModelError::Read { path: path.clone(), source })?;
        let config: Config = serde_json::from_slice(&text)
            .map_err(|source| ModelError::Syntax { path: path.clone(), source })?;
        check(&path, &config)?;
        let file = WeightsFile::open(&folder.join(ADAPTER_WEIGHTS))?;
        let is_factors = config.peft_type == IA3;
        let end = format!(".{}", if is_factors { FACTORS } else { A });
        let mut targets = BTreeSet::new();
        let mut feedforward = BTreeSet::new();
        for stored in file.names() {
            let name = stored.strip_prefix(PREFIX).map(of_library).unwrap_or_default();
            let Some(target) = name.strip_suffix(&end) else { continue };
            // A row for the inputs, a column for the outputs.
            if is_factors && file.info(&stored).is_some_and(|it| it.shape.first() == Some(&1)) {
                feedforward.insert(target.to_string());
            }
            targets.insert(target.to_string());
        }
        let form = match is_factors {
            true => Form::Factors { feedforward },
            false => Form::LowRank(Ranks {
                r: config.r,
                alpha: config.lora_alpha,
                dropout: config.lora_dropout,
                rslora: config.use_rslora,
                dora: config.use_dora,
            }),
        };
        let adapter = Adapter {
            form,
            targets,
            modules_to_save: config
                .modules_to_save
                .unwrap_or_default()
                .iter()
                .map(|it| module_of_library(it))
                .collect(),
            biases: false,
        };
        let base = config.base_model_name_or_path;
        let found = AdapterFolder { folder: folder.to_path_buf(), adapter, file, base };
        found.check_whole()?;
        Ok(Some(found))
    }

    /// What is kept whole stands in the modules that the config names: peft also writes embeddings
    /// that were made larger, whose model has another vocabulary.
    fn check_whole(&self) -> Result<(), ModelError> {
        let stray = self
            .names()
            .find(|(name, _)| !is_of_adapter(name) && !self.adapter.saves(name))
            .map(|it| it.1);
        stray.map_or(Ok(()), |name| {
            let why = "it stands whole in the file, but in none of the modules_to_save of adapter_config.json";
            Err(ModelError::Adapter { folder: self.folder.clone(), name, why: why.into() })
        })
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its files: what they say is all that the adapter is.
    pub fn files(&self) -> [PathBuf; 2] {
        [CONFIG, ADAPTER_WEIGHTS].map(|it| self.folder.join(it))
    }

    /// The model that it was made for, as its config names it: a folder, or `OWNER/NAME`.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Its numbers.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Name in the model -> name in the file.
    pub(crate) fn names(&self) -> impl Iterator<Item = (String, String)> {
        let names = self.file.names().into_iter();
        names.filter_map(|it| Some((of_library(it.strip_prefix(PREFIX)?), it)))
    }
}

fn check(path: &Path, config: &Config) -> Result<(), ModelError> {
    let wrong = |key, found: &dyn ToString, wanted: &str| ModelError::Value {
        path: path.to_path_buf(),
        key,
        found: found.to_string(),
        wanted: wanted.into(),
    };
    /// No layer is so wide.
    const RANK_MAX: i64 = 65_536;
    let says = |it: &Value| match it {
        Value::Null | Value::Bool(false) => false,
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
        _ => true,
    };
    let is_plain = |key: &str, value: &Value| match key {
        // (IA)³ has no such setting: how factors begin says nothing of those that are stored.
        "init_ia3_weights" => config.peft_type == IA3,
        "init_lora_weights" => value.as_str().is_none_or(|it| BEGINNINGS.contains(&it)),
        key => WITHOUT_EFFECT.contains(&key) || !says(value),
    };
    let unknown = config.others.iter().find(|(key, value)| !is_plain(key, value));
    match () {
        () if ![LORA, IA3].contains(&&*config.peft_type) => {
            Err(wrong("peft_type", &config.peft_type, "LORA or IA3, the kinds that are read"))
        }
        () if !(1..=RANK_MAX).contains(&config.r) => Err(wrong("r", &config.r, "from 1 to 65536")),
        () if !(config.lora_alpha.is_finite() && 0.0 < config.lora_alpha) => {
            Err(wrong("lora_alpha", &config.lora_alpha, "above 0"))
        }
        () if !(0.0..1.0).contains(&config.lora_dropout) => {
            Err(wrong("lora_dropout", &config.lora_dropout, "at least 0 and below 1"))
        }
        () if config.bias != "none" => {
            Err(wrong("bias", &config.bias, "none: trained biases are not read"))
        }
        () => match unknown {
            Some((key, value)) => Err(ModelError::Setting {
                path: path.to_path_buf(),
                key: key.clone(),
                found: value.to_string(),
            }),
            None => Ok(()),
        },
    }
}

/// What an adapter's config names besides its numbers.
#[derive(Debug, Clone, Copy)]
pub struct AdapterNames<'a> {
    /// The model that it was made for: `OWNER/NAME` on the hub, or a folder.
    pub base: &'a str,
    /// Of the base on the hub; none for the newest.
    pub revision: Option<&'a str>,
    /// What peft calls the task: `SEQ_CLS`, `TOKEN_CLS`, `CAUSAL_LM`.
    pub task_type: Option<&'a str>,
}

/// Writes an adapter as a folder of peft's, replacing what was there, with the tensors that it has
/// beside it, by the names of the model.
///
/// # Errors
/// The files can't be written.
pub fn save_adapter(
    folder: &Path,
    adapter: &Adapter,
    AdapterNames { base, revision, task_type }: AdapterNames,
    tensors: &[(String, Tensor)],
) -> Result<(), ModelError> {
    let tensors: Vec<(String, Tensor)> = tensors
        .iter()
        .map(|(name, it)| (format!("{PREFIX}{}", to_library(name)), it.shallow_clone()))
        .collect();
    weights::save(&tensors, &folder.join(ADAPTER_WEIGHTS))?;
    let list =
        |it: &BTreeSet<String>| it.iter().map(|it| module_to_library(it)).collect::<Vec<String>>();
    let mut config = json!({
        "task_type": task_type,
        "base_model_name_or_path": base,
        "revision": revision,
        "target_modules": list(&adapter.targets),
        "modules_to_save": list(&adapter.modules_to_save),
        "fan_in_fan_out": false,
        "inference_mode": true,
    });
    let of_form = match &adapter.form {
        Form::LowRank(Ranks { r, alpha, dropout, rslora, dora }) => json!({
            "peft_type": LORA,
            "r": r,
            "lora_alpha": alpha,
            "lora_dropout": dropout,
            "use_rslora": rslora,
            "use_dora": dora,
            "bias": "none",
            "init_lora_weights": true,
        }),
        Form::Factors { feedforward } => json!({
            "peft_type": IA3,
            "feedforward_modules": list(feedforward),
            "init_ia3_weights": true,
        }),
    };
    if let (Some(all), Value::Object(own)) = (config.as_object_mut(), of_form) {
        all.extend(own);
    }
    let path = folder.join(CONFIG);
    let text = serde_json::to_vec_pretty(&config)
        .map_err(|source| ModelError::Syntax { path: path.clone(), source })?;
    std::fs::write(&path, text).map_err(|source| ModelError::Write { path, source })
}
