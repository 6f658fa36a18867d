//! The table of architectures.

use crate::architecture::Family;
use crate::{
    bert, convnext, deberta, dinov2, distilbert, efficientnet, electra, gemma3, gpt2, llama,
    mobilenetv3, modernbert, mpnet, resnet, roberta, vit,
};

/// Every architecture. A new one is a file, and its line here.
pub(crate) const ZOO: &[Family] = &[
    bert::FAMILY,
    roberta::FAMILY,
    distilbert::FAMILY,
    electra::FAMILY,
    modernbert::FAMILY,
    mpnet::FAMILY,
    deberta::FAMILY,
    llama::FAMILY,
    gemma3::FAMILY,
    gpt2::FAMILY,
    resnet::FAMILY,
    efficientnet::FAMILY,
    mobilenetv3::FAMILY,
    convnext::FAMILY,
    vit::FAMILY,
    dinov2::FAMILY,
];

/// Models of transformers that are none of the table, but hold one of it: `model_type`, and how it
/// is had.
pub(crate) const HOLDS_ONE: &[(&str, &str)] = &[(
    "gemma3",
    "gemma3_text: this model sees images too. Save what reads texts once with transformers: \
     from transformers import Gemma3ForConditionalGeneration as A, Gemma3ForCausalLM as B; m = A.from_pretrained(FOLDER); \
     t = B(m.config.text_config); t.model = m.model.language_model; t.tie_weights(); t.save_pretrained(NEW_FOLDER); \
     copy the tokenizer's files beside it. Or choose google/gemma-3-270m or google/gemma-3-1b-it, which read texts alone",
)];
