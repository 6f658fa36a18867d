//! Cells -> one or more numbers each.

use crate::cell::Cell;
use crate::reading::{Columns, Look, Outputs, Reason, Refused, TargetKind, TargetReader};
use crate::target::Target;
use finetuned_job::task::Answer;

pub(crate) struct Kind;

impl TargetKind for Kind {
    fn answer(&self) -> Answer {
        Answer::Numbers
    }

    fn look(&self, columns: &Columns<'_>) -> Look {
        match &columns.names[..] {
            [] => Look::No,
            [name] => one(columns, name),
            names => match (0..names.len()).find(|it| !is_number_column(columns, *it)) {
                None => {
                    Look::Yes(format!("{} columns of numbers: numbers are learnt", names.len()))
                }
                Some(_) => Look::No,
            },
        }
    }

    fn reader(&self, columns: &Columns<'_>) -> Result<Box<dyn TargetReader>, String> {
        for (column, name) in columns.names.iter().enumerate() {
            if !is_number_column(columns, column) {
                let comma = has_decimal_commas(columns, column);
                let odd = columns.known(column).find(|it| it.number(comma).is_none());
                let odd = odd.map_or_else(|| "empty throughout".into(), Cell::shown);
                return Err(format!("`{name}` is {odd}, which is no number"));
            }
        }
        let names = columns.names.iter().map(|it| (*it).into()).collect();
        let commas = (0..columns.names.len()).map(|it| has_decimal_commas(columns, it)).collect();
        Ok(Box::new(Reader { names, commas }))
    }

    /// A column of numbers with a usual name, else the only one of numbers.
    fn unnamed(&self, columns: &Columns<'_>, usual: Option<usize>) -> Vec<usize> {
        let all = 0..columns.names.len();
        let numbers: Vec<usize> = all.filter(|it| is_number_column(columns, *it)).collect();
        match (usual.filter(|it| numbers.contains(it)), &numbers[..]) {
            (Some(usual), _) => vec![usual],
            (None, [_]) => numbers,
            // What is wrong with it is more than that nothing is found.
            (None, []) if columns.names.len() == 1 => vec![0],
            (None, []) => Vec::from_iter(usual),
            (None, _) => Vec::new(),
        }
    }

    fn has_classes(&self) -> bool {
        false
    }

    fn all_alike(&self, n: usize, _: &Target, _: &[String]) -> (String, &'static str) {
        (format!("all {n} examples have the same numbers"), "there is nothing to learn")
    }

    fn not_in_folders(&self) -> Option<&'static str> {
        Some("numbers")
    }
}

fn is_number_column(columns: &Columns<'_>, column: usize) -> bool {
    let comma = has_decimal_commas(columns, column);
    columns.nearly_all(column, |it| it.number(comma).is_some())
}

/// Numbers with a comma before the decimals, and no point in any of them.
fn has_decimal_commas(columns: &Columns<'_>, column: usize) -> bool {
    let text = |it: &Cell, c: char| matches!(it, Cell::Text(it) if it.contains(c));
    columns.known(column).any(|it| text(it, ','))
        && !columns.known(column).any(|it| text(it, '.'))
        && columns.nearly_all(column, |it| it.number(true).is_some())
}

/// Of one column: fractions are numbers; whole numbers are, where they are many, not counted from 0
/// or 1 as classes are, and few of them recur. What is neither is asked about.
fn one(columns: &Columns<'_>, name: &str) -> Look {
    /// More different whole numbers than this are seldom written for classes.
    const WHOLE_CLASSES_MAX: usize = 20;
    /// Rows that a class needs, on the average, to be one.
    const ROWS_OF_CLASS_MIN: usize = 3;
    /// What people call a column of class numbers.
    const CLASS_NAMES: &[&str] =
        &["label", "class", "categor", "intent", "topic", "target", "species", "breed", "genre"];
    if !is_number_column(columns, 0) {
        return Look::No;
    }
    let comma = has_decimal_commas(columns, 0);
    let numbers: Vec<f64> = columns.known(0).filter_map(|it| it.number(comma)).collect();
    if numbers.iter().any(|it| it.fract() != 0.0) {
        let comma = if comma { " with a decimal comma" } else { "" };
        return Look::Yes(format!("`{name}` is a column of fractions{comma}: numbers are learnt"));
    }
    // Codes such as 007 are no numbers.
    let code = |it: &str| 1 < it.len() && it.starts_with('0') && !it.contains(['.', ',']);
    let is_code = |it: &Cell| matches!(it, Cell::Text(it) if code(it.trim()));
    let mut different = numbers.clone();
    different.sort_by(f64::total_cmp);
    different.dedup();
    let (Some(first), Some(last)) = (different.first(), different.last()) else { return Look::No };
    if different.len() <= WHOLE_CLASSES_MAX || columns.known(0).any(is_code) {
        return Look::No;
    }
    let span = last - first + 1.0;
    let dense = |share: f64| share * span <= different.len() as f64;
    let n = different.len();
    let recur = ROWS_OF_CLASS_MIN * n <= numbers.len();
    let lower = name.to_ascii_lowercase();
    let as_class = CLASS_NAMES.iter().any(|it| lower.contains(it));
    match (as_class && recur, dense(0.9) && (0.0..=1.0).contains(first)) {
        (true, true) => Look::No,
        (false, _) if dense(0.5) || !recur => {
            Look::Yes(format!("`{name}` has {n} different whole numbers: numbers are learnt"))
        }
        _ => Look::Doubt(format!(
            "`{name}` has {n} different whole numbers ({first} to {last}), and whether they are classes or numbers to learn can't be told: set task in the recipe to that of classes or of numbers"
        )),
    }
}

struct Reader {
    names: Vec<String>,
    /// Whether a column's decimals stand behind a comma.
    commas: Vec<bool>,
}

impl TargetReader for Reader {
    fn read(&mut self, cells: Vec<Cell>) -> Result<Target, Refused> {
        let mut numbers = Vec::with_capacity(cells.len());
        for ((cell, column), comma) in cells.iter().zip(&self.names).zip(&self.commas) {
            numbers.push(match cell.number(*comma) {
                Some(number) => number,
                None if cell.is_missing() => return Err(Reason::NoNumber(column.clone()).into()),
                None => {
                    return Err(Reason::NotANumber(column.clone(), cell.shown()).into());
                }
            });
        }
        Ok(Target::of_numbers(numbers))
    }

    fn finish(self: Box<Self>) -> Outputs {
        Outputs { names: self.names, ..Outputs::default() }
    }
}
