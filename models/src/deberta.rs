//! DeBERTa v2 and v3 (He et al. 2021): BERT whose attention sees what tokens are and how far they
//! stand from one another, each by itself; names as in `DebertaV2ForSequenceClassification`. Not
//! built: a convolution beside the first layer (v2's large models), maps of their own for
//! distances, attention without distances.

use crate::architecture::{Architecture, Family};
use crate::bert::{self, BertConfig};
use crate::classifier::{Bend, ClassifierNames};
use crate::config_json::{ClassNames, ConfigJson};
use crate::encoder::{self, BlockNames, Config, Dialect, VocabularyNames};
use crate::error::ModelError;
use crate::layers::Activation;
use crate::relative::RelativeConfig;
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) const FAMILY: Family = Family {
    timm: &[],
    transformers: &[(
        "deberta-v2",
        ClassNames {
            body: "DebertaV2Model",
            classes: "DebertaV2ForSequenceClassification",
            per_token: Some("DebertaV2ForTokenClassification"),
            vocabulary: Some("DebertaV2ForMaskedLM"),
        },
    )],
    read,
};

/// With the head for the vocabulary that transformers has where a config does not say `legacy`.
const LEGACY: Dialect = Dialect {
    prefix: "deberta",
    body: &["embeddings", "encoder"],
    layers: bert::LAYERS,
    block: BlockNames {
        query: "attention.self.query_proj",
        key: "attention.self.key_proj",
        value: "attention.self.value_proj",
        ..bert::BLOCK
    },
    classifier: ClassifierNames {
        dense: "pooler.dense",
        output: "classifier",
        bend: Bend::Activation(Activation::Gelu),
    },
    vocabulary: bert::VOCABULARY,
    layers_key: bert::LAYERS_KEY,
    pooling: None,
};

/// With the head for the vocabulary that the models were pretrained with.
const DIALECT: Dialect = Dialect {
    vocabulary: VocabularyNames {
        dense: "lm_predictions.lm_head.dense",
        norm: "lm_predictions.lm_head.LayerNorm",
        weight: None,
        bias: "lm_predictions.lm_head.bias",
        bias_again: None,
        ..bert::VOCABULARY
    },
    ..LEGACY
};

/// What `DebertaV2Config` has beside BERT's keys.
#[derive(Deserialize)]
#[serde(default)]
struct DebertaConfig {
    relative_attention: bool,
    share_att_key: bool,
    pos_att_type: Value,
    position_buckets: i64,
    max_relative_positions: i64,
    norm_rel_ebd: String,
    position_biased_input: bool,
    conv_kernel_size: i64,
    embedding_size: Option<i64>,
    attention_head_size: Option<i64>,
    pooler_hidden_size: Option<i64>,
    pooler_hidden_act: String,
    pooler_dropout: f64,
    cls_dropout: Option<f64>,
    legacy: bool,
}

impl Default for DebertaConfig {
    fn default() -> DebertaConfig {
        DebertaConfig {
            relative_attention: false,
            share_att_key: false,
            pos_att_type: Value::Null,
            position_buckets: -1,
            max_relative_positions: -1,
            norm_rel_ebd: "none".into(),
            position_biased_input: true,
            conv_kernel_size: 0,
            embedding_size: None,
            attention_head_size: None,
            pooler_hidden_size: None,
            pooler_hidden_act: "gelu".into(),
            pooler_dropout: 0.0,
            cls_dropout: None,
            legacy: true,
        }
    }
}

fn read(json: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    // Those of `DebertaV2Config`, where they are not BERT's.
    let defaults = json!({
        "vocab_size": 128_100, "hidden_size": 1536, "num_hidden_layers": 24,
        "num_attention_heads": 24, "intermediate_size": 6144, "type_vocab_size": 0,
        "layer_norm_eps": 1e-7,
    });
    let own: DebertaConfig = json.whole()?;
    let config = json.whole_or::<BertConfig>(&defaults)?.usable();
    built(json, &own, &config)?;
    let (dropout, positions) = (config.dropout, config.max_positions);
    let config = Config {
        position_rows: if own.position_biased_input { positions } else { 0 },
        features_dropout: Some(own.pooler_dropout).filter(|it| 0.0 < *it),
        classifier_dropout: own.cls_dropout.unwrap_or(dropout),
        token_dropout: dropout,
        relative: Some(relative(json, &own, positions)?),
        ..config
    };
    encoder::checked(if own.legacy { &LEGACY } else { &DIALECT }, config, json)
}

/// # Errors
/// What transformers has and this does not, named with its key.
fn built(json: &ConfigJson, own: &DebertaConfig, c: &Config) -> Result<(), ModelError> {
    if 0 < own.conv_kernel_size {
        let wanted = "0 or absent: no convolution is built, as the large models of v2 have it";
        return Err(json.wrong("conv_kernel_size", own.conv_kernel_size, wanted));
    }
    for (key, found) in
        [("relative_attention", own.relative_attention), ("share_att_key", own.share_att_key)]
    {
        if !found {
            return Err(json.wrong(key, found, "true, the only one that is built"));
        }
    }
    let head = c.hidden_size / c.heads.max(1);
    for (key, found, wanted) in [
        ("embedding_size", own.embedding_size, c.hidden_size),
        ("pooler_hidden_size", own.pooler_hidden_size, c.hidden_size),
        ("attention_head_size", own.attention_head_size, head),
    ] {
        if let Some(other) = found.filter(|it| *it != wanted) {
            return Err(json.wrong(key, other, format!("{wanted}, the only one that is built")));
        }
    }
    if own.pooler_hidden_act != "gelu" {
        let wanted = "gelu, the only one that is built";
        return Err(json.wrong("pooler_hidden_act", &own.pooler_hidden_act, wanted));
    }
    Ok(())
}

fn relative(
    json: &ConfigJson,
    own: &DebertaConfig,
    positions: i64,
) -> Result<RelativeConfig, ModelError> {
    /// Of distances; more than any known model has.
    const MOST: i64 = 1 << 20;
    let kinds: Vec<&str> = match &own.pos_att_type {
        Value::String(all) => all.split('|').map(str::trim).collect(),
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if let Some(other) = kinds.iter().find(|it| !["c2p", "p2c"].contains(it)) {
        return Err(json.wrong("pos_att_type", other, "c2p, p2c or both"));
    }
    let farthest =
        if own.max_relative_positions < 1 { positions } else { own.max_relative_positions };
    let bucketed = 0 < own.position_buckets;
    let span = if bucketed { own.position_buckets } else { farthest };
    if !(2..=MOST).contains(&span) {
        return Err(json.wrong("position_buckets", span, format!("between 2 and {MOST}")));
    }
    if bucketed && farthest <= span / 2 + 1 {
        let wanted = format!("above {}, half of position_buckets and one", span / 2 + 1);
        return Err(json.wrong("max_relative_positions", farthest, wanted));
    }
    let norms: Vec<String> =
        own.norm_rel_ebd.split('|').map(|it| it.trim().to_lowercase()).collect();
    Ok(RelativeConfig::Disentangled {
        span,
        farthest: bucketed.then_some(farthest),
        content_to_position: kinds.contains(&"c2p"),
        position_to_content: kinds.contains(&"p2c"),
        normed: norms.iter().any(|it| it == "layer_norm"),
    })
}
