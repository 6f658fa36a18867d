//! MPNet (Song et al. 2020): RoBERTa without token types, whose layers share a number for each head
//! and distance of tokens; names as in `MPNetForSequenceClassification`.

use crate::architecture::{Architecture, Family};
use crate::bert::{self, BertConfig};
use crate::config_json::{ClassNames, ConfigJson};
use crate::encoder::{self, BlockNames, Config, Dialect};
use crate::error::ModelError;
use crate::model::Pooling;
use crate::relative::{RelativeConfig, T5_BUCKETS};
use crate::roberta;
use serde::Deserialize;
use serde_json::json;

pub(crate) const FAMILY: Family = Family {
    timm: &[],
    transformers: &[(
        "mpnet",
        ClassNames {
            body: "MPNetModel",
            classes: "MPNetForSequenceClassification",
            per_token: Some("MPNetForTokenClassification"),
            vocabulary: Some("MPNetForMaskedLM"),
        },
    )],
    read,
};

const DIALECT: Dialect = Dialect {
    prefix: "mpnet",
    body: bert::BODY,
    layers: bert::LAYERS,
    block: BlockNames {
        query: "attention.attn.q",
        key: "attention.attn.k",
        value: "attention.attn.v",
        mixed: "attention.attn.o",
        mixed_norm: "attention.LayerNorm",
        ..bert::BLOCK
    },
    classifier: roberta::CLASSIFIER,
    vocabulary: roberta::VOCABULARY,
    layers_key: bert::LAYERS_KEY,
    // What all layers add to their scores keeps each from attending to all tokens alike.
    pooling: Some(Pooling::First),
};

/// The padding token's number, which is no matter of the config.
const PADDING: i64 = 1;

#[derive(Deserialize)]
struct MpnetConfig {
    relative_attention_num_buckets: i64,
    pad_token_id: i64,
}

fn read(json: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    // Those of `MPNetConfig`, where they are not BERT's.
    let defaults = json!({
        "vocab_size": 30527, "pad_token_id": PADDING, "relative_attention_num_buckets": T5_BUCKETS,
    });
    let own: MpnetConfig = json.whole_or(&defaults)?;
    for (key, found, built) in [
        ("relative_attention_num_buckets", own.relative_attention_num_buckets, T5_BUCKETS),
        ("pad_token_id", own.pad_token_id, PADDING),
    ] {
        if found != built {
            let wanted = format!("{built}, the only one that transformers computes with");
            return Err(json.wrong(key, found, wanted));
        }
    }
    let config = json.whole_or::<BertConfig>(&defaults)?.usable();
    // No other key than that of hidden states says how much a head drops.
    let dropout = config.dropout;
    let config = Config {
        token_types: 0,
        classifier_dropout: dropout,
        token_dropout: dropout,
        relative: Some(RelativeConfig::Bias),
        ..config
    };
    encoder::checked(&DIALECT, roberta::counted(config, PADDING), json)
}
