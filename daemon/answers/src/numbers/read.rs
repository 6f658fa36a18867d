//! Cells -> one or more numbers each.

use super::numerals::Numerals;
use crate::cell::Cell;
use crate::labels::is_code;
use crate::reading::{Columns, Look, Outputs, Reason, Refused, TargetKind, TargetReader};
use crate::target::Target;
use finetuned_job::outcome::Failure;
use finetuned_job::task::Answer;
use std::collections::HashSet;

pub(crate) struct Kind;

impl TargetKind for Kind {
    fn answer(&self) -> Answer {
        Answer::Numbers
    }

    fn look(&self, columns: &Columns<'_>) -> Look {
        let all = (0..columns.names.len()).map(|it| Numerals::of(columns, it));
        let all: Vec<Option<Numerals>> = match all.collect::<Result<_, _>>() {
            Ok(all) => all,
            Err(why) => return Look::Doubt(why),
        };
        match (&columns.names[..], &all[..]) {
            ([name], [Some(numerals)]) => one(columns, name, numerals),
            ([_, _, ..], _) if all.iter().all(Option::is_some) => {
                Look::Yes(format!("{} columns of numbers: numbers are learnt", all.len()))
            }
            _ => Look::No,
        }
    }

    fn reader(&self, columns: &Columns<'_>) -> Result<Box<dyn TargetReader>, String> {
        let mut all = Vec::new();
        for (column, name) in columns.names.iter().enumerate() {
            let Some(numerals) = Numerals::of(columns, column)? else {
                let odd = columns.known(column).find(|it| it.number(false).is_none());
                let odd = odd.map_or_else(|| "empty throughout".into(), Cell::shown);
                return Err(format!("`{name}` is {odd}, which is no number"));
            };
            let numbers: Vec<f64> =
                columns.known(column).filter_map(|it| numerals.number(it)).collect();
            if let Some(code) = code_of_unknown(&numbers) {
                return Err(format!(
                    "`{name}` is {code} in several rows, far from all others, as what is unknown is written: leave the cells empty there, or take the rows out"
                ));
            }
            all.push(((*name).into(), numerals));
        }
        Ok(Box::new(Reader { columns: all }))
    }

    /// A column of numbers with a usual name, else the only one of numbers.
    fn unnamed(&self, columns: &Columns<'_>, usual: Option<usize>) -> Vec<usize> {
        let all = 0..columns.names.len();
        let numbers: Vec<usize> =
            all.filter(|it| !matches!(Numerals::of(columns, *it), Ok(None))).collect();
        match (usual.filter(|it| numbers.contains(it)), &numbers[..]) {
            (Some(usual), _) => vec![usual],
            (None, [_]) => numbers,
            // What is wrong with it is more than that nothing is found.
            (None, []) if columns.names.len() == 1 => vec![0],
            (None, []) => Vec::from_iter(usual),
            (None, _) => Vec::new(),
        }
    }

    fn label_names(&self, _: &[String]) -> Vec<String> {
        Vec::new()
    }

    fn all_alike(&self, n: usize, _: &Target, _: &[String]) -> Option<(String, &'static str)> {
        Some((format!("all {n} examples have the same numbers"), "there is nothing to learn"))
    }

    fn has_totals(&self) -> bool {
        true
    }

    fn not_in_folders(&self) -> Option<&'static str> {
        Some("numbers")
    }
}

fn one(columns: &Columns<'_>, name: &str, numerals: &Numerals) -> Look {
    // Codes such as 007 are no numbers.
    let has_codes = columns.known(0).any(|it| matches!(it, Cell::Text(it) if is_code(it.trim())));
    let numbers: Vec<f64> = columns.known(0).filter_map(|it| numerals.number(it)).collect();
    if let Some(unit) = numerals.unit.as_ref().filter(|it| it.is_of_amounts()) {
        return Look::Yes(format!(
            "`{name}` is a column of numbers with {unit}: numbers are learnt"
        ));
    }
    if numerals.comma && numerals.unit.is_none() && could_be_lists(columns) {
        return Look::Doubt(format!(
            "`{name}` holds whole numbers and some with a comma, and whether these have decimals or are lists of classes can't be told: set task in the recipe to that of numbers or of several labels"
        ));
    }
    match verdict(name, &numbers, numerals.comma) {
        Look::Yes(_) | Look::Doubt(_)
            if has_codes && numbers.iter().all(|it| it.fract() == 0.0) =>
        {
            Look::No
        }
        look => look,
    }
}

/// Whether what stands before and behind commas, several values, are numbers of the column
/// themselves, and either most have no comma or the parts are always in order, as of decimals only
/// some are.
fn could_be_lists(columns: &Columns<'_>) -> bool {
    /// Of what stands behind commas; halves and quarters are fewer.
    const VALUES_MIN: usize = 4;
    let text =
        |it: &'_ Cell| if let Cell::Text(it) = it { Some(it.trim().to_string()) } else { None };
    let texts: Vec<String> = columns.known(0).filter_map(text).collect();
    let whole: HashSet<&str> =
        texts.iter().map(|it| &**it).filter(|it| !it.contains(',')).collect();
    let lists: Vec<Vec<&str>> =
        texts.iter().filter(|it| it.contains(',')).map(|it| it.split(',').collect()).collect();
    let behind: HashSet<&str> = lists.iter().flat_map(|it| &it[1..]).copied().collect();
    let number = |it: &str| it.trim().parse::<u64>().ok();
    let in_order = || lists.iter().all(|it| it.is_sorted_by(|a, b| number(a) < number(b)));
    (2 * lists.len() < texts.len() || in_order())
        && VALUES_MIN <= behind.len()
        && lists.iter().flatten().all(|it| whole.contains(it.trim()))
}

/// A number that recurs, as -999 does where nothing was measured, and lies far from all others.
fn code_of_unknown(numbers: &[f64]) -> Option<f64> {
    const CODES: &[f64] =
        &[-99.0, -999.0, -9999.0, -99999.0, -999.25, 999.0, 9999.0, 99999.0, -1e30, 1e30];
    /// Of the others' range.
    const FAR: f64 = 3.0;
    let code = CODES.iter().find(|code| 1 < numbers.iter().filter(|it| it == code).count())?;
    let others = || numbers.iter().copied().filter(|it| it != code);
    let (least, most) = (others().reduce(f64::min)?, others().reduce(f64::max)?);
    let range = most - least;
    let off = if *code < least { least - code } else { code - most };
    (FAR * range < off && 0.0 < range).then_some(*code)
}

/// Of one column: fractions are numbers; whole numbers are, where they are many, not counted from 0
/// or 1 as classes are, and few of them recur. What is neither is asked about.
pub(crate) fn verdict(name: &str, numbers: &[f64], comma: bool) -> Look {
    /// More different whole numbers than this are seldom written for classes.
    const WHOLE_CLASSES_MAX: usize = 20;
    /// So many are classes, whatever they are.
    const WHOLE_CLASSES_SURE: usize = 10;
    /// Rows that a class needs, on the average, to be one.
    const ROWS_OF_CLASS_MIN: usize = 3;
    /// What people call a column of class numbers.
    const CLASS_NAMES: &[&str] =
        &["label", "class", "categor", "intent", "topic", "target", "species", "breed", "genre"];
    if numbers.iter().any(|it| it.fract() != 0.0) {
        let comma = if comma { " with a decimal comma" } else { "" };
        return Look::Yes(format!("`{name}` is a column of fractions{comma}: numbers are learnt"));
    }
    let mut different = numbers.to_vec();
    different.sort_by(f64::total_cmp);
    different.dedup();
    let (Some(first), Some(last)) = (different.first(), different.last()) else { return Look::No };
    let span = last - first + 1.0;
    let dense = |share: f64| share * span <= different.len() as f64;
    let n = different.len();
    let counted = dense(0.9) && (0.0..=1.0).contains(first);
    let recur = ROWS_OF_CLASS_MIN * n <= numbers.len();
    let lower = name.to_ascii_lowercase();
    let as_class = CLASS_NAMES.iter().any(|it| lower.contains(it));
    let doubt = || {
        Look::Doubt(format!(
            "`{name}` has {n} different whole numbers ({first} to {last}), and whether they are classes or numbers to learn can't be told: set task in the recipe to that of classes or of numbers"
        ))
    };
    match (as_class && recur, counted) {
        _ if n <= WHOLE_CLASSES_SURE => Look::No,
        _ if n <= WHOLE_CLASSES_MAX && (counted || as_class && recur) => Look::No,
        _ if n <= WHOLE_CLASSES_MAX => doubt(),
        (true, true) => Look::No,
        (false, _) if dense(0.5) || !recur => {
            Look::Yes(format!("`{name}` has {n} different whole numbers: numbers are learnt"))
        }
        _ => doubt(),
    }
}

struct Reader {
    /// With the way in which each writes its numbers.
    columns: Vec<(String, Numerals)>,
}

impl TargetReader for Reader {
    fn read(&mut self, cells: Vec<Cell>) -> Result<Target, Refused> {
        let mut numbers = Vec::with_capacity(cells.len());
        for (cell, (column, numerals)) in cells.iter().zip(&self.columns) {
            numbers.push(match numerals.number(cell) {
                Some(number) => number,
                None if cell.is_missing() => return Err(Reason::NoNumber(column.clone()).into()),
                None => {
                    return Err(Reason::NotANumber(column.clone(), cell.shown()).into());
                }
            });
        }
        Ok(Target::of_numbers(numbers))
    }

    fn finish(self: Box<Self>, _: &mut [&mut Target]) -> Result<Outputs, Failure> {
        let names = self.columns.into_iter().map(|it| it.0).collect();
        Ok(Outputs { names, ..Outputs::default() })
    }
}
