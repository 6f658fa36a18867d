//! Lists that published sets of images bring beside their folders: which images are train and which
//! test, and of which class each is, as in CUB-200-2011, Food-101 and Oxford's pets. What is called
//! as such a list and can't be read as one is refused: images that somebody has divided would be
//! divided by chance.

mod read; // lines of lists

use crate::flat_names;
use crate::inventory::{Inventory, SingleFile};
use crate::layout::{ClassFolder, Classes};
use crate::modality::files::{Files, folder};
use crate::refusal;
use crate::split_names::{Listed, class_parts, is_split_folder};
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use read::List;
use std::collections::{BTreeMap, BTreeSet, HashSet};

const CURE: &str = "write the names of the images, one a line, into train.txt and test.txt, or put the images into train/ and test/; where it divides nothing, take it out of the drop";

/// The class of each image, by its index.
type ByImage = BTreeMap<usize, String>;

/// What lists say of an image.
struct Entry<'a> {
    list: &'a List,
    split: Split,
    /// Of `trainval`: another list may say more.
    is_open: bool,
    columns: &'a [String],
}

/// Images by their splits and classes, where lists divide them; nothing where none does. `found`:
/// what lies beside the images.
pub(super) fn divided(
    images: &[SingleFile],
    found: &Inventory,
    warnings: &mut Vec<String>,
) -> Result<Option<Classes>, Failure> {
    let is_divided = |it: &SingleFile| folder(&it.name).split('/').any(is_split_folder);
    if images.is_empty() || !read::are_called(found) || images.iter().any(is_divided) {
        return Ok(None);
    }
    let usable = in_folders_of_images(images);
    let files = Files::of(&usable, &found.links);
    let lists = read::lists(found, &files)?;
    if lists.is_empty() {
        return read::not_understood(found, &files).map_or(Ok(None), Err);
    }
    let entries = entries(&lists, &files)?;
    let unlisted = images.len() - entries.len();
    if !is_whole(&entries, usable.len())? {
        return Ok(None);
    }
    let Some((classes, form)) = classes(&entries, &usable)? else { return Ok(None) };
    for list in &lists {
        warnings.extend(list.warnings());
    }
    if 0 < unlisted {
        let listed: HashSet<&str> = entries.keys().map(|it| &*usable[*it].name).collect();
        let first = images.iter().find(|it| !listed.contains(&*it.name));
        let first = first.map(|it| it.name.as_str()).unwrap_or_default();
        warnings
            .push(format!("images that no list names were left out: {unlisted} (first: {first})"));
    }
    Ok(Some(Classes { folders: folders(&entries, &classes, &usable), form }))
}

/// Where some lie in a folder called as those of images are, these alone: what lies beside it are
/// masks and the like.
fn in_folders_of_images(images: &[SingleFile]) -> Vec<SingleFile> {
    const FOLDERS: &[&str] = &["images", "image", "imgs", "img", "jpegimages", "jpg"];
    let is_in = |it: &&SingleFile| {
        let mut folders = folder(&it.name).split('/');
        folders.any(|it| FOLDERS.contains(&it.to_ascii_lowercase().as_str()))
    };
    let usable: Vec<SingleFile> = images.iter().filter(is_in).cloned().collect();
    if usable.is_empty() { images.to_vec() } else { usable }
}

/// By the index of the image.
fn entries<'a>(
    lists: &'a [List],
    files: &Files<'_>,
) -> Result<BTreeMap<usize, Entry<'a>>, Failure> {
    let mut entries: BTreeMap<usize, Entry<'_>> = BTreeMap::new();
    for list in lists {
        for line in &list.lines {
            let is_open = list.listed == Listed::NotTest;
            let entry = Entry { list, split: line.split, is_open, columns: &line.columns };
            let Some(known) = entries.get_mut(&line.image) else {
                entries.insert(line.image, entry);
                continue;
            };
            let goes_on =
                |it: &Entry<'_>, other: &Entry<'_>| it.is_open && other.split != Split::Test;
            if known.split == entry.split || goes_on(&entry, known) {
                if known.columns.is_empty() {
                    known.columns = entry.columns;
                }
            } else if goes_on(known, &entry) {
                *known = entry;
            } else {
                return Err(refusal::data(format!(
                    "{} line {} puts {} into {}, and {} puts it into {}",
                    list.name,
                    line.nth,
                    files.get(line.image).name,
                    entry.split.name(),
                    known.list.name,
                    known.split.name()
                ))
                .with_cure(
                    "leave the lists of one division in the drop, and take the others out",
                ));
            }
        }
    }
    Ok(entries)
}

/// Whether images of train and of other splits are named.
///
/// # Errors
/// One split is named, and what the other images are nobody says.
fn is_whole(entries: &BTreeMap<usize, Entry<'_>>, images: usize) -> Result<bool, Failure> {
    let splits: BTreeSet<Split> = entries.values().map(|it| it.split).collect();
    let Some(first) = entries.values().next() else { return Ok(false) };
    if 1 < splits.len() && splits.contains(&Split::Train) {
        return Ok(true);
    }
    if entries.len() == images && splits.contains(&Split::Train) {
        return Ok(false);
    }
    let (list, n) = (&first.list.name, entries.len());
    let split = first.split.name();
    Err(refusal::data(format!(
        "{list} names {n} of {images} images as {split}, and no list says what the others are"
    ))
    .with_cure(CURE))
}

/// The class of each image, and what says it: folders, else names of files, else the lists.
fn classes(
    entries: &BTreeMap<usize, Entry<'_>>,
    images: &[SingleFile],
) -> Result<Option<(ByImage, &'static str)>, Failure> {
    let class = |at: &usize| {
        let name = &images[*at].name;
        class_parts(name).last().map_or(String::new(), |it| (*it).to_string())
    };
    let by_folder: ByImage = entries.keys().map(|it| (*it, class(it))).collect();
    let several = 1 < by_folder.values().collect::<BTreeSet<_>>().len();
    let named = if several {
        Some((by_folder, "folders of images"))
    } else {
        by_name(entries, images).map(|it| (it, "names of images"))
    };
    let Some(first) = entries.values().next() else { return Ok(None) };
    let columns = entries.values().map(|it| it.columns.len()).min().unwrap_or(0);
    let column = |nth: usize| -> ByImage {
        entries.iter().map(|(at, it)| (*at, it.columns[nth].clone())).collect()
    };
    let failed = |what: String| {
        refusal::data(format!("{} {what}", first.list.name)).with_cure(
            "write the images with the classes that are meant into a metadata.csv with the columns file_name, label and split, in place of the lists",
        )
    };
    match (named, columns) {
        (None, 0) => Ok(None),
        (None, 1) => Ok(Some((column(0), "lists of images"))),
        (None, n) => {
            Err(failed(format!("has {n} fields behind each image, and none of them is named")))
        }
        (Some(it), 0) => Ok(Some(it)),
        (Some((named, what)), n) if (0..n).any(|it| are_same(&named, &column(it))) => {
            Ok(Some((named, what)))
        }
        (Some((_, what)), _) => {
            Err(failed(format!("divides the images into other classes than {what} do")))
        }
    }
}

fn by_name(entries: &BTreeMap<usize, Entry<'_>>, images: &[SingleFile]) -> Option<ByImage> {
    let listed: Vec<SingleFile> = entries.keys().map(|it| images[*it].clone()).collect();
    let named = flat_names::of(&listed)?.named;
    let of: BTreeMap<&str, &str> = named.iter().map(|it| (&*it.file.name, &*it.class)).collect();
    let class = |at: &usize| Some((*at, (*of.get(&*images[*at].name)?).to_string()));
    entries.keys().map(class).collect()
}

/// Whether both tell the same images apart, whatever the classes are called.
fn are_same(a: &ByImage, b: &ByImage) -> bool {
    let (mut of_a, mut of_b) = (BTreeMap::new(), BTreeMap::new());
    a.iter().zip(b).all(|((_, a), (_, b))| {
        *of_a.entry(a).or_insert(b) == b && *of_b.entry(b).or_insert(a) == a
    })
}

fn folders(
    entries: &BTreeMap<usize, Entry<'_>>,
    classes: &ByImage,
    images: &[SingleFile],
) -> Vec<ClassFolder> {
    let mut folders: BTreeMap<(Split, &str), ClassFolder> = BTreeMap::new();
    for (at, entry) in entries {
        let (file, class) = (&images[*at], &classes[at]);
        let folder = folders.entry((entry.split, class)).or_insert_with(|| ClassFolder {
            class: class.clone(),
            split: Some(entry.split),
            name: format!("{class}/"),
            class_path: format!("{class}/"),
            files: Vec::new(),
        });
        folder.files.push(file.clone());
    }
    folders.into_values().collect()
}
