//! BERT (Devlin et al. 2018) and what is shaped like it, MiniLM above all; names as in
//! `BertForSequenceClassification`.

use crate::architecture::{Architecture, Family};
use crate::classifier::{Bend, ClassifierNames};
use crate::config_json::{ClassNames, ConfigJson};
use crate::encoder::{self, BlockNames, Config, Dialect, VocabularyNames};
use crate::error::ModelError;
use serde::Deserialize;

pub(crate) const FAMILY: Family = Family {
    timm: &[],
    transformers: &[(
        "bert",
        ClassNames {
            body: "BertModel",
            classes: "BertForSequenceClassification",
            per_token: Some("BertForTokenClassification"),
            vocabulary: Some("BertForMaskedLM"),
        },
    )],
    read,
};

/// What stands under the same names in RoBERTa and ELECTRA.
pub(crate) const BODY: &[&str] = &["embeddings", "encoder", "pooler"];
pub(crate) const LAYERS: &str = "encoder.layer";
pub(crate) const LAYERS_KEY: &str = "num_hidden_layers";
pub(crate) const BLOCK: BlockNames = BlockNames {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    mixed: "attention.output.dense",
    mixed_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    down_norm: "output.LayerNorm",
};

/// The table of token embeddings ends it, as in DeBERTa.
pub(crate) const VOCABULARY: VocabularyNames = VocabularyNames {
    dense: "cls.predictions.transform.dense",
    activation: None,
    norm: "cls.predictions.transform.LayerNorm",
    weight: Some("cls.predictions.decoder.weight"),
    bias: "cls.predictions.bias",
    bias_again: Some("cls.predictions.decoder.bias"),
};

const DIALECT: Dialect = Dialect {
    prefix: "bert",
    body: BODY,
    layers: LAYERS,
    block: BLOCK,
    // The pooler that BERT was pretrained with, and a linear classifier.
    classifier: ClassifierNames {
        dense: "bert.pooler.dense",
        output: "classifier",
        bend: Bend::Tanh,
    },
    vocabulary: VOCABULARY,
    layers_key: LAYERS_KEY,
    pooling: None,
};

/// `BertConfig` with its defaults; its relatives have the same keys.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct BertConfig {
    vocab_size: i64,
    hidden_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    intermediate_size: i64,
    hidden_act: String,
    position_embedding_type: String,
    is_decoder: bool,
    max_position_embeddings: i64,
    type_vocab_size: i64,
    layer_norm_eps: f64,
    pad_token_id: Option<i64>,
    initializer_range: f64,
    hidden_dropout_prob: f64,
    classifier_dropout: Option<f64>,
    tie_word_embeddings: bool,
}

impl Default for BertConfig {
    fn default() -> BertConfig {
        BertConfig {
            vocab_size: 30522,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".into(),
            position_embedding_type: "absolute".into(),
            is_decoder: false,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            pad_token_id: Some(0),
            initializer_range: 0.02,
            hidden_dropout_prob: 0.1,
            classifier_dropout: None,
            tie_word_embeddings: true,
        }
    }
}

impl BertConfig {
    pub(crate) fn usable(self) -> Config {
        let classifier_dropout = self.classifier_dropout.unwrap_or(self.hidden_dropout_prob);
        Config {
            vocab_size: self.vocab_size,
            embedding_size: self.hidden_size,
            hidden_size: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            activation: self.hidden_act,
            position_embedding_type: self.position_embedding_type,
            is_decoder: self.is_decoder,
            position_rows: self.max_position_embeddings,
            positions_from: None,
            max_positions: self.max_position_embeddings,
            token_types: self.type_vocab_size,
            layer_norm_eps: self.layer_norm_eps,
            pad_token_id: self.pad_token_id,
            initializer_range: self.initializer_range,
            dropout: self.hidden_dropout_prob,
            attention_dropout: 0.0,
            mixed_dropout: Some(self.hidden_dropout_prob),
            features_dropout: None,
            classifier_dropout,
            token_dropout: classifier_dropout,
            tie_word_embeddings: self.tie_word_embeddings,
            relative: None,
        }
    }
}

fn read(json: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let config: BertConfig = json.whole()?;
    encoder::checked(&DIALECT, config.usable(), json)
}
