//! One table of a drop, whatever its format: its columns, a sample of its rows, and then every row
//! with the cells that matter. How a row is cut out of the bytes is left to `delimited`, `json` and
//! `parquet_table`; which columns matter, to `targets` and the modalities.

use crate::delimited;
use crate::dialect::{self, Dialect};
use crate::encoding::{self, Decoded, Encoding};
use crate::format::Format;
use crate::inflate::Count;
use crate::row::{Row, Sample};
use crate::source::{ROW_BYTES_MAX, RowBound, Source};
use crate::{json, parquet_table, refusal};
use finetuned_answers::Cell;
use finetuned_job::outcome::{Failure, FailureKind};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

pub(crate) struct Table {
    pub(crate) source: Source,
    pub(crate) format: Format,
    pub(crate) encoding: Option<Encoding>,
    pub(crate) sample: Sample,
    /// Names for integer labels, as Hugging Face's ClassLabel keeps them beside a column (or a list
    /// of them).
    pub(crate) label_names: BTreeMap<String, Vec<String>>,
    body: Body,
}

type Text = RowBound<Decoded<Box<dyn Read>>>;

enum Body {
    Delimited(Dialect),
    JsonLines,
    JsonArray,
    Parquet,
}

impl Table {
    /// `named`: columns that the recipe names, which help to tell a header from data.
    pub(crate) fn open(
        path: &Path,
        name: &str,
        format: Format,
        named: &[&str],
    ) -> Result<Table, Failure> {
        let source = Source::open(path, name)?;
        if source.bytes() == 0 {
            return Err(refusal::data(format!("{name} is empty")));
        }
        if format == Format::Parquet {
            let opened = parquet_table::open(&source)?;
            return Ok(Table {
                source,
                format,
                encoding: None,
                sample: opened.sample,
                label_names: opened.label_names,
                body: Body::Parquet,
            });
        }
        let survey = encoding::survey(source.stream(&Count::default())?)
            .map_err(|err| refusal::reading(name, &err))?;
        if let Some(what) = survey.foreign() {
            return Err(refusal::data(format!("{name} is {what}, not {}", format.spoken())));
        }
        let mut table = Table {
            source,
            format,
            encoding: Some(survey.encoding),
            sample: Sample::default(),
            label_names: BTreeMap::new(),
            body: Body::JsonLines,
        };
        let text = table.head()?;
        if text.trim().is_empty() {
            return Err(refusal::data(format!("{name} is empty")));
        }
        match format {
            Format::Csv | Format::Tsv => {
                let (dialect, sample) = dialect::sniff(&text, format, named);
                (table.body, table.sample) = (Body::Delimited(dialect), sample);
            }
            _ => {
                // Both extensions are used for both: what the file starts with decides.
                let array = text.trim_start().starts_with('[');
                (table.format, table.body) = if array {
                    (Format::Json, Body::JsonArray)
                } else {
                    (Format::JsonLines, Body::JsonLines)
                };
                table.sample = json::sample(&text, array);
                if table.sample.columns.is_empty() {
                    return Err(refusal::data(format!(
                        "{name} holds no JSON objects that can be read"
                    ))
                    .with_cure("it takes a list of objects, or one object a line"));
                }
            }
        }
        Ok(table)
    }

    /// What a person should know of how it was read, in sentences that follow its name.
    pub(crate) fn notes(&self) -> &[String] {
        match &self.body {
            Body::Delimited(dialect) => &dialect.notes,
            _ => &[],
        }
    }

    /// The decoded start of the file, up to the end of a line where there is one.
    fn head(&self) -> Result<String, Failure> {
        const HEAD_BYTES: u64 = 512 << 10;
        let mut bytes = Vec::new();
        let (stream, _) = self.text(&Count::default())?;
        stream
            .take(HEAD_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|err| refusal::reading(&self.source.name, &err))?;
        if HEAD_BYTES <= bytes.len() as u64
            && let Some(end) = bytes.iter().rposition(|it| *it == b'\n')
        {
            bytes.truncate(end + 1);
        }
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(err) => String::from_utf8_lossy(err.as_bytes()).into_owned(),
        })
    }

    /// UTF-8, bounded row by row.
    fn text(&self, raw: &Count) -> Result<(Text, Count), Failure> {
        let encoding = self.encoding.unwrap_or(Encoding::Utf8 { bom: false });
        Ok(RowBound::new(Decoded::new(self.source.stream(raw)?, encoding)))
    }

    /// Every row in order. `wanted`: columns, each once, by index into the sample's. `raw` counts
    /// the bytes read of the file meanwhile.
    pub(crate) fn rows(
        &self,
        wanted: &[usize],
        raw: &Count,
        each: &mut dyn FnMut(Row) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let name = &self.source.name;
        let mut bound = TextBound::of_process(name);
        let each = &mut |row: Row| bound.admit(&row).and_then(|()| each(row));
        if let Body::Parquet = self.body {
            parquet_table::rows(&self.source, wanted, raw, each)?;
            return self.source.check_unchanged();
        }
        let (text, row_left) = self.text(raw)?;
        let read = match &self.body {
            Body::Delimited(dialect) => {
                delimited::rows(name, text, &row_left, dialect, wanted, each)
            }
            Body::JsonArray => {
                json::array_rows(name, text, &row_left, &self.sample.columns, wanted, each)
            }
            Body::JsonLines | Body::Parquet => {
                json::line_rows(name, text, &row_left, &self.sample.columns, wanted, each)
            }
        };
        // A file that changed explains whatever else went wrong.
        self.source.check_unchanged()?;
        read
    }
}

/// Texts may take one part in so many of the memory: they are normalised, hashed and encoded too.
const TEXT_PARTS: u64 = 3;

/// The texts of a table are held in memory: where one file alone would take all that the process
/// may have (a dictionary of one long text and two million rows are 20 kB of Parquet), it is
/// refused with that reason, instead of an allocation that fails.
struct TextBound<'a> {
    name: &'a str,
    bytes: u64,
    most: u64,
}

impl TextBound<'_> {
    fn of_process(name: &str) -> TextBound<'_> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Data).current;
        TextBound { name, bytes: 0, most: limit.map_or(u64::MAX, |it| it / TEXT_PARTS) }
    }

    fn admit(&mut self, row: &Row) -> Result<(), Failure> {
        let texts = row.cells.iter().flatten().map(text_bytes);
        let longest = texts.clone().max().unwrap_or(0);
        self.bytes = self.bytes.saturating_add(texts.sum());
        if ROW_BYTES_MAX < longest {
            let most = ROW_BYTES_MAX >> 20;
            return Err(refusal::data(format!(
                "{}: row {} has a text longer than {most} MiB",
                self.name, row.line
            )));
        }
        if self.most < self.bytes {
            let message = format!(
                "the texts of {} take more than {} MB, a third of the memory that a job may have here",
                self.name,
                self.most / 1_000_000
            );
            return Err(Failure::new(FailureKind::Memory, message)
                .with_cure("drop fewer or shorter texts, or raise memory in config.toml"));
        }
        Ok(())
    }
}

fn text_bytes(cell: &Cell) -> u64 {
    match cell {
        Cell::Text(text) => text.len() as u64,
        Cell::List(cells) => cells.iter().map(text_bytes).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_beyond_the_memory_are_refused_with_that_reason() {
        let row = |bytes: usize| Row {
            line: 7,
            cells: Ok(vec![Cell::List(vec![Cell::Text("x".repeat(bytes))]), Cell::Missing]),
        };
        let mut bound = TextBound { name: "a.parquet", bytes: 0, most: 250 };
        assert!(bound.admit(&row(100)).is_ok() && bound.admit(&row(100)).is_ok());
        let refused = bound.admit(&row(100)).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Memory);
        let mut bound = TextBound { name: "a.parquet", bytes: 0, most: u64::MAX };
        let long = bound.admit(&row(ROW_BYTES_MAX as usize + 1)).unwrap_err();
        assert_eq!(long.message, "a.parquet: row 7 has a text longer than 16 MiB");
    }
}
