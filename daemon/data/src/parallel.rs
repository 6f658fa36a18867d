//! Decides whether texts and their labels stand in two files, line by line: `train_text.txt` beside
//! `train_labels.txt`, `sentences.txt` beside `labels.txt`. Inputs and labels in two tables
//! (`X_train.csv`, `y_train.csv`) are refused.

use crate::format::Format;
use crate::inventory::{Inventory, SingleFile};
use crate::refusal;
use crate::row_class::{self, LineLabels, RowClass};
use crate::split_names::words;
use crate::table::TableFile;
use finetuned_job::outcome::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const LABELS: &[&str] = &["label", "labels", "target", "targets", "class", "classes"];
const TEXTS: &[&str] = &[
    "text",
    "texts",
    "sentence",
    "sentences",
    "sent",
    "tweet",
    "tweets",
    "review",
    "reviews",
    "comments",
    "input",
    "inputs",
    "data",
];
/// Of a file that says what the labels of others stand for: a number and its name a line.
const MAPPING: &str = "mapping.txt";

/// Sees to the files of a drop.
///
/// # Errors
/// Inputs and labels stand in two tables, or labels can't be read.
pub(crate) fn take(found: &mut Inventory) -> Result<(), Failure> {
    if !found.images.is_empty() || !found.archives.is_empty() {
        return Ok(());
    }
    check_tables(&found.tables)?;
    let is_mapping = |it: &str| it.rsplit('/').next() == Some(MAPPING);
    let texts = || found.texts.iter().filter(|it| !is_mapping(&it.name));
    let others = found.tables.iter().any(|it| !is_mapping(&it.name));
    let Some(pairs) = pairs(&texts().collect::<Vec<_>>()).filter(|_| !others) else {
        return Ok(());
    };
    let of_texts = found.texts.iter().map(|it| (&it.path, &it.name));
    let of_tables = found.tables.iter().map(|it| (&it.path, &it.name));
    let mapping = of_texts.chain(of_tables).find(|it| is_mapping(it.1));
    let names = match mapping {
        Some((path, name)) => names(&row_class::lines(path, name)?),
        None => BTreeMap::new(),
    };
    let mut tables = Vec::new();
    for (text, labels) in pairs {
        let class = Arc::new(LineLabels::read(&labels.path, &labels.name, &names)?);
        found
            .warnings
            .push(format!("{}: the label of each line was taken of {}", text.name, labels.name));
        let table = TableFile::new(text.path, text.name, Format::Lines);
        tables.push(table.changed(|it| it.class = Some(RowClass::OfLine(class))));
    }
    found.texts.clear();
    found.tables = tables;
    Ok(())
}

/// Each text with its labels; nothing where some file has no other.
fn pairs(texts: &[&SingleFile]) -> Option<Vec<(SingleFile, SingleFile)>> {
    let mut sides: BTreeMap<(String, Vec<String>), [Vec<&SingleFile>; 2]> = BTreeMap::new();
    for text in texts {
        let (folder, own) = text.name.rsplit_once('/').unwrap_or(("", &text.name));
        let mut words = words(own);
        words.retain(|it| !it.is_empty() && it != "txt");
        let is_labels = words.iter().any(|it| LABELS.contains(&it.as_str()));
        words.retain(|it| !LABELS.contains(&it.as_str()) && !TEXTS.contains(&it.as_str()));
        sides.entry((folder.into(), words)).or_default()[usize::from(is_labels)].push(text);
    }
    let pair = |it: [Vec<&SingleFile>; 2]| match [&it[0][..], &it[1][..]] {
        [[text], [labels]] => Some(((*text).clone(), (*labels).clone())),
        _ => None,
    };
    let pairs: Option<Vec<_>> = sides.into_values().map(pair).collect();
    pairs.filter(|it| !it.is_empty())
}

fn names(lines: &[String]) -> BTreeMap<String, String> {
    let name = |it: &String| {
        let (label, name) = it.trim().split_once(char::is_whitespace)?;
        Some((label.to_string(), name.trim().to_string()))
    };
    lines.iter().filter_map(name).collect()
}

fn check_tables(tables: &[TableFile]) -> Result<(), Failure> {
    let side = |it: &TableFile, of: &str| {
        let mut words = words(&it.name);
        words.retain(|it| !it.is_empty());
        let at = words.iter().position(|it| it == of)?;
        words.remove(at);
        Some(words)
    };
    let inputs: BTreeSet<Vec<String>> = tables.iter().filter_map(|it| side(it, "x")).collect();
    let is_labels = |it: &&TableFile| side(it, "y").is_some_and(|it| inputs.contains(&it));
    match tables.iter().find(is_labels) {
        Some(labels) => Err(refusal::data(format!(
            "{} holds the labels of another table, and whether the rows of both are in one order can't be told",
            labels.name
        ))
        .with_cure("join the two: one table with a column of texts and one of labels")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_its_labels() {
        let check = |names: &[&str], of: Option<&[[&str; 2]]>| {
            let files: Vec<SingleFile> =
                names.iter().map(|it| SingleFile { path: it.into(), name: (*it).into() }).collect();
            let found = pairs(&files.iter().collect::<Vec<_>>());
            let found: Option<Vec<[String; 2]>> =
                found.map(|it| it.into_iter().map(|it| [it.0.name, it.1.name]).collect());
            let of: Option<Vec<[String; 2]>> =
                of.map(|it| it.iter().map(|it| it.map(String::from)).collect());
            assert_eq!(found, of, "{names:?}");
        };
        check(
            &["train_text.txt", "train_labels.txt", "val_labels.txt", "val_text.txt"],
            Some(&[["train_text.txt", "train_labels.txt"], ["val_text.txt", "val_labels.txt"]]),
        );
        check(&["labels.txt", "sentences.txt"], Some(&[["sentences.txt", "labels.txt"]]));
        check(&["train.label", "train.text"], Some(&[["train.text", "train.label"]]));
        check(&["train.txt", "train_label.txt"], Some(&[["train.txt", "train_label.txt"]]));
        check(&["train_text.txt", "train_labels.txt", "notes.txt"], None);
        check(&["pos.txt", "neg.txt"], None);
        check(&["labels.txt", "a.txt", "b.txt"], None);
        check(&[], None);
    }
}
