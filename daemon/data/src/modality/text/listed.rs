//! Texts that lie in files of their own, which a table names beside their labels.

use super::folders::{self, Guesses};
use super::holds_texts;
use crate::inventory::{Inventory, SingleFile};
use crate::modality::files::Files;
use crate::names;
use crate::quarantine::{Reason, Usable};
use crate::reading::text_of;
use crate::refusal;
use crate::source::Source;
use crate::table::{Table, TableFile};
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use std::borrow::Cow;
use std::collections::HashSet;

/// The files that the tables name, taken out of `found`; none where no table names any.
/// `named`: the column of texts, where the recipe names it.
pub(super) fn take(
    found: &mut Inventory,
    named: Option<&str>,
    warnings: &mut Vec<String>,
) -> Vec<SingleFile> {
    if found.tables.is_empty() || found.texts.is_empty() {
        return Vec::new();
    }
    let files = Files::of(&found.texts, &found.links);
    let names_some =
        |it: &TableFile| it.glance().is_some_and(|it| !columns(it, &files, named).is_empty());
    let (listing, others): (Vec<_>, Vec<_>) =
        std::mem::take(&mut found.tables).into_iter().partition(names_some);
    if listing.is_empty() {
        found.tables = others;
        return Vec::new();
    }
    found.tables = listing;
    warnings.extend(others.iter().map(|it| format!("{} names no texts and was ignored", it.name)));
    std::mem::take(&mut found.texts)
}

/// What people call a column of files of texts, the surest first.
const FILE_NAMES: &[&str] = &[
    "file_name",
    "filename",
    "file",
    "path",
    "file_path",
    "filepath",
    "text_file",
    "text_path",
    "document",
    "text",
    "id",
];

/// The columns that name files, where no column holds the texts themselves: several only where
/// nothing says which of them it is. `named`: the recipe's.
pub(super) fn columns(table: &Table, files: &Files<'_>, named: Option<&str>) -> Vec<usize> {
    let sample = &table.sample;
    let file = |it: &Cell| files.find(&table.source.name, &path(it)?).ok();
    let found = |column: usize| -> Vec<usize> {
        sample.rows.iter().filter_map(|it| Some(file(&it[column])?.0)).collect()
    };
    let names_files = |column: &usize| sample.rows.len() < 2 * found(*column).len();
    // Classes may well be called as a few of the files are, which come again and again.
    let recur = |column: &usize| {
        let found = found(*column);
        2 * found.iter().collect::<HashSet<_>>().len() <= found.len()
    };
    let all: Vec<usize> = (0..sample.columns.len()).collect();
    if let Some(named) = named {
        return names::find(&sample.columns, named).filter(names_files).into_iter().collect();
    }
    if all.iter().any(|it| holds_texts(table, *it)) {
        return Vec::new();
    }
    let naming: Vec<usize> = all.into_iter().filter(names_files).collect();
    match names::usual(&sample.columns, FILE_NAMES, &naming) {
        Some(usual) => vec![usual],
        None => naming.into_iter().filter(|it| !recur(it)).collect(),
    }
}

/// Files may be called by numbers.
fn path(cell: &Cell) -> Option<Cow<'_, str>> {
    match cell {
        Cell::Text(it) => Some(it.into()),
        Cell::Integer(it) => Some(it.to_string().into()),
        _ => None,
    }
}

/// The only one of them.
///
/// # Errors
/// None of them names files, or several do.
pub(super) fn column(table: &Table, files: &Files<'_>) -> Result<usize, Failure> {
    let (file, found) = (&table.source.name, columns(table, files, None));
    let names: Vec<&str> = found.iter().map(|it| &*table.sample.columns[*it]).collect();
    match found[..] {
        [only] => Ok(only),
        [] => Err(refusal::data(format!("{file} has no column of paths to texts"))),
        [_, ..] => Err(refusal::data(format!(
            "{file}: which column names the texts can't be told; files are called as in {}",
            refusal::list(&names)
        ))
        .with_cure(format!("name it in a job.toml in the drop: data.text = {:?}", names[0]))),
    }
}

/// The text of the file that a cell names, and which of the files it is.
pub(super) fn text(
    files: &Files<'_>,
    table: &str,
    cell: Cell,
    guesses: &mut Guesses,
) -> Usable<(Box<str>, usize)> {
    let Some(path) = path(&cell) else { return Ok(Err(Reason::EmptyText)) };
    let at = match files.find(table, &path) {
        Ok((at, _)) => at,
        Err(why) => return Ok(Err(why)),
    };
    let file = files.get(at);
    let text = folders::text(&Source::open(&file.path, &file.name)?)?;
    Ok(text.and_then(|(text, encoding)| {
        guesses.note(&file.name, encoding);
        Ok((text_of(Cell::Text(text))?, at))
    }))
}
