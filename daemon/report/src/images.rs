//! Decides which images a report carries within itself, and how many bytes of them.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use finetuned_job::data::{DataReport, Sheet, SheetSubject};
use minijinja::Value;
use std::path::Path;

/// Bytes of contact sheets in a report: some dozens of them, and still a file that a mail program
/// takes.
const SHEETS_BYTES_MAX: u64 = 12 << 20;

/// PNG files of the data set that the report shows; none for texts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Images<'a> {
    /// As [`read_sheets`] gives them.
    pub sheets: &'a [(Sheet, Vec<u8>)],
    /// A strip of training images as they were changed for training.
    pub augmented: Option<&'a [u8]>,
}

/// The contact sheets of a run as far as they fit a report, those of what is suspicious first.
///
/// # Errors
/// A sheet that `data` names can't be read.
pub fn read_sheets(run: &Path, data: &DataReport) -> Result<Vec<(Sheet, Vec<u8>)>> {
    let mut sheets: Vec<&Sheet> = data.images.iter().flat_map(|it| &it.sheets).collect();
    sheets.sort_by_key(|it| matches!(it.subject, SheetSubject::Class(_) | SheetSubject::All));
    let mut left = SHEETS_BYTES_MAX;
    let mut read = Vec::new();
    for sheet in sheets {
        let path = run.join(&sheet.path);
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let Some(rest) = left.checked_sub(bytes.len() as u64) else { break };
        left = rest;
        read.push((sheet.clone(), bytes));
    }
    Ok(read)
}

/// The image as an address that holds it, of letters that need no escaping.
pub(crate) fn data_uri(png: &[u8]) -> Value {
    Value::from_safe_string(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::tests::SampleRun;

    #[test]
    fn sheets_are_read_until_the_report_is_full_the_suspicious_ones_first() {
        let run = tempfile::tempdir().unwrap();
        let mut data = SampleRun::pets().data;
        let sheets = &mut data.images.as_mut().unwrap().sheets;
        sheets.truncate(3);
        for (index, sheet) in sheets.iter_mut().enumerate() {
            sheet.path = format!("{index}.png");
            std::fs::write(run.path().join(&sheet.path), vec![0; 5 << 20]).unwrap();
        }
        sheets[2].subject = SheetSubject::Blank;
        let paths = |data: &DataReport| {
            read_sheets(run.path(), data)
                .unwrap()
                .into_iter()
                .map(|it| it.0.path)
                .collect::<Vec<_>>()
        };
        assert_eq!(paths(&data), ["2.png", "0.png"]);
        data.images = None;
        assert_eq!(paths(&data), [""; 0]);
    }

    #[test]
    fn a_sheet_that_is_gone_is_named() {
        let run = tempfile::tempdir().unwrap();
        let error = read_sheets(run.path(), &SampleRun::pets().data).unwrap_err();
        assert!(format!("{error:#}").contains("contact/near.png"), "{error:#}");
    }

    #[test]
    fn bytes_become_an_address() {
        assert_eq!(data_uri(b"\x89PNG").to_string(), "data:image/png;base64,iVBORw==");
    }
}
