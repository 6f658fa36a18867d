//! A text a line, in a file that says nothing else of them.

use crate::inflate::Count;
use crate::row::{Row, SAMPLE_ROWS, Sample};
use crate::source::each_line;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use std::io::Read;

pub(crate) fn sample(text: &str) -> Sample {
    let lines = text.lines().filter(|it| !it.trim().is_empty()).take(SAMPLE_ROWS);
    let rows = lines.map(|it| vec![Cell::Text(it.trim().into())]).collect();
    Sample { columns: vec!["text".into()], rows, headerless: false }
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
        let cells = wanted.iter().map(|_| Cell::Text(text.trim().into())).collect();
        each(Row { line, cells: Ok(cells) })
    })
}
