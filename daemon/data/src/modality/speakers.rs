//! Who speaks in a conversation, and what people call them; tables that have one message a row.

use crate::names;
use crate::row::nearly_all;
use crate::table::Table;
use finetuned_answers::Cell;
use std::collections::HashSet;

/// What people call who speaks, and what OpenAI does.
const ROLES: &[(&str, &str)] = &[
    ("system", "system"),
    ("developer", "system"),
    ("user", "user"),
    ("human", "user"),
    ("prompter", "user"),
    ("customer", "user"),
    ("assistant", "assistant"),
    ("gpt", "assistant"),
    ("bot", "assistant"),
    ("chatgpt", "assistant"),
    ("model", "assistant"),
    ("agent", "assistant"),
    ("ai", "assistant"),
    ("tool", "tool"),
    ("function", "tool"),
    ("observation", "tool"),
];
/// What columns of them are called where each row is one message.
const COLUMNS: &[&str] = &["role", "from", "speaker", "sender", "author", "turn"];
/// What columns are called whose value rows of one conversation share.
const CONVERSATION_NAMES: &[&str] = &[
    "conversation_id",
    "conversation",
    "conv_id",
    "dialogue_id",
    "dialog_id",
    "chat_id",
    "call_id",
    "session_id",
    "thread_id",
    "message_tree_id",
    "parent_id",
];

/// As OpenAI calls who is called so.
pub(super) fn role(name: &str) -> Option<&'static str> {
    ROLES.iter().find(|it| it.0.eq_ignore_ascii_case(name.trim())).map(|it| it.1)
}

/// A table that has one message a row.
#[derive(Debug, PartialEq)]
pub(super) struct MessageRows {
    /// The column that says who speaks.
    pub role: usize,
    /// The column whose value rows of one conversation share.
    pub conversation: Option<usize>,
}

/// Where a column names two speakers or more, and hardly anything else.
pub(super) fn message_rows(table: &Table) -> Option<MessageRows> {
    let (columns, rows) = (&table.sample.columns, &table.sample.rows);
    let all: Vec<usize> = (0..columns.len()).collect();
    let role_of = |row: &Vec<Cell>, column: usize| match row.get(column) {
        Some(Cell::Text(name)) => role(name),
        _ => None,
    };
    let speaks = |column: &usize| {
        let is_called = COLUMNS.iter().any(|it| names::is_same(&columns[*column], it));
        let found: HashSet<_> = rows.iter().filter_map(|row| role_of(row, *column)).collect();
        is_called
            && 1 < found.len()
            && nearly_all(rows.iter().map(|row| role_of(row, *column).is_some()))
    };
    let role = all.iter().copied().find(speaks)?;
    Some(MessageRows { role, conversation: names::usual(columns, CONVERSATION_NAMES, &all) })
}

impl MessageRows {
    /// What is wrong, in words that follow the file's name, and what helps.
    pub(super) fn refusal(&self, columns: &[String]) -> (String, String) {
        let role = &columns[self.role];
        let together = match self.conversation {
            Some(column) => format!("those of one `{}`", columns[column]),
            None => "those of one conversation".into(),
        };
        let why = format!(
            "each row is one message (`{role}` says whose), and which rows are one conversation is not read"
        );
        let cure = format!(
            "write {together} into one row, in their order: {{\"messages\": [{{\"role\": \"user\", \"content\": \"…\"}}, {{\"role\": \"assistant\", \"content\": \"…\"}}]}}"
        );
        (why, cure)
    }
}
