//! Cells -> what is to be learnt of an image. A missing or impossible value makes the row unusable;
//! only a list of labels may be empty.

use super::Target;
use crate::classes::Classes;
use crate::gather::label_of;
use crate::layout;
use crate::quarantine::{Reason, Usable};
use crate::reading::named_label;
use crate::table::{Cell, Sample};
use finetuned_job::task::Answer;

/// How target columns are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Label,
    /// One column; the separator where it holds no real lists.
    Labels(Separator),
    /// A column of 0 and 1 for each class.
    Flags,
    Numbers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    Char(char),
    /// Where nothing else occurs in the column, so that without it no image would have two labels.
    Space,
}

impl Kind {
    pub(super) fn problem(self) -> Answer {
        match self {
            Kind::Label => Answer::Class,
            Kind::Labels(_) | Kind::Flags => Answer::Classes,
            Kind::Numbers => Answer::Numbers,
        }
    }

    /// `problem`: what the recipe says. Or what is wrong.
    pub(super) fn of(
        sample: &Sample,
        targets: &[usize],
        problem: Option<Answer>,
    ) -> Result<Kind, String> {
        let all = |is: fn(&Sample, usize) -> bool| targets.iter().all(|it| is(sample, *it));
        match (problem, targets) {
            (Some(Answer::Numbers), _) => Ok(Kind::Numbers),
            (Some(Answer::Class) | None, [only]) if problem.is_some() || !(are_lists(sample, *only) || are_fractions(sample, *only)) => {
                Ok(Kind::Label)
            }
            (Some(Answer::Class), _) => Err("one label to an image stands in one column, but several are named".into()),
            (Some(Answer::Classes), [only]) if !are_flags(sample, *only) => Ok(Kind::Labels(separator(sample, *only))),
            (Some(Answer::Classes), _) => Ok(Kind::Flags),
            (None, [only]) if are_fractions(sample, *only) => Ok(Kind::Numbers),
            (None, [only]) => Ok(Kind::Labels(separator(sample, *only))),
            (None, _) if all(are_flags) => Ok(Kind::Flags),
            (None, _) if all(are_numbers) => Ok(Kind::Numbers),
            (None, _) => Err("several columns are to be learnt, and they are neither all 0 and 1 nor all numbers".into()),
        }
    }
}

fn known(sample: &Sample, column: usize) -> impl Iterator<Item = &Cell> {
    sample.rows.iter().map(move |row| &row[column]).filter(|it| !matches!(it, Cell::Missing))
}

fn all(sample: &Sample, column: usize, is: impl Fn(&Cell) -> bool) -> bool {
    let mut known = known(sample, column).peekable();
    known.peek().is_some() && known.all(is)
}

pub(super) fn are_flags(sample: &Sample, column: usize) -> bool {
    all(sample, column, |it| flag(it).is_some())
}

/// But for a few broken ones.
pub(super) fn are_numbers(sample: &Sample, column: usize) -> bool {
    let (n, hits) = known(sample, column)
        .fold((0, 0), |(n, hits), it| (n + 1, hits + usize::from(number(it).is_some())));
    0 < n && n <= hits + hits / 9
}

fn are_fractions(sample: &Sample, column: usize) -> bool {
    are_numbers(sample, column)
        && known(sample, column).filter_map(number).any(|it| it.fract() != 0.0)
}

fn are_lists(sample: &Sample, column: usize) -> bool {
    known(sample, column)
        .any(|it| matches!(it, Cell::List(_)) || matches!(it, Cell::Text(it) if it.contains('|')))
}

pub(super) fn are_splits(sample: &Sample, column: usize) -> bool {
    all(sample, column, |it| matches!(it, Cell::Text(it) if layout::is_split_folder(it.trim())))
}

fn separator(sample: &Sample, column: usize) -> Separator {
    let occurs =
        |c: &char| known(sample, column).any(|it| matches!(it, Cell::Text(it) if it.contains(*c)));
    ['|', ';', ','].into_iter().find(occurs).map_or(Separator::Space, Separator::Char)
}

fn flag(cell: &Cell) -> Option<bool> {
    match cell {
        Cell::Bool(it) => Some(*it),
        Cell::Text(it) => match it.trim() {
            "0" | "0.0" => Some(false),
            "1" | "1.0" => Some(true),
            it if it.eq_ignore_ascii_case("false") => Some(false),
            it if it.eq_ignore_ascii_case("true") => Some(true),
            _ => None,
        },
        Cell::Integer(0) => Some(false),
        Cell::Integer(1) => Some(true),
        Cell::Fraction(it) if *it == 0.0 => Some(false),
        Cell::Fraction(it) if *it == 1.0 => Some(true),
        _ => None,
    }
}

/// Finite.
fn number(cell: &Cell) -> Option<f64> {
    let number = match cell {
        Cell::Text(it) => it.trim().parse().ok()?,
        Cell::Integer(it) => *it as f64,
        Cell::Fraction(it) => *it,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

fn is_missing(cell: &Cell) -> bool {
    match cell {
        Cell::Missing => true,
        Cell::Fraction(it) => it.is_nan(),
        Cell::Text(it) => it.trim().is_empty() || it.trim().eq_ignore_ascii_case("nan"),
        _ => false,
    }
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Text(it) => format!("`{}`", it.trim().escape_debug()),
        Cell::Integer(it) => it.to_string(),
        Cell::Fraction(it) => it.to_string(),
        Cell::Bool(it) => it.to_string(),
        Cell::List(_) => "a list".into(),
        Cell::Missing | Cell::Bytes(_) | Cell::Image(_) | Cell::Other(_) => "something else".into(),
    }
}

/// What the target columns of one table mean.
pub(super) struct Reader<'a> {
    pub(super) kind: Kind,
    pub(super) file: &'a str,
    /// Names of the target columns.
    pub(super) columns: Vec<&'a str>,
    /// Of integer labels.
    pub(super) names: Option<&'a Vec<String>>,
}

impl Reader<'_> {
    /// `cells`: one for each target column.
    pub(super) fn read(&self, mut cells: Vec<Cell>, classes: &mut Classes) -> Usable<Target> {
        let labels = match self.kind {
            Kind::Label => {
                match label_of(named_label(cells.pop().unwrap_or(Cell::Missing), self.names)) {
                    Ok(label) => return Ok(Ok(Target::Class(classes.number(label, self.file)?))),
                    Err(reason) => Err(reason),
                }
            }
            Kind::Numbers => return Ok(self.numbers(&cells)),
            Kind::Labels(separator) => self.labels(cells.pop().unwrap_or(Cell::Missing), separator),
            Kind::Flags => self.flags(&cells),
        };
        let labels = match labels {
            Ok(labels) => labels,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut numbers = labels
            .into_iter()
            .map(|it| classes.number(it, self.file))
            .collect::<Result<Vec<_>, _>>()?;
        numbers.sort_unstable();
        numbers.dedup();
        Ok(Ok(Target::Classes(numbers.into())))
    }

    fn numbers(&self, cells: &[Cell]) -> Result<Target, Reason> {
        let read = |(cell, column): (&Cell, &&str)| match number(cell) {
            Some(number) => Ok(number),
            None if is_missing(cell) => Err(Reason::NoNumber((*column).into())),
            None => Err(Reason::NotANumber((*column).into(), shown(cell))),
        };
        cells
            .iter()
            .zip(&self.columns)
            .map(read)
            .collect::<Result<Box<[f64]>, _>>()
            .map(Target::Numbers)
    }

    fn flags(&self, cells: &[Cell]) -> Result<Vec<String>, Reason> {
        let mut labels = Vec::new();
        for (cell, column) in cells.iter().zip(&self.columns) {
            match flag(cell) {
                Some(true) => labels.push((*column).to_string()),
                Some(false) => {}
                None if is_missing(cell) => return Err(Reason::NoNumber((*column).into())),
                None => return Err(Reason::NotZeroOrOne((*column).into(), shown(cell))),
            }
        }
        Ok(labels)
    }

    fn labels(&self, cell: Cell, separator: Separator) -> Result<Vec<String>, Reason> {
        match cell {
            Cell::Missing => Ok(Vec::new()),
            Cell::List(items) => {
                items.into_iter().map(|it| label_of(named_label(it, self.names))).collect()
            }
            Cell::Text(text) => {
                // Lists as pandas writes them into CSV: ['a', 'b'].
                let inner = text.trim();
                let inner =
                    inner.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(inner);
                let pieces: Vec<&str> = match separator {
                    Separator::Char(c) => inner.split(c).collect(),
                    Separator::Space => inner.split_whitespace().collect(),
                };
                let pieces =
                    pieces.into_iter().map(|it| it.trim().trim_matches(['\'', '"']).trim());
                pieces
                    .filter(|it| !it.is_empty())
                    .map(|it| label_of(Cell::Text(it.into())))
                    .collect()
            }
            other => Ok(vec![label_of(named_label(other, self.names))?]),
        }
    }
}
