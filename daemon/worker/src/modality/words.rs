//! Words of a text: the base model's own tokenizer makes sub-tokens of them, and a text longer than
//! the model's limit is read in overlapping windows, so that none of its tokens is lost.
//!
//! The text is encoded as a whole, as transformers' pipeline for token classification does it, and
//! each sub-token belongs to the first word that it touches. Where windows overlap, a sub-token
//! stands in several, but counts and is trained on in only one: all of a word's count in the window
//! that has most of the text on both sides of the word.
//!
//! What a word predicts is what its first sub-token predicts. A word of which the tokenizer leaves
//! none (a control character, say) has no row of its own; what that means is the objective's to
//! say, for here no tag is known.

use super::literal::wrong;
use super::text::{CHUNK, EVALUATION_BATCH, TextEncoder, Unknown, copy_tokenizer, token_report};
use super::{
    Changes, Encoded, Encoder, Inputs, Loader, Modal, Places, Preparation, tokenizer_file,
};
use crate::planning;
use anyhow::Result;
use finetuned_job::data::TokenReport;
use finetuned_job::plan::Plan;
use finetuned_job::recipe::Recipe;
use finetuned_models::{Checkpoint, Input, Kind, Rows};
use std::ops::Range;
use std::path::Path;
use tch::{Device, Tensor};
use tokenizers::{Encoding, TruncationDirection};

/// Neighbouring windows share one token of so many: 127 at 512 tokens, about what transformers'
/// examples of question answering share (128).
const OVERLAP: usize = 4;

pub(super) struct Words;

impl Modal for Words {
    fn models(&self) -> Kind {
        Kind::Text
    }

    fn rows(&self) -> Rows {
        Rows::PerToken
    }

    fn encoder(&self, base: &Checkpoint, recipe: &Recipe) -> Result<Box<dyn Encoder>> {
        let max_tokens = planning::max_tokens(recipe, base.max_positions(), false)?;
        let text = TextEncoder::open(base.companions(), max_tokens)?;
        tokenizer_file::check_size(&text.tokenizer, base)?;
        Ok(Box::new(WordEncoder::new(text.of_text(recipe.data.split_special_tokens))?))
    }

    fn reopen(&self, folder: &Path, plan: &Plan) -> Result<Box<dyn Encoder>> {
        let text = TextEncoder::open(folder, plan.data.max_tokens)?;
        Ok(Box::new(WordEncoder::new(text.of_text(plan.data.split_special_tokens))?))
    }
}

/// What a token of a window is to the words of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SubToken {
    word: u32,
    /// Whether it is the first one of its word.
    first: bool,
    /// Whether it counts here, and in no other window.
    counts: bool,
}

/// A sequence of tokens as the model reads them.
struct Window<'a> {
    ids: &'a [u32],
    /// Of each token; none for special tokens, and for those between words.
    sub_tokens: &'a [Option<SubToken>],
}

/// Windows of many texts, back to back. A text is an example, whose windows stay together.
struct WordSet {
    ids: Vec<u32>,
    sub_tokens: Vec<Option<SubToken>>,
    /// `windows[i]..windows[i + 1]` are the places of window i.
    windows: Vec<usize>,
    /// `starts[i]..starts[i + 1]` are the windows of text i.
    starts: Vec<usize>,
    /// Words of each text.
    words: Vec<u32>,
    /// Bytes from and to of each token of texts that came without words, and how many there are
    /// before each text.
    cuts: Vec<(u32, u32)>,
    cut_starts: Vec<usize>,
    /// Tokens of each text as one sequence.
    uncut_lengths: Vec<u32>,
    unknown: Unknown,
}

impl WordSet {
    fn new() -> WordSet {
        WordSet {
            ids: Vec::new(),
            sub_tokens: Vec::new(),
            windows: vec![0],
            starts: vec![0],
            words: Vec::new(),
            cuts: Vec::new(),
            cut_starts: vec![0],
            uncut_lengths: Vec::new(),
            unknown: Unknown::default(),
        }
    }

    fn words(&self, index: u32) -> usize {
        self.words[index as usize] as usize
    }

    fn windows(&self, index: u32) -> impl Iterator<Item = Window<'_>> {
        let at = index as usize;
        (self.starts[at]..self.starts[at + 1]).map(|window| {
            let places = self.windows[window]..self.windows[window + 1];
            Window { ids: &self.ids[places.clone()], sub_tokens: &self.sub_tokens[places] }
        })
    }

    /// Tokens of each window of these texts.
    fn sequences(&self, indices: &[u32]) -> impl Iterator<Item = i64> {
        indices.iter().flat_map(|&it| self.windows(it)).map(|it| it.ids.len() as i64)
    }
}

impl Encoded for WordSet {
    fn len(&self) -> usize {
        self.words.len()
    }

    /// Tokens of each text, all its windows together.
    fn lengths(&self) -> Vec<u32> {
        let first = |text: usize| self.windows[self.starts[text]];
        (0..self.len()).map(|it| (first(it + 1) - first(it)) as u32).collect()
    }

    fn unit(&self) -> &'static str {
        "tokens"
    }

    /// Tokens of each text as one sequence.
    fn uncut_lengths(&self) -> &[u32] {
        &self.uncut_lengths
    }

    fn unknown(&self) -> (u64, Vec<(&str, u64)>) {
        self.unknown.counts()
    }

    fn evaluation_batch(&self) -> usize {
        EVALUATION_BATCH
    }

    fn identify(&self, part: &mut dyn FnMut(&[u8])) -> Result<()> {
        for index in 0..self.len() as u32 {
            // The same tokens in other windows are other inputs, and so in another text.
            part(&(self.windows(index).count() as u64).to_le_bytes());
            for window in self.windows(index) {
                part(&window.ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>());
            }
        }
        Ok(())
    }

    fn sequences(&self, indices: &[u32]) -> Vec<i64> {
        WordSet::sequences(self, indices).collect()
    }

    fn places(&self, indices: &[u32]) -> Option<Places> {
        let mut places = Places::default();
        for (example, &index) in (0..).zip(indices) {
            let mut first = vec![None; self.words(index)];
            for token in self.windows(index).flat_map(|it| it.sub_tokens) {
                let counted = token.filter(|it| it.counts);
                if let Some(SubToken { word, first: true, .. }) = counted {
                    first[word as usize] = Some(places.rows.len() as u32);
                }
                places.rows.push(counted.map(|it| (example, it.word)));
            }
            places.first.push(first);
        }
        Some(places)
    }

    fn cut(&self, index: u32) -> &[(u32, u32)] {
        let at = index as usize;
        &self.cuts[self.cut_starts[at]..self.cut_starts[at + 1]]
    }

    fn loader(&self, _: Vec<Vec<u32>>, _: Option<Changes>) -> Box<dyn Loader + '_> {
        Box::new(self)
    }
}

/// Tokens take no time, and are not changed.
impl Loader for &WordSet {
    fn input(&mut self, indices: &[u32], device: Device) -> Result<Input> {
        let windows = indices.iter().flat_map(|&it| self.windows(it));
        let ids: Vec<i64> = windows.flat_map(|it| it.ids).map(|&it| it.into()).collect();
        let lengths = WordSet::sequences(self, indices).collect();
        Ok(Input::tokens(Tensor::f_from_slice(&ids)?.f_to(device)?, lengths))
    }
}

struct WordEncoder {
    text: TextEncoder,
    /// Tokens of a window beside the special ones.
    room: usize,
    /// Those that it shares with the next one; fewer than `room`.
    stride: usize,
}

impl WordEncoder {
    /// `text`: the tokenizer, with the tokens of a window.
    ///
    /// # Errors
    /// No room for any text.
    fn new(text: TextEncoder) -> Result<WordEncoder> {
        let room = text.room(false)?;
        Ok(WordEncoder { text, room, stride: room / OVERLAP })
    }

    /// `texts`: each with its words, as bytes from and to, in the order of the text, or none.
    fn push_all(&self, texts: &[(&str, &[(u32, u32)])], set: &mut WordSet) -> Result<()> {
        let whole: Vec<&str> = texts.iter().map(|it| it.0).collect();
        let encodings = self.text.split(&whole, &mut set.unknown)?;
        for (encoding, (_, words)) in encodings.into_iter().zip(texts) {
            self.push(encoding, words, set)?;
        }
        Ok(())
    }

    fn push(&self, mut encoding: Encoding, words: &[(u32, u32)], set: &mut WordSet) -> Result<()> {
        let uncut = encoding.len() + self.text.added(false);
        // Now, for special tokens would have the tokenizer trim these places once more.
        let offsets = encoding.get_offsets();
        // Of a text without words each token is one.
        let (of_words, words) = match words.len() {
            0 => {
                set.cuts.extend(offsets.iter().map(|it| (it.0 as u32, it.1 as u32)));
                ((0..offsets.len()).map(Some).collect(), offsets.len())
            }
            n => (words_of(offsets, words), n),
        };
        set.cut_starts.push(set.cuts.len());
        encoding.truncate(self.room, self.stride, TruncationDirection::Right);
        let rest = encoding.take_overflowing();
        let windows: Vec<Encoding> = std::iter::once(encoding).chain(rest).collect();
        let step = self.room - self.stride;
        let ranges = (0..).step_by(step).zip(&windows).map(|(from, it)| from..from + it.len());
        let ranges: Vec<Range<usize>> = ranges.collect();
        let spans = spans(&of_words, words);
        let counting = counting(&of_words, &spans, &ranges, step);
        for (number, (window, range)) in windows.into_iter().zip(ranges).enumerate() {
            let window = self.text.tokenizer.post_process(window, None, true).map_err(wrong)?;
            let mut places = range;
            set.ids.extend_from_slice(window.get_ids());
            // Only tokens of the template are special: a text may well contain "[SEP]".
            set.sub_tokens.extend(window.get_special_tokens_mask().iter().map(|special| {
                let at = if *special == 0 { places.next()? } else { return None };
                let word = of_words[at]?;
                let first = spans[word].start == at;
                Some(SubToken { word: word as u32, first, counts: counting[at] == number })
            }));
            set.windows.push(set.ids.len());
        }
        set.starts.push(set.windows.len() - 1);
        set.words.push(words as u32);
        set.uncut_lengths.push(uncut as u32);
        Ok(())
    }
}

impl Encoder for WordEncoder {
    fn preparation(&self) -> Preparation {
        self.text.preparation()
    }

    fn encode(
        &self,
        inputs: &Inputs,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Box<dyn Encoded>> {
        let mut set = WordSet::new();
        let indices: Vec<usize> = (0..inputs.len()).collect();
        for chunk in indices.chunks(CHUNK) {
            let records = chunk.iter().map(|it| inputs.record(*it));
            let texts: Vec<(&str, &[(u32, u32)])> =
                records.map(|it| (it.texts[0].as_ref(), it.words.as_ref())).collect();
            self.push_all(&texts, &mut set)?;
            progress(set.len() as u64)?;
        }
        Ok(Box::new(set))
    }

    /// Windows lose nothing.
    fn token_report(&self, sets: &[&dyn Encoded]) -> Option<TokenReport> {
        Some(TokenReport { cut: 0, ..token_report(sets, self.text.max_tokens) })
    }

    fn export(&self, base: &Path, to: &Path, _: &mut serde_json::Value) -> Result<()> {
        copy_tokenizer(base, to)?;
        self.text.name_reading(to, &[])
    }
}

/// The first word that each of these tokens touches; a token without width, which is a space alone,
/// touches the word that begins there.
fn words_of(tokens: &[(usize, usize)], words: &[(u32, u32)]) -> Vec<Option<usize>> {
    let word_of = |&(from, to): &(usize, usize)| {
        let word = words.partition_point(|it| it.1 as usize <= from);
        (words.get(word)?.0 as usize).lt(&to.max(from + 1)).then_some(word)
    };
    tokens.iter().map(word_of).collect()
}

/// From the first to the last token of each word; an empty range where it has none.
fn spans(of_words: &[Option<usize>], words: usize) -> Vec<Range<usize>> {
    let mut spans = vec![0..0; words];
    for (at, word) in of_words.iter().enumerate() {
        if let Some(span) = word.and_then(|it| spans.get_mut(it)) {
            let from = if span.end == 0 { at } else { span.start };
            *span = from..at + 1;
        }
    }
    spans
}

/// The window in which each token counts: the same for all of a word, if there is one that has all
/// of it.
fn counting(
    of_words: &[Option<usize>],
    spans: &[Range<usize>],
    windows: &[Range<usize>],
    step: usize,
) -> Vec<usize> {
    let of_spans: Vec<Option<usize>> = spans.iter().map(|it| best(it, windows, step)).collect();
    let of_tokens = of_words.iter().enumerate().map(|(at, word)| {
        let whole = word.and_then(|it| of_spans[it]);
        whole.or_else(|| best(&(at..at + 1), windows, step)).unwrap_or(0)
    });
    of_tokens.collect()
}

/// The window that has all of these tokens, and most others on the side where it has fewer; the
/// earlier one of two that have as many. Where the text begins or ends, nothing is missing.
fn best(tokens: &Range<usize>, windows: &[Range<usize>], step: usize) -> Option<usize> {
    let text_end = windows.last()?.end;
    let context = |window: &Range<usize>| {
        let before = if window.start == 0 { usize::MAX } else { tokens.start - window.start };
        let after = if window.end == text_end { usize::MAX } else { window.end - tokens.end };
        before.min(after)
    };
    let last = (tokens.start / step).min(windows.len() - 1);
    let having = (0..=last).rev().take_while(|it| tokens.end <= windows[*it].end);
    having.max_by_key(|it| context(&windows[*it]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modality::text::tests::{cases, numbers};
    use serde_json::Value;
    use tokenizers::Tokenizer;

    fn encoder(tokenizer: &Tokenizer, max_tokens: u32) -> WordEncoder {
        let (tokenizer, controls) = (tokenizer.clone(), Vec::new());
        WordEncoder::new(TextEncoder { tokenizer, max_tokens, never_last: None, controls }).unwrap()
    }

    fn spans_in_bytes(text: &str, spans: &[(usize, usize)]) -> Vec<(u32, u32)> {
        let bytes: Vec<usize> =
            text.char_indices().map(|it| it.0).chain(std::iter::once(text.len())).collect();
        spans.iter().map(|it| (bytes[it.0] as u32, bytes[it.1] as u32)).collect()
    }

    /// Words between spaces, in bytes.
    fn between_spaces(text: &str) -> Vec<(u32, u32)> {
        let start = |word: &str| (word.as_ptr() as usize - text.as_ptr() as usize) as u32;
        text.split(' ').map(|it| (start(it), start(it) + it.len() as u32)).collect()
    }

    fn encoded(encoder: &WordEncoder, text: &str, words: &[(u32, u32)]) -> WordSet {
        let mut set = WordSet::new();
        encoder.push_all(&[(text, words)], &mut set).unwrap();
        set
    }

    #[test]
    fn sub_tokens_belong_to_words_as_transformers_has_them() {
        let cases = cases("words");
        assert!(!cases.is_empty());
        for (tokenizer, case) in cases {
            let text = case["text"].as_str().unwrap();
            let spans: Vec<(usize, usize)> = serde_json::from_value(case["spans"].clone()).unwrap();
            let encoder = encoder(&tokenizer, 512);
            let set = encoded(&encoder, text, &spans_in_bytes(text, &spans));
            let windows: Vec<Window> = set.windows(0).collect();
            assert_eq!(windows.len(), 1);
            assert_eq!(windows[0].ids, numbers(&case["whole"]["input_ids"]), "{case}");
            let sub_tokens = windows[0].sub_tokens;
            let words: Vec<Option<u32>> =
                sub_tokens.iter().map(|it| it.map(|it| it.word)).collect();
            assert_eq!(serde_json::to_value(&words).unwrap(), case["whole"]["word_ids"], "{case}");
            for (at, token) in sub_tokens.iter().enumerate() {
                let Some(token) = token else { continue };
                assert!(token.counts);
                assert_eq!(token.first, !words[..at].contains(&Some(token.word)), "{case}");
            }
        }
    }

    #[test]
    fn windows_are_those_of_transformers_and_lose_no_token() {
        let cases = cases("windows");
        assert!(!cases.is_empty());
        for (tokenizer, case) in cases {
            let text = case["text"].as_str().unwrap();
            let max_tokens = case["max_length"].as_u64().unwrap() as u32;
            let stride = case["stride"].as_u64().unwrap() as usize;
            let windowed = WordEncoder { stride, ..encoder(&tokenizer, max_tokens) };
            let words = between_spaces(text);
            let set = encoded(&windowed, text, &words);
            let windows: Vec<Value> = set.windows(0).map(|it| it.ids.into()).collect();
            assert_eq!(Value::from(windows), case["windows"], "{case}");
            assert_eq!(set.lengths(), [set.sequences(&[0]).sum::<i64>() as u32]);

            let whole = encoded(&encoder(&tokenizer, 100_000), text, &words);
            assert_eq!(set.uncut_lengths(), whole.lengths());
            assert_eq!(counted(&set), counted(&whole), "each token counts once");
            let firsts = set.places(&[0]).unwrap().first;
            assert!(firsts[0].iter().all(Option::is_some), "each word has a prediction");
        }
    }

    /// (word, token, first) of the tokens that count, in the order of words.
    fn counted(set: &WordSet) -> Vec<(u32, u32, bool)> {
        let mut counted = Vec::new();
        for window in set.windows(0) {
            for (id, token) in window.ids.iter().zip(window.sub_tokens) {
                let token = token.filter(|it| it.counts);
                counted.extend(token.map(|it| (it.word, *id, it.first)));
            }
        }
        counted.sort_by_key(|it| it.0);
        counted
    }

    #[test]
    fn a_word_counts_where_it_has_most_context() {
        // Ten tokens each, of which neighbours share four, over 25 tokens.
        let windows = [0..10, 6..16, 12..22, 18..25];
        let best = |tokens: Range<usize>| best(&tokens, &windows, 6);
        // At both ends of the text nothing is missing.
        assert_eq!(best(0..1), Some(0));
        assert_eq!(best(24..25), Some(3));
        assert_eq!(best(18..19), Some(2));
        assert_eq!(best(21..22), Some(3));
        // In between: 2 left and 1 right of the place in one window, 1 and 2 in the other.
        assert_eq!(best(7..8), Some(0), "2 to the right, and 1 to the left in the next");
        assert_eq!(best(8..9), Some(1), "1 to the right, and 2 to the left in the next");
        assert_eq!(best(12..14), Some(1), "2 to the right, and none to the left in the next");
        assert_eq!(best(13..15), Some(1), "as many on both sides");
        assert_eq!(best(5..11), None, "no window has all of it");
        // Each token of a word that is too long counts by itself.
        let of_words: Vec<Option<usize>> =
            (0..25).map(|it| (2 < it && it < 20).then_some(0)).collect();
        let spans = spans(&of_words, 1);
        let counting = counting(&of_words, &spans, &windows, 6);
        assert_eq!((spans.len(), &spans[0]), (1, &(3..20)));
        assert_eq!(counting[3..20], [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn tokens_that_the_base_does_not_know_are_counted() {
        let (tokenizer, _) = cases("words").swap_remove(0);
        let text = "good \u{1f600}";
        let set = encoded(&encoder(&tokenizer, 512), text, &between_spaces(text));
        assert_eq!(set.unknown(), (1, vec![("\u{1f600}", 1)]));
    }

    #[test]
    fn words_without_a_token_have_no_row() {
        let (tokenizer, _) = cases("words").swap_remove(0);
        let text = "good \u{200b} movie, sad";
        // The comma belongs to no word.
        let words = [(0, 4), (5, 8), (9, 14), (16, 19)];
        let mut set = WordSet::new();
        let encoder = encoder(&tokenizer, 512);
        encoder.push_all(&[("sad", &[(0, 3)]), (text, &words), ("", &[])], &mut set).unwrap();
        assert_eq!((set.len(), set.words(1), set.words(2)), (3, 4, 0));
        // [CLS] good movie , sad [SEP], then [CLS] sad [SEP], then [CLS] [SEP].
        let places = set.places(&[1, 0, 2]).unwrap();
        assert_eq!(
            places.first,
            [vec![Some(1), None, Some(2), Some(4)], vec![Some(set.lengths()[1] + 1)], vec![],]
        );
        assert_eq!(places.rows.len() as i64, set.sequences(&[1, 0, 2]).sum::<i64>());
        assert_eq!(places.rows[..5], [None, Some((0, 0)), Some((0, 2)), None, Some((0, 3))]);
        assert_eq!(places.rows[places.rows.len() - 2..], [None, None]);
    }
}
