//! Cells -> any number of classes each: a list in one column, or a column of 0 and 1 for each
//! class. Only a list may be empty.

use crate::cell::Cell;
use crate::labels::{CLASSES_MAX, Labels, label_of};
use crate::numbers::numerals::Numerals;
use crate::reading::{Columns, Look, Outputs, Reason, Refused, TargetKind, TargetReader};
use crate::target::Target;
use finetuned_job::outcome::Failure;
use finetuned_job::task::Answer;
use std::collections::{BTreeMap, HashSet};

pub(crate) struct Kind;

impl TargetKind for Kind {
    fn answer(&self) -> Answer {
        Answer::Classes
    }

    fn look(&self, columns: &Columns<'_>) -> Look {
        match &columns.names[..] {
            [] => Look::No,
            [name] if columns.known(0).any(holds_objects) => Look::Doubt(of_objects(name)),
            [name] => match separator_seen(columns) {
                Some((_, how)) => Look::Yes(format!("`{name}` {how}: several labels are learnt")),
                None => Look::No,
            },
            _ => several(columns),
        }
    }

    fn reader(&self, columns: &Columns<'_>) -> Result<Box<dyn TargetReader>, String> {
        let mut labels = Labels::default();
        if columns.names.len() == 1 && !is_flag_column(columns, 0) {
            if columns.known(0).any(holds_objects) {
                return Err(of_objects(columns.names[0]));
            }
            let separator = separator_asked(columns)?;
            return Ok(Box::new(Lists { labels, separator }));
        }
        let minus = (0..columns.names.len()).all(|it| is_plus_minus(columns, it));
        let is_flag = |it: &Cell| it.yes_or_no().is_some() || minus;
        let mut ticked = Vec::new();
        for (column, name) in columns.names.iter().enumerate() {
            ticked.push(is_ticked(columns, column));
            if !ticked[column] && !columns.nearly_all(column, is_flag) {
                let odd = columns.known(column).find(|it| !is_flag(it)).map(Cell::shown);
                let odd = odd.unwrap_or_else(|| "empty throughout".into());
                return Err(format!("`{name}` is {odd}, neither 0 nor 1"));
            }
            // Also those that no example belongs to.
            labels
                .number((*name).into())
                .map_err(|_| format!("there are more than {CLASSES_MAX} columns of 0 and 1"))?;
        }
        let names = columns.names.iter().map(|it| (*it).into()).collect();
        Ok(Box::new(Flags { labels, names, ticked, minus }))
    }

    /// A column of a usual name, else all columns of 0 and 1. Words for yes and no, and ticks,
    /// stand in columns that only describe too: beside others they are no labels.
    fn unnamed(&self, columns: &Columns<'_>, usual: Option<usize>) -> Vec<usize> {
        let all = 0..columns.names.len();
        // With -1 among them it is said below what is wrong.
        let mut flags: Vec<usize> =
            all.filter(|it| is_flag_column(columns, *it) || has_signs(columns, *it)).collect();
        if flags.len() < columns.names.len() {
            let is_sure =
                |it: &usize| has_signs(columns, *it) || columns.all(*it, |it| it.flag().is_some());
            flags.retain(is_sure);
        }
        match (usual, columns.names.len()) {
            (Some(usual), _) => vec![usual],
            (None, _) if 2 <= flags.len() => flags,
            (None, 1) => vec![0],
            (None, _) => Vec::new(),
        }
    }

    fn all_alike(
        &self,
        n: usize,
        _: &Target,
        outputs: &[String],
    ) -> Option<(String, &'static str)> {
        Some(match outputs {
            [] => (format!("none of the {n} examples has a label"), "name the column of labels"),
            _ => {
                (format!("all {n} examples have the same labels"), "there is nothing to tell apart")
            }
        })
    }

    fn not_in_folders(&self) -> Option<&'static str> {
        Some("several labels to an example")
    }
}

fn is_flag_column(columns: &Columns<'_>, column: usize) -> bool {
    columns.all(column, |it| it.yes_or_no().is_some()) || is_ticked(columns, column)
}

/// Whether a mark stands wherever anything does: what is empty has none.
fn is_ticked(columns: &Columns<'_>, column: usize) -> bool {
    columns.all(column, is_tick)
}

fn is_tick(cell: &Cell) -> bool {
    let is_it = |it: &str| matches!(it, "x" | "X" | "\u{2713}" | "\u{2714}");
    matches!(cell, Cell::Text(it) if is_it(it.trim()))
}

/// A list of objects, as Python or JSON writes them into a cell.
fn holds_objects(cell: &Cell) -> bool {
    match cell {
        Cell::Text(it) => brackets(it.trim()).is_some_and(|it| it.trim_start().starts_with('{')),
        Cell::List(it) => it.iter().any(|it| matches!(it, Cell::Fields(_))),
        _ => false,
    }
}

fn of_objects(name: &str) -> String {
    format!(
        "`{name}` holds lists of objects, of which nobody says what the label is: write a list of the labels alone, as ['a', 'b'] or a|b"
    )
}

fn is_plus_minus(columns: &Columns<'_>, column: usize) -> bool {
    columns.all(column, |it| it.number(false).is_some_and(|it| it.abs() == 1.0))
}

fn has_signs(columns: &Columns<'_>, column: usize) -> bool {
    columns.all(column, |it| it.number(false).is_some_and(|it| [-1.0, 0.0, 1.0].contains(&it)))
}

fn several(columns: &Columns<'_>) -> Look {
    let all = 0..columns.names.len();
    let n = columns.names.len();
    if all.clone().all(|it| is_flag_column(columns, it)) {
        return Look::Yes(format!("{n} columns of 0 and 1: several labels are learnt"));
    }
    if all.clone().all(|it| is_plus_minus(columns, it)) {
        return Look::Yes(format!("{n} columns of -1 and 1: several labels are learnt"));
    }
    let uncertain = all.clone().find(|it| !is_flag_column(columns, *it));
    match uncertain {
        Some(column) if all.clone().all(|it| has_signs(columns, it)) => Look::Doubt(format!(
            "`{}` holds -1 beside 0 and 1, and whether -1 means no or unknown can't be told: write 0 or 1 for it, or leave the row out",
            columns.names[column]
        )),
        Some(column) if all.clone().filter(|it| is_flag_column(columns, *it)).count() + 1 == n => {
            let odd = columns.known(column).find(|it| it.yes_or_no().is_none());
            if odd.is_some_and(|it| it.number(true).is_none()) {
                return Look::Doubt(format!(
                    "`{}` is {} in one row, and the other columns are 0 and 1",
                    columns.names[column],
                    odd.map(Cell::shown).unwrap_or_default()
                ));
            }
            Look::No
        }
        _ => Look::No,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    Char(char),
    /// Where nothing else occurs in the column: without it no example would have two labels.
    Space,
}

/// What divides the labels, and how that shows; nothing where the cells are no lists.
fn separator_seen(columns: &Columns<'_>) -> Option<(Separator, String)> {
    if columns.known(0).any(|it| matches!(it, Cell::List(labels) if 1 < labels.len())) {
        return Some((usual(columns), "holds lists".into()));
    }
    if columns.nearly_all(0, |it| matches!(it, Cell::Text(it) if brackets(it.trim()).is_some())) {
        return Some((usual(columns), "holds lists in brackets".into()));
    }
    let bar = Separator::Char('|');
    let most = 2 * columns.known(0).filter(|it| holds(it, '|')).count() > columns.known(0).count();
    if most || combined(columns, bar).is_some() {
        return Some((bar, "holds labels divided by |".into()));
    }
    let of = |separator: Separator, spoken: &str| {
        let labels = combined(columns, separator)?;
        Some((separator, format!("holds combinations of {labels} labels, divided by {spoken}")))
    };
    of(Separator::Char(';'), ";")
        .or_else(|| of(Separator::Char(','), ","))
        .or_else(|| of(Separator::Space, "white space"))
        .or_else(|| of(Separator::Char('+'), "+"))
        .or_else(|| of(Separator::Char('/'), "/"))
        .or_else(|| of(Separator::Char('&'), "&"))
        // As doccano writes several labels into CSV.
        .or_else(|| of(Separator::Char('#'), "#"))
}

/// The same where a person says that the cells are lists.
fn separator_asked(columns: &Columns<'_>) -> Result<Separator, String> {
    if let Some((separator, _)) = separator_seen(columns) {
        return Ok(separator);
    }
    let usual = usual(columns);
    let several = |it: &Cell| match it {
        Cell::List(_) => true,
        Cell::Text(it) => 1 < pieces(it, usual).len(),
        _ => false,
    };
    match columns.known(0).any(several) {
        true => Ok(usual),
        false => Err(format!("no cell of `{}` holds several labels", columns.names[0])),
    }
}

fn holds(cell: &Cell, separator: char) -> bool {
    matches!(cell, Cell::Text(it) if it.contains(separator))
}

/// How many labels there are, if the parts of values come again in others: `a,b` beside `a` and
/// `b,c`. Parts divided by white space must each be a value of their own: labels may well have two
/// words, and `+`, `/`, `&` and `#` in them. Numbers with a decimal comma are no lists.
fn combined(columns: &Columns<'_>, separator: Separator) -> Option<usize> {
    /// Of all parts; a rare label may occur in one combination only.
    const SHARE_MIN: f64 = 0.9;
    let values: HashSet<&str> = columns
        .known(0)
        .filter_map(|it| if let Cell::Text(it) = it { Some(it.trim()) } else { None })
        .collect();
    let with_unit = || matches!(Numerals::of(columns, 0), Ok(Some(it)) if it.unit.is_some());
    if columns.nearly_all(0, |it| it.number(true).is_some()) || with_unit() {
        return None;
    }
    let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut combinations = Vec::new();
    for value in &values {
        let of_value = pieces(value, separator);
        of_value.iter().for_each(|it| *parts.entry(it).or_default() += 1);
        if 1 < of_value.len() {
            combinations.push(of_value);
        }
    }
    let known = |it: &&&str| match separator {
        Separator::Char('+' | '/' | '&' | '#') | Separator::Space => values.contains(**it),
        Separator::Char(_) => 1 < parts[**it],
    };
    let all: Vec<&&str> = combinations.iter().flatten().collect();
    let again = all.iter().filter(|it| known(it)).count();
    let share = again as f64 / all.len().max(1) as f64;
    let enough = match separator {
        Separator::Char('+' | '/' | '&' | '#') | Separator::Space => 1.0,
        // Hardly ever a part of a label's own name.
        Separator::Char('|') => 0.5,
        Separator::Char(_) => SHARE_MIN,
    };
    (!all.is_empty() && enough <= share && parts.len() < values.len()).then_some(parts.len())
}

/// The first of the usual ones that occurs in the column.
fn usual(columns: &Columns<'_>) -> Separator {
    let occurs = |c: &char| columns.known(0).any(|it| holds(it, *c));
    ['|', ';', ','].into_iter().find(occurs).map_or(Separator::Space, Separator::Char)
}

/// Lists as pandas and JSON write them into CSV: ['a', 'b'].
fn brackets(text: &str) -> Option<&str> {
    text.strip_prefix('[').and_then(|it| it.strip_suffix(']'))
}

fn pieces(text: &str, separator: Separator) -> Vec<&str> {
    let pieces: Vec<&str> = match separator {
        Separator::Char(c) => text.split(c).collect(),
        Separator::Space => text.split_whitespace().collect(),
    };
    let pieces = pieces.into_iter().map(|it| it.trim().trim_matches(['\'', '"']).trim());
    pieces.filter(|it| !it.is_empty()).collect()
}

struct Lists {
    labels: Labels,
    separator: Separator,
}

impl TargetReader for Lists {
    fn read(&mut self, mut cells: Vec<Cell>) -> Result<Target, Refused> {
        let labels = match cells.pop().unwrap_or(Cell::Missing) {
            it if it.is_missing() => Vec::new(),
            Cell::List(items) => items.into_iter().map(label_of).collect::<Result<_, _>>()?,
            Cell::Text(text) => {
                let (inner, separator) = match brackets(text.trim()) {
                    Some(inner) => (
                        inner,
                        if inner.contains(',') { Separator::Char(',') } else { self.separator },
                    ),
                    None => (text.trim(), self.separator),
                };
                let pieces = pieces(inner, separator);
                pieces
                    .into_iter()
                    .map(|it| label_of(Cell::Text(it.into())))
                    .collect::<Result<_, _>>()?
            }
            other => vec![label_of(other)?],
        };
        self.labels.set(labels)
    }

    fn finish(self: Box<Self>, targets: &mut [&mut Target]) -> Result<Outputs, Failure> {
        Ok(self.labels.finish(targets))
    }
}

struct Flags {
    labels: Labels,
    names: Vec<String>,
    /// For each, whether it holds a mark or nothing.
    ticked: Vec<bool>,
    /// -1 stands for 0.
    minus: bool,
}

impl TargetReader for Flags {
    fn read(&mut self, cells: Vec<Cell>) -> Result<Target, Refused> {
        let mut labels = Vec::new();
        for ((cell, column), ticked) in cells.iter().zip(&self.names).zip(&self.ticked) {
            let flag = match cell.yes_or_no() {
                None if *ticked && cell.is_missing() => Some(false),
                None if *ticked && is_tick(cell) => Some(true),
                None if self.minus && cell.number(false) == Some(-1.0) => Some(false),
                flag => flag,
            };
            match flag {
                Some(true) => labels.push(column.clone()),
                Some(false) => {}
                None if cell.is_missing() => return Err(Reason::NoFlag(column.clone()).into()),
                None => return Err(Reason::NotZeroOrOne(column.clone(), cell.shown()).into()),
            }
        }
        self.labels.set(labels)
    }

    fn finish(self: Box<Self>, targets: &mut [&mut Target]) -> Result<Outputs, Failure> {
        Ok(self.labels.finish(targets))
    }
}
