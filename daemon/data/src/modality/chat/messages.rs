//! Messages of a conversation: who says what, in an order that a conversation can have. Names of
//! roles are OpenAI's; those of ShareGPT and others become the same.

use crate::json;
use crate::quarantine::Reason;
use crate::reading::text_of;
use finetuned_answers::Cell;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What a column holds of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it, as a list.
    Messages,
    /// Functions that the model may call.
    Tools,
    /// What the model is told before anything else.
    System,
    Question,
    /// What belongs to the question.
    Context,
    Answer,
}

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
    ("tool", "tool"),
    ("function", "tool"),
    ("observation", "tool"),
];
/// Fields of a message: who speaks, and what is said.
const ROLE_FIELDS: [&str; 3] = ["role", "from", "speaker"];
const CONTENT_FIELDS: [&str; 4] = ["content", "value", "text", "message"];
/// Of an assistant that calls functions in place of words.
const CALLS: &str = "tool_calls";

pub(in crate::modality) fn own(kind: &'static str, why: impl Into<String>) -> Reason {
    Reason::Own(kind, why.into())
}

/// A list of messages, the JSON of one, or one message.
pub(in crate::modality) fn are_messages(cell: &Cell) -> bool {
    messages_in(cell).is_some()
}

/// None where there is something else in it.
fn messages_in(cell: &Cell) -> Option<Cow<'_, [Cell]>> {
    let is_message = |it: &Cell| {
        let has = |names: &[&str]| names.iter().any(|name| it.field(name).is_some());
        has(&ROLE_FIELDS) && (has(&CONTENT_FIELDS) || it.field(CALLS).is_some())
    };
    let all = match cell {
        Cell::List(all) => Cow::Borrowed(&all[..]),
        Cell::Fields(_) => Cow::Borrowed(std::slice::from_ref(cell)),
        Cell::Text(text) if text.trim_start().starts_with('[') => {
            match json::cell(serde_json::from_str(text).ok()?) {
                Cell::List(all) => Cow::Owned(all),
                _ => return None,
            }
        }
        _ => return None,
    };
    (!all.is_empty() && all.iter().all(is_message)).then_some(all)
}

/// A question alone, or the conversation that a JSON list of messages is.
pub(in crate::modality) fn question(text: &str) -> String {
    let messages = match messages_in(&Cell::Text(text.into())) {
        Some(all) => all.iter().filter_map(|it| message(it.clone()).ok()).collect(),
        None => vec![message_of("user", text.into())],
    };
    conversation(messages, None)
}

/// # Errors
/// What is no conversation that a model could learn an answer from.
pub(super) fn of_cells(parts: impl Iterator<Item = (Part, Cell)>) -> Result<String, Reason> {
    let (mut all, mut tools, mut context, mut system) = (Vec::new(), None, None, None);
    let mut answer = Vec::new();
    for (part, cell) in parts {
        match part {
            Part::Messages | Part::Question => all = turns(cell, "user")?,
            Part::Answer => answer = turns(cell, "assistant")?,
            Part::Context => context = Some(cell).filter(|it| !it.is_missing()),
            Part::System => system = Some(cell).filter(|it| !it.is_missing()),
            Part::Tools => tools = functions(cell)?,
        }
    }
    complete(&mut all, context, system)?;
    all.extend(answer);
    check(&all)?;
    Ok(conversation(all, tools))
}

/// Adds what belongs to the last question, and what is told before all others.
pub(in crate::modality) fn complete(
    asked: &mut Vec<Value>,
    context: Option<Cell>,
    system: Option<Cell>,
) -> Result<(), Reason> {
    if let (Some(context), Some(last)) = (context, asked.last_mut()) {
        let question = last["content"].as_str().unwrap_or_default();
        last["content"] = format!("{question}\n\n{}", text_of(context)?).into();
    }
    if let Some(system) = system
        && asked.first().is_some_and(|it| it["role"] != "system")
    {
        asked.insert(0, message_of("system", text_of(system)?.into()));
    }
    Ok(())
}

fn conversation(messages: Vec<Value>, tools: Option<Value>) -> String {
    let mut all = Map::from_iter([("messages".into(), messages.into())]);
    all.extend(tools.map(|it| ("tools".into(), it)));
    Value::Object(all).to_string()
}

pub(in crate::modality) fn message_of(role: &str, content: String) -> Value {
    serde_json::json!({ "role": role, "content": content })
}

/// Messages, or one by `role`.
pub(in crate::modality) fn turns(cell: Cell, role: &str) -> Result<Vec<Value>, Reason> {
    if let Some(all) = messages_in(&cell) {
        return all.into_owned().into_iter().map(message).collect();
    }
    match cell {
        Cell::List(_) | Cell::Fields(_) => {
            Err(own("no messages", "it is no list of messages with a role and a content each"))
        }
        Cell::Missing if role == "assistant" => Err(own(EMPTY, "the answer is empty")),
        cell => Ok(vec![message_of(role, text_of(cell)?.into())]),
    }
}

const EMPTY: &str = "an empty answer";

fn message(cell: Cell) -> Result<Value, Reason> {
    let Cell::Fields(fields) = cell else {
        return Err(own("no messages", "a message is no object"));
    };
    let mut found = Map::new();
    for (name, cell) in fields {
        let known = |names: &[&str]| names.contains(&name.as_str());
        let (name, value) = match () {
            () if known(&ROLE_FIELDS) && !found.contains_key("role") => ("role", role(&cell)?),
            () if known(&CONTENT_FIELDS) && !found.contains_key("content") => {
                ("content", content(cell)?)
            }
            // What a table has in other rows only.
            () if cell == Cell::Missing => continue,
            () => (name.as_str(), value(cell)),
        };
        found.insert(name.into(), value);
    }
    found.entry("content").or_insert_with(|| "".into());
    Ok(Value::Object(found))
}

fn role(cell: &Cell) -> Result<Value, Reason> {
    let Cell::Text(name) = cell else {
        return Err(own("an unknown role", format!("a role is {}", cell.shown())));
    };
    let known = ROLES.iter().find(|it| it.0.eq_ignore_ascii_case(name.trim()));
    match known {
        Some((_, role)) => Ok((*role).into()),
        None => Err(own(
            "an unknown role",
            format!("a role is {}, and known are system, user, assistant and tool", cell.shown()),
        )),
    }
}

/// Parts of text become one text.
fn content(cell: Cell) -> Result<Value, Reason> {
    match cell {
        Cell::Missing => Ok("".into()),
        Cell::List(parts) => {
            let text = |it: &Cell| match it.field("text") {
                Some(Cell::Text(text)) => Ok(text.clone()),
                _ => Err(own("content that is no text", "a part of a message is no text")),
            };
            Ok(parts.iter().map(text).collect::<Result<Vec<_>, _>>()?.join("\n").into())
        }
        Cell::Text(text) if text.contains('\0') => Err(Reason::Nul),
        Cell::Text(text) => Ok(text.into()),
        other => Ok(String::from(text_of(other)?).into()),
    }
}

pub(in crate::modality) fn functions(cell: Cell) -> Result<Option<Value>, Reason> {
    match cell {
        it if it.is_missing() => Ok(None),
        Cell::Text(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|err| own("tools that are no JSON", json::without_place(&err))),
        Cell::List(all) if all.is_empty() => Ok(None),
        other => Ok(Some(value(other))),
    }
}

/// As JSON has it.
fn value(cell: Cell) -> Value {
    match cell {
        Cell::Missing | Cell::Bytes(_) | Cell::Image(_) | Cell::Other(_) => Value::Null,
        Cell::Text(it) => it.into(),
        Cell::Integer(it) => i64::try_from(it).map_or_else(|_| it.to_string().into(), Value::from),
        Cell::Bool(it) => it.into(),
        Cell::Fraction(it) => it.into(),
        Cell::List(all) => all.into_iter().map(value).collect(),
        // Tables fill up what only other rows have.
        Cell::Fields(fields) => {
            let fields = fields.into_iter().filter(|it| it.1 != Cell::Missing);
            Value::Object(fields.map(|(name, it)| (name, value(it))).collect())
        }
    }
}

/// # Errors
/// An order that no conversation has, or nothing to be learnt.
pub(in crate::modality) fn check(messages: &[Value]) -> Result<(), Reason> {
    const ORDER: &str = "messages out of order";
    let role = |it: &Value| it["role"].as_str().unwrap_or_default().to_owned();
    let is_empty = |it: &Value| {
        it["content"].as_str().is_none_or(|it| it.trim().is_empty()) && it.get(CALLS).is_none()
    };
    let mut before = String::new();
    for (nth, message) in messages.iter().enumerate() {
        let (role, nth) = (role(message), nth + 1);
        match (before.as_str(), role.as_str()) {
            ("", "system") => {}
            (_, "system") => {
                return Err(own(
                    ORDER,
                    format!("message {nth} is the system's, but not the first"),
                ));
            }
            ("assistant", "assistant") => {
                return Err(own(ORDER, format!("message {nth} is a second answer in a row")));
            }
            ("" | "system", "assistant") => {
                return Err(own(ORDER, format!("message {nth} answers nothing")));
            }
            (_, "assistant") if is_empty(message) => {
                return Err(own(EMPTY, format!("message {nth}, an answer, is empty")));
            }
            (_, "user") if is_empty(message) => {
                return Err(own(
                    "an empty question",
                    format!("message {nth}, a question, is empty"),
                ));
            }
            _ => {}
        }
        before = role;
    }
    if messages.iter().any(|it| role(it) == "assistant") {
        return Ok(());
    }
    Err(own("no answer", "nothing in the conversation is said by an assistant"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(json: Value) -> Cell {
        json::cell(json)
    }

    fn read(parts: &[(Part, Value)]) -> Result<Value, String> {
        let parts = parts.iter().map(|(part, it)| (*part, cell(it.clone())));
        let text = of_cells(parts).map_err(|it| it.to_string())?;
        Ok(serde_json::from_str(&text).unwrap())
    }

    fn roles(of: &Value) -> Vec<&str> {
        of["messages"].as_array().unwrap().iter().map(|it| it["role"].as_str().unwrap()).collect()
    }

    #[test]
    fn messages_of_openai_and_sharegpt_become_the_same() {
        let openai = serde_json::json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": "Hi" }] },
            { "role": "assistant", "content": "Hello", "name": null },
        ]);
        let sharegpt = serde_json::json!([
            { "from": "system", "value": "Be brief." },
            { "from": "human", "value": "Hi" },
            { "from": "gpt", "value": "Hello" },
        ]);
        let read = |it: Value| read(&[(Part::Messages, it)]).unwrap();
        let ours = read(openai.clone());
        assert_eq!(ours, read(sharegpt));
        assert_eq!(ours, read(openai.to_string().into()), "a list may stand in a cell as JSON");
        assert_eq!(roles(&ours), ["system", "user", "assistant"]);
    }

    #[test]
    fn questions_with_what_belongs_to_them_and_answers_become_messages() {
        let alpaca = [
            (Part::Question, "Add.".into()),
            (Part::Answer, "3".into()),
            (Part::Context, "1 2".into()),
            (Part::System, "Be right.".into()),
        ];
        let found = read(&alpaca).unwrap();
        assert_eq!(roles(&found), ["system", "user", "assistant"]);
        assert_eq!(found["messages"][1]["content"], "Add.\n\n1 2");
        let plain = [
            (Part::Question, "Add.".into()),
            (Part::Answer, "3".into()),
            (Part::Context, "".into()),
        ];
        assert_eq!(read(&plain).unwrap()["messages"][0]["content"], "Add.");
    }

    #[test]
    fn what_is_no_conversation_is_refused() {
        let refusal = |roles: &[(&str, &str)]| {
            let all =
                roles.iter().map(|(role, it)| message_of(role, (*it).into())).collect::<Vec<_>>();
            read(&[(Part::Messages, all.into())]).unwrap_err()
        };
        let twice = refusal(&[("user", "a"), ("assistant", "b"), ("assistant", "c")]);
        assert!(twice.contains("message 3 is a second answer in a row"), "{twice}");
        assert!(
            refusal(&[("user", "a"), ("assistant", " ")])
                .contains("message 2, an answer, is empty")
        );
        assert!(refusal(&[("user", " "), ("assistant", "b")]).contains("message 1, a question"));
        assert!(refusal(&[("assistant", "b")]).contains("message 1 answers nothing"));
        assert!(refusal(&[("user", "b")]).contains("said by an assistant"));
        assert!(refusal(&[("user", "a"), ("system", "b")]).contains("message 2 is the system's"));
        assert!(refusal(&[("user", "a"), ("narrator", "b")]).contains("`narrator`"));
        let missing = read(&[(Part::Question, "a".into()), (Part::Answer, Value::Null)]);
        assert!(missing.unwrap_err().contains("the answer is empty"));
    }

    #[test]
    fn a_text_is_a_question_and_a_list_of_messages_a_conversation() {
        let of = |text: &str| serde_json::from_str::<Value>(&question(text)).unwrap();
        assert_eq!(roles(&of("[1] is what?")), ["user"]);
        let list = r#"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]"#;
        assert_eq!(roles(&of(list)), ["user", "assistant", "user"]);
    }
}
