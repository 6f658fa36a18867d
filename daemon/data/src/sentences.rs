//! Tables of tagged words that are no lists yet: a word a row, with a column that says which
//! sentence it belongs to, or lists as Python writes them into a cell. Makes a row of lists of each
//! sentence. Which of the columns are words and tags is left to the modality.

use crate::names::{self, SENTENCE_NAMES, TAG_NAMES, TEXT_NAMES, WORD_NAMES};
use crate::quarantine::Reason;
use crate::row::{Row, Sample, nearly_all};
use finetuned_answers::Cell;
use std::collections::HashSet;

#[derive(Debug, PartialEq)]
pub(crate) enum Sentences {
    /// A word a row. Where the column of sentences is empty, the one before goes on.
    WordRows { sentence: usize },
    /// The columns of lists, and one of words between blanks.
    Written { lists: Vec<usize>, words: Option<usize> },
}

/// Nothing for tables of another kind.
pub(crate) fn recognise(sample: &Sample) -> Option<Sentences> {
    word_rows(sample).or_else(|| written(sample))
}

fn find(sample: &Sample, names: &[&str]) -> Option<usize> {
    let all: Vec<usize> = (0..sample.columns.len()).collect();
    names::usual(&sample.columns, names, &all)
}

/// Whether nearly all cells that hold something are so.
fn holds(sample: &Sample, column: usize, is: impl Fn(&Cell) -> bool) -> bool {
    let known = sample.rows.iter().map(|it| &it[column]).filter(|it| !it.is_missing());
    nearly_all(known.map(is))
}

fn is_word(cell: &Cell) -> bool {
    match cell {
        Cell::Text(it) => !it.trim().contains(char::is_whitespace),
        Cell::Integer(_) | Cell::Fraction(_) => true,
        _ => false,
    }
}

fn has_word_rows(sample: &Sample) -> Option<usize> {
    let words = find(sample, WORD_NAMES).filter(|it| holds(sample, *it, is_word))?;
    let is_tag = |it: &Cell| matches!(it, Cell::Text(_)) && is_word(it);
    let tags = find(sample, TAG_NAMES).filter(|it| *it != words)?;
    holds(sample, tags, is_tag).then_some(tags)
}

fn word_rows(sample: &Sample) -> Option<Sentences> {
    has_word_rows(sample)?;
    let sentence = find(sample, SENTENCE_NAMES)?;
    let mut begun: Vec<&Cell> =
        sample.rows.iter().map(|it| &it[sentence]).filter(|it| !it.is_missing()).collect();
    begun.dedup();
    // A sentence has two words at least, on the average.
    (2 <= begun.len() && 2 * begun.len() <= sample.rows.len())
        .then_some(Sentences::WordRows { sentence })
}

/// Whether there are entities a word a row, and nothing says where a sentence ends: each word
/// without its sentence teaches little, and is not what was meant.
pub(crate) fn are_boundless(sample: &Sample) -> bool {
    let tag = |row: &Vec<Cell>, column: usize| match &row[column] {
        Cell::Text(it) => it.trim().to_string(),
        _ => String::new(),
    };
    let marked = |tags: usize| {
        let all: HashSet<String> = sample.rows.iter().map(|it| tag(it, tags)).collect();
        let begins = all.iter().any(|it| it.starts_with("B-"));
        begins && all.iter().all(|it| it.is_empty() || it == "O" || it.get(1..2) == Some("-"))
    };
    has_word_rows(sample).is_some_and(marked)
}

/// Lists with as many parts as there are words, and not each part once: several labels of a text
/// are as many as they like, and never twice the same.
fn written(sample: &Sample) -> Option<Sentences> {
    let lists: Vec<usize> =
        (0..sample.columns.len()).filter(|it| holds(sample, *it, is_written)).collect();
    let tags =
        TAG_NAMES.iter().filter_map(|it| find(sample, &[it])).find(|it| lists.contains(it))?;
    let twice = |it: &Cell| {
        let parts = items(it).unwrap_or_default();
        parts.iter().collect::<HashSet<_>>().len() < parts.len()
    };
    let repeats = sample.rows.iter().filter(|it| twice(&it[tags])).count();
    let names = WORD_NAMES.iter().chain(TEXT_NAMES).filter_map(|it| find(sample, &[it]));
    let fits = |words: &usize| {
        let pairs = sample.rows.iter().filter(|it| {
            let tags = items(&it[tags]).map(|it| it.len());
            tags.is_some() && tags == words_of(&it[*words]).map(|it| it.len())
        });
        *words != tags && sample.rows.len() <= pairs.count() + sample.rows.len() / 10
    };
    let words = names.filter(|_| sample.rows.len() < 2 * repeats).find(fits)?;
    let words = Some(words).filter(|it| !lists.contains(it));
    Some(Sentences::Written { lists, words })
}

fn is_written(cell: &Cell) -> bool {
    items(cell).is_some()
}

/// The parts of a list, or of a text.
fn words_of(cell: &Cell) -> Option<Vec<String>> {
    match (items(cell), cell) {
        (Some(items), _) => Some(items),
        (None, Cell::Text(it)) => Some(it.split_whitespace().map(str::to_owned).collect()),
        (None, _) => None,
    }
}

/// Of a list of texts as Python writes it, of arrays of NumPy too, which have no commas.
fn items(cell: &Cell) -> Option<Vec<String>> {
    let Cell::Text(text) = cell else { return None };
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let (mut items, mut chars) = (Vec::new(), inner.chars());
    while let Some(c) = chars.find(|it| !it.is_whitespace() && *it != ',') {
        if !matches!(c, '\'' | '"') {
            return None;
        }
        let mut item = String::new();
        loop {
            match chars.next()? {
                '\\' => item.push(chars.next()?),
                it if it == c => break,
                it => item.push(it),
            }
        }
        items.push(item);
    }
    (!items.is_empty()).then_some(items)
}

/// The sentence under way.
struct Open {
    line: u64,
    id: Cell,
    columns: Vec<Vec<Cell>>,
    broken: Option<Reason>,
}

/// Takes the rows of a table and gives those of its sentences.
pub(crate) struct Gathered<'a> {
    sentences: &'a Sentences,
    open: Option<Open>,
}

impl Sentences {
    pub(crate) fn gather(&self) -> Gathered<'_> {
        Gathered { sentences: self, open: None }
    }

    /// Of the rows that were looked at first.
    pub(crate) fn sample(&self, rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
        let mut gathered = self.gather();
        let rows = rows.into_iter().map(|it| Row { line: 0, cells: Ok(it) });
        let mut made: Vec<Row> = rows.filter_map(|it| gathered.take(it)).collect();
        made.extend(gathered.last());
        made.into_iter().filter_map(|it| it.cells.ok()).collect()
    }

    /// What a person should know of it.
    pub(crate) fn note(&self, columns: &[String]) -> Option<String> {
        let Sentences::WordRows { sentence } = self else { return None };
        Some(format!("holds a word a row, joined to sentences by `{}`", columns[*sentence]))
    }
}

impl Gathered<'_> {
    /// `row`: with a cell for each column. Gives the sentence that it ends.
    pub(crate) fn take(&mut self, row: Row) -> Option<Row> {
        let sentence = match self.sentences {
            Sentences::Written { lists, words } => {
                let cells = row.cells.map(|it| as_lists(it, lists, *words));
                return Some(Row { line: row.line, cells });
            }
            Sentences::WordRows { sentence } => *sentence,
        };
        let cells = match row.cells {
            Ok(cells) => cells,
            // It stands between sentences, and is no word of one.
            Err(why @ (Reason::HeaderAgain | Reason::HeaderOtherwise | Reason::Conflict)) => {
                return Some(Row { line: row.line, cells: Err(why) });
            }
            Err(why) => {
                let open = self.open.get_or_insert_with(|| Open::new(row.line, Cell::Missing, 0));
                open.broken.get_or_insert(why);
                return None;
            }
        };
        let id = &cells[sentence];
        let goes_on = self.open.as_ref().is_some_and(|it| id.is_missing() || it.id == *id);
        let ended = if goes_on { None } else { self.last() };
        let of_row = || Open::new(row.line, id.clone(), cells.len());
        let open = self.open.get_or_insert_with(of_row);
        open.columns.resize(cells.len(), Vec::new());
        for (column, cell) in open.columns.iter_mut().zip(cells) {
            column.push(as_word(cell));
        }
        ended
    }

    /// After the last row.
    pub(crate) fn last(&mut self) -> Option<Row> {
        let open = self.open.take()?;
        let columns = open.columns.into_iter().map(Cell::List).collect();
        Some(Row { line: open.line, cells: open.broken.map_or(Ok(columns), Err) })
    }
}

impl Open {
    fn new(line: u64, id: Cell, columns: usize) -> Open {
        Open { line, id, columns: vec![Vec::new(); columns], broken: None }
    }
}

/// Words may be numbers.
fn as_word(cell: Cell) -> Cell {
    match cell {
        Cell::Integer(it) => Cell::Text(it.to_string()),
        Cell::Fraction(it) => Cell::Text(it.to_string()),
        other => other,
    }
}

fn as_lists(mut cells: Vec<Cell>, lists: &[usize], words: Option<usize>) -> Vec<Cell> {
    for column in lists.iter().copied().chain(words) {
        let parts = match words == Some(column) {
            true => words_of(&cells[column]),
            false => items(&cells[column]),
        };
        if let Some(parts) = parts {
            cells[column] = Cell::List(parts.into_iter().map(Cell::Text).collect());
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_as_python_writes_them() {
        let items = |it: &str| items(&Cell::Text(it.into()));
        let three = || Some(vec!["it's".to_string(), "a, b".into(), "\"".into()]);
        assert_eq!(items(r#"["it's", 'a, b', '"']"#), three());
        assert_eq!(items(r#"['it\'s' 'a, b' "\""]"#), three());
        for other in ["[]", "[a, b]", "['a'", "'a', 'b'", "[1, 2]", "['a' b]"] {
            assert_eq!(items(other), None, "{other}");
        }
    }
}
