//! The way from a folder to a [`Dataset`] of texts: list, lay out, read, judge, count, split,
//! report.

use crate::columns::Wanted;
use crate::gather::{Gather, Place};
use crate::inflate::Count;
use crate::preflight::{self, Rules};
use crate::layout::{self, ClassFolder, Layout};
use crate::quarantine::{Ward, place};
use crate::sample::{PartsHash, PerSplit};
use crate::table::{Cell, Table};
use crate::{Dataset, Example, Progress, TOLD_BYTES, columns, inventory, refusal, text_folder};
use finetuned_job::data::{DATA_VERSION, DataReport, Duplicates, FileReport, SplitReport};
use finetuned_job::event::Phase;
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::DataChoice;
use finetuned_job::scores::Split;
use finetuned_job::task::Answer;
use std::path::Path;

pub(crate) struct Request<'a> {
    /// The drop's own name.
    pub(crate) source: &'a str,
    pub(crate) choice: &'a DataChoice,
    pub(crate) seed: u64,
    pub(crate) quarantine: &'a Path,
}

/// What reading left, besides the examples.
struct Read {
    files: Vec<FileReport>,
    /// (text column, label column).
    columns: Option<(String, String)>,
    /// For folders of texts, the names of each folder's files.
    members: Vec<Vec<Box<str>>>,
}

pub(crate) fn load(
    found: inventory::Inventory,
    mut warnings: Vec<String>,
    request: &Request<'_>,
    progress: &mut Progress<'_>,
) -> Result<Dataset, Failure> {
    let layout = layout::decide(found, &mut warnings)?;
    let mut gather = Gather::new(Ward::open(request.quarantine)?);
    let read = match layout {
        Layout::Tables(tables) => {
            read_tables(tables, request.choice, &mut gather, &mut warnings, progress)?
        }
        Layout::Folders(folders) => read_folders(folders, &mut gather, progress)?,
    };
    gather.ward.close(
        gather.rows,
        "rows",
        "mend or remove these rows, or name the right columns in the recipe",
    )?;
    let classes = gather.order_classes();
    let rules = Rules {
        problem: Answer::Class,
        classes: &classes,
        validation: request.choice.validation,
        test: request.choice.test,
        seed: request.seed,
    };
    let divided = preflight::divide(&mut gather.examples, &rules, &|it| {
        origin(&read.files, &read.members, it)
    })?;
    Ok(dataset(request, gather, classes, read, divided, warnings))
}

fn read_tables(
    files: Vec<(inventory::TableFile, Option<Split>)>,
    choice: &DataChoice,
    gather: &mut Gather,
    warnings: &mut Vec<String>,
    progress: &mut Progress<'_>,
) -> Result<Read, Failure> {
    let mut tables = Vec::new();
    let named: Vec<&str> =
        [&choice.text, &choice.label].into_iter().flatten().map(String::as_str).collect();
    for (file, split) in &files {
        tables.push((Table::open(&file.path, &file.name, file.format, &named)?, *split));
    }
    let total = tables.iter().map(|it| it.0.source.bytes()).sum();
    let mut read = Read { files: Vec::new(), columns: None, members: Vec::new() };
    let mut done = 0;
    for (table, split) in tables {
        let wanted = wanted(&table, choice, &read.columns, warnings)?;
        let sample = &table.sample.columns;
        if read.columns.is_none() {
            read.columns = Some((sample[wanted.text].clone(), sample[wanted.label].clone()));
            let extra: Vec<&String> = (0..sample.len())
                .filter(|it| *it != wanted.text && *it != wanted.label)
                .map(|it| &sample[it])
                .collect();
            if !extra.is_empty() {
                warnings.push(format!("columns not used: {}", refusal::list(&extra)));
            }
        }
        if let Some(encoding) = table.encoding.filter(|it| it.is_guess()) {
            warnings.push(format!(
                "{}: {encoding} is a guess; save the file as UTF-8 if texts look wrong",
                table.source.name
            ));
        }
        let mut told = |bytes| progress(Phase::Reading, done + bytes, Some(total));
        let rows = read_table(&table, split, wanted, read.files.len() as u32, gather, &mut told)?;
        done += table.source.bytes();
        progress(Phase::Reading, done, Some(total));
        read.files.push(FileReport {
            path: table.source.name.clone(),
            format: table.format.name().into(),
            encoding: table.encoding.map(|it| it.to_string()),
            bytes: table.source.bytes(),
            rows,
            split,
        });
    }
    Ok(read)
}

/// The first table decides; the others must have the same two columns.
fn wanted(
    table: &Table,
    choice: &DataChoice,
    first: &Option<(String, String)>,
    warnings: &mut Vec<String>,
) -> Result<Wanted, Failure> {
    let name = &table.source.name;
    match first {
        None => columns::choose(
            name,
            &table.sample,
            choice.text.as_deref(),
            choice.label.as_deref(),
            warnings,
        ),
        Some((text, label)) => {
            columns::choose(name, &table.sample, Some(text), Some(label), &mut Vec::new()).map_err(
                |it| {
                    if it.cure.is_none() {
                        it.with_cure("all files of a drop need the same columns")
                    } else {
                        it
                    }
                },
            )
        }
    }
}

fn read_table(
    table: &Table,
    split: Option<Split>,
    wanted: Wanted,
    file_idx: u32,
    gather: &mut Gather,
    told: &mut dyn FnMut(u64),
) -> Result<u64, Failure> {
    let name = &table.source.name;
    let label_names = table.label_names.get(&table.sample.columns[wanted.label]);
    let raw = Count::default();
    let (mut kept, mut seen, mut told_at) = (0, false, 0);
    table.rows(&[wanted.text, wanted.label], &raw, &mut |row| {
        seen = true;
        if told_at + TOLD_BYTES <= raw.get() {
            told_at = raw.get();
            told(told_at);
        }
        let at = Place {
            split: split.unwrap_or(Split::Train),
            file: file_idx,
            name,
            line: Some(row.line),
        };
        let cells = row.cells.map(|it| {
            let mut cells = it.into_iter();
            let mut next = || cells.next().unwrap_or(Cell::Missing);
            (next(), named_label(next(), label_names))
        });
        kept += u64::from(gather.take(at, row.line, cells)?);
        Ok(())
    })?;
    if !seen {
        return Err(refusal::data(format!("{name} has columns but no rows")));
    }
    Ok(kept)
}

/// `negative` instead of 0, where the file itself says so.
pub(crate) fn named_label(label: Cell, names: Option<&Vec<String>>) -> Cell {
    match (&label, names) {
        (Cell::Integer(number), Some(names)) => {
            match usize::try_from(*number).ok().and_then(|it| names.get(it)) {
                Some(name) => Cell::Text(name.clone()),
                None => label,
            }
        }
        _ => label,
    }
}

fn read_folders(
    folders: Vec<ClassFolder>,
    gather: &mut Gather,
    progress: &mut Progress<'_>,
) -> Result<Read, Failure> {
    let mut read = Read { files: Vec::new(), columns: None, members: Vec::new() };
    let (mut done, mut told_at) = (0, 0);
    for folder in folders {
        let mut told = |bytes| {
            done += bytes;
            if told_at + TOLD_BYTES <= done {
                told_at = done;
                progress(Phase::Reading, done, None);
            }
        };
        let report = text_folder::read(&folder, read.files.len() as u32, gather, &mut told)?;
        read.files.push(report);
        read.members.push(folder.files.into_iter().map(|it| it.name.into()).collect());
    }
    Ok(read)
}

/// Where an example comes from, in words.
fn origin(read_files: &[FileReport], members: &[Vec<Box<str>>], example: &Example) -> String {
    match members.get(example.file as usize) {
        Some(names) => names[example.line as usize - 1].to_string(),
        None => place(&read_files[example.file as usize].path, Some(example.line)),
    }
}

fn dataset(
    request: &Request<'_>,
    gather: Gather,
    classes: Vec<String>,
    read: Read,
    (duplicates, splits): (Duplicates, Vec<SplitReport>),
    mut warnings: Vec<String>,
) -> Dataset {
    let Gather { ward, empty_texts, examples, .. } = gather;
    let class_counts = preflight::class_counts(&examples, &classes);
    preflight::warn_about(&class_counts, &examples, &duplicates, &mut warnings);
    let mut formats: Vec<&str> = read.files.iter().map(|it| it.format.as_str()).collect();
    formats.dedup();
    let report = DataReport {
        version: DATA_VERSION,
        source: request.source.into(),
        format: formats.join(", "),
        text_column: read.columns.as_ref().map(|it| it.0.clone()),
        label_column: read.columns.map(|it| it.1),
        classes: class_counts,
        splits,
        empty_texts,
        duplicates,
        quarantined: ward.report,
        tokens: None,
        estimate: None,
        warnings,
        content_hash: content_hash(&classes, &examples),
        images: None,
        files: read.files,
    };
    let PerSplit { train, validation, test } = examples;
    Dataset { classes, train, validation, test, report, members: read.members }
}

/// blake3 over class names and examples of all splits in order, every part with its length before
/// it.
fn content_hash(classes: &[String], examples: &PerSplit<Vec<Example>>) -> String {
    let mut hash = PartsHash::default();
    classes.iter().for_each(|it| hash.part(it.as_bytes()));
    for split in Split::ALL {
        hash.part(split.name().as_bytes());
        for example in examples.of(split) {
            hash.part(&example.label.to_le_bytes());
            hash.part(example.text.as_bytes());
        }
    }
    hash.hex()
}

impl Dataset {
    /// Where an example comes from: `tweets.csv line 17`, `train/pos/17.txt`.
    pub fn origin(&self, example: &Example) -> String {
        origin(&self.report.files, &self.members, example)
    }
}
