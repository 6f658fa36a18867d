//! RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2020): BERT's layers under another
//! prefix, positions counted from the padding token's number, and a head of their own; names as in
//! `RobertaForSequenceClassification`.

use crate::architecture::{Architecture, Family};
use crate::bert::{self, BertConfig};
use crate::classifier::{Bend, ClassifierNames};
use crate::config_json::{ClassNames, ConfigJson};
use crate::encoder::{self, Config, Dialect, VocabularyNames};
use crate::error::ModelError;
use serde_json::json;

pub(crate) const FAMILY: Family = Family {
    timm: &[],
    transformers: &[
        (
            "roberta",
            ClassNames {
                body: "RobertaModel",
                classes: "RobertaForSequenceClassification",
                per_token: Some("RobertaForTokenClassification"),
                vocabulary: Some("RobertaForMaskedLM"),
            },
        ),
        (
            "xlm-roberta",
            ClassNames {
                body: "XLMRobertaModel",
                classes: "XLMRobertaForSequenceClassification",
                per_token: Some("XLMRobertaForTokenClassification"),
                vocabulary: Some("XLMRobertaForMaskedLM"),
            },
        ),
    ],
    read,
};

const DIALECT: Dialect = Dialect {
    prefix: "roberta",
    body: bert::BODY,
    layers: bert::LAYERS,
    block: bert::BLOCK,
    classifier: CLASSIFIER,
    vocabulary: VOCABULARY,
    layers_key: bert::LAYERS_KEY,
    pooling: None,
};

pub(crate) const CLASSIFIER: ClassifierNames =
    ClassifierNames { dense: "classifier.dense", output: "classifier.out_proj", bend: Bend::Tanh };

pub(crate) const VOCABULARY: VocabularyNames = VocabularyNames {
    dense: "lm_head.dense",
    activation: Some("gelu"),
    norm: "lm_head.layer_norm",
    weight: Some("lm_head.decoder.weight"),
    bias: "lm_head.bias",
    bias_again: Some("lm_head.decoder.bias"),
};

fn read(json: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let config: BertConfig = json.whole_or(&json!({ "pad_token_id": 1 }))?;
    encoder::checked(&DIALECT, counted(config.usable(), 1), json)
}

/// With the first token at the place behind the padding token's number, and dropout before the
/// head for a text too.
pub(crate) fn counted(config: Config, padding: i64) -> Config {
    let padding = config.pad_token_id.unwrap_or(padding);
    Config {
        max_positions: config.position_rows - padding - 1,
        positions_from: Some(padding),
        features_dropout: Some(config.classifier_dropout),
        ..config
    }
}
