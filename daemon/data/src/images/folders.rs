//! A folder of images for each class, below a folder for each split where there are splits. The
//! class is the last folder, as in the imagefolder of Hugging Face's datasets; where folders lie in
//! folders and that could be meant in another way, the drop is refused.

use super::gather::Gather;
use super::{ImageChoice, Read, Target};
use crate::inventory::{Inventory, SingleFile};
use crate::layout::{self, ClassFolder, FolderRule};
use crate::refusal;
use finetuned_job::data::FileReport;
use finetuned_job::outcome::Failure;
use finetuned_job::task::Answer;
use std::collections::{BTreeMap, HashSet};

const IMAGES: FolderRule = FolderRule {
    class: |folders| folders.len() - 1,
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
    found: Inventory,
    choice: &ImageChoice,
    gather: &mut Gather,
    warnings: &mut Vec<String>,
) -> Result<Read, Failure> {
    warnings.extend(
        found.tables.iter().map(|it| format!("{} names no images and was ignored", it.name)),
    );
    if let Some(text) = found.texts.first() {
        warnings.push(format!(
            "texts ignored beside images: {} (first: {})",
            found.texts.len(),
            text.name
        ));
    }
    if let Some(problem @ (Answer::Classes | Answer::Numbers)) = choice.problem {
        let what =
            if problem == Answer::Numbers { "numbers" } else { "several labels to an image" };
        return Err(refusal::data(format!("folders of images can't hold {what}")).with_cure(
            "add a metadata.csv with the column file_name and columns of what is to be learnt",
        ));
    }
    let folders = layout::class_folders(found.images, &IMAGES, warnings)?;
    check_nesting(&folders)?;
    let mut files = Vec::new();
    for folder in folders {
        let class = gather.classes.number(folder.class, &folder.name)?;
        let split = folder.split;
        for (nth, image) in folder.files.iter().enumerate() {
            let at = gather.store.file(&image.path);
            gather.take((at, Target::Class(class)), split, files.len() as u32, nth as u64 + 1);
        }
        files.push(FileReport {
            path: folder.name,
            format: "image_folders".into(),
            encoding: None,
            bytes: 0,
            rows: 0,
            split,
        });
    }
    Ok(Read {
        problem: Answer::Class,
        files,
        image_column: None,
        label_column: None,
        target_columns: Vec::new(),
    })
}

fn check_nesting(folders: &[ClassFolder]) -> Result<(), Failure> {
    const CURE: &str = "put each class into one folder directly below the drop or below its split, or name the labels in a metadata.csv";
    let mut by_class: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut all: BTreeMap<&str, &str> = BTreeMap::new();
    for folder in folders {
        let inner = match folder.split {
            Some(_) => folder.name.split_once('/').map_or("", |it| it.1),
            None => &folder.name,
        };
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
