//! Decides whether the names of files that lie in no class folders say their classes, as
//! `cat.0.jpg` and `dog.1.jpg` do: a word before a number, one of a few that recur.

use crate::inventory::SingleFile;
use crate::row::nearly_all;
use crate::split_names::{is_part, is_split_folder, split_of};
use finetuned_job::scores::Split;
use std::collections::{BTreeMap, BTreeSet};

/// Files of each class, on the average.
const FILES_MIN: usize = 5;
/// What cameras and people put before numbers, and what says which part or side of one and the same
/// thing it is: no classes.
const NUMBERED: &[&str] = &[
    "im",
    "img",
    "image",
    "images",
    "rgb",
    "depth",
    "seg",
    "gt",
    "input",
    "output",
    "source",
    "target",
    "hr",
    "lr",
    "dsc",
    "dscn",
    "dscf",
    "photo",
    "pic",
    "picture",
    "pxl",
    "mvi",
    "vid",
    "video",
    "gopr",
    "cam",
    "camera",
    "frame",
    "scan",
    "screenshot",
    "screen shot",
    "capture",
    "snapshot",
    "untitled",
    "figure",
    "fig",
    "slide",
    "page",
    "plate",
    "tile",
    "patch",
    "crop",
    "part",
    "mask",
    "label",
    "left",
    "right",
    "front",
    "back",
    "top",
    "bottom",
    "file",
    "data",
    "item",
    "sample",
    "example",
    "record",
    "case",
    "patient",
    "subject",
    "person",
    "user",
    "id",
    "text",
    "txt",
    "doc",
    "document",
    "article",
    "review",
    "post",
    "mail",
    "email",
    "message",
    "msg",
    "tweet",
    "comment",
    "book",
    "chapter",
    "batch",
    "train",
    "test",
    "val",
    "valid",
    "validation",
    "whatsapp image",
    "new",
    "old",
    "copy",
];

/// A file, its split and its class.
pub(crate) struct Named {
    pub(crate) file: SingleFile,
    pub(crate) split: Option<Split>,
    pub(crate) class: String,
}

/// What the names say.
pub(crate) struct FlatNames {
    pub(crate) named: Vec<Named>,
    /// Splits of which no file names a class, and all files that name none.
    pub(crate) unlabelled: Vec<SingleFile>,
}

impl FlatNames {
    pub(crate) fn has_splits(&self) -> bool {
        self.named.iter().any(|it| it.split.is_some())
    }
}

/// Nothing where some files lie in folders of other names, or the names say no class. All that do
/// lie in one folder but for those of splits: in `images/` and `masks/` they are two sides of one
/// thing.
pub(crate) fn of(files: &[SingleFile]) -> Option<FlatNames> {
    let places: Option<Vec<Option<Split>>> = files.iter().map(flat_split).collect();
    let classes: Vec<Option<String>> = files.iter().map(class).collect();
    let of_file: Vec<_> = places?.into_iter().zip(classes).collect();
    let mut splits: BTreeSet<Option<Split>> = of_file.iter().map(|it| it.0).collect();
    splits.retain(|split| {
        nearly_all(of_file.iter().filter(|it| it.0 == *split).map(|it| it.1.is_some()))
    });
    let is_used = |it: &(Option<Split>, Option<String>)| it.1.is_some() && splits.contains(&it.0);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let used = of_file.iter().filter(|it| is_used(it));
    used.filter_map(|it| it.1.as_ref())
        .for_each(|it| *counts.entry(it.to_lowercase()).or_default() += 1);
    let n: usize = counts.values().sum();
    let are_classes = 2 <= counts.len()
        && FILES_MIN * counts.len() <= n
        && counts.values().all(|it| 1 < *it)
        && (splits.contains(&None) || splits.contains(&Some(Split::Train)))
        && !are_numbered(&counts);
    if !are_classes {
        return None;
    }
    let named = files.iter().zip(&of_file).filter(|it| is_used(it.1));
    let folders: BTreeSet<Vec<&str>> = named.map(|it| parts_but_splits(it.0)).collect();
    if 1 < folders.len() {
        return None;
    }
    let mut found = FlatNames { named: Vec::new(), unlabelled: Vec::new() };
    for (file, of_file) in files.iter().zip(of_file) {
        let is_used = is_used(&of_file);
        match of_file {
            (split, Some(class)) if is_used => {
                found.named.push(Named { file: file.clone(), split, class });
            }
            _ => found.unlabelled.push(file.clone()),
        }
    }
    Some(found)
}

/// Whether words are no classes: one of them by itself, as the end of another, or as that of all.
fn are_numbered(counts: &BTreeMap<String, usize>) -> bool {
    let ends = |it: &&String| {
        let (before, last) = it.rsplit_once(['_', '-', ' ']).unwrap_or(("", it));
        NUMBERED.contains(&last).then(|| before.trim_end_matches(['_', '-', ' ']).to_string())
    };
    counts.keys().any(|it| NUMBERED.contains(&it.as_str()))
        || counts.keys().filter_map(|it| ends(&it)).any(|it| counts.contains_key(&it))
        || counts.keys().all(|it| ends(&it).is_some())
}

/// The folders of a file that are no splits.
fn parts_but_splits(file: &SingleFile) -> Vec<&str> {
    let mut folders: Vec<&str> = file.name.split('/').collect();
    folders.pop();
    folders.retain(|it| !is_split_folder(it));
    folders
}

/// The split of a file in no folder but those of splits and parts of an export.
fn flat_split(file: &SingleFile) -> Option<Option<Split>> {
    let mut folders: Vec<&str> = file.name.split('/').collect();
    folders.pop();
    let is_known = |it: &&str| is_part(it) || is_split_folder(it);
    folders.iter().all(is_known).then(|| folders.iter().find_map(|it| split_of(it)))
}

/// The words before the number at the end.
fn class(file: &SingleFile) -> Option<String> {
    let own = file.name.rsplit('/').next().unwrap_or(&file.name);
    let stem = own.rsplit_once('.').map_or(own, |it| it.0);
    let words = stem.trim_end_matches(|it: char| it.is_ascii_digit());
    let word = words.trim_end_matches(['.', '_', '-', ' ', '(']);
    let is_word = 2 <= word.chars().count()
        && words.len() < stem.len()
        && word.chars().all(|it| it.is_alphabetic() || matches!(it, ' ' | '_' | '-'));
    is_word.then(|| word.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(names: &[&str]) -> Option<Vec<String>> {
        let file = |it: &&str| SingleFile { path: it.into(), name: (*it).into() };
        let many =
            (0..9).flat_map(|nth| names.iter().map(move |it| it.replace('#', &nth.to_string())));
        let files: Vec<SingleFile> = many.map(|it| file(&it.as_str())).collect();
        let of: BTreeSet<String> = of(&files)?.named.into_iter().map(|it| it.class).collect();
        Some(of.into_iter().collect())
    }

    #[test]
    fn a_word_before_a_number_is_a_class_where_it_is_one_of_a_few() {
        let check = |names: &[&str], of: &[&str]| {
            assert_eq!(classes(names).unwrap_or_default(), of, "{names:?}");
        };
        check(&["cat.#.jpg", "dog.#.jpg"], &["cat", "dog"]);
        check(&["train/cat.#.jpg", "train/dog.#.jpg", "test1/1#.jpg"], &["cat", "dog"]);
        check(&["images/black_rot_#.png", "images/healthy_#.png"], &["black_rot", "healthy"]);
        check(&["train/images/a_cat_#.png", "images/test/a_dog_#.png"], &["a_cat", "a_dog"]);
        check(&["images/cat_#.png", "images/dog_#.png", "test/#.png"], &["cat", "dog"]);
        // The same thing from two sides.
        check(&["images/cat_#.png", "images/dog_#.png", "masks/cat_#.png"], &[]);
        check(&["train/images/cat_#.png", "train/labels/dog_#.png"], &[]);
        check(&["cat_#.png", "dog_#.png", "cat_mask_#.png", "dog_mask_#.png"], &[]);
        check(&["room_rgb_#.png", "room_depth_#.png"], &[]);
        check(&["HR_#.png", "LR_#.png"], &[]);
        check(&["left eye #.png", "right eye #.png"], &["left eye", "right eye"]);
        check(&["IMG_#.jpg", "DSC_#.jpg"], &[]);
        check(&["cat.#.jpg", "1#.jpg"], &[]);
        check(&["cat.#.jpg"], &[]);
        check(&["farm/cat.#.jpg", "farm/dog.#.jpg"], &[]);
        check(&["test/cat.#.jpg", "test/dog.#.jpg", "train/1#.jpg"], &[]);
    }
}
