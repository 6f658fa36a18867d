//! RoBERTa (Liu et al. 2019): BERT's layers under another prefix, positions counted from the
//! padding token's number, and a head of its own; names as in `RobertaForSequenceClassification`.

use crate::bert::{self, BertConfig};
use crate::config::Config;
use crate::encoder::{Embed, Encoder, Head};
use crate::error::ModelError;
use crate::layers::{Block, Dropout, Embedding, LayerNorm, Linear, Texts};
use crate::load::{Catalogue, LoadReport, Loader, Names, Part};
use crate::zoo::{BuildOptions, Family, Pass};
use serde::Deserialize;
use serde_json::Value;
use tch::{Kind, TchError, Tensor};

pub(crate) const FAMILY: Family = Family {
    model_type: "roberta",
    class: "RobertaForSequenceClassification",
    prefix: "roberta",
    body: &["embeddings", "encoder", "pooler"],
    read,
    build,
};

/// `RobertaConfig`'s default.
const PAD_TOKEN_ID: i64 = 1;

fn read(json: &Value) -> Result<Config, serde_json::Error> {
    let mut config = BertConfig::deserialize(json)?;
    if json.get("pad_token_id").is_none_or(Value::is_null) {
        config.pad_token_id = Some(PAD_TOKEN_ID);
    }
    let max_positions = config.max_position_embeddings - padding(config.pad_token_id) - 1;
    Ok(config.usable(max_positions))
}

fn padding(pad_token_id: Option<i64>) -> i64 {
    pad_token_id.unwrap_or(PAD_TOKEN_ID)
}

fn build(
    c: &Config,
    catalogue: Catalogue,
    options: &BuildOptions,
) -> Result<(Encoder, LoadReport), ModelError> {
    let loader = Loader::new(catalogue, FAMILY.prefix, c.initializer_range, options);
    let embeddings = Embeddings::new(loader.part(Part::Embeddings) / "roberta" / "embeddings", c)?;
    let layers = (0..c.layers as usize)
        .map(|depth| {
            bert::block(
                loader.part(Part::Layer(depth)) / "roberta" / "encoder" / "layer" / depth,
                depth,
                c,
            )
        })
        .collect::<Result<Vec<Block>, ModelError>>()?;
    let head = ClassificationHead::new(loader.part(Part::Head) / "classifier", options.classes, c)?;
    let loaded = loader.finish()?;
    Ok((
        Encoder::new(Box::new(embeddings), layers, Box::new(head), loaded.tensors, loaded.parts),
        loaded.report,
    ))
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
    fn positions(&self, ids: &Tensor, texts: &Texts) -> Result<Tensor, TchError> {
        let counts = ids.f_ne(self.padding_idx)?.f_to_kind(Kind::Int64)?;
        texts.cumulative(&counts)?.f_mul(&counts)?.f_add_scalar(self.padding_idx)
    }
}

impl Embed for Embeddings {
    fn forward(&self, ids: &Tensor, texts: &Texts, pass: &Pass) -> Result<Tensor, TchError> {
        let place = self
            .positions
            .forward(&self.positions(ids, texts)?)?
            .f_add(&self.token_types.row_zero()?)?;
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
            dense: Linear::new(&p / "dense", c.hidden_size, c.hidden_size)?,
            dropout: Dropout::of_head(c.classifier_dropout, 1),
            out_proj: Linear::new(&p / "out_proj", c.hidden_size, classes)?,
        })
    }
}

impl Head for ClassificationHead {
    fn forward(&self, features: &Tensor, pass: &Pass) -> Result<Tensor, TchError> {
        let xs = self.features_dropout.forward(features.shallow_clone(), pass)?;
        let xs = self.dense.forward(&xs)?.f_tanh()?;
        self.out_proj.forward(&self.dropout.forward(xs, pass)?)
    }
}
