//! Decides how texts become token ids: the base model's own tokenizer, cut at `max_tokens` with its
//! special tokens kept.

use anyhow::{Context, Result};
use finetuned_job::data::TokenReport;
use finetuned_job::outcome::{Failure, FailureKind};
use std::path::Path;
use tokenizers::{Tokenizer, TruncationDirection};

/// Texts tokenised at once, on all threads.
const CHUNK: usize = 2048;

/// Token ids of many examples, back to back.
#[derive(Default)]
pub(crate) struct TokenSet {
    ids: Vec<u32>,
    /// `starts[i]..starts[i + 1]` are the places of example i.
    starts: Vec<usize>,
    /// (file, line) of each example.
    origins: Vec<(u32, u64)>,
    files: Vec<String>,
    /// Lengths before the cut.
    full_lengths: Vec<u32>,
}

/// A text on its way into a [`TokenSet`].
pub(crate) struct Row<'a> {
    pub text: &'a str,
    /// Index into the files of the set.
    pub file: u32,
    pub line: u64,
}

impl TokenSet {
    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    pub(crate) fn tokens(&self, index: u32) -> &[u32] {
        let at = index as usize;
        &self.ids[self.starts[at]..self.starts[at + 1]]
    }

    /// `tweets.csv:17`, for messages.
    pub(crate) fn origin(&self, index: u32) -> String {
        let (file, line) = self.origins[index as usize];
        format!("{}:{line}", self.files.get(file as usize).map_or("?", String::as_str))
    }

    pub(crate) fn lengths(&self) -> Vec<u32> {
        self.starts.windows(2).map(|it| (it[1] - it[0]) as u32).collect()
    }
}

pub(crate) struct Encoder {
    tokenizer: Tokenizer,
    max_tokens: usize,
    added: usize,
}

impl Encoder {
    /// Reads `tokenizer.json` of a model folder.
    pub(crate) fn open(folder: &Path, max_tokens: u32) -> Result<Encoder> {
        let path = folder.join("tokenizer.json");
        let refused =
            |message: String, cure: &str| Failure::new(FailureKind::Model, message).with_cure(cure);
        if !path.exists() {
            let cure = "save it with transformers: AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER)";
            return Err(refused(format!("{} has no tokenizer.json", folder.display()), cure).into());
        }
        let mut tokenizer = Tokenizer::from_file(&path).map_err(|err| {
            refused(
                format!("{} is no tokenizer that this version reads: {err}", path.display()),
                "fetch the model again",
            )
        })?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|err| {
            refused(format!("{}: {err}", path.display()), "fetch the model again")
        })?;
        let added = tokenizer
            .get_post_processor()
            .map_or(0, |it| tokenizers::PostProcessor::added_tokens(it, false));
        Ok(Encoder { tokenizer, max_tokens: max_tokens as usize, added })
    }

    pub(crate) fn encode<'a>(
        &self,
        rows: impl Iterator<Item = Row<'a>>,
        files: Vec<String>,
        mut progress: impl FnMut(u64) -> Result<()>,
    ) -> Result<TokenSet> {
        let mut set = TokenSet { starts: vec![0], files, ..TokenSet::default() };
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            let chunk: Vec<Row> = rows.by_ref().take(CHUNK).collect();
            let texts: Vec<&str> = chunk.iter().map(|it| it.text).collect();
            let encodings = self
                .tokenizer
                .encode_batch(texts, false)
                .map_err(|err| anyhow::anyhow!("{err}"))
                .context("tokenizing")?;
            for (mut encoding, row) in encodings.into_iter().zip(chunk) {
                set.full_lengths.push((encoding.len() + self.added) as u32);
                encoding.truncate(
                    self.max_tokens.saturating_sub(self.added),
                    0,
                    TruncationDirection::Right,
                );
                let encoding = self
                    .tokenizer
                    .post_process(encoding, None, true)
                    .map_err(|err| anyhow::anyhow!("{err}"))
                    .context("tokenizing")?;
                set.ids.extend_from_slice(encoding.get_ids());
                set.starts.push(set.ids.len());
                set.origins.push((row.file, row.line));
            }
            progress(set.len() as u64)?;
        }
        Ok(set)
    }
}

/// The distribution of lengths before the cut, over all splits.
pub(crate) fn report<'a>(
    sets: impl IntoIterator<Item = &'a TokenSet>,
    max_tokens: u32,
) -> TokenReport {
    /// Bars in the image.
    const BUCKETS: u32 = 20;
    let mut lengths: Vec<u32> =
        sets.into_iter().flat_map(|it| it.full_lengths.iter().copied()).collect();
    lengths.sort_unstable();
    let at = |part: f64| {
        lengths
            .get(((lengths.len() as f64 - 1.0).max(0.0) * part).round() as usize)
            .copied()
            .unwrap_or(0)
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
    TokenReport {
        max_tokens,
        mean: lengths.iter().map(|&it| f64::from(it)).sum::<f64>() / lengths.len().max(1) as f64,
        median: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        longest: at(1.0),
        cut: lengths.iter().filter(|&&it| max_tokens < it).count() as u64,
        histogram,
    }
}
