//! A drop in a temporary folder, and what became of it as text.

use expect_test::Expect;
use finetuned_data::{Dataset, open};
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::{DataChoice, Recipe};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Drop {
    home: TempDir,
    name: String,
}

impl Drop {
    /// A folder with these files.
    pub fn folder(files: &[(&str, &[u8])]) -> Drop {
        let drop = Drop { home: TempDir::new().unwrap(), name: "drop".into() };
        fs::create_dir(drop.path()).unwrap();
        for (name, content) in files {
            let path = drop.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        drop
    }

    /// One file.
    pub fn file(name: &str, content: &[u8]) -> Drop {
        let drop = Drop { home: TempDir::new().unwrap(), name: name.into() };
        fs::write(drop.path(), content).unwrap();
        drop
    }

    pub fn path(&self) -> PathBuf {
        self.home.path().join(&self.name)
    }

    pub fn staging(&self) -> PathBuf {
        self.home.path().join("staging")
    }

    pub fn quarantine(&self) -> PathBuf {
        self.home.path().join("quarantine.jsonl")
    }

    pub fn load_as(&self, choice: &DataChoice, seed: u64) -> Result<Dataset, Failure> {
        open(&self.path(), &self.staging(), &mut |_, _, _| {})?.load(choice, seed, &self.quarantine(), &mut |_, _, _| {})
    }

    pub fn load(&self) -> Result<Dataset, Failure> {
        self.load_as(&Recipe::default().data, 0)
    }

    #[track_caller]
    pub fn check(&self, expected: Expect) {
        expected.assert_eq(&told(self.load()));
    }

    #[track_caller]
    pub fn check_as(&self, recipe: &str, expected: Expect) {
        expected.assert_eq(&told(self.load_as(&Recipe::parse(recipe).unwrap().data, 0)));
    }
}

/// As a user sees it: the report's facts, or the sentence.
pub fn told(loaded: Result<Dataset, Failure>) -> String {
    let it = match loaded {
        Ok(it) => it,
        Err(failure) => return format!("{:?}: {failure}\n", failure.kind),
    };
    let mut out = String::new();
    let report = &it.report;
    for file in &report.files {
        let split = file.split.map(|it| format!(" {}", it.name())).unwrap_or_default();
        let encoding = file.encoding.as_deref().unwrap_or("-");
        writeln!(out, "{}: {} {encoding} {} rows{split}", file.path, file.format, file.rows).unwrap();
    }
    if let (Some(text), Some(label)) = (&report.text_column, &report.label_column) {
        writeln!(out, "text `{text}` label `{label}`").unwrap();
    }
    for class in &report.classes {
        writeln!(out, "{}: {} {} {}", class.class, class.train, class.validation, class.test).unwrap();
    }
    for split in &report.splits {
        writeln!(out, "{} {} ({})", split.split.name(), split.rows, split.origin).unwrap();
    }
    for it in &report.quarantined.shown {
        writeln!(out, "quarantined {} {:?}: {}", it.file, it.line, it.reason).unwrap();
    }
    for warning in &report.warnings {
        writeln!(out, "warning: {warning}").unwrap();
    }
    out
}

/// `n` rows of two classes as CSV, after `before`.
pub fn rows(before: &str, n: usize) -> Vec<u8> {
    let mut csv = before.to_string();
    for it in 0..n {
        writeln!(csv, "text number {it},{}", ["neg", "pos"][it % 2]).unwrap();
    }
    csv.into_bytes()
}

/// Every example's text, split by split in order.
pub fn texts(dataset: &Dataset) -> Vec<&str> {
    [&dataset.train, &dataset.validation, &dataset.test].into_iter().flatten().map(|it| &*it.text).collect()
}

/// Names below a folder, or nothing where there is none.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).into_iter().flatten().map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
