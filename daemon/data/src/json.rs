//! JSON Lines and JSON arrays of objects. An array is read element by element, never as a whole.
//! Fields stay in the order of the file, for what a chat template writes of them depends on it.

use crate::inflate::Count;
use crate::names;
use crate::quarantine::Reason;
use crate::refusal;
use crate::row::{Row, SAMPLE_ROWS, Sample};
use crate::source::{ROW_BYTES_MAX, each_line};
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io::{BufReader, Read};

type Fields = Vec<(String, Cell)>;

/// Columns are the keys of the sampled objects, in the order of the alphabet; where rows are lists,
/// `column 1`, `column 2`, …
pub(crate) fn sample(text: &str, array: bool) -> Sample {
    let mut objects: Vec<Fields> = Vec::new();
    let mut lists = Vec::new();
    let mut add = |it: Cell| match unwrapped(it) {
        Cell::Fields(object) => objects.push(object),
        Cell::List(list) => lists.push(numbered(list)),
        _ => {}
    };
    let mut n = 0;
    if array {
        // The text may end in the middle of an element: what came before it is the sample.
        let mut each = |it: Cell| {
            add(it);
            n += 1;
            SAMPLE_ROWS <= n
        };
        let mut reader = serde_json::Deserializer::from_str(text);
        let _cut_off = Elements { each: &mut each }.deserialize(&mut reader);
    } else {
        let whole = text.lines().filter(|it| !it.trim().is_empty()).take(SAMPLE_ROWS);
        whole.filter_map(|line| serde_json::from_str(line).ok()).for_each(|InOrder(it)| add(it));
    }
    let objects = if objects.is_empty() { lists } else { objects };
    let (columns, rows) = rows(objects);
    Sample { columns, rows, headerless: false }
}

/// The names of all fields, and a cell for each of them in every object.
pub(crate) fn rows(objects: Vec<Fields>) -> (Vec<String>, Vec<Vec<Cell>>) {
    let columns: BTreeSet<&String> = objects.iter().flatten().map(|it| &it.0).collect();
    let columns: Vec<String> = columns.into_iter().cloned().collect();
    let rows = objects.into_iter().map(|it| row(it, columns.iter().map(Some))).collect();
    (columns, rows)
}

/// A cell for each column.
fn row<'a>(fields: Fields, columns: impl Iterator<Item = Option<&'a String>>) -> Vec<Cell> {
    let mut fields: HashMap<String, Cell> = fields.into_iter().collect();
    columns.map(|it| it.and_then(|it| fields.remove(it)).unwrap_or(Cell::Missing)).collect()
}

const FIRST_COLUMN: &str = "column 1";

fn numbered(list: Vec<Cell>) -> Fields {
    (1..).zip(list).map(|(nth, it)| (names::of_place(nth), it)).collect()
}

/// The row inside of what Elasticsearch and the viewer of Hugging Face's hub write around it.
pub(crate) fn unwrapped(row: Cell) -> Cell {
    const WRAPPED: &[(&str, &str)] = &[("_index", "_source"), ("row_idx", "row")];
    let is_around = |(sign, inside): &&(&str, &str)| {
        row.field(sign).is_some() && matches!(row.field(inside), Some(Cell::Fields(_)))
    };
    let inside = WRAPPED.iter().find(is_around).map(|it| it.1);
    match (inside, row) {
        (Some(inside), Cell::Fields(fields)) => {
            let found = fields.into_iter().find(|it| it.0 == inside);
            found.map_or(Cell::Missing, |it| it.1)
        }
        (_, row) => row,
    }
}

/// A value, with the fields of objects in their order. Of fields of one name the last one counts,
/// as everywhere.
pub(crate) struct InOrder(pub(crate) Cell);

impl<'de> Deserialize<'de> for InOrder {
    /// Nesting is bounded by the parser.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<InOrder, D::Error> {
        deserializer.deserialize_any(AnyValue).map(InOrder)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Missing)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Cell, E> {
        Ok(Cell::Bool(it))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Cell, E> {
        Ok(Cell::Integer(it.into()))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Cell, E> {
        Ok(Cell::Integer(it.into()))
    }

    fn visit_f64<E>(self, it: f64) -> Result<Cell, E> {
        Ok(Cell::Fraction(it))
    }

    fn visit_str<E>(self, it: &str) -> Result<Cell, E> {
        Ok(Cell::Text(it.into()))
    }

    fn visit_string<E>(self, it: String) -> Result<Cell, E> {
        Ok(Cell::Text(it))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Cell, A::Error> {
        let mut list = Vec::new();
        while let Some(InOrder(it)) = elements.next_element()? {
            list.push(it);
        }
        Ok(Cell::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Cell, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, InOrder(it))) = entries.next_entry()? {
            fields.push((name, it));
        }
        Ok(Cell::Fields(last_of_each(fields)))
    }
}

/// A name that stands there again has its first place, and its last value.
fn last_of_each(fields: Fields) -> Fields {
    let names: BTreeSet<&String> = fields.iter().map(|it| &it.0).collect();
    if names.len() == fields.len() {
        return fields;
    }
    let (mut places, mut once): (HashMap<String, usize>, Fields) = Default::default();
    for (name, cell) in fields {
        match places.get(&name) {
            Some(place) => once[*place].1 = cell,
            None => {
                places.insert(name.clone(), once.len());
                once.push((name, cell));
            }
        }
    }
    once
}

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
    value: Result<Cell, serde_json::Error>,
    columns: &[String],
    wanted: &[usize],
) -> Result<Vec<Cell>, Reason> {
    let value = match value {
        Ok(Cell::List(list)) if columns.first().is_some_and(|it| it == FIRST_COLUMN) => {
            Ok(Cell::Fields(numbered(list)))
        }
        other => other.map(unwrapped),
    };
    match value {
        Ok(Cell::Fields(fields)) => Ok(row(fields, wanted.iter().map(|it| columns.get(*it)))),
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

/// A literal of Python and JavaScript that JSON does not have, in a sentence.
pub(crate) struct NoNumber(pub(crate) &'static str);

impl fmt::Display for NoNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`, which Python writes for a number that is none, is no JSON", self.0)
    }
}

/// The cure of it.
pub(crate) const TO_NULL: &str = "write null in its place, as to_json of pandas does; json.dumps(..., allow_nan=False) of Python shows where one comes from";

/// The first such literal outside of strings, and the line that it stands in.
pub(crate) fn no_number(text: &str) -> Option<(usize, &'static str)> {
    const LITERALS: [&str; 2] = ["NaN", "Infinity"];
    if !LITERALS.iter().any(|it| text.contains(it)) {
        return None;
    }
    let (mut line, mut quoted, mut escaped) = (1, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\n' => line += 1,
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'N' | b'I' if !quoted => {
                let found = LITERALS.into_iter().find(|it| text[at..].starts_with(it));
                if let Some(found) = found {
                    return Some((line, found));
                }
            }
            _ => {}
        }
    }
    None
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
        let literal = || no_number(std::str::from_utf8(bytes).ok()?);
        let read = || cells(serde_json::from_slice(bytes).map(|InOrder(it)| it), columns, wanted);
        let cells = match Reason::is_conflict(bytes) {
            true => Err(Reason::Conflict),
            false => read().map_err(|why| match literal() {
                Some((_, it)) => Reason::NotJson(NoNumber(it).to_string()),
                None => why,
            }),
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
    let mut element = |it: Cell| {
        row += 1;
        row_left.set(ROW_BYTES_MAX);
        failure = each(Row { line: row, cells: cells(Ok(it), columns, wanted) }).err();
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
    each: &'a mut dyn FnMut(Cell) -> bool,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(InOrder(it)) = elements.next_element()? {
            if (self.each)(it) {
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stay_in_the_order_of_the_file_and_the_last_of_a_name_counts() {
        let text = r#"{"b": 1, "a": [{"d": null, "c": 1.0}], "b": true}"#;
        let InOrder(found) = serde_json::from_str(text).unwrap();
        let inner = vec![("d".into(), Cell::Missing), ("c".into(), Cell::Fraction(1.0))];
        let list = Cell::List(vec![Cell::Fields(inner)]);
        assert_eq!(found, Cell::Fields(vec![("b".into(), Cell::Bool(true)), ("a".into(), list)]));
    }

    #[test]
    fn literals_that_are_no_json() {
        assert_eq!(no_number("[{\"a\": 1},\n {\"a\": NaN}]"), Some((2, "NaN")));
        assert_eq!(no_number("{\"a\": -Infinity}"), Some((1, "Infinity")));
        assert_eq!(no_number("{\"a \\\" b\": \"NaN\"}"), None);
    }

    #[test]
    fn cells_are_what_they_are_of_values() {
        for text in [
            "-3",
            "18446744073709551615",
            "18446744073709551616",
            "3.0",
            "1e3",
            "\"a\\u00e9\"",
            "[]",
            "{}",
            "[null, false]",
        ] {
            let InOrder(found) = serde_json::from_str(text).unwrap();
            assert_eq!(found, cell(serde_json::from_str(text).unwrap()), "{text}");
        }
        assert!(serde_json::from_str::<InOrder>(&"[".repeat(100_000)).is_err());
    }
}
