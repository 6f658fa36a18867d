//! Files with a text a line, and perhaps its labels before it: what they have in common.

use crate::inflate::Count;
use crate::row::{Row, SAMPLE_ROWS, Sample};
use crate::source::each_line;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use std::io::Read;

/// How a line becomes a row.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) columns: &'static [&'static str],
    /// Of a line that is not blank: one for each column.
    pub(crate) cells: fn(&str) -> Vec<Cell>,
}

/// A text and nothing else.
pub(crate) const PLAIN: Form =
    Form { columns: &["text"], cells: |line| vec![Cell::Text(line.trim().into())] };

impl Form {
    pub(crate) fn sample(&self, text: &str) -> Sample {
        let lines = text.lines().filter(|it| !it.trim().is_empty()).take(SAMPLE_ROWS);
        let columns = self.columns.iter().map(|it| (*it).into()).collect();
        Sample { columns, rows: lines.map(self.cells).collect(), headerless: false }
    }

    pub(crate) fn rows(
        &self,
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
            let cells = (self.cells)(&text);
            let cell = |it: &usize| cells.get(*it).cloned().unwrap_or(Cell::Missing);
            each(Row { line, cells: Ok(wanted.iter().map(cell).collect()) })
        })
    }
}
