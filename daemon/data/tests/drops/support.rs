//! A drop in a temporary folder, and what became of it as text.

use expect_test::Expect;
use finetuned_data::{Dataset, Opened, Request, ValidationDefault, open};
use finetuned_images::{Pixels, contact_sheet};
use finetuned_job::data::DataReport;
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::Recipe;
use finetuned_job::task::Modality;
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

    /// What lies beside the drop is the run folder.
    pub fn run(&self) -> &Path {
        self.home.path()
    }

    pub fn open(&self) -> Result<Opened, Failure> {
        open(&self.path(), &self.staging(), &mut |_, _, _| {})
    }

    pub fn load_as(&self, recipe: &str, seed: u64) -> Result<Dataset, Failure> {
        let recipe = Recipe::parse(recipe).unwrap();
        let request = Request {
            task: recipe.task,
            choice: &recipe.data,
            validation: a_tenth,
            seed,
            run: self.run(),
            threads: 1 + seed as usize % 3,
        };
        self.open()?.load(&request, &mut |_, _, _| {})
    }

    /// What it is taken for.
    pub fn modality(&self) -> Modality {
        self.open().unwrap().modality(None, &Recipe::default().data).unwrap()
    }

    pub fn load(&self) -> Result<Dataset, Failure> {
        self.load_as("", 0)
    }

    #[track_caller]
    pub fn check(&self, expected: Expect) {
        self.check_as("", expected);
    }

    #[track_caller]
    pub fn check_as(&self, recipe: &str, expected: Expect) {
        expected.assert_eq(&reported(self.load_as(recipe, 0)));
    }
}

/// Of any number of examples.
pub fn a_tenth(_: u64) -> ValidationDefault {
    ValidationDefault { part: 0.1, of_each_class: 0 }
}

/// As a user sees it: the report's facts, or the sentence.
pub fn reported(loaded: Result<Dataset, Failure>) -> String {
    match loaded {
        Ok(it) => facts(&it.report),
        Err(failure) => format!("{:?}: {failure}\n", failure.kind),
    }
}

fn facts(report: &DataReport) -> String {
    let mut out = String::new();
    for file in &report.files {
        let split = file.split.map(|it| format!(" {}", it.name())).unwrap_or_default();
        let encoding = file.encoding.as_deref().unwrap_or("-");
        writeln!(out, "{}: {} {encoding} {} rows{split}", file.path, file.format, file.rows)
            .unwrap();
    }
    writeln!(out, "{}: {}", report.task, report.task_reason).unwrap();
    if !report.target_columns.is_empty() {
        let columns = [&report.input_columns, &report.target_columns].map(|it| it.join("`, `"));
        writeln!(out, "`{}` -> `{}`", columns[0], columns[1]).unwrap();
    }
    for it in &report.numbers {
        writeln!(out, "{}: {} to {}, mean {:.3}", it.column, it.min, it.max, it.mean).unwrap();
    }
    for class in &report.classes {
        writeln!(out, "{}: {} {} {}", class.class, class.train, class.validation, class.test)
            .unwrap();
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

/// A folder drop of files that were made.
pub fn folder(files: &[(String, Vec<u8>)]) -> Drop {
    let files: Vec<(&str, &[u8])> = files.iter().map(|it| (&*it.0, &*it.1)).collect();
    Drop::folder(&files)
}

/// Several words that hardly recur.
pub fn text(it: usize) -> String {
    format!("what was told the {it}th time in words")
}

/// An image of 4 x 4 fields, each seed another one, as PNG.
pub fn image(seed: u64) -> Vec<u8> {
    fields(|field| {
        let x = (seed << 8 | field).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ x >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        [(x >> 40) as u8, (x >> 48) as u8, (x >> 56) as u8]
    })
}

pub fn fields(colour: impl Fn(u64) -> [u8; 3]) -> Vec<u8> {
    let pixels: Vec<u8> =
        (0..32 * 32).flat_map(|it| colour(it / 32 / 8 * 4 + it % 32 / 8)).collect();
    contact_sheet(&[Pixels::new(32, 32, pixels)], 1, 32)
}

/// A folder drop of `n` images in each of these folders, and these files beside them.
pub fn gallery(folders: &[&str], n: usize, files: &[(&str, &[u8])]) -> Drop {
    let drop = Drop::folder(files);
    for (folder_idx, folder) in folders.iter().enumerate() {
        fs::create_dir_all(drop.path().join(folder)).unwrap();
        for it in 0..n {
            fs::write(
                drop.path().join(format!("{folder}/{it}.png")),
                image((1000 * folder_idx + it) as u64),
            )
            .unwrap();
        }
    }
    drop
}

pub const CLASSES: [&str; 2] = ["neg", "pos"];

/// `n` lines below a header, each of its number and a class.
pub fn table(header: &str, n: usize, line: impl Fn(usize, &str) -> String) -> String {
    format!("{header}\n{}", lines(n, line))
}

fn lines(n: usize, line: impl Fn(usize, &str) -> String) -> String {
    (0..n).map(|it| line(it, CLASSES[it % 2]) + "\n").collect()
}

/// `n` rows of two classes as CSV, after `before`.
pub fn rows(before: &str, n: usize) -> Vec<u8> {
    let lines = lines(n, |it, label| format!("text number {it},{label}"));
    (before.to_string() + &lines).into_bytes()
}

/// Every example's text, split by split in order.
pub fn texts(dataset: &Dataset) -> Vec<&str> {
    [&dataset.train, &dataset.validation, &dataset.test]
        .into_iter()
        .flatten()
        .map(|it| &*it.record.texts[0])
        .collect()
}

/// Names below a folder, or nothing where there is none.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|it| it.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
