//! The way from a folder to a [`Dataset`]: list, lay out, read, judge, count, split, report.

use crate::carve::{self, Fractions};
use crate::gather::{Gather, Place};
use crate::inflate::Count;
use crate::layout::{self, ClassFolder, Layout};
use crate::quarantine::{Ward, place};
use crate::table::{Table, Wanted};
use crate::{Dataset, Example, PerSplit, Progress, columns, duplicates, inventory, refusal, text_folder};
use finetuned_job::data::{ClassCount, DATA_VERSION, DataReport, Duplicates, FileReport, SplitReport};
use finetuned_job::event::Phase;
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::DataChoice;
use finetuned_job::scores::Split;
use std::path::Path;

/// Bytes between two words of progress.
const TOLD_BYTES: u64 = 1 << 20;

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
        Layout::Tables(tables) => read_tables(tables, request.choice, &mut gather, &mut warnings, progress)?,
        Layout::Folders(folders) => read_folders(folders, &mut gather, progress)?,
    };
    gather.ward.close(gather.rows)?;
    gather.order_classes();
    check_classes(&gather, &read)?;
    let from_file = |split| !gather.examples.of(split).is_empty();
    let (has_validation, has_test) = (from_file(Split::Validation), from_file(Split::Test));
    let (duplicates, train_keys) = duplicates::take_out(&mut gather.examples);
    check_train(&gather, &read, &duplicates)?;
    let fraction = |has, fraction| if has { 0.0 } else { fraction };
    let fractions = Fractions { validation: fraction(has_validation, request.choice.validation), test: fraction(has_test, request.choice.test) };
    carve::carve(&mut gather.examples, &train_keys, &fractions, request.seed);
    drop(train_keys);
    check_judged(&gather.examples, has_validation)?;
    let origin = |split| {
        let from_file = match split {
            Split::Train => has_validation || has_test,
            Split::Validation => has_validation,
            Split::Test => has_test,
        };
        if from_file { "file".to_string() } else { format!("stratified, seed {}", request.seed) }
    };
    Ok(dataset(request, gather, read, duplicates, warnings, &origin))
}

fn read_tables(
    files: Vec<(inventory::TableFile, Option<Split>)>,
    choice: &DataChoice,
    gather: &mut Gather,
    warnings: &mut Vec<String>,
    progress: &mut Progress<'_>,
) -> Result<Read, Failure> {
    let mut tables = Vec::new();
    let named: Vec<&str> = [&choice.text, &choice.label].into_iter().flatten().map(String::as_str).collect();
    for (file, split) in &files {
        tables.push((Table::open(&file.path, &file.name, file.format, &named)?, *split));
    }
    let total = tables.iter().map(|it| it.0.source.bytes()).sum();
    let mut read = Read { files: Vec::new(), columns: None, members: Vec::new() };
    let mut done = 0;
    for (table, split) in tables {
        let wanted = wanted(&table, choice, &read.columns, warnings)?;
        let sample = &table.sample.columns;
        let label_idx = wanted.label.unwrap_or(0);
        if read.columns.is_none() {
            read.columns = Some((sample[wanted.text].clone(), sample[label_idx].clone()));
            let extra: Vec<&String> = (0..sample.len()).filter(|it| *it != wanted.text && *it != label_idx).map(|it| &sample[it]).collect();
            if !extra.is_empty() {
                warnings.push(format!("columns not used: {}", refusal::list(&extra)));
            }
        }
        if let Some(encoding) = table.encoding.filter(|it| it.is_guess()) {
            warnings.push(format!("{}: {encoding} is a guess; save the file as UTF-8 if texts look wrong", table.source.name));
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
fn wanted(table: &Table, choice: &DataChoice, first: &Option<(String, String)>, warnings: &mut Vec<String>) -> Result<Wanted, Failure> {
    let name = &table.source.name;
    match first {
        None => columns::choose(name, &table.sample, choice.text.as_deref(), choice.label.as_deref(), warnings),
        Some((text, label)) => columns::choose(name, &table.sample, Some(text), Some(label), &mut Vec::new())
            .map_err(|it| if it.cure.is_none() { it.with_cure("all files of a drop need the same columns") } else { it }),
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
    let label_names = wanted.label.and_then(|idx| table.label_names.get(&table.sample.columns[idx]));
    let raw = Count::default();
    let (mut kept, mut seen, mut told_at) = (0, false, 0);
    table.rows(wanted, &raw, &mut |row| {
        seen = true;
        if told_at + TOLD_BYTES <= raw.get() {
            told_at = raw.get();
            told(told_at);
        }
        let at = Place { split: split.unwrap_or(Split::Train), file: file_idx, name, line: Some(row.line) };
        let cells = row.cells.map(|it| (it.text, named_label(it.label, label_names)));
        kept += u64::from(gather.take(at, row.line, cells)?);
        Ok(())
    })?;
    if !seen {
        return Err(refusal::data(format!("{name} has columns but no rows")));
    }
    Ok(kept)
}

/// `negative` instead of 0, where the file itself says so.
fn named_label(label: crate::table::Cell, names: Option<&Vec<String>>) -> crate::table::Cell {
    use crate::table::Cell;
    match (&label, names) {
        (Cell::Integer(number), Some(names)) => match usize::try_from(*number).ok().and_then(|it| names.get(it)) {
            Some(name) => Cell::Text(name.clone()),
            None => label,
        },
        _ => label,
    }
}

fn read_folders(folders: Vec<ClassFolder>, gather: &mut Gather, progress: &mut Progress<'_>) -> Result<Read, Failure> {
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

fn check_classes(gather: &Gather, read: &Read) -> Result<(), Failure> {
    let n = gather.examples.train.len();
    match &gather.classes[..] {
        [] => return Err(refusal::data("the drop has no usable rows")),
        [class] => {
            let examples = n + gather.examples.validation.len() + gather.examples.test.len();
            return Err(
                refusal::data(format!("all {examples} examples have the label `{class}`")).with_cure("a classifier needs two classes at least")
            );
        }
        _ => {}
    }
    let in_train = counts(&gather.examples.train, gather.classes.len());
    for split in [Split::Validation, Split::Test] {
        if let Some(example) = gather.examples.of(split).iter().find(|it| in_train[it.label as usize] == 0) {
            let class = &gather.classes[example.label as usize];
            let at = origin(&read.files, &read.members, example);
            return Err(refusal::data(format!("{at}: the class `{class}` occurs in {} but not in train", split.name()))
                .with_cure("add examples of it to train, or remove it"));
        }
    }
    Ok(())
}

/// After leaked examples are gone.
fn check_train(gather: &Gather, read: &Read, duplicates: &Duplicates) -> Result<(), Failure> {
    let dropped = match duplicates.leaked_dropped {
        0 => String::new(),
        n => format!(" once the {n} that stand in validation or test too are left out"),
    };
    let train = &gather.examples.train;
    if train.is_empty() {
        return Err(refusal::data(format!("train has no examples{dropped}")));
    }
    let counts = counts(train, gather.classes.len());
    match counts.iter().position(|it| *it < 2) {
        None => Ok(()),
        Some(class_idx) => {
            let class = &gather.classes[class_idx];
            let message = match train.iter().find(|it| it.label as usize == class_idx) {
                Some(only) => {
                    let at = origin(&read.files, &read.members, only);
                    format!("the class `{class}` has one example only{dropped} ({at})")
                }
                None => format!("the class `{class}` has no example in train{dropped}"),
            };
            Err(refusal::data(message).with_cure("add examples of it or remove it; a class needs two at least"))
        }
    }
}

fn check_judged(examples: &PerSplit<Vec<Example>>, has_validation: bool) -> Result<(), Failure> {
    if has_validation && examples.validation.is_empty() {
        return Err(refusal::data("every validation example stands in test too, so none is left"));
    }
    if examples.validation.is_empty() && examples.test.is_empty() {
        return Err(refusal::data("there is neither validation nor test to judge the model by")
            .with_cure("set data.validation in the recipe to more than 0, or add validation data; equal texts are never divided"));
    }
    Ok(())
}

fn counts(examples: &[Example], classes: usize) -> Vec<u64> {
    let mut counts = vec![0; classes];
    examples.iter().for_each(|it| counts[it.label as usize] += 1);
    counts
}

fn dataset(
    request: &Request<'_>,
    gather: Gather,
    read: Read,
    duplicates: Duplicates,
    mut warnings: Vec<String>,
    origin: &dyn Fn(Split) -> String,
) -> Dataset {
    let Gather { ward, empty_texts, examples, classes, .. } = gather;
    let per_split = Split::ALL.map(|it| counts(examples.of(it), classes.len()));
    let class_counts: Vec<ClassCount> = classes
        .iter()
        .enumerate()
        .map(|(idx, class)| ClassCount { class: class.clone(), train: per_split[0][idx], validation: per_split[1][idx], test: per_split[2][idx] })
        .collect();
    warn_about(&class_counts, &examples, &duplicates, &mut warnings);
    let splits = Split::ALL.into_iter().filter(|it| !examples.of(*it).is_empty());
    let splits = splits.map(|it| SplitReport { split: it, rows: examples.of(it).len() as u64, origin: origin(it) }).collect();
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

fn warn_about(classes: &[ClassCount], examples: &PerSplit<Vec<Example>>, duplicates: &Duplicates, warnings: &mut Vec<String>) {
    /// A class this much rarer than the most frequent one is easily never predicted.
    const IMBALANCE: u64 = 20;
    for (split, count) in [(Split::Validation, (|it| it.validation) as fn(&ClassCount) -> u64), (Split::Test, |it| it.test)] {
        let absent: Vec<&str> = classes.iter().filter(|it| count(it) == 0).map(|it| it.class.as_str()).collect();
        if !examples.of(split).is_empty() && !absent.is_empty() {
            warnings.push(format!("{} has no examples of {}: their scores say nothing", split.name(), refusal::list(&absent)));
        }
    }
    let by_count = |it: &&ClassCount| it.train;
    if let (Some(least), Some(most)) = (classes.iter().min_by_key(by_count), classes.iter().max_by_key(by_count))
        && IMBALANCE * least.train < most.train
    {
        warnings.push(format!(
            "`{}` has {} training examples, `{}` has {}: consider class_weights = \"auto\"",
            most.class, most.train, least.class, least.train
        ));
    }
    if 0 < duplicates.conflicting_labels {
        warnings.push(format!("texts that stand under more than one label: {}", duplicates.conflicting_labels));
    }
    if 0 < duplicates.leaked_dropped {
        warnings.push(format!("training examples left out, as their texts stand in validation or test too: {}", duplicates.leaked_dropped));
    }
    if 0 < duplicates.leaked_validation_dropped {
        warnings.push(format!("validation examples left out, as their texts stand in test too: {}", duplicates.leaked_validation_dropped));
    }
}

/// blake3 over class names and examples of all splits in order, every part with its length before it.
fn content_hash(classes: &[String], examples: &PerSplit<Vec<Example>>) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    classes.iter().for_each(|it| part(it.as_bytes()));
    for split in Split::ALL {
        part(split.name().as_bytes());
        for example in examples.of(split) {
            part(&example.label.to_le_bytes());
            part(example.text.as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}

impl Dataset {
    /// Where an example comes from: `tweets.csv line 17`, `train/pos/17.txt`.
    pub fn origin(&self, example: &Example) -> String {
        origin(&self.report.files, &self.members, example)
    }
}
