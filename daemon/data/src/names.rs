//! What people call the columns of a table, and how a name becomes a column.

use crate::refusal;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;

/// What people call the text, the surest first.
pub(crate) const TEXT_NAMES: &[&str] = &[
    "text",
    "texts",
    "sentence",
    "content",
    "review",
    "review_text",
    "reviewtext",
    "comment",
    "comment_text",
    "tweet",
    "message",
    "body",
    "document",
    "utterance",
    "description",
    "sms",
    "email",
    "post",
    "article",
    "headline",
    "question",
    "query",
    "phrase",
    "excerpt",
    "abstract",
    "full_text",
    "summary",
    "title",
    "data",
];
/// What people call the label, the surest first.
pub(crate) const LABEL_NAMES: &[&str] = &[
    "gold_label",
    "label",
    "labels",
    "class",
    "class_index",
    "category",
    "sentiment",
    "target",
    "topic",
    "intent",
    "emotion",
    "polarity",
    "rating",
    "stars",
    "tag",
    "airline_sentiment",
    "coarse_label",
    "is_duplicate",
    "score",
    "similarity",
    "similarity_score",
    "quality",
    "genre",
    "annotation",
    "label_name",
    "label_text",
    "class_name",
    "category_name",
];
/// What people call words and lists of them, the surest first.
pub(crate) const WORD_NAMES: &[&str] = &["tokens", "words", "form", "token", "word"];
/// What people call the tags of words and lists of them, the surest first.
pub(crate) const TAG_NAMES: &[&str] = &[
    "ner_tags",
    "ner",
    "tags",
    "ner_labels",
    "labels",
    "label",
    "entities",
    "tag",
    "pos_tags",
    "upos",
    "pos",
    "chunk_tags",
    "chunk",
];
/// What people call the sentence that a word belongs to.
pub(crate) const SENTENCE_NAMES: &[&str] = &[
    "sentence #",
    "sentence_id",
    "sentence id",
    "sentence_idx",
    "sentence_no",
    "sentence_number",
    "sent_id",
    "sent_idx",
    "sentence",
    "sent",
    "document_id",
    "doc_id",
];
/// Names of the column that says the split in words.
pub(crate) const SPLIT_NAMES: &[&str] = &[
    "split",
    "splits",
    "subset",
    "partition",
    "fold",
    "folds",
    "kfold",
    "set",
    "data_split",
    "split_name",
    "dataset_split",
    "dataset",
    "data_set",
    "phase",
    "usage",
    "ml_use",
    "set_name",
    "data_type",
];
/// Names of flags of a split: what true stands for.
pub(crate) const SPLIT_FLAGS: &[(&str, Split)] = &[
    ("is_test", Split::Test),
    ("is_valid", Split::Validation),
    ("is_validation", Split::Validation),
    ("is_val", Split::Validation),
    ("is_dev", Split::Validation),
    ("is_train", Split::Train),
    ("is_training", Split::Train),
    ("istest", Split::Test),
    ("isvalid", Split::Validation),
    ("istrain", Split::Train),
    ("in_test", Split::Test),
    ("in_train", Split::Train),
];
/// What is put behind the name of a column of numbers, for the names that these stand for.
const OF_CLASSES: &[&str] = &["_text", "_name", "_names", "_str", "_string", "_desc"];

/// Whether `name` is a column of the names of what stands in `column`, as `label_text` beside
/// `label`.
pub(crate) fn names_classes_of(name: &str, column: &str) -> bool {
    let (name, column) = (name.to_ascii_lowercase(), column.to_ascii_lowercase());
    let behind = name.strip_prefix(column.as_str());
    behind.is_some_and(|it| OF_CLASSES.contains(&it))
        || matches!(name.as_str(), "label_text" | "label_name" | "class_name" | "category_name")
}

/// Whether two columns are called as finer and coarser labels of one thing are: `fine_label` and
/// `coarse_label`, `category` and `subcategory`, `Level 1` and `Level 2`.
pub(crate) fn are_levels(a: &str, b: &str) -> bool {
    const LEVELS: &[&str] = &[
        "fine", "finer", "coarse", "coarser", "sub", "super", "parent", "child", "main", "top",
        "broad", "detailed", "group", "level", "lvl", "l",
    ];
    let is_mark = |it: &&str| LEVELS.contains(it) || it.bytes().all(|it| it.is_ascii_digit());
    let divided = |name: &str| {
        let mut name = name.trim().to_ascii_lowercase();
        for glued in ["sub", "super"] {
            if let Some(rest) = name.strip_prefix(glued) {
                name = format!("{glued} {rest}");
            }
        }
        let digit = name.find(|it: char| it.is_ascii_digit()).unwrap_or(name.len());
        let words = [&name[..digit], &name[digit..]].join(" ");
        let words = words.split(|it: char| !it.is_alphanumeric()).filter(|it| !it.is_empty());
        let (marks, thing): (Vec<&str>, Vec<&str>) = words.partition(is_mark);
        (marks.join(" "), thing.join(" "))
    };
    let (a, b) = (divided(a), divided(b));
    a.0 != b.0 && a.1 == b.1
}

/// Of a column without a name; counts from 1.
pub(crate) fn of_place(nth: usize) -> String {
    format!("column {nth}")
}

/// The place of a column that is named by it.
pub(crate) fn place(name: &str) -> Option<usize> {
    name.strip_prefix("column ")?.parse().ok()
}

/// Whether people call ids so.
pub(crate) fn is_id(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("id") || ["index", "idx", "no", "nr", "#", "key"].contains(&name.as_str())
}

/// Whether pandas wrote it for itself.
pub(crate) fn is_index(name: &str) -> bool {
    name.starts_with("__index_level_") || name.starts_with("Unnamed: ")
}

/// Whether a column is called so, but for case and what stands between words: `Review Text`.
pub(crate) fn is_same(column: &str, name: &str) -> bool {
    let letter = |it: char| match it {
        ' ' | '-' => '_',
        other => other.to_ascii_lowercase(),
    };
    column.trim().chars().map(letter).eq(name.chars().map(letter))
}

/// Whether a column is called as those are that say which split a row is in.
pub(crate) fn divides(column: &str) -> bool {
    let flags = SPLIT_FLAGS.iter().map(|it| it.0);
    SPLIT_NAMES.iter().copied().chain(flags).any(|it| is_same(column, it))
}

/// Whether a column is called as one of splits by the end of its name: `SemEval_set`, `my split`.
pub(crate) fn ends_as_split(column: &str) -> bool {
    const ENDS: &[&str] = &["set", "split", "partition", "subset"];
    let name = column.trim().to_ascii_lowercase();
    let end = name.rsplit_once(['_', '-', ' ', '.']).map(|it| it.1);
    end.is_some_and(|it| ENDS.contains(&it))
}

/// Whether a table that begins so has a header.
pub(crate) fn is_usual(name: &str) -> bool {
    TEXT_NAMES.iter().chain(LABEL_NAMES).any(|it| is_same(name, it))
}

/// Whether people call a label so.
pub(crate) fn is_label(name: &str) -> bool {
    LABEL_NAMES.iter().any(|it| is_same(name, it))
}

pub(crate) fn find(columns: &[String], name: &str) -> Option<usize> {
    columns
        .iter()
        .position(|it| it == name)
        .or_else(|| columns.iter().position(|it| it.eq_ignore_ascii_case(name.trim())))
}

pub(crate) fn named(file: &str, columns: &[String], name: &str) -> Result<usize, Failure> {
    find(columns, name).ok_or_else(|| {
        refusal::data(format!(
            "{file} has no column `{name}`; its columns are {}",
            refusal::list(columns)
        ))
    })
}

/// Of the columns `among`, the one with the first of these names.
pub(crate) fn usual(columns: &[String], names: &[&str], among: &[usize]) -> Option<usize> {
    names.iter().find_map(|name| among.iter().copied().find(|it| is_same(&columns[*it], name)))
}

pub(crate) fn unique(file: &str, columns: &[String], idx: usize) -> Result<(), Failure> {
    match columns.iter().filter(|it| **it == columns[idx]).count() {
        1 => Ok(()),
        n => Err(refusal::data(format!("{file} has {n} columns called `{}`", columns[idx]))
            .with_cure("give each column its own name")),
    }
}
