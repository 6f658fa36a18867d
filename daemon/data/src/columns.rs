//! Decides which column holds the texts and which the labels: the recipe's names, else the usual
//! names, else (of two columns) the one whose few values come again and again is the label. What
//! stays ambiguous is refused with the lines that settle it.

use crate::refusal;
use crate::table::{Cell, Sample};
use finetuned_job::outcome::Failure;
use std::collections::HashSet;

/// What people call the text, the surest first.
const TEXT_NAMES: &[&str] = &[
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
];
/// Columns by index into [`Sample::columns`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) text: usize,
    pub(crate) label: usize,
}

/// More classes than this are names, numbers or measurements, not classes.
pub(crate) const CLASSES_MAX: usize = 1000;

pub(crate) fn is_usual_name(name: &str) -> bool {
    TEXT_NAMES.iter().chain(LABEL_NAMES).any(|it| it.eq_ignore_ascii_case(name))
}

/// `text` and `label`: names from the recipe. Sentences about doubtful choices are added to
/// `warnings`.
pub(crate) fn choose(
    file: &str,
    sample: &Sample,
    text: Option<&str>,
    label: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<Wanted, Failure> {
    let columns = &sample.columns;
    let named_text = text.map(|name| named(file, columns, name)).transpose()?;
    let named_label = label.map(|name| named(file, columns, name)).transpose()?;
    if named_text.is_some() && named_text == named_label {
        return Err(refusal::data(format!(
            "{file}: `{}` can't be both text and label",
            columns[named_text.unwrap_or(0)]
        )));
    }
    if columns.len() < 2 {
        return Err(one_column(file, sample));
    }
    let text = named_text.or_else(|| usual(columns, TEXT_NAMES, named_label));
    let label = named_label.or_else(|| usual(columns, LABEL_NAMES, text));
    let (text, label) = match (text, label) {
        (Some(text), Some(label)) => (text, label),
        (Some(text), None) if columns.len() == 2 => (text, 1 - text),
        (None, Some(label)) if columns.len() == 2 => (1 - label, label),
        (None, None) if columns.len() == 2 => {
            by_values(sample).ok_or_else(|| ambiguous(file, sample, None, None))?
        }
        (text, label) => return Err(ambiguous(file, sample, text, label)),
    };
    unique(file, columns, text)?;
    unique(file, columns, label)?;
    if sample.headerless {
        warnings.push(format!(
            "{file} has no header: its first row was read as data, `{}` as text and `{}` as label",
            columns[text], columns[label]
        ));
    }
    let rivals: Vec<&str> = (0..columns.len())
        .filter(|it| *it != label && *it != text)
        .map(|it| columns[it].as_str())
        .filter(is_label_name)
        .collect();
    if named_label.is_none() && !rivals.is_empty() {
        warnings.push(format!(
            "{file}: `{}` was taken as the label, though `{}` could be one too",
            columns[label],
            rivals.join("`, `")
        ));
    }
    Ok(Wanted { text, label })
}

/// The texts to predict for.
pub(crate) fn choose_text(
    file: &str,
    sample: &Sample,
    text: Option<&str>,
) -> Result<usize, Failure> {
    let columns = &sample.columns;
    if let Some(at) = text.and_then(|name| find(columns, name)) {
        return Ok(at);
    }
    let at = match columns.len() {
        1 => Some(0),
        _ => usual(columns, TEXT_NAMES, None),
    };
    at.ok_or_else(|| {
        let wanted = text.map(|it| format!(" `{it}`")).unwrap_or_default();
        refusal::data(format!(
            "{file} has no text column{wanted}; its columns are {}",
            refusal::list(columns)
        ))
        .with_cure("name the column as in the training data")
    })
}

fn is_label_name(name: &&str) -> bool {
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

pub(crate) fn usual(columns: &[String], names: &[&str], taken: Option<usize>) -> Option<usize> {
    names.iter().find_map(|name| {
        columns
            .iter()
            .enumerate()
            .position(|(idx, it)| Some(idx) != taken && it.eq_ignore_ascii_case(name))
    })
}

/// Of two columns: (text, label), where exactly one looks like a label beside the other.
fn by_values(sample: &Sample) -> Option<(usize, usize)> {
    let stats = [0, 1].map(|column| {
        let values: Vec<String> =
            sample.rows.iter().filter_map(|row| shown(row.get(column)?)).collect();
        let chars: usize = values.iter().map(|it| it.chars().count()).sum();
        let n = values.len();
        let distinct = values.into_iter().collect::<HashSet<_>>().len();
        (distinct <= CLASSES_MAX && 2 * distinct <= n, chars as f64 / n.max(1) as f64)
    });
    match stats {
        [(true, _), (false, _)] => Some((1, 0)),
        [(false, _), (true, _)] => Some((0, 1)),
        // Texts that repeat a lot: the longer column by far holds them.
        [(true, a), (true, b)] if 3.0 * a < b => Some((1, 0)),
        [(true, a), (true, b)] if 3.0 * b < a => Some((0, 1)),
        _ => None,
    }
}

fn shown(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(it) => Some(it.trim().to_string()),
        Cell::Integer(it) => Some(it.to_string()),
        Cell::Bool(it) => Some(it.to_string()),
        Cell::Fraction(it) => Some(it.to_string()),
        Cell::Missing | Cell::Bytes(_) | Cell::List(_) | Cell::Image(_) | Cell::Other(_) => None,
    }
}

pub(crate) fn unique(file: &str, columns: &[String], idx: usize) -> Result<(), Failure> {
    match columns.iter().filter(|it| **it == columns[idx]).count() {
        1 => Ok(()),
        n => Err(refusal::data(format!("{file} has {n} columns called `{}`", columns[idx]))
            .with_cure("give each column its own name")),
    }
}

fn one_column(file: &str, sample: &Sample) -> Failure {
    let message = match sample.columns.first() {
        Some(column) => format!("{file} has one column only, `{column}`, so no label"),
        None => format!("{file} has no columns"),
    };
    refusal::data(message).with_cure("a table needs a column of texts and a column of labels")
}

/// `text`, `label`: what is clear.
fn ambiguous(file: &str, sample: &Sample, text: Option<usize>, label: Option<usize>) -> Failure {
    let columns = &sample.columns;
    if sample.headerless {
        return refusal::data(format!(
            "{file} has no header line, and what its {} columns mean can't be told",
            columns.len()
        ))
        .with_cure("add a first line with the names of the columns, for example text and label");
    }
    let what = match (text, label) {
        (Some(_), _) => "the label",
        (None, Some(_)) => "the text",
        (None, None) => "the text and which the label",
    };
    let name = |idx: Option<usize>| idx.map_or("COLUMN", |it| columns[it].as_str());
    refusal::data(format!(
        "{file}: which column is {what} can't be told; its columns are {}",
        refusal::list(columns)
    ))
    .with_cure(format!(
        "drop it in a folder with a job.toml of two lines: data.text = {:?} and data.label = {:?}",
        name(text),
        name(label)
    ))
}
