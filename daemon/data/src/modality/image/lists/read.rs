//! Lines of lists: a name of an image and perhaps what it is, or the number that another list gives
//! to the image.

use super::CURE;
use crate::encoding;
use crate::inventory::{Inventory, SingleFile};
use crate::modality::files::{Files, folder, without_extension};
use crate::refusal;
use crate::row::nearly_all;
use crate::source::Source;
use crate::split_names::{Listed, listed};
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::path::Path;

/// Of a list: a line of a hundred bytes for each of a million images.
const BYTES_MAX: u64 = 100 << 20;
/// Of a file of which only the names in it are asked for.
const HEAD_BYTES: u64 = 64 << 10;

pub(super) struct List {
    pub(super) name: String,
    pub(super) listed: Listed,
    pub(super) lines: Vec<Line>,
    /// Lines that name no image: how many, and the first.
    unknown: Option<(usize, String)>,
}

pub(super) struct Line {
    /// Counts from 1.
    pub(super) nth: usize,
    /// By index.
    pub(super) image: usize,
    pub(super) split: Split,
    /// What stands behind the name.
    pub(super) columns: Vec<String>,
}

impl List {
    /// In sentences.
    pub(super) fn warnings(&self) -> Vec<String> {
        let name = &self.name;
        let says = match self.listed {
            Listed::Of(split) => format!("{name} says which images are {}", split.name()),
            Listed::NotTest => format!("{name} says which images are not test"),
            Listed::Each => format!("{name} divides the images: 1 is train, 0 is test"),
        };
        let unknown = self.unknown.as_ref().map(|(n, first)| {
            format!(
                "{name}: lines that name no image of the drop were left out: {n} (first: {first})"
            )
        });
        [says].into_iter().chain(unknown).collect()
    }
}

/// What a file is called as that lists images, and whether it is called nothing else.
fn called(name: &str) -> Option<(Listed, bool)> {
    listed(without_extension(name.rsplit('/').next().unwrap_or(name)))
}

/// Whether anything beside the images is.
pub(super) fn are_called(found: &Inventory) -> bool {
    let texts = found.texts.iter().map(|it| &it.name);
    let others = found.not_read.iter().map(|it| &it.0.name);
    let mut all = texts.chain(found.tables.iter().map(|it| &it.name)).chain(others);
    all.any(|it| called(it).is_some())
}

/// All that are understood; none where a file that is called as one is not.
///
/// # Errors
/// A file is called as a list alone is, and its lines name no images.
pub(super) fn lists(found: &Inventory, files: &Files<'_>) -> Result<Vec<List>, Failure> {
    let images = (0..files.len()).map(|it| without_extension(&files.get(it).name));
    let stems: HashSet<&str> = images.collect();
    let mut lists = Vec::new();
    for text in &found.texts {
        // A text beside its image is what the image shows.
        let is_caption = stems.contains(without_extension(&text.name));
        let Some((of, alone)) = called(&text.name).filter(|_| !is_caption) else { continue };
        let read = match of {
            Listed::Each => numbered(text, found, files)?,
            Listed::Of(split) => named(text, (of, split), files)?,
            Listed::NotTest => named(text, (of, Split::Train), files)?,
        };
        match read {
            Some(list) => lists.push(list),
            None if alone => return Err(unclear(&text.name)),
            None => {}
        }
    }
    Ok(lists)
}

fn unclear(name: &str) -> Failure {
    refusal::data(format!(
        "{name} is called as a list of images that are train or test, and can't be read as one: images would be divided by chance that are divided already"
    ))
    .with_cure(CURE)
}

/// A refusal where a file that is no list of ours is called as one, and lists images or can't be
/// looked into.
pub(super) fn not_understood(found: &Inventory, files: &Files<'_>) -> Option<Failure> {
    const OF_PROGRAMS: &[&str] = &["mat", "npy", "npz", "pkl", "pickle"];
    let is_of_program =
        |it: &str| it.rsplit_once('.').is_some_and(|it| OF_PROGRAMS.contains(&it.1));
    let mut not_read = found.not_read.iter().map(|it| it.0.name.as_str());
    let mut tables = found.tables.iter();
    let table =
        tables.find(|it| called(&it.name).is_some() && names_images(&it.path, &it.name, files));
    let name = not_read.find(|it| called(it).is_some() && is_of_program(it));
    name.or_else(|| table.map(|it| it.name.as_str())).map(unclear)
}

/// Whether most of the words of a file that look like paths are those of images.
fn names_images(path: &Path, name: &str, files: &Files<'_>) -> bool {
    let Ok(text) = text(path, name, HEAD_BYTES) else { return false };
    let words = text.split(|it: char| it.is_whitespace() || "\"',;[]{}".contains(it));
    let mut words: Vec<&str> = words.filter(|it| it.contains(['/', '_', '.'])).collect();
    // The last may be cut.
    words.pop();
    let hits = words.iter().filter(|it| files.find(name, it).is_ok()).count();
    0 < hits && words.len() < 2 * hits + 2
}

fn text(path: &Path, name: &str, most: u64) -> Result<String, Failure> {
    let source = Source::open(path, name)?;
    let failed = |err| refusal::reading(name, &err);
    let mut bytes = Vec::new();
    source.stream(&Default::default())?.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(encoding::decode(&bytes).map_err(failed)?.0)
}

/// Lines that hold something and are no comments, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines()).map(|(nth, it)| (nth, it.trim()));
    lines.filter(|(_, it)| !it.is_empty() && !it.starts_with('#'))
}

/// `images/1.jpg`, or `1 3 1`: the name of an image, and what it is in numbers or words.
fn named(
    file: &SingleFile,
    (listed, split): (Listed, Split),
    files: &Files<'_>,
) -> Result<Option<List>, Failure> {
    let name = &file.name;
    let text = text(&file.path, name, BYTES_MAX)?;
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for (nth, line) in lines(&text) {
        let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let image = |it: &str| files.find(name, it.trim_start_matches('/')).ok().map(|it| it.0);
        match (image(line), image(first)) {
            (Some(image), _) => found.push(Line { nth, image, split, columns: Vec::new() }),
            (None, Some(image)) => found.push(Line { nth, image, split, columns: fields(rest) }),
            (None, None) => unknown.push(line.to_string()),
        }
    }
    if found.len() <= unknown.len() {
        return Ok(None);
    }
    let first = unknown.first().cloned();
    let unknown = first.map(|it| (unknown.len(), it));
    Ok(Some(List { name: name.clone(), listed, lines: found, unknown }))
}

/// Numbers stand for something each; words are one name.
fn fields(rest: &str) -> Vec<String> {
    let fields: Vec<String> = rest.split_whitespace().map(String::from).collect();
    match fields.iter().all(|it| it.parse::<i64>().is_ok()) {
        true => fields,
        false => vec![rest.trim().to_string()],
    }
}

/// `1 0`: the number of an image, and whether it is train. Lists beside it say which image has the
/// number, and of which class it is.
fn numbered(
    file: &SingleFile,
    found: &Inventory,
    files: &Files<'_>,
) -> Result<Option<List>, Failure> {
    let own = text(&file.path, &file.name, BYTES_MAX)?;
    let Some(flags) = by_number(&own) else { return Ok(None) };
    if !flags.values().all(|it| matches!(it.1, "0" | "1")) {
        return Ok(None);
    }
    let (mut images, mut classes) = (HashMap::new(), HashMap::new());
    for beside in found.texts.iter().filter(|it| folder(&it.name) == folder(&file.name)) {
        let text = text(&beside.path, &beside.name, BYTES_MAX)?;
        let Some(rows) = by_number(&text).filter(|_| beside.name != file.name) else { continue };
        if !flags.keys().all(|it| rows.contains_key(it)) {
            continue;
        }
        // Numbers are classes, whatever the images are called.
        let is_number = |it: &str| it.parse::<i64>().is_ok();
        let image = |it: &str| files.find(&beside.name, it).ok().filter(|_| !is_number(it));
        let image = |it: &str| image(it).map(|it| it.0);
        if nearly_all(rows.values().map(|it| image(it.1).is_some())) {
            let of = |(id, it): (&&str, &(usize, &str))| Some((id.to_string(), image(it.1)?));
            images = rows.iter().filter_map(of).collect();
        } else if beside.name.contains("class") || beside.name.contains("label") {
            classes = rows.iter().map(|(id, it)| (id.to_string(), it.1.to_string())).collect();
        }
    }
    let of = |(id, (nth, flag)): (&str, (usize, &str))| {
        let split = if flag == "1" { Split::Train } else { Split::Test };
        let columns = classes.get(id).cloned().into_iter().collect();
        Some(Line { nth, image: *images.get(id)?, split, columns })
    };
    let n = flags.len();
    let lines: Vec<Line> = flags.into_iter().filter_map(of).collect();
    if lines.len() < n - n / 10 || lines.is_empty() {
        return Ok(None);
    }
    let unknown = n - lines.len();
    let unknown = (0 < unknown).then(|| (unknown, "a number without an image".to_string()));
    Ok(Some(List { name: file.name.clone(), listed: Listed::Each, lines, unknown }))
}

/// Lines by what stands first in each, once; nothing where one holds that alone.
fn by_number(text: &str) -> Option<BTreeMap<&str, (usize, &str)>> {
    let mut rows = BTreeMap::new();
    for (nth, line) in lines(text) {
        let (id, rest) = line.split_once(char::is_whitespace)?;
        if rows.insert(id, (nth, rest.trim())).is_some() {
            return None;
        }
    }
    Some(rows).filter(|it| !it.is_empty())
}
