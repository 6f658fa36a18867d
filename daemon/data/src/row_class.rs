//! Labels of rows that a table itself does not hold: one of all of them, or of each line one in a
//! file beside it.

use crate::encoding;
use crate::inflate::Count;
use crate::refusal;
use crate::source::Source;
use finetuned_job::outcome::Failure;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// A file of labels alone is short.
const BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Clone)]
pub(crate) enum RowClass {
    Same(String),
    OfLine(Arc<LineLabels>),
}

/// The lines of a file, each the label of a line in another.
#[derive(Debug)]
pub(crate) struct LineLabels {
    name: String,
    labels: Vec<String>,
}

impl RowClass {
    /// `line`: counts from 1.
    pub(crate) fn of(&self, line: u64) -> String {
        match self {
            RowClass::Same(class) => class.clone(),
            RowClass::OfLine(it) => {
                let at = usize::try_from(line).unwrap_or(usize::MAX).wrapping_sub(1);
                it.labels.get(at).cloned().unwrap_or_default()
            }
        }
    }

    /// After the last line of `file` that holds something.
    ///
    /// # Errors
    /// There are more labels than that, or fewer.
    pub(crate) fn check_end(&self, file: &str, last: u64) -> Result<(), Failure> {
        match self {
            RowClass::OfLine(it) if it.labels.len() as u64 != last => {
                Err(refusal::data(format!(
                    "{file} has {last} lines and {} has {}: which label belongs to which text can't be told",
                    it.name,
                    it.labels.len()
                ))
                .with_cure("write a text and its label into each line of one table"))
            }
            _ => Ok(()),
        }
    }
}

impl LineLabels {
    /// `names`: what stands for some of the labels.
    pub(crate) fn read(
        path: &Path,
        name: &str,
        names: &BTreeMap<String, String>,
    ) -> Result<LineLabels, Failure> {
        let label = |it: &str| names.get(it.trim()).map_or(it.trim(), String::as_str).to_string();
        let mut labels: Vec<String> = lines(path, name)?.iter().map(|it| label(it)).collect();
        while labels.last().is_some_and(String::is_empty) {
            labels.pop();
        }
        Ok(LineLabels { name: name.into(), labels })
    }
}

/// Of a short text file.
pub(crate) fn lines(path: &Path, name: &str) -> Result<Vec<String>, Failure> {
    let failed = |err| refusal::reading(name, &err);
    let mut bytes = Vec::new();
    let stream = Source::open(path, name)?.stream(&Count::default())?;
    stream.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if BYTES_MAX < bytes.len() as u64 {
        return Err(refusal::data(format!(
            "{name} holds more than {} MiB of labels",
            BYTES_MAX >> 20
        ))
        .with_cure("write a text and its label into each line of one table"));
    }
    let text = encoding::decode(&bytes).map_err(failed)?.0;
    Ok(text.lines().map(str::to_string).collect())
}
