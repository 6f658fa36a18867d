//! Decides which columns of a table hold conversations: lists of messages by what they are made of,
//! questions and answers by the names that people give them together.

use super::super::speakers;
use super::messages::{self, Part};
use crate::names;
use crate::refusal;
use crate::table::Table;
use finetuned_job::outcome::Failure;

pub(super) const MESSAGES_NAMES: &[&str] = &[
    "messages",
    "conversations",
    "conversation",
    "chat",
    "dialog",
    "dialogue",
    "turns",
    "contents",
    "data",
];
/// What an answer is called that stands beside the messages before it.
const ANSWER_NAMES: &[&str] = &["completion", "response", "answer", "output"];
pub(in crate::modality) const TOOLS_NAMES: &[&str] = &["tools", "functions"];
pub(in crate::modality) const SYSTEM_NAMES: &[&str] =
    &["system", "system_prompt", "system_message", "system_instruction", "systeminstruction"];
pub(in crate::modality) const HISTORY_NAMES: &[&str] = &["history", "chat_history"];
pub(in crate::modality) const CONTEXT_NAMES: &[&str] = &["input", "context", "passage"];
/// Questions and answers that are called so together, the surest first, and whether columns of
/// these names can be nothing else.
pub(super) const TURNS: &[(&str, &str, bool)] = &[
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
    "kto_tag",
    "desirable",
    "thumbs_up",
    "liked",
];

/// The columns, each with what it holds, the question before the answer. `named`: by the recipe.
///
/// # Errors
/// A name that no column has, more than two.
pub(super) fn find(table: &Table, named: &[String]) -> Result<Option<Vec<(Part, usize)>>, Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let place = |name: &String| names::named(file, columns, name);
    let place_of = |(part, name): (Part, &String)| Ok::<_, Failure>((part, place(name)?));
    Ok(match named {
        [] => of_messages(table).or_else(|| of_turns(table).map(|it| it.0)),
        [one] => Some(with_more(table, vec![place_of((Part::Messages, one))?], &[])),
        [question, answer] => {
            speaks(table, &[place(question)?, place(answer)?])?;
            let both = [(Part::Question, question), (Part::Answer, answer)].map(place_of);
            let both = both.into_iter().collect::<Result<_, _>>()?;
            Some(with_more(table, both, &[]))
        }
        several => {
            let n = several.len();
            return Err(refusal::data(format!(
                "data.text names {n} columns, and a conversation is one of messages, or two: question and answer"
            )));
        }
    })
}

/// # Errors
/// A column that says who speaks, in the place of a question or an answer.
fn speaks(table: &Table, named: &[usize]) -> Result<(), Failure> {
    let Some(found) = speakers::message_rows(table).filter(|it| named.contains(&it.role)) else {
        return Ok(());
    };
    let (why, cure) = found.refusal(&table.sample.columns);
    Err(refusal::data(format!("{}: {why}", table.source.name)).with_cure(cure))
}

/// Whether a table can be nothing but conversations: none of its columns says something of them
/// that could be learnt in their place.
pub(super) fn is_clear(table: &Table) -> bool {
    let columns = &table.sample.columns;
    let turns = || of_turns(table).filter(|it| it.1).map(|it| it.0);
    let Some(found) = of_messages(table).or_else(turns) else { return false };
    // A list of texts below a name that says nothing may be anything.
    if let [(Part::Messages, it), ..] = found[..]
        && names::is_same(&columns[it], "data")
        && !table.nearly_all(it, messages::are_messages)
    {
        return false;
    }
    let others = (0..columns.len()).filter(|it| found.iter().all(|found| found.1 != *it));
    names::usual(columns, VERDICT_NAMES, &others.collect::<Vec<_>>()).is_none()
}

pub(super) fn usual(columns: &[String], names: &[&str]) -> Option<usize> {
    let all: Vec<usize> = (0..columns.len()).collect();
    names::usual(columns, names, &all)
}

/// Where nearly all end with a question, its answer may stand beside them.
fn of_messages(table: &Table) -> Option<Vec<(Part, usize)>> {
    let columns = &table.sample.columns;
    let column = usual(columns, MESSAGES_NAMES)?;
    if !table.nearly_all(column, messages::is_conversation) {
        return None;
    }
    let mut found = vec![(Part::Messages, column)];
    if table.nearly_all(column, messages::ends_with_question) {
        found.extend(usual(columns, ANSWER_NAMES).map(|it| (Part::Answer, it)));
    }
    Some(with_more(table, found, &[]))
}

fn of_turns(table: &Table) -> Option<(Vec<(Part, usize)>, bool)> {
    let columns = &table.sample.columns;
    let both = |&(question, answer, is_clear): &(&str, &str, bool)| {
        let turn = [
            (Part::Question, usual(columns, &[question])?),
            (Part::Answer, usual(columns, &[answer])?),
        ];
        Some((turn.to_vec(), is_clear))
    };
    let (turn, is_clear) = TURNS.iter().find_map(both)?;
    Some((with_more(table, turn, CONTEXT_NAMES), is_clear))
}

/// What else belongs to it, before all others.
fn with_more(table: &Table, mut found: Vec<(Part, usize)>, context: &[&str]) -> Vec<(Part, usize)> {
    let columns = &table.sample.columns;
    let more = [
        (Part::Context, context),
        (Part::System, SYSTEM_NAMES),
        (Part::History, HISTORY_NAMES),
        (Part::Tools, TOOLS_NAMES),
    ];
    for (part, names) in more {
        let free = (0..columns.len()).filter(|it| found.iter().all(|found| found.1 != *it));
        let free = free.filter(|it| part != Part::History || messages::may_be_history(table, *it));
        let column = names::usual(columns, names, &free.collect::<Vec<_>>());
        found.extend(column.map(|it| (part, it)));
    }
    found
}
