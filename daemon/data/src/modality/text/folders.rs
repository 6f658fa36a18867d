//! Folders of .txt files: every file is one text, or several.

use crate::encoding::{self, Encoding};
use crate::example::Record;
use crate::gather::Place;
use crate::inflate::Count;
use crate::inventory::SingleFile;
use crate::layout::{self, ClassFolder, Classes};
use crate::progress::Steps;
use crate::quarantine::Reason;
use crate::reading::{Reading, text_of};
use crate::refusal;
use crate::source::{ROW_BYTES_MAX, Source};
use crate::targets::{self, Learnt};
use finetuned_answers::Cell;
use finetuned_job::data::FileReport;
use finetuned_job::event::Phase;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use std::collections::BTreeMap;
use std::io::Read;

/// One folder for each class.
pub(super) fn of_classes(classes: Classes, reading: &mut Reading<'_, '_>) -> Result<(), Failure> {
    let learnt = targets::of_classes(classes.form, reading.request)?;
    let rows = &mut |folder: &ClassFolder, _: &SingleFile, text: &str| Ok(vec![row(folder, text)]);
    read(classes.folders, learnt, ("text_folders", rows), reading)
}

/// What goes in, and what is to be learnt of it.
pub(in crate::modality) type Given = Result<(Record, Vec<Cell>), Reason>;
/// What the text of a file gives: one example, or several.
pub(in crate::modality) type Rows<'a> =
    dyn FnMut(&ClassFolder, &SingleFile, &str) -> Result<Vec<Given>, Failure> + 'a;

/// A text, and the class of its folder.
pub(in crate::modality) fn row(folder: &ClassFolder, text: &str) -> Given {
    let record = Record::of_text(text_of(Cell::Text(text.into()))?);
    Ok((record, vec![Cell::Text(folder.class.clone())]))
}

/// The files of each split together.
pub(in crate::modality) fn by_split(texts: Vec<SingleFile>) -> Vec<ClassFolder> {
    let mut folders: BTreeMap<Option<Split>, Vec<SingleFile>> = BTreeMap::new();
    for text in texts {
        folders.entry(layout::split_of_path(&text.name)).or_default().push(text);
    }
    let folder = |(split, files): (Option<Split>, Vec<SingleFile>)| ClassFolder {
        class: String::new(),
        split,
        name: split.map_or("texts", Split::name).into(),
        class_path: String::new(),
        files,
    };
    folders.into_iter().map(folder).collect()
}

/// `form`: as the report calls it.
pub(in crate::modality) fn read(
    folders: Vec<ClassFolder>,
    learnt: Learnt,
    (form, rows): (&str, &mut Rows<'_>),
    reading: &mut Reading<'_, '_>,
) -> Result<(), Failure> {
    reading.gather.learnt = Some(learnt);
    let mut steps = Steps::new(Phase::Reading, None);
    let mut guesses = Guesses::default();
    for folder in folders {
        let report = one(&folder, (form, rows), reading, (&mut steps, &mut guesses))?;
        reading.files.push(report);
        reading.members.push(folder.files.into_iter().map(|it| it.name.into()).collect());
    }
    reading.warnings.extend(guesses.warning());
    Ok(())
}

/// Files whose encoding nothing says: how many look like each, and the first. A single text is
/// short, and what it looks like is less certain than of a table.
#[derive(Default)]
pub(super) struct Guesses {
    counts: BTreeMap<String, u64>,
    first: Option<String>,
}

impl Guesses {
    pub(super) fn note(&mut self, file: &str, encoding: Encoding) {
        if let Encoding::Legacy(_) = encoding {
            *self.counts.entry(encoding.to_string()).or_default() += 1;
            self.first.get_or_insert_with(|| file.into());
        }
    }

    pub(super) fn warning(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        let n: u64 = self.counts.values().sum();
        let each: Vec<String> = self.counts.iter().map(|(it, n)| format!("{it} ({n})")).collect();
        Some(format!(
            "files that are not UTF-8: {n} (first: {first}); read as {}, which is a guess for each: save them as UTF-8 if texts look wrong",
            refusal::list(&each)
        ))
    }
}

fn one(
    folder: &ClassFolder,
    (form, rows): (&str, &mut Rows<'_>),
    reading: &mut Reading<'_, '_>,
    (steps, guesses): (&mut Steps, &mut Guesses),
) -> Result<FileReport, Failure> {
    let (mut bytes, mut encodings) = (0, Vec::new());
    let file_idx = reading.file_idx();
    for (nth, file) in folder.files.iter().enumerate() {
        let source = Source::open(&file.path, &file.name)?;
        let text = text(&source)?;
        bytes += source.bytes();
        steps.add(source.bytes(), reading.progress);
        let nth = nth as u64 + 1;
        let place =
            Place { split: folder.split, file: file_idx, nth, name: &file.name, line: None };
        match text {
            Err(reason) => reading.gather.take(place, Err(reason))?,
            Ok((text, encoding)) => {
                note(&mut encodings, encoding);
                guesses.note(&file.name, encoding);
                for row in rows(folder, file, &text)? {
                    reading.gather.take(place, row)?;
                }
            }
        }
    }
    Ok(FileReport {
        path: folder.name.clone(),
        format: form.into(),
        encoding: (!encodings.is_empty()).then(|| encodings.join(", ")),
        bytes,
        rows: 0,
        split: folder.split,
    })
}

/// Of a file that is one text.
pub(in crate::modality) fn text(
    source: &Source,
) -> Result<Result<(String, Encoding), Reason>, Failure> {
    let failed = |err| refusal::reading(&source.name, &err);
    let mut bytes = Vec::new();
    source
        .stream(&Count::default())?
        .take(ROW_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    source.check_unchanged()?;
    if ROW_BYTES_MAX < bytes.len() as u64 {
        return Err(refusal::data(format!(
            "{} is longer than {} MiB",
            source.name,
            ROW_BYTES_MAX >> 20
        ))
        .with_cure("one text a file is expected"));
    }
    let (text, survey) = encoding::decode(&bytes).map_err(failed)?;
    Ok(match survey.foreign() {
        Some(what) => Err(Reason::NotText(what)),
        None => Ok((text, survey.encoding)),
    })
}

/// Each kind of encoding once, plain UTF-8 first as it comes first.
fn note(encodings: &mut Vec<String>, encoding: Encoding) {
    let name = match encoding {
        Encoding::Mixed { .. } => "utf-8 with windows-1252 bytes".to_string(),
        other => other.to_string(),
    };
    if !encodings.contains(&name) {
        encodings.push(name);
    }
}
