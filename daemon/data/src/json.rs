//! JSON Lines and JSON arrays of objects. An array is read element by element, never as a whole.

use crate::inflate::Count;
use crate::names;
use crate::quarantine::Reason;
use crate::refusal;
use crate::row::{Row, SAMPLE_ROWS, Sample};
use crate::source::{ROW_BYTES_MAX, each_line};
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use serde::de::{DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::io::{BufReader, Read};

/// Columns are the keys of the sampled objects, in the order of the alphabet; where rows are lists,
/// `column 1`, `column 2`, …
pub(crate) fn sample(text: &str, array: bool) -> Sample {
    let mut objects: Vec<Map<String, Value>> = Vec::new();
    let mut lists = Vec::new();
    let mut add = |value: Value| match unwrapped(value) {
        Value::Object(object) => objects.push(object),
        Value::Array(list) => lists.push(numbered(list)),
        _ => {}
    };
    let mut n = 0;
    if array {
        // The text may end in the middle of an element: what came before it is the sample.
        let mut each = |value: Value| {
            add(value);
            n += 1;
            SAMPLE_ROWS <= n
        };
        let mut reader = serde_json::Deserializer::from_str(text);
        let _cut_off = Elements { each: &mut each }.deserialize(&mut reader);
    } else {
        let whole = text.lines().filter(|it| !it.trim().is_empty()).take(SAMPLE_ROWS);
        whole.filter_map(|line| serde_json::from_str(line).ok()).for_each(add);
    }
    let objects = if objects.is_empty() { lists } else { objects };
    let columns: std::collections::BTreeSet<&String> =
        objects.iter().flat_map(|it| it.keys()).collect();
    let columns: Vec<String> = columns.into_iter().cloned().collect();
    let rows = objects
        .into_iter()
        .map(|mut it| columns.iter().map(|name| take(&mut it, name)).collect())
        .collect();
    Sample { columns, rows, headerless: false }
}

const FIRST_COLUMN: &str = "column 1";

fn numbered(list: Vec<Value>) -> Map<String, Value> {
    (1..).zip(list).map(|(nth, it)| (names::of_place(nth), it)).collect()
}

/// The row inside of what Elasticsearch and the viewer of Hugging Face's hub write around it.
pub(crate) fn unwrapped(mut row: Value) -> Value {
    const WRAPPED: &[(&str, &str)] = &[("_index", "_source"), ("row_idx", "row")];
    let is_around = |(sign, inside): &&(&str, &str)| {
        row.get(sign).is_some() && row.get(inside).is_some_and(Value::is_object)
    };
    match WRAPPED.iter().find(is_around) {
        Some((_, inside)) => row[*inside].take(),
        None => row,
    }
}

pub(crate) fn take(object: &mut Map<String, Value>, name: &str) -> Cell {
    object.remove(name).map_or(Cell::Missing, cell)
}

/// Nesting is bounded by the parser.
pub(crate) fn cell(value: Value) -> Cell {
    match value {
        Value::Null => Cell::Missing,
        Value::String(it) => Cell::Text(it),
        Value::Bool(it) => Cell::Bool(it),
        Value::Number(it) => match it.as_i128() {
            Some(it) => Cell::Integer(it),
            None => Cell::Fraction(it.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Array(it) => Cell::List(it.into_iter().map(cell).collect()),
        Value::Object(it) => {
            Cell::Fields(it.into_iter().map(|(name, value)| (name, cell(value))).collect())
        }
    }
}

fn cells(
    value: Result<Value, serde_json::Error>,
    columns: &[String],
    wanted: &[usize],
) -> Result<Vec<Cell>, Reason> {
    let value = match value {
        Ok(Value::Array(list)) if columns.first().is_some_and(|it| it == FIRST_COLUMN) => {
            Ok(Value::Object(numbered(list)))
        }
        other => other.map(unwrapped),
    };
    match value {
        Ok(Value::Object(mut object)) => {
            let cell = |idx: &usize| {
                columns.get(*idx).map_or(Cell::Missing, |name| take(&mut object, name))
            };
            Ok(wanted.iter().map(cell).collect())
        }
        Ok(_) => Err(Reason::NotAnObject),
        Err(err) => {
            // The line is ours to name: the parser saw only this one.
            Err(Reason::NotJson(without_place(&err)))
        }
    }
}

/// What is wrong with a text that is not the whole file.
pub(crate) fn without_place(err: &serde_json::Error) -> String {
    let why = err.to_string();
    why.split(" at line ").next().unwrap_or(&why).to_string()
}

pub(crate) fn line_rows(
    name: &str,
    text: impl Read,
    row_left: &Count,
    columns: &[String],
    wanted: &[usize],
    each: &mut dyn FnMut(Row) -> Result<(), Failure>,
) -> Result<(), Failure> {
    each_line(name, text, row_left, &mut |line, bytes| {
        if bytes.trim_ascii().is_empty() {
            return Ok(());
        }
        let cells = match Reason::is_conflict(bytes) {
            true => Err(Reason::Conflict),
            false => cells(serde_json::from_slice(bytes), columns, wanted),
        };
        each(Row { line, cells })
    })
}

pub(crate) fn array_rows(
    name: &str,
    text: impl Read,
    row_left: &Count,
    columns: &[String],
    wanted: &[usize],
    each: &mut dyn FnMut(Row) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut reader = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 16, text));
    let (mut row, mut failure) = (0, None);
    let mut element = |value: Value| {
        row += 1;
        row_left.set(ROW_BYTES_MAX);
        failure = each(Row { line: row, cells: cells(Ok(value), columns, wanted) }).err();
        failure.is_some()
    };
    let read = Elements { each: &mut element }.deserialize(&mut reader).and_then(|()| reader.end());
    match (failure, read) {
        (Some(failure), _) => Err(failure),
        (None, Ok(())) => Ok(()),
        (None, Err(err)) if err.is_io() => Err(refusal::reading(name, &err.into())),
        (None, Err(err)) => {
            // Behind a syntax error nobody knows where the next element begins.
            let what = without_place(&err);
            Err(refusal::data(format!(
                "{name} line {}: invalid JSON after {row} rows: {what}",
                err.line()
            ))
            .with_cure("mend the file"))
        }
    }
}

/// Hands over each element of an array; stops with an error when `each` says so.
struct Elements<'a> {
    each: &'a mut dyn FnMut(Value) -> bool,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(value) = elements.next_element()? {
            if (self.each)(value) {
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}
