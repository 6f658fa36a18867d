//! One message: who says what, which functions it calls, and whether it is learnt. Names of roles
//! and fields are OpenAI's; those of ShareGPT and others become the same.

use super::super::speakers;
use crate::json::{self, InOrder};
use crate::names;
use crate::quarantine::Reason;
use crate::reading::text_of;
use finetuned_answers::Cell;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

/// What somebody says.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::modality) struct Message {
    pub role: String,
    pub content: String,
    /// The data do not switch its loss off.
    pub learnt: bool,
    /// What else a template may write of it, in the order of the data.
    more: Fields,
}

type Fields = Vec<(String, Cell)>;

impl Message {
    pub(in crate::modality) fn new(role: &str, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into(), learnt: true, more: Vec::new() }
    }

    pub(in crate::modality) fn is_answer(&self) -> bool {
        self.role == "assistant"
    }

    /// It says nothing, and calls no function.
    pub(in crate::modality) fn is_empty(&self) -> bool {
        self.content.trim().is_empty() && !self.more.iter().any(calls)
    }
}

/// Whether a field calls a function.
fn calls((name, cell): &(String, Cell)) -> bool {
    name == CALLS && !cell.is_missing() && *cell != Cell::List(Vec::new())
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", &self.role)?;
        map.serialize_entry("content", &self.content)?;
        if !self.learnt {
            map.serialize_entry(LEARNT, &false)?;
        }
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

/// Fields of a message: who speaks, and what is said.
const ROLE_FIELDS: [&str; 4] = ["role", "from", "speaker", "type"];
const CONTENT_FIELDS: [&str; 5] = ["content", "value", "text", "message", "parts"];
/// Of an assistant that calls functions in place of words, and what that was called before.
const CALLS: &str = "tool_calls";
const CALL: &str = "function_call";
/// What people call an assistant whose content is such a call.
const CALLERS: [&str; 3] = ["function_call", "tool_call", "tool_calls"];
/// Field of a message in a record, which is false where the data switch its loss off.
pub const LEARNT: &str = "learnt";
/// Fields that say whether a message is learnt, and those that say whether it is not.
const LEARNT_FIELDS: &[&str] =
    &[LEARNT, "weight", "loss_weight", "train", "trainable", "loss", "loss_mask"];
const MASKED_FIELDS: &[&str] = &["masked", "ignore_loss", "no_loss", "skip_loss", "no_train"];
/// Fields that say it in a way that is not understood.
const UNCLEAR_FIELDS: &[&str] = &["mask", "train_detail"];

pub(in crate::modality) fn own(kind: &'static str, why: impl Into<String>) -> Reason {
    Reason::Own(kind, why.into())
}

/// Whether it names who speaks, and has what is said or called.
pub(super) fn is_message(cell: &Cell) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| cell.field(name).is_some());
    let is_named = match cell.field("type") {
        Some(Cell::Text(name)) => speakers::role(name).is_some(),
        _ => false,
    };
    (is_named || has(&ROLE_FIELDS[..3])) && (has(&CONTENT_FIELDS) || has(&[CALLS, CALL]))
}

pub(super) fn message(cell: Cell) -> Result<Message, Reason> {
    let Cell::Fields(mut fields) = cell else {
        return Err(own("no messages", "a message is no object"));
    };
    // What a table has in other rows only.
    fields.retain(|it| it.1 != Cell::Missing);
    let named = take(&mut fields, &ROLE_FIELDS);
    let is_call = |it: &Cell| match it {
        Cell::Text(name) => CALLERS.iter().any(|it| name.trim().eq_ignore_ascii_case(it)),
        _ => false,
    };
    let spoken = take(&mut fields, &CONTENT_FIELDS);
    let (role, called, content) = match is_call(&named) {
        true => ("assistant", spoken, String::new()),
        false => (role(&named)?, take(&mut fields, &[CALL]), content(spoken)?),
    };
    if let Some(called) = tool_calls(called)? {
        if fields.iter().any(calls) {
            let why = format!("a message has both `{CALL}` and `{CALLS}`");
            return Err(own(UNREADABLE_CALL, why));
        }
        fields.retain(|it| it.0 != CALLS);
        fields.push((CALLS.into(), called));
    }
    let learnt = learnt(&mut fields)?;
    fields.retain(|it| it.0 != "role" && it.0 != "content");
    Ok(Message { role: role.into(), content, learnt, more: fields })
}

/// The first of these fields, which is taken out.
fn take(fields: &mut Fields, names: &[&str]) -> Cell {
    let place = names.iter().find_map(|name| fields.iter().position(|it| it.0 == *name));
    place.map_or(Cell::Missing, |it| fields.remove(it).1)
}

fn role(cell: &Cell) -> Result<&'static str, Reason> {
    let Cell::Text(name) = cell else {
        return Err(own("an unknown role", format!("a role is {}", cell.shown())));
    };
    speakers::role(name).ok_or_else(|| {
        let why = format!(
            "a role is {}, and known are system, user, assistant and tool, with what others call them (human, gpt, model, …)",
            cell.shown()
        );
        own("an unknown role", why)
    })
}

/// Takes out what says whether a message is learnt: not at all, or whole.
fn learnt(fields: &mut Fields) -> Result<bool, Reason> {
    let place = |fields: &Fields, names: &[&str]| {
        fields.iter().position(|it| names.iter().any(|name| names::is_same(&it.0, name)))
    };
    let unclear = |(name, cell): &(String, Cell), why: &str| {
        let why = format!("`{name}` of a message is {}, {why}", cell.shown());
        Err(own("a loss that is switched off unclearly", why))
    };
    if let Some(at) = place(fields, UNCLEAR_FIELDS) {
        return unclear(
            &fields[at],
            "which may mean both; write `train`, true or false, for the whole message",
        );
    }
    let mut learnt = true;
    for (names, yes) in [(LEARNT_FIELDS, true), (MASKED_FIELDS, false)] {
        while let Some(at) = place(fields, names) {
            let field = fields.remove(at);
            match field.1.yes_or_no() {
                Some(it) => learnt &= it == yes,
                None => return unclear(&field, "and a message is learnt (1) or not (0)"),
            }
        }
    }
    Ok(learnt)
}

const UNREADABLE_CALL: &str = "a call that can't be read";

/// What was called before there were `tool_calls`, as one of them.
fn tool_calls(cell: Cell) -> Result<Option<Cell>, Reason> {
    let unreadable = || {
        let why = format!("a call of a function is no JSON with `name` and `arguments` ({CALL})");
        own(UNREADABLE_CALL, why)
    };
    let parsed = |text: &str| serde_json::from_str(text).map(|InOrder(it)| it);
    let all = match cell {
        it if it.is_missing() => return Ok(None),
        Cell::Text(text) => match parsed(&text).map_err(|_| unreadable())? {
            Cell::List(all) => all,
            one => vec![one],
        },
        Cell::List(all) => all,
        one => vec![one],
    };
    let call = |cell: Cell| {
        let Cell::Fields(mut fields) = cell else { return Err(unreadable()) };
        let Cell::Text(name) = take(&mut fields, &["name"]) else { return Err(unreadable()) };
        let arguments = match take(&mut fields, &["arguments", "parameters"]) {
            Cell::Missing => Cell::Fields(Vec::new()),
            // Templates write objects, and texts in quotes again.
            Cell::Text(text) => parsed(&text).unwrap_or(Cell::Text(text)),
            other => other,
        };
        let function = vec![("name".into(), Cell::Text(name)), ("arguments".into(), arguments)];
        Ok(Cell::Fields(vec![
            ("type".into(), Cell::Text("function".into())),
            ("function".into(), Cell::Fields(function)),
        ]))
    };
    let all = all.into_iter().map(call).collect::<Result<Vec<_>, _>>()?;
    if all.is_empty() { Err(unreadable()) } else { Ok(Some(Cell::List(all))) }
}

/// An answer, or what a question is about. The first line may be indented as the others are, which
/// says something in code; white space before a single line says nothing.
pub(super) fn indented(cell: Cell) -> Result<Box<str>, Reason> {
    let lines = match &cell {
        Cell::Text(text) => Some(text.trim_end()).filter(|it| it.contains('\n')).map(Box::from),
        _ => None,
    };
    let text = text_of(cell)?;
    Ok(lines.unwrap_or(text))
}

/// Parts of text become one text.
pub(super) fn content(cell: Cell) -> Result<String, Reason> {
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
