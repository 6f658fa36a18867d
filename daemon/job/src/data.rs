//! `data.json`: what was found in a drop before anything was trained.

use crate::scores::Split;
use serde::{Deserialize, Serialize};

pub const DATA_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataReport {
    pub version: u32,
    /// The drop's own name.
    pub source: String,
    /// `csv`, `tsv`, `json_lines`, `json`, `parquet`, `text_folders`.
    pub format: String,
    pub files: Vec<FileReport>,
    /// Columns used; absent for a folder per class.
    pub text_column: Option<String>,
    pub label_column: Option<String>,
    /// In the order of the model's outputs.
    pub classes: Vec<ClassCount>,
    pub splits: Vec<SplitReport>,
    pub empty_texts: u64,
    pub duplicates: Duplicates,
    pub quarantined: Quarantine,
    pub tokens: Option<TokenReport>,
    pub estimate: Option<Estimate>,
    /// Things a person should look at, in sentences.
    pub warnings: Vec<String>,
    /// blake3 over the usable examples in order, hex: a resumed run refuses other data.
    pub content_hash: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileReport {
    /// Relative to the drop.
    pub path: String,
    pub format: String,
    /// `utf-8`, `utf-8 with BOM`, `utf-16le`, `windows-1252`, …; absent for binary formats.
    pub encoding: Option<String>,
    pub bytes: u64,
    /// Rows with both text and label.
    pub rows: u64,
    /// What the file's or folder's name says; absent: it is split by seed.
    pub split: Option<Split>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassCount {
    pub class: String,
    pub train: u64,
    pub validation: u64,
    pub test: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitReport {
    pub split: Split,
    pub rows: u64,
    /// `file` or `stratified, seed 0`.
    pub origin: String,
}

/// Exact duplicates of the text (after trimming white space).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Repetitions within a split, kept.
    pub within_splits: u64,
    /// Same text under two labels.
    pub conflicting_labels: u64,
    /// Training rows whose text stands in validation or test too: dropped from training.
    pub leaked_dropped: u64,
    /// Validation rows whose text stands in test too: dropped from validation.
    pub leaked_validation_dropped: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    pub count: u64,
    /// The first ones; all of them stand in `quarantine.jsonl`.
    pub shown: Vec<Quarantined>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    pub file: String,
    /// Counts from 1; the row for formats without lines; absent for whole files.
    pub line: Option<u64>,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenReport {
    pub max_tokens: u32,
    pub mean: f64,
    pub median: u32,
    pub p90: u32,
    pub p99: u32,
    pub longest: u32,
    /// Examples longer than `max_tokens`, whose end is cut off.
    pub cut: u64,
    /// (upper bound of the bucket, examples), ascending, for a picture.
    pub histogram: Vec<(u32, u64)>,
}

/// A guess, and what it is based on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub seconds: f64,
    pub memory_bytes: u64,
    pub basis: String,
}
