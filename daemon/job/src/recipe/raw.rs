//! A recipe as typed: every key optional, unknown keys refused, values not yet judged.

use super::RecipeError;
use super::readable::{Meant, readable};
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A recipe is a page of text; more was not written by a person.
const BYTES_MAX: usize = 64 * 1024;
/// Real recipes nest three levels. The TOML parser recurses, so depth is judged before it runs.
const DEPTH_MAX: usize = 16;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub task: Option<String>,
    pub job: Option<RawJob>,
    pub model: Option<RawModel>,
    pub freeze: Option<RawFreeze>,
    pub data: Option<RawData>,
    pub augment: Option<RawAugment>,
    pub adapter: Option<RawAdapter>,
    pub train: Option<RawTrain>,
    pub grpo: Option<RawGrpo>,
    pub reward: Option<Vec<RawReward>>,
    pub eval: Option<RawEval>,
    pub save: Option<RawSave>,
    pub plugins: Option<RawPlugins>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJob {
    pub priority: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawModel {
    pub base: Option<String>,
    pub head: Option<String>,
    pub image_size: Option<u32>,
    pub dropout: Option<f64>,
    pub attention_dropout: Option<f64>,
    pub dtype: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFreeze {
    pub train: Option<Vec<String>>,
    pub unfreeze: Option<Vec<RawUnfreeze>>,
    pub layer_decay: Option<f64>,
    pub statistics: Option<bool>,
    pub cache: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUnfreeze {
    pub epoch: u32,
    pub train: Vec<String>,
}

/// Keys are peft's.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdapter {
    pub peft_type: Option<String>,
    pub r: Option<u32>,
    pub lora_alpha: Option<f64>,
    pub lora_dropout: Option<f64>,
    #[serde(default, deserialize_with = "columns")]
    pub target_modules: Vec<String>,
    pub use_rslora: Option<bool>,
    pub use_dora: Option<bool>,
    #[serde(default, deserialize_with = "columns")]
    pub feedforward_modules: Vec<String>,
    pub bias: Option<String>,
    pub modules_to_save: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawData {
    #[serde(default, deserialize_with = "columns")]
    pub text: Vec<String>,
    pub label: Option<String>,
    pub image: Option<String>,
    pub labels: Option<Vec<String>>,
    pub reader: Option<String>,
    pub validation: Option<f64>,
    pub test: Option<f64>,
    pub max_tokens: Option<u32>,
    pub split_special_tokens: Option<bool>,
}

/// One name, or a list of them.
fn columns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name or a list of names")
        }

        fn visit_str<E>(self, name: &str) -> Result<Vec<String>, E> {
            Ok(vec![name.into()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Vec<String>, A::Error> {
            let mut all = Vec::new();
            while let Some(name) = names.next_element()? {
                all.push(name);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_any(Names)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAugment {
    pub preset: Option<String>,
    pub crop: Option<[f64; 2]>,
    pub horizontal_flip: Option<f64>,
    pub vertical_flip: Option<f64>,
    pub erasing: Option<f64>,
    pub brightness: Option<f64>,
    pub contrast: Option<f64>,
    pub saturation: Option<f64>,
    pub hue: Option<f64>,
    pub mixup: Option<f64>,
    pub cutmix: Option<f64>,
    pub plugin: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTrain {
    pub method: Option<String>,
    pub epochs: Option<u32>,
    pub batch: Option<u32>,
    pub accumulate: Option<u32>,
    pub lr: Option<f64>,
    pub head_lr: Option<f64>,
    pub optimizer: Option<String>,
    pub betas: Option<(f64, f64)>,
    pub eps: Option<f64>,
    pub momentum: Option<f64>,
    pub nesterov: Option<bool>,
    pub weight_decay: Option<f64>,
    pub schedule: Option<String>,
    pub warmup: Option<f64>,
    pub clip: Option<f64>,
    pub label_smoothing: Option<f64>,
    pub class_weights: Option<String>,
    pub patience: Option<u32>,
    pub refit: Option<bool>,
    pub wise_ft: Option<f64>,
    pub loss: Option<String>,
    pub beta: Option<f64>,
    pub gamma: Option<f64>,
    pub hooks: Option<Vec<String>>,
    pub gradient_checkpointing: Option<bool>,
    pub precision: Option<String>,
    pub on: Option<String>,
    pub seed: Option<u64>,
}

/// Keys are those of TRL's `GRPOConfig`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGrpo {
    pub num_generations: Option<u32>,
    pub max_completion_length: Option<u32>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<u32>,
    pub epsilon: Option<f64>,
    pub epsilon_high: Option<f64>,
    pub beta: Option<f64>,
    pub loss_type: Option<String>,
    pub scale_rewards: Option<String>,
    pub num_iterations: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReward {
    pub name: Option<String>,
    pub model: Option<String>,
    pub weight: Option<f64>,
    pub field: Option<String>,
    pub pattern: Option<String>,
    pub min: Option<u32>,
    pub max: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEval {
    pub metrics: Option<Vec<String>>,
    pub best: Option<String>,
    pub every_steps: Option<u64>,
    pub tune_thresholds: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSave {
    pub every_steps: Option<u64>,
    pub every_epochs: Option<u32>,
    pub every_minutes: Option<f64>,
    pub keep: Option<u32>,
    pub adapter: Option<bool>,
    pub gguf: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPlugins {
    pub load: Option<Vec<String>>,
    pub settings: Option<BTreeMap<String, toml::Table>>,
}

type Keys = fn() -> Vec<String>;

/// Of each table of a recipe, the keys that it has; under no name those above all tables.
pub(super) const TABLES: &[(&str, Keys)] = &[
    ("", keys::<Raw>),
    ("job", keys::<RawJob>),
    ("model", keys::<RawModel>),
    ("freeze", keys::<RawFreeze>),
    ("data", keys::<RawData>),
    ("augment", keys::<RawAugment>),
    ("adapter", keys::<RawAdapter>),
    ("train", keys::<RawTrain>),
    ("grpo", keys::<RawGrpo>),
    ("reward", keys::<RawReward>),
    ("eval", keys::<RawEval>),
    ("save", keys::<RawSave>),
    ("plugins", keys::<RawPlugins>),
];

/// Those that serde names where it meets one that no table has.
fn keys<T: DeserializeOwned>() -> Vec<String> {
    let strange = toml::from_str::<T>("\"\" = 0").err();
    let message = strange.as_ref().map(|it| it.message()).unwrap_or_default();
    message.split('`').skip(3).step_by(2).map(String::from).collect()
}

pub(super) fn keys_of(table: &str) -> Vec<String> {
    TABLES.iter().find(|it| it.0 == table).map(|it| it.1()).unwrap_or_default()
}

pub(super) fn parse<T: DeserializeOwned>(text: &str, meant: Meant) -> Result<T, RecipeError> {
    if BYTES_MAX < text.len() {
        return Err(RecipeError { line: None, message: format!("longer than {BYTES_MAX} bytes") });
    }
    check_depth(text)?;
    toml::from_str(text).map_err(|err| readable(text, &err, meant))
}

/// Dotted names of the keys of a text that was parsed before.
pub(super) fn names(text: &str) -> BTreeSet<String> {
    fn below(prefix: &str, table: &toml::Table, names: &mut BTreeSet<String>) {
        for (key, value) in table {
            let name = format!("{prefix}{key}");
            match value {
                toml::Value::Table(table) => below(&format!("{name}."), table, names),
                _ => _ = names.insert(name),
            }
        }
    }
    let mut names = BTreeSet::new();
    below("", &toml::from_str(text).unwrap_or_default(), &mut names);
    names
}

/// Counts brackets and dots without regard to strings: a recipe has no use for so many of either.
fn check_depth(text: &str) -> Result<(), RecipeError> {
    let mut depth = 0_usize;
    for (line_idx, line) in text.lines().enumerate() {
        let key_dots = line.split(['=', '#']).next().unwrap_or("").matches('.').count();
        for c in line.chars() {
            match c {
                '[' | '{' => depth += 1,
                ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if DEPTH_MAX < depth || DEPTH_MAX < key_dots {
                return Err(RecipeError {
                    line: Some(line_idx + 1),
                    message: format!("nested deeper than {DEPTH_MAX} levels"),
                });
            }
        }
    }
    Ok(())
}

/// Where a dotted field stands in the text, as `[table]` and `key` or as a dotted key.
pub(super) fn line_of(text: &str, field: &str) -> Option<usize> {
    let mut table = String::new();
    for (line_idx, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix('[') {
            table = format!("{}.", rest.split(']').next().unwrap_or("").trim());
        } else if let Some((key, _)) = line.split_once('=')
            && format!("{table}{}", key.trim()) == field
        {
            return Some(line_idx + 1);
        }
    }
    None
}

/// The same of the `nth` of several tables of one name, `[[table]]`; where it has no such key, the
/// line that the table begins with.
pub(super) fn line_of_nth(text: &str, field: &str, nth: usize) -> Option<usize> {
    let name = field.split('.').next().unwrap_or(field);
    let is_header = |line: &str| {
        line.trim().strip_prefix("[[").and_then(|it| it.split(']').next()).map(str::trim)
            == Some(name)
    };
    let headers = text.lines().enumerate().filter(|it| is_header(it.1)).map(|it| it.0);
    let first = headers.clone().nth(nth)?;
    let end = headers.clone().nth(nth + 1).unwrap_or(text.lines().count());
    let header = format!("[{name}]");
    let below = text.lines().take(end).skip(first + 1);
    let own: Vec<&str> = [header.as_str()].into_iter().chain(below).collect();
    Some(first + line_of(&own.join("\n"), field).unwrap_or(1))
}
