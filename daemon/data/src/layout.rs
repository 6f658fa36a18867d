//! Decides what the files of a drop are together: tables or folders of texts, and which split each
//! belongs to. A drop is one data set of one layout; what could be meant in two ways is refused.
//!
//! The words for splits are those of the Hugging Face datasets library.

use crate::format::Format;
use crate::inventory::{Inventory, SingleFile, TableFile};
use crate::refusal;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use std::collections::BTreeMap;
use std::path::PathBuf;

const WORDS: &[(&str, Split)] = &[
    ("train", Split::Train),
    ("training", Split::Train),
    ("validation", Split::Validation),
    ("valid", Split::Validation),
    ("val", Split::Validation),
    ("dev", Split::Validation),
    ("test", Split::Test),
    ("testing", Split::Test),
    ("eval", Split::Test),
    ("evaluation", Split::Test),
];

#[derive(Debug)]
pub(crate) enum Layout {
    Tables(Vec<(TableFile, Option<Split>)>),
    Folders(Vec<ClassFolder>),
}

/// All texts or images of one class in one split.
#[derive(Debug)]
pub(crate) struct ClassFolder {
    pub(crate) class: String,
    pub(crate) split: Option<Split>,
    /// Relative to the drop.
    pub(crate) name: String,
    pub(crate) files: Vec<SingleFile>,
}

pub(crate) fn decide(inventory: Inventory, warnings: &mut Vec<String>) -> Result<Layout, Failure> {
    let Inventory { mut tables, texts, images, archives, warnings: mut found, .. } = inventory;
    warnings.append(&mut found);
    warn_of_archives(&archives, warnings);
    if let Some(first) = images.first() {
        if tables.is_empty() && texts.is_empty() {
            return Err(refusal::data(format!(
                "the drop holds images ({}) and no texts",
                first.name
            ))
            .with_cure("for images the recipe's task is image-classification"));
        }
        warnings.push(format!(
            "images ignored beside texts: {} (first: {})",
            images.len(),
            first.name
        ));
    }
    tables = without_descriptions(tables, warnings);
    let in_folders: Vec<&SingleFile> =
        texts.iter().filter(|it| !class_parts(&it.name).is_empty()).collect();
    match (tables.is_empty(), in_folders.first()) {
        (false, Some(text)) => Err(refusal::data(format!(
            "the drop holds tables ({}) and folders of texts ({}) at once",
            tables[0].name, text.name
        ))
        .with_cure("drop each data set by itself")),
        (false, None) => {
            warnings.extend(texts.iter().map(|it| {
                format!("{} is no table and in no class folder, and was ignored", it.name)
            }));
            split_tables(tables).map(Layout::Tables)
        }
        (true, _) if !texts.is_empty() => {
            class_folders(texts, &TEXTS, warnings).map(Layout::Folders)
        }
        (true, _) => Err(nothing(warnings)),
    }
}

pub(crate) fn warn_of_archives(archives: &[PathBuf], warnings: &mut Vec<String>) {
    for archive in archives {
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        warnings.push(format!("{name} is an archive inside the drop and was not unpacked"));
    }
}

/// A .json beside other tables is nearly always a description of them.
pub(crate) fn without_descriptions(
    tables: Vec<TableFile>,
    warnings: &mut Vec<String>,
) -> Vec<TableFile> {
    if tables.iter().all(|it| it.format == Format::Json) {
        return tables;
    }
    let (json, rest): (Vec<_>, Vec<_>) =
        tables.into_iter().partition(|it| it.format == Format::Json);
    warnings.extend(
        json.iter().map(|it| format!("{} stands beside other tables and was ignored", it.name)),
    );
    rest
}

fn nothing(warnings: &[String]) -> Failure {
    let message = match warnings.first() {
        Some(it) => format!("the drop holds no data: {it}"),
        None => "the drop holds no data".to_string(),
    };
    refusal::data(message).with_cure("it takes CSV, TSV, JSON, JSON Lines or Parquet files, or a folder of .txt files for each class")
}

/// The split that one part of a path names, when it names exactly one.
pub(crate) fn split_of(part: &str) -> Option<Split> {
    let part = part.to_ascii_lowercase();
    let words = part.split(|c: char| !c.is_ascii_alphabetic());
    let mut named: Vec<Split> =
        words.filter_map(|word| WORDS.iter().find(|it| it.0 == word).map(|it| it.1)).collect();
    named.sort_unstable();
    named.dedup();
    match named[..] {
        [split] => Some(split),
        _ => None,
    }
}

/// The file's own name, else the deepest folder that names a split.
fn split_of_path(name: &str) -> Option<Split> {
    name.rsplit('/').find_map(split_of)
}

pub(crate) fn split_tables(
    tables: Vec<TableFile>,
) -> Result<Vec<(TableFile, Option<Split>)>, Failure> {
    let mut tables: Vec<_> = tables
        .into_iter()
        .map(|it| (split_of_path(&it.name), it))
        .map(|(split, it)| (it, split))
        .collect();
    // One table is the whole data set, whatever it is called.
    if let [(_, split)] = &mut tables[..] {
        *split = None;
    }
    let of = |wanted: Option<Split>| {
        tables.iter().find(|it| it.1 == wanted).map(|it| it.0.name.as_str())
    };
    let named = Split::ALL.iter().find_map(|it| of(Some(*it)));
    if let (Some(named), Some(other)) = (named, of(None)) {
        return Err(refusal::data(format!("{named} names a split and {other} does not"))
            .with_cure("name all files train, validation or test, or none of them"));
    }
    if let (Some(named), None) = (named, of(Some(Split::Train))) {
        return Err(no_train(named));
    }
    tables.sort_by(|a, b| (a.1, &a.0.name).cmp(&(b.1, &b.0.name)));
    Ok(tables)
}

pub(crate) fn no_train(named: &str) -> Failure {
    refusal::data(format!("{named} is there, but no train split"))
        .with_cure("add the training data under a name with `train` in it")
}

/// Parts of a file's path that can name a class: its folders, without a leading split.
fn class_parts(name: &str) -> Vec<&str> {
    let mut folders: Vec<&str> = name.split('/').collect();
    folders.pop();
    if folders.first().is_some_and(|it| is_split_folder(it)) {
        folders.remove(0);
    }
    folders
}

/// A folder is a split only when it is called nothing else.
pub(crate) fn is_split_folder(name: &str) -> bool {
    WORDS.iter().any(|it| it.0.eq_ignore_ascii_case(name))
}

/// How folders name classes.
pub(crate) struct FolderRule {
    /// Of a file's folders, without the split, the one that names the class.
    pub(crate) class: fn(&[&str]) -> usize,
    /// Where the files lie in no class folders.
    pub(crate) none: (&'static str, &'static str),
}

/// The outermost folder, and whatever lies in folders below it belongs to it.
const TEXTS: FolderRule = FolderRule {
    class: |_| 0,
    none: (
        "the drop's .txt files lie in no class folders",
        "put the texts of each class into a folder named after it; a table needs the extension .csv or .tsv",
    ),
};

pub(crate) fn class_folders(
    texts: Vec<SingleFile>,
    rule: &FolderRule,
    warnings: &mut Vec<String>,
) -> Result<Vec<ClassFolder>, Failure> {
    // `train/` beside `car/` and `plane/`, with files directly in it, is a class.
    let first = |it: &SingleFile| it.name.split('/').next().map(str::to_string).unwrap_or_default();
    let splits_hold_classes =
        texts.iter().any(|it| is_split_folder(&first(it)) && !class_parts(&it.name).is_empty());
    let mut folders: BTreeMap<(Option<Split>, String, String), ClassFolder> = BTreeMap::new();
    let mut homeless = Vec::new();
    for text in texts {
        let parts: Vec<&str> = text.name.split('/').collect();
        let split = if splits_hold_classes && is_split_folder(parts[0]) {
            split_of(parts[0])
        } else {
            None
        };
        let first_idx = usize::from(split.is_some());
        let folders_of_it = &parts[first_idx..parts.len() - 1];
        if folders_of_it.is_empty() {
            homeless.push(text.name);
            continue;
        }
        let class_idx = first_idx + (rule.class)(folders_of_it);
        let class = parts[class_idx].trim().to_string();
        let name = format!("{}/", parts[..=class_idx].join("/"));
        let folder = folders
            .entry((split, class.clone(), name.clone()))
            .or_insert_with(|| ClassFolder { class, split, name, files: Vec::new() });
        folder.files.push(text);
    }
    if folders.is_empty() {
        return Err(refusal::data(rule.none.0).with_cure(rule.none.1));
    }
    warn_of_homeless(&homeless, warnings);
    let split_folder = folders.values().find(|it| it.split.is_some());
    let plain_folder = folders.values().find(|it| it.split.is_none());
    if let (Some(split), Some(plain)) = (split_folder, plain_folder) {
        return Err(refusal::data(format!(
            "{} lies in a split and {} does not",
            split.name, plain.name
        ))
        .with_cure("put all classes into train, validation or test, or none of them"));
    }
    if let (Some(split), false) =
        (split_folder, folders.keys().any(|it| it.0 == Some(Split::Train)))
    {
        return Err(no_train(&split.name));
    }
    Ok(folders.into_values().collect())
}

fn warn_of_homeless(names: &[String], warnings: &mut Vec<String>) {
    /// More of them are one sentence.
    const NAMED_MAX: usize = 10;
    match names {
        [first, ..] if NAMED_MAX < names.len() => {
            warnings.push(format!(
                "files that lie in no class folder and were ignored: {} (first: {first})",
                names.len()
            ));
        }
        _ => warnings
            .extend(names.iter().map(|it| format!("{it} lies in no class folder and was ignored"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_a_word_of_the_name() {
        assert_eq!(split_of_path("data/train-00000-of-00002.parquet"), Some(Split::Train));
        assert_eq!(split_of_path("imdb_Test.csv"), Some(Split::Test));
        assert_eq!(split_of_path("dev.tsv"), Some(Split::Validation));
        assert_eq!(split_of_path("validation/part-1.jsonl"), Some(Split::Validation));
        assert_eq!(split_of_path("test/train.csv"), Some(Split::Train));
        assert_eq!(split_of_path("trains.csv"), None);
        assert_eq!(split_of_path("latest.csv"), None);
        assert_eq!(split_of_path("train_test.csv"), None);
    }
}
