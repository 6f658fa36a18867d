//! What people call splits, in paths and columns: the words of the Hugging Face datasets library,
//! those of CoNLL, and what is found beside them; and which folders are parts of an export.

use finetuned_job::scores::Split;

const WORDS: &[(&str, Split)] = &[
    ("train", Split::Train),
    ("training", Split::Train),
    ("trainset", Split::Train),
    ("traindata", Split::Train),
    ("validation", Split::Validation),
    ("validate", Split::Validation),
    ("valid", Split::Validation),
    ("validset", Split::Validation),
    ("val", Split::Validation),
    ("valset", Split::Validation),
    ("dev", Split::Validation),
    ("devset", Split::Validation),
    ("development", Split::Validation),
    ("devel", Split::Validation),
    ("testa", Split::Validation),
    ("test", Split::Test),
    ("testing", Split::Test),
    ("testset", Split::Test),
    ("testdata", Split::Test),
    ("testb", Split::Test),
    ("eval", Split::Test),
    ("evaluation", Split::Test),
    ("evalset", Split::Test),
    ("holdout", Split::Test),
    ("heldout", Split::Test),
];
/// Words beside that of a split which make no other name of it: `test_set`, `train-images`.
const BESIDE: &[&str] = &[
    "", "set", "data", "dataset", "split", "image", "images", "img", "imgs", "text", "texts",
    "files", "folder", "new", "final", "full", "v", "seg", "public", "private", "batch", "part",
];
/// Folders and values of a column of splits that hold what nobody has labelled.
const UNLABELLED: &[&str] = &["unsup", "unsupervised", "unlabeled", "unlabelled", "nolabel"];

/// The split that one part of a path names, when it names exactly one.
pub(crate) fn split_of(part: &str) -> Option<Split> {
    let mut named: Vec<Split> = words(part).iter().filter_map(|it| split_word(it)).collect();
    named.sort_unstable();
    named.dedup();
    match named[..] {
        [split] => Some(split),
        _ => None,
    }
}

fn split_word(word: &str) -> Option<Split> {
    WORDS.iter().find(|it| it.0 == word).map(|it| it.1)
}

/// What a list is called as that says in which split files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    Of(Split),
    /// `trainval`: it may be divided further.
    NotTest,
    /// `train_test_split`: each line says it.
    Each,
}

/// Words beside those of splits which make no other name of a list.
const BESIDE_LISTED: &[&str] =
    &["list", "lists", "ids", "id", "names", "filenames", "file", "mapping"];

/// `stem`: of a file. With whether it is called nothing else.
pub(crate) fn listed(stem: &str) -> Option<(Listed, bool)> {
    let words = words(stem);
    let both = |it: &str| it == "trainval";
    let mut named: Vec<Split> = words.iter().filter_map(|it| split_word(it)).collect();
    named.sort_unstable();
    named.dedup();
    let is_known = |it: &String| {
        let it = it.as_str();
        let beside = BESIDE.contains(&it) || BESIDE_LISTED.contains(&it);
        beside || both(it) || split_word(it).is_some()
    };
    let listed = match (&named[..], words.iter().any(|it| both(it))) {
        ([], true) | ([Split::Train, Split::Validation], _) => Listed::NotTest,
        ([only], false) => Listed::Of(*only),
        ([_, _, ..], _) => Listed::Each,
        _ => return None,
    };
    Some((listed, words.iter().all(is_known)))
}

/// In lower case; `PrivateTest` is two words, and so is `hold-out` but for that one.
pub(crate) fn words(part: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in part.chars() {
        if !c.is_ascii_alphabetic() || (was_lower && c.is_ascii_uppercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_ascii_alphabetic(), words.last_mut()) {
            word.push(c.to_ascii_lowercase());
        }
        was_lower = c.is_ascii_lowercase();
    }
    for at in (1..words.len()).rev() {
        if words[at] == "out" && matches!(words[at - 1].as_str(), "hold" | "held") {
            words[at - 1].push_str("out");
            words.remove(at);
        }
    }
    words
}

/// Whether a folder, a file's stem or a value says that nobody has labelled what is there.
pub(crate) fn is_unlabelled(name: &str) -> bool {
    words(name).iter().any(|it| UNLABELLED.contains(&it.as_str()))
}

/// Whether a folder of classes is none, as nobody has labelled what lies there.
pub(crate) fn is_unlabelled_folder(name: &str) -> bool {
    UNLABELLED.contains(&name.to_ascii_lowercase().as_str())
}

/// Parts of a file's path that can name a class: its folders, without a leading split.
pub(crate) fn class_parts(name: &str) -> Vec<&str> {
    let mut folders: Vec<&str> = name.split('/').collect();
    folders.pop();
    if folders.first().is_some_and(|it| is_split_folder(it)) {
        folders.remove(0);
    }
    folders
}

/// Names of folders in which exports keep images and what is known of them: no classes.
const PARTS: &[&str] = &[
    "images",
    "image",
    "imgs",
    "img",
    "labels",
    "label",
    "annotations",
    "masks",
    "mask",
    "texts",
    "files",
    "data",
    "jpegimages",
    "segmentationclass",
    "segmentationobject",
    "groundtruth",
    "gt",
];

/// What folders are counted by that hold what was taken at one time, by one camera, of one thing.
const COUNTED: &[&str] = &[
    "batch", "part", "session", "folder", "ordner", "patient", "video", "camera", "cam", "day",
    "run", "roll", "series", "scan", "shift", "upload",
];

/// Whether a folder is called by when or in which turn its files came, and by nothing else: `batch
/// 2`, `2024-01-31`, `100CANON`.
pub(crate) fn is_occasion(folder: &str) -> bool {
    let digits = folder.bytes().filter(u8::is_ascii_digit).count();
    let letters: String = folder.chars().filter(|it| it.is_alphabetic()).collect();
    let others = folder.chars().any(|it| !it.is_alphanumeric() && !"-_. ".contains(it));
    let is_date = || match folder.split(['-', '_', '.']).map(str::len).collect::<Vec<_>>()[..] {
        [8] => folder.starts_with("19") || folder.starts_with("20"),
        [4, 2, 2] | [2, 2, 4] => true,
        _ => false,
    };
    let is_camera = || {
        let (number, name) = folder.split_at_checked(3).unwrap_or(("", ""));
        number.bytes().all(|it| it.is_ascii_digit())
            && name.len() == 5
            && name.bytes().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_')
    };
    let is_counted = COUNTED.contains(&letters.to_lowercase().as_str());
    !others && 0 < digits && (is_counted || letters.is_empty() && is_date() || is_camera())
}

/// Whether a folder is called so, or is the drop itself.
pub(crate) fn is_part(folder: &str) -> bool {
    let own = folder.rsplit('/').next().unwrap_or(folder);
    own.is_empty() || PARTS.contains(&own.to_ascii_lowercase().as_str())
}

/// A folder is a split only when it is called nothing else.
pub(crate) fn is_split_folder(name: &str) -> bool {
    let is_beside = |it: &String| split_word(it).is_some() || BESIDE.contains(&it.as_str());
    split_of(name).is_some() && words(name).iter().all(is_beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_may_be_called_by_when_its_files_came() {
        for name in ["batch1", "Part_02", "session 3", "100CANON", "2024-01-31", "20240131"] {
            assert!(is_occasion(name), "{name}");
        }
        for name in ["1", "007", "2024", "grade 3", "cat", "batch", "subject01", "12345", "AK-47"] {
            assert!(!is_occasion(name), "{name}");
        }
        assert!(is_occasion("101_PANA") && is_occasion("31.01.2024") && !is_occasion("1-2-3"));
    }

    #[test]
    fn a_list_is_called_as_what_it_lists() {
        let check = |stem, of, alone| assert_eq!(listed(stem), Some((of, alone)), "{stem}");
        check("TrainImages", Listed::Of(Split::Train), true);
        check("test_list", Listed::Of(Split::Test), true);
        check("trainval", Listed::NotTest, true);
        check("train_val", Listed::NotTest, true);
        check("train_test_split", Listed::Each, true);
        check("images_variant_val", Listed::Of(Split::Validation), false);
        assert!(listed("classes").is_none() && listed("trainval_test").is_none());
    }

    #[test]
    fn a_folder_of_a_split_is_called_nothing_else() {
        for name in ["train", "Training", "test_set", "train2017", "eval_set", "valid-images"] {
            assert!(is_split_folder(name), "{name}");
        }
        for name in ["trains", "test_tube", "train_station", "validity", "images"] {
            assert!(!is_split_folder(name), "{name}");
        }
    }
}
