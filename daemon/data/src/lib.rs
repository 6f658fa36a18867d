//! A drop -> examples: unpacks archives, finds the recipe, reads tables and folders of texts or
//! images, and reports what a person should know before anything is trained on them.
//!
//! Invariant: this crate decodes files of strangers, so all of it is safe Rust, and it knows no
//! tensor, no model, no process and no network. Tokens are counted, and time is estimated, by the
//! worker.

#![forbid(unsafe_code)]

mod archive; // .zip, .tar, .tar.gz, .tar.zst -> a folder
mod carve; // train -> train, validation, test
mod classes; // labels -> numbers
mod columns; // which column is text, which label
mod delimited; // CSV, TSV
mod duplicates;
mod encoding; // bytes -> text
mod gather; // rows -> examples
mod images; // the same way for images
mod inflate; // .gz and .zst
mod inputs; // what `predict` is given
mod inventory; // a folder -> its files
mod json; // JSON Lines, JSON
mod preflight; // what can be learnt, and judged
mod layout; // files -> splits and classes
mod opened; // a drop -> a folder and its recipe
mod parquet_table;
mod quarantine; // rows that can't be used
mod reading; // all of it in order
mod refusal;
mod sample; // what both kinds of examples have in common
mod signature; // what a file is that is no text
mod source; // one file, watched while it is read
mod table; // one file of rows
mod text_folder; // how to say no

pub use images::{
    At, ImageChoice, ImageDataset, ImageExample, ImageForm, ImageRequest, Images, Target,
};
pub use inputs::{ImageInput, PredictInput, image_inputs, inputs};
pub use opened::{Opened, open};

use finetuned_job::data::DataReport;
use finetuned_job::event::Phase;
use sample::{Key, Sample};

/// Told how far a stage is, in bytes: done, and total where it is known.
pub type Progress<'a> = dyn FnMut(Phase, u64, Option<u64>) + 'a;

/// Bytes between two words of progress.
const TOLD_BYTES: u64 = 1 << 20;

/// The usable texts of a drop. Train is not empty, and has two examples of every class at least
/// before validation and test are carved from it, one after; validation or test is not empty.
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
    /// Counts from 1: the line, the row for formats without lines, the file's place in its class
    /// folder.
    pub line: u64,
}

impl Sample for Example {
    const NOUN: &'static str = "texts";

    fn key(&self) -> Key {
        sample::key_of(self.text.as_bytes())
    }

    fn classes(&self) -> &[u32] {
        std::slice::from_ref(&self.label)
    }

    fn stratum(&self) -> u32 {
        self.label
    }

    fn same_answer(&self, other: &Example) -> bool {
        self.label == other.label
    }
}
