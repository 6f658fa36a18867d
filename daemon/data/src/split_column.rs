//! Decides which column of a table says the split of each row, and what its values mean: words, or
//! a flag such as fastai's `is_valid`. Numbers of folds mean nothing by themselves, and a warning
//! names them.

use crate::names::{self, SPLIT_FLAGS, SPLIT_NAMES};
use crate::quarantine::Reason;
use crate::refusal;
use crate::split_names;
use crate::table::Table;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;

#[derive(Debug, Clone, Copy)]
pub(crate) struct SplitColumn {
    pub(crate) column: usize,
    pub(crate) values: Values,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    Words,
    /// What true stands for, and what false.
    Flags(Split, Split),
}

impl Values {
    /// The split of a row.
    pub(crate) fn split(self, cell: &Cell) -> Result<Split, Reason> {
        const NONE: Reason = Reason::LeftOut("in no split");
        match self {
            Values::Words => match cell {
                Cell::Text(it) if split_names::is_unlabelled(it) => {
                    Err(Reason::LeftOut("not labelled"))
                }
                Cell::Text(it) => split_names::split_of(it).ok_or(NONE),
                _ => Err(NONE),
            },
            Values::Flags(yes, no) => flag(cell).map(|it| if it { yes } else { no }).ok_or(NONE),
        }
    }
}

fn flag(cell: &Cell) -> Option<bool> {
    match cell {
        Cell::Bool(it) => Some(*it),
        Cell::Integer(0) => Some(false),
        Cell::Integer(1) => Some(true),
        Cell::Fraction(it) if *it == 0.0 => Some(false),
        Cell::Fraction(it) if *it == 1.0 => Some(true),
        Cell::Text(it) => match it.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "1.0" | "yes" | "y" | "t" => Some(true),
            "false" | "0" | "0.0" | "no" | "n" | "f" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// `free`: columns that are neither inputs nor named to be learnt. `named`: whether some are.
///
/// # Errors
/// A column of splits holds something else too.
pub(crate) fn find(
    table: &Table,
    free: &[usize],
    named: bool,
    warnings: &mut Vec<String>,
) -> Result<Option<SplitColumn>, Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let known = |column: usize| {
        table.sample.rows.iter().map(move |it| &it[column]).filter(|it| !it.is_missing())
    };
    let is_word = |it: &Cell| matches!(it, Cell::Text(it) if is_split(it));
    let all = |column: usize, is: &dyn Fn(&Cell) -> bool| {
        known(column).next().is_some() && known(column).all(is)
    };
    let words = |column| SplitColumn { column, values: Values::Words };
    // What is called so and is one, whatever stands first in the list of names.
    let usual: Vec<usize> =
        SPLIT_NAMES.iter().filter_map(|name| names::usual(columns, &[name], free)).collect();
    if let Some(column) = usual.iter().copied().find(|it| all(*it, &is_word)) {
        return Ok(Some(words(column)));
    }
    for column in usual.iter().copied() {
        let odd = known(column).find(|it| !is_word(it));
        if let (Some(odd), true) = (odd, known(column).any(is_train)) {
            return Err(refusal::data(format!(
                "{file}: `{}` holds splits and {}, which is none",
                columns[column],
                odd.shown()
            ))
            .with_cure("write train, validation or test into every row, or remove the column"));
        }
    }
    // Something must be left to be learnt.
    if !named && free.len() < 2 {
        return Ok(None);
    }
    let is_flags = |column: usize| all(column, &|it| flag(it).is_some());
    if let Some(found) = flags(columns, free, &is_flags) {
        let shown = match found.values {
            Values::Flags(yes, no) => format!("true is {}, false is {}", yes.name(), no.name()),
            Values::Words => String::new(),
        };
        warnings.push(format!("`{}` divides the examples: {shown}", columns[found.column]));
        return Ok(Some(found));
    }
    if let Some(column) = usual.into_iter().find(|it| all(*it, &is_number)) {
        warnings.push(format!(
            "{file}: `{}` holds numbers, of which nobody says which split each is: it was not used, and examples are divided at random (write train, validation and test into it, or remove it)",
            columns[column]
        ));
        return Ok(None);
    }
    // Whatever it is called: nobody tells train from test.
    let by_values = free
        .iter()
        .copied()
        .find(|it| all(*it, &is_word) && known(*it).any(is_train) && !known(*it).all(is_train));
    if let Some(column) = by_values {
        warnings.push(format!(
            "`{}` holds the names of splits and divides the examples",
            columns[column]
        ));
    }
    Ok(by_values.map(words))
}

fn flags(
    columns: &[String],
    free: &[usize],
    is_flags: &dyn Fn(usize) -> bool,
) -> Option<SplitColumn> {
    SPLIT_FLAGS.iter().find_map(|(name, yes, no)| {
        let column = names::usual(columns, &[name], free).filter(|it| is_flags(*it))?;
        Some(SplitColumn { column, values: Values::Flags(*yes, *no) })
    })
}

fn is_number(cell: &Cell) -> bool {
    match cell {
        Cell::Integer(_) => true,
        Cell::Text(it) => it.trim().parse::<i64>().is_ok(),
        _ => false,
    }
}

fn is_train(cell: &Cell) -> bool {
    let is_it = |it: &str| is_split(it) && split_names::split_of(it) == Some(Split::Train);
    matches!(cell, Cell::Text(it) if is_it(it))
}

fn is_split(word: &str) -> bool {
    split_names::is_split_folder(word.trim()) || split_names::is_unlabelled(word)
}

/// Columns that are named as one of splits is, and hold numbers: nothing to be learnt.
pub(crate) fn is_fold(name: &str) -> bool {
    SPLIT_NAMES.iter().any(|it| it.eq_ignore_ascii_case(name))
}
