//! Tables of paths, and tables that hold the images themselves.

use super::columns::{self, Wanted};
use super::files::Files;
use super::gather::Gather;
use super::targets::{Kind, Reader};
use super::{At, ImageChoice, ImageForm, Read, Target};
use crate::inflate::Count;
use crate::inventory::{Inventory, TableFile};
use crate::layout;
use crate::quarantine::{Reason, Usable};
use crate::refusal;
use crate::table::{Cell, Table};
use crate::{Progress, TOLD_BYTES};
use finetuned_images::Format;
use finetuned_job::data::FileReport;
use finetuned_job::event::Phase;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;

/// Nothing where the table neither names nor holds images.
pub(super) fn form(
    file: &TableFile,
    files: &Files<'_>,
    image: Option<&str>,
) -> Result<Option<ImageForm>, Failure> {
    let table = Table::open(&file.path, &file.name, file.format, &Vec::from_iter(image))?;
    let own_name = file.name.rsplit('/').next().unwrap_or(&file.name);
    Ok(columns::image(&table, files, image)?.map(|(_, embedded)| match embedded {
        true => ImageForm::Embedded,
        false if own_name.starts_with("metadata.") => ImageForm::Metadata,
        false => ImageForm::Table,
    }))
}

pub(super) fn read(
    mut found: Inventory,
    choice: &ImageChoice,
    gather: &mut Gather,
    warnings: &mut Vec<String>,
    progress: &mut Progress<'_>,
) -> Result<Read, Failure> {
    let tables = layout::without_descriptions(std::mem::take(&mut found.tables), warnings);
    let files = Files::of(&found);
    let image = choice.image.as_deref();
    let mut of_images = Vec::new();
    for table in tables {
        // With one table, what is wrong with it is said below.
        if form(&table, &files, image).is_ok_and(|it| it.is_none()) {
            warnings.push(format!("{} names no images and was ignored", table.name));
        } else {
            of_images.push(table);
        }
    }
    let named: Vec<&str> =
        image.into_iter().chain(choice.labels.iter().map(String::as_str)).collect();
    let mut opened = Vec::new();
    for (file, split) in layout::split_tables(of_images)? {
        opened.push((Table::open(&file.path, &file.name, file.format, &named)?, split));
    }
    let total = opened.iter().map(|it| it.0.source.bytes()).sum();
    let mut reading =
        Reading { files: &files, gather, used: vec![false; files.len()], done: 0, total, progress };
    let mut read: Option<(Read, Kind)> = None;
    for (table, split) in &opened {
        let wanted = wanted(table, &files, choice, &read, warnings)?;
        let columns = &table.sample.columns;
        let (read, _) = read.get_or_insert_with(|| (described(&wanted, columns), wanted.kind));
        let file = reading.table(table, *split, &wanted, read.files.len() as u32)?;
        read.files.push(file);
    }
    warn_of_unnamed(&reading.used, &files, warnings);
    read.map(|it| it.0).ok_or_else(|| refusal::data("the drop has no table of images"))
}

/// The first table decides; the others must have the same columns.
fn wanted(
    table: &Table,
    files: &Files<'_>,
    choice: &ImageChoice,
    first: &Option<(Read, Kind)>,
    warnings: &mut Vec<String>,
) -> Result<Wanted, Failure> {
    let image = |named: Option<&str>| {
        let found = columns::image(table, files, named)?;
        found.map(|it| it.0).ok_or_else(|| {
            refusal::data(format!(
                "{} has no column of images, or of paths to images",
                table.source.name
            ))
        })
    };
    let Some((read, kind)) = first else {
        return columns::choose(
            table,
            image(choice.image.as_deref())?,
            choice.problem,
            &choice.labels,
            warnings,
        );
    };
    let same = || {
        let targets = if read.target_columns.is_empty() {
            Vec::from_iter(read.label_column.clone())
        } else {
            read.target_columns.clone()
        };
        let wanted = columns::choose(
            table,
            image(read.image_column.as_deref())?,
            Some(kind.problem()),
            &targets,
            &mut Vec::new(),
        )?;
        Ok(Wanted { kind: *kind, ..wanted })
    };
    same().map_err(|it: Failure| {
        if it.cure.is_none() {
            it.with_cure("all files of a drop need the same columns")
        } else {
            it
        }
    })
}

fn described(wanted: &Wanted, columns: &[String]) -> Read {
    let names: Vec<String> = wanted.targets.iter().map(|it| columns[*it].clone()).collect();
    let (label_column, target_columns) = match wanted.kind {
        Kind::Label | Kind::Labels(_) => (names.into_iter().next(), Vec::new()),
        Kind::Flags | Kind::Numbers => (None, names),
    };
    Read {
        problem: wanted.kind.problem(),
        files: Vec::new(),
        image_column: Some(columns[wanted.image].clone()),
        label_column,
        target_columns,
    }
}

fn warn_of_unnamed(used: &[bool], files: &Files<'_>, warnings: &mut Vec<String>) {
    let unnamed = used.iter().filter(|it| !**it).count();
    if let Some(first) = used.iter().position(|it| !it) {
        warnings.push(format!(
            "images that no table names were ignored: {unnamed} (first: {})",
            files.get(first).name
        ));
    }
}

struct Reading<'a, 'p> {
    files: &'a Files<'a>,
    gather: &'a mut Gather,
    /// For each image of the drop, whether a table names it.
    used: Vec<bool>,
    /// Bytes of the tables read before.
    done: u64,
    total: u64,
    progress: &'a mut Progress<'p>,
}

impl Reading<'_, '_> {
    fn table(
        &mut self,
        table: &Table,
        split: Option<Split>,
        wanted: &Wanted,
        file_idx: u32,
    ) -> Result<FileReport, Failure> {
        let name = &table.source.name;
        let columns = &table.sample.columns;
        let target_names: Vec<&str> =
            wanted.targets.iter().map(|it| columns[*it].as_str()).collect();
        let label_names = target_names.first().and_then(|it| table.label_names.get(*it));
        let reader =
            Reader { kind: wanted.kind, file: name, columns: target_names, names: label_names };
        let mut asked = vec![wanted.image];
        asked.extend(wanted.split);
        asked.extend(&wanted.targets);
        if wanted.kind == Kind::Flags {
            // Also those that no image belongs to.
            reader
                .columns
                .iter()
                .try_for_each(|it| self.gather.classes.number((*it).into(), name).map(drop))?;
        }
        let raw = Count::default();
        let (mut seen, mut told_at) = (false, 0);
        table.rows(&asked, &raw, &mut |row| {
            seen = true;
            if told_at + TOLD_BYTES <= raw.get() {
                told_at = raw.get();
                (self.progress)(Phase::Reading, self.done + told_at, Some(self.total));
            }
            let usable = match row.cells {
                Ok(cells) => self.row(name, cells, wanted.split.is_some(), &reader)?,
                Err(reason) => Err(reason),
            };
            match usable {
                Ok((at, target, own)) => {
                    self.gather.take((at, target), split.or(own), file_idx, row.line)
                }
                Err(reason) => self.gather.refuse(name, Some(row.line), &reason)?,
            }
            Ok(())
        })?;
        if !seen {
            return Err(refusal::data(format!("{name} has columns but no rows")));
        }
        self.done += table.source.bytes();
        (self.progress)(Phase::Reading, self.done, Some(self.total));
        let encoding = table.encoding.map(|it| it.to_string());
        Ok(FileReport {
            path: name.clone(),
            format: table.format.name().into(),
            encoding,
            bytes: table.source.bytes(),
            rows: 0,
            split,
        })
    }

    /// `cells`: image, split where there is such a column, targets.
    fn row(
        &mut self,
        name: &str,
        cells: Vec<Cell>,
        has_split: bool,
        reader: &Reader<'_>,
    ) -> Usable<(At, Target, Option<Split>)> {
        let mut cells = cells.into_iter();
        let mut next = || cells.next().unwrap_or(Cell::Missing);
        let (image, split) = (next(), has_split.then(&mut next));
        let target = match reader.read(cells.collect(), &mut self.gather.classes)? {
            Ok(target) => target,
            Err(reason) => return Ok(Err(reason)),
        };
        let (at, of_path) = match self.image(name, image)? {
            Ok(it) => it,
            Err(reason) => return Ok(Err(reason)),
        };
        let split = match split {
            Some(Cell::Text(word)) => layout::split_of(&word),
            _ => of_path,
        };
        Ok(Ok((at, target, split)))
    }

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
            Cell::Missing | Cell::Bool(_) | Cell::Fraction(_) | Cell::List(_) | Cell::Other(_) => {
                return Ok(Err(Reason::NoImage));
            }
        };
        Ok(self.files.find(table, &path).map(|idx| {
            self.used[idx] = true;
            let file = self.files.get(idx);
            let folder =
                file.name.split_once('/').map(|it| it.0).filter(|it| layout::is_split_folder(it));
            (self.gather.store.file(&file.path), folder.and_then(layout::split_of))
        }))
    }

    fn embedded(&mut self, image: &[u8]) -> Usable<(At, Option<Split>)> {
        Ok(self.gather.store.add(image)?.map(|it| (it, None)))
    }
}
