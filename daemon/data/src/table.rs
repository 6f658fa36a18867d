//! One table of a drop, whatever its format: its columns, a sample of its rows, and then every row
//! with the cells that matter. How a row is cut out of the bytes is left to `delimited`, `json`,
//! `conll` and `parquet_table`; which columns matter, to `targets` and the modalities.

use crate::delimited;
use crate::dialect::{self, Dialect};
use crate::encoding::{self, Decoded, Encoding};
use crate::example::spoken;
use crate::exports::{self, Export};
use crate::format::Format;
use crate::inflate::Count;
use crate::lines::Form;
use crate::row::{Held, Row, Sample, nearly_all};
use crate::row_class::RowClass;
use crate::sentences::{self, Sentences};
use crate::source::{ROW_BYTES_MAX, RowBound, Source};
use crate::survey;
use crate::workbook;
use crate::{arrow_table, conll, json, json_document, parquet_table, rasa, refusal, signature};
use finetuned_answers::Cell;
use finetuned_job::outcome::{Failure, FailureKind};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// What is looked at of a file before it is known what it is.
const HEAD_BYTES: u64 = 512 << 10;

/// A table of a drop.
#[derive(Debug, Clone)]
pub(crate) struct TableFile {
    pub(crate) path: PathBuf,
    /// Relative to the drop, parts divided by `/`.
    pub(crate) name: String,
    pub(crate) format: Format,
    /// Of a file that holds several tables: the sheet, the key. `name` names it too.
    pub(crate) part: Option<String>,
    /// Of a workbook, the one that is read; without it the first that holds a table.
    pub(crate) sheet: Option<String>,
    /// Where something beside the rows says it, as the file's own name.
    pub(crate) class: Option<RowClass>,
    glance: Glance,
}

/// The table as it was opened first.
#[derive(Clone, Default)]
struct Glance(Arc<OnceLock<Option<Table>>>);

impl fmt::Debug for Glance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Glance")
    }
}

impl TableFile {
    pub(crate) fn new(path: PathBuf, name: String, format: Format) -> TableFile {
        let (part, sheet, class) = (None, None, None);
        TableFile { path, name, format, part, sheet, class, glance: Glance::default() }
    }

    /// The same file, read in another way.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut TableFile)) -> TableFile {
        let mut changed = TableFile { glance: Glance::default(), ..self.clone() };
        change(&mut changed);
        changed
    }

    /// What shows where the recipe names no columns: opened once, however often it is asked for.
    /// Nothing where the table can't be opened.
    pub(crate) fn glance(&self) -> Option<&Table> {
        self.glance.0.get_or_init(|| Table::open(self, &[]).ok()).as_ref()
    }
}

pub(crate) struct Table {
    pub(crate) source: Source,
    pub(crate) format: Format,
    pub(crate) encoding: Option<Encoding>,
    pub(crate) sample: Sample,
    /// Names for integer labels, as Hugging Face's ClassLabel keeps them beside a column (or a list
    /// of them).
    pub(crate) label_names: BTreeMap<String, Vec<String>>,
    /// Where a labelling tool wrote it: `sample` is what was made of it.
    pub(crate) export: Option<Export>,
    /// In a column `label` behind the file's own.
    class: Option<RowClass>,
    /// Where words are to be joined: `sample` has them as lists.
    sentences: Option<Sentences>,
    /// Columns of the file itself.
    columns: Vec<String>,
    body: Body,
}

type Text = RowBound<Decoded<Box<dyn Read>>>;

enum Body {
    Delimited(Dialect),
    JsonLines,
    JsonArray,
    Lines(&'static Form),
    Parquet,
    Arrow,
    /// A workbook, or JSON or YAML that is one document.
    Held(Held),
    Conll(conll::Dialect),
}

impl Table {
    /// `named`: columns that the recipe names, which help to tell a header from data.
    pub(crate) fn open(file: &TableFile, named: &[&str]) -> Result<Table, Failure> {
        let table = Table::of_file(file, named)?.exported(exports::recognise).joined()?;
        match &file.class {
            Some(class) => table.of_class(class.clone()),
            None => Ok(table),
        }
    }

    /// Those of a column that were sampled.
    pub(crate) fn cells(&self, column: usize) -> impl Iterator<Item = &Cell> {
        self.sample.rows.iter().filter_map(move |it| it.get(column))
    }

    /// Whether nearly all of them are so.
    pub(crate) fn nearly_all(&self, column: usize, is: impl Fn(&Cell) -> bool) -> bool {
        nearly_all(self.cells(column).map(is))
    }

    /// The file and the line of the first row whose cell of this column is so, or the file alone.
    pub(crate) fn place_of(&self, column: usize, is: &dyn Fn(&Cell) -> bool) -> String {
        spoken(&self.source.name, self.line_of(column, is))
    }

    /// As [`Table::place_of`].
    pub(crate) fn line_of(&self, column: usize, is: &dyn Fn(&Cell) -> bool) -> Option<u64> {
        let mut found = None;
        // An error ends the reading where the row is found.
        let _stopped = self.rows(&[column], &Count::default(), &mut |row| match &row.cells {
            Ok(cells) if cells.first().is_some_and(is) => {
                found = Some(row.line);
                Err(refusal::data("found"))
            }
            _ => Ok(()),
        });
        found
    }

    /// As if each row had a label.
    fn of_class(mut self, class: RowClass) -> Result<Table, Failure> {
        let head = match class {
            RowClass::Same(_) => String::new(),
            RowClass::OfLine(_) => self.head()?,
        };
        let lines = (1..).zip(head.lines()).filter(|it| !it.1.trim().is_empty()).map(|it| it.0);
        for (row, line) in self.sample.rows.iter_mut().zip(lines.chain(std::iter::repeat(0))) {
            row.push(Cell::Text(class.of(line)));
        }
        self.class = Some(class);
        self.sample.columns.push("label".into());
        Ok(self)
    }

    /// As [`Table::open`], where labels are not wanted.
    pub(crate) fn open_to_predict(file: &TableFile, named: &[&str]) -> Result<Table, Failure> {
        Ok(Table::of_file(file, named)?.exported(exports::to_predict))
    }

    fn of_file(file: &TableFile, named: &[&str]) -> Result<Table, Failure> {
        let source = Source::open(&file.path, &file.name)?;
        if source.bytes() == 0 {
            return Err(refusal::data(format!("{} is empty", file.name)));
        }
        let mut table = Table {
            source,
            format: file.format,
            encoding: None,
            sample: Sample::default(),
            label_names: BTreeMap::new(),
            export: None,
            class: None,
            sentences: None,
            columns: Vec::new(),
            body: Body::JsonLines,
        };
        match file.format {
            Format::Parquet => {
                let opened = parquet_table::open(&table.source)?;
                (table.sample, table.label_names) = (opened.sample, opened.label_names);
                table.body = Body::Parquet;
            }
            Format::Arrow => {
                let opened = arrow_table::open(&table.source)?;
                (table.sample, table.label_names) = (opened.sample, opened.label_names);
                table.body = Body::Arrow;
            }
            Format::Workbook => {
                let (sample, held) = workbook::open(&table.source, file.sheet.as_deref(), named)?;
                (table.sample, table.body) = (sample, Body::Held(held));
            }
            _ => table.open_text(file, named)?,
        }
        if let Some(refused) = survey::refused(&table.sample, &file.name) {
            return Err(refused);
        }
        table.columns = table.sample.columns.clone();
        Ok(table)
    }

    fn exported(mut self, recognise: fn(&Sample) -> Option<Export>) -> Table {
        self.export = recognise(&self.sample);
        if let Some(export) = &self.export {
            let sample = std::mem::take(&mut self.sample);
            self.sample.columns = export.columns(&sample.columns);
            let rows = sample.rows.into_iter().filter_map(|it| export.row(it).ok());
            self.sample.rows = rows.collect();
        }
        self
    }

    /// # Errors
    /// Words stand there whose sentences can't be told.
    fn joined(mut self) -> Result<Table, Failure> {
        self.sentences = sentences::recognise(&self.sample).filter(|_| self.export.is_none());
        if let Some(it) = &self.sentences {
            self.sample.rows = it.sample(std::mem::take(&mut self.sample.rows));
        } else if sentences::are_boundless(&self.sample) {
            let why = "holds a word a row, and nothing says where a sentence ends";
            return Err(refusal::data(format!("{} {why}", self.source.name)).with_cure(
                "add a column `sentence_id` with a number for each sentence, or write the file as CoNLL, with an empty line after each",
            ));
        }
        Ok(self)
    }

    fn open_text(&mut self, file: &TableFile, named: &[&str]) -> Result<(), Failure> {
        let (name, format) = (&file.name, file.format);
        let survey = encoding::survey(self.source.stream(&Count::default())?)
            .map_err(|err| refusal::reading(name, &err))?;
        if let Some(what) = survey.foreign() {
            return Err(refusal::data(format!("{name} is {what}, not {}", format.spoken())));
        }
        if signature::is_markdown_table(&survey.head) {
            return Err(refusal::data(format!("{name} is a table in Markdown, which is not read"))
                .with_cure("write the rows to CSV, JSON Lines or Parquet"));
        }
        self.encoding = Some(survey.encoding);
        let text = self.head()?;
        if text.trim().is_empty() {
            return Err(refusal::data(format!("{name} is empty")));
        }
        if let Some(form) = format.of_lines() {
            (self.body, self.sample) = (Body::Lines(form), form.sample(&text));
            return Ok(());
        }
        match format {
            Format::Csv | Format::Tsv => {
                let (dialect, sample) = dialect::sniff(&text, format == Format::Tsv, named);
                (self.body, self.sample) = (Body::Delimited(dialect), sample);
            }
            Format::Conll => {
                let Some((dialect, sample)) = conll::sniff(&text) else {
                    return Err(refusal::data(format!("{name} holds no tagged words")).with_cure(
                        "each line takes a word and its tag, an empty line ends a sentence",
                    ));
                };
                (self.body, self.sample) = (Body::Conll(dialect), sample);
            }
            Format::Rasa => {
                let read = rasa::table(&self.whole(name, "divide it into several files")?);
                let (sample, held) = read.map_err(|why| refusal::data(format!("{name} {why}")))?;
                (self.sample, self.body) = (sample, Body::Held(held));
            }
            _ => self.open_json(file, &text)?,
        }
        Ok(())
    }

    /// Both extensions are used for both: what the file starts with decides.
    fn open_json(&mut self, file: &TableFile, head: &str) -> Result<(), Failure> {
        let name = &file.name;
        if let Some((line, literal)) = json::no_number(head) {
            let why = json::NoNumber(literal);
            return Err(
                refusal::data(format!("{name} line {line}: {why}")).with_cure(json::TO_NULL)
            );
        }
        let start = head.trim_start();
        let is_document = start.starts_with('{') && json_document::is_document(head);
        // A list of lists has no names, and is read as a whole too.
        let is_lists = start.strip_prefix('[').is_some_and(|it| it.trim_start().starts_with('['));
        let is_labels = self.source.bytes() <= json_document::BYTES_MAX
            && json_document::begins_as_labels(head);
        if is_document || is_lists || is_labels || file.part.is_some() {
            self.format = Format::Json;
            let (sample, held) = self.document(name, file.part.as_deref())?;
            (self.sample, self.body) = (sample, Body::Held(held));
            return Ok(());
        }
        let array = start.starts_with('[');
        (self.format, self.body) = match array {
            true => (Format::Json, Body::JsonArray),
            false => (Format::JsonLines, Body::JsonLines),
        };
        self.sample = json::sample(head, array);
        if self.sample.columns.is_empty() && HEAD_BYTES <= head.len() as u64 {
            let message = format!(
                "{name}: its first row is longer than {} KiB, so that its columns can't be told",
                HEAD_BYTES >> 10
            );
            let cure = format!(
                "put a shorter row first; no row may be longer than {} MiB",
                ROW_BYTES_MAX >> 20
            );
            return Err(refusal::data(message).with_cure(cure));
        }
        if self.sample.columns.is_empty() {
            return Err(refusal::data(format!("{name} holds no JSON objects that can be read"))
                .with_cure("it takes a list of objects, or one object a line"));
        }
        Ok(())
    }

    fn document(&self, name: &str, part: Option<&str>) -> Result<(Sample, Held), Failure> {
        let text = self.whole(name, "write one object a line (JSON Lines), or Parquet")?;
        json_document::parse(&text).and_then(|it| json_document::table(it, part)).map_err(|why| {
            refusal::data(format!("{name} {why}"))
                .with_cure("it takes a list of objects, or one object a line")
        })
    }

    /// All of a document. `cure`: of one that is too long.
    fn whole(&self, name: &str, cure: &str) -> Result<String, Failure> {
        let mut text = String::new();
        let encoding = self.encoding.unwrap_or(Encoding::Utf8 { bom: false });
        Decoded::new(self.source.stream(&Count::default())?, encoding)
            .take(json_document::BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|err| refusal::reading(name, &err))?;
        if json_document::BYTES_MAX < text.len() as u64 {
            return Err(refusal::data(format!(
                "{name} is one document of more than {} MiB",
                json_document::BYTES_MAX >> 20
            ))
            .with_cure(cure));
        }
        Ok(text)
    }

    /// What a person should know of how it was read, in sentences that follow its name.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let of_dialect = match &self.body {
            Body::Delimited(dialect) => &dialect.notes[..],
            Body::Held(held) => &held.notes,
            _ => &[],
        };
        let joined = self.sentences.iter().filter_map(|it| it.note(&self.columns));
        of_dialect.iter().cloned().chain(joined)
    }

    /// The decoded start of the file, up to the end of a line where there is one.
    fn head(&self) -> Result<String, Failure> {
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
        let Some(class) = &self.class else { return self.made_rows(wanted, raw, each) };
        let is_class = |it: &usize| *it + 1 == self.sample.columns.len();
        let others: Vec<usize> = wanted.iter().copied().filter(|it| !is_class(it)).collect();
        let mut last = 0;
        self.made_rows(&others, raw, &mut |row| {
            last = row.line;
            let with_class = |cells: Vec<Cell>| {
                let mut cells = cells.into_iter();
                let cell = |it: &usize| match is_class(it) {
                    true => Cell::Text(class.of(row.line)),
                    false => cells.next().unwrap_or(Cell::Missing),
                };
                wanted.iter().map(cell).collect()
            };
            each(Row { line: row.line, cells: row.cells.map(with_class) })
        })?;
        class.check_end(&self.source.name, last)
    }

    /// The same without the class of all rows.
    fn made_rows(
        &self,
        wanted: &[usize],
        raw: &Count,
        each: &mut dyn FnMut(Row) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let mut wanted_of = |row: Row| {
            let take = |mut made: Vec<Cell>| {
                wanted.iter().map(|it| std::mem::replace(&mut made[*it], Cell::Missing)).collect()
            };
            each(Row { line: row.line, cells: row.cells.map(take) })
        };
        if let Some(sentences) = &self.sentences {
            let mut gathered = sentences.gather();
            self.file_rows(&all, raw, &mut |row| {
                gathered.take(row).map_or(Ok(()), &mut wanted_of)
            })?;
            return gathered.last().map_or(Ok(()), wanted_of);
        }
        let Some(export) = &self.export else { return self.file_rows(wanted, raw, each) };
        self.file_rows(&all, raw, &mut |row| {
            let cells = row.cells.and_then(|it| export.row(it));
            wanted_of(Row { line: row.line, cells })
        })
    }

    fn file_rows(
        &self,
        wanted: &[usize],
        raw: &Count,
        each: &mut dyn FnMut(Row) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let name = &self.source.name;
        let mut bound = TextBound::of_process(name);
        let each = &mut |row: Row| bound.admit(&row).and_then(|()| each(row));
        let read = match &self.body {
            Body::Parquet => parquet_table::rows(&self.source, wanted, raw, each),
            Body::Arrow => arrow_table::rows(&self.source, wanted, raw, each),
            Body::Held(held) => {
                raw.set(self.source.bytes());
                (0..).map_while(|it| held.row(it, wanted)).try_for_each(each)
            }
            Body::Delimited(dialect) => {
                let (text, row_left) = self.text(raw)?;
                delimited::rows(name, text, &row_left, dialect, wanted, each)
            }
            Body::Lines(form) => {
                let (text, row_left) = self.text(raw)?;
                form.rows(name, text, &row_left, wanted, each)
            }
            Body::Conll(dialect) => {
                let (text, row_left) = self.text(raw)?;
                conll::rows(name, text, &row_left, dialect, wanted, each)
            }
            Body::JsonArray => {
                let (text, row_left) = self.text(raw)?;
                json::array_rows(name, text, &row_left, &self.columns, wanted, each)
            }
            Body::JsonLines => {
                let (text, row_left) = self.text(raw)?;
                json::line_rows(name, text, &row_left, &self.columns, wanted, each)
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
