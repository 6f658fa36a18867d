//! What readers of tables give, whatever the format.

use crate::quarantine::Reason;
use finetuned_answers::Cell;

/// Rows that decide delimiter, header and columns.
pub(crate) const SAMPLE_ROWS: usize = 1000;

pub(crate) struct Row {
    /// Line, or number of the row for formats without lines; counts from 1.
    pub(crate) line: u64,
    /// One for each wanted column, in the order in which they were asked for.
    pub(crate) cells: Result<Vec<Cell>, Reason>,
}

/// The start of a table.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
    /// Column names are ours, because the file has none.
    pub(crate) headerless: bool,
}
