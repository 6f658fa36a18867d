//! CSV and TSV: which delimiter, whether quotes quote, whether there is a header; then the rows.

use crate::format::Format;
use crate::inflate::Count;
use crate::names;
use crate::quarantine::Reason;
use crate::refusal;
use crate::row::{Row, SAMPLE_ROWS, Sample};
use crate::source::ROW_BYTES_MAX;
use csv::{ReaderBuilder, StringRecord};
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use std::collections::HashSet;
use std::io::Read;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    pub(crate) quoting: bool,
    pub(crate) header: bool,
    /// Fields of the header, or of the first row.
    pub(crate) fields: usize,
}

impl Dialect {
    fn reader<R: Read>(self, text: R) -> csv::Reader<R> {
        ReaderBuilder::new()
            .delimiter(self.delimiter)
            .quoting(self.quoting)
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(1 << 16)
            .from_reader(text)
    }
}

/// `text`: the start of the file, whole lines.
pub(crate) fn sniff(text: &str, format: Format, named: &[&str]) -> (Dialect, Sample) {
    let delimiters: &[u8] = if format == Format::Tsv { b"\t,;|" } else { b",;\t|" };
    let mut best: Option<(f64, Dialect, Vec<StringRecord>)> = None;
    for &delimiter in delimiters {
        for quoting in [true, false] {
            let dialect = Dialect { delimiter, quoting, header: false, fields: 0 };
            let records: Vec<StringRecord> = dialect
                .reader(text.as_bytes())
                .records()
                .take(SAMPLE_ROWS)
                .map_while(Result::ok)
                .collect();
            let fields = records.first().map_or(0, StringRecord::len);
            let even = records.iter().filter(|it| it.len() == fields).count();
            // One column can't tell a delimiter; it wins only where nothing else does.
            let score = if fields < 2 { 0.0 } else { even as f64 / records.len() as f64 };
            // Quotes that are only characters swallow line ends: of two even readings the one with
            // more rows is right.
            let better = |best: &(f64, Dialect, Vec<StringRecord>)| {
                best.0 < score || (best.0 == score && best.2.len() < records.len())
            };
            if best.as_ref().is_none_or(better) {
                best = Some((score, Dialect { fields, ..dialect }, records));
            }
        }
    }
    let (_, mut dialect, mut records) = best.unwrap_or_else(|| {
        (0.0, Dialect { delimiter: b',', quoting: true, header: true, fields: 0 }, Vec::new())
    });
    dialect.header = has_header(&records, named);
    let columns = match records.first() {
        Some(first) if dialect.header => first.iter().map(|it| it.trim().to_string()).collect(),
        Some(first) => (1..=first.len()).map(|it| format!("column {it}")).collect(),
        None => Vec::new(),
    };
    if dialect.header && !records.is_empty() {
        records.remove(0);
    }
    let rows = records
        .iter()
        .filter(|it| it.len() == dialect.fields)
        .map(|it| it.iter().map(|it| Cell::Text(it.into())).collect())
        .collect();
    (dialect, Sample { columns, rows, headerless: !dialect.header })
}

/// A first row is data when it looks like no names, or when one of its values comes again in a
/// column of few values.
fn has_header(records: &[StringRecord], named: &[&str]) -> bool {
    /// Nobody calls a column by more than this.
    const NAME_CHARS_MAX: usize = 64;
    let Some((first, rest)) = records.split_first() else { return true };
    let names: Vec<&str> = first.iter().map(str::trim).collect();
    if names
        .iter()
        .any(|it| names::is_usual(it) || named.iter().any(|name| name.eq_ignore_ascii_case(it)))
    {
        return true;
    }
    if names
        .iter()
        .any(|it| it.is_empty() || it.parse::<f64>().is_ok() || NAME_CHARS_MAX < it.chars().count())
    {
        return false;
    }
    let comes_again = |(column, name): (usize, &&str)| {
        let values: Vec<&str> =
            rest.iter().filter_map(|it| it.get(column)).map(str::trim).collect();
        let distinct: HashSet<&str> = values.iter().copied().collect();
        distinct.contains(name) && 2 * distinct.len() <= values.len() + 1
    };
    !names.iter().enumerate().any(comes_again)
}

/// `row_left`: what the row under way may still read.
pub(crate) fn rows(
    name: &str,
    text: impl Read,
    row_left: &Count,
    dialect: &Dialect,
    wanted: &[usize],
    each: &mut dyn FnMut(Row) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut reader = dialect.reader(text);
    let mut record = StringRecord::new();
    let mut skip = dialect.header;
    loop {
        row_left.set(ROW_BYTES_MAX);
        let begins_at = reader.position().line();
        let more = reader.read_record(&mut record).map_err(|err| failed(name, begins_at, err))?;
        if !more {
            return Ok(());
        }
        if std::mem::take(&mut skip) {
            continue;
        }
        let line = record.position().map_or(0, csv::Position::line);
        each(Row { line, cells: cells(&record, dialect, wanted) })?;
    }
}

fn cells(record: &StringRecord, dialect: &Dialect, wanted: &[usize]) -> Result<Vec<Cell>, Reason> {
    if record.len() != dialect.fields {
        return Err(Reason::Fields { found: record.len(), header: dialect.fields });
    }
    let cell =
        |idx: &usize| record.get(*idx).map_or(Cell::Missing, |it| Cell::Text(it.to_string()));
    Ok(wanted.iter().map(cell).collect())
}

/// `line`: where the row begins.
fn failed(name: &str, line: u64, err: csv::Error) -> Failure {
    match err.into_kind() {
        csv::ErrorKind::Io(err) if err.kind() == std::io::ErrorKind::FileTooLarge => {
            refusal::reading(&format!("{name} line {line}"), &err)
                .with_cure("a quote that is opened and never closed does this")
        }
        csv::ErrorKind::Io(err) => refusal::reading(name, &err),
        other => refusal::data(format!("{name} line {line}: {other:?}")),
    }
}
