//! `data.json`: what was found in a drop before anything was trained.

use crate::scores::Split;
use crate::task::Answer;
use serde::{Deserialize, Serialize};

pub const DATA_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataReport {
    pub version: u32,
    /// The drop's own name.
    pub source: String,
    /// `csv`, `tsv`, `json_lines`, `json`, `parquet`, `workbook`, `arrow`, `fasttext`, `rasa`,
    /// `lines`, `conll`, `brat`, `text_folders`, `image_folders`, `idx`.
    pub format: String,
    pub files: Vec<FileReport>,
    /// Name of the task; empty in reports of 0.1.0.
    #[serde(default)]
    pub task: String,
    /// The sentence why it is this task.
    #[serde(default)]
    pub task_reason: String,
    /// Names of the model's outputs, in their order.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// The first column of texts; absent for images, and for a folder per class.
    pub text_column: Option<String>,
    /// The one column of classes or lists of them; absent where each target column is an output.
    pub label_column: Option<String>,
    /// Columns used, of tables.
    #[serde(default)]
    pub input_columns: Vec<String>,
    #[serde(default)]
    pub target_columns: Vec<String>,
    /// In the order of the model's outputs; empty where numbers are learnt. With several labels to
    /// an example, each of them counts.
    pub classes: Vec<ClassCount>,
    /// Where numbers are learnt, one for each output.
    #[serde(default)]
    pub numbers: Vec<NumberReport>,
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
    /// What was seen of the images; absent for texts.
    pub images: Option<ImageReport>,
}

/// Every usable image, decoded once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageReport {
    pub problem: Answer,
    /// Column of paths or of images; absent for a folder per class and for IDX.
    pub image_column: Option<String>,
    /// Columns of numbers (regression), or of zeros and ones, one for each class; else empty.
    pub target_columns: Vec<String>,
    /// For regression, one for each target column.
    pub numbers: Vec<NumberReport>,
    /// As they lie on disk, all together.
    pub bytes: u64,
    /// Of the upright image, in pixels.
    pub width: Extent,
    pub height: Extent,
    /// (`jpeg`, images), the most frequent first.
    pub formats: Vec<(String, u64)>,
    /// (`rgb`, images), the most frequent first.
    pub colours: Vec<(String, u64)>,
    /// Of red, green and blue over the pixels of the training images, each image with the same
    /// weight; 0 to 1.
    pub mean: [f64; 3],
    pub deviation: [f64; 3],
    pub near_duplicates: NearDuplicates,
    /// Images of one colour throughout.
    pub blank: u64,
    /// For the report, the classes first.
    pub sheets: Vec<Sheet>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    pub min: u32,
    pub median: u32,
    pub max: u32,
}

/// One target over the training examples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NumberReport {
    pub column: String,
    pub min: f64,
    pub median: f64,
    pub max: f64,
    pub mean: f64,
    /// Of the population.
    pub deviation: f64,
}

/// Images that look alike and whose files differ. All of them are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearDuplicates {
    /// Images that have a near duplicate.
    #[serde(alias = "pictures")]
    pub images: u64,
    pub pairs: u64,
    /// Pairs whose images stand in two splits.
    pub across_splits: u64,
    /// Pairs with different labels.
    pub conflicting_labels: u64,
    /// The first ones: across splits, then with different labels, then the closest.
    pub shown: Vec<NearPair>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearPair {
    /// (where it comes from, split)
    pub a: (String, Split),
    pub b: (String, Split),
    /// Bits of 64 in which the perceptual hashes differ.
    pub distance: u32,
    pub same_label: bool,
}

/// A contact sheet: small images in rows, as PNG.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    /// Relative to the run folder; made of no name of the data.
    pub path: String,
    pub subject: SheetSubject,
    pub shown: u64,
    /// How many there are.
    pub total: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SheetSubject {
    Class(String),
    /// Where there are no classes.
    All,
    /// Left and right, pair after pair, as in [`NearDuplicates::shown`].
    NearDuplicates,
    /// Same file, different labels.
    ConflictingLabels,
    Blank,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileReport {
    /// Relative to the drop.
    pub path: String,
    pub format: String,
    /// `utf-8`, `utf-8 with BOM`, `utf-16le`, `windows-1252`, …; absent for binary formats.
    pub encoding: Option<String>,
    pub bytes: u64,
    /// Rows that can be used.
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
    /// `file`, or how and with which seed: `stratified, seed 0`, by the one class of each example;
    /// `stratified by label, seed 0`; `random, seed 0`.
    pub origin: String,
}

/// Exact duplicates: of the text (after trimming white space), of the image's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Repetitions within a split, kept.
    pub within_splits: u64,
    /// Same text or image under two labels.
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
    /// Part of the tokens that the base model's vocabulary does not have.
    #[serde(default)]
    pub unknown: f64,
    /// What they stood for, the most frequent first.
    #[serde(default)]
    pub unknown_words: Vec<String>,
    /// (upper bound of the bucket, examples), ascending, for an image.
    pub histogram: Vec<(u32, u64)>,
}

impl TokenReport {
    /// What a person should know before training, in a sentence.
    pub fn warning(&self) -> Option<String> {
        /// More unknown tokens are another language or another script.
        const UNKNOWN_MAX: f64 = 0.01;
        let share = 100.0 * self.unknown;
        let words = self.unknown_words.join("`, `");
        (UNKNOWN_MAX < self.unknown).then(|| {
            format!("{share:.1} % of the tokens are unknown to the base model, for example `{words}`: all of these look alike to it; a base model of their language or script may do better")
        })
    }
}

/// A guess, and what it is based on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub seconds: f64,
    pub memory_bytes: u64,
    pub basis: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_0_1_0_opens() {
        let text = r#"{"version": 1, "source": "a.csv", "format": "csv", "files": [],
            "text_column": "text", "label_column": "label", "classes": [], "splits": [],
            "empty_texts": 0, "duplicates": {"within_splits": 0, "conflicting_labels": 0,
            "leaked_dropped": 0, "leaked_validation_dropped": 0},
            "quarantined": {"count": 0, "shown": []}, "tokens": null, "estimate": null,
            "warnings": [], "content_hash": "", "images": null}"#;
        let report: DataReport = serde_json::from_str(text).unwrap();
        assert_eq!((&*report.task, &report.numbers[..]), ("", &[][..]));
    }
}
