//! `config.json` both ways: numbers checked so that a model can be built from them, and the config
//! that makes a finished model open in transformers (5 and 4).

use crate::error::ModelError;
use crate::layers::Activation;
use serde_json::{Value, json};
use std::path::Path;

/// Deepest model that is built; beyond lies no known one, only a damaged file.
pub(crate) const LAYERS_MAX: i64 = 512;

/// What a transformer encoder is made of, whatever its family calls it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub vocab_size: i64,
    pub hidden_size: i64,
    pub layers: i64,
    pub heads: i64,
    pub intermediate_size: i64,
    pub activation: String,
    /// How tokens know their place; `absolute` is what is built.
    pub position_embedding_type: String,
    pub is_decoder: bool,
    /// Rows of the table of positions.
    pub position_rows: i64,
    /// Most tokens of a text.
    pub max_positions: i64,
    pub type_vocab_size: i64,
    pub layer_norm_eps: f64,
    pub pad_token_id: Option<i64>,
    pub initializer_range: f64,
    /// Of hidden states.
    pub dropout: f64,
    /// Of attention's weights: not the config's number but the caller's, see
    /// [`crate::BuildOptions`].
    pub attention_dropout: f64,
    pub classifier_dropout: f64,
}

impl Config {
    /// # Errors
    /// A number that no model can have, named with its key in `path`.
    pub(crate) fn check(&self, path: &Path) -> Result<(), ModelError> {
        let wrong = |key, found: String, wanted: String| {
            Err(ModelError::Value { path: path.to_path_buf(), key, found, wanted })
        };
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("the hidden size", self.hidden_size),
            ("the number of layers", self.layers),
            ("the number of heads", self.heads),
            ("the intermediate size", self.intermediate_size),
            ("max_position_embeddings", self.max_positions),
            ("type_vocab_size", self.type_vocab_size),
        ];
        for (key, size) in sizes {
            if !(1..=i64::from(i32::MAX)).contains(&size) {
                return wrong(key, size.to_string(), "a positive number of 31 bits".into());
            }
        }
        if Activation::named(&self.activation).is_none() {
            return wrong(
                "the activation",
                self.activation.clone(),
                format!("one of {}", Activation::names()),
            );
        }
        if self.position_embedding_type != "absolute" {
            return wrong(
                "position_embedding_type",
                self.position_embedding_type.clone(),
                "absolute, the only one that is built".into(),
            );
        }
        if self.is_decoder {
            return wrong("is_decoder", "true".into(), "false: only encoders are built".into());
        }
        if LAYERS_MAX < self.layers {
            return wrong(
                "the number of layers",
                self.layers.to_string(),
                format!("at most {LAYERS_MAX}"),
            );
        }
        if self.hidden_size % self.heads != 0 {
            return wrong(
                "the number of heads",
                self.heads.to_string(),
                format!("a divisor of the hidden size {}", self.hidden_size),
            );
        }
        if let Some(pad) = self.pad_token_id
            && !(0..self.vocab_size).contains(&pad)
        {
            return wrong(
                "pad_token_id",
                pad.to_string(),
                format!("below the vocabulary's size {}", self.vocab_size),
            );
        }
        for (key, p) in [
            ("the dropout", self.dropout),
            ("the attention's dropout", self.attention_dropout),
            ("the classifier's dropout", self.classifier_dropout),
        ] {
            if !(0.0..1.0).contains(&p) {
                return wrong(key, p.to_string(), "at least 0 and below 1".into());
            }
        }
        if !(self.layer_norm_eps.is_finite() && 0.0 < self.layer_norm_eps) {
            return wrong("layer_norm_eps", self.layer_norm_eps.to_string(), "above 0".into());
        }
        if !(self.initializer_range.is_finite() && 0.0 < self.initializer_range) {
            return wrong(
                "initializer_range",
                self.initializer_range.to_string(),
                "above 0".into(),
            );
        }
        Ok(())
    }
}

/// The config of a classifier on the body that `base` describes: its class and its classes' names,
/// the rest as it was. Labels and their numbers are what `pipeline` and
/// `AutoModelForSequenceClassification` show.
pub(crate) fn export(base: &Value, class: &str, classes: &[String]) -> Value {
    let mut config = base.clone();
    // Derived from id2label, and at odds with it where the base had other classes.
    for stale in ["num_labels", "_num_labels", "torch_dtype", "finetuning_task"] {
        config.as_object_mut().map(|it| it.remove(stale));
    }
    let numbered = classes.iter().enumerate();
    config["architectures"] = json!([class]);
    config["id2label"] = numbered
        .clone()
        .map(|(k, name)| (k.to_string(), json!(name)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    config["label2id"] = numbered
        .map(|(k, name)| (name.clone(), json!(k)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    config["problem_type"] = json!("single_label_classification");
    config["dtype"] = json!("float32");
    config
}
