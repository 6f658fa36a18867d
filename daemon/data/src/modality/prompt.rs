//! Prompts go in, which the model itself is to answer: a column of texts or of lists of messages.
//! All other columns are fields that rewards may read. A record is one text, JSON with `messages`
//! and perhaps `tools`, as a conversation's; its fields are an object of JSON.

use super::chat::message::{self, Message};
use super::chat::messages::{self, Beside};
use super::chat::{absent, columns_of, doubts, form};
use super::parts::{Parts, Wanted};
use super::{Content, Modal, Named, Nothing};
use crate::example::Record;
use crate::inventory::Inventory;
use crate::names;
use crate::quarantine::Reason;
use crate::reading::{self, Reading};
use crate::table::Table;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::DataChoice;
use finetuned_job::task::Modality;
use serde_json::{Map, Value};
use std::path::Path;

pub(super) struct Kind;

impl Modal for Kind {
    fn modality(&self) -> Modality {
        Modality::Prompt
    }

    /// A recipe says what answers are rewarded for, and so which task it is.
    fn recognises(&self, _: &Inventory, _: &DataChoice) -> bool {
        false
    }

    fn read(
        &self,
        _: &Path,
        found: Inventory,
        reading: &mut Reading<'_, '_>,
    ) -> Result<Box<dyn Content>, Failure> {
        let tables = WANTED.tables(found, reading)?;
        let read = |parts: &[Part], cells: Vec<Cell>| of_cells(parts.iter().zip(cells));
        let mut rows = Parts::new(&reading.request.choice.text, WANTED, find, read);
        reading::tables(reading, tables, &mut rows)?;
        Ok(Box::new(Nothing))
    }

    fn named(&self, args: &[String], columns: &[String]) -> Result<Vec<Named>, Failure> {
        super::chat::Kind.named(args, columns)
    }
}

const WANTED: Wanted = Wanted {
    records: "prompts",
    absent: absent::why,
    cure: "it takes JSON Lines, JSON, Parquet or CSV with a column `prompt` (texts or lists of messages) and, for rewards that read them, others such as `answer`; another column of prompts is named in a job.toml: data.text = \"COLUMN\"",
};

const PROMPT_NAMES: &[&str] = &[
    "prompt",
    "question",
    "query",
    "instruction",
    "problem",
    "messages",
    "conversations",
    "input",
];

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Prompt,
    /// What belongs to the prompt.
    Context,
    System,
    /// Questions and answers before the prompt.
    History,
    Tools,
    /// What rewards may read, by the column's name.
    Field(String),
}

/// The prompt comes first. `named`: by the recipe, the prompt before what else is read.
fn find(
    table: &Table,
    named: &[String],
    targets: &[usize],
) -> Result<Option<Vec<(Part, usize)>>, Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let all: Vec<usize> = (0..columns.len()).filter(|it| !targets.contains(it)).collect();
    let (prompt, others) = match named {
        [] => {
            let Some(prompt) = names::usual(columns, PROMPT_NAMES, &all) else { return Ok(None) };
            (prompt, None)
        }
        [prompt, others @ ..] => {
            let others = others.iter().map(|it| names::named(file, columns, it));
            let others = others.collect::<Result<Vec<usize>, Failure>>()?;
            (names::named(file, columns, prompt)?, (!others.is_empty()).then_some(others))
        }
    };
    let mut free: Vec<usize> = others
        .unwrap_or_else(|| all.into_iter().filter(|it| !names::divides(&columns[*it])).collect());
    free.retain(|it| *it != prompt);
    let mut parts = vec![(Part::Prompt, prompt)];
    let more = [
        (Part::Context, form::CONTEXT_NAMES),
        (Part::System, form::SYSTEM_NAMES),
        (Part::History, form::HISTORY_NAMES),
        (Part::Tools, form::TOOLS_NAMES),
    ];
    for (part, names) in more {
        let may_be = |it: &usize| part != Part::History || messages::may_be_history(table, *it);
        let among: Vec<usize> = free.iter().copied().filter(may_be).collect();
        if let Some(column) = names::usual(columns, names, &among) {
            free.retain(|it| *it != column);
            parts.push((part, column));
        }
    }
    doubts::check(table, &columns_of(&parts), !named.is_empty())?;
    parts.extend(free.into_iter().map(|it| (Part::Field(columns[it].clone()), it)));
    Ok(Some(parts))
}

/// # Errors
/// What nobody could answer.
fn of_cells<'a>(parts: impl Iterator<Item = (&'a Part, Cell)>) -> Result<Record, Reason> {
    let (mut asked, mut tools, mut beside) = (Vec::new(), None, Beside::default());
    let mut fields = Map::new();
    for (part, cell) in parts {
        match part {
            Part::Prompt => asked = messages::asked(cell)?,
            Part::Context => beside.context = Some(cell),
            Part::System => beside.system = Some(cell),
            Part::History => beside.history = Some(cell),
            Part::Tools => tools = message::functions(cell)?,
            Part::Field(name) => _ = fields.insert(name.clone(), message::value(&cell)),
        }
    }
    lift(&mut fields);
    messages::complete(&mut asked, beside)?;
    if asked.last().is_some_and(Message::is_answer) {
        let why = "the prompt ends with an answer, which the model is to make itself";
        return Err(message::own("a prompt that ends with an answer", why));
    }
    // Of what is asked nothing is learnt.
    asked.iter_mut().for_each(|it| it.learnt = true);
    // An answer may follow.
    let answer = Message::new("assistant", "-");
    messages::check(&[&asked[..], &[answer]].concat())?;
    let fields = Value::Object(fields).to_string().into();
    Ok(Record { fields: Some(fields), ..Record::of_text(messages::conversation(asked, tools)) })
}

/// What verl keeps in an object is a field of its own too, for rules read texts and numbers.
fn lift(fields: &mut Map<String, Value>) {
    const RIGHT_ANSWER: &str = "ground_truth";
    let found = fields.values().find_map(|it| it.get(RIGHT_ANSWER)).cloned();
    if let Some(found) = found.filter(|_| !fields.contains_key(RIGHT_ANSWER)) {
        fields.insert(RIGHT_ANSWER.into(), found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use serde_json::json;

    fn read(parts: &[(Part, Value)]) -> Result<(Value, Value), String> {
        let parts = parts.iter().map(|(part, it)| (part, json::cell(it.clone())));
        let found = of_cells(parts).map_err(|it| it.to_string())?;
        let parsed = |it: &str| serde_json::from_str(it).unwrap();
        Ok((parsed(&found.texts[0]), parsed(found.fields.as_deref().unwrap())))
    }

    fn field(name: &str) -> Part {
        Part::Field(name.into())
    }

    #[test]
    fn a_prompt_is_a_question_and_all_else_are_fields() {
        let parts = [
            (Part::Prompt, "2 + 2?".into()),
            (Part::System, "Be right.".into()),
            (field("answer"), 4.into()),
            (field("steps"), json!(["add", { "to": 4 }])),
        ];
        let (asked, fields) = read(&parts).unwrap();
        let messages = json!([
            { "role": "system", "content": "Be right." }, { "role": "user", "content": "2 + 2?" }
        ]);
        assert_eq!(asked, json!({ "messages": messages }));
        assert_eq!(fields, json!({ "answer": 4, "steps": ["add", { "to": 4 }] }));
        assert_eq!(read(&[(Part::Prompt, messages)]).unwrap().0, asked);
    }

    #[test]
    fn what_nobody_could_answer_is_put_aside() {
        let refused = |prompt: Value, why: &str| {
            let found = read(&[(Part::Prompt, prompt)]).unwrap_err();
            assert!(found.contains(why), "{found}");
        };
        refused(" ".into(), "empty text");
        let answered =
            json!([{ "role": "user", "content": "a" }, { "role": "assistant", "content": "b" }]);
        refused(answered, "ends with an answer");
        refused(json!([{ "role": "system", "content": "a" }]), "answers nothing");
    }

    #[test]
    fn the_same_prompt_is_the_same_whatever_is_known_of_it() {
        let of = |prompt: &str, answer: u32| {
            let parts = [(Part::Prompt, prompt), (field("id"), "x")].map(|(part, text)| {
                let cell = if part == Part::Prompt { json!(text) } else { json!(answer) };
                (part, json::cell(cell))
            });
            of_cells(parts.iter().map(|(part, cell)| (part, cell.clone()))).unwrap()
        };
        assert_eq!(of("a", 1).key(), of("a", 2).key());
        assert_ne!(of("a", 1).key(), of("b", 1).key());
    }
}
