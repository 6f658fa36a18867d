//! Decides which column of a table names or holds the images: the recipe's name, else what the
//! values show, of several the one with the most usual name.

use crate::inventory::is_image_name;
use crate::modality::files::Files;
use crate::names;
use crate::table::Table;
use finetuned_answers::Cell;
use finetuned_images::Format;
use finetuned_job::outcome::Failure;

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
    let by = |is: &dyn Fn(&str) -> bool| {
        (0..columns.len()).filter(|it| SHARE_MIN <= share(*it, is)).min_by_key(usual)
    };
    // Names without an extension are believed only where the drop has such files.
    Ok(by(&is_image_name).or_else(|| match files.len() {
        0 => None,
        _ => by(&|value| files.find(&table.source.name, value).is_ok()),
    }))
}

fn holds_image(cell: &Cell) -> bool {
    match cell {
        Cell::Image(it) => it.bytes.is_some() || it.path.is_some(),
        Cell::Bytes(it) => Format::of(it).is_some(),
        _ => false,
    }
}
