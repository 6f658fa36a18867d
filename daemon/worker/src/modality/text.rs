//! Texts: the base model's own tokenizer makes token ids of them, cut at `max_tokens` with its
//! special tokens kept.

use super::literal::{self, wrong};
use super::{Changes, Encoded, Encoder, Inputs, Loader, Modal, Preparation, saved, tokenizer_file};
use crate::planning;
use anyhow::{Context, Result};
use finetuned_job::data::TokenReport;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::Plan;
use finetuned_job::recipe::Recipe;
use finetuned_models::{Checkpoint, Input, Kind};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use tch::{Device, Tensor};
use tokenizers::{Encoding, Tokenizer, TruncationDirection};

/// Texts tokenised at once, on all threads.
pub(super) const CHUNK: usize = 2048;
/// Texts in one forward pass without gradients. More are not faster.
pub(super) const EVALUATION_BATCH: usize = 64;

pub(super) struct Texts;

impl Modal for Texts {
    fn models(&self) -> Kind {
        Kind::Text
    }

    fn encoder(&self, base: &Checkpoint, recipe: &Recipe) -> Result<Box<dyn Encoder>> {
        let max_tokens = planning::max_tokens(recipe, base.max_positions(), false)?;
        let text = TextEncoder::open(base.companions(), max_tokens)?
            .of_text(recipe.data.split_special_tokens);
        tokenizer_file::check_size(&text.tokenizer, base)?;
        Ok(Box::new(text.before(base)))
    }

    fn reopen(&self, folder: &Path, plan: &Plan) -> Result<Box<dyn Encoder>> {
        let texts = TextEncoder::open(folder, plan.data.max_tokens)?;
        let texts = texts.of_text(plan.data.split_special_tokens);
        Ok(Box::new(texts.before(&saved(folder, plan)?)))
    }
}

/// Token ids of many texts, back to back.
#[derive(Default)]
pub(super) struct TextSet {
    ids: Vec<u32>,
    /// Which part of its text each token belongs to, as the tokenizer says; empty where that is 0
    /// throughout.
    types: Vec<u8>,
    /// `starts[i]..starts[i + 1]` are the places of text i.
    starts: Vec<usize>,
    /// Lengths before the cut.
    uncut_lengths: Vec<u32>,
    pub unknown: Unknown,
}

/// Tokens that the vocabulary does not have.
#[derive(Default)]
pub(super) struct Unknown {
    tokens: u64,
    /// What they stood for, as far as that is remembered.
    words: BTreeMap<String, u64>,
}

impl Unknown {
    /// As [`Encoded::unknown`] has them.
    pub(super) fn counts(&self) -> (u64, Vec<(&str, u64)>) {
        (self.tokens, self.words.iter().map(|it| (it.0.as_str(), *it.1)).collect())
    }

    /// `text`: what the encoding is of.
    fn note(&mut self, text: &str, encoding: &Encoding, id: u32) {
        /// Different words that are remembered.
        const WORDS_MAX: usize = 1000;
        let places = encoding.get_ids().iter().zip(encoding.get_offsets());
        for (_, (begin, end)) in places.filter(|it| *it.0 == id) {
            self.tokens += 1;
            let Some(word) = text.get(*begin..*end) else { continue };
            if self.words.len() < WORDS_MAX || self.words.contains_key(word) {
                *self.words.entry(word.into()).or_default() += 1;
            }
        }
    }
}

impl TextSet {
    pub(super) fn new() -> TextSet {
        TextSet { starts: vec![0], ..TextSet::default() }
    }

    /// `uncut`: tokens before the cut.
    pub(super) fn push(&mut self, encoding: &Encoding, uncut: usize) {
        let types = encoding.get_type_ids();
        if self.types.is_empty() && types.iter().any(|it| *it != 0) {
            self.types = vec![0; self.ids.len()];
        }
        if !self.types.is_empty() || types.iter().any(|it| *it != 0) {
            self.types.extend(types.iter().map(|it| u8::try_from(*it).unwrap_or(u8::MAX)));
        }
        self.ids.extend_from_slice(encoding.get_ids());
        self.starts.push(self.ids.len());
        self.uncut_lengths.push(uncut as u32);
    }

    /// A text that is these tokens.
    pub(super) fn push_ids(&mut self, ids: &[u32]) {
        self.ids.extend_from_slice(ids);
        self.starts.push(self.ids.len());
        self.uncut_lengths.push(ids.len() as u32);
    }

    /// One more token of the last text.
    pub(super) fn push_token(&mut self, id: u32) {
        self.ids.push(id);
        if !self.types.is_empty() {
            self.types.push(0);
        }
        if let (Some(end), Some(uncut)) = (self.starts.last_mut(), self.uncut_lengths.last_mut()) {
            *end += 1;
            *uncut += 1;
        }
    }

    pub(super) fn tokens(&self, index: u32) -> &[u32] {
        let at = index as usize;
        &self.ids[self.starts[at]..self.starts[at + 1]]
    }

    /// Empty where the types are 0 throughout.
    pub(super) fn types(&self, index: u32) -> &[u8] {
        if self.types.is_empty() {
            return &[];
        }
        let at = index as usize;
        &self.types[self.starts[at]..self.starts[at + 1]]
    }

    /// What these texts are to a model.
    pub(super) fn input(&self, indices: &[u32], device: Device) -> Result<Input> {
        let ids: Vec<i64> =
            indices.iter().flat_map(|&it| self.tokens(it)).map(|&it| i64::from(it)).collect();
        let input =
            Input::tokens(Tensor::f_from_slice(&ids)?.f_to(device)?, self.sequences(indices));
        if self.types.is_empty() {
            return Ok(input);
        }
        let types: Vec<i64> =
            indices.iter().flat_map(|&it| self.types(it)).map(|&it| i64::from(it)).collect();
        Ok(input.with_token_types(Tensor::f_from_slice(&types)?.f_to(device)?))
    }
}

impl Encoded for TextSet {
    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn lengths(&self) -> Vec<u32> {
        self.starts.windows(2).map(|it| (it[1] - it[0]) as u32).collect()
    }

    fn unit(&self) -> &'static str {
        "tokens"
    }

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
            part(&self.tokens(index).iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>());
            if !self.types.is_empty() {
                part(self.types(index));
            }
        }
        Ok(())
    }

    fn sequences(&self, indices: &[u32]) -> Vec<i64> {
        indices.iter().map(|&it| self.tokens(it).len() as i64).collect()
    }

    fn loader(&self, _: Vec<Vec<u32>>, _: Option<Changes>) -> Box<dyn Loader + '_> {
        Box::new(self)
    }
}

/// Tokens take no time, and are not changed.
impl Loader for &TextSet {
    fn input(&mut self, indices: &[u32], device: Device) -> Result<Input> {
        TextSet::input(self, indices, device)
    }
}

/// The tokenizer of a model folder.
#[derive(Clone)]
pub(super) struct TextEncoder {
    pub tokenizer: Tokenizer,
    pub max_tokens: u32,
    /// The token that no text may end with: what the model reads begins before it.
    pub never_last: Option<u32>,
    /// Tokens that no text becomes, in order; none where special tokens in a text are meant.
    pub controls: Vec<u32>,
}

impl TextEncoder {
    /// # Errors
    /// As of the file.
    pub(super) fn open(folder: &Path, max_tokens: u32) -> Result<TextEncoder> {
        let tokenizer = tokenizer_file::open(folder)?;
        Ok(TextEncoder { tokenizer, max_tokens, never_last: None, controls: Vec::new() })
    }

    /// `split`: special tokens that stand in a text are text, as everywhere where nobody asks for
    /// something else.
    pub(super) fn of_text(self, split: bool) -> TextEncoder {
        if !split {
            return self;
        }
        let controls = literal::controls(&self.tokenizer);
        let mut tokenizer = self.tokenizer;
        tokenizer.set_encode_special_tokens(true);
        TextEncoder { tokenizer, controls, ..self }
    }

    /// For this model, or one of its form, which looks at each text as a whole.
    pub(super) fn before(self, model: &Checkpoint) -> TextEncoder {
        TextEncoder { never_last: model.never_last(), ..self }
    }

    /// With special tokens, and without those at the end that no text may end with.
    pub(super) fn processed(&self, first: Encoding, second: Option<Encoding>) -> Result<Encoding> {
        let mut all = self.tokenizer.post_process(first, second, true).map_err(wrong)?;
        all.truncate(self.unfilled(all.get_ids()), 0, TruncationDirection::Right);
        Ok(all)
    }

    /// Tokens before those at the end that no text may end with.
    pub(super) fn unfilled(&self, ids: &[u32]) -> usize {
        unfilled(ids, self.never_last)
    }

    /// Special tokens that are added to a text, or to a pair of them.
    pub(super) fn added(&self, pair: bool) -> usize {
        let processor = self.tokenizer.get_post_processor();
        processor.map_or(0, |it| tokenizers::PostProcessor::added_tokens(it, pair))
    }

    /// Tokens left beside the special ones for a text, or for a pair of them.
    ///
    /// # Errors
    /// None are.
    pub(super) fn room(&self, pair: bool) -> Result<usize, Failure> {
        let (max_tokens, added) = (self.max_tokens, self.added(pair));
        match (max_tokens as usize).saturating_sub(added) {
            0 => {
                let message = format!(
                    "data.max_tokens is {max_tokens}, which the model's {added} special tokens take up"
                );
                let cure = format!("set it to {} or more", added + 1);
                Err(Failure::new(FailureKind::Recipe, message).with_cure(cure))
            }
            room => Ok(room),
        }
    }

    /// Writes down for transformers how texts are read here: it takes special tokens in a text for
    /// what they look like, unless this file says otherwise, and gives token types to a model only
    /// where the tokenizer's class or `inputs` name them.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn name_reading(&self, to: &Path, inputs: &[&str]) -> Result<()> {
        let path = to.join("tokenizer_config.json");
        if !path.exists() || (self.controls.is_empty() && inputs.is_empty()) {
            return Ok(());
        }
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)
            .with_context(|| format!("reading {}", path.display()))?;
        if !self.controls.is_empty() {
            config["split_special_tokens"] = true.into();
        }
        if !inputs.is_empty() {
            config["model_input_names"] = serde_json::json!(inputs);
        }
        let text = serde_json::to_vec_pretty(&config)?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Tokens of whole texts, without special ones. What the vocabulary does not have is noted.
    pub(super) fn split(&self, texts: &[&str], unknown: &mut Unknown) -> Result<Vec<Encoding>> {
        let mut encodings = self.tokenizer.encode_batch(texts.to_vec(), false).map_err(wrong)?;
        for (text, encoding) in texts.iter().zip(&mut encodings) {
            if encoding.get_ids().iter().any(|it| self.controls.binary_search(it).is_ok()) {
                let of = (*text, std::mem::take(encoding));
                *encoding = literal::without_controls(&self.tokenizer, &self.controls, of)?;
            }
        }
        let id = ["[UNK]", "<unk>"].iter().find_map(|it| self.tokenizer.token_to_id(it));
        if let Some(id) = id {
            texts.iter().zip(&encodings).for_each(|(text, it)| unknown.note(text, it, id));
        }
        Ok(encodings)
    }
}

impl Encoder for TextEncoder {
    fn preparation(&self) -> Preparation {
        Preparation { max_tokens: self.max_tokens, preprocess: None }
    }

    fn encode(
        &self,
        inputs: &Inputs,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Box<dyn Encoded>> {
        let mut set = TextSet::new();
        let (added, room) = (self.added(false), self.room(false)?);
        let indices: Vec<usize> = (0..inputs.len()).collect();
        for chunk in indices.chunks(CHUNK) {
            let texts: Vec<&str> =
                chunk.iter().map(|it| inputs.record(*it).texts[0].as_ref()).collect();
            for mut encoding in self.split(&texts, &mut set.unknown)? {
                let uncut = encoding.len() + added;
                encoding.truncate(room, 0, TruncationDirection::Right);
                set.push(&self.processed(encoding, None)?, uncut);
            }
            progress(set.len() as u64)?;
        }
        Ok(Box::new(set))
    }

    fn token_report(&self, sets: &[&dyn Encoded]) -> Option<TokenReport> {
        Some(token_report(sets, self.max_tokens))
    }

    fn export(&self, base: &Path, to: &Path, _: &mut serde_json::Value) -> Result<()> {
        copy_tokenizer(base, to)?;
        self.name_reading(to, &[])
    }
}

/// Tokens before those at the end that no text may end with; the first one stays.
fn unfilled(ids: &[u32], never_last: Option<u32>) -> usize {
    let end = ids.iter().rposition(|it| Some(*it) != never_last);
    end.map_or(ids.len().min(1), |it| it + 1)
}

/// Those files that exist, as they are: they fit the embeddings.
pub(super) fn copy_tokenizer(from: &Path, to: &Path) -> Result<()> {
    for name in finetuned_hub::TOKENIZER_FILES {
        let source = from.join(name);
        if source.exists() {
            finetuned_files::open(&source)
                .and_then(|mut it| io::copy(&mut it, &mut File::create(to.join(name))?))
                .with_context(|| format!("copying {}", source.display()))?;
        }
    }
    Ok(())
}

/// Part of `tokens`, and the most frequent words.
fn unknown(sets: &[&dyn Encoded], tokens: u64) -> (f64, Vec<String>) {
    const WORDS_SHOWN: usize = 5;
    let (mut unknown, mut words) = (0, BTreeMap::new());
    for (n, of_set) in sets.iter().map(|it| it.unknown()) {
        unknown += n;
        of_set.into_iter().for_each(|(word, n)| *words.entry(word).or_insert(0) += n);
    }
    let mut words: Vec<(&str, u64)> = words.into_iter().collect();
    words.sort_by_key(|it| std::cmp::Reverse(it.1));
    let shown = words.into_iter().take(WORDS_SHOWN).map(|it| it.0.to_string());
    (unknown as f64 / tokens.max(1) as f64, shown.collect())
}

/// The distribution of lengths before the cut, over all splits.
pub(super) fn token_report(sets: &[&dyn Encoded], max_tokens: u32) -> TokenReport {
    /// Bars in the histogram.
    const BUCKETS: u32 = 20;
    let mut lengths: Vec<u32> = sets.iter().flat_map(|it| it.uncut_lengths()).copied().collect();
    lengths.sort_unstable();
    let at = |part: f64| {
        let place = ((lengths.len() as f64 - 1.0).max(0.0) * part).round() as usize;
        lengths.get(place).copied().unwrap_or(0)
    };
    // A few very long texts must not squeeze all others into one bar: the last one holds the rest.
    let width = at(0.99).div_ceil(BUCKETS).max(1);
    let mut histogram: Vec<(u32, u64)> = (1..=BUCKETS).map(|it| (it * width, 0)).collect();
    for &length in &lengths {
        let bar = (length.max(1).div_ceil(width) as usize).min(histogram.len()) - 1;
        histogram[bar].1 += 1;
    }
    if let Some(last) = histogram.last_mut() {
        last.0 = last.0.max(at(1.0));
    }
    let (unknown, unknown_words) = unknown(sets, lengths.iter().map(|it| u64::from(*it)).sum());
    TokenReport {
        max_tokens,
        unknown,
        unknown_words,
        mean: lengths.iter().map(|&it| f64::from(it)).sum::<f64>() / lengths.len().max(1) as f64,
        median: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        longest: at(1.0),
        cut: lengths.iter().filter(|&&it| max_tokens < it).count() as u64,
        histogram,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::Value;
    use std::path::PathBuf;

    /// The cases of one kind in `tokenizers.jsonl`, each with its family's tokenizer; MiniLM's only
    /// where it was fetched.
    pub(in crate::modality) fn cases(kind: &str) -> Vec<(Tokenizer, Value)> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let data = here.join("tests/data");
        let text = std::fs::read_to_string(data.join("tokenizers.jsonl")).unwrap();
        let cases = text.lines().map(|it| serde_json::from_str::<Value>(it).unwrap());
        let cases = cases.filter(|it| it["kind"] == kind).filter_map(|case| {
            let path = match case["family"].as_str().unwrap() {
                "tiny-bert" => here.join("../../tests/data/tiny-bert/tokenizer.json"),
                "minilm" => fetched("models/minilm/tokenizer.json")?,
                other => data.join(format!("tokenizers/{other}.json")),
            };
            let mut tokenizer = Tokenizer::from_file(path).unwrap();
            tokenizer.with_padding(None).with_truncation(None).unwrap();
            Some((tokenizer, case))
        });
        cases.collect()
    }

    fn fetched(name: &str) -> Option<PathBuf> {
        let assets = std::env::var_os("FINETUNED_ASSETS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.assets"),
            PathBuf::from,
        );
        Some(assets.join(name)).filter(|it| it.exists())
    }

    pub(in crate::modality) fn numbers(value: &Value) -> Vec<u32> {
        value.as_array().unwrap().iter().map(|it| it.as_u64().unwrap() as u32).collect()
    }

    #[test]
    fn tokens_that_fill_texts_up_are_no_texts_end() {
        assert_eq!(unfilled(&[5, 2, 6, 2, 2], Some(2)), 3);
        assert_eq!(unfilled(&[5, 2], None), 2);
        assert_eq!(unfilled(&[2, 2], Some(2)), 1);
        assert_eq!(unfilled(&[], Some(2)), 0);
    }

    #[test]
    fn a_text_alone_is_encoded_as_transformers_does() {
        let all = cases("words");
        assert!(!all.is_empty());
        for (tokenizer, case) in all {
            let encoder =
                TextEncoder { tokenizer, max_tokens: 512, never_last: None, controls: Vec::new() };
            let encoding = encoder.tokenizer.encode(case["text"].as_str().unwrap(), true).unwrap();
            assert_eq!(encoding.get_ids(), numbers(&case["whole"]["input_ids"]), "{case}");
            let bare = encoder.tokenizer.encode(case["text"].as_str().unwrap(), false).unwrap();
            assert_eq!(bare.len() + encoder.added(false), encoding.len());
        }
    }

    #[test]
    fn special_tokens_in_a_text_are_text_unless_they_are_meant() {
        let (tokenizer, _) = cases("words").swap_remove(0);
        let open =
            TextEncoder { tokenizer, max_tokens: 64, never_last: None, controls: Vec::new() };
        let special = open.tokenizer.get_added_tokens_decoder().into_values();
        let special = special.map(|it| it.content).find(|it| !it.to_lowercase().contains("unk"));
        let text = format!("good {} and", special.unwrap());
        let ids = |of: &TextEncoder| {
            let found = of.split(&[&text], &mut Unknown::default()).unwrap();
            found[0].get_ids().to_vec()
        };
        let (meant, literal) = (open.clone().of_text(false), open.of_text(true));
        let has_control = |ids: &[u32]| ids.iter().any(|it| literal.controls.contains(it));
        assert!(has_control(&ids(&meant)) && !has_control(&ids(&literal)));
    }

    #[test]
    fn special_tokens_alone_are_no_text() {
        for (tokenizer, case) in cases("words") {
            let mut encoder =
                TextEncoder { tokenizer, max_tokens: 0, never_last: None, controls: Vec::new() };
            encoder.max_tokens = encoder.added(false) as u32;
            let none = Inputs::Named(Vec::new().into());
            let refused = encoder.encode(&none, &mut |_| Ok(())).err().unwrap().to_string();
            let begin = format!("data.max_tokens is {}, which the model's", encoder.max_tokens);
            assert!(refused.starts_with(&begin), "{case}: {refused}");
            encoder.max_tokens += 1;
            assert_eq!(encoder.room(false).unwrap(), 1);
        }
    }
}
