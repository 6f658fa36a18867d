//! fastText's form: a text a line, with its labels as words before it (`__label__x`).

use crate::inflate::Count;
use crate::refusal;
use crate::row::{Row, SAMPLE_ROWS, Sample};
use crate::source::ROW_BYTES_MAX;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use std::io::{BufRead, BufReader, Read};

const PREFIX: &str = "__label__";

/// Whether most of the first lines are of this form.
pub(crate) fn is_it(head: &str) -> bool {
    let lines: Vec<&str> = head.lines().filter(|it| !it.trim().is_empty()).take(20).collect();
    let labelled = lines.iter().filter(|it| it.trim_start().starts_with(PREFIX)).count();
    lines.len() < 2 * labelled
}

pub(crate) fn sample(text: &str) -> Sample {
    let lines = text.lines().filter(|it| !it.trim().is_empty()).take(SAMPLE_ROWS);
    let columns = ["label", "text"].map(String::from).into();
    Sample { columns, rows: lines.map(|it| cells(it).into()).collect(), headerless: false }
}

pub(crate) fn rows(
    name: &str,
    text: impl Read,
    row_left: &Count,
    wanted: &[usize],
    each: &mut dyn FnMut(Row) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut reader = BufReader::with_capacity(1 << 16, text);
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        row_left.set(ROW_BYTES_MAX);
        let n = reader
            .read_until(b'\n', &mut bytes)
            .map_err(|err| refusal::reading(&format!("{name} line {line}"), &err))?;
        if n == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&bytes);
        if !text.trim().is_empty() {
            let cells = cells(&text);
            let cell = |it: &usize| cells.get(*it).cloned().unwrap_or(Cell::Missing);
            each(Row { line, cells: Ok(wanted.iter().map(cell).collect()) })?;
        }
    }
    Ok(())
}

/// Labels may stand anywhere in the line.
fn cells(line: &str) -> [Cell; 2] {
    let (labels, words): (Vec<&str>, Vec<&str>) =
        line.split_whitespace().partition(|it| PREFIX.len() < it.len() && it.starts_with(PREFIX));
    let labels = labels.into_iter().map(|it| Cell::Text(it[PREFIX.len()..].into())).collect();
    [Cell::List(labels), Cell::Text(words.join(" "))]
}
