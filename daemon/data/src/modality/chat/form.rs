//! Decides which columns of a table hold conversations: lists of messages by what they are made of,
//! questions and answers by the names that people give them together.

use super::messages::{self, Part};
use crate::names;
use crate::refusal;
use crate::row::nearly_all;
use crate::table::Table;
use finetuned_job::outcome::Failure;

const MESSAGES_NAMES: &[&str] =
    &["messages", "conversations", "conversation", "chat", "dialog", "dialogue", "turns"];
const TOOLS_NAMES: &[&str] = &["tools", "functions"];
const SYSTEM_NAMES: &[&str] = &["system", "system_prompt"];
/// Questions and answers that are called so together, the surest first, and whether columns of
/// these names can be nothing else.
const TURNS: &[(&str, &str, bool)] = &[
    ("prompt", "completion", true),
    ("prompt", "response", true),
    ("instruction", "output", true),
    ("instruction", "response", true),
    ("instruction", "completion", true),
    ("question", "answer", false),
    ("question", "response", false),
    ("query", "response", false),
    ("query", "answer", false),
    ("user", "assistant", false),
    ("human", "assistant", false),
    ("prompt", "answer", false),
    ("prompt", "output", false),
    ("input", "output", false),
    ("input", "response", false),
];
/// What people call a verdict over a conversation, or over two of its answers. What it is about
/// (`category`, `topic`, `source`) is none.
const VERDICT_NAMES: &[&str] = &[
    "label",
    "labels",
    "gold_label",
    "class",
    "target",
    "sentiment",
    "intent",
    "chosen",
    "rejected",
    "score",
    "reward",
    "rating",
    "stars",
    "quality",
    "preference",
];
const CONTEXT_NAMES: &[&str] = &["input", "context"];

/// The columns, each with what it holds, the question before the answer. `named`: by the recipe.
///
/// # Errors
/// A name that no column has, more than two.
pub(super) fn find(table: &Table, named: &[String]) -> Result<Option<Vec<(Part, usize)>>, Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let place = |name: &String| names::named(file, columns, name);
    Ok(match named {
        [] => of_messages(table).or_else(|| of_turns(columns).map(|it| it.0)),
        [one] => Some(with_more(columns, vec![(Part::Messages, place(one)?)], &[])),
        [question, answer] => {
            Some(vec![(Part::Question, place(question)?), (Part::Answer, place(answer)?)])
        }
        several => {
            let n = several.len();
            return Err(refusal::data(format!(
                "data.text names {n} columns, and a conversation is one of messages, or two: question and answer"
            )));
        }
    })
}

/// Whether a table can be nothing but conversations: none of its columns says something of them
/// that could be learnt in their place.
pub(super) fn is_clear(table: &Table) -> bool {
    let columns = &table.sample.columns;
    let turns = || of_turns(columns).filter(|it| it.1).map(|it| it.0);
    let Some(found) = of_messages(table).or_else(turns) else { return false };
    let others = (0..columns.len()).filter(|it| found.iter().all(|found| found.1 != *it));
    names::usual(columns, VERDICT_NAMES, &others.collect::<Vec<_>>()).is_none()
}

fn usual(columns: &[String], names: &[&str]) -> Option<usize> {
    let all: Vec<usize> = (0..columns.len()).collect();
    names::usual(columns, names, &all)
}

fn of_messages(table: &Table) -> Option<Vec<(Part, usize)>> {
    let columns = &table.sample.columns;
    let column = usual(columns, MESSAGES_NAMES)?;
    let cells = table.sample.rows.iter().filter_map(|it| it.get(column));
    let are_messages = nearly_all(cells.map(messages::are_messages));
    are_messages.then(|| with_more(columns, vec![(Part::Messages, column)], &[]))
}

fn of_turns(columns: &[String]) -> Option<(Vec<(Part, usize)>, bool)> {
    let both = |&(question, answer, is_clear): &(&str, &str, bool)| {
        let turn = [
            (Part::Question, usual(columns, &[question])?),
            (Part::Answer, usual(columns, &[answer])?),
        ];
        Some((turn.to_vec(), is_clear))
    };
    let (turn, is_clear) = TURNS.iter().find_map(both)?;
    Some((with_more(columns, turn, CONTEXT_NAMES), is_clear))
}

/// What else belongs to it, before all others.
fn with_more(
    columns: &[String],
    mut found: Vec<(Part, usize)>,
    context: &[&str],
) -> Vec<(Part, usize)> {
    let more = [(Part::Context, context), (Part::System, SYSTEM_NAMES), (Part::Tools, TOOLS_NAMES)];
    for (part, names) in more {
        let free = (0..columns.len()).filter(|it| found.iter().all(|found| found.1 != *it));
        let column = names::usual(columns, names, &free.collect::<Vec<_>>());
        found.extend(column.map(|it| (part, it)));
    }
    found
}
