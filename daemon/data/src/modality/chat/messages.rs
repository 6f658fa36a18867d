//! Messages of a conversation: who says what, in an order that a conversation can have. Names of
//! roles are OpenAI's; those of ShareGPT and others become the same.

use crate::json::{self, InOrder};
use crate::quarantine::Reason;
use crate::reading::text_of;
use finetuned_answers::Cell;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use std::borrow::Cow;

/// What somebody says.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::modality) struct Message {
    pub role: String,
    pub content: String,
    /// What else a template may write of it, in the order of the data.
    more: Vec<(String, Cell)>,
}

impl Message {
    pub(in crate::modality) fn new(role: &str, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into(), more: Vec::new() }
    }

    pub(in crate::modality) fn is_answer(&self) -> bool {
        self.role == "assistant"
    }

    /// It says nothing, and calls no function.
    fn is_empty(&self) -> bool {
        let calls = |it: &(String, Cell)| {
            it.0 == CALLS && !it.1.is_missing() && it.1 != Cell::List(Vec::new())
        };
        self.content.trim().is_empty() && !self.more.iter().any(calls)
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", &self.role)?;
        map.serialize_entry("content", &self.content)?;
        self.more.iter().try_for_each(|(name, it)| map.serialize_entry(name, &AsJson(it)))?;
        map.end()
    }
}

/// A cell as JSON has it, its fields in their order: templates write them so.
struct AsJson<'a>(&'a Cell);

impl Serialize for AsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Cell::Missing | Cell::Bytes(_) | Cell::Image(_) | Cell::Other(_) => {
                serializer.serialize_unit()
            }
            Cell::Text(it) => serializer.serialize_str(it),
            Cell::Integer(it) => match (i64::try_from(*it), u64::try_from(*it)) {
                (Ok(it), _) => serializer.serialize_i64(it),
                (_, Ok(it)) => serializer.serialize_u64(it),
                _ => serializer.serialize_str(&it.to_string()),
            },
            Cell::Bool(it) => serializer.serialize_bool(*it),
            Cell::Fraction(it) => serializer.serialize_f64(*it),
            Cell::List(all) => serializer.collect_seq(all.iter().map(AsJson)),
            // Tables fill up what only other rows have.
            Cell::Fields(fields) => {
                let fields = fields.iter().filter(|it| it.1 != Cell::Missing);
                serializer.collect_map(fields.map(|(name, it)| (name, AsJson(it))))
            }
        }
    }
}

/// Functions that a model may call.
#[derive(Debug)]
pub(in crate::modality) struct Tools(Cell);

impl Serialize for Tools {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        AsJson(&self.0).serialize(serializer)
    }
}

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
            match serde_json::from_str(text).ok()? {
                InOrder(Cell::List(all)) => Cow::Owned(all),
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
        None => vec![Message::new("user", text)],
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
    asked: &mut Vec<Message>,
    context: Option<Cell>,
    system: Option<Cell>,
) -> Result<(), Reason> {
    if let (Some(context), Some(last)) = (context, asked.last_mut()) {
        last.content = format!("{}\n\n{}", last.content, text_of(context)?);
    }
    if let Some(system) = system
        && asked.first().is_some_and(|it| it.role != "system")
    {
        asked.insert(0, Message::new("system", text_of(system)?));
    }
    Ok(())
}

#[derive(Serialize)]
struct Conversation {
    messages: Vec<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Tools>,
}

/// As a record has it.
pub(in crate::modality) fn conversation(messages: Vec<Message>, tools: Option<Tools>) -> String {
    written(&Conversation { messages, tools })
}

/// A record. It holds nothing that JSON has no form for.
pub(in crate::modality) fn written(it: &impl Serialize) -> String {
    serde_json::to_string(it).unwrap_or_default()
}

/// Messages, or one by `role`.
pub(in crate::modality) fn turns(cell: Cell, role: &str) -> Result<Vec<Message>, Reason> {
    if let Some(all) = messages_in(&cell) {
        return all.into_owned().into_iter().map(message).collect();
    }
    match cell {
        Cell::List(_) | Cell::Fields(_) => {
            Err(own("no messages", "it is no list of messages with a role and a content each"))
        }
        Cell::Missing if role == "assistant" => Err(own(EMPTY, "the answer is empty")),
        cell => Ok(vec![Message::new(role, text_of(cell)?)]),
    }
}

const EMPTY: &str = "an empty answer";

fn message(cell: Cell) -> Result<Message, Reason> {
    let Cell::Fields(mut fields) = cell else {
        return Err(own("no messages", "a message is no object"));
    };
    // What a table has in other rows only.
    fields.retain(|it| it.1 != Cell::Missing);
    let mut take = |names: &[&str]| {
        let place = names.iter().find_map(|name| fields.iter().position(|it| it.0 == *name));
        place.map_or(Cell::Missing, |it| fields.remove(it).1)
    };
    let (role, content) = (role(&take(&ROLE_FIELDS))?, content(take(&CONTENT_FIELDS))?);
    fields.retain(|it| it.0 != "role" && it.0 != "content");
    Ok(Message { role: role.into(), content, more: fields })
}

fn role(cell: &Cell) -> Result<&'static str, Reason> {
    let Cell::Text(name) = cell else {
        return Err(own("an unknown role", format!("a role is {}", cell.shown())));
    };
    let known = ROLES.iter().find(|it| it.0.eq_ignore_ascii_case(name.trim()));
    known.map(|it| it.1).ok_or_else(|| {
        let why =
            format!("a role is {}, and known are system, user, assistant and tool", cell.shown());
        own("an unknown role", why)
    })
}

/// Parts of text become one text.
fn content(cell: Cell) -> Result<String, Reason> {
    match cell {
        Cell::Missing => Ok(String::new()),
        Cell::List(parts) => {
            let text = |it: &Cell| match it.field("text") {
                Some(Cell::Text(text)) => Ok(text.clone()),
                _ => Err(own("content that is no text", "a part of a message is no text")),
            };
            Ok(parts.iter().map(text).collect::<Result<Vec<_>, _>>()?.join("\n"))
        }
        Cell::Text(text) if text.contains('\0') => Err(Reason::Nul),
        Cell::Text(text) => Ok(text),
        other => Ok(text_of(other)?.into()),
    }
}

pub(in crate::modality) fn functions(cell: Cell) -> Result<Option<Tools>, Reason> {
    match cell {
        it if it.is_missing() => Ok(None),
        Cell::Text(text) => match serde_json::from_str(&text) {
            Ok(InOrder(it)) => functions(it),
            Err(err) => Err(own("tools that are no JSON", json::without_place(&err))),
        },
        Cell::List(all) if all.is_empty() => Ok(None),
        it @ (Cell::List(_) | Cell::Fields(_)) => Ok(Some(Tools(it))),
        other => Err(own("tools that are no list", format!("the tools are {}", other.shown()))),
    }
}

/// As JSON has it.
pub(in crate::modality) fn value(cell: &Cell) -> Value {
    serde_json::to_value(AsJson(cell)).unwrap_or_default()
}

/// # Errors
/// An order that no conversation has, or nothing to be learnt.
pub(in crate::modality) fn check(messages: &[Message]) -> Result<(), Reason> {
    const ORDER: &str = "messages out of order";
    let mut before = "";
    for (message, nth) in messages.iter().zip(1..) {
        let out_of_order = |why: &str| Err(own(ORDER, format!("message {nth} {why}")));
        match (before, message.role.as_str()) {
            ("", "system") => {}
            (_, "system") => return out_of_order("is the system's, but not the first"),
            ("assistant", "assistant") => return out_of_order("is a second answer in a row"),
            ("" | "system", "assistant") => return out_of_order("answers nothing"),
            ("" | "system" | "user", "tool") => {
                return out_of_order("is a tool's, but nobody called it");
            }
            (_, "assistant") if message.is_empty() => {
                return Err(own(EMPTY, format!("message {nth}, an answer, is empty")));
            }
            (_, "user") if message.is_empty() => {
                let why = format!("message {nth}, a question, is empty");
                return Err(own("an empty question", why));
            }
            _ => {}
        }
        before = &message.role;
    }
    if messages.iter().any(Message::is_answer) {
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

    fn message_of(role: &str, content: &str) -> Value {
        serde_json::json!({ "role": role, "content": content })
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
            let all = roles.iter().map(|(role, it)| message_of(role, it)).collect::<Vec<_>>();
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
        let uncalled = refusal(&[("user", "a"), ("tool", "b"), ("assistant", "c")]);
        assert!(uncalled.contains("message 2 is a tool's, but nobody called it"), "{uncalled}");
        let calls_nothing = serde_json::json!([
            { "role": "user", "content": "a" }, { "role": "assistant", "content": "", "tool_calls": [] }
        ]);
        let empty = read(&[(Part::Messages, calls_nothing)]).unwrap_err();
        assert!(empty.contains("message 2, an answer, is empty"), "{empty}");
        let missing = read(&[(Part::Question, "a".into()), (Part::Answer, Value::Null)]);
        assert!(missing.unwrap_err().contains("the answer is empty"));
    }

    /// Templates write them so, and so does transformers.
    #[test]
    fn tools_and_calls_keep_the_order_of_their_fields() {
        const TOOLS: &str = r#"[{"type":"function","function":{"name":"f","description":"d","parameters":{"b":1,"a":[]}}}]"#;
        const MESSAGES: &str = r#"[{"content":"hi","role":"user"},{"role":"assistant","content":"","tool_calls":[{"type":"function","function":{"name":"f","arguments":{"b":2,"a":1}}}]}]"#;
        let InOrder(messages) = serde_json::from_str(MESSAGES).unwrap();
        let InOrder(tools) = serde_json::from_str(TOOLS).unwrap();
        let of = |messages: Cell, tools: Cell| {
            of_cells([(Part::Messages, messages), (Part::Tools, tools)].into_iter()).unwrap()
        };
        let found = of(messages, tools);
        assert!(found.ends_with(&format!(r#","tools":{TOOLS}}}"#)), "{found}");
        assert!(found.contains(r#"{"name":"f","arguments":{"b":2,"a":1}}"#), "{found}");
        assert_eq!(of(Cell::Text(MESSAGES.into()), Cell::Text(TOOLS.into())), found);
        let none = of_cells([(Part::Tools, Cell::Text("7".into()))].into_iter()).unwrap_err();
        assert!(none.to_string().contains("tools"), "{none}");
    }

    #[test]
    fn a_text_is_a_question_and_a_list_of_messages_a_conversation() {
        let of = |text: &str| serde_json::from_str::<Value>(&question(text)).unwrap();
        assert_eq!(roles(&of("[1] is what?")), ["user"]);
        let list = r#"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]"#;
        assert_eq!(roles(&of(list)), ["user", "assistant", "user"]);
    }
}
