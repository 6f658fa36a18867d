//! Texts that are learnt as they are: a text longer than the model's limit is cut into passages of
//! nearly the same length, each an example of its own, so that none of its tokens is lost. Where
//! each token is predicted from those before it, the last passage of a text ends with the token
//! that ends texts, so that this is learnt too.

use super::literal::wrong;
use super::text::{CHUNK, TextEncoder, Unknown, copy_tokenizer, token_report};
use super::vocabulary::LearntSet;
use super::{Encoded, Encoder, Inputs, Modal, Piece, Preparation, Vocabulary, saved, vocabulary};
use crate::planning;
use anyhow::Result;
use finetuned_data::Record;
use finetuned_job::data::TokenReport;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::Plan;
use finetuned_job::recipe::Recipe;
use finetuned_models::{Checkpoint, Kind, Rows};
use std::ops::Range;
use std::path::Path;
use tokenizers::Encoding;

/// Passages in one forward pass without gradients: each asked token has a row of the vocabulary.
const EVALUATION_BATCH: usize = 16;

pub(super) struct Passages;

impl Modal for Passages {
    fn models(&self) -> Kind {
        Kind::Text
    }

    fn rows(&self) -> Rows {
        Rows::PerToken
    }

    fn encoder(&self, base: &Checkpoint, recipe: &Recipe) -> Result<Box<dyn Encoder>> {
        vocabulary::check(base, recipe.task.map(|it| it.objective))?;
        if recipe.train.on.is_some() {
            let message = "train.on says what of conversations is learnt, but these are none";
            return Err(Failure::new(FailureKind::Recipe, message)
                .with_cure("leave it out of the recipe")
                .into());
        }
        let max_tokens = planning::max_tokens(recipe, base.max_positions(), base.is_decoder())?;
        let text = TextEncoder::open(base.companions(), max_tokens)?;
        let split = recipe.data.split_special_tokens;
        Ok(Box::new(PassageEncoder::new(text, base, split)?))
    }

    fn reopen(&self, folder: &Path, plan: &Plan) -> Result<Box<dyn Encoder>> {
        let text = TextEncoder::open(folder, plan.data.max_tokens)?;
        let split = plan.data.split_special_tokens;
        Ok(Box::new(PassageEncoder::new(text, &saved(folder, plan)?, split)?))
    }
}

struct PassageEncoder {
    text: TextEncoder,
    /// Tokens of a passage beside the special ones.
    room: usize,
    vocabulary: Vocabulary,
    /// Ends a text.
    end: Option<u32>,
    /// Of what a person asks: a mask in it is one.
    asked: Option<Box<TextEncoder>>,
}

impl PassageEncoder {
    /// # Errors
    /// No room for any text; a tokenizer that is not the model's, or without a mask where tokens
    /// are to be hidden.
    fn new(text: TextEncoder, model: &Checkpoint, split: bool) -> Result<PassageEncoder> {
        let vocabulary = vocabulary::of(&text.tokenizer, model)?;
        let end = model.ends().first().copied().filter(|_| model.is_decoder());
        let asked = (split && !model.is_decoder()).then(|| Box::new(text.clone()));
        let passages = PassageEncoder::with(text.of_text(split), vocabulary, end)?;
        Ok(PassageEncoder { asked, ..passages })
    }

    fn with(text: TextEncoder, vocabulary: Vocabulary, end: Option<u32>) -> Result<PassageEncoder> {
        let room = text.room(false)?;
        let room = if end.is_some() { room.saturating_sub(1).max(1) } else { room };
        Ok(PassageEncoder { text, room, vocabulary, end, asked: None })
    }

    fn push(&self, record: u32, encoding: &Encoding, set: &mut LearntSet) -> Result<()> {
        let added = self.text.added(false) + usize::from(self.end.is_some());
        set.uncut_lengths.push((encoding.len() + added) as u32);
        for range in passages(encoding.get_word_ids(), self.room) {
            let is_last = range.end == encoding.len();
            let passage = part(encoding, range);
            let offsets = passage.get_offsets();
            let bytes = match (offsets.first(), offsets.last()) {
                (Some(first), Some(last)) => first.0 as u32..last.1 as u32,
                _ => 0..0,
            };
            let passage = self.text.tokenizer.post_process(passage, None, true).map_err(wrong)?;
            set.bytes.push(bytes.end.saturating_sub(known(&passage).max(bytes.start)).into());
            set.pieces.push(Piece { record, bytes });
            set.tokens.push(&passage, passage.len());
            let ends = |it: &u32| is_last && passage.get_ids().last() != Some(it);
            self.end.filter(ends).into_iter().for_each(|it| set.tokens.push_token(it));
        }
        Ok(())
    }
}

/// Where what a passage's first token stands for ends: nothing predicts that.
fn known(passage: &Encoding) -> u32 {
    passage.get_offsets().first().map_or(0, |it| it.1 as u32)
}

/// Ranges of at most `room` tokens, nearly of the same length, that begin where a word does unless
/// that word is half as long as they are. `words`: the word that each token belongs to.
fn passages(words: &[Option<u32>], room: usize) -> Vec<Range<usize>> {
    let (mut ranges, mut from) = (Vec::new(), 0);
    loop {
        let left = words.len() - from;
        let even = left.div_ceil(left.div_ceil(room).max(1));
        let begins = |it: &usize| words[*it].is_none() || words[*it] != words[*it - 1];
        let last = from + even;
        let to = if last == words.len() {
            last
        } else {
            (from + even.div_ceil(2)..=last).rev().find(begins).unwrap_or(last)
        };
        ranges.push(from..to);
        from = to;
        if from == words.len() {
            return ranges;
        }
    }
}

fn part(of: &Encoding, range: Range<usize>) -> Encoding {
    Encoding::new(
        of.get_ids()[range.clone()].to_vec(),
        of.get_type_ids()[range.clone()].to_vec(),
        of.get_tokens()[range.clone()].to_vec(),
        of.get_word_ids()[range.clone()].to_vec(),
        of.get_offsets()[range.clone()].to_vec(),
        of.get_special_tokens_mask()[range.clone()].to_vec(),
        of.get_attention_mask()[range].to_vec(),
        Vec::new(),
        Default::default(),
    )
}

impl Encoder for PassageEncoder {
    fn preparation(&self) -> Preparation {
        self.text.preparation()
    }

    fn encode(
        &self,
        inputs: &Inputs,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Box<dyn Encoded>> {
        let mut set = LearntSet::new(self.vocabulary.clone(), EVALUATION_BATCH);
        let records: Vec<usize> = (0..inputs.len()).collect();
        let is_named = matches!(inputs, Inputs::Named(_));
        let reader = self.asked.as_deref().filter(|_| is_named).unwrap_or(&self.text);
        for chunk in records.chunks(CHUNK) {
            let texts: Vec<&str> =
                chunk.iter().map(|it| inputs.record(*it).texts[0].as_ref()).collect();
            let encodings = reader.split(&texts, &mut set.tokens.unknown)?;
            for (record, encoding) in chunk.iter().zip(encodings) {
                self.push(*record as u32, &encoding, &mut set)?;
            }
            progress(set.uncut_lengths.len() as u64)?;
        }
        Ok(Box::new(set))
    }

    fn prompt(&self, record: &Record) -> Result<Vec<u32>> {
        let text = record.texts.first().map(|it| &**it).unwrap_or_default();
        let encoding = self.text.split(&[text], &mut Unknown::default())?.into_iter().next();
        let encoding = self.text.processed(encoding.unwrap_or_default(), None)?;
        let mut ids = encoding.get_ids().to_vec();
        if ids.is_empty() {
            ids.extend(self.end); // as behind the end of another text
        }
        Ok(ids)
    }

    fn ends(&self) -> &[u32] {
        self.end.as_slice()
    }

    fn text(&self, tokens: &[u32]) -> String {
        self.text.tokenizer.decode(tokens, true).unwrap_or_default()
    }

    fn word(&self, token: u32) -> String {
        self.text.tokenizer.decode(&[token], false).unwrap_or_default()
    }

    /// Passages lose nothing.
    fn token_report(&self, sets: &[&dyn Encoded]) -> Option<TokenReport> {
        Some(TokenReport { cut: 0, ..token_report(sets, self.text.max_tokens) })
    }

    fn export(&self, base: &Path, to: &Path, _: &mut serde_json::Value) -> Result<()> {
        copy_tokenizer(base, to)
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::cases;
    use super::*;

    fn encoder(max_tokens: u32, end: Option<u32>) -> PassageEncoder {
        let (tokenizer, _) = cases("words").swap_remove(0);
        let vocabulary = vocabulary::of_tokenizer(&tokenizer);
        let text = TextEncoder { tokenizer, max_tokens, never_last: None, controls: Vec::new() };
        PassageEncoder::with(text, vocabulary, end).unwrap()
    }

    fn named(texts: &[&str]) -> Inputs {
        let texts: Vec<String> = texts.iter().map(|it| it.to_string()).collect();
        let modality = finetuned_job::task::Modality::Passage;
        Inputs::Named(finetuned_data::inputs(modality, &texts, &[]).unwrap().into())
    }

    #[test]
    fn a_long_text_becomes_passages_that_lose_no_token() {
        let encoder = encoder(8, None);
        let long = "a good movie and a bad film and a sad good film";
        let inputs = named(&["a film", long]);
        let set = encoder.encode(&inputs, &mut |_| Ok(())).unwrap();
        let added = encoder.text.added(false);
        let bare = |it: u32| {
            let tokens = set.tokens(it);
            tokens[1..tokens.len() + 1 - added].to_vec()
        };
        let whole = encoder.text.tokenizer.encode(long, false).unwrap();
        let parts: Vec<u32> = (1..set.len() as u32).flat_map(bare).collect();
        assert_eq!(parts, whole.get_ids());
        assert!(2 < set.len() && set.lengths().iter().all(|it| *it <= 8));
        let lengths = set.lengths().split_off(1);
        assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 2, "{lengths:?}");
        let cut = inputs.cut(set.as_ref());
        assert_eq!(cut.len(), set.len());
        let shown: Vec<String> = (0..cut.len()).map(|it| cut.what(it)).collect();
        assert_eq!(shown[0], "a film");
        assert_eq!(shown[1..].join(" "), long);
    }

    #[test]
    fn the_end_of_a_text_is_learnt_and_its_bytes_are_counted() {
        const END: u32 = 5;
        let encoder = encoder(8, Some(END));
        let long = "a good movie and a bad film and a sad good film";
        let set = encoder.encode(&named(&["a film", long]), &mut |_| Ok(())).unwrap();
        let last = |it: u32| *set.tokens(it).last().unwrap();
        let passages = set.len() as u32;
        assert!(2 < passages && set.lengths().iter().all(|it| *it <= 8));
        let ends: Vec<bool> = (0..passages).map(|it| last(it) == END).collect();
        let of_long = (1..passages).map(|it| it == passages - 1);
        assert_eq!(ends, [true].into_iter().chain(of_long).collect::<Vec<_>>());
        // A special token comes first, so every byte of the text is predicted.
        assert_eq!(set.bytes(0), "a film".len() as u64);
        let learnt: Vec<u32> = set.learnt(0).into_iter().flatten().collect();
        assert!(learnt.into_iter().eq(1..set.tokens(0).len() as u32));
        let between = u64::from(passages) - 2;
        assert_eq!((1..passages).map(|it| set.bytes(it)).sum::<u64>(), long.len() as u64 - between);
    }

    #[test]
    fn a_passage_begins_with_a_word_where_that_is_not_far() {
        let words = |lengths: &[usize]| -> Vec<Option<u32>> {
            let word = |(number, n): (u32, &usize)| vec![Some(number); *n];
            (0..).zip(lengths).flat_map(word).collect()
        };
        assert_eq!(passages(&words(&[1; 10]), 4), [0..4, 4..7, 7..10]);
        assert_eq!(passages(&words(&[3, 3, 3]), 4), [0..3, 3..6, 6..9]);
        assert_eq!(passages(&words(&[9]), 4), [0..3, 3..6, 6..9], "one long word");
        let only = |of: Vec<Range<usize>>| (of.len(), of[0].clone());
        assert_eq!(only(passages(&words(&[4]), 4)), (1, 0..4));
        assert_eq!(only(passages(&[], 4)), (1, 0..0));
    }

    #[test]
    fn special_tokens_and_the_mask_are_known() {
        let of = encoder(8, None).vocabulary;
        let mask = of.mask.unwrap();
        assert!(of.special.contains(&mask) && mask < of.size);
        assert!(of.special.len() < of.size as usize);
    }
}
