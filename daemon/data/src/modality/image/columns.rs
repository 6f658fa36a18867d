//! Decides which column of a table names or holds the images: the recipe's name, else what the
//! values show, of several the one with the most usual name. Of several without one none is.

use crate::inventory::is_image_name;
use crate::modality::files::Files;
use crate::names;
use crate::refusal;
use crate::table::Table;
use finetuned_answers::Cell;
use finetuned_images::Format;
use finetuned_job::outcome::Failure;
use std::collections::HashSet;

/// What people call the image, the surest first.
const IMAGE_NAMES: &[&str] = &[
    "file_name",
    "filename",
    "image",
    "img",
    "image_path",
    "img_path",
    "image_file",
    "file",
    "filepath",
    "file_path",
    "path",
    "picture",
    "photo",
    "image_name",
    "image_id",
    "img_id",
    "id",
];
/// The column of images or paths; nothing where there is none. `named`: the recipe's.
pub(super) fn image(
    table: &Table,
    files: &Files<'_>,
    named: Option<&str>,
) -> Result<Option<usize>, Failure> {
    let columns = &table.sample.columns;
    let cells = |idx: usize| table.sample.rows.iter().map(move |row| &row[idx]);
    let embedded = |idx: usize| {
        let mut known = cells(idx).filter(|it| !matches!(it, Cell::Missing)).peekable();
        known.peek().is_some() && known.all(holds_image)
    };
    if let Some(name) = named {
        return Ok(Some(names::named(&table.source.name, columns, name)?));
    }
    let holding: Vec<usize> = (0..columns.len()).filter(|it| embedded(*it)).collect();
    let usual = |idx: &usize| {
        IMAGE_NAMES.iter().position(|it| names::is_same(&columns[*idx], it)).unwrap_or(usize::MAX)
    };
    if let Some(first) = holding.iter().min_by_key(|it| usual(it)) {
        return Ok(Some(*first));
    }
    /// Of the sampled rows; the others may be broken.
    const SHARE_MIN: f64 = 0.5;
    let share = |idx: usize, is: &dyn Fn(&str) -> bool| {
        let hits = cells(idx).filter(|it| matches!(it, Cell::Text(it) if is(it))).count();
        hits as f64 / table.sample.rows.len().max(1) as f64
    };
    let by = |is: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..columns.len()).filter(|it| SHARE_MIN <= share(*it, is)).collect()
    };
    // Names without an extension are believed only where the drop has such files.
    let mut naming = by(&is_image_name);
    if naming.is_empty() && 0 < files.len() {
        naming = by(&|value| files.find(&table.source.name, value).is_ok());
        // Classes may well be called as a few of the files are, which come again and again.
        let recur = |idx: usize| {
            let values: HashSet<String> = cells(idx).map(Cell::shown).collect();
            2 * values.len() <= table.sample.rows.len()
        };
        if naming.iter().any(|it| !recur(*it)) {
            naming.retain(|it| !recur(*it));
        }
    }
    let best = naming.iter().map(usual).min();
    naming.retain(|it| Some(usual(it)) == best);
    match naming[..] {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        [first, second, ..] => Err(refusal::data(format!(
            "{}: `{}` and `{}` name images, and which of them is to be looked at can't be told",
            table.source.name, columns[first], columns[second]
        ))
        .with_cure(format!(
            "name it in a job.toml in the drop: data.image = {:?}",
            columns[first]
        ))),
    }
}

fn holds_image(cell: &Cell) -> bool {
    match cell {
        Cell::Image(it) => it.bytes.is_some() || it.path.is_some(),
        Cell::Bytes(it) => Format::of(it).is_some(),
        _ => false,
    }
}
