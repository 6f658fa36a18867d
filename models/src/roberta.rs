//! RoBERTa (Liu et al. 2019): BERT's layers under another prefix, positions counted from the
//! padding token's number, and a head of its own; names as in `RobertaForSequenceClassification`.

use crate::architecture::{Architecture, Family};
use crate::bert::{self, BertConfig};
use crate::config_json::{ClassNames, ConfigJson};
use crate::encoder::{self, Config, Dialect, VocabularyNames};
use crate::error::ModelError;
use crate::layers::{self, Dropout, Embedding, LayerNorm, Linear};
use crate::layout::Layout;
use crate::load::Names;
use crate::model::Pass;
use crate::stages::Stage;
use serde_json::Value;
use tch::{Kind, TchError, Tensor};

pub(crate) const FAMILY: Family = Family {
    timm: &[],
    transformers: &[(
        "roberta",
        ClassNames {
            body: "RobertaModel",
            classes: "RobertaForSequenceClassification",
            per_token: Some("RobertaForTokenClassification"),
            vocabulary: Some("RobertaForMaskedLM"),
        },
    )],
    read,
};

const DIALECT: Dialect = Dialect {
    prefix: "roberta",
    body: &["embeddings", "encoder", "pooler"],
    layers: "encoder.layer",
    embeddings: |p, c| Ok(Box::new(Embeddings::new(p, c)?)),
    block: bert::block,
    classifier: |p, classes, c| Ok(Box::new(ClassificationHead::new(p, classes, c)?)),
    vocabulary: VocabularyNames {
        dense: "lm_head.dense",
        norm: "lm_head.layer_norm",
        weight: "lm_head.decoder.weight",
        bias: "lm_head.bias",
        bias_again: Some("lm_head.decoder.bias"),
    },
    bend: |xs, _| layers::scaled_tanh(xs),
    layers_key: "num_hidden_layers",
};

/// `RobertaConfig`'s default.
const PAD_TOKEN_ID: i64 = 1;

fn read(json: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let mut config: BertConfig = json.whole()?;
    if json.json().get("pad_token_id").is_none_or(Value::is_null) {
        config.pad_token_id = Some(PAD_TOKEN_ID);
    }
    let max_positions = config.max_position_embeddings - padding(config.pad_token_id) - 1;
    encoder::checked(&DIALECT, config.usable(max_positions), json)
}

fn padding(pad_token_id: Option<i64>) -> i64 {
    pad_token_id.unwrap_or(PAD_TOKEN_ID)
}

struct Embeddings {
    words: Embedding,
    positions: Embedding,
    token_types: Embedding,
    norm: LayerNorm,
    dropout: Dropout,
    padding_idx: i64,
}

impl Embeddings {
    fn new(p: Names, c: &Config) -> Result<Embeddings, ModelError> {
        let padding_idx = padding(c.pad_token_id);
        Ok(Embeddings {
            words: Embedding::new(
                &p / "word_embeddings",
                c.vocab_size,
                c.hidden_size,
                Some(padding_idx),
            )?,
            positions: Embedding::new(
                &p / "position_embeddings",
                c.position_rows,
                c.hidden_size,
                Some(padding_idx),
            )?,
            token_types: Embedding::new(
                &p / "token_type_embeddings",
                c.type_vocab_size,
                c.hidden_size,
                None,
            )?,
            norm: LayerNorm::new(&p / "LayerNorm", c.hidden_size, c.layer_norm_eps)?,
            dropout: Dropout::of_embeddings(c.dropout),
            padding_idx,
        })
    }

    /// (tokens): the first token that is no padding stands at `padding_idx + 1`; a text may name
    /// the padding token, which stands at `padding_idx` (fairseq's `make_positions`).
    fn positions(&self, ids: &Tensor, layout: &Layout) -> Result<Tensor, TchError> {
        let counts = ids.f_ne(self.padding_idx)?.f_to_kind(Kind::Int64)?;
        layout.cumulative(&counts)?.f_mul(&counts)?.f_add_scalar(self.padding_idx)
    }
}

impl Stage for Embeddings {
    fn forward(&self, ids: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        let types = self.token_types.of_token_types(layout)?;
        let place = self.positions.forward(&self.positions(ids, layout)?)?.f_add(&types)?;
        self.dropout.forward(self.norm.forward(&self.words.forward(ids)?.f_add(&place)?)?, pass)
    }
}

struct ClassificationHead {
    features_dropout: Dropout,
    dense: Linear,
    dropout: Dropout,
    out_proj: Linear,
}

impl ClassificationHead {
    fn new(p: Names, classes: i64, c: &Config) -> Result<ClassificationHead, ModelError> {
        Ok(ClassificationHead {
            features_dropout: Dropout::of_head(c.classifier_dropout, 0),
            dense: Linear::new(&p / "classifier" / "dense", c.hidden_size, c.hidden_size)?,
            dropout: Dropout::of_head(c.classifier_dropout, 1),
            out_proj: Linear::of_outputs(&p / "classifier" / "out_proj", c.hidden_size, classes)?,
        })
    }
}

impl Stage for ClassificationHead {
    fn forward(&self, features: &Tensor, _: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        let xs = self.features_dropout.forward(features.shallow_clone(), pass)?;
        let xs = self.dense.forward(&xs)?.f_tanh()?;
        self.out_proj.forward(&self.dropout.forward(xs, pass)?)
    }

    fn set_bent(&self, weight: &Tensor, bias: &Tensor) -> Result<(), TchError> {
        layers::set_scaled_tanh(&self.dense, &self.out_proj, weight, bias)
    }
}
