//! fastText's form: a text a line, with its labels as words before it (`__label__x`).

use crate::inflate::Count;
use crate::row::{Row, SAMPLE_ROWS, Sample};
use crate::source::each_line;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use std::io::Read;

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
    each_line(name, text, row_left, &mut |line, bytes| {
        let text = String::from_utf8_lossy(bytes);
        if text.trim().is_empty() {
            return Ok(());
        }
        let cells = cells(&text);
        let cell = |it: &usize| cells.get(*it).cloned().unwrap_or(Cell::Missing);
        each(Row { line, cells: Ok(wanted.iter().map(cell).collect()) })
    })
}

/// Labels may stand anywhere in the line.
fn cells(line: &str) -> [Cell; 2] {
    let (labels, words): (Vec<&str>, Vec<&str>) =
        line.split_whitespace().partition(|it| PREFIX.len() < it.len() && it.starts_with(PREFIX));
    let labels = labels.into_iter().map(|it| Cell::Text(it[PREFIX.len()..].into())).collect();
    [Cell::List(labels), Cell::Text(words.join(" "))]
}
