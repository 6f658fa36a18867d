//! Decides which columns of a table could be the label where no name says it: those that nearly
//! every row has, with a few values that recur. All rows are asked, since tables are often sorted
//! by their classes.

use crate::example::{Key, key_of};
use crate::inflate::Count;
use crate::names;
use crate::row::Row;
use crate::table::Table;
use finetuned_answers::{CLASSES_MAX, Cell};
use finetuned_job::outcome::Failure;
use std::collections::HashSet;

/// A column that could be the label, and two of its values.
pub(crate) struct Candidate {
    pub(crate) column: usize,
    shown: [String; 2],
}

impl Candidate {
    /// In a sentence.
    pub(crate) fn spoken(&self, columns: &[String]) -> String {
        format!("`{}` ({}, …)", columns[self.column], self.shown.join(", "))
    }
}

/// What columns could be.
pub(crate) struct Found {
    pub(crate) candidates: Vec<Candidate>,
    /// Whether all others hold ids, dates, texts, or one and the same value: no labels.
    pub(crate) others_are_none: bool,
}

/// What the cells of one column are.
#[derive(Default)]
struct Seen {
    filled: u64,
    /// Lists, objects and whatever else is no value of its own: they may well be learnt.
    compound: u64,
    /// The different values, up to [`VALUES_MAX`]: cells may be long.
    values: HashSet<Key>,
    first: Vec<String>,
    /// Cells whose value had been there before.
    again: u64,
    words: u64,
    numbers: u64,
    dates: u64,
    /// Numbers with a fraction, which could be learnt however seldom they recur.
    fractions: u64,
}

/// Different values that are remembered; in more of them nothing recurs enough.
const VALUES_MAX: usize = 100_000;
/// Rows with each class, on the average.
const ROWS_MIN: u64 = 3;
/// Of a text, on the average.
const WORDS_MIN: u64 = 3;

impl Seen {
    fn take(&mut self, cell: &Cell) {
        if cell.is_missing() {
            return;
        }
        let Some(value) = cell.value() else {
            self.compound += 1;
            return;
        };
        self.filled += 1;
        self.words += value.split_whitespace().count() as u64;
        let point = value.replacen(',', ".", 1);
        let is_number = point.parse::<f64>().is_ok();
        self.numbers += u64::from(is_number);
        self.fractions += u64::from(is_number && point.contains('.'));
        self.dates += u64::from(cell.is_date());
        let key = key_of(value.as_bytes());
        if self.values.contains(&key) {
            self.again += 1;
        } else if self.values.len() < VALUES_MAX {
            if self.first.len() < 2 {
                self.first.push(value.into_owned());
            }
            self.values.insert(key);
        }
    }

    fn candidate(&self, column: usize, rows: u64) -> Option<Candidate> {
        if self.filled < 2 * self.dates {
            return None;
        }
        let n = self.values.len();
        let recurs = n <= CLASSES_MAX && ROWS_MIN * n as u64 <= self.filled;
        let measured = self.filled < 2 * self.fractions;
        let is_filled = rows <= self.filled + rows / 10;
        let shown = self.first.clone().try_into().ok()?;
        (is_filled && (recurs || measured)).then_some(Candidate { column, shown })
    }

    /// Numbers that never recur may well be learnt, unless they are called as ids are.
    fn is_none(&self, name: &str) -> bool {
        let is_id = self.again == 0 && (2 * self.numbers <= self.filled || names::is_id(name));
        self.compound == 0
            && (is_id
                || self.values.len() < 2
                || self.filled < 2 * self.dates
                || WORDS_MIN * self.filled <= self.words)
    }
}

/// Of the columns `among`.
///
/// # Errors
/// The table can't be read.
pub(crate) fn find(table: &Table, among: &[usize]) -> Result<Found, Failure> {
    if among.is_empty() {
        return Ok(Found { candidates: Vec::new(), others_are_none: true });
    }
    let mut seen: Vec<Seen> = among.iter().map(|_| Seen::default()).collect();
    let mut rows = 0;
    table.rows(among, &Count::default(), &mut |Row { cells, .. }| {
        if let Ok(cells) = cells {
            rows += 1;
            seen.iter_mut().zip(&cells).for_each(|(it, cell)| it.take(cell));
        }
        Ok(())
    })?;
    let (mut candidates, mut others_are_none) = (Vec::new(), true);
    for (column, seen) in among.iter().zip(seen) {
        match seen.candidate(*column, rows) {
            Some(it) => candidates.push(it),
            None => others_are_none &= seen.is_none(&table.sample.columns[*column]),
        }
    }
    Ok(Found { candidates, others_are_none })
}
