//! Decides which columns of a table say the split of each row, and what their values mean: words,
//! or flags such as fastai's `is_valid`. Numbers of folds mean nothing by themselves, and a warning
//! names them.

use crate::names::{self, SPLIT_FLAGS, SPLIT_NAMES};
use crate::quarantine::Reason;
use crate::refusal;
use crate::split_names;
use crate::table::Table;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;

/// Columns that say it together: one of words, or flags.
#[derive(Debug, Clone, Default)]
pub(crate) struct SplitColumns {
    pub(crate) columns: Vec<usize>,
    pub(crate) values: Values,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Values {
    #[default]
    Words,
    /// What true of each stands for.
    Flags(Vec<Split>),
}

const NONE: Reason = Reason::LeftOut("in no split");

impl Values {
    /// The split of a row; nothing where no column says it.
    pub(crate) fn split(&self, cells: &[Cell]) -> Result<Option<Split>, Reason> {
        match (self, cells) {
            (_, []) => Ok(None),
            (Values::Words, [Cell::Text(it), ..]) if split_names::is_unlabelled(it) => {
                Err(Reason::LeftOut("not labelled"))
            }
            (Values::Words, [Cell::Text(it), ..]) => split_of(it).map(Some).ok_or(NONE),
            (Values::Words, _) => Err(NONE),
            (Values::Flags(splits), _) => {
                let flags: Option<Vec<bool>> = cells.iter().map(Cell::yes_or_no).collect();
                let flags = flags.ok_or(NONE)?;
                let mut named: Vec<Split> =
                    splits.iter().zip(flags).filter(|it| it.1).map(|it| *it.0).collect();
                named.dedup();
                match named[..] {
                    [] => none_of(splits).map(Some).ok_or(NONE),
                    [split] => Ok(Some(split)),
                    _ => Err(Reason::LeftOut("in two splits")),
                }
            }
        }
    }

    /// In sentences.
    fn shown(&self) -> String {
        let Values::Flags(splits) = self else { return "the names of splits".into() };
        let names: Vec<&str> = splits.iter().map(|it| it.name()).collect();
        let rest = none_of(splits).map_or("no split", Split::name);
        let other = if splits.len() == 1 { "false" } else { "none true" };
        format!("true is {}, {other} is {rest}", names.join(" and "))
    }
}

/// Where no flag is true: the split that has none, train before test.
fn none_of(flags: &[Split]) -> Option<Split> {
    [Split::Train, Split::Test, Split::Validation].into_iter().find(|it| !flags.contains(it))
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
) -> Result<SplitColumns, Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let known = |column: usize| {
        table.sample.rows.iter().map(move |it| &it[column]).filter(|it| !it.is_missing())
    };
    let is_word = |it: &Cell| matches!(it, Cell::Text(it) if is_split(it));
    let all = |column: usize, is: &dyn Fn(&Cell) -> bool| {
        known(column).next().is_some() && known(column).all(is)
    };
    let words = |column| SplitColumns { columns: vec![column], values: Values::Words };
    // What is called so and is one, whatever stands first in the list of names.
    let mut usual: Vec<usize> =
        SPLIT_NAMES.iter().filter_map(|name| names::usual(columns, &[name], free)).collect();
    let ends = |it: &usize| names::ends_as_split(&columns[*it]) && !usual.contains(it);
    let by_end: Vec<usize> = free.iter().copied().filter(ends).collect();
    usual.extend(by_end);
    if let Some(column) = usual.iter().copied().find(|it| all(*it, &is_word)) {
        return Ok(words(column));
    }
    for column in usual.iter().copied() {
        let odd = known(column).find(|it| !is_word(it));
        if let (Some(odd), true) = (odd, known(column).any(is_train)) {
            let place = table.place_of(column, &|it| it == odd);
            return Err(refusal::data(format!(
                "{place}: `{}` holds splits and {}, which is none",
                columns[column],
                odd.shown()
            ))
            .with_cure("write train, validation or test into every row, or remove the column"));
        }
    }
    // Something must be left to be learnt.
    if !named && free.len() < 2 {
        return Ok(SplitColumns::default());
    }
    let flags = flags(columns, free, &|it| all(it, &|it| it.yes_or_no().is_some()));
    if !flags.columns.is_empty() {
        let names: Vec<&str> = flags.columns.iter().map(|it| &*columns[*it]).collect();
        let divide = if names.len() == 1 { "divides" } else { "divide" };
        let (names, shown) = (names.join("`, `"), flags.values.shown());
        warnings.push(format!("`{names}` {divide} the examples: {shown}"));
        return Ok(flags);
    }
    if let Some(column) = usual.into_iter().find(|it| all(*it, &is_number)) {
        warnings.push(format!(
            "{file}: `{}` holds numbers, of which nobody says which split each is: it was not used, and examples are divided at random (write train, validation and test into it, or remove it)",
            columns[column]
        ));
        return Ok(SplitColumns::default());
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
    Ok(by_values.map(words).unwrap_or_default())
}

fn flags(columns: &[String], free: &[usize], is_flags: &dyn Fn(usize) -> bool) -> SplitColumns {
    let find = |(name, yes): &(&str, Split)| {
        Some((names::usual(columns, &[name], free).filter(|it| is_flags(*it))?, *yes))
    };
    let mut found: Vec<(usize, Split)> = SPLIT_FLAGS.iter().filter_map(find).collect();
    found.sort_by_key(|it| it.1);
    let (columns, splits) = found.into_iter().unzip();
    SplitColumns { columns, values: Values::Flags(splits) }
}

fn is_number(cell: &Cell) -> bool {
    match cell {
        Cell::Integer(_) => true,
        Cell::Text(it) => it.trim().parse::<i64>().is_ok(),
        _ => false,
    }
}

fn is_train(cell: &Cell) -> bool {
    let is_it = |it: &str| is_split(it) && split_of(it) == Some(Split::Train);
    matches!(cell, Cell::Text(it) if is_it(it))
}

fn is_split(word: &str) -> bool {
    split_names::is_split_folder(word.trim()) || split_names::is_unlabelled(word) || is_trial(word)
}

/// The split that a value names.
fn split_of(word: &str) -> Option<Split> {
    split_names::split_of(word).or_else(|| is_trial(word).then_some(Split::Validation))
}

/// As SemEval calls what models are tried on. Of a folder or a file the word says nothing.
fn is_trial(word: &str) -> bool {
    word.trim().eq_ignore_ascii_case("trial")
}

/// Columns that are named as one of splits is, and hold numbers: nothing to be learnt.
pub(crate) fn is_fold(name: &str) -> bool {
    SPLIT_NAMES.iter().any(|it| names::is_same(name, it))
}
