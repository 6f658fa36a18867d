//! Tables of paths, and tables that hold the images themselves.

use super::columns;
use super::store::Writer;
use crate::example::{At, Record};
use crate::inventory::{Inventory, SingleFile};
use crate::layout;
use crate::modality::files::Files;
use crate::quarantine::{Reason, Usable};
use crate::reading::{self, Reading, RowReader};
use crate::refusal;
use crate::split_names::{self, class_parts, is_part, is_split_folder, split_of};
use crate::table::{Table, TableFile};
use finetuned_answers::Cell;
use finetuned_images::Format;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use std::collections::BTreeMap;

/// Whether a table does, where the recipe names no column: also where several columns do.
pub(super) fn names_images(table: &Table, files: &Files<'_>) -> bool {
    !matches!(columns::image(table, files, None), Ok(None))
}

/// Whether the table names or holds images.
fn is_of_images(file: &TableFile, files: &Files<'_>, image: Option<&str>) -> Result<bool, Failure> {
    let own;
    let table = match (image, file.glance()) {
        (None, Some(table)) => table,
        _ => {
            own = Table::open(file, &Vec::from_iter(image))?;
            &own
        }
    };
    Ok(columns::image(table, files, image)?.is_some())
}

pub(super) fn read(
    mut found: Inventory,
    store: &mut Writer,
    reading: &mut Reading<'_, '_>,
) -> Result<(), Failure> {
    let warnings = &mut reading.warnings;
    let tables = std::mem::take(&mut found.tables);
    let files = Files::of(&found.images, &found.links);
    let image = reading.request.choice.image.as_deref();
    let mut of_images = Vec::new();
    for table in tables {
        // What is wrong with it is said below.
        if is_of_images(&table, &files, image).is_ok_and(|it| !it) {
            warnings.push(format!("{} names no images and was ignored", table.name));
        } else {
            of_images.push(table);
        }
    }
    if of_images.is_empty() {
        return Err(refusal::data("the drop has no table of images"));
    }
    let used = vec![false; files.len()];
    let mut rows = Rows { files: &files, store, named: image, used, differing: (0, None) };
    let of_images = layout::split_tables(of_images, &mut reading.warnings)?;
    reading::tables(reading, of_images, &mut rows)?;
    if let (n, Some(first)) = &rows.differing {
        reading.warnings.push(format!(
            "paths that name an image but for case, extension, zeros before a number or the folders above were taken for it: {n} (first: {first})"
        ));
    }
    if reading.request.labels().is_empty() {
        check_folders(&files, &rows.used)?;
    }
    let unnamed = rows.used.iter().filter(|it| !**it).count();
    if let Some(first) = rows.used.iter().position(|it| !it) {
        reading.warnings.push(format!(
            "images that no table names were ignored: {unnamed} (first: {})",
            files.get(first).name
        ));
    }
    Ok(())
}

/// Refused where the tables name the fewer images, and most others lie in several folders that
/// could be classes, or in the training split of which the tables name none.
fn check_folders(files: &Files<'_>, used: &[bool]) -> Result<(), Failure> {
    /// More folders are hardly classes: those of patients, of days.
    const CLASSES_MAX: usize = 100;
    let images = || used.iter().enumerate().map(|(at, used)| (files.get(at), *used));
    let in_train = |it: &SingleFile| {
        it.name.split('/').any(|it| is_split_folder(it) && split_of(it) == Some(Split::Train))
    };
    let none_of_train = images().all(|(it, used)| !used || !in_train(it));
    let unnamed: Vec<&SingleFile> = images().filter(|it| !it.1).map(|it| it.0).collect();
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    for it in &unnamed {
        let class: Vec<&str> =
            class_parts(&it.name).into_iter().filter(|it| !is_part(it)).collect();
        if !class.is_empty() {
            *folders.entry(class.join("/")).or_default() += 1;
        }
    }
    let several = (2..=CLASSES_MAX).contains(&folders.len()) && folders.values().all(|it| 1 < *it);
    let in_folders: usize = folders.values().sum();
    let most = used.len() < 2 * in_folders;
    let train = none_of_train && unnamed.iter().any(|it| in_train(it));
    if !several || !(most || train) {
        return Ok(());
    }
    let first = unnamed.first().map(|it| it.name.as_str()).unwrap_or_default();
    let message = format!(
        "a table names labels of {} images, and {in_folders} others lie in folders that could be classes ({first}): which of both says the labels can't be told",
        used.len() - unnamed.len()
    );
    Err(refusal::data(message).with_cure("take the table out of the drop, or name all images in it, or name its column of labels in the recipe: data.label"))
}

struct Rows<'a> {
    files: &'a Files<'a>,
    store: &'a mut Writer,
    /// By the recipe.
    named: Option<&'a str>,
    /// For each image of the drop, whether a table names it.
    used: Vec<bool>,
    /// Paths that were found under another spelling, with the first.
    differing: (u64, Option<String>),
}

impl RowReader for Rows<'_> {
    fn columns(&self, table: &Table, _: &[usize]) -> Result<Vec<usize>, Failure> {
        let found = columns::image(table, self.files, self.named)?;
        let nothing = || {
            let file = &table.source.name;
            refusal::data(format!("{file} has no column of images, or of paths to images"))
        };
        Ok(vec![found.ok_or_else(nothing)?])
    }

    fn record(
        &mut self,
        (table, _): (&str, u64),
        mut cells: Vec<Cell>,
        _: &mut Vec<Cell>,
    ) -> Usable<(Record, Option<Split>)> {
        let image = self.image(table, cells.pop().unwrap_or(Cell::Missing))?;
        Ok(image.map(|(at, split)| (Record { image: Some(at), ..Record::default() }, split)))
    }
}

impl Rows<'_> {
    /// With the split whose folder it lies in.
    fn image(&mut self, table: &str, cell: Cell) -> Usable<(At, Option<Split>)> {
        let path = match cell {
            Cell::Image(it) => match (it.bytes, it.path) {
                (Some(bytes), _) => return self.embedded(&bytes),
                (None, Some(path)) => path,
                (None, None) => return Ok(Err(Reason::NoImage)),
            },
            Cell::Bytes(bytes) => match String::from_utf8(bytes) {
                Ok(path) if Format::of(path.as_bytes()).is_none() => path,
                Ok(image) => return self.embedded(image.as_bytes()),
                Err(image) => return self.embedded(image.as_bytes()),
            },
            Cell::Text(path) => path,
            Cell::Integer(it) => it.to_string(),
            Cell::Missing
            | Cell::Bool(_)
            | Cell::Fraction(_)
            | Cell::List(_)
            | Cell::Fields(_)
            | Cell::Other(_) => {
                return Ok(Err(Reason::NoImage));
            }
        };
        Ok(self.files.find(table, &path).map(|(idx, differs)| {
            self.used[idx] = true;
            if differs {
                self.differing.0 += 1;
                self.differing.1.get_or_insert_with(|| path.trim().into());
            }
            let file = self.files.get(idx);
            let folder = file
                .name
                .split_once('/')
                .map(|it| it.0)
                .filter(|it| split_names::is_split_folder(it));
            (self.store.file(&file.path), folder.and_then(split_names::split_of))
        }))
    }

    fn embedded(&mut self, image: &[u8]) -> Usable<(At, Option<Split>)> {
        Ok(self.store.add(image)?.map(|it| (it, None)))
    }
}
