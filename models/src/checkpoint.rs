//! A model folder of transformers or timm: its config, the files its weights lie in, and the model
//! that they make.

use crate::architecture::Architecture;
use crate::config_json::{ConfigJson, Origin};
use crate::error::ModelError;
use crate::load::{Catalogue, LoadReport, Loaded, Loader};
use crate::model::{BuildOptions, HeadKind, Model};
use crate::stages::{Stack, StackFacts, Takes};
use crate::weights::WeightsFile;
use crate::zoo::ZOO;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tch::Tensor;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Files that were usual before safetensors.
const PICKLES: &[&str] = &["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// What a model looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Token ids.
    Text,
    /// Pixels.
    Image,
}

/// What a folder says; its weights have not been read yet, but every file's header has.
pub struct Checkpoint {
    folder: PathBuf,
    config: ConfigJson,
    architecture: Box<dyn Architecture>,
    files: Vec<WeightsFile>,
    paths: Vec<PathBuf>,
}

/// A model in memory. All is frozen until its `set_trainable`.
pub struct Built {
    /// With the head that was asked for.
    pub model: Box<dyn Model>,
    /// The model's own tensors (one storage with those it computes with), running statistics
    /// included, in the order of the data's way.
    pub tensors: Vec<(String, Tensor)>,
    /// How the checkpoint's tensors met the model's.
    pub report: LoadReport,
}

/// Opens a model folder as transformers or timm write them.
///
/// # Errors
/// No config or one that no model of the zoo can have, no safetensors, files that are cut
/// off or damaged.
pub fn open(folder: &Path) -> Result<Checkpoint, ModelError> {
    let path = folder.join(CONFIG);
    if !path.exists() {
        return Err(ModelError::NoConfig { folder: folder.to_path_buf() });
    }
    let config_json: Value = read_json(&path)?;
    let (config, architecture) = describe(&path, &config_json)?;
    let paths = weights(folder)?;
    let files = paths
        .iter()
        .map(|it| WeightsFile::open(it))
        .collect::<Result<Vec<WeightsFile>, ModelError>>()?;
    let checkpoint =
        Checkpoint { folder: folder.to_path_buf(), config, architecture, files, paths };
    checkpoint.check_index()?;
    Ok(checkpoint)
}

impl Checkpoint {
    /// Where it was opened.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the model looks at.
    pub fn kind(&self) -> Kind {
        if self.architecture.text().is_some() { Kind::Text } else { Kind::Image }
    }

    /// timm's name of the model, or `model_type` of transformers' config: `bert`, `resnet50`,
    /// `convnext`.
    pub fn architecture(&self) -> &'static str {
        self.config.architecture()
    }

    /// config.json, as it stands there.
    pub fn config_json(&self) -> &Value {
        self.config.json()
    }

    /// Width of the features that the head takes.
    pub fn hidden_size(&self) -> i64 {
        self.architecture.width()
    }

    /// Blocks of the body.
    pub fn layers(&self) -> i64 {
        self.architecture.layers() as i64
    }

    /// Most tokens that a text may have, special ones included; 0 for a model of images.
    pub fn max_positions(&self) -> u32 {
        self.architecture.text().map_or(0, |it| it.max_positions)
    }

    /// The token that fills up short texts; 0 where the config has none: nobody looks at it.
    pub fn pad_token_id(&self) -> u32 {
        self.architecture.text().and_then(|it| it.pad_token_id).unwrap_or(0)
    }

    /// Values of a token's type that the model tells apart: 2 of BERT, 1 where it has no token
    /// types, 0 for a model of images.
    pub fn token_types(&self) -> u32 {
        self.architecture.text().map_or(0, |it| it.token_types)
    }

    /// The config's own probability for hidden states; models of images have none.
    pub fn dropout(&self) -> f64 {
        self.architecture.text().map_or(0.0, |it| it.dropout)
    }

    /// `model.safetensors`, or its shards in the order of their names.
    pub fn weights_files(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads the weights into a model, one tensor at a time.
    ///
    /// # Errors
    /// Tensors are missing outside of the head (with [`HeadKind::Keep`]: anywhere), shapes differ
    /// from the config's, types that are no weights, damaged files; a head that such a model can
    /// not have.
    pub fn build(&self, options: &BuildOptions) -> Result<Built, ModelError> {
        let head = match options.head {
            HeadKind::Keep => self.config.head(),
            head => head,
        };
        if !self.architecture.has_head(head) {
            return Err(ModelError::Head {
                folder: self.folder.clone(),
                architecture: self.architecture(),
                wanted: match head {
                    HeadKind::Vocabulary => "for a vocabulary",
                    _ => "for each token",
                },
            });
        }
        let (prefix, body) = self.architecture.body();
        let catalogue = Catalogue::new(&self.folder, &self.files, prefix, body)?;
        let loader = Loader::new(catalogue, prefix, self.architecture.head_deviation(), options);
        let stages = self.architecture.build(&loader, &BuildOptions { head, ..options.clone() })?;
        let Loaded { tensors, parts, linears, report } = loader.finish()?;
        let takes = if self.kind() == Kind::Text { Takes::Tokens } else { Takes::Pixels };
        let facts = StackFacts {
            takes,
            rows: head.rows(),
            width: self.hidden_size(),
            device: options.device,
            dtype: options.dtype,
        };
        let model = Box::new(Stack::new(stages, &tensors, parts, linears, facts));
        Ok(Built { model, tensors, report })
    }

    /// `config.json` of a model with this head made from this checkpoint, for the library that the
    /// checkpoint is of: transformers (5 and 4) or timm; built for images of `image_size`, see
    /// [`BuildOptions::image_size`]. `outputs`: the names of classes, labels, tags or numbers.
    pub fn export_config(
        &self,
        head: HeadKind,
        outputs: &[String],
        image_size: Option<[i64; 2]>,
    ) -> Value {
        self.config.export(head, outputs, image_size.filter(|_| self.architecture.names_size()))
    }

    /// Every tensor that the index speaks of is in the file that it names.
    fn check_index(&self) -> Result<(), ModelError> {
        let path = self.folder.join(INDEX);
        if self.paths.first().is_some_and(|it| it.ends_with(WEIGHTS)) {
            return Ok(());
        }
        let index: Index = read_json(&path)?;
        for (name, file) in index.weight_map {
            let there =
                self.files.iter().any(|it| it.path().ends_with(&file) && it.info(&name).is_some());
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
    let text =
        fs::read(path).map_err(|source| ModelError::Read { path: path.to_path_buf(), source })?;
    serde_json::from_slice(&text)
        .map_err(|source| ModelError::Syntax { path: path.to_path_buf(), source })
}

fn describe(path: &Path, json: &Value) -> Result<(ConfigJson, Box<dyn Architecture>), ModelError> {
    let text = |key| json.get(key).and_then(Value::as_str);
    let (timm, model_type) = (text("architecture"), text("model_type"));
    // timm's own names may carry a tag for the weights: resnet50.a1_in1k.
    let name = timm.map(|it| it.split('.').next().unwrap_or(it));
    let found = ZOO.iter().find_map(|family| {
        let origin = match name {
            Some(name) => {
                let architecture = family.timm.iter().find(|it| **it == name)?;
                Origin::Timm { architecture }
            }
            None => {
                let known = family.transformers.iter().find(|it| model_type == Some(it.0));
                known.map(|(model_type, names)| Origin::Transformers { model_type, names })?
            }
        };
        Some((family, origin))
    });
    if let Some((family, origin)) = found {
        let config = ConfigJson::new(path, json, origin);
        let architecture = (family.read)(&config)?;
        return Ok((config, architecture));
    }
    let (key, found, known): (_, _, Vec<&str>) = match timm {
        Some(_) => ("architecture", timm, ZOO.iter().flat_map(|it| it.timm).copied().collect()),
        None => (
            "model_type",
            model_type,
            ZOO.iter().flat_map(|it| it.transformers).map(|it| it.0).collect(),
        ),
    };
    Err(ModelError::Value {
        path: path.to_path_buf(),
        key,
        found: found.map_or("absent".into(), |it| format!("`{it}`")),
        wanted: format!("one of {}", known.join(", ")),
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
        return Err(pickle.map_or(ModelError::NoWeights { folder: folder.clone() }, |file| {
            ModelError::PickleOnly { folder, file }
        }));
    }
    let mut names: Vec<String> = read_json::<Index>(&index)?.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    if let Some(outside) =
        names.iter().find(|it| Path::new(it).file_name().is_none_or(|name| name != it.as_str()))
    {
        let wanted = "the name of a file beside it".into();
        return Err(ModelError::Value {
            path: index,
            key: "weight_map",
            found: format!("`{outside}`"),
            wanted,
        });
    }
    Ok(names.iter().map(|it| folder.join(it)).collect())
}
