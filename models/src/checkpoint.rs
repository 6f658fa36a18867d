//! A model folder of transformers or timm: its config, the files its weights lie in, and the model
//! that they make.

use crate::config::{self, Config};
use crate::error::ModelError;
use crate::image_config::{ImageConfig, Origin};
use crate::images::{Architecture, ImageModel, Network};
use crate::load::{Catalogue, Loader};
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

/// What a new head of an image model is drawn with: that of transformers and ConvNeXt, and close to
/// torch's own for a linear map. timm's for EfficientNet and MobileNet, 1 / sqrt(classes), drowns
/// what the features say.
const IMAGE_HEAD_DEVIATION: f64 = 0.02;

/// What a model looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Image,
}

/// The model that a config describes.
enum Described {
    Text(&'static Family, Config),
    Image(ImageConfig, Box<dyn Architecture>),
}

/// What a folder says; its weights have not been read yet, but every file's header has.
pub struct Checkpoint {
    folder: PathBuf,
    described: Described,
    config_json: Value,
    files: Vec<WeightsFile>,
    paths: Vec<PathBuf>,
}

/// Opens a model folder as transformers or timm write them.
///
/// # Errors No config or one that no model of the zoo can have, no safetensors, files that are cut
/// off or damaged.
pub fn open(folder: &Path) -> Result<Checkpoint, ModelError> {
    let path = folder.join(CONFIG);
    if !path.exists() {
        return Err(ModelError::NoConfig { folder: folder.to_path_buf() });
    }
    let config_json: Value = read_json(&path)?;
    let described = describe(&path, &config_json)?;
    let paths = weights(folder)?;
    let files = paths
        .iter()
        .map(|it| WeightsFile::open(it))
        .collect::<Result<Vec<WeightsFile>, ModelError>>()?;
    let checkpoint =
        Checkpoint { folder: folder.to_path_buf(), described, config_json, files, paths };
    checkpoint.check_index()?;
    Ok(checkpoint)
}

impl Checkpoint {
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn kind(&self) -> Kind {
        match self.described {
            Described::Text(..) => Kind::Text,
            Described::Image(..) => Kind::Image,
        }
    }

    /// timm's name of the model, or `model_type` of transformers' config: `bert`, `resnet50`,
    /// `convnext`.
    pub fn architecture(&self) -> &'static str {
        match &self.described {
            Described::Text(family, _) => family.model_type,
            Described::Image(ImageConfig { origin: Origin::Timm { architecture }, .. }, _) => {
                architecture
            }
            Described::Image(
                ImageConfig { origin: Origin::Transformers { model_type, .. }, .. },
                _,
            ) => model_type,
        }
    }

    pub fn config_json(&self) -> &Value {
        &self.config_json
    }

    /// Width of the features that the head takes.
    pub fn hidden_size(&self) -> i64 {
        match &self.described {
            Described::Text(_, config) => config.hidden_size,
            Described::Image(_, architecture) => architecture.width(),
        }
    }

    pub fn layers(&self) -> i64 {
        match &self.described {
            Described::Text(_, config) => config.layers,
            Described::Image(_, architecture) => architecture.layers() as i64,
        }
    }

    /// Most tokens that a text may have, special ones included; 0 for a model of images.
    pub fn max_positions(&self) -> u32 {
        match &self.described {
            Described::Text(_, config) => config.max_positions as u32,
            Described::Image(..) => 0,
        }
    }

    /// The token that fills up short texts; 0 where the config has none: nobody looks at it.
    pub fn pad_token_id(&self) -> u32 {
        match &self.described {
            Described::Text(_, config) => config.pad_token_id.unwrap_or(0) as u32,
            Described::Image(..) => 0,
        }
    }

    /// The config's own probability for hidden states; models of images have none.
    pub fn dropout(&self) -> f64 {
        match &self.described {
            Described::Text(_, config) => config.dropout,
            Described::Image(..) => 0.0,
        }
    }

    /// `model.safetensors`, or its shards in the order of their names.
    pub fn weights_files(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads the weights into a model of texts, one tensor at a time.
    ///
    /// # Errors Tensors are missing outside of the head (with `keep_head`: anywhere), shapes differ
    /// from the config's, types that are no weights, damaged files; a model of images.
    pub fn build(&self, options: &BuildOptions) -> Result<Model, ModelError> {
        let Described::Text(family, config) = &self.described else {
            return Err(ModelError::Kind {
                folder: self.folder.clone(),
                found: "images",
                wanted: "texts",
            });
        };
        let mut config = config.clone();
        config.attention_dropout = options.attention_dropout;
        if let Some(p) = options.dropout {
            (config.dropout, config.classifier_dropout) = (p, p);
        }
        let catalogue = Catalogue::new(&self.folder, &self.files, family.prefix, family.body)?;
        let (encoder, report) = (family.build)(&config, catalogue, options)?;
        let tensors =
            encoder.tensors.iter().map(|(name, it)| (name.clone(), it.shallow_clone())).collect();
        Ok(Model { classifier: Box::new(encoder), tensors, report })
    }

    /// As [`Checkpoint::build`], a model of images. Its tensors include the running statistics.
    ///
    /// # Errors
    /// As [`Checkpoint::build`]; a model of texts.
    pub fn build_image(&self, options: &BuildOptions) -> Result<ImageModel, ModelError> {
        let Described::Image(_, architecture) = &self.described else {
            return Err(ModelError::Kind {
                folder: self.folder.clone(),
                found: "texts",
                wanted: "images",
            });
        };
        let (prefix, body) = architecture.body();
        let catalogue = Catalogue::new(&self.folder, &self.files, prefix, body)?;
        let loader = Loader::new(catalogue, prefix, IMAGE_HEAD_DEVIATION, options);
        let stages = architecture.build(&loader, options)?;
        let loaded = loader.finish()?;
        let network = Network::new(stages, &loaded.tensors, loaded.parts);
        Ok(ImageModel {
            classifier: Box::new(network),
            tensors: loaded.tensors,
            report: loaded.report,
        })
    }

    /// `config.json` of a classifier made from this checkpoint, for the library that the checkpoint
    /// is of: transformers (5 and 4) or timm; built for images of `image_size`, see
    /// [`BuildOptions::image_size`].
    pub fn export_config(&self, classes: &[String], image_size: Option<[i64; 2]>) -> Value {
        match &self.described {
            Described::Text(family, _) => config::export(&self.config_json, family.class, classes),
            Described::Image(config, architecture) => {
                config.export(classes, image_size.filter(|_| architecture.names_size()))
            }
        }
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

fn describe(path: &Path, json: &Value) -> Result<Described, ModelError> {
    if let Some((family, config)) = ImageConfig::find(path, json) {
        let architecture = (family.read)(&config)?;
        return Ok(Described::Image(config, architecture));
    }
    let wrong = |key, found: Option<&str>, wanted| {
        let found = found.map_or("absent".into(), |it| format!("`{it}`"));
        Err(ModelError::Value { path: path.to_path_buf(), key, found, wanted })
    };
    if let Some(architecture) = json.get("architecture").and_then(Value::as_str) {
        return wrong(
            "architecture",
            Some(architecture),
            format!("one of {}", ImageConfig::architectures()),
        );
    }
    let named = json.get("model_type").and_then(Value::as_str);
    let Some(family) = ZOO.iter().find(|it| named == Some(it.model_type)) else {
        let known: Vec<&str> =
            ZOO.iter().map(|it| it.model_type).chain(ImageConfig::model_types()).collect();
        return wrong("model_type", named, format!("one of {}", known.join(", ")));
    };
    let config = (family.read)(json)
        .map_err(|source| ModelError::Syntax { path: path.to_path_buf(), source })?;
    config.check(path)?;
    Ok(Described::Text(family, config))
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
