//! One table of a drop, whatever its format: its columns, a sample of its rows, and then every row
//! with the cells that matter. How a row is cut out of the bytes is left to `delimited`, `json` and
//! `parquet_table`; which columns matter, to `targets` and the modalities.

use crate::delimited;
use crate::dialect::{self, Dialect};
use crate::encoding::{self, Decoded, Encoding};
use crate::format::Format;
use crate::inflate::Count;
use crate::row::{Row, Sample};
use crate::source::{RowBound, Source};
use crate::{json, parquet_table, refusal};
use finetuned_job::outcome::Failure;
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
