//! Decides which files of a split are there to be predicted, and not to be learnt from or scored
//! by: those without the label, and those whose labels are all missing or -1.

use crate::inflate::Count;
use crate::names;
use crate::refusal;
use crate::row::Row;
use crate::table::Table;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;

/// Why the table at `at` is left out, in a sentence; nothing where it must be read. `inputs` and
/// `targets`: columns that the first table was read by.
///
/// # Errors
/// The table can't be read.
pub(crate) fn left_out(
    tables: &[(&Table, Option<Split>)],
    at: usize,
    (inputs, targets): (&[String], &[String]),
) -> Result<Option<String>, Failure> {
    let (table, split) = &tables[at];
    if matches!(split, None | Some(Split::Train)) || targets.is_empty() {
        return Ok(None);
    }
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let missing = |wanted: &[String]| {
        wanted.iter().filter(|it| names::find(columns, it).is_none()).cloned().collect::<Vec<_>>()
    };
    let (no_input, no_target) = (missing(inputs), missing(targets));
    let shown = |names: &[String]| format!("`{}`", names.join("`, `"));
    if no_input.is_empty() && no_target.len() == targets.len() {
        return Ok(Some(format!(
            "{file} has no column {}, so no labels: it is there to be predicted (`finetuned predict`), and was left out",
            shown(&no_target)
        )));
    }
    let has_others = || tables.iter().enumerate().any(|(idx, it)| idx != at && it.1 == *split);
    let nothing_known = no_input.len() == inputs.len() && no_target.len() == targets.len();
    if nothing_known && tables.first().is_some_and(|it| it.0.sample.headerless) {
        return Ok(Some(format!(
            "{file} has other columns ({}) than the tables without a header, and was left out",
            refusal::list(columns)
        )));
    }
    if !no_input.is_empty() && has_others() {
        return Ok(Some(format!("{file} has no column {} and was left out", shown(&no_input))));
    }
    if !no_input.is_empty() || !no_target.is_empty() {
        return Ok(None);
    }
    let without = is_without_labels(table, targets)?
        && tables.first().is_some_and(|it| !sample_is_without_labels(it.0, targets));
    Ok(without.then(|| {
        format!(
            "{file} has no labels ({} is empty or -1 throughout): it is there to be predicted (`finetuned predict`), and was left out",
            shown(targets)
        )
    }))
}

fn is_no_label(cell: &Cell) -> bool {
    match cell {
        Cell::Integer(it) => *it == -1,
        Cell::Fraction(it) => *it == -1.0 || it.is_nan(),
        Cell::Text(it) => matches!(it.trim(), "-1" | "-1.0") || cell.is_missing(),
        other => other.is_missing(),
    }
}

fn places(table: &Table, targets: &[String]) -> Vec<usize> {
    targets.iter().filter_map(|it| names::find(&table.sample.columns, it)).collect()
}

/// The names that stand beside the numbers are none there either.
fn sample_is_without_labels(table: &Table, targets: &[String]) -> bool {
    let columns = &table.sample.columns;
    let numbers = |names: usize| {
        let of = |it: &usize| names::names_classes_of(&columns[names], &columns[*it]);
        (0..columns.len()).find(|it| *it != names && names::is_label(&columns[*it]) && of(it))
    };
    let is_open = |row: &Vec<Cell>, it: &usize| {
        is_no_label(&row[*it]) || numbers(*it).is_some_and(|it| is_no_label(&row[it]))
    };
    let places = places(table, targets);
    table.sample.rows.iter().all(|row| places.iter().all(|it| is_open(row, it)))
}

fn is_without_labels(table: &Table, targets: &[String]) -> Result<bool, Failure> {
    if table.sample.rows.is_empty() || !sample_is_without_labels(table, targets) {
        return Ok(false);
    }
    // Names that stand for no label are known by their numbers, which the sample has shown.
    let places = places(table, targets);
    let by_names =
        places.iter().any(|it| !table.sample.rows.iter().all(|row| is_no_label(&row[*it])));
    if by_names {
        return Ok(true);
    }
    let mut none = true;
    table.rows(&places, &Count::default(), &mut |Row { cells, .. }| {
        none &= cells.is_ok_and(|it| it.iter().all(is_no_label));
        Ok(())
    })?;
    Ok(none)
}
