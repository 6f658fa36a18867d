//! Decides what the files of a drop are together: tables or folders of texts, and which split each
//! belongs to. A drop is one data set of one layout; what could be meant in two ways is refused.

use crate::flat_names::{self, FlatNames};
use crate::inventory::{Inventory, SingleFile};
use crate::refusal;
use crate::signature::NotRead;
use crate::split_names::{
    class_parts, is_occasion, is_part, is_split_folder, is_unlabelled, is_unlabelled_folder,
    split_of,
};
use crate::table::TableFile;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

#[derive(Debug)]
pub(crate) enum Layout {
    Tables(Vec<(TableFile, Option<Split>)>),
    Folders(Classes),
}

/// Files by their classes.
#[derive(Debug)]
pub(crate) struct Classes {
    pub(crate) folders: Vec<ClassFolder>,
    /// What holds one class each.
    pub(crate) form: &'static str,
}

/// All texts or images of one class in one split.
#[derive(Debug)]
pub(crate) struct ClassFolder {
    pub(crate) class: String,
    pub(crate) split: Option<Split>,
    /// Relative to the drop.
    pub(crate) name: String,
    /// The same without the folder of the split.
    pub(crate) class_path: String,
    pub(crate) files: Vec<SingleFile>,
}

/// `asked`: whether the recipe names the task.
pub(crate) fn decide(
    inventory: Inventory,
    asked: bool,
    warnings: &mut Vec<String>,
) -> Result<Layout, Failure> {
    let Inventory { tables, texts, images, archives, spans, not_read, writings, .. } = inventory;
    warnings.extend(inventory.warnings);
    if let Some(first) = spans.first() {
        let (n, first) = (spans.len(), &first.name);
        warnings.push(format!("files of spans (.ann) that are not learnt: {n} (first: {first})"));
    }
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
            split_tables(tables, warnings).map(Layout::Tables)
        }
        (true, _) if !texts.is_empty() => {
            class_folders(texts, &TEXTS, asked, warnings).map(Layout::Folders)
        }
        (true, _) => Err(nothing(&not_read, &writings, warnings)),
    }
}

pub(crate) fn warn_of_archives(archives: &[PathBuf], warnings: &mut Vec<String>) {
    for archive in archives {
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        warnings.push(format!("{name} is an archive inside the drop and was not unpacked"));
    }
}

/// In a sentence.
pub(crate) fn of_writings(writings: &[SingleFile]) -> Option<String> {
    let first = &writings.first()?.name;
    let n = writings.len();
    Some(format!("files of programs and notes that are not read: {n} (first: {first})"))
}

/// Of such files.
pub(crate) const RENAMED: &str = "rename those that are data to .txt";

fn nothing(
    not_read: &[(SingleFile, &'static NotRead)],
    writings: &[SingleFile],
    warnings: &[String],
) -> Failure {
    if let Some((file, known)) = not_read.first() {
        let message = format!("the drop holds no data: {} is {}", file.name, known.what);
        return refusal::data(format!("{message}, which is not read")).with_cure(known.cure);
    }
    let writings = of_writings(writings);
    let found: Vec<&String> = warnings.first().into_iter().chain(&writings).collect();
    let message = match found[..] {
        [] => "the drop holds no data".to_string(),
        [only] => format!("the drop holds no data: {only}"),
        _ => format!("the drop holds no data: {}; {}", found[0], found[1]),
    };
    if writings.is_some() {
        return refusal::data(message).with_cure(format!(
            "{RENAMED}, in a folder for each class, or anywhere where the recipe's task is causal-language-modeling or masked-language-modeling"
        ));
    }
    refusal::data(message).with_cure("it takes CSV, TSV, JSON, JSON Lines, Parquet, Arrow or Excel files, or a folder of .txt files for each class")
}

/// The file's own name, else the deepest folder that names a split.
pub(crate) fn split_of_path(name: &str) -> Option<Split> {
    name.rsplit('/').find_map(split_of)
}

/// Of a sheet or a key what that is called, else what the file is.
pub(crate) fn split_of_table(table: &TableFile) -> Option<Split> {
    table.part.as_deref().and_then(split_of).or_else(|| split_of_path(&table.name))
}

pub(crate) fn split_tables(
    tables: Vec<TableFile>,
    warnings: &mut Vec<String>,
) -> Result<Vec<(TableFile, Option<Split>)>, Failure> {
    let mut tables: Vec<_> = tables.into_iter().map(|it| (split_of_table(&it), it)).collect();
    let any = tables.iter().any(|it| it.0.is_some());
    tables.retain(|(split, it)| {
        let unlabelled = any && split.is_none() && is_unlabelled(&it.name);
        if unlabelled {
            warnings.push(format!("{} holds no labels by its name, and was left out", it.name));
        }
        !unlabelled
    });
    let mut tables: Vec<_> = tables.into_iter().map(|(split, it)| (it, split)).collect();
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

/// How folders name classes.
pub(crate) struct FolderRule {
    /// In sentences, and where names of files say the class in their place.
    pub(crate) form: (&'static str, &'static str),
    /// Of a file's folders, without the split, the one that names the class.
    pub(crate) class: fn(&[&str]) -> usize,
    /// Whether the files of folders below belong to the class, whatever those are called.
    pub(crate) with_inner: bool,
    /// Where the files lie in no class folders.
    pub(crate) none: (&'static str, &'static str),
}

/// The outermost folder, and whatever lies in folders below it belongs to it.
const TEXTS: FolderRule = FolderRule {
    form: ("folders of texts", "names of texts"),
    class: |_| 0,
    with_inner: true,
    none: (
        "the drop's .txt files lie in no class folders",
        "for classes put the texts of each into a folder named after it; texts without classes want task = \"causal-language-modeling\" or \"masked-language-modeling\" in a job.toml; conversations, and questions with answers, are written as JSON Lines; a table needs the extension .csv or .tsv",
    ),
};

/// Where a path says the split.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Splits {
    Nowhere,
    /// `train/cat/1.png`
    First,
    /// `20news-bydate-train/sci.space/1`
    Called,
    /// `cat/train/1.png`
    Last,
}

fn splits(texts: &[SingleFile]) -> Splits {
    let folders = |it: &SingleFile| it.name.rsplit_once('/').map(|it| it.0.to_string());
    let first = |it: &SingleFile| it.name.split('/').next().map(str::to_string).unwrap_or_default();
    // `train/` beside `car/` and `plane/`, with files directly in it, is a class.
    if texts.iter().any(|it| is_split_folder(&first(it)) && !class_parts(&it.name).is_empty()) {
        return Splits::First;
    }
    let called = |it: &SingleFile| it.name.matches('/').nth(1).and_then(|_| split_of(&first(it)));
    let called: Option<BTreeSet<Split>> = texts.iter().map(called).collect();
    if called.is_some_and(|it| 1 < it.len() && it.contains(&Split::Train)) {
        return Splits::Called;
    }
    let mut below = texts.iter().filter_map(folders).peekable();
    let last = |it: String| it.rsplit_once('/').is_some_and(|it| is_split_folder(it.1));
    if below.peek().is_some() && below.all(last) { Splits::Last } else { Splits::Nowhere }
}

/// Folders that are splits and hold no folders of classes are no classes themselves. `says_class`:
/// whether names of files are read as classes where the recipe names the task.
fn check_flat(texts: &[SingleFile], says_class: bool) -> Result<(), Failure> {
    let mut names: Vec<&str> =
        texts.iter().filter_map(|it| it.name.split_once('/')).map(|it| it.0).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() || !names.iter().all(|it| split_of(it).is_some()) {
        return Ok(());
    }
    let many = if 1 < names.len() { "are splits" } else { "is a split" };
    let shown: Vec<String> = names.iter().map(|it| format!("{it}/")).collect();
    let mut message = format!(
        "{} {many} and no class, and no folders of classes lie below",
        refusal::list(&shown)
    );
    let mut cure = "put the files of each class into a folder of its own, as in train/cat/, or name each file's label in a table".to_string();
    if let Some(classes) = classes_in_names(texts) {
        message = format!("{message}; names of files begin with {}", refusal::list(&classes));
        let (first, split) = (&classes[0], names.last().unwrap_or(&"train"));
        let setting =
            if says_class { "set task in the recipe to that of classes, or " } else { "" };
        cure = format!(
            "if these are the classes, {setting}put the files of each into a folder of its own, as in {split}/{first}/"
        );
    }
    Err(refusal::data(message).with_cure(cure))
}

/// What names begin with before a number, as in `cat.0.jpg`, where these are a few words that
/// recur.
fn classes_in_names(texts: &[SingleFile]) -> Option<Vec<String>> {
    const CLASSES_MAX: usize = 20;
    let word = |it: &SingleFile| {
        let own = it.name.rsplit('/').next().unwrap_or(&it.name);
        let end = own.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        own[..end].trim_end_matches(['.', '_', '-', ' ']).to_string()
    };
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    texts.iter().for_each(|it| *count.entry(word(it)).or_default() += 1);
    count.remove("");
    let recur = count.values().all(|it| 1 < *it);
    let covered: usize = count.values().sum();
    ((2..=CLASSES_MAX).contains(&count.len()) && recur && texts.len() < 2 * covered)
        .then(|| count.into_keys().collect())
}

/// The split of a path, and where its folders of classes begin and end.
fn placed(parts: &[&str], splits: Splits) -> (Option<Split>, usize, usize) {
    let (mut from, to) = (0, parts.len() - 1);
    let mut split = None;
    match splits {
        // Some archives have the split's folder twice.
        Splits::First => {
            let again = |it: usize| it == 0 || it + 1 < to;
            while from < to && is_split_folder(parts[from]) && again(from) {
                split = split_of(parts[from]);
                from += 1;
            }
            (split, from, to)
        }
        Splits::Called => (split_of(parts[0]), 1, to),
        Splits::Last => {
            let last = to.saturating_sub(1);
            (split_of(parts[last]), from, last)
        }
        Splits::Nowhere => (None, from, to),
    }
}

/// `asked`: whether the recipe names the task. In folders of splits, names of files say the class
/// only then: folders of classes may have been lost.
pub(crate) fn class_folders(
    texts: Vec<SingleFile>,
    rule: &FolderRule,
    asked: bool,
    warnings: &mut Vec<String>,
) -> Result<Classes, Failure> {
    let flat = flat_names::of(&texts);
    let says_class = flat.is_some();
    if let Some(flat) = flat.filter(|it| asked || !it.has_splits()) {
        return Ok(Classes { folders: by_names(flat, warnings), form: rule.form.1 });
    }
    let splits = splits(&texts);
    if splits == Splits::Nowhere {
        check_flat(&texts, says_class)?;
    }
    let mut folders: BTreeMap<(Option<Split>, String, String), ClassFolder> = BTreeMap::new();
    let (mut homeless, mut unlabelled) = (Vec::new(), BTreeMap::<String, u64>::new());
    for text in texts {
        let parts: Vec<&str> = text.name.split('/').collect();
        let (split, from, to) = placed(&parts, splits);
        if from == to {
            homeless.push(text.name);
            continue;
        }
        let class_idx = from + (rule.class)(&parts[from..to]);
        let class = parts[class_idx].trim().to_string();
        let name = match splits {
            Splits::Last => format!("{}/", parts[..=to].join("/")),
            _ => format!("{}/", parts[..=class_idx].join("/")),
        };
        if is_unlabelled_folder(&class) {
            *unlabelled.entry(name).or_default() += 1;
            continue;
        }
        let class_path = format!("{}/", parts[from..=class_idx].join("/"));
        let folder = folders
            .entry((split, class.clone(), name.clone()))
            .or_insert_with(|| ClassFolder { class, split, name, class_path, files: Vec::new() });
        folder.files.push(text);
    }
    for (name, n) in unlabelled {
        warnings.push(format!("{name} holds no labelled files by its name: {n} were left out"));
    }
    if folders.is_empty() {
        return Err(refusal::data(rule.none.0).with_cure(rule.none.1));
    }
    check_parts(&folders)?;
    if rule.with_inner {
        check_inner(&folders)?;
    }
    if !asked {
        check_occasions(&folders)?;
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
    Ok(Classes { folders: folders.into_values().collect(), form: rule.form.0 })
}

/// As if the files of each class lay in a folder called `cat*`.
fn by_names(flat: FlatNames, warnings: &mut Vec<String>) -> Vec<ClassFolder> {
    let mut folders: BTreeMap<(Option<Split>, String), ClassFolder> = BTreeMap::new();
    for flat_names::Named { file, split, class } in flat.named {
        let folder = folders.entry((split, class.clone())).or_insert_with(|| {
            let place = file.name.rsplit_once('/').map_or(String::new(), |it| format!("{}/", it.0));
            let name = format!("{place}{class}*");
            ClassFolder { class_path: format!("{class}/"), class, split, name, files: Vec::new() }
        });
        folder.files.push(file);
    }
    let classes: BTreeSet<&str> = folders.keys().map(|it| it.1.as_str()).collect();
    let classes: Vec<&str> = classes.into_iter().collect();
    warnings.push(format!(
        "no folders of classes are there, and names of files say the class: {}",
        refusal::list(&classes)
    ));
    if let Some(first) = flat.unlabelled.first() {
        let (n, first) = (flat.unlabelled.len(), &first.name);
        warnings
            .push(format!("files whose names say no class were left out: {n} (first: {first})"));
    }
    folders.into_values().collect()
}

/// Refused where every class is called like a part of an export.
fn check_parts(
    folders: &BTreeMap<(Option<Split>, String, String), ClassFolder>,
) -> Result<(), Failure> {
    let mut classes: Vec<&str> = folders.keys().map(|it| it.1.as_str()).collect();
    classes.sort_unstable();
    classes.dedup();
    if !classes.iter().all(|it| is_part(it)) {
        return Ok(());
    }
    let shown: Vec<String> = classes.iter().map(|it| format!("{it}/")).collect();
    let are = if 1 < shown.len() { "are no classes" } else { "is no class" };
    Err(refusal::data(format!(
        "{} {are} by name, and there are no other folders",
        refusal::list(&shown)
    ))
    .with_cure("put the files of each class into a folder named after it, or name each file's label in a table"))
}

/// Refused where folders of the same name lie in several classes and hold most of the files: the
/// class may be the inner one, as in `enron1/ham/` and `enron2/ham/`.
fn check_inner(
    folders: &BTreeMap<(Option<Split>, String, String), ClassFolder>,
) -> Result<(), Failure> {
    let mut inner: BTreeMap<&str, (BTreeSet<&str>, Vec<&str>)> = BTreeMap::new();
    for folder in folders.values() {
        for file in &folder.files {
            let below = file.name.strip_prefix(&folder.name).unwrap_or_default();
            let Some((path, _)) = below.rsplit_once('/') else { continue };
            let own = path.rsplit('/').next().unwrap_or(path);
            let entry = inner.entry(own).or_default();
            entry.0.insert(&folder.class);
            entry.1.push(&file.name);
        }
    }
    inner.retain(|_, (classes, _)| 1 < classes.len());
    let all: usize = folders.values().map(|it| it.files.len()).sum();
    let again: usize = inner.values().map(|it| it.1.len()).sum();
    let Some((_, (_, files))) = inner.first_key_value().filter(|_| all <= 2 * again) else {
        return Ok(());
    };
    let place = |it: &&str| it.rsplit_once('/').map_or(String::new(), |it| format!("{}/", it.0));
    let (first, last) = (files.first().map(place), files.last().map(place));
    let message = format!(
        "{} and {} end in the same folder, so the class can't be told",
        first.unwrap_or_default(),
        last.unwrap_or_default()
    );
    Err(refusal::data(message).with_cure("put the files of each class into one folder directly below the drop or below its split, or name each file's label in a table"))
}

/// Refused where every class is called by when or in which turn its files came: what is told apart
/// by that is the light or the camera of a day.
fn check_occasions(
    folders: &BTreeMap<(Option<Split>, String, String), ClassFolder>,
) -> Result<(), Failure> {
    let classes: BTreeSet<&str> = folders.keys().map(|it| it.1.as_str()).collect();
    if classes.len() < 2 || !classes.iter().all(|it| is_occasion(it)) {
        return Ok(());
    }
    let shown: Vec<String> = classes.iter().map(|it| format!("{it}/")).collect();
    Err(refusal::data(format!(
        "{} say when or in which turn their files came, and no class",
        refusal::list(&shown)
    ))
    .with_cure("put the files of each class into a folder named after it, or name each file's label in a table; if these are the classes, set task in the recipe to that of classes"))
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
        assert_eq!(split_of_path("validate.csv"), Some(Split::Validation));
        assert_eq!(split_of_path("hold-out.csv"), Some(Split::Test));
        assert_eq!(split_of_path("TestSet.csv"), Some(Split::Test));
        assert_eq!(split_of_path("dev-v2.0.json"), Some(Split::Validation));
        assert_eq!(split_of_path("trains.csv"), None);
        assert_eq!(split_of_path("latest.csv"), None);
        assert_eq!(split_of_path("train_test.csv"), None);
        assert_eq!(split_of("PrivateTest"), Some(Split::Test));
    }
}
