//! Texts whose tokens are what is learnt: what tokens there are, which base models can learn them
//! (an encoder sees a whole text and guesses what is hidden in it, a decoder what follows), and
//! what is known of each example. Which tokens of a text make one, the modalities say.

use super::text::TextSet;
use super::{Changes, Encoded, Loader, Piece, Vocabulary, tokenizer_file};
use anyhow::Result;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::task::Objective;
use finetuned_models::Checkpoint;
use std::ops::Range;
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
    let found = of_tokenizer(tokenizer);
    if found.mask.is_none() && !model.is_decoder() {
        let message = format!("the base's tokenizer has no mask ({})", MASKS.join(" or "));
        return Err(Failure::new(FailureKind::Model, message)
            .with_cure("choose a base that was trained by masked language modelling, such as distilbert/distilbert-base-uncased")
            .into());
    }
    tokenizer_file::check_size(tokenizer, model)?;
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

/// Examples as tokens, back to back, each a part of a text.
pub(super) struct LearntSet {
    pub tokens: TextSet,
    /// Of each example.
    pub pieces: Vec<Piece>,
    /// Of each example, as [`Encoded::bytes`] has them.
    pub bytes: Vec<u64>,
    /// Of each example, as [`Encoded::learnt`] has them; empty where that is all but the first.
    pub learnt: Vec<Vec<Range<u32>>>,
    /// Tokens of each text as one sequence.
    pub uncut_lengths: Vec<u32>,
    vocabulary: Vocabulary,
    evaluation_batch: usize,
}

impl LearntSet {
    /// `evaluation_batch`: examples in one forward pass without gradients.
    pub(super) fn new(vocabulary: Vocabulary, evaluation_batch: usize) -> LearntSet {
        LearntSet {
            tokens: TextSet::new(),
            pieces: Vec::new(),
            bytes: Vec::new(),
            learnt: Vec::new(),
            uncut_lengths: Vec::new(),
            vocabulary,
            evaluation_batch,
        }
    }
}

impl Encoded for LearntSet {
    fn len(&self) -> usize {
        self.tokens.len()
    }

    fn lengths(&self) -> Vec<u32> {
        self.tokens.lengths()
    }

    fn unit(&self) -> &'static str {
        self.tokens.unit()
    }

    fn uncut_lengths(&self) -> &[u32] {
        &self.uncut_lengths
    }

    fn unknown(&self) -> (u64, Vec<(&str, u64)>) {
        self.tokens.unknown()
    }

    fn evaluation_batch(&self) -> usize {
        self.evaluation_batch
    }

    fn identify(&self, part: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.tokens.identify(part)
    }

    fn sequences(&self, indices: &[u32]) -> Vec<i64> {
        self.tokens.sequences(indices)
    }

    fn pieces(&self) -> Option<&[Piece]> {
        Some(&self.pieces)
    }

    fn tokens(&self, index: u32) -> &[u32] {
        self.tokens.tokens(index)
    }

    fn learnt(&self, index: u32) -> Vec<Range<u32>> {
        let all = || std::iter::once(1..self.tokens(index).len() as u32).collect();
        self.learnt.get(index as usize).cloned().unwrap_or_else(all)
    }

    fn bytes(&self, index: u32) -> u64 {
        self.bytes[index as usize]
    }

    fn vocabulary(&self) -> Option<&Vocabulary> {
        Some(&self.vocabulary)
    }

    fn loader(&self, batches: Vec<Vec<u32>>, changes: Option<Changes>) -> Box<dyn Loader + '_> {
        self.tokens.loader(batches, changes)
    }
}
