//! A model folder of transformers or timm: its config, the files its weights lie in, and the model
//! that they make.

use crate::adapter::is_of_adapter;
use crate::architecture::Architecture;
use crate::config_json::{ConfigJson, Origin};
use crate::encoder::LINEAR_CLASSIFIER;
use crate::error::ModelError;
use crate::error::ShapeDifference;
use crate::gguf::{self, GgufType, GgufValue, Outline};
use crate::load::{Catalogue, LoadReport, Loaded, Loader};
use crate::model::{BuildOptions, HeadKind, Model, Pooling};
use crate::peft::AdapterFolder;
use crate::pooling;
use crate::stages::{Stack, StackFacts, Takes};
use crate::weights::WeightsFile;
use crate::zoo::{HOLDS_ONE, ZOO};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{TchError, Tensor};

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
    adapter: Option<AdapterFolder>,
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
    let folder = folder.to_path_buf();
    let checkpoint = Checkpoint { folder, config, architecture, files, paths, adapter: None };
    checkpoint.check_index()?;
    Ok(checkpoint)
}

/// An adapter's folder over its base model. The config is the adapter's, where its folder has one.
///
/// # Errors
/// The config is another model's.
pub fn open_adapted(
    adapter: AdapterFolder,
    mut checkpoint: Checkpoint,
) -> Result<Checkpoint, ModelError> {
    let path = adapter.folder.join(CONFIG);
    if path.exists() {
        let config_json: Value = read_json(&path)?;
        (checkpoint.config, checkpoint.architecture) = describe(&path, &config_json)?;
    }
    checkpoint.adapter = Some(adapter);
    Ok(checkpoint)
}

impl Checkpoint {
    /// Where it was opened; of an adapter, where its base was.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Training may go on with it: what it holds is in every model that is built.
    pub fn adapter(&self) -> Option<&AdapterFolder> {
        self.adapter.as_ref()
    }

    /// Where what belongs to the weights lies: a tokenizer, or how images are prepared. An adapter
    /// may have its own.
    pub fn companions(&self) -> &Path {
        let files: &[&str] = match self.kind() {
            Kind::Text => &["tokenizer.json"],
            Kind::Image => &["preprocessor_config.json", CONFIG],
        };
        let folders = || self.adapter.iter().map(AdapterFolder::folder).chain([self.folder()]);
        let has = |file: &&str| folders().find(|it| it.join(file).is_file());
        files.iter().find_map(has).unwrap_or(&self.folder)
    }

    /// The head that its config speaks of.
    pub fn head(&self) -> HeadKind {
        self.config.head()
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

    /// Of all tensors in these files.
    pub fn numbers(&self) -> u64 {
        let of = |file: &WeightsFile| {
            let sizes = file.names().into_iter().filter_map(|it| file.info(&it));
            sizes.map(|it| it.shape.iter().product::<usize>() as u64).sum::<u64>()
        };
        self.files.iter().map(of).sum()
    }

    /// How the row that stands for a text is made of its tokens where a linear map takes it; none
    /// where there is no head of the kind [`HeadKind::Linear`].
    ///
    /// # Errors
    /// A file that should say so is damaged.
    pub fn pooling(&self) -> Result<Option<Pooling>, ModelError> {
        let has = |it| self.architecture.has_head(HeadKind::Linear(1, it));
        let text = self.architecture.text().filter(|_| has(Pooling::First) || has(Pooling::Mean));
        text.map(|it| it.pooling.map_or_else(|| pooling::of(&self.folder), Ok)).transpose()
    }

    /// Whether the finished model has a layer more than the base: see [`Checkpoint::in_family`].
    fn adds_layer(&self, head: HeadKind) -> bool {
        let mean = matches!(head, HeadKind::Linear(_, Pooling::Mean));
        mean && self.architecture.text().is_some_and(|it| it.pooling.is_none())
    }

    /// Whether each token sees only those before it, so that the model can go on with a text.
    pub fn is_decoder(&self) -> bool {
        self.architecture.text().is_some_and(|it| it.causal)
    }

    /// Of a decoder, the token that a text for a head of the kind [`HeadKind::Classes`] must not
    /// end with, since such a head takes the last token that does not fill a text up: the config's
    /// padding token, else the one that ends texts, which a finished model has for it.
    pub fn never_last(&self) -> Option<u32> {
        let text = self.architecture.text().filter(|it| it.causal)?;
        text.pad_token_id.or(self.ends().first().copied())
    }

    /// The tokens that end a text, as the config names them.
    pub fn ends(&self) -> Vec<u32> {
        let token = |it: &Value| it.as_u64().and_then(|it| u32::try_from(it).ok());
        match &self.config_json()["eos_token_id"] {
            Value::Array(all) => all.iter().filter_map(token).collect(),
            one => token(one).into_iter().collect(),
        }
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
            return Err(self.no_head(match head {
                HeadKind::Vocabulary => "for a vocabulary",
                HeadKind::Linear(..) => "of the mean of tokens",
                _ => "for each token",
            }));
        }
        let mut built = self.assemble(options, head, None)?;
        if let Some(adapter) = &self.adapter {
            adapt(&mut built, adapter, options.seed)?;
        }
        Ok(built)
    }

    /// The model of the family's own class that gives what a model with a head of the kind
    /// [`HeadKind::Linear`] gives, whose `tensors` these are, and which `options` built: with one
    /// layer more where the row of a text is the mean of its tokens, unless the family's head takes
    /// that by itself.
    ///
    /// # Errors
    /// As [`Checkpoint::build`]; tensors that are none of such a model, another kind of head.
    pub fn in_family(
        &self,
        options: &BuildOptions,
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<Built, ModelError> {
        let HeadKind::Linear(classes, _) = options.head else {
            return Err(self.no_head("of another kind"));
        };
        let linear = Linear { adds_layer: self.adds_layer(options.head), tensors };
        let built = self.assemble(options, HeadKind::Classes(classes), Some(linear))?;
        for (name, tensor) in tensors.iter().filter(|it| !linear_names().contains(it.0)) {
            let own = built.tensors.iter().find(|it| it.0 == *name);
            let copied = match own {
                Some((_, own)) => tch::no_grad(|| own.shallow_clone().f_copy_(tensor)),
                None => Err(TchError::Shape("the finished model has no such tensor".into())),
            };
            copied.map_err(|source| ModelError::Tensor { name: name.clone(), source })?;
        }
        Ok(built)
    }

    fn no_head(&self, wanted: &'static str) -> ModelError {
        let (folder, architecture) = (self.folder.clone(), self.architecture());
        ModelError::Head { folder, architecture, wanted }
    }

    /// `linear`: what the model is to compute, in the family's own class.
    fn assemble(
        &self,
        options: &BuildOptions,
        head: HeadKind,
        linear: Option<Linear>,
    ) -> Result<Built, ModelError> {
        let adds_layer = linear.as_ref().is_some_and(|it| it.adds_layer);
        let (prefix, body) = self.architecture.body();
        let catalogue = Catalogue::new(&self.folder, &self.files, prefix, body)?;
        let catalogue = match &self.adapter {
            Some(adapter) => catalogue.with(adapter),
            None => catalogue,
        };
        let loader = Loader::new(catalogue, prefix, self.architecture.head_deviation(), options)
            .with_body(self.architecture.with_body())
            .with_layer(adds_layer.then(|| self.architecture.layers()));
        let stages = self.architecture.build(&loader, &BuildOptions { head, ..options.clone() })?;
        if let (Some(linear), Some(head)) = (linear, &stages.head) {
            let [weight, bias] = linear_names().map(|name| {
                let missing =
                    |name| ModelError::Missing { folder: self.folder.clone(), names: vec![name] };
                linear.tensors.get(&name).ok_or_else(|| missing(name))
            });
            let (weight, bias) = (weight?, bias?);
            tch::no_grad(|| head.set_bent(weight, bias))
                .map_err(|source| ModelError::Tensor { name: LINEAR_CLASSIFIER.into(), source })?;
        }
        let Loaded { tensors, parts, linears, report } = loader.finish()?;
        let takes = if self.kind() == Kind::Text { Takes::Tokens } else { Takes::Pixels };
        let causal = self.architecture.text().is_some_and(|it| it.causal);
        let facts = StackFacts {
            takes,
            rows: head.rows(),
            goes_on: causal && head == HeadKind::Vocabulary,
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
        let size = image_size.filter(|_| self.architecture.names_size());
        let mut config = self.config.export(head, outputs, size);
        if let Some(text) = self.architecture.text().filter(|_| self.adds_layer(head)) {
            config[text.layers_key] = (self.architecture.layers() + 1).into();
        }
        if let (HeadKind::Classes(_), Some(padding)) = (head, self.never_last()) {
            // Without one, transformers takes one text at a time only.
            config["pad_token_id"] = padding.into();
        }
        config
    }

    /// What llama.cpp wants to know of the model.
    pub(crate) fn outline(&self) -> Result<Outline, ModelError> {
        let folder = || self.folder.clone();
        let head = self.config.head();
        if self.is_decoder() && head != HeadKind::Vocabulary {
            let why = "its head is for classes, and llama.cpp goes on with texts".into();
            return Err(ModelError::NoGguf { folder: folder(), why });
        }
        self.architecture.gguf().map_err(|why| ModelError::NoGguf { folder: folder(), why })
    }

    /// Whether llama.cpp has a model that computes what one with this config and a head for the
    /// vocabulary does.
    ///
    /// # Errors
    /// It has not.
    pub fn check_gguf(&self) -> Result<(), ModelError> {
        let why = |why| ModelError::NoGguf { folder: self.folder.clone(), why };
        self.architecture.gguf().map(drop).map_err(why)
    }

    /// Writes the model as a GGUF file and reads it back. `more`: what is to stand in it beside
    /// what config and weights say: of its tokenizer, above all.
    ///
    /// # Errors
    /// llama.cpp has no such model, tensors are missing or have no place, the disk refuses, or what
    /// was read back is not what was written.
    pub fn write_gguf(
        &self,
        path: &Path,
        of: GgufType,
        more: Vec<(String, GgufValue)>,
    ) -> Result<(), ModelError> {
        gguf::write(path, self.outline()?, (&self.folder, &self.files), of, more)
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

/// Gives a model the adapter of a folder, with its numbers.
fn adapt(built: &mut Built, folder: &AdapterFolder, seed: u64) -> Result<(), ModelError> {
    let path = folder.folder.clone();
    let failed = |name: &str| {
        let name = name.to_string();
        move |source| ModelError::Tensor { name, source }
    };
    check_places(built, folder)?;
    let added = built.model.adapt(&folder.adapter, seed).map_err(failed("the adapter"))?;
    let mut stored: BTreeMap<String, String> =
        folder.names().filter(|it| is_of_adapter(&it.0)).collect();
    for (name, own) in &added {
        let Some(place) = stored.remove(name) else {
            return Err(ModelError::Missing { folder: path, names: vec![name.clone()] });
        };
        let value = folder.file.tensor(&place)?;
        let (found, wanted) = (value.size(), own.size());
        if found != wanted {
            let differences = vec![ShapeDifference { name: name.clone(), found, wanted }];
            return Err(ModelError::Shapes { folder: path, differences });
        }
        tch::no_grad(|| own.shallow_clone().f_copy_(&value)).map_err(failed(name))?;
    }
    if let Some((name, _)) = stored.into_iter().next() {
        let source = TchError::Shape("no linear map of the model has such a tensor".into());
        return Err(ModelError::Tensor { name, source });
    }
    built.tensors.extend(added);
    Ok(())
}

/// Linear maps that have an adapter are of the body, and no tensor that is kept whole is shared:
/// peft parts such, and only one of the two would move.
fn check_places(built: &Built, folder: &AdapterFolder) -> Result<(), ModelError> {
    let refused = |name: &str, why: &str| {
        let (folder, name) = (folder.folder.clone(), name.to_string());
        Err(ModelError::Adapter { folder, name, why: why.into() })
    };
    const MERGE: &str = "peft's merge_and_unload and save_pretrained make a whole model of both, which can be the base";
    let linears = built.model.linears();
    if let Some(outside) = folder.adapter.targets.iter().find(|it| !linears.contains_key(*it)) {
        return refused(
            outside,
            &format!("it is no linear map of the body of this model; {MERGE}"),
        );
    }
    let parts = built.model.parts();
    let mut shared = parts.shared_with_body();
    match shared.find(|pair| folder.names().any(|it| it.0 == pair.0 || it.0 == pair.1)) {
        Some((name, _)) => refused(
            name,
            &format!("body and head share this tensor, which peft has parted; {MERGE}"),
        ),
        None => Ok(()),
    }
}

/// A model with a head of the kind [`HeadKind::Linear`].
struct Linear<'a> {
    adds_layer: bool,
    tensors: &'a BTreeMap<String, Tensor>,
}

/// Weight and bias of such a head.
fn linear_names() -> [String; 2] {
    ["weight", "bias"].map(|it| format!("{LINEAR_CLASSIFIER}.{it}"))
}

#[derive(Deserialize)]
struct Index {
    /// Tensor -> file beside the index.
    weight_map: BTreeMap<String, String>,
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let text = finetuned_files::read(path)
        .map_err(|source| ModelError::Read { path: path.to_path_buf(), source })?;
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
    if let Some((held, cure)) =
        HOLDS_ONE.iter().find(|it| timm.is_none() && model_type == Some(it.0))
    {
        return Err(ModelError::Value {
            path: path.to_path_buf(),
            key: "model_type",
            found: format!("`{held}`"),
            wanted: (*cure).into(),
        });
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
