//! What tokens there are where they are what is learnt, and which base models can learn them: an
//! encoder sees a whole text and guesses what is hidden in it, a decoder what follows.

use super::Vocabulary;
use anyhow::Result;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::task::Objective;
use finetuned_models::Checkpoint;
use tokenizers::Tokenizer;

/// What tokenizers call the token that stands for a hidden one.
const MASKS: [&str; 2] = ["[MASK]", "<mask>"];

/// # Errors
/// A base model that reads texts the other way.
pub(super) fn check(base: &Checkpoint, objective: Option<Objective>) -> Result<(), Failure> {
    let (message, cure) = match (objective, base.is_decoder()) {
        (Some(Objective::NextTokens), false) => (
            "sees a text as a whole, so it can't learn what follows",
            "set model.base to a decoder, such as HuggingFaceTB/SmolLM2-135M, or task to `masked-language-modeling`",
        ),
        (Some(Objective::MaskedTokens), true) => (
            "reads texts from left to right, and can't guess what is masked",
            "set model.base to an encoder, such as distilbert/distilbert-base-uncased, or task to `causal-language-modeling`",
        ),
        _ => return Ok(()),
    };
    Err(Failure::new(FailureKind::Recipe, format!("{} {message}", base.architecture()))
        .with_cure(cure))
}

/// # Errors
/// A tokenizer that is not the model's, or without a mask where tokens are to be hidden.
pub(super) fn of(tokenizer: &Tokenizer, model: &Checkpoint) -> Result<Vocabulary> {
    let folder = model.folder().display();
    let found = of_tokenizer(tokenizer);
    if found.mask.is_none() && !model.is_decoder() {
        let message = format!("the base's tokenizer has no mask ({})", MASKS.join(" or "));
        return Err(Failure::new(FailureKind::Model, message)
            .with_cure("choose a base that was trained by masked language modelling, such as distilbert/distilbert-base-uncased")
            .into());
    }
    let embeddings = model.config_json().get("vocab_size").and_then(serde_json::Value::as_u64);
    if let Some(embeddings) = embeddings.filter(|it| *it < found.size.into()) {
        let message = format!(
            "{folder} has a tokenizer of {} tokens and embeddings of {embeddings}",
            found.size
        );
        return Err(Failure::new(FailureKind::Model, message)
            .with_cure("fetch tokenizer and weights of the same model")
            .into());
    }
    Ok(found)
}

pub(super) fn of_tokenizer(tokenizer: &Tokenizer) -> Vocabulary {
    let added = tokenizer.get_added_tokens_decoder().into_iter();
    Vocabulary {
        size: tokenizer.get_vocab_size(true) as u32,
        mask: MASKS.iter().find_map(|it| tokenizer.token_to_id(it)),
        special: added.filter(|it| it.1.special).map(|it| it.0).collect(),
    }
}
