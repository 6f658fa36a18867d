//! BERT (Devlin et al. 2018) and what is shaped like it, MiniLM above all; names as in
//! `BertForSequenceClassification`.

use crate::architecture::{Architecture, Family};
use crate::config_json::{ClassNames, ConfigJson};
use crate::encoder::{self, Config, Dialect, VocabularyNames};
use crate::error::ModelError;
use crate::layers::{self, Activation, Attention, Block, Dropout, Embedding, LayerNorm, Linear};
use crate::layout::Layout;
use crate::load::Names;
use crate::model::Pass;
use crate::stages::Stage;
use serde::Deserialize;
use tch::{TchError, Tensor};

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

const DIALECT: Dialect = Dialect {
    prefix: "bert",
    body: &["embeddings", "encoder", "pooler"],
    layers: "encoder.layer",
    embeddings: |p, c| Ok(Box::new(Embeddings::new(p, c)?)),
    block,
    classifier: |p, classes, c| Ok(Box::new(Pooled::new(p, classes, c)?)),
    vocabulary: VocabularyNames {
        dense: "cls.predictions.transform.dense",
        norm: "cls.predictions.transform.LayerNorm",
        weight: "cls.predictions.decoder.weight",
        bias: "cls.predictions.bias",
        bias_again: Some("cls.predictions.decoder.bias"),
    },
    bend: |xs, _| layers::scaled_tanh(xs),
    layers_key: "num_hidden_layers",
};

/// `BertConfig` with its defaults; RoBERTa has the same keys.
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
    pub max_position_embeddings: i64,
    type_vocab_size: i64,
    layer_norm_eps: f64,
    pub pad_token_id: Option<i64>,
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
    /// `max_positions`: how many of the table's rows a text can use.
    pub(crate) fn usable(self, max_positions: i64) -> Config {
        let classifier_dropout = self.classifier_dropout.unwrap_or(self.hidden_dropout_prob);
        Config {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            activation: self.hidden_act,
            position_embedding_type: self.position_embedding_type,
            is_decoder: self.is_decoder,
            position_rows: self.max_position_embeddings,
            max_positions,
            type_vocab_size: self.type_vocab_size,
            layer_norm_eps: self.layer_norm_eps,
            pad_token_id: self.pad_token_id,
            initializer_range: self.initializer_range,
            dropout: self.hidden_dropout_prob,
            attention_dropout: 0.0,
            classifier_dropout,
            token_dropout: classifier_dropout,
            tie_word_embeddings: self.tie_word_embeddings,
        }
    }
}

fn read(json: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let config: BertConfig = json.whole()?;
    let max_positions = config.max_position_embeddings;
    encoder::checked(&DIALECT, config.usable(max_positions), json)
}

struct Embeddings {
    words: Embedding,
    positions: Embedding,
    token_types: Embedding,
    norm: LayerNorm,
    dropout: Dropout,
}

impl Embeddings {
    fn new(p: Names, c: &Config) -> Result<Embeddings, ModelError> {
        Ok(Embeddings {
            words: Embedding::new(
                &p / "word_embeddings",
                c.vocab_size,
                c.hidden_size,
                c.pad_token_id,
            )?,
            positions: Embedding::new(
                &p / "position_embeddings",
                c.position_rows,
                c.hidden_size,
                None,
            )?,
            token_types: Embedding::new(
                &p / "token_type_embeddings",
                c.type_vocab_size,
                c.hidden_size,
                None,
            )?,
            norm: LayerNorm::new(&p / "LayerNorm", c.hidden_size, c.layer_norm_eps)?,
            dropout: Dropout::of_embeddings(c.dropout),
        })
    }
}

impl Stage for Embeddings {
    fn forward(&self, ids: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        let types = self.token_types.of_token_types(layout)?;
        let place = self.positions.forward(layout.places())?.f_add(&types)?;
        self.dropout.forward(self.norm.forward(&self.words.forward(ids)?.f_add(&place)?)?, pass)
    }
}

/// `BertLayer`, and `RobertaLayer` too: the names are the same.
pub(crate) fn block(p: Names, depth: usize, c: &Config) -> Result<Block, ModelError> {
    let (width, attention, this) = (c.hidden_size, &p / "attention", &p / "attention" / "self");
    Ok(Block {
        attention: Attention {
            query: Linear::new(&this / "query", width, width)?,
            key: Linear::new(&this / "key", width, width)?,
            value: Linear::new(&this / "value", width, width)?,
            output: Linear::new(&attention / "output" / "dense", width, width)?,
            heads: c.heads,
            dropout: Dropout::of_layer(c.attention_dropout, depth, 0),
        },
        attention_dropout: Dropout::of_layer(c.dropout, depth, 1),
        attention_norm: LayerNorm::new(
            &attention / "output" / "LayerNorm",
            width,
            c.layer_norm_eps,
        )?,
        up: Linear::new(&p / "intermediate" / "dense", width, c.intermediate_size)?,
        activation: Activation::named(&c.activation).unwrap_or(Activation::Gelu),
        down: Linear::new(&p / "output" / "dense", c.intermediate_size, width)?,
        down_dropout: Dropout::of_layer(c.dropout, depth, 2),
        down_norm: LayerNorm::new(&p / "output" / "LayerNorm", width, c.layer_norm_eps)?,
    })
}

/// The pooler that BERT was pretrained with, and a linear classifier.
struct Pooled {
    pooler: Linear,
    dropout: Dropout,
    classifier: Linear,
}

impl Pooled {
    fn new(p: Names, classes: i64, c: &Config) -> Result<Pooled, ModelError> {
        Ok(Pooled {
            pooler: Linear::new(&p / "bert" / "pooler" / "dense", c.hidden_size, c.hidden_size)?,
            dropout: Dropout::of_head(c.classifier_dropout, 0),
            classifier: Linear::of_outputs(&p / "classifier", c.hidden_size, classes)?,
        })
    }
}

impl Stage for Pooled {
    fn forward(&self, features: &Tensor, _: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        let pooled = self.pooler.forward(features)?.f_tanh()?;
        self.classifier.forward(&self.dropout.forward(pooled, pass)?)
    }

    fn set_bent(&self, weight: &Tensor, bias: &Tensor) -> Result<(), TchError> {
        layers::set_scaled_tanh(&self.pooler, &self.classifier, weight, bias)
    }
}
