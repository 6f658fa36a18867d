//! `config.json` both ways, timm's or transformers': values read as they should be, and the config
//! that makes a finished model open in the library that it came from. What the numbers mean is left
//! to the families.

use crate::error::ModelError;
use crate::model::{HeadKind, Rows};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Deepest model that is built; beyond lies no known one, only a damaged file.
pub(crate) const LAYERS_MAX: i64 = 512;
/// Largest number of channels or of anything else that decides a shape; beyond lies no known model.
const SIZE_MAX: i64 = 1 << 20;

/// Classes of transformers for one `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClassNames {
    pub body: &'static str,
    pub classes: &'static str,
    pub per_token: Option<&'static str>,
    pub vocabulary: Option<&'static str>,
}

impl ClassNames {
    pub(crate) const fn of_images(body: &'static str, classes: &'static str) -> ClassNames {
        ClassNames { body, classes, per_token: None, vocabulary: None }
    }

    /// None: transformers has no such class, or the config's own class is wanted.
    fn of(&self, head: HeadKind) -> Option<&'static str> {
        match head {
            HeadKind::Classes(_) | HeadKind::Linear(..) => Some(self.classes),
            HeadKind::PerToken(_) => self.per_token,
            HeadKind::Vocabulary => self.vocabulary,
            HeadKind::None(_) => Some(self.body),
            HeadKind::Keep => None,
        }
    }
}

/// The library whose config and names a folder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Timm { architecture: &'static str },
    Transformers { model_type: &'static str, names: &'static ClassNames },
}

#[derive(Debug, Clone)]
pub(crate) struct ConfigJson {
    path: PathBuf,
    json: Value,
    pub origin: Origin,
}

/// Arguments that change no tensor and no number here: what a head has is the caller's, dropout
/// too.
const WITHOUT_EFFECT: &[&str] = &["num_classes", "drop_rate", "drop_path_rate"];

impl ConfigJson {
    pub(crate) fn new(path: &Path, json: &Value, origin: Origin) -> ConfigJson {
        ConfigJson { path: path.to_path_buf(), json: json.clone(), origin }
    }

    pub(crate) fn json(&self) -> &Value {
        &self.json
    }

    /// timm's name of the model, or `model_type` of transformers' config.
    pub(crate) fn architecture(&self) -> &'static str {
        match self.origin {
            Origin::Timm { architecture } => architecture,
            Origin::Transformers { model_type, .. } => model_type,
        }
    }

    /// The head that the checkpoint has; where its class is none that is built, one for classes.
    pub(crate) fn head(&self) -> HeadKind {
        let number = |it: Option<&Value>| it.and_then(Value::as_i64);
        let Origin::Transformers { names, .. } = self.origin else {
            let pretrained = self.json.get("pretrained_cfg").and_then(|it| it.get("num_classes"));
            // timm's default.
            let classes = number(self.json.get("num_classes").or(pretrained)).unwrap_or(1000);
            return if classes == 0 {
                HeadKind::None(Rows::PerExample)
            } else {
                HeadKind::Classes(classes)
            };
        };
        let labels = self.json.get("id2label").and_then(Value::as_object).map(|it| it.len() as i64);
        // transformers' default.
        let labels = labels.or(number(self.json.get("num_labels"))).unwrap_or(2);
        let class = self.json.get("architectures").and_then(|it| it.get(0)).and_then(Value::as_str);
        let kinds =
            [HeadKind::PerToken(labels), HeadKind::Vocabulary, HeadKind::None(Rows::PerExample)];
        let found = kinds.into_iter().find(|it| class.is_some() && names.of(*it) == class);
        found.unwrap_or(HeadKind::Classes(labels))
    }

    /// timm's `model_args`: what the folder's model has that its name does not say. `T` should
    /// refuse unknown keys.
    ///
    /// # Errors
    /// Arguments that `T` does not know, or of another type.
    pub(crate) fn model_args<T: DeserializeOwned>(&self) -> Result<T, ModelError> {
        self.parse(&Value::Object(self.args()?))
    }

    /// The same of a convolutional net, where timm also writes down what is always so.
    ///
    /// # Errors
    /// As [`ConfigJson::model_args`]; other inputs than RGB, another pooling than the mean.
    pub(crate) fn conv_args<T: DeserializeOwned>(&self) -> Result<T, ModelError> {
        let mut args = self.args()?;
        for (key, built, wanted) in [
            ("in_chans", json!(3), "3, for red, green and blue"),
            ("global_pool", json!("avg"), "avg"),
        ] {
            if let Some(other) = args.remove(key).filter(|it| *it != built) {
                return Err(self.wrong(key, other, wanted));
            }
        }
        self.parse(&Value::Object(args))
    }

    fn args(&self) -> Result<serde_json::Map<String, Value>, ModelError> {
        let mut args = match self.json.get("model_args") {
            None | Some(Value::Null) => serde_json::Map::new(),
            Some(Value::Object(args)) => args.clone(),
            Some(other) => return Err(self.wrong("model_args", other, "an object")),
        };
        args.retain(|key, _| !WITHOUT_EFFECT.contains(&key.as_str()));
        Ok(args)
    }

    /// The whole config, as transformers has it.
    ///
    /// # Errors
    /// Values of other types.
    pub(crate) fn whole<T: DeserializeOwned>(&self) -> Result<T, ModelError> {
        self.parse(&self.json)
    }

    /// The same with the family's own defaults, an object, for what is absent.
    ///
    /// # Errors
    /// Values of other types.
    pub(crate) fn whole_or<T: DeserializeOwned>(&self, defaults: &Value) -> Result<T, ModelError> {
        let mut json = self.json.clone();
        for (key, value) in defaults.as_object().into_iter().flatten() {
            if json.get(key).is_none_or(Value::is_null) {
                json[key] = value.clone();
            }
        }
        self.parse(&json)
    }

    fn parse<T: DeserializeOwned>(&self, json: &Value) -> Result<T, ModelError> {
        T::deserialize(json)
            .map_err(|source| ModelError::Syntax { path: self.path.clone(), source })
    }

    pub(crate) fn wrong(
        &self,
        key: &'static str,
        found: impl ToString,
        wanted: impl ToString,
    ) -> ModelError {
        ModelError::Value {
            path: self.path.clone(),
            key,
            found: found.to_string(),
            wanted: wanted.to_string(),
        }
    }

    /// # Errors
    /// A number that no model can have.
    pub(crate) fn check_sizes<'a>(
        &self,
        key: &'static str,
        sizes: impl IntoIterator<Item = &'a i64>,
    ) -> Result<(), ModelError> {
        match sizes.into_iter().find(|it| !(1..=SIZE_MAX).contains(*it)) {
            Some(size) => Err(self.wrong(key, size, format!("between 1 and {SIZE_MAX}"))),
            None => Ok(()),
        }
    }

    /// # Errors
    /// No block at all, or more than any known model has.
    pub(crate) fn check_depths(
        &self,
        depths: impl IntoIterator<Item = usize>,
    ) -> Result<(), ModelError> {
        let depths: Vec<usize> = depths.into_iter().collect();
        let blocks = depths.iter().try_fold(0_usize, |sum, it| sum.checked_add(*it));
        if depths.contains(&0) || !blocks.is_some_and(|it| (1..=LAYERS_MAX as usize).contains(&it))
        {
            return Err(self.wrong(
                "the blocks of each stage",
                format!("{depths:?}"),
                format!("at least 1 each and at most {LAYERS_MAX} in all"),
            ));
        }
        Ok(())
    }

    /// `config.json` of a model with this head and these names of its outputs, for images of this
    /// height and width where the library has to know.
    pub(crate) fn export(
        &self,
        head: HeadKind,
        outputs: &[String],
        image_size: Option<[i64; 2]>,
    ) -> Value {
        match self.origin {
            Origin::Timm { .. } => {
                let mut config = timm(&self.json, outputs);
                if let Some(size) = image_size {
                    config["model_args"]["img_size"] = json!(size);
                }
                config
            }
            Origin::Transformers { names, .. } => {
                let mut config = transformers(&self.json, names.of(head), outputs);
                if matches!(head, HeadKind::Classes(_) | HeadKind::Linear(..)) {
                    config["problem_type"] = json!("single_label_classification");
                }
                if let Some([height, width]) = image_size {
                    config["image_size"] =
                        if height == width { json!(height) } else { json!([height, width]) };
                }
                config
            }
        }
    }
}

/// The base's config with this class and the names of its outputs, the rest as it was. Labels and
/// their numbers are what `pipeline` and the `AutoModelFor` classes show.
fn transformers(base: &Value, class: Option<&str>, outputs: &[String]) -> Value {
    let mut config = base.clone();
    // Derived from id2label, and at odds with it where the base had other classes.
    for stale in ["num_labels", "_num_labels", "torch_dtype", "finetuning_task", "problem_type"] {
        config.as_object_mut().map(|it| it.remove(stale));
    }
    if let Some(class) = class {
        config["architectures"] = json!([class]);
    }
    if !outputs.is_empty() {
        let numbered = outputs.iter().enumerate();
        config["id2label"] = numbered
            .clone()
            .map(|(k, name)| (k.to_string(), json!(name)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        config["label2id"] = numbered
            .map(|(k, name)| (name.clone(), json!(k)))
            .collect::<serde_json::Map<_, _>>()
            .into();
    }
    config["dtype"] = json!("float32");
    config
}

/// As timm's `save_for_hf` has it, so that `local-dir:` and `hf-hub:` names open the folder. What
/// says where the base's weights came from goes: timm would fetch those instead. Where there is no
/// `pretrained_cfg`, as in old folders, all of it stands at the top.
fn timm(base: &Value, outputs: &[String]) -> Value {
    const STALE: &[&str] = &[
        "url",
        "file",
        "hf_hub_id",
        "hf_hub_filename",
        "source",
        "tag",
        "custom_load",
        "label_names",
        "label_descriptions",
        "labels",
        "label_offset",
    ];
    let mut config = base.clone();
    let without = |object: &mut Value, stale: &[&str]| {
        if let Some(object) = object.as_object_mut() {
            object.retain(|key, _| !stale.contains(&key.as_str()));
        }
    };
    without(&mut config, STALE);
    config["num_classes"] = json!(outputs.len());
    config["label_names"] = json!(outputs);
    if let Some(pretrained) = config.get_mut("pretrained_cfg").filter(|it| it.is_object()) {
        without(pretrained, STALE);
        pretrained["num_classes"] = json!(outputs.len());
    }
    if let Some(args) = config.get_mut("model_args") {
        without(args, &["num_classes"]);
    }
    config
}
