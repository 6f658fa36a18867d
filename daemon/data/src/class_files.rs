//! Decides whether files are called as the class of all that stands in them: `pos.txt` and
//! `neg.txt` with a text a line, `Fake.csv` and `True.csv`. Only words that are classes and nothing
//! else are taken for such names.

use crate::format::Format;
use crate::inventory::{Inventory, SingleFile};
use crate::names;
use crate::row_class::RowClass;
use crate::split_names::{class_parts, split_of, words};
use crate::table::TableFile;
use finetuned_job::scores::Split;
use std::collections::BTreeSet;

/// In lower case.
const CLASSES: &[&str] = &[
    "pos",
    "positive",
    "neg",
    "negative",
    "neu",
    "neutral",
    "ham",
    "spam",
    "real",
    "fake",
    "true",
    "false",
    "good",
    "bad",
    "toxic",
    "hate",
    "sarcastic",
    "ironic",
];
const NOT: &[&str] = &["not", "non", "no"];

/// Sees to the files of a drop.
pub(crate) fn take(found: &mut Inventory) {
    if !found.images.is_empty() || !found.archives.is_empty() {
        return;
    }
    if found.tables.is_empty() {
        take_lines(found);
    } else if found.texts.is_empty() {
        take_tables(found);
    }
}

/// A handful of texts in no folders.
fn take_lines(found: &mut Inventory) {
    if !found.texts.iter().all(|it| class_parts(&it.name).is_empty()) {
        return;
    }
    let Some(classes) = classes(found.texts.iter().map(|it| &*it.name)) else { return };
    for (SingleFile { path, name }, class) in
        std::mem::take(&mut found.texts).into_iter().zip(classes)
    {
        match class {
            Some(class) => {
                note(&name, "each line", &class, &mut found.warnings);
                let table = TableFile::new(path, name, Format::Lines);
                found.tables.push(table.changed(|it| it.class = Some(RowClass::Same(class))));
            }
            None => leave(&name, &mut found.warnings),
        }
    }
}

/// Tables that have no label of their own.
fn take_tables(found: &mut Inventory) {
    let Some(classes) = classes(found.tables.iter().map(|it| &*it.name)) else { return };
    let is_open = |it: &TableFile| {
        it.glance().is_some_and(|it| {
            it.export.is_none() && !it.sample.columns.iter().any(|it| names::is_label(it))
        })
    };
    if !found.tables.iter().all(is_open) {
        return;
    }
    for (table, class) in std::mem::take(&mut found.tables).into_iter().zip(classes) {
        match class {
            Some(class) => {
                note(&table.name, "each row", &class, &mut found.warnings);
                found.tables.push(table.changed(|it| it.class = Some(RowClass::Same(class))));
            }
            None => leave(&table.name, &mut found.warnings),
        }
    }
}

fn note(name: &str, what: &str, class: &str, warnings: &mut Vec<String>) {
    warnings.push(format!(
        "{name}: {what} was taken for an example of `{class}`, as the file is called"
    ));
}

fn leave(name: &str, warnings: &mut Vec<String>) {
    warnings.push(format!("{name} holds no labels by its name, and was left out"));
}

/// Of each file; nothing where they are not called so. Files of test may have none.
fn classes<'a>(names: impl Iterator<Item = &'a str>) -> Option<Vec<Option<String>>> {
    let mut classes = Vec::new();
    for name in names {
        let mut parts = name.rsplit('/');
        let own = parts.next().unwrap_or(name);
        match class(own).or_else(|| class(parts.next()?)) {
            None if split_of(own) != Some(Split::Test) => return None,
            class => classes.push(class),
        }
    }
    let different: BTreeSet<&String> = classes.iter().flatten().collect();
    (1 < different.len()).then_some(classes)
}

/// The only word of a file's name that is a class.
fn class(name: &str) -> Option<String> {
    let words = words(name);
    let mut found = (0..words.len()).filter(|it| CLASSES.contains(&words[*it].as_str()));
    let (at, None) = (found.next()?, found.next()) else { return None };
    let negated = at.checked_sub(1).is_some_and(|it| NOT.contains(&words[it].as_str()));
    Some(if negated { format!("not {}", words[at]) } else { words[at].clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_as_classes_where_nothing_else_is_meant() {
        let of = |it: &[&str]| classes(it.iter().copied());
        let some = |it: &[&str]| Some(it.iter().map(|it| Some((*it).to_string())).collect());
        assert_eq!(of(&["neg.txt", "pos.txt"]), some(&["neg", "pos"]));
        assert_eq!(of(&["rt-polarity.neg", "rt-polarity.pos"]), some(&["neg", "pos"]));
        assert_eq!(of(&["train_neg.txt", "test_pos.txt"]), some(&["neg", "pos"]));
        assert_eq!(of(&["not_spam.txt", "spam.txt"]), some(&["not spam", "spam"]));
        assert_eq!(of(&["Fake.csv", "True.csv"]), some(&["fake", "true"]));
        assert_eq!(of(&["pos.txt", "neg.txt", "test.txt"]).unwrap()[2], None);
        assert_eq!(of(&["pos.txt", "more.txt"]), None);
        assert_eq!(
            of(&["pos.txt", "positives_negative.txt"]),
            Some(vec![Some("pos".into()), Some("negative".into())])
        );
        assert_eq!(of(&["alice.txt", "moby-dick.txt"]), None);
        assert_eq!(of(&["pos_neg.txt", "neg.txt"]), None);
    }
}
