//! From a drop to a folder that can be read: an archive is unpacked (once: what was unpacked whole
//! is used again), a folder or a single file is used where it lies. Finds the recipe.

use crate::archive::{self, Archive};
use crate::detection;
use crate::format::Format;
use crate::forms;
use crate::inflate::Compression;
use crate::inventory::{self, Inventory, Kind};
use crate::load::{self, Dataset};
use crate::modality;
use crate::progress::Progress;
use crate::refusal;
use crate::request::Request;
use crate::signature;
use crate::source::Source;
use crate::table::TableFile;
use crate::workbook;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::recipe::DataChoice;
use finetuned_job::spec::RecipeText;
use finetuned_job::task::{Modality, Task};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Name of the recipe in a drop.
pub(crate) const RECIPE: &str = finetuned_job::recipe::FILE;
/// A recipe that is longer is refused by its parser anyway.
const RECIPE_BYTES_MAX: u64 = 256 << 10;

#[derive(Debug)]
pub struct Opened {
    /// The drop's own name.
    source: String,
    place: Place,
    recipe: Option<RecipeText>,
    warnings: Vec<String>,
}

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    File(TableFile),
}

/// Makes `drop` readable. An archive is unpacked into a folder `unpacked…` of `staging`, beside
/// which nothing there is touched; `staging` is made where it is missing, and holds nothing of ours
/// after a refusal.
///
/// # Errors Kind `Data`: the drop is gone, no data, or an archive that may not be unpacked. Kind
/// `Recipe`: `job.toml` is no text. Kind `Disk`: the machine failed.
pub fn open(drop: &Path, staging: &Path, progress: &mut Progress<'_>) -> Result<Opened, Failure> {
    let source = drop.file_name().unwrap_or(drop.as_os_str()).to_string_lossy().into_owned();
    let metadata =
        std::fs::symlink_metadata(drop).map_err(|err| refusal::reading(&source, &err))?;
    if metadata.is_symlink() {
        return Err(refusal::data(format!("{source} is a symbolic link"))
            .with_cure("drop the data themselves"));
    }
    if metadata.is_dir() {
        return open_folder(drop, source, staging, progress);
    }
    match archive_of(drop, &source)? {
        Some(archive) => {
            let (folder, warnings) = archive::unpack(&[archive], staging, progress)?;
            let (root, recipe) = root_of(&folder, &source)?;
            Ok(Opened { source, place: Place::Folder(root), recipe, warnings })
        }
        None => {
            let file = single_file(drop, &source)?;
            Ok(Opened { source, place: Place::File(file), recipe: None, warnings: Vec::new() })
        }
    }
}

impl Opened {
    /// `job.toml`, as it stands.
    pub fn recipe(&self) -> Option<&RecipeText> {
        self.recipe.as_ref()
    }

    /// What goes into a model that learns from this drop; `task` and `choice`: the recipe's.
    ///
    /// # Errors
    /// Kind `Data` or `Disk`: the drop can't be listed.
    pub fn modality(&self, task: Option<Task>, choice: &DataChoice) -> Result<Modality, Failure> {
        modality_of(&self.inventory()?.1, task, choice)
    }

    /// Reads everything, and decodes every image once. Without a task in the request what is learnt
    /// is decided by the columns; with one, they must fit it. See [`Request`] for what is written.
    ///
    /// # Errors
    /// Kind `Data` with file, line and cure where the drop can't be trained on; kind `Disk` where
    /// the machine failed.
    pub fn load(
        &self,
        request: &Request<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<Dataset, Failure> {
        let (root, mut found) = self.inventory()?;
        let modality = modality_of(&found, request.task, request.choice)?;
        found.warnings.splice(0..0, self.warnings.iter().cloned());
        load::load((&self.source, &root), (found, modality), request, progress)
    }

    /// The folder of the data and the files in it, below it with `/` and sorted by bytes: what a
    /// reader of a plugin is shown. Links, hidden files and names that are no UTF-8 are left out.
    ///
    /// # Errors Kind `Disk`: the drop can't be listed. Kind `Data`: the folder's own path is no
    /// UTF-8.
    pub fn files(&self) -> Result<(String, Vec<String>), Failure> {
        let (root, only) = match &self.place {
            Place::Folder(root) => (root.as_path(), None),
            Place::File(file) => {
                (file.path.parent().unwrap_or(Path::new("")), Some(file.name.clone()))
            }
        };
        let spoken = root
            .to_str()
            .ok_or_else(|| refusal::data(format!("{} is no UTF-8", root.display())))?;
        Ok((spoken.into(), only.map_or_else(|| inventory::files(root), |it| Ok(vec![it]))?))
    }

    /// The folder of the data, and what lies in it.
    fn inventory(&self) -> Result<(PathBuf, Inventory), Failure> {
        let (root, mut found) = match &self.place {
            Place::Folder(root) => (root.clone(), inventory::take(root)?),
            Place::File(file) => (
                file.path.parent().unwrap_or(Path::new("")).to_path_buf(),
                Inventory { tables: vec![file.clone()], ..Inventory::default() },
            ),
        };
        let boxes = detection::check(&found)?;
        found.warnings.extend(boxes);
        forms::unfold(&mut found)?;
        Ok((root, found))
    }
}

fn modality_of(
    found: &Inventory,
    task: Option<Task>,
    choice: &DataChoice,
) -> Result<Modality, Failure> {
    let modality = task.map(|it| it.modality).or_else(|| modality::recognised(found, choice));
    modality.ok_or_else(|| refusal::data("the drop holds no data"))
}

fn open_folder(
    drop: &Path,
    source: String,
    staging: &Path,
    progress: &mut Progress<'_>,
) -> Result<Opened, Failure> {
    let (root, recipe) = root_of(drop, &source)?;
    let found = inventory::take(&root)?;
    // A recipe beside an archive: there is no other way to give the two together. Several archives
    // are splits, or classes.
    let is_alone = found.has_no_example_files() && found.tables.iter().all(forms::is_form);
    if is_alone && !found.archives.is_empty() {
        let name = |it: &PathBuf| it.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut archives = Vec::new();
        for path in &found.archives {
            archives.extend(archive_of(path, &name(path))?);
        }
        if archives.len() == found.archives.len() {
            let (folder, unpacked) = archive::unpack(&archives, staging, progress)?;
            let (root, inner) = root_of(&folder, &source)?;
            let forms = found.tables.iter().map(forms::form_ignored);
            let warnings = found.warnings.into_iter().chain(forms).chain(unpacked).collect();
            let recipe = recipe.or(inner);
            return Ok(Opened { source, place: Place::Folder(root), recipe, warnings });
        }
    }
    Ok(Opened { source, place: Place::Folder(root), recipe, warnings: Vec::new() })
}

/// The folder with the data: a folder that holds nothing but one other folder is entered, once.
/// With the recipe of either, the inner one first.
fn root_of(folder: &Path, source: &str) -> Result<(PathBuf, Option<RecipeText>), Failure> {
    let failed = |err| refusal::reading(source, &err);
    let outer = recipe_in(folder)?;
    let mut only = None;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if Kind::of(&entry.file_name().to_string_lossy()) == Kind::Companion {
            continue;
        }
        if only.is_some() || !entry.file_type().map_err(failed)?.is_dir() {
            return Ok((folder.into(), outer));
        }
        only = Some(entry.path());
    }
    match only {
        Some(inner) if holds_more_than_texts(&inner).map_err(failed)? => {
            let recipe = recipe_in(&inner)?.or(outer);
            Ok((inner, recipe))
        }
        _ => Ok((folder.into(), outer)),
    }
}

/// A folder of nothing but .txt files is a class, and its name is needed.
fn holds_more_than_texts(folder: &Path) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = Kind::of(&entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir()
            || matches!(kind, Kind::Table(_) | Kind::Archive | Kind::Idx | Kind::Spans)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn recipe_in(folder: &Path) -> Result<Option<RecipeText>, Failure> {
    let path = folder.join(RECIPE);
    match std::fs::symlink_metadata(&path) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(refusal::reading(RECIPE, &err)),
        Ok(_) => {}
    }
    let source = Source::open(&path, RECIPE)?;
    let mut bytes = Vec::new();
    let mut file =
        source.file().map_err(|err| refusal::reading(RECIPE, &err))?.take(RECIPE_BYTES_MAX + 1);
    file.read_to_end(&mut bytes).map_err(|err| refusal::reading(RECIPE, &err))?;
    let recipe = |message: String| Failure::new(FailureKind::Recipe, message);
    if RECIPE_BYTES_MAX < bytes.len() as u64 {
        return Err(recipe(format!("{RECIPE} is longer than {} KiB", RECIPE_BYTES_MAX >> 10)));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(RecipeText {
            file: path,
            text: text.strip_prefix('\u{feff}').unwrap_or(&text).to_string(),
        })),
        Err(_) => Err(recipe(format!("{RECIPE} is not UTF-8")).with_cure("save it as UTF-8")),
    }
}

/// By content, not by name: what can be unpacked, if it is such a thing. A workbook is a zip too,
/// and a table.
fn archive_of(path: &Path, name: &str) -> Result<Option<Archive>, Failure> {
    let source = Source::open(path, name)?;
    if signature::not_read(&name.to_ascii_lowercase()).is_some()
        || workbook::kind(&source)?.is_some()
    {
        return Ok(None);
    }
    archive::recognise(source)
}

/// A drop that is one table.
fn single_file(path: &Path, name: &str) -> Result<TableFile, Failure> {
    let format = match Kind::of(name) {
        Kind::Table(format) => format.or_tagged_words(path, name),
        _ => by_content(path, name)?,
    };
    Ok(TableFile::new(path.into(), name.into(), format))
}

/// For a file whose name says nothing.
fn by_content(path: &Path, name: &str) -> Result<Format, Failure> {
    if let Some(known) = signature::not_read(&name.to_ascii_lowercase()) {
        return Err(refusal::data(format!("{name} is {}, which is not read", known.what))
            .with_cure(known.cure));
    }
    let source = Source::open(path, name)?;
    match workbook::kind(&source)? {
        Some(workbook::Kind::Other(what)) => {
            return Err(refusal::data(format!("{name} is {what}, which is not read"))
                .with_cure("write the rows to CSV, JSON Lines or Parquet"));
        }
        Some(_) => return Ok(Format::Workbook),
        None => {}
    }
    if let Some(format) = Format::of_nameless(path, name)? {
        return Ok(format);
    }
    let mut head = [0; 1 << 12];
    let n = source.raw_head(&mut head)?;
    let what = match source.compression() {
        Some(Compression::Gzip) => "a gzip file, but neither a .tar.gz nor a .csv.gz",
        Some(Compression::Zstd) => "a zstd file, but neither a .tar.zst nor a .csv.zst",
        None => signature::foreign(&head[..n]).unwrap_or("no data that finetuned reads"),
    };
    Err(refusal::data(format!("{name} is {what}"))
        .with_cure("it takes .csv, .tsv, .json, .jsonl, .parquet, .arrow, .xlsx, .ods, an archive of them, or a folder of .txt files for each class"))
}
