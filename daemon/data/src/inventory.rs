//! Lists a drop: which files are tables, texts, images, which are none of these. Follows no link,
//! decides nothing about splits. Names say what a file is; only where one says nothing, its first
//! bytes are asked for an image.

use crate::format::Format;
use crate::refusal;
use crate::signature::{self, NotRead};
use crate::source::Source;
use crate::split_names::class_parts;
use crate::table::TableFile;
use finetuned_images::Format as ImageFormat;
use finetuned_job::file_name::FileName;
use finetuned_job::outcome::Failure;
use std::collections::HashSet;
use std::fs::FileType;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Entries of a folder drop. A data set of more single files belongs in a table.
const ENTRIES_MAX: usize = 1_000_000;
/// Folders in folders.
pub(crate) const DEPTH_MAX: usize = 16;
/// Warnings about single files; the rest is counted.
const NAMED_MAX: usize = 20;

/// Names, without extension and in lower case, of files that come with data and are none.
const COMPANIONS: &[&str] = &[
    "readme",
    "license",
    "licence",
    "copying",
    "notice",
    "changelog",
    "citation",
    "authors",
    "job",
    "dataset_info",
    "dataset_infos",
    "dataset_dict",
    "state",
    "requirements",
    "environment",
    "pyproject",
    "dataset-metadata",
    "_darknet",
];

#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) tables: Vec<TableFile>,
    pub(crate) texts: Vec<SingleFile>,
    pub(crate) images: Vec<SingleFile>,
    pub(crate) idx: Vec<SingleFile>,
    pub(crate) archives: Vec<PathBuf>,
    /// Each the spans of one of the texts, which is called as it is.
    pub(crate) spans: Vec<SingleFile>,
    /// Known, and not read.
    pub(crate) not_read: Vec<(SingleFile, &'static NotRead)>,
    /// What people write about data, and sometimes the data themselves: Markdown, programs.
    pub(crate) writings: Vec<SingleFile>,
    /// Names of symbolic links, which lead nowhere.
    pub(crate) links: HashSet<String>,
    pub(crate) warnings: Vec<String>,
}

impl Inventory {
    /// Whether no file is an example of its own, or holds images alone.
    pub(crate) fn has_no_example_files(&self) -> bool {
        self.texts.is_empty() && self.images.is_empty() && self.idx.is_empty()
    }
}

/// A text, an image, an IDX file.
#[derive(Debug, Clone)]
pub(crate) struct SingleFile {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
}

impl SingleFile {
    /// Name of the text beside it.
    pub(crate) fn text_of_spans(&self) -> String {
        let stem = self.name.rsplit_once('.').map_or(&*self.name, |it| it.0);
        format!("{stem}.txt")
    }
}

/// What a file's name says about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Table(Format),
    Text,
    Image,
    Idx,
    Archive,
    /// As brat writes them beside a text.
    Spans,
    /// A companion of data, or hidden: nobody needs to hear of it.
    Companion,
    /// Known, and no data of ours.
    Other,
    /// The name says nothing.
    Unknown,
}

impl Kind {
    /// Of files and of folders; `name` in lower case.
    fn is_hidden(name: &str) -> bool {
        name.starts_with('.')
            || name.starts_with("__macosx")
            || name.ends_with('~')
            || FileName::of(name) == FileName::Litter
    }

    pub(crate) fn of(name: &str) -> Kind {
        let name = name.to_ascii_lowercase();
        let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
        if Kind::is_hidden(&name) || is_companion(stem, extension) {
            return Kind::Companion;
        }
        let idx = |name: &str| name.ends_with("-ubyte") || name.ends_with(".idx");
        match extension {
            _ if FileName::of(&name) == FileName::UnderWay => Kind::Other,
            _ if idx(&name) => Kind::Idx,
            "gz" | "zst" if idx(stem) => Kind::Idx,
            _ if IMAGE_EXTENSIONS.contains(&extension) => Kind::Image,
            // As the polarities of Pang and Lee are called, and texts beside their labels.
            "txt" | "pos" | "neg" | "text" | "label" | "labels" => Kind::Text,
            "zip" | "tar" | "tgz" | "tzst" => Kind::Archive,
            "ann" => Kind::Spans,
            "gz" | "zst" => match stem.rsplit_once('.') {
                Some((_, "tar")) => Kind::Archive,
                Some((_, inner)) => match Format::of_extension(inner) {
                    Some(format) if !format.is_random_access() => Kind::Table(format),
                    Some(_) | None => Kind::Unknown,
                },
                None => Kind::Unknown,
            },
            _ if NOT_DATA_EXTENSIONS.contains(&extension) => Kind::Other,
            _ => Format::of_extension(extension).map_or(Kind::Unknown, Kind::Table),
        }
    }

    /// Of a file whose name says nothing. What can't be opened is nothing.
    fn by_content(path: &Path, name: &str) -> Kind {
        let mut head = [0; ImageFormat::HEAD_BYTES];
        let read = Source::open(path, name).and_then(|it| it.raw_head(&mut head));
        match read.map(|n| ImageFormat::of(&head[..n])) {
            Ok(Some(_)) => Kind::Image,
            Ok(None) => match Format::of_nameless(path, name) {
                Ok(Some(format)) => Kind::Table(format),
                Ok(None) | Err(_) => Kind::Unknown,
            },
            Err(_) => Kind::Unknown,
        }
    }
}

/// Extensions of what is decoded, and of images that are not and deserve a sentence; all in lower
/// case.
const IMAGE_EXTENSIONS: &[&str] = &[
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "dib", "tif", "tiff", "heic",
    "heif", "avif", "jxl", "jp2", "svg", "psd", "dcm", "ico",
];

/// Whether a value of a table looks like the path of an image.
pub(crate) fn is_image_name(value: &str) -> bool {
    let extension = value.trim().rsplit_once('.').map(|it| it.1.to_ascii_lowercase());
    extension.is_some_and(|it| IMAGE_EXTENSIONS.contains(&it.as_str()))
}

/// Extensions of files that begin like data and are none to learn from: raw files of cameras are
/// TIFFs with a thumbnail, and lie beside their JPEGs.
const NOT_DATA_EXTENSIONS: &[&str] = &[
    "3fr", "arw", "cr2", "dcr", "dng", "erf", "iiq", "kdc", "mef", "mos", "nef", "nrw", "orf",
    "pef", "rw2", "sr2", "srw", "thm", // of cameras
    "bak", "old", "orig", "swp",  // what a file was before
    "arff", // a header of its own before its rows
];

/// Extensions of what people write about data.
const WRITINGS: &[&str] = &["md", "rst", "py", "ipynb", "sh"];

fn is_companion(stem: &str, extension: &str) -> bool {
    // A table may well be called state.csv.
    let data = matches!(extension, "csv" | "tsv" | "jsonl" | "parquet")
        || IMAGE_EXTENSIONS.contains(&extension);
    !data && (WRITINGS.contains(&extension) || comes_with_data(stem))
}

/// Whether a file is called as those are that say where data come from.
fn comes_with_data(stem: &str) -> bool {
    COMPANIONS.contains(&stem) || stem.contains("readme") || stem.starts_with("license")
}

/// Whether a companion of data by its extension alone could be a text of its own.
fn is_writing(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
    WRITINGS.contains(&extension) && !comes_with_data(stem) && !Kind::is_hidden(&name)
}

/// Numbers behind a dot are no extension.
fn has_extension(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|it| it.1.contains(|c: char| c.is_ascii_alphabetic()))
}

/// Everything below `root`, sorted by name.
pub(crate) fn take(root: &Path) -> Result<Inventory, Failure> {
    let mut found = Inventory::default();
    let mut walk = Walk { entries: 0, ignored: 0, nameless: Vec::new(), found: &mut found };
    walk.folder(root, "", 0)?;
    walk.nameless();
    walk.spanned();
    if 0 < walk.ignored {
        let ignored = walk.ignored;
        found.warnings.push(format!("{ignored} more files were ignored"));
    }
    Ok(found)
}

/// Every regular file below `root` that is not hidden, by its path with `/`, sorted by bytes.
pub(crate) fn files(root: &Path) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![(root.to_path_buf(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        let failed =
            |err| refusal::reading(if prefix.is_empty() { "the drop" } else { &prefix }, &err);
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(name) = entry
                .file_name()
                .to_str()
                .filter(|it| !it.starts_with('.'))
                .map(|it| format!("{prefix}{it}"))
            else {
                continue;
            };
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_file() {
                found.push(name);
            } else if kind.is_dir() && depth < DEPTH_MAX {
                folders.push((entry.path(), format!("{name}/"), depth + 1));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

struct Walk<'a> {
    entries: usize,
    /// Beyond those named in a warning.
    ignored: usize,
    /// In folders, without an extension.
    nameless: Vec<SingleFile>,
    found: &'a mut Inventory,
}

impl Walk<'_> {
    /// `prefix`: empty, or the folder's name in the drop with a `/` at its end.
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), Failure> {
        let spoken = if prefix.is_empty() { "the drop" } else { prefix.trim_end_matches('/') };
        if DEPTH_MAX < depth {
            return Err(refusal::data(format!("{spoken} lies deeper than {DEPTH_MAX} folders")));
        }
        let failed = |err| refusal::reading(spoken, &err);
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            self.entries += 1;
            if ENTRIES_MAX < self.entries {
                return Err(refusal::data(format!("the drop has more than {ENTRIES_MAX} files"))
                    .with_cure("put the texts into a table"));
            }
            entries.push((entry.file_name(), entry.file_type().map_err(failed)?));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, file_type) in entries {
            let path = folder.join(&name);
            self.entry(path, format!("{prefix}{}", name.to_string_lossy()), file_type, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        path: PathBuf,
        name: String,
        file_type: FileType,
        depth: usize,
    ) -> Result<(), Failure> {
        let own_name = name.rsplit('/').next().unwrap_or(&name);
        let kind = Kind::of(own_name);
        // A folder called `license` or `desktop` may well be a class.
        if Kind::is_hidden(&own_name.to_ascii_lowercase())
            || (kind == Kind::Companion && !file_type.is_dir())
        {
            if file_type.is_file() && is_writing(own_name) {
                self.found.writings.push(SingleFile { path, name });
            }
            return Ok(());
        }
        if file_type.is_symlink() {
            self.found.links.insert(name.clone());
            self.ignore(format!("{name} is a symbolic link and was not followed"));
        } else if file_type.is_dir() {
            self.folder(&path, &format!("{name}/"), depth + 1)?;
        } else if file_type.is_fifo()
            || file_type.is_socket()
            || file_type.is_block_device()
            || file_type.is_char_device()
        {
            self.ignore(format!("{name} is no ordinary file and was ignored"));
        } else {
            let kind = match kind {
                Kind::Unknown => Kind::by_content(&path, &name),
                // A text of a class folder is a text, whatever it looks like.
                Kind::Text if class_parts(&name).is_empty() => {
                    match Format::of_nameless(&path, &name) {
                        Ok(Some(
                            it @ (Format::Conll | Format::Trec | Format::Csv | Format::Tsv),
                        )) => Kind::Table(it),
                        Ok(_) | Err(_) => kind,
                    }
                }
                Kind::Table(format) => Kind::Table(format.or_tagged_words(&path, &name)),
                _ => kind,
            };
            match kind {
                Kind::Table(format) => {
                    self.found.tables.push(TableFile::new(path, name, format));
                }
                Kind::Text => self.found.texts.push(SingleFile { path, name }),
                Kind::Image => self.found.images.push(SingleFile { path, name }),
                Kind::Idx => self.found.idx.push(SingleFile { path, name }),
                Kind::Archive => self.found.archives.push(path),
                Kind::Spans => self.found.spans.push(SingleFile { path, name }),
                Kind::Companion | Kind::Other | Kind::Unknown => self.unknown(path, name),
            }
        }
        Ok(())
    }

    /// Files whose names say nothing are texts where there is nothing else, as those of the
    /// newsgroups.
    fn nameless(&mut self) {
        let found = &mut *self.found;
        let nameless = std::mem::take(&mut self.nameless);
        let is_alone =
            found.has_no_example_files() && found.tables.is_empty() && found.archives.is_empty();
        if is_alone {
            found.texts = nameless;
        } else {
            nameless.into_iter().for_each(|it| self.foreign(&it.name));
        }
    }

    /// A text that has spans is one, whatever its lines look like; spans without one are nothing.
    fn spanned(&mut self) {
        let found = &mut *self.found;
        if found.spans.is_empty() {
            return;
        }
        let of: HashSet<String> = found.spans.iter().map(SingleFile::text_of_spans).collect();
        let is_text = |it: &TableFile| of.contains(&it.name);
        let (texts, tables) = std::mem::take(&mut found.tables).into_iter().partition(is_text);
        found.tables = tables;
        let text = |it: TableFile| SingleFile { path: it.path, name: it.name };
        found.texts.extend(Vec::into_iter(texts).map(text));
        found.texts.sort_by(|a, b| a.name.cmp(&b.name));
        let names: HashSet<&str> = found.texts.iter().map(|it| &*it.name).collect();
        let has_text = |it: &SingleFile| names.contains(&*it.text_of_spans());
        let (spans, alone) = std::mem::take(&mut found.spans).into_iter().partition(has_text);
        found.spans = spans;
        Vec::into_iter(alone).for_each(|it: SingleFile| self.foreign(&it.name));
    }

    fn foreign(&mut self, name: &str) {
        self.ignore(format!("{name} is no data that finetuned reads and was ignored"));
    }

    fn unknown(&mut self, path: PathBuf, name: String) {
        let own_name = name.rsplit('/').next().unwrap_or(&name).to_ascii_lowercase();
        let by_content = || {
            let mut head = [0; 2];
            let n = Source::open(&path, &name).and_then(|it| it.raw_head(&mut head)).ok()?;
            signature::nameless_not_read(&head[..n])
        };
        match signature::not_read(&own_name).or_else(by_content) {
            Some(known) => {
                let (what, cure) = (known.what, known.cure);
                self.ignore(format!("{name} is {what} that is not read, and was ignored ({cure})"));
                self.found.not_read.push((SingleFile { path, name }, known));
            }
            None if !class_parts(&name).is_empty() && !has_extension(&own_name) => {
                self.nameless.push(SingleFile { path, name });
            }
            None => self.foreign(&name),
        }
    }

    fn ignore(&mut self, sentence: String) {
        if self.found.warnings.len() < NAMED_MAX {
            self.found.warnings.push(sentence);
        } else {
            self.ignored += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_a_file_is() {
        let cases = [
            ("Tweets.CSV", Kind::Table(Format::Csv)),
            ("a.jsonl.gz", Kind::Table(Format::JsonLines)),
            ("a.csv.zst", Kind::Table(Format::Csv)),
            ("train-00000-of-00002.parquet", Kind::Table(Format::Parquet)),
            ("a.parquet.gz", Kind::Unknown),
            ("a.TAR.GZ", Kind::Archive),
            ("a.tgz", Kind::Archive),
            ("a.txt", Kind::Text),
            ("README.md", Kind::Companion),
            ("readme.txt", Kind::Companion),
            ("LICENSE-MIT", Kind::Companion),
            ("dataset_infos.json", Kind::Companion),
            ("state.csv", Kind::Table(Format::Csv)),
            ("job.toml", Kind::Companion),
            (".ready", Kind::Companion),
            ("@eaDir", Kind::Companion),
            ("~$table.csv", Kind::Companion),
            ("photo.jpg.filepart", Kind::Other),
            ("Thumbs.db", Kind::Companion),
            ("model.bin", Kind::Unknown),
            ("IMG_1.JPG", Kind::Image),
            ("license_plate.jpeg", Kind::Image),
            ("readme.png", Kind::Image),
            ("._IMG_1.jpg", Kind::Companion),
            ("train-images-idx3-ubyte.gz", Kind::Idx),
            ("t10k-labels.idx1-ubyte", Kind::Idx),
        ];
        for (name, kind) in cases {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
        assert!(is_writing("Chapter 1.MD") && is_writing("train.py"));
        assert!(!is_writing("README.md") && !is_writing(".draft.md") && !is_writing("a.txt"));
    }
}
