//! A Hugging Face folder: its config, the files its weights lie in, and the model that they make.

use crate::config::{self, Config};
use crate::error::ModelError;
use crate::load::Catalogue;
use crate::weights::WeightsFile;
use crate::zoo::{BuildOptions, Family, Model, ZOO};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Files that were usual before safetensors.
const PICKLES: &[&str] = &["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// What a folder says; its weights have not been read yet, but every file's header has.
pub struct Checkpoint {
    folder: PathBuf,
    family: &'static Family,
    config: Config,
    config_json: Value,
    files: Vec<WeightsFile>,
    paths: Vec<PathBuf>,
}

/// Opens a model folder of Hugging Face's kind.
///
/// # Errors
/// No config or one that no model of the zoo can have, no safetensors, files that are cut off or damaged.
pub fn open(folder: &Path) -> Result<Checkpoint, ModelError> {
    let path = folder.join(CONFIG);
    if !path.exists() {
        return Err(ModelError::NoConfig { folder: folder.to_path_buf() });
    }
    let config_json: Value = read_json(&path)?;
    let family = family(&path, &config_json)?;
    let config = (family.read)(&config_json).map_err(|source| ModelError::Syntax { path: path.clone(), source })?;
    config.check(&path)?;
    let paths = weights(folder)?;
    let files = paths.iter().map(|it| WeightsFile::open(it)).collect::<Result<Vec<WeightsFile>, ModelError>>()?;
    let checkpoint = Checkpoint { folder: folder.to_path_buf(), family, config, config_json, files, paths };
    checkpoint.check_index()?;
    Ok(checkpoint)
}

impl Checkpoint {
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `model_type` of the config: `bert`, `roberta`, `distilbert`.
    pub fn architecture(&self) -> &'static str {
        self.family.model_type
    }

    pub fn config_json(&self) -> &Value {
        &self.config_json
    }

    /// Width of a hidden state.
    pub fn hidden_size(&self) -> i64 {
        self.config.hidden_size
    }

    pub fn layers(&self) -> i64 {
        self.config.layers
    }

    /// Most tokens that a text may have, special ones included.
    pub fn max_positions(&self) -> u32 {
        self.config.max_positions as u32
    }

    /// The token that fills up short texts; 0 where the config has none: the mask hides it anyway.
    pub fn pad_token_id(&self) -> u32 {
        self.config.pad_token_id.unwrap_or(0) as u32
    }

    /// The config's own probability for hidden states.
    pub fn dropout(&self) -> f64 {
        self.config.dropout
    }

    /// `model.safetensors`, or its shards in the order of their names.
    pub fn weights_files(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads the weights into a model, one tensor at a time.
    ///
    /// # Errors
    /// Tensors are missing outside of the head (with `keep_head`: anywhere), shapes differ from the config's,
    /// types that are no weights, damaged files.
    pub fn build(&self, options: &BuildOptions) -> Result<Model, ModelError> {
        let mut config = self.config.clone();
        config.attention_dropout = options.attention_dropout;
        if let Some(p) = options.dropout {
            (config.dropout, config.classifier_dropout) = (p, p);
        }
        let catalogue = Catalogue::new(&self.folder, &self.files, self.family.prefix, self.family.body)?;
        let (encoder, report) = (self.family.build)(&config, catalogue, options)?;
        let tensors = encoder.tensors.iter().map(|(name, it)| (name.clone(), it.shallow_clone())).collect();
        Ok(Model { classifier: Box::new(encoder), tensors, report })
    }

    /// `config.json` of a classifier made from this checkpoint, for transformers 5 and 4.
    pub fn export_config(&self, classes: &[String]) -> Value {
        config::export(&self.config_json, self.family.class, classes)
    }

    /// Every tensor that the index speaks of is in the file that it names.
    fn check_index(&self) -> Result<(), ModelError> {
        let path = self.folder.join(INDEX);
        if self.paths.first().is_some_and(|it| it.ends_with(WEIGHTS)) {
            return Ok(());
        }
        let index: Index = read_json(&path)?;
        for (name, file) in index.weight_map {
            let there = self.files.iter().any(|it| it.path().ends_with(&file) && it.info(&name).is_some());
            if !there {
                return Err(ModelError::NotInShard { path, name, file });
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Index {
    /// Tensor -> file beside the index.
    weight_map: BTreeMap<String, String>,
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let text = fs::read(path).map_err(|source| ModelError::Read { path: path.to_path_buf(), source })?;
    serde_json::from_slice(&text).map_err(|source| ModelError::Syntax { path: path.to_path_buf(), source })
}

fn family(path: &Path, config: &Value) -> Result<&'static Family, ModelError> {
    let named = config.get("model_type").and_then(Value::as_str);
    ZOO.iter().find(|it| Some(it.model_type) == named).ok_or_else(|| {
        let known: Vec<&str> = ZOO.iter().map(|it| it.model_type).collect();
        let found = named.map_or_else(|| "absent".into(), |it| format!("`{it}`"));
        ModelError::Value { path: path.to_path_buf(), key: "model_type", found, wanted: format!("one of {}", known.join(", ")) }
    })
}

/// The one file, or the shards of the index.
fn weights(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let (whole, index) = (folder.join(WEIGHTS), folder.join(INDEX));
    if whole.exists() {
        return Ok(vec![whole]);
    }
    if !index.exists() {
        let folder = folder.to_path_buf();
        let pickle = PICKLES.iter().find(|it| folder.join(it).exists());
        return Err(pickle.map_or(ModelError::NoWeights { folder: folder.clone() }, |file| ModelError::PickleOnly { folder, file }));
    }
    let mut names: Vec<String> = read_json::<Index>(&index)?.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    if let Some(outside) = names.iter().find(|it| Path::new(it).file_name().is_none_or(|name| name != it.as_str())) {
        let wanted = "the name of a file beside it".into();
        return Err(ModelError::Value { path: index, key: "weight_map", found: format!("`{outside}`"), wanted });
    }
    Ok(names.iter().map(|it| folder.join(it)).collect())
}
