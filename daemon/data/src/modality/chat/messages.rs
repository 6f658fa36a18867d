//! Cells -> the messages of a conversation, in an order that a conversation can have.

use super::marks;
use super::message::{self, Message, Tools, functions, own};
use crate::json::InOrder;
use crate::quarantine::Reason;
use crate::reading::text_of;
use crate::table::Table;
use finetuned_answers::Cell;
use serde::Serialize;
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
    /// Questions and answers before the question.
    History,
    Question,
    /// What belongs to the question.
    Context,
    Answer,
}

/// What may stand beside a question.
#[derive(Default)]
pub(in crate::modality) struct Beside {
    pub context: Option<Cell>,
    pub system: Option<Cell>,
    pub history: Option<Cell>,
}

/// Fields of an object that is a question and its answer.
const TURNS: &[(&str, &str)] = &[
    ("input", "output"),
    ("question", "answer"),
    ("prompt", "response"),
    ("prompt", "completion"),
    ("instruction", "output"),
    ("user", "assistant"),
    ("human", "assistant"),
];

/// A list of messages, the JSON of one, or one message.
pub(in crate::modality) fn are_messages(cell: &Cell) -> bool {
    messages_in(cell).is_some()
}

/// Messages, or texts or questions and answers that take turns.
pub(super) fn is_conversation(cell: &Cell) -> bool {
    are_messages(cell) || are_turns(cell)
}

/// Whether the last of its messages asks.
pub(super) fn ends_with_question(cell: &Cell) -> bool {
    let last = messages_in(cell).and_then(|it| it.last().cloned());
    last.is_some_and(|it| message::message(it).is_ok_and(|it| it.role == "user"))
}

/// Whether nothing in the column is anything but a list, or the JSON of one.
pub(in crate::modality) fn may_be_history(table: &Table, column: usize) -> bool {
    table.cells(column).filter(|it| !it.is_missing()).all(|it| listed(it).is_some())
}

/// None where there is something else in it.
fn messages_in(cell: &Cell) -> Option<Cow<'_, [Cell]>> {
    let all = match cell {
        Cell::Fields(_) => Cow::Borrowed(std::slice::from_ref(cell)),
        _ => listed(cell)?,
    };
    (!all.is_empty() && all.iter().all(message::is_message)).then_some(all)
}

/// A list, or the JSON of one.
fn listed(cell: &Cell) -> Option<Cow<'_, [Cell]>> {
    match cell {
        Cell::List(all) => Some(Cow::Borrowed(&all[..])),
        Cell::Text(text) if text.trim_start().starts_with('[') => {
            match serde_json::from_str(text).ok()? {
                InOrder(Cell::List(all)) => Some(Cow::Owned(all)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether it is a list of two texts or more, or of questions with their answers.
fn are_turns(cell: &Cell) -> bool {
    let Some(all) = listed(cell) else { return false };
    let is_text = |it: &Cell| matches!(it, Cell::Text(_));
    (1 < all.len() && all.iter().all(is_text)) || (!all.is_empty() && all.iter().all(is_turn))
}

fn is_turn(cell: &Cell) -> bool {
    let has = |name: &str| cell.field(name).is_some_and(|it| *it != Cell::Missing);
    !message::is_message(cell) && TURNS.iter().any(|it| has(it.0) && has(it.1))
}

/// Of a list of texts the first is a question, the second its answer, and so on.
fn alternating(all: &[Cell]) -> Result<Vec<Message>, Reason> {
    if all.iter().all(is_turn) {
        let turn = |it: &Cell| {
            let both = TURNS.iter().find_map(|(asks, says)| it.field(asks).zip(it.field(says)));
            let (question, answer) = both.unwrap_or((&Cell::Missing, &Cell::Missing));
            Ok([turns(question.clone(), "user")?, turns(answer.clone(), "assistant")?].concat())
        };
        let mut found = all.iter().map(turn).collect::<Result<Vec<_>, Reason>>()?.concat();
        let system = all.first().and_then(|it| it.field("system")).cloned();
        complete(&mut found, Beside { system, ..Beside::default() })?;
        return Ok(found);
    }
    let roles = ["user", "assistant"].into_iter().cycle();
    let message = |(cell, role): (&Cell, &str)| match cell {
        Cell::Text(text) if text.contains('\0') => Err(Reason::Nul),
        Cell::Text(text) => Ok(Message::new(role, text.as_str())),
        other => {
            let why = format!("of texts that take turns one is {}", other.shown());
            Err(own(NO_MESSAGES, why))
        }
    };
    all.iter().zip(roles).map(message).collect()
}

/// A question alone, or the conversation that a JSON list of messages is.
pub(in crate::modality) fn question(text: &str) -> String {
    let messages = match messages_in(&Cell::Text(text.into())) {
        Some(all) => all.iter().filter_map(|it| message::message(it.clone()).ok()).collect(),
        None => vec![Message::new("user", text)],
    };
    conversation(messages, None)
}

/// # Errors
/// What is no conversation that a model could learn an answer from.
pub(super) fn of_cells(parts: impl Iterator<Item = (Part, Cell)>) -> Result<String, Reason> {
    let (mut all, mut tools, mut beside) = (Vec::new(), None, Beside::default());
    let mut answer = Vec::new();
    for (part, cell) in parts {
        match part {
            Part::Messages if are_turns(&cell) => {
                all = alternating(&listed(&cell).unwrap_or_default())?;
            }
            Part::Messages => all = turns(cell, "user")?,
            Part::Question => all = asked(cell)?,
            Part::Answer => answer = turns(cell, "assistant")?,
            Part::Context => beside.context = Some(cell),
            Part::System => beside.system = Some(cell),
            Part::History => beside.history = Some(cell),
            Part::Tools => tools = functions(cell)?,
        }
    }
    complete(&mut all, beside)?;
    all.extend(answer);
    check(&all)?;
    if !all.iter().any(|it| it.is_answer() && it.learnt) {
        let why = "the loss of every answer is switched off, so nothing would be learnt";
        return Err(own("no answer to learn", why));
    }
    Ok(conversation(all, tools))
}

/// What is asked, without the mark of an answer that is to begin there.
///
/// # Errors
/// It is no text and no messages.
pub(in crate::modality) fn asked(cell: Cell) -> Result<Vec<Message>, Reason> {
    let mut all = turns(cell, "user")?;
    _ = all.pop_if(|it| it.is_answer() && it.is_empty());
    Ok(all)
}

/// Adds what belongs to the last question, what was asked before it, and what is told before all
/// others.
///
/// # Errors
/// Two systems that differ, and what is none of these.
pub(in crate::modality) fn complete(
    asked: &mut Vec<Message>,
    beside: Beside,
) -> Result<(), Reason> {
    let [context, system, history] =
        [beside.context, beside.system, beside.history].map(|it| it.filter(|it| !it.is_missing()));
    if let (Some(context), Some(last)) = (context, asked.last_mut()) {
        last.content = format!("{}\n\n{}", last.content, message::indented(context)?);
    }
    let begin = usize::from(asked.first().is_some_and(|it| it.role == "system"));
    if let Some(history) = history {
        asked.splice(begin..begin, before(&history)?);
    }
    let Some(system) = system else { return Ok(()) };
    let system = match system {
        Cell::Fields(_) => {
            let inside = ["content", "parts", "text"].iter().find_map(|it| system.field(it));
            message::content(inside.cloned().unwrap_or(Cell::Missing))?
        }
        text => text_of(text)?.into(),
    };
    match asked.first() {
        Some(first) if first.role != "system" => asked.insert(0, Message::new("system", system)),
        Some(first) if first.content.trim() != system.trim() => {
            let why = "the messages begin with a system, and the column of systems has another";
            return Err(own("two systems", why));
        }
        _ => {}
    }
    Ok(())
}

/// Questions and answers before the question: messages, or lists of two texts each.
fn before(cell: &Cell) -> Result<Vec<Message>, Reason> {
    let none = || own("a history that is none", "the history is no list of questions and answers");
    let all = listed(cell).ok_or_else(none)?;
    if messages_in(cell).is_some() {
        return all.into_owned().into_iter().map(message::message).collect();
    }
    let turn = |it: &Cell| match it {
        Cell::List(both) if both.len() == 2 => alternating(both),
        it if is_turn(it) => alternating(std::slice::from_ref(it)),
        _ => Err(none()),
    };
    Ok(all.iter().map(turn).collect::<Result<Vec<_>, _>>()?.concat())
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

/// Messages, the turns of a text that has marks for them, or one by `role`.
pub(in crate::modality) fn turns(cell: Cell, role: &str) -> Result<Vec<Message>, Reason> {
    if let Some(all) = messages_in(&cell) {
        return all.into_owned().into_iter().map(message::message).collect();
    }
    let is_answer = role == "assistant";
    match cell {
        // As a request to OpenAI has them.
        Cell::Fields(_) if cell.field("messages").is_some_and(are_messages) => {
            turns(cell.field("messages").cloned().unwrap_or(Cell::Missing), role)
        }
        Cell::List(_) | Cell::Fields(_) => {
            Err(own(NO_MESSAGES, "it is no list of messages with a role and a content each"))
        }
        it if is_answer && it.is_missing() => Err(own(EMPTY, "the answer is empty")),
        Cell::Text(text) if text.contains('\0') => Err(Reason::Nul),
        Cell::Text(text) if marks::is_marked(&text) => Ok(marks::marked(&text)),
        cell if is_answer => Ok(vec![Message::new(role, message::indented(cell)?)]),
        cell => Ok(vec![Message::new(role, text_of(cell)?)]),
    }
}

const EMPTY: &str = "an empty answer";
const NO_MESSAGES: &str = "no messages";

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
    use crate::json;
    use serde_json::Value;

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

    #[test]
    fn a_loss_that_is_switched_off_is_written_down() {
        let off = [
            ("weight", 0.into()),
            ("train", false.into()),
            ("loss", "false".into()),
            ("loss_mask", 0.into()),
            ("masked", true.into()),
        ];
        for (name, value) in off {
            let mut first = message_of("assistant", "bad");
            first[name] = value;
            let all = [message_of("user", "a"), first.clone(), message_of("user", "again")];
            let whole = [&all[..], &[message_of("assistant", "good")]].concat();
            let found = read(&[(Part::Messages, whole.into())]).unwrap();
            let wanted =
                serde_json::json!({ "role": "assistant", "content": "bad", "learnt": false });
            assert_eq!(found["messages"][1], wanted, "{name}");
            assert_eq!(found["messages"][3], message_of("assistant", "good"));
            let none = read(&[(Part::Messages, all[..2].to_vec().into())]).unwrap_err();
            assert!(none.contains("the loss of every answer is switched off"), "{none}");
        }
        for (name, value) in [("weight", Value::from(0.5)), ("mask", 1.into())] {
            let mut answer = message_of("assistant", "b");
            answer[name] = value;
            let all = vec![message_of("user", "a"), answer];
            let unclear = read(&[(Part::Messages, all.into())]).unwrap_err();
            assert!(unclear.contains(&format!("`{name}` of a message is")), "{unclear}");
        }
    }

    #[test]
    fn calls_of_old_become_tool_calls() {
        let call = serde_json::json!({ "name": "f", "arguments": "{\"b\": 1}" });
        let all = serde_json::json!([
            { "role": "user", "content": "a" },
            { "role": "assistant", "content": null, "function_call": call },
            { "role": "function", "name": "f", "content": "1" },
            { "role": "assistant", "content": "b" },
        ]);
        let sharegpt = serde_json::json!([
            { "from": "human", "value": "a" },
            { "from": "function_call", "value": call.to_string() },
            { "from": "observation", "value": "1", "name": "f" },
            { "from": "gpt", "value": "b" },
        ]);
        let found = read(&[(Part::Messages, all)]).unwrap();
        let function = serde_json::json!({ "name": "f", "arguments": { "b": 1 } });
        let calls = serde_json::json!([{ "type": "function", "function": function }]);
        assert_eq!(found["messages"][1]["tool_calls"], calls);
        assert_eq!(found["messages"][1]["function_call"], Value::Null);
        assert_eq!(roles(&found), ["user", "assistant", "tool", "assistant"]);
        assert_eq!(read(&[(Part::Messages, sharegpt)]).unwrap(), found);
    }

    #[test]
    fn code_keeps_the_indentation_of_its_first_line() {
        let of = |answer: &str| {
            let parts = [(Part::Question, "f?".into()), (Part::Answer, answer.into())];
            read(&parts).unwrap()["messages"][1]["content"].clone()
        };
        assert_eq!(of("    a\n    b\n"), "    a\n    b");
        assert_eq!(of("  a \n"), "a");
    }

    #[test]
    fn texts_that_take_turns_and_histories_are_messages() {
        let lima = read(&[(Part::Messages, serde_json::json!(["a", "b"]))]).unwrap();
        let wanted = [message_of("user", "a"), message_of("assistant", "b")];
        assert_eq!(lima["messages"], Value::from(wanted.to_vec()));
        let pairs = serde_json::json!([{ "input": "a", "output": "b" }]);
        assert_eq!(read(&[(Part::Messages, pairs)]).unwrap(), lima);
        let parts = [
            (Part::Question, "c".into()),
            (Part::Answer, "d".into()),
            (Part::System, "s".into()),
            (Part::History, serde_json::json!([["a", "b"]])),
        ];
        let found = read(&parts).unwrap();
        assert_eq!(roles(&found), ["system", "user", "assistant", "user", "assistant"]);
        let marked =
            [(Part::Question, "Human: a\n\nAssistant:".into()), (Part::Answer, "b".into())];
        assert_eq!(read(&marked).unwrap(), lima);
        let system = serde_json::json!([
            message_of("system", "one"),
            message_of("user", "a"),
            message_of("assistant", "b")
        ]);
        let two = read(&[(Part::Messages, system), (Part::System, "two".into())]).unwrap_err();
        assert!(two.contains("the column of systems has another"), "{two}");
    }
}
