//! DistilBERT (Sanh et al. 2019): BERT without token types and pooler, under names of its own; as
//! in `DistilBertForSequenceClassification`.

use crate::architecture::{Architecture, Family};
use crate::config_json::{ClassNames, ConfigJson};
use crate::encoder::{self, Config, Dialect, VocabularyNames};
use crate::error::ModelError;
use crate::layers::{Activation, Attention, Block, Dropout, Embedding, LayerNorm, Linear};
use crate::layout::Layout;
use crate::load::Names;
use crate::model::Pass;
use crate::stages::Stage;
use serde::Deserialize;
use tch::{TchError, Tensor};

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
    embeddings: |p, c| Ok(Box::new(Embeddings::new(p, c)?)),
    block,
    classifier: |p, classes, c| Ok(Box::new(Classifier::new(p, classes, c)?)),
    vocabulary: VocabularyNames {
        dense: "vocab_transform",
        norm: "vocab_layer_norm",
        weight: "vocab_projector.weight",
        bias: "vocab_projector.bias",
        bias_again: None,
    },
    bend,
    layers_key: "n_layers",
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
        hidden_size: config.dim,
        layers: config.n_layers,
        heads: config.n_heads,
        intermediate_size: config.hidden_dim,
        activation: config.activation,
        position_embedding_type: "absolute".into(),
        is_decoder: false,
        position_rows: config.max_position_embeddings,
        max_positions: config.max_position_embeddings,
        type_vocab_size: 1,
        layer_norm_eps: LAYER_NORM_EPS,
        pad_token_id: config.pad_token_id,
        initializer_range: config.initializer_range,
        dropout: config.dropout,
        attention_dropout: 0.0,
        classifier_dropout: config.seq_classif_dropout,
        token_dropout: config.dropout,
        tie_word_embeddings: config.tie_word_embeddings,
    };
    encoder::checked(&DIALECT, config, json)
}

struct Embeddings {
    words: Embedding,
    positions: Embedding,
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
            norm: LayerNorm::new(&p / "LayerNorm", c.hidden_size, c.layer_norm_eps)?,
            dropout: Dropout::of_embeddings(c.dropout),
        })
    }
}

impl Stage for Embeddings {
    fn forward(&self, ids: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        let xs = self.words.forward(ids)?.f_add(&self.positions.forward(layout.places())?)?;
        self.dropout.forward(self.norm.forward(&xs)?, pass)
    }
}

/// `TransformerBlock`.
fn block(p: Names, depth: usize, c: &Config) -> Result<Block, ModelError> {
    let (width, attention) = (c.hidden_size, &p / "attention");
    Ok(Block {
        attention: Attention {
            query: Linear::new(&attention / "q_lin", width, width)?,
            key: Linear::new(&attention / "k_lin", width, width)?,
            value: Linear::new(&attention / "v_lin", width, width)?,
            output: Linear::new(&attention / "out_lin", width, width)?,
            heads: c.heads,
            dropout: Dropout::of_layer(c.attention_dropout, depth, 0),
        },
        // What attention gives is not dropped here, unlike in BERT.
        attention_dropout: Dropout::of_layer(0.0, depth, 1),
        attention_norm: LayerNorm::new(&p / "sa_layer_norm", width, c.layer_norm_eps)?,
        up: Linear::new(&p / "ffn" / "lin1", width, c.intermediate_size)?,
        activation: Activation::named(&c.activation).unwrap_or(Activation::Gelu),
        down: Linear::new(&p / "ffn" / "lin2", c.intermediate_size, width)?,
        down_dropout: Dropout::of_layer(c.dropout, depth, 2),
        down_norm: LayerNorm::new(&p / "output_layer_norm", width, c.layer_norm_eps)?,
    })
}

/// Features are above -FLOOR: those of normed tokens as good as always.
const FLOOR: f64 = 16.0;

/// What the head's ReLU leaves of features that were raised by FLOOR, which they are where there
/// are too many classes for a better way: see [`Classifier::set_bent`].
fn bend(xs: &Tensor, classes: i64) -> Result<Tensor, TchError> {
    if 2 * classes <= xs.size2()?.1 { Ok(xs.shallow_clone()) } else { xs.f_clamp_min(-FLOOR) }
}

struct Classifier {
    pre_classifier: Linear,
    dropout: Dropout,
    classifier: Linear,
}

impl Classifier {
    fn new(p: Names, classes: i64, c: &Config) -> Result<Classifier, ModelError> {
        Ok(Classifier {
            pre_classifier: Linear::new(&p / "pre_classifier", c.hidden_size, c.hidden_size)?,
            dropout: Dropout::of_head(c.classifier_dropout, 0),
            classifier: Linear::of_outputs(&p / "classifier", c.hidden_size, classes)?,
        })
    }
}

impl Stage for Classifier {
    fn forward(&self, features: &Tensor, _: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        let xs = self.pre_classifier.forward(features)?.f_relu()?;
        self.classifier.forward(&self.dropout.forward(xs, pass)?)
    }

    /// y = relu(y) - relu(-y), so that a bend between two linear maps need not bend anything.
    fn set_linear(&self, weight: &Tensor, bias: &Tensor) -> Result<bool, TchError> {
        let (classes, width) = weight.size2()?;
        let spare = width - 2 * classes;
        if spare < 0 {
            return Ok(false);
        }
        let both = |it: &Tensor| -> Result<Tensor, TchError> {
            let nothing =
                it.f_new_zeros([&[spare], &it.size()[1..]].concat(), (it.kind(), it.device()))?;
            Tensor::f_cat(&[it.shallow_clone(), it.f_neg()?, nothing], 0)
        };
        let one = Tensor::f_eye(classes, (weight.kind(), weight.device()))?;
        let nothing = weight.f_new_zeros([classes, spare], (weight.kind(), weight.device()))?;
        let difference = Tensor::f_cat(&[one.shallow_clone(), one.f_neg()?, nothing], 1)?;
        self.pre_classifier.set(&both(weight)?, &both(bias)?)?;
        self.classifier.set(&difference, &bias.f_zeros_like()?)?;
        Ok(true)
    }

    /// Outputs and their opposites, where there is room for both; else the features, raised so far
    /// that ReLU does not bend them, which costs the last digits.
    fn set_bent(&self, weight: &Tensor, bias: &Tensor) -> Result<(), TchError> {
        if self.set_linear(weight, bias)? {
            return Ok(());
        }
        self.pre_classifier.set_identity(1.0, FLOOR)?;
        let raised = weight.f_sum_dim_intlist(1, false, None)?.f_mul_scalar(FLOOR)?;
        self.classifier.set(weight, &bias.f_sub(&raised)?)
    }
}
