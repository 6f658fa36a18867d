//! Why a table holds no conversations, where there is more to be said than which columns it has.

use super::form::{self, usual};
use super::messages;
use crate::modality::speakers;
use crate::names;
use crate::row::nearly_all;
use crate::table::Table;
use finetuned_answers::Cell;

/// What follows the file's name, and what helps.
type Why = Option<(String, String)>;

/// Words of the name of a column that is a text.
const WORDS_MIN: usize = 4;

pub(in crate::modality) fn why(table: &Table) -> Why {
    rows_of_messages(table)
        .or_else(|| lists(table))
        .or_else(|| mixed(table))
        .or_else(|| python(table))
        .or_else(|| deeper(table))
        .or_else(|| no_header(table))
}

/// That a table holds conversations where texts are wanted: messages, or questions and answers.
pub(in crate::modality) fn conversations(table: &Table) -> Why {
    let columns = &table.sample.columns;
    let is_messages = |it: &usize| table.nearly_all(*it, messages::are_messages);
    let (what, column) = match (0..columns.len()).find(is_messages) {
        Some(it) => (format!("holds conversations (`{}`)", columns[it]), None),
        None => {
            let both = form::TURNS.iter().find_map(|(question, answer, _)| {
                Some([usual(columns, &[question])?, usual(columns, &[answer])?])
            });
            let both: [usize; 2] = both?;
            let all: Vec<usize> = (0..columns.len()).collect();
            // Another column may be the text.
            names::usual(columns, names::TEXT_NAMES, &all)
                .is_none_or(|it| both.contains(&it))
                .then_some(())?;
            let [question, answer] = both.map(|it| &columns[it]);
            (format!("holds questions and answers (`{question}` and `{answer}`)"), Some(answer))
        }
    };
    let alone =
        column.map(|it| format!("; data.text = {it:?} in a job.toml learns one column alone"));
    Some((
        what,
        format!(
            "set task = \"text-generation\", which learns to answer{}",
            alone.unwrap_or_default()
        ),
    ))
}

fn rows_of_messages(table: &Table) -> Why {
    Some(speakers::message_rows(table)?.refusal(&table.sample.columns))
}

/// Lines of JSON that are lists of messages.
fn lists(table: &Table) -> Why {
    let columns = &table.sample.columns;
    let is_it = |row: &Vec<Cell>| {
        let mut cells = row.iter().filter(|it| **it != Cell::Missing).peekable();
        cells.peek().is_some() && cells.all(messages::are_messages)
    };
    let by_place = columns.iter().all(|it| names::place(it).is_some());
    (by_place && nearly_all(table.sample.rows.iter().map(is_it))).then(|| {
        (
            "each row is a list of messages, and rows are objects".into(),
            "write {\"messages\": […]} around each list, one object a line".into(),
        )
    })
}

/// Conversations in one column in some rows, and in another in others.
fn mixed(table: &Table) -> Why {
    let columns = &table.sample.columns;
    let found =
        form::MESSAGES_NAMES.iter().filter_map(|it| usual(columns, &[it])).filter_map(|it| {
            let mut rows = table.cells(it).enumerate().filter(|it| messages::is_conversation(it.1));
            rows.next()
                .map(|(first, _)| format!("`{}` (row {} is the first)", columns[it], first + 1))
        });
    let found: Vec<String> = found.collect();
    (1 < found.len()).then(|| {
        (
            format!("rows have different keys for their messages: {}", found.join(", ")),
            "give all rows the same keys, or drop each kind by itself".into(),
        )
    })
}

/// Lists as Python prints them.
fn python(table: &Table) -> Why {
    let columns = &table.sample.columns;
    let is_it = |it: &Cell| match it {
        Cell::Text(text) => {
            let text = text.trim_start();
            text.starts_with("[{'") || text.starts_with("{'") || text.starts_with("['")
        }
        _ => false,
    };
    let column = (0..columns.len()).find(|it| table.nearly_all(*it, is_it))?;
    Some((
        format!("`{}` holds lists as Python prints them, and no JSON", columns[column]),
        "write the lists with json.dumps, or the whole table as JSON Lines (pandas: to_json(\"data.jsonl\", orient=\"records\", lines=True))".into(),
    ))
}

/// Conversations below a key of the row.
fn deeper(table: &Table) -> Why {
    let columns = &table.sample.columns;
    let inside = |cell: &Cell| -> Option<String> {
        let Cell::Fields(fields) = cell else { return None };
        let is_messages = |it: &&(String, Cell)| messages::are_messages(&it.1);
        if let Some((name, _)) = fields.iter().find(is_messages) {
            return Some(format!("`{name}`"));
        }
        let has = |name: &str| fields.iter().any(|it| names::is_same(&it.0, name));
        let turn = form::TURNS.iter().find(|it| has(it.0) && has(it.1));
        if let Some((question, answer, _)) = turn {
            return Some(format!("`{question}` and `{answer}`"));
        }
        has("replies").then(|| "a tree of `replies`".into())
    };
    let found = (0..columns.len()).find_map(|column| {
        let mut names = table.cells(column).map(inside);
        let first = names.next()??;
        names.all(|it| it.is_some()).then_some((column, first))
    });
    let (column, what) = found?;
    let name = &columns[column];
    Some((
        format!("`{name}` holds objects with {what}, a level below the row, and the row's own keys are read"),
        "write them on the row's own level, a conversation a line: {\"messages\": [{\"role\": \"user\", \"content\": \"…\"}, {\"role\": \"assistant\", \"content\": \"…\"}]}".into(),
    ))
}

/// A first row that was taken for names.
fn no_header(table: &Table) -> Why {
    let columns = &table.sample.columns;
    let is_text = |it: &String| WORDS_MIN <= it.split_whitespace().count();
    (columns.len() == 2 && columns.iter().all(is_text)).then(|| {
        (
            "its first row was taken for the names of the columns, and looks like texts".into(),
            "add a first row such as question and answer, or name the columns by their places in a job.toml: data.text = [\"column 1\", \"column 2\"]".into(),
        )
    })
}
