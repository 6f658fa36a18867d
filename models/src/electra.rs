//! ELECTRA (Clark et al. 2020): BERT with embeddings that may be narrower than its layers, and a
//! head with GELU; names as in `ElectraForSequenceClassification`. The discriminator and the
//! generator are one form, and only the generator's head for the vocabulary is any use.

use crate::architecture::{Architecture, Family};
use crate::bert::{self, BertConfig};
use crate::classifier::{Bend, ClassifierNames};
use crate::config_json::{ClassNames, ConfigJson};
use crate::encoder::{self, Config, Dialect, VocabularyNames};
use crate::error::ModelError;
use crate::layers::Activation;
use crate::roberta;
use serde::Deserialize;
use serde_json::json;

pub(crate) const FAMILY: Family = Family {
    timm: &[],
    transformers: &[(
        "electra",
        ClassNames {
            body: "ElectraModel",
            classes: "ElectraForSequenceClassification",
            per_token: Some("ElectraForTokenClassification"),
            vocabulary: Some("ElectraForMaskedLM"),
        },
    )],
    read,
};

const DIALECT: Dialect = Dialect {
    prefix: "electra",
    body: &["embeddings", "embeddings_project", "encoder"],
    layers: bert::LAYERS,
    block: bert::BLOCK,
    classifier: ClassifierNames { bend: Bend::Activation(Activation::Gelu), ..roberta::CLASSIFIER },
    vocabulary: VocabularyNames {
        dense: "generator_predictions.dense",
        activation: Some("gelu"),
        norm: "generator_predictions.LayerNorm",
        weight: Some("generator_lm_head.weight"),
        bias: "generator_lm_head.bias",
        bias_again: None,
    },
    layers_key: bert::LAYERS_KEY,
    pooling: None,
};

#[derive(Deserialize)]
struct ElectraConfig {
    embedding_size: i64,
}

fn read(json: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    // Those of `ElectraConfig`, where they are not BERT's.
    let defaults = json!({
        "embedding_size": 128, "hidden_size": 256, "num_attention_heads": 4,
        "intermediate_size": 1024,
    });
    let own: ElectraConfig = json.whole_or(&defaults)?;
    let config = json.whole_or::<BertConfig>(&defaults)?.usable();
    let config = Config {
        embedding_size: own.embedding_size,
        features_dropout: Some(config.classifier_dropout),
        ..config
    };
    encoder::checked(&DIALECT, config, json)
}
