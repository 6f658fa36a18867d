//! DistilBERT (Sanh et al. 2019): BERT without token types and pooler, under names of its own; as
//! in `DistilBertForSequenceClassification`.

use crate::architecture::{Architecture, Family};
use crate::classifier::{Bend, ClassifierNames};
use crate::config_json::{ClassNames, ConfigJson};
use crate::encoder::{self, BlockNames, Config, Dialect, VocabularyNames};
use crate::error::ModelError;
use crate::layers::Activation;
use serde::Deserialize;

pub(crate) const FAMILY: Family = Family {
    timm: &[],
    transformers: &[(
        "distilbert",
        ClassNames {
            body: "DistilBertModel",
            classes: "DistilBertForSequenceClassification",
            per_token: Some("DistilBertForTokenClassification"),
            vocabulary: Some("DistilBertForMaskedLM"),
        },
    )],
    read,
};

const DIALECT: Dialect = Dialect {
    prefix: "distilbert",
    body: &["embeddings", "transformer"],
    layers: "transformer.layer",
    block: BlockNames {
        query: "attention.q_lin",
        key: "attention.k_lin",
        value: "attention.v_lin",
        mixed: "attention.out_lin",
        mixed_norm: "sa_layer_norm",
        up: "ffn.lin1",
        down: "ffn.lin2",
        down_norm: "output_layer_norm",
    },
    classifier: ClassifierNames {
        dense: "pre_classifier",
        output: "classifier",
        bend: Bend::Activation(Activation::Relu),
    },
    vocabulary: VocabularyNames {
        dense: "vocab_transform",
        activation: None,
        norm: "vocab_layer_norm",
        weight: Some("vocab_projector.weight"),
        bias: "vocab_projector.bias",
        bias_again: None,
    },
    layers_key: "n_layers",
    pooling: None,
};

/// Not in its config.
const LAYER_NORM_EPS: f64 = 1e-12;

/// `DistilBertConfig` with its defaults.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct DistilBertConfig {
    vocab_size: i64,
    dim: i64,
    n_layers: i64,
    n_heads: i64,
    hidden_dim: i64,
    activation: String,
    max_position_embeddings: i64,
    pad_token_id: Option<i64>,
    initializer_range: f64,
    dropout: f64,
    seq_classif_dropout: f64,
    tie_word_embeddings: bool,
}

impl Default for DistilBertConfig {
    fn default() -> DistilBertConfig {
        DistilBertConfig {
            vocab_size: 30522,
            dim: 768,
            n_layers: 6,
            n_heads: 12,
            hidden_dim: 3072,
            activation: "gelu".into(),
            max_position_embeddings: 512,
            pad_token_id: Some(0),
            initializer_range: 0.02,
            dropout: 0.1,
            seq_classif_dropout: 0.2,
            tie_word_embeddings: true,
        }
    }
}

fn read(json: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let config: DistilBertConfig = json.whole()?;
    let config = Config {
        vocab_size: config.vocab_size,
        embedding_size: config.dim,
        hidden_size: config.dim,
        layers: config.n_layers,
        heads: config.n_heads,
        intermediate_size: config.hidden_dim,
        activation: config.activation,
        position_embedding_type: "absolute".into(),
        is_decoder: false,
        position_rows: config.max_position_embeddings,
        positions_from: None,
        max_positions: config.max_position_embeddings,
        token_types: 0,
        layer_norm_eps: LAYER_NORM_EPS,
        pad_token_id: config.pad_token_id,
        initializer_range: config.initializer_range,
        dropout: config.dropout,
        attention_dropout: 0.0,
        // What attention gives is not dropped, unlike in BERT.
        mixed_dropout: None,
        features_dropout: None,
        classifier_dropout: config.seq_classif_dropout,
        token_dropout: config.dropout,
        tie_word_embeddings: config.tie_word_embeddings,
        relative: None,
    };
    encoder::checked(&DIALECT, config, json)
}
