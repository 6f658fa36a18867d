//! A drop -> examples: unpacks archives, finds the recipe, reads tables and folders of texts, and reports
//! what a person should know before anything is trained on them.
//!
//! Invariant: this crate decodes files of strangers, so all of it is safe Rust, and it knows no tensor, no
//! model, no process and no network. Tokens are counted, and time is estimated, by the worker.

#![forbid(unsafe_code)]

mod archive; // .zip, .tar, .tar.gz, .tar.zst -> a folder
mod carve; // train -> train, validation, test
mod columns; // which column is text, which label
mod delimited; // CSV, TSV
mod duplicates;
mod encoding; // bytes -> text
mod gather; // rows -> examples
mod inflate; // .gz and .zst
mod inputs; // what `predict` is given
mod inventory; // a folder -> its files
mod json; // JSON Lines, JSON
mod layout; // files -> splits and classes
mod opened; // a drop -> a folder and its recipe
mod parquet_table;
mod quarantine; // rows that can't be used
mod reading; // all of it in order
mod refusal;
mod signature; // what a file is that is no text
mod source; // one file, watched while it is read
mod table; // one file of rows
mod text_folder; // how to say no

pub use inputs::{PredictInput, inputs};
pub use opened::{Opened, open};

use finetuned_job::data::DataReport;
use finetuned_job::event::Phase;
use finetuned_job::scores::Split;

/// Told how far a stage is, in bytes: done, and total where it is known.
pub type Progress<'a> = dyn FnMut(Phase, u64, Option<u64>) + 'a;

/// The usable examples of a drop. Train is not empty, and has two examples of every class at least before
/// validation and test are carved from it, one after; validation or test is not empty.
#[derive(Debug)]
pub struct Dataset {
    /// In the order of the model's outputs: by number if all are integers, else by their letters.
    pub classes: Vec<String>,
    pub train: Vec<Example>,
    pub validation: Vec<Example>,
    pub test: Vec<Example>,
    /// `tokens` and `estimate` are left open.
    pub report: DataReport,
    /// For folders of texts: the files of each folder.
    members: Vec<Vec<Box<str>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Trimmed, not empty, without zero bytes.
    pub text: Box<str>,
    /// Index into [`Dataset::classes`].
    pub label: u32,
    /// Index into [`DataReport::files`].
    pub file: u32,
    /// Counts from 1: the line, the row for formats without lines, the file's place in its class folder.
    pub line: u64,
}

#[derive(Debug, Default)]
pub(crate) struct PerSplit<T> {
    pub(crate) train: T,
    pub(crate) validation: T,
    pub(crate) test: T,
}

impl<T> PerSplit<T> {
    pub(crate) fn of(&self, split: Split) -> &T {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    pub(crate) fn of_mut(&mut self, split: Split) -> &mut T {
        match split {
            Split::Train => &mut self.train,
            Split::Validation => &mut self.validation,
            Split::Test => &mut self.test,
        }
    }
}
