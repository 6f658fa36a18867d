//! What people call the columns of a table, and how a name becomes a column.

use crate::refusal;
use finetuned_job::outcome::Failure;

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
    "summary",
    "title",
];
/// What people call the label, the surest first.
pub(crate) const LABEL_NAMES: &[&str] = &[
    "label",
    "labels",
    "class",
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
    "genre",
    "airline_sentiment",
    "coarse_label",
    "score",
    "similarity",
    "similarity_score",
];
/// Names of the column that says the split.
pub(crate) const SPLIT_NAMES: &[&str] = &["split", "subset", "partition"];

/// Whether a table that begins so has a header.
pub(crate) fn is_usual(name: &str) -> bool {
    TEXT_NAMES.iter().chain(LABEL_NAMES).any(|it| it.eq_ignore_ascii_case(name))
}

/// Whether people call a label so.
pub(crate) fn is_label(name: &str) -> bool {
    LABEL_NAMES.iter().any(|it| it.eq_ignore_ascii_case(name))
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
    names
        .iter()
        .find_map(|name| among.iter().copied().find(|it| columns[*it].eq_ignore_ascii_case(name)))
}

pub(crate) fn unique(file: &str, columns: &[String], idx: usize) -> Result<(), Failure> {
    match columns.iter().filter(|it| **it == columns[idx]).count() {
        1 => Ok(()),
        n => Err(refusal::data(format!("{file} has {n} columns called `{}`", columns[idx]))
            .with_cure("give each column its own name")),
    }
}
