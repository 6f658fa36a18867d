//! Decides whether a quote that nobody closed has taken the lines behind it into its field: these
//! lines are rows themselves.

use csv::StringRecord;
use std::collections::HashSet;

/// What the values of a column look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One of a few.
    Recurring(HashSet<String>),
    Number,
    Free,
}

impl Shape {
    /// Of a column of the sample.
    pub(crate) fn of<'a>(values: impl Iterator<Item = &'a str>) -> Shape {
        /// More different values than this are texts.
        const VALUES_MAX: usize = 200;
        let values: Vec<&str> = values.map(str::trim).filter(|it| !it.is_empty()).collect();
        let different: HashSet<String> = values.iter().map(|it| (*it).to_string()).collect();
        let numbers = values.iter().filter(|it| it.parse::<f64>().is_ok()).count();
        if different.len() <= VALUES_MAX && 3 * different.len() <= values.len() {
            Shape::Recurring(different)
        } else if 0 < numbers && values.len() <= numbers + numbers / 9 {
            Shape::Number
        } else {
            Shape::Free
        }
    }

    fn fits(&self, value: &str) -> bool {
        match self {
            Shape::Recurring(known) => known.contains(value),
            Shape::Number => value.parse::<f64>().is_ok(),
            Shape::Free => true,
        }
    }
}

/// Line ends inside of its fields.
pub(crate) fn line_ends(record: &StringRecord) -> u64 {
    record.iter().map(|it| pieces(it).count() as u64 - 1).sum()
}

/// How many lines of rows became one; nothing where line ends belong to a field. Lines of a field
/// alone in its row are lines of a text: nothing tells a row from them.
/// `shapes`: of the fields of a row.
pub(crate) fn lines(record: &StringRecord, delimiter: u8, shapes: &[Shape]) -> Option<u64> {
    if shapes.len() < 2 {
        return None;
    }
    let taken = |field: &str| {
        let mut lines: Vec<&str> = pieces(field).collect();
        // What stands behind the last line end is closed by a quote of another row.
        lines.pop();
        let rows = lines.iter().filter(|it| is_row(it, delimiter as char, shapes)).count();
        // With nothing that rows can be known by, a few lines with as many commas are prose.
        let least = if shapes.iter().all(|it| *it == Shape::Free) { 4 } else { 1 };
        least <= rows && lines.len() <= 2 * rows
    };
    let holds = record.iter().any(|it| it.contains(['\n', '\r']) && taken(it));
    holds.then(|| 1 + line_ends(record))
}

fn pieces(field: &str) -> impl Iterator<Item = &str> {
    let end = if field.contains('\n') { '\n' } else { '\r' };
    field.split(end)
}

fn is_row(line: &str, delimiter: char, shapes: &[Shape]) -> bool {
    line.split(delimiter).count() == shapes.len()
        && line.split(delimiter).zip(shapes).all(|(it, shape)| shape.fits(it.trim()))
}
