//! Pairs of texts: the base model's own tokenizer makes one sequence of token ids of both, with the
//! separators and token types of its family; at `max_tokens` the longer text is cut first.

use super::literal::wrong;
use super::text::{CHUNK, TextEncoder, TextSet, copy_tokenizer, token_report};
use super::{Encoded, Encoder, Inputs, Modal, Preparation, saved, tokenizer_file};
use crate::planning;
use anyhow::Result;
use finetuned_job::data::TokenReport;
use finetuned_job::plan::Plan;
use finetuned_job::recipe::Recipe;
use finetuned_models::{Checkpoint, Kind};
use std::path::Path;
use tokenizers::Encoding;
use tokenizers::utils::truncation::{TruncationParams, truncate_encodings};

pub(super) struct Pairs;

impl Modal for Pairs {
    fn models(&self) -> Kind {
        Kind::Text
    }

    fn encoder(&self, base: &Checkpoint, recipe: &Recipe) -> Result<Box<dyn Encoder>> {
        let max_tokens = planning::max_tokens(recipe, base.max_positions(), false)?;
        let texts = TextEncoder::open(base.companions(), max_tokens)?;
        let texts = texts.of_text(recipe.data.split_special_tokens).before(base);
        tokenizer_file::check_size(&texts.tokenizer, base)?;
        Ok(Box::new(PairEncoder::new(texts, base.token_types())?))
    }

    fn reopen(&self, folder: &Path, plan: &Plan) -> Result<Box<dyn Encoder>> {
        let saved = saved(folder, plan)?;
        let texts = TextEncoder::open(folder, plan.data.max_tokens)?;
        let texts = texts.of_text(plan.data.split_special_tokens).before(&saved);
        Ok(Box::new(PairEncoder::new(texts, saved.token_types())?))
    }
}

pub(super) struct PairEncoder {
    texts: TextEncoder,
    /// Tokens left beside the special ones, of a pair and of a text alone.
    room: usize,
    room_alone: usize,
    /// Whether the model tells the two texts apart by token types.
    typed: bool,
}

impl PairEncoder {
    /// `token_types`: as many as the model has.
    ///
    /// # Errors
    /// No room for any text.
    fn new(texts: TextEncoder, token_types: u32) -> Result<PairEncoder> {
        let (room, room_alone) = (texts.room(true)?, texts.room(false)?);
        Ok(PairEncoder { texts, room, room_alone, typed: 1 < token_types })
    }

    fn push(&self, pairs: &[[&str; 2]], set: &mut TextSet) -> Result<()> {
        let mut encodings = self.texts.split(&pairs.concat(), &mut set.unknown)?.into_iter();
        for [_, text] in pairs {
            let (Some(first), Some(second)) = (encodings.next(), encodings.next()) else { break };
            // transformers takes an empty second text for none, and ends with one separator.
            let second = (!text.is_empty()).then_some(second);
            let uncut = first.len() + second.as_ref().map_or(0, Encoding::len);
            let uncut = uncut + self.texts.added(second.is_some());
            set.push(&self.one(first, second)?, uncut);
        }
        Ok(())
    }

    fn one(&self, first: Encoding, second: Option<Encoding>) -> Result<Encoding> {
        let max_length = if second.is_some() { self.room } else { self.room_alone };
        // By default the longest is cut first, on the right.
        let cut = TruncationParams { max_length, ..TruncationParams::default() };
        let (mut first, mut second) = truncate_encodings(first, second, &cut).map_err(wrong)?;
        // What was cut off would be combined with all of the other text that was.
        first.take_overflowing();
        second.iter_mut().for_each(|it| drop(it.take_overflowing()));
        let mut pair = self.texts.processed(first, second)?;
        if !self.typed {
            pair.set_type_ids(vec![0; pair.len()]);
        }
        Ok(pair)
    }
}

impl Encoder for PairEncoder {
    fn preparation(&self) -> Preparation {
        self.texts.preparation()
    }

    fn encode(
        &self,
        inputs: &Inputs,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Box<dyn Encoded>> {
        let mut set = TextSet::new();
        let pair = |it: usize| match inputs.record(it).texts.as_ref() {
            [first, second] => Ok([&**first, &**second]),
            texts => anyhow::bail!("{} has {} texts", inputs.origin(it as u32), texts.len()),
        };
        let pairs = (0..inputs.len()).map(pair).collect::<Result<Vec<_>>>()?;
        for chunk in pairs.chunks(CHUNK) {
            self.push(chunk, &mut set)?;
            progress(set.len() as u64)?;
        }
        Ok(Box::new(set))
    }

    fn token_report(&self, sets: &[&dyn Encoded]) -> Option<TokenReport> {
        Some(token_report(sets, self.texts.max_tokens))
    }

    fn export(&self, base: &Path, to: &Path, _: &mut serde_json::Value) -> Result<()> {
        copy_tokenizer(base, to)?;
        const TYPED: &[&str] = &["input_ids", "token_type_ids", "attention_mask"];
        self.texts.name_reading(to, if self.typed { TYPED } else { &[] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modality::text::tests::{cases, numbers};
    use tokenizers::Tokenizer;

    fn encoder(tokenizer: &Tokenizer, max_tokens: u32, types: u32) -> Result<PairEncoder> {
        PairEncoder::new(
            TextEncoder {
                tokenizer: tokenizer.clone(),
                max_tokens,
                never_last: None,
                controls: Vec::new(),
            },
            types,
        )
    }

    fn encoded(tokenizer: &Tokenizer, max_tokens: u32, types: u32, pair: [&str; 2]) -> TextSet {
        let mut set = TextSet::new();
        encoder(tokenizer, max_tokens, types).unwrap().push(&[pair], &mut set).unwrap();
        set
    }

    /// 0 throughout where none is stored.
    fn types(set: &TextSet, index: u32) -> Vec<u32> {
        let types = set.types(index).iter().map(|it| u32::from(*it)).collect::<Vec<_>>();
        if types.is_empty() { vec![0; set.tokens(index).len()] } else { types }
    }

    #[test]
    fn pairs_are_encoded_as_transformers_does() {
        let cases = cases("pairs");
        assert!(!cases.is_empty());
        for (tokenizer, case) in cases {
            let pair = [0, 1].map(|it| case["texts"][it].as_str().unwrap());
            let max_tokens = case["max_length"].as_u64().unwrap_or(100_000) as u32;
            let set = encoded(&tokenizer, max_tokens, 2, pair);
            assert_eq!(set.tokens(0), numbers(&case["input_ids"]), "{case}");
            assert_eq!(types(&set, 0), numbers(&case["token_type_ids"]), "{case}");
            assert_eq!(set.lengths(), [set.tokens(0).len() as u32]);
            let uncut = encoded(&tokenizer, 100_000, 2, pair);
            assert_eq!(set.uncut_lengths(), uncut.lengths(), "{case}");
            // A model of one token type is given the same tokens.
            let plain = encoded(&tokenizer, max_tokens, 1, pair);
            assert_eq!(plain.tokens(0), set.tokens(0));
            assert!(types(&plain, 0).iter().all(|it| *it == 0), "{case}");
        }
    }

    #[test]
    fn many_pairs_stand_back_to_back() {
        let (tokenizer, _) = cases("pairs").swap_remove(0);
        let pairs = [["good movie", "a bad film"], ["sad", ""], ["", "sad"]];
        let mut all = TextSet::new();
        encoder(&tokenizer, 8, 2).unwrap().push(&pairs, &mut all).unwrap();
        assert_eq!(all.len(), pairs.len());
        for (index, pair) in (0..).zip(pairs) {
            let alone = encoded(&tokenizer, 8, 2, pair);
            assert_eq!(all.tokens(index), alone.tokens(0));
            assert_eq!(types(&all, index), types(&alone, 0));
        }
    }

    #[test]
    fn tokens_that_the_base_does_not_know_are_counted_in_both_texts() {
        let (tokenizer, _) = cases("pairs").swap_remove(0);
        let set = encoded(&tokenizer, 8, 2, ["good \u{1f600}", "\u{1f600} \u{1f680} film"]);
        assert_eq!(set.unknown(), (3, vec![("\u{1f600}", 2), ("\u{1f680}", 1)]));
        assert_eq!(encoded(&tokenizer, 8, 2, ["good", "film"]).unknown(), (0, vec![]));
    }

    #[test]
    fn special_tokens_alone_are_no_pair() {
        for (tokenizer, case) in cases("pairs") {
            let texts = TextEncoder {
                tokenizer: tokenizer.clone(),
                max_tokens: 0,
                never_last: None,
                controls: Vec::new(),
            };
            let added = texts.added(true) as u32;
            let refused = encoder(&tokenizer, added, 2).err().unwrap().to_string();
            assert!(refused.starts_with(&format!("data.max_tokens is {added}")), "{case}");
            assert!(encoder(&tokenizer, added + 1, 2).is_ok());
        }
    }
}
