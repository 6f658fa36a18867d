//! Folders of .txt files, one folder for each class: every file is one text.

use crate::encoding::{self, Encoding};
use crate::gather::{Gather, Place};
use crate::inflate::Count;
use crate::layout::ClassFolder;
use crate::quarantine::Reason;
use crate::refusal;
use crate::source::{ROW_BYTES_MAX, Source};
use crate::table::Cell;
use finetuned_job::data::FileReport;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use std::io::Read;

/// Adds the folder's texts; gives its line of the report. `told` hears of the bytes read of each
/// file.
pub(crate) fn read(
    folder: &ClassFolder,
    file_idx: u32,
    gather: &mut Gather,
    told: &mut dyn FnMut(u64),
) -> Result<FileReport, Failure> {
    let mut report = FileReport {
        path: folder.name.clone(),
        format: "text_folders".into(),
        encoding: None,
        bytes: 0,
        rows: 0,
        split: folder.split,
    };
    let mut encodings: Vec<String> = Vec::new();
    for (nth, file) in folder.files.iter().enumerate() {
        let source = Source::open(&file.path, &file.name)?;
        let text = text(&source)?;
        report.bytes += source.bytes();
        told(source.bytes());
        let row = text.map(|(text, encoding)| {
            note(&mut encodings, encoding);
            (Cell::Text(text), Cell::Text(folder.class.clone()))
        });
        let at = Place {
            split: folder.split.unwrap_or(Split::Train),
            file: file_idx,
            name: &file.name,
            line: None,
        };
        report.rows += u64::from(gather.take(at, nth as u64 + 1, row)?);
    }
    report.encoding = (!encodings.is_empty()).then(|| encodings.join(", "));
    Ok(report)
}

fn text(source: &Source) -> Result<Result<(String, Encoding), Reason>, Failure> {
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
