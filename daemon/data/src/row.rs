//! What readers of tables give, whatever the format.

use crate::quarantine::Reason;
use finetuned_answers::{Cell, Embedded};

/// Rows that decide delimiter, header and columns.
pub(crate) const SAMPLE_ROWS: usize = 1000;

#[derive(Debug, Clone)]
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

/// All rows of a table that can't be read piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// With a cell for each column.
    pub(crate) rows: Vec<Row>,
    /// How it was read, in sentences that follow its name.
    pub(crate) notes: Vec<String>,
}

impl Held {
    pub(crate) fn new(columns: Vec<String>, rows: Vec<Row>, headerless: bool) -> (Sample, Held) {
        let usable = rows.iter().filter_map(|it| it.cells.as_ref().ok());
        let sampled = usable.take(SAMPLE_ROWS).cloned().collect();
        let held = Held { rows, notes: Vec::new() };
        (Sample { columns, rows: sampled, headerless }, held)
    }

    pub(crate) fn row(&self, idx: usize, wanted: &[usize]) -> Option<Row> {
        let row = self.rows.get(idx)?;
        let of = |cells: &Vec<Cell>| {
            wanted.iter().map(|it| cells.get(*it).cloned().unwrap_or(Cell::Missing)).collect()
        };
        let cells = row.cells.as_ref().map(of).map_err(Reason::clone);
        Some(Row { line: row.line, cells })
    }
}

/// Nobody writes more records above a header, as a title and empty ones.
pub(crate) const ABOVE_MAX: usize = 10;

/// What a person should know of records above a header, where there are any.
pub(crate) fn above_note(above: usize) -> Option<String> {
    (0 < above).then(|| format!("lines above the header were left out: {above}"))
}

/// Whether nine in ten are so at least, and one: what is asked of a column before it is taken for
/// something.
pub(crate) fn nearly_all(values: impl Iterator<Item = bool>) -> bool {
    let (n, hits) = values.fold((0, 0), |(n, hits), it| (n + 1, hits + usize::from(it)));
    0 < hits && n <= hits + n / 10
}

/// `{bytes, path}` is an image, whichever of the two there is; other fields stay what they are.
pub(crate) fn structure(fields: Vec<(String, Cell)>) -> Cell {
    if !fields.iter().any(|it| it.0 == "bytes") {
        return Cell::Fields(fields);
    }
    let mut image = Embedded::default();
    for (name, cell) in fields {
        match (name.as_str(), cell) {
            ("bytes", Cell::Bytes(it)) => image.bytes = Some(it),
            ("path", Cell::Text(it)) => image.path = Some(it),
            _ => {}
        }
    }
    Cell::Image(image)
}

/// Leaves the start of long bytes, which tells what they are; gives how long bytes and texts were.
pub(crate) fn shorten(cell: &mut Cell) -> usize {
    const HEAD_BYTES: usize = 64;
    match cell {
        Cell::Bytes(bytes) | Cell::Image(Embedded { bytes: Some(bytes), .. }) => {
            let n = bytes.len();
            bytes.truncate(HEAD_BYTES);
            bytes.shrink_to_fit();
            n
        }
        Cell::Text(text) => text.len(),
        _ => 0,
    }
}
