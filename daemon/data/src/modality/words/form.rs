//! Decides which columns of a table hold words and their tags, or texts and their spans: by their
//! usual names, and only where the values are what the names promise.

use super::spans;
use crate::names::{self, TAG_NAMES, TEXT_NAMES, WORD_NAMES};
use crate::row::nearly_all;
use crate::table::Table;
use finetuned_answers::{Cell, is_marked};

/// What annotation tools call spans, the surest first.
const SPAN_NAMES: &[&str] = &["spans", "entities", "ents", "label", "labels", "annotations"];
/// Of Label Studio, whose text is one of its fields, and of lists in place of objects.
const MORE_TEXT_NAMES: &[&str] = &["data", "column 1"];
const MORE_SPAN_NAMES: &[&str] = &["column 2"];

pub(super) struct Found {
    /// Words or texts, then what else is to be known of them.
    pub(super) inputs: Vec<usize>,
    pub(super) target: usize,
    /// Words and tags are no lists yet: each stands between blanks.
    pub(super) spaced: bool,
}

/// `named`, `label`: by the recipe.
pub(super) fn find(table: &Table, named: &[String], label: Option<usize>) -> Option<Found> {
    let columns = &table.sample.columns;
    let named = named.first().map(|it| names::find(columns, it)).map(Option::into_iter);
    let words = match named.clone() {
        Some(named) => named.collect::<Vec<_>>(),
        None => usual(table, &[WORD_NAMES, TEXT_NAMES]),
    };
    let of_words = words.iter().find_map(|it| tagged(table, *it, label));
    let spaced = || words.iter().find_map(|it| spaced(table, *it, label));
    of_words.or_else(spaced).or_else(|| {
        let texts = match named {
            Some(named) => named.collect(),
            None => usual(table, &[TEXT_NAMES, MORE_TEXT_NAMES]),
        };
        texts.into_iter().find_map(|it| spanned(table, it, label))
    })
}

/// Columns with these names, the surest first.
fn usual(table: &Table, names: &[&[&str]]) -> Vec<usize> {
    let columns = &table.sample.columns;
    let all: Vec<usize> = (0..columns.len()).collect();
    let names = names.iter().copied().flatten();
    names.filter_map(|it| names::usual(columns, &[it], &all)).collect()
}

fn tagged(table: &Table, words: usize, label: Option<usize>) -> Option<Found> {
    let of_text = |it: &Cell| matches!(it, Cell::Text(_) | Cell::Missing);
    let is_list = |it: &Cell| matches!(it, Cell::List(words) if words.iter().all(of_text));
    let length = |it: &Cell| match it {
        Cell::List(it) => Some(it.len()),
        _ => None,
    };
    if !table.nearly_all(words, is_list) {
        return None;
    }
    let fits = |column: &usize| {
        let pairs = table.cells(words).zip(table.cells(*column));
        *column != words && nearly_all(pairs.map(|(a, b)| length(a) == length(b)))
    };
    let target = match label {
        Some(label) => Some(label).filter(fits)?,
        None => usual(table, &[TAG_NAMES]).into_iter().find(fits)?,
    };
    let misc = usual(table, &[&["misc"]]).into_iter().filter(|it| fits(it) && *it != target);
    Some(Found { inputs: [words].into_iter().chain(misc).collect(), target, spaced: false })
}

/// Texts beside as many tags of entities, both between blanks: `Ada lives here` and `B-PER O O`.
fn spaced(table: &Table, words: usize, label: Option<usize>) -> Option<Found> {
    let pieces = |it: &Cell| match it {
        Cell::Text(it) => it.split_whitespace().map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let are_tags = |it: &[String]| it.iter().all(|it| it == "O" || is_marked(it));
    let fits = |column: &usize| {
        let known = || table.cells(words).zip(table.cells(*column));
        let some = known().any(|it| pieces(it.1).iter().any(|it| it != "O"));
        *column != words
            && some
            && nearly_all(known().map(|(words, tags)| {
                let tags = pieces(tags);
                !tags.is_empty() && tags.len() == pieces(words).len() && are_tags(&tags)
            }))
    };
    let target = match label {
        Some(label) => Some(label).filter(fits)?,
        None => (0..table.sample.columns.len()).find(fits)?,
    };
    Some(Found { inputs: vec![words], target, spaced: true })
}

fn spanned(table: &Table, texts: usize, label: Option<usize>) -> Option<Found> {
    let is_text = |it: &Cell| matches!(text(it.clone()), Cell::Text(_));
    if !table.nearly_all(texts, is_text) {
        return None;
    }
    let holds = |column: &usize| {
        let known = || table.cells(*column).filter(|it| !it.is_missing());
        let spans = |it: &Cell| spans::all(it.clone()).is_ok_and(|it| !it.is_empty());
        known().any(spans) && nearly_all(known().map(|it| spans::all(it.clone()).is_ok()))
    };
    let target = match label {
        Some(label) => Some(label).filter(holds)?,
        None => usual(table, &[SPAN_NAMES, MORE_SPAN_NAMES]).into_iter().find(holds)?,
    };
    Some(Found { inputs: vec![texts], target, spaced: false })
}

/// A text, or the one text among fields.
pub(super) fn text(cell: Cell) -> Cell {
    let Cell::Fields(fields) = cell else { return cell };
    let place = |name: &&str| fields.iter().position(|it| it.0.eq_ignore_ascii_case(name));
    let is_text = |it: &(String, Cell)| matches!(it.1, Cell::Text(_));
    let usual = TEXT_NAMES.iter().find_map(place);
    let only = || match fields.iter().filter(|it| is_text(it)).count() {
        1 => fields.iter().position(is_text),
        _ => None,
    };
    usual.or_else(only).map_or(Cell::Missing, |it| fields[it].1.clone())
}
