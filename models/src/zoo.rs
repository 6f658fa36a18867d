//! The table of architectures.

use crate::architecture::Family;
use crate::{
    bert, convnext, deberta, dinov2, distilbert, efficientnet, electra, gpt2, llama, mobilenetv3,
    modernbert, mpnet, resnet, roberta, vit,
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
    gpt2::FAMILY,
    resnet::FAMILY,
    efficientnet::FAMILY,
    mobilenetv3::FAMILY,
    convnext::FAMILY,
    vit::FAMILY,
    dinov2::FAMILY,
];
