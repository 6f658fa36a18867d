//! `config.json` of an image model, timm's or transformers', both ways: which family builds it and
//! by what numbers, and the config that makes a finished model open in the library that it came
//! from. What the numbers mean is left to the families.

use crate::config::{self, LAYERS_MAX};
use crate::error::ModelError;
use crate::images::ImageFamily;
use crate::zoo::IMAGES;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Largest number of channels or of anything else that decides a shape; beyond lies no known model.
const SIZE_MAX: i64 = 1 << 20;

/// The library whose config and names a folder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Timm { architecture: &'static str },
    Transformers { model_type: &'static str, class: &'static str },
}

#[derive(Debug, Clone)]
pub(crate) struct ImageConfig {
    path: PathBuf,
    json: Value,
    pub origin: Origin,
}

/// Arguments that change no tensor and no number here: what a head has is the caller's, dropout
/// too.
const WITHOUT_EFFECT: &[&str] = &["num_classes", "drop_rate", "drop_path_rate"];

impl ImageConfig {
    /// The family that builds what the config of `path` describes; none where it speaks of no image
    /// model.
    pub(crate) fn find(path: &Path, json: &Value) -> Option<(&'static ImageFamily, ImageConfig)> {
        let text = |key| json.get(key).and_then(Value::as_str);
        // timm's own names may carry a tag for the weights: resnet50.a1_in1k.
        let timm = text("architecture").map(|it| it.split('.').next().unwrap_or(it));
        let model_type = text("model_type");
        let origin = |family: &ImageFamily| match timm {
            Some(timm) => family
                .timm
                .iter()
                .find(|it| **it == timm)
                .map(|architecture| Origin::Timm { architecture }),
            None => {
                let known = family.transformers.iter().find(|it| model_type == Some(it.0));
                known.map(|(model_type, class)| Origin::Transformers { model_type, class })
            }
        };
        let (family, origin) = IMAGES.iter().find_map(|it| Some((it, origin(it)?)))?;
        Some((family, ImageConfig { path: path.to_path_buf(), json: json.clone(), origin }))
    }

    /// Every name that a config may give, for a message.
    pub(crate) fn architectures() -> String {
        IMAGES.iter().flat_map(|it| it.timm).copied().collect::<Vec<_>>().join(", ")
    }

    /// And those of transformers.
    pub(crate) fn model_types() -> impl Iterator<Item = &'static str> {
        IMAGES.iter().flat_map(|it| it.transformers).map(|it| it.0)
    }

    /// timm's `model_args`: what the folder's model has that its name does not say. `T` should
    /// refuse unknown keys.
    ///
    /// # Errors Arguments that `T` does not know, or of another type.
    pub(crate) fn model_args<T: DeserializeOwned>(&self) -> Result<T, ModelError> {
        self.parse(&Value::Object(self.args()?))
    }

    /// The same of a convolutional net, where timm also writes down what is always so.
    ///
    /// # Errors
    /// As [`ImageConfig::model_args`]; other inputs than RGB, another pooling than the mean.
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

    /// `config.json` of a model with these classes, for images of this height and width where the
    /// library has to be told.
    pub(crate) fn export(&self, classes: &[String], image_size: Option<[i64; 2]>) -> Value {
        match self.origin {
            Origin::Timm { .. } => {
                let mut config = timm(&self.json, classes);
                if let Some(size) = image_size {
                    config["model_args"]["img_size"] = json!(size);
                }
                config
            }
            Origin::Transformers { class, .. } => {
                let mut config = config::export(&self.json, class, classes);
                if let Some([height, width]) = image_size {
                    config["image_size"] =
                        if height == width { json!(height) } else { json!([height, width]) };
                }
                config
            }
        }
    }
}

/// As timm's `save_for_hf` has it, so that `local-dir:` and `hf-hub:` names open the folder. What
/// says where the base's weights came from goes: timm would fetch those instead. Where there is no
/// `pretrained_cfg`, as in old folders, all of it stands at the top.
fn timm(base: &Value, classes: &[String]) -> Value {
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
    config["num_classes"] = json!(classes.len());
    config["label_names"] = json!(classes);
    if let Some(pretrained) = config.get_mut("pretrained_cfg").filter(|it| it.is_object()) {
        without(pretrained, STALE);
        pretrained["num_classes"] = json!(classes.len());
    }
    if let Some(args) = config.get_mut("model_args") {
        without(args, &["num_classes"]);
    }
    config
}
