//! Texts that lie in files of their own, which a table names beside their labels.

use super::{folders, holds_texts};
use crate::inventory::{Inventory, SingleFile};
use crate::modality::files::Files;
use crate::names;
use crate::quarantine::{Reason, Usable};
use crate::reading::text_of;
use crate::source::Source;
use crate::table::{Table, TableFile};
use finetuned_answers::Cell;

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
        |it: &TableFile| it.glance().is_some_and(|it| column(it, &files, named).is_some());
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

/// The column that names files, where no column holds the texts themselves.
pub(super) fn column(table: &Table, files: &Files<'_>, named: Option<&str>) -> Option<usize> {
    let sample = &table.sample;
    let is_file = |it: &Cell| match it {
        Cell::Text(it) => files.find(&table.source.name, it).is_ok(),
        Cell::Integer(it) => files.find(&table.source.name, &it.to_string()).is_ok(),
        _ => false,
    };
    let hits = |column: usize| sample.rows.iter().filter(|it| is_file(&it[column])).count();
    let names_files = |column: &usize| sample.rows.len() < 2 * hits(*column);
    let mut all = 0..sample.columns.len();
    match named {
        Some(named) => names::find(&sample.columns, named).filter(names_files),
        None if all.clone().any(|it| holds_texts(table, it)) => None,
        None => all.find(names_files),
    }
}

/// The text of the file that a cell names, and which of the files it is.
pub(super) fn text(files: &Files<'_>, table: &str, cell: Cell) -> Usable<(Box<str>, usize)> {
    let path = match cell {
        Cell::Text(it) => it,
        Cell::Integer(it) => it.to_string(),
        _ => return Ok(Err(Reason::EmptyText)),
    };
    let at = match files.find(table, &path) {
        Ok((at, _)) => at,
        Err(why) => return Ok(Err(why)),
    };
    let file = files.get(at);
    let text = folders::text(&Source::open(&file.path, &file.name)?)?;
    Ok(text.and_then(|(text, _)| Ok((text_of(Cell::Text(text))?, at))))
}
