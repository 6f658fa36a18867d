//! Formats of tables, by the names of files, or by what stands in them where names say nothing.

use crate::conll;
use crate::dialect;
use crate::encoding;
use crate::fasttext;
use crate::inflate::Count;
use crate::lines::{self, Form};
use crate::rasa;
use crate::source::Source;
use crate::trec;
use finetuned_job::outcome::Failure;
use std::io::Read;
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Tsv,
    JsonLines,
    Json,
    Parquet,
    /// Excel's, old and new, and OpenDocument's.
    Workbook,
    /// The IPC format, as files and streams.
    Arrow,
    /// A text a line, after its labels: `__label__x`.
    FastText,
    /// A question a line, after its class and a finer one: `NUM:dist`.
    Trec,
    /// And CoNLL-U.
    Conll,
    /// YAML of intents with their examples.
    Rasa,
    /// A text a line and nothing else.
    Lines,
}

impl Format {
    /// By the last extension, in lower case.
    pub(crate) fn of_extension(extension: &str) -> Option<Format> {
        match extension {
            "csv" => Some(Format::Csv),
            "tsv" | "tab" => Some(Format::Tsv),
            "jsonl" | "ndjson" | "jsonlines" => Some(Format::JsonLines),
            "json" => Some(Format::Json),
            "parquet" | "pq" => Some(Format::Parquet),
            "xlsx" | "xlsm" | "xlsb" | "xls" | "ods" => Some(Format::Workbook),
            "arrow" | "feather" | "ipc" => Some(Format::Arrow),
            "conll" | "conllu" | "conll2003" | "conll2002" | "bio" | "iob" | "iob2" | "bioes" => {
                Some(Format::Conll)
            }
            _ => None,
        }
    }

    /// Where a line is a row whatever stands before and behind it.
    pub(crate) fn of_lines(self) -> Option<&'static Form> {
        match self {
            Format::Lines => Some(&lines::PLAIN),
            Format::FastText => Some(&fasttext::FORM),
            Format::Trec => Some(&trec::FORM),
            _ => None,
        }
    }

    /// Whether its end or its middle is needed first: as a stream it can't be read.
    pub(crate) fn is_random_access(self) -> bool {
        matches!(self, Format::Parquet | Format::Workbook)
    }

    /// Sentences of tagged words are often called like tables of rows; else what the name says.
    pub(crate) fn or_tagged_words(self, path: &Path, name: &str) -> Format {
        match self {
            Format::Csv | Format::Tsv => match Format::by_content(path, name) {
                Ok(Some(Format::Conll)) => Format::Conll,
                Ok(_) | Err(_) => self,
            },
            _ => self,
        }
    }

    /// Of a file whose name does not say it; none where it is no table. Lines that are rows are
    /// one.
    pub(crate) fn of_nameless(path: &Path, name: &str) -> Result<Option<Format>, Failure> {
        let (marked, text) = Format::of_head(path, name)?;
        let of_rows = || match dialect::delimiter_of(&text)? {
            b'\t' => Some(Format::Tsv),
            _ => Some(Format::Csv),
        };
        Ok(marked.or_else(of_rows))
    }

    /// By what no table of rows has: a signature, labels with a mark, tagged words. None where
    /// there is no such thing, whatever the name says.
    pub(crate) fn by_content(path: &Path, name: &str) -> Result<Option<Format>, Failure> {
        Ok(Format::of_head(path, name)?.0)
    }

    /// What marks it, and the start of its text, whole lines; empty where it is none.
    fn of_head(path: &Path, name: &str) -> Result<(Option<Format>, String), Failure> {
        const HEAD_BYTES: u64 = 64 << 10;
        let mut head = Vec::new();
        let source = Source::open(path, name)?;
        let read = source.stream(&Count::default())?.take(HEAD_BYTES).read_to_end(&mut head);
        // What can't be inflated is no table either.
        if read.is_err() {
            return Ok((None, String::new()));
        }
        let signed = |it| Ok((source.compression().is_none().then_some(it), String::new()));
        if head.starts_with(b"PAR1") {
            return signed(Format::Parquet);
        }
        if head.starts_with(b"ARROW1") {
            return signed(Format::Arrow);
        }
        if HEAD_BYTES <= head.len() as u64
            && let Some(end) = head.iter().rposition(|it| *it == b'\n')
        {
            head.truncate(end + 1);
        }
        let text = encoding::decode(&head).ok().filter(|it| it.1.foreign().is_none());
        let text = text.map_or_else(String::new, |it| it.0);
        let marked = match () {
            // As its own guide calls such files: `cooking.train`.
            () if fasttext::is_it(&text) => Some(Format::FastText),
            () if rasa::is_it(&text) => Some(Format::Rasa),
            () if trec::is_it(&text) => Some(Format::Trec),
            () if conll::looks_so(&text) => Some(Format::Conll),
            () => None,
        };
        Ok((marked, text))
    }

    /// As `data.json` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::JsonLines => "json_lines",
            Format::Json => "json",
            Format::Parquet => "parquet",
            Format::Workbook => "workbook",
            Format::Arrow => "arrow",
            Format::FastText => "fasttext",
            Format::Trec => "trec",
            Format::Conll => "conll",
            Format::Rasa => "rasa",
            Format::Lines => "lines",
        }
    }

    /// In sentences.
    pub(crate) fn spoken(self) -> &'static str {
        match self {
            Format::Csv => "CSV",
            Format::Tsv => "TSV",
            Format::JsonLines => "JSON Lines",
            Format::Json => "JSON",
            Format::Parquet => "Parquet",
            Format::Workbook => "an Excel workbook",
            Format::Arrow => "Arrow",
            Format::FastText => "fastText",
            Format::Trec => "questions with their classes",
            Format::Conll => "CoNLL",
            Format::Rasa => "Rasa's YAML",
            Format::Lines => "lines of text",
        }
    }
}
