//! CSV and TSV: the rows of a file, one by one, in a dialect that `dialect` has found.

use crate::dialect::Dialect;
use crate::formulas;
use crate::inflate::Count;
use crate::quarantine::Reason;
use crate::refusal;
use crate::row::Row;
use crate::source::ROW_BYTES_MAX;
use crate::swallowed;
use csv::StringRecord;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use std::io::Read;

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
    let mut skip = dialect.skipped();
    // The csv crate ends a record at the first of two signs, and counts lines by the second.
    let mut uncounted = 0;
    loop {
        row_left.set(ROW_BYTES_MAX);
        let begins_at = reader.position().line() + uncounted;
        let more = reader.read_record(&mut record).map_err(|err| failed(name, begins_at, err))?;
        if !more {
            return Ok(());
        }
        let line = record.position().map_or(0, csv::Position::line) + uncounted;
        uncounted = u64::from(dialect.crlf);
        formulas::unfold(&mut record);
        if 0 < skip {
            skip -= 1;
            continue;
        }
        // Tables of Excel end in many of them.
        if 1 < record.len() && record.iter().all(|it| it.trim().is_empty()) {
            continue;
        }
        if let Some(lines) = swallowed::lines(&record, dialect.delimiter, &dialect.shapes) {
            // Each of them is a row that is lost.
            for nth in 0..lines {
                let reason = Reason::Swallowed { from: line, lines };
                each(Row { line: line + nth, cells: Err(reason) })?;
            }
            continue;
        }
        each(Row { line, cells: cells(&record, dialect, wanted) })?;
    }
}

fn cells(record: &StringRecord, dialect: &Dialect, wanted: &[usize]) -> Result<Vec<Cell>, Reason> {
    if record.len() != dialect.fields {
        if record.get(0).is_some_and(|it| Reason::is_conflict(it.as_bytes())) {
            return Err(Reason::Conflict);
        }
        let (found, header) = (record.len(), dialect.fields);
        let lines = swallowed::line_ends(record);
        let backslash = header < found && record.iter().any(|it| it.ends_with('\\'));
        return Err(Reason::Fields { found, header, lines, backslash });
    }
    match dialect.header_again(record) {
        Some(true) => return Err(Reason::HeaderAgain),
        Some(false) => return Err(Reason::HeaderOtherwise),
        None => {}
    }
    let cell = |idx: &usize| {
        let field = dialect.columns.get(*idx).and_then(|it| record.get(*it));
        field.map_or(Cell::Missing, |it| Cell::Text(it.to_string()))
    };
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
