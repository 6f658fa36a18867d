//! A folder of images for each class, below a folder for each split where there are splits. The
//! class is the last folder, as in the imagefolder of Hugging Face's datasets; where folders lie in
//! folders and that could be meant in another way, the drop is refused.

use super::lists;
use super::store::Writer;
use crate::example::Record;
use crate::gather::Place;
use crate::inventory::{Inventory, SingleFile};
use crate::layout::{self, ClassFolder, Classes, FolderRule};
use crate::reading::Reading;
use crate::refusal;
use crate::split_names::is_split_folder;
use crate::table::TableFile;
use crate::targets;
use finetuned_answers::Cell;
use finetuned_job::data::FileReport;
use finetuned_job::outcome::Failure;
use std::collections::{BTreeMap, HashSet};

const IMAGES: FolderRule = FolderRule {
    form: ("folders of images", "names of images"),
    class: |folders| folders.len() - 1,
    with_inner: false,
    none: (
        "the drop's images lie in no class folders",
        "put the images of each class into a folder named after it, or add a metadata.csv with the columns file_name and label",
    ),
};

/// Whether the images lie in two folders at least.
pub(super) fn are_several(images: &[SingleFile]) -> bool {
    images
        .iter()
        .filter_map(|it| it.name.rsplit_once('/'))
        .map(|it| it.0)
        .collect::<HashSet<_>>()
        .len()
        > 1
}

pub(super) fn read(
    mut found: Inventory,
    store: &Writer,
    reading: &mut Reading<'_, '_>,
) -> Result<(), Failure> {
    let names_none = |it: &TableFile| format!("{} names no images and was ignored", it.name);
    reading.warnings.extend(found.tables.iter().map(names_none));
    let images = without_masks(std::mem::take(&mut found.images), &mut reading.warnings);
    let Classes { folders, form } = match lists::divided(&images, &found, &mut reading.warnings)? {
        Some(divided) => divided,
        None => {
            reading.warnings.extend(texts_ignored(&found).into_iter().chain(copies(&images)));
            let asked = reading.request.task.is_some();
            layout::class_folders(images, &IMAGES, asked, &mut reading.warnings)?
        }
    };
    reading.gather.learnt = Some(targets::of_classes(form, reading.request)?);
    check_nesting(&folders)?;
    for folder in folders {
        let (file, split) = (reading.file_idx(), folder.split);
        for (nth, image) in folder.files.iter().enumerate() {
            let at = store.file(&image.path);
            let record = Record { image: Some(at), ..Record::default() };
            let nth = nth as u64 + 1;
            let place = Place { split, file, nth, name: &image.name, line: None };
            reading.gather.take(place, Ok((record, vec![Cell::Text(folder.class.clone())])))?;
        }
        reading.files.push(FileReport {
            path: folder.name,
            format: "image_folders".into(),
            encoding: None,
            bytes: 0,
            rows: 0,
            split,
        });
    }
    Ok(())
}

fn texts_ignored(found: &Inventory) -> Option<String> {
    let (n, first) = (found.texts.len(), &found.texts.first()?.name);
    Some(format!("texts ignored beside images: {n} (first: {first})"))
}

/// Of `1.png` and `1_mask.png` in one folder the second says where in the first something lies: it
/// is no example, and would give its class away.
fn without_masks(images: Vec<SingleFile>, warnings: &mut Vec<String>) -> Vec<SingleFile> {
    const ENDS: &[&str] = &["_mask", "-mask", "_mask_1", "_mask_2", "_segmentation", "_seg"];
    let stem = |it: &SingleFile| it.name.rsplit_once('.').map_or(&*it.name, |it| it.0).to_string();
    let stems: HashSet<String> = images.iter().map(stem).collect();
    let is_mask = |it: &SingleFile| {
        let stem = stem(it);
        ENDS.iter().filter_map(|it| stem.strip_suffix(it)).any(|it| stems.contains(it))
    };
    let (masks, images): (Vec<_>, Vec<_>) = images.into_iter().partition(is_mask);
    if let Some(first) = masks.first() {
        warnings.push(format!(
            "images that are masks of others by their names were left out: {} (first: {})",
            masks.len(),
            first.name
        ));
    }
    images
}

/// What is to be said of images that are called as changed copies of others, where no folder says
/// the split: divided at random, they score a model by what it was trained on.
fn copies(images: &[SingleFile]) -> Option<String> {
    const ENDS: &[&str] =
        &["aug", "augmented", "flip", "flipped", "rot", "rotated", "copy", "mirror"];
    let stem =
        |it: &'_ SingleFile| it.name.rsplit_once('.').map_or(&*it.name, |it| it.0).to_string();
    let stems: HashSet<String> = images.iter().map(stem).collect();
    let is_copy = |it: &&SingleFile| {
        let stem = stem(it);
        let words = stem.trim_end_matches(|it: char| it.is_ascii_digit() || "_- ()".contains(it));
        let end =
            ENDS.iter().find_map(|end| words.strip_suffix(end)?.strip_suffix(['_', '-', ' ']));
        end.is_some_and(|it| stems.contains(it.trim_end()))
    };
    if images.iter().any(|it| it.name.split('/').any(is_split_folder)) {
        return None;
    }
    let copies: Vec<&SingleFile> = images.iter().filter(is_copy).collect();
    let first = copies.first()?;
    Some(format!(
        "images are called as changed copies of others: {} (first: {}); divided at random, copies of what is trained on are scored by too, so that scores are too good: put them into train/ and other images into test/",
        copies.len(),
        first.name
    ))
}

fn check_nesting(folders: &[ClassFolder]) -> Result<(), Failure> {
    const CURE: &str = "put each class into one folder directly below the drop or below its split, or name the labels in a metadata.csv";
    let mut by_class: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut all: BTreeMap<&str, &str> = BTreeMap::new();
    for folder in folders {
        let inner = folder.class_path.as_str();
        let (first, first_name) = *by_class.entry(&folder.class).or_insert((inner, &folder.name));
        if first != inner {
            return Err(refusal::data(format!(
                "{first_name} and {} end in the same folder, so the class can't be told",
                folder.name
            ))
            .with_cure(CURE));
        }
        all.insert(inner, &folder.name);
    }
    for (inner, name) in &all {
        let mut outer = inner.trim_end_matches('/');
        while let Some((parent, _)) = outer.rsplit_once('/') {
            if let Some(parent_name) = all.get(format!("{parent}/").as_str()) {
                return Err(refusal::data(format!("{parent_name} holds images and the folder {name} with images, so the class can't be told"))
                    .with_cure(CURE));
            }
            outer = parent;
        }
    }
    Ok(())
}
