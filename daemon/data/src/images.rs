//! The way from a folder to an [`ImageDataset`]: lay out, read, decode every image once, judge,
//! count, split, report. The stages that do not ask what an example is are shared with texts.

mod columns; // which column names the images, which the targets
mod files; // a path in a table -> a file of the drop
mod folders; // a folder for each class
mod gather; // rows -> examples
mod idx; // MNIST's form
mod near_duplicates;
mod preflight; // every image decoded once
mod report; // what was seen, in numbers
mod sheets; // what was seen, to look at
mod store; // where the bytes lie
mod tables; // tables of paths, tables of images
mod targets; // cells -> what is learnt // images that look alike

pub(crate) use store::whole;
pub use store::{At, Images};

use crate::inventory::Inventory;
use crate::preflight::Rules;
use crate::quarantine::{self, Ward};
use crate::sample::{Key, PerSplit, Sample};
use crate::{Progress, layout, refusal};
use files::Files;
use finetuned_job::data::{DataReport, FileReport};
use finetuned_job::outcome::Failure;
use finetuned_job::run_folder;
use finetuned_job::task::Answer;
use gather::Gather;
use preflight::Judged;
use std::path::Path;

/// How a data set of images lies in a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageForm {
    /// A folder for each class.
    Folders,
    /// `metadata.csv`, `.jsonl` or `.parquet` beside the images, as Hugging Face's imagefolder has
    /// it.
    Metadata,
    /// Another table of paths.
    Table,
    /// Tables that hold the images themselves.
    Embedded,
    /// MNIST's form.
    Idx,
}

/// What a recipe says about a data set of images.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageChoice {
    /// Absent: decided by the values of the target column. Lists and values with a `|` are several
    /// labels, numbers with a fraction are learnt as numbers, several columns of zeros and ones are
    /// a class each; everything else is one label.
    pub problem: Option<Answer>,
    /// Column of paths or images; absent: found by its name and values.
    pub image: Option<String>,
    /// Target columns; empty: found by their names. One for a single label. For several labels one
    /// column of lists (a list in JSON and Parquet; else divided by `|`, `;`, `,` or white space,
    /// the first of them that occurs in the column) or a column of 0 and 1 for each class. For
    /// regression any number.
    pub labels: Vec<String>,
    /// Parts of the data, unless the drop has its own splits.
    pub validation: f64,
    pub test: f64,
}

pub struct ImageRequest<'a> {
    pub choice: &'a ImageChoice,
    pub seed: u64,
    /// The run folder. Written there, each begun anew: `quarantine.jsonl`, absent when nothing is
    /// quarantined; `contact/`, the contact sheets; `staging/images`, the bytes of images that are
    /// no files.
    pub run: &'a Path,
    /// That decode at a time.
    pub threads: usize,
}

/// The usable images of a drop. Train has two examples at least, and two of every class where each
/// has one label, before validation and test are carved from it; validation or test is not empty.
#[derive(Debug)]
pub struct ImageDataset {
    pub problem: Answer,
    /// In the order of the model's outputs, as for texts; empty for regression, whose outputs are
    /// `report.images.target_columns`.
    pub classes: Vec<String>,
    pub train: Vec<ImageExample>,
    pub validation: Vec<ImageExample>,
    pub test: Vec<ImageExample>,
    /// `tokens` and `estimate` are left open; `images` is there.
    pub report: DataReport,
    /// Gives the bytes of an example, to any number of threads.
    pub images: Images,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ImageExample {
    pub at: At,
    pub target: Target,
    /// 128 bits of blake3 over the image's bytes: the same number, the same image.
    pub key: u128,
    /// Index into [`DataReport::files`].
    pub file: u32,
    /// Counts from 1: the line or row of a table, the file's place in its class folder, the image's
    /// in an IDX file.
    pub line: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Index into [`ImageDataset::classes`].
    Class(u32),
    /// Such indices, ascending; may be empty.
    Classes(Box<[u32]>),
    /// Finite, one for each target column.
    Numbers(Box<[f64]>),
}

impl Target {
    fn classes(&self) -> &[u32] {
        match self {
            Target::Class(it) => std::slice::from_ref(it),
            Target::Classes(it) => it,
            Target::Numbers(_) => &[],
        }
    }
}

impl Sample for Judged {
    const NOUN: &'static str = "images";

    fn key(&self) -> Key {
        self.example.key
    }

    fn classes(&self) -> &[u32] {
        self.example.target.classes()
    }

    fn stratum(&self) -> u32 {
        match self.example.target {
            Target::Class(it) => it,
            Target::Classes(_) | Target::Numbers(_) => 0,
        }
    }

    fn same_answer(&self, other: &Judged) -> bool {
        self.example.target == other.example.target
    }
}

/// The form of the images in a drop; nothing where it holds texts, or nothing at all.
pub(crate) fn recognise(found: &Inventory) -> Option<ImageForm> {
    if !found.idx.is_empty() {
        return Some(ImageForm::Idx);
    }
    let files = Files::of(found);
    // What is wrong with a table is said when it is read.
    if let Some(form) =
        found.tables.iter().find_map(|it| tables::form(it, &files, None).ok().flatten())
    {
        return Some(form);
    }
    let beside_texts = !found.texts.is_empty() || !found.tables.is_empty();
    let any = !found.images.is_empty() && (!beside_texts || folders::are_several(&found.images));
    any.then_some(ImageForm::Folders)
}

/// `root`: the folder that `found` was taken of.
pub(crate) fn load(
    source: &str,
    root: &Path,
    mut found: Inventory,
    request: &ImageRequest<'_>,
    progress: &mut Progress<'_>,
) -> Result<ImageDataset, Failure> {
    let choice = request.choice;
    let mut warnings = std::mem::take(&mut found.warnings);
    layout::warn_of_archives(&found.archives, &mut warnings);
    let form = recognise(&found).ok_or_else(|| no_images(&found, &warnings))?;
    let store = store::Writer::open(root, &request.run.join(run_folder::STAGING));
    let mut gather = Gather::new(Ward::open(&request.run.join(run_folder::QUARANTINE))?, store);
    let mut read = match form {
        ImageForm::Folders => folders::read(found, choice, &mut gather, &mut warnings)?,
        ImageForm::Metadata | ImageForm::Table | ImageForm::Embedded => {
            tables::read(found, choice, &mut gather, &mut warnings, progress)?
        }
        ImageForm::Idx => idx::read(found, choice, &mut gather, progress)?,
    };
    let Gather { mut ward, store, rows, classes, examples } = gather;
    let images = store.close()?;
    let judged = preflight::decode(
        examples,
        &images,
        &mut read.files,
        &mut ward,
        request.threads,
        progress,
    )?;
    ward.close(rows, "images", "mend or remove them")?;
    let mut examples = gather::placed(judged, &read.files)?;
    let classes = gather::order_classes(classes, &mut examples);
    let rules = Rules {
        problem: read.problem,
        classes: &classes,
        validation: choice.validation,
        test: choice.test,
        seed: request.seed,
    };
    let conflicts = sheets::conflicts(&examples);
    let (duplicates, splits) =
        crate::preflight::divide(&mut examples, &rules, &|it| it.example.origin(&read.files))?;
    let problem = read.problem;
    let found = report::Findings {
        source,
        read,
        classes,
        duplicates,
        splits,
        quarantined: ward.report,
        warnings,
        conflicts,
    };
    let report = report::report(found, &examples, &images, request)?;
    let PerSplit { train, validation, test } = examples;
    let plain = |it: Vec<Judged>| it.into_iter().map(|it| it.example).collect();
    let classes = report.classes.iter().map(|it| it.class.clone()).collect();
    Ok(ImageDataset {
        problem,
        classes,
        train: plain(train),
        validation: plain(validation),
        test: plain(test),
        report,
        images,
    })
}

/// What reading left, besides the examples.
struct Read {
    problem: Answer,
    files: Vec<FileReport>,
    image_column: Option<String>,
    label_column: Option<String>,
    /// Of numbers, or of zeros and ones.
    target_columns: Vec<String>,
}

fn no_images(found: &Inventory, warnings: &[String]) -> Failure {
    let what = match (found.tables.first(), found.texts.first(), warnings.first()) {
        (Some(table), _, _) => {
            format!("{} has no column of images, or of paths to images", table.name)
        }
        (None, Some(text), _) => format!("the drop holds texts ({}) and no images", text.name),
        (None, None, Some(it)) => format!("the drop holds no images: {it}"),
        (None, None, None) => "the drop holds no images".into(),
    };
    refusal::data(what).with_cure("it takes a folder of images for each class, a table of paths and labels beside the images, Parquet, or IDX")
}

impl ImageExample {
    /// Where it comes from, in words: `cats/17.jpg`, `train.parquet line 17`. `files`: the
    /// report's.
    pub fn origin(&self, files: &[FileReport]) -> String {
        let (file, line) = self.place(files);
        quarantine::place(&file, line)
    }

    fn place(&self, files: &[FileReport]) -> (String, Option<u64>) {
        match &self.at {
            At::File(path) => (path.to_string_lossy().into_owned(), None),
            At::Part { .. } => (files[self.file as usize].path.clone(), Some(self.line)),
        }
    }
}
