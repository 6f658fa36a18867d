//! JSON that is one document and no list of rows: what pandas writes by columns or `split`, lists
//! under a key, a list for each split, labels with their texts. It is read as a whole, so its
//! length is bounded.

use crate::json;
use crate::names;
use crate::quarantine::Reason;
use crate::row::{Held, Row, Sample};
use crate::split_names;
use finetuned_answers::Cell;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

/// Longest document: its values take several times as much memory.
pub(crate) const BYTES_MAX: u64 = 256 << 20;
/// Keys under which people put their rows, the surest first.
const ROW_KEYS: &[&str] = &[
    "data",
    "rows",
    "records",
    "examples",
    "items",
    "instances",
    "samples",
    "dataset",
    "common_examples",
    "hits", // of Elasticsearch, one in the other
];
/// Keys under which people put the texts of a label, and the label beside them.
const TEXTS_KEYS: &[&str] =
    &["patterns", "examples", "utterances", "texts", "sentences", "queries", "samples"];
const OF_TEXTS_KEYS: &[&str] = &["tag", "intent", "label", "class", "category", NAME];
const NAME: &str = "name";

/// What stands under a key, as far as its beginning shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Scalar,
    Object,
    ListOfScalars,
    ListOfRows,
    EmptyList,
}

/// The keys of the object that the text begins with, up to where the text or its sense ends.
pub(crate) fn keys(text: &str) -> Vec<(String, Shape)> {
    let found = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_str(text);
    // The text may end in the middle: what came before it was seen.
    let _cut_off = reader.deserialize_map(Keys(&found));
    found.into_inner()
}

struct Keys<'a>(&'a RefCell<Vec<(String, Shape)>>);

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            self.0.borrow_mut().push((key, Shape::Scalar));
            map.next_value_seed(Under(self.0))?;
        }
        Ok(())
    }
}

/// Notes the shape of the value under the last key as soon as it shows.
struct Under<'a>(&'a RefCell<Vec<(String, Shape)>>);

impl Under<'_> {
    fn note(&self, shape: Shape) {
        if let Some(last) = self.0.borrow_mut().last_mut() {
            last.1 = shape;
        }
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Under<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Under<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.note(Shape::Object);
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.note(Shape::EmptyList);
        if items.next_element_seed(First(&self))?.is_none() {
            return Ok(());
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// The first element of a list.
struct First<'a, 'b>(&'a Under<'b>);

impl<'de> serde::de::DeserializeSeed<'de> for First<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.note(Shape::ListOfScalars);
        let inner = RefCell::new(vec![(String::new(), Shape::Scalar)]);
        let read = deserializer.deserialize_any(Under(&inner));
        if inner.into_inner().iter().any(|it| it.1 != Shape::Scalar) {
            self.0.note(Shape::ListOfRows);
        }
        read
    }
}

/// Whether a text that begins with a brace is one document, and no object a line.
pub(crate) fn is_document(text: &str) -> bool {
    let mut lines = text.lines().filter(|it| !it.trim().is_empty());
    let first = lines.next().unwrap_or("");
    let is_object = serde_json::from_str::<Map<String, Value>>(first).is_ok();
    if is_object && lines.next().is_some_and(|it| it.trim_start().starts_with('{')) {
        return false;
    }
    let keys = keys(text);
    let all = |shape: Shape| keys.iter().all(|it| it.1 == shape);
    let holds_rows = |it: &(String, Shape)| matches!(it.1, Shape::ListOfRows);
    let named = |it: &&(String, Shape)| {
        ROW_KEYS.contains(&it.0.as_str()) || split_names::split_of(&it.0).is_some()
    };
    if keys.iter().filter(named).any(|it| holds_rows(it) || it.1 == Shape::Object) {
        return true;
    }
    let has_text = keys.iter().any(|it| it.1 == Shape::Scalar && names::is_usual(&it.0));
    (!has_text && keys.iter().any(holds_rows))
        || (1 < keys.len() && all(Shape::ListOfScalars))
        || (!keys.is_empty() && all(Shape::Object))
        || (all(Shape::Scalar) && are_texts(keys.iter().map(|it| &*it.0)))
        || (is_pretty_printed(text, is_object))
}

/// Whether these are several, and mostly several words.
fn are_texts<'a>(keys: impl Iterator<Item = &'a str>) -> bool {
    const KEYS_MIN: usize = 6;
    let words: Vec<usize> = keys.map(|it| it.split_whitespace().count()).collect();
    KEYS_MIN <= words.len() && 3 * words.len() <= words.iter().sum()
}

/// Objects one behind the other, each over several lines.
fn is_pretty_printed(text: &str, first_line_is_object: bool) -> bool {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Map<String, Value>>();
    !first_line_is_object && matches!((values.next(), values.next()), (Some(Ok(_)), Some(Ok(_))))
}

/// The value or values of a whole document.
///
/// # Errors
/// What is wrong, without the place.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut values: Vec<Value> =
        serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().map_err(
            |err| format!("line {}: invalid JSON: {}", err.line(), json::without_place(&err)),
        )?;
    Ok(match values.len() {
        1 => values.remove(0),
        _ => Value::Array(values),
    })
}

/// Keys that name splits, where rows stand below each of them.
pub(crate) fn splits(keys: &[(String, Shape)]) -> Vec<String> {
    let named = keys.iter().filter(|it| {
        split_names::split_of(&it.0).is_some() && matches!(it.1, Shape::ListOfRows | Shape::Object)
    });
    named.map(|it| it.0.clone()).collect()
}

/// The rows of a document, of one split where its key is named.
///
/// # Errors
/// Why there are none that can be told.
pub(crate) fn table(mut document: Value, split: Option<&str>) -> Result<(Sample, Held), String> {
    if let Some(key) = split {
        document = document.get_mut(key).map(Value::take).unwrap_or_default();
    }
    if let Some(why) = document.as_object().and_then(ambiguous) {
        return Err(why);
    }
    let (columns, rows, headerless) = rows_of(document).ok_or(
        "holds one JSON object, and which of its parts are the rows can't be told".to_string(),
    )?;
    let rows = rows.into_iter().enumerate();
    let rows = rows.map(|(idx, cells)| Row { line: idx as u64 + 1, cells }).collect();
    Ok(Held::new(columns, rows, headerless))
}

type Rows = (Vec<String>, Vec<Result<Vec<Cell>, Reason>>, bool);

fn rows_of(value: Value) -> Option<Rows> {
    match value {
        Value::Array(items) if items.iter().any(Value::is_object) => {
            Some(of_labels(&items).unwrap_or_else(|| of_objects(items)))
        }
        Value::Array(items) => of_lists(items, None),
        Value::Object(map) => of_map(map),
        _ => None,
    }
}

fn of_objects(items: Vec<Value>) -> Rows {
    let items: Vec<Cell> = items.into_iter().map(json::cell).map(json::unwrapped).collect();
    let is_object: Vec<bool> = items.iter().map(|it| matches!(it, Cell::Fields(_))).collect();
    let objects = items.into_iter().filter_map(|it| match it {
        Cell::Fields(fields) => Some(fields),
        _ => None,
    });
    let (columns, rows) = json::rows(objects.collect());
    let mut rows = rows.into_iter();
    let row = |is_object: bool| match is_object {
        true => rows.next().ok_or(Reason::NotAnObject),
        false => Err(Reason::NotAnObject),
    };
    (columns, is_object.into_iter().map(row).collect(), false)
}

fn of_labelled<'a>(rows: impl Iterator<Item = (&'a Value, Cell)>) -> Rows {
    let row = |(text, label): (&Value, Cell)| Ok(vec![json::cell(text.clone()), label]);
    (vec!["text".into(), "label".into()], rows.map(row).collect(), false)
}

/// Whether a text begins as a list of labels with their texts does; as a whole it may be none.
pub(crate) fn begins_as_labels(text: &str) -> bool {
    let Some(first) = text.trim_start().strip_prefix('[') else { return false };
    let keys = keys(first);
    let has = |names: &[&str], shape: Shape| {
        keys.iter().any(|it| it.1 == shape && names.contains(&it.0.as_str()))
    };
    has(OF_TEXTS_KEYS, Shape::Scalar) && has(TEXTS_KEYS, Shape::ListOfScalars)
}

/// `[{"tag": "greeting", "patterns": ["hi", …]}, …]`: each label once, with its texts.
fn of_labels(items: &[Value]) -> Option<Rows> {
    let under = |keys: &[&'static str], is: fn(&Value) -> bool| {
        let all = |key: &&&str| items.iter().all(|it| it.get(**key).is_some_and(is));
        keys.iter().find(all).copied()
    };
    let label_key = under(OF_TEXTS_KEYS, |it| it.is_string() || it.is_i64())?;
    let texts_key = under(TEXTS_KEYS, is_texts)?;
    // What has a label of its own is called something, and that is no label.
    let others = items.iter().filter_map(Value::as_object).flat_map(Map::keys);
    if label_key == NAME && others.into_iter().any(|it| names::is_label(it)) {
        return None;
    }
    let labels: Vec<&Value> = items.iter().map(|it| &it[label_key]).collect();
    let different: BTreeSet<String> = labels.iter().map(ToString::to_string).collect();
    let rows = items.iter().zip(&labels);
    let rows = rows.flat_map(|(it, label)| {
        texts_of(&it[texts_key]).map(move |text| (text, json::cell((*label).clone())))
    });
    (1 < labels.len() && different.len() == labels.len()).then(|| of_labelled(rows))
}

/// The same of what stands under a key of rows.
fn ambiguous(map: &Map<String, Value>) -> Option<String> {
    let holds_rows = |key: &String| map.len() == 1 || ROW_KEYS.contains(&key.as_str());
    let mut inner = map.iter().filter(|it| holds_rows(it.0)).filter_map(|it| it.1.as_object());
    ambiguous_lists(map).or_else(|| inner.find_map(ambiguous))
}

/// Why it can't be told whether the keys of lists of texts are columns, labels or splits.
fn ambiguous_lists(map: &Map<String, Value>) -> Option<String> {
    if map.len() < 2 || !map.values().all(is_texts) {
        return None;
    }
    let length = |it: &Value| texts_of(it).count();
    let lengths: BTreeSet<usize> = map.values().map(length).collect();
    let usual = map.keys().find(|it| names::is_usual(it));
    let split = map.keys().find(|it| split_names::is_split_folder(it));
    let hardly_recur = |it: &Value| {
        let distinct = texts_of(it).filter_map(Value::as_str).collect::<BTreeSet<_>>().len();
        length(it) < 2 * distinct
    };
    match (usual, split, lengths.len()) {
        // Columns of a table.
        (Some(_), _, 1) => None,
        (_, Some(key), _) => {
            Some(format!("holds a list of texts under `{key}`, which is a split and no label"))
        }
        (Some(key), None, _) => Some(format!(
            "holds lists of different lengths, and `{key}` is called as a column is: columns have as many values each, and labels other names"
        )),
        (None, None, 1) if map.values().all(hardly_recur) => Some("holds lists of texts of equal length, and whether their keys are columns or labels can't be told".into()),
        (None, None, _) => None,
    }
}

fn texts_of(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn is_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|it| it.iter().all(Value::is_string))
}

fn of_lists(items: Vec<Value>, columns: Option<Vec<String>>) -> Option<Rows> {
    let width = items.first()?.as_array()?.len();
    let headerless = columns.is_none();
    let columns = columns.unwrap_or_else(|| (1..=width).map(names::of_place).collect());
    let header = columns.len();
    let row = |it: Value| match it {
        Value::Array(it) if it.len() == header => Ok(it.into_iter().map(json::cell).collect()),
        Value::Array(it) => {
            Err(Reason::Fields { found: it.len(), header, lines: 0, backslash: false })
        }
        _ => Err(Reason::NotAnObject),
    };
    Some((columns, items.into_iter().map(row).collect(), headerless))
}

fn of_map(mut map: Map<String, Value>) -> Option<Rows> {
    let names = map.get("columns").and_then(Value::as_array);
    let names: Option<Vec<String>> =
        names.and_then(|it| it.iter().map(|it| it.as_str().map(str::to_string)).collect());
    if let (Some(names), Some(Value::Array(_))) = (names, map.get("data")) {
        let Some(Value::Array(data)) = map.remove("data") else { return None };
        return of_lists(data, Some(names));
    }
    let is_rows = |it: &Value| {
        let first = it.as_array().and_then(|it| it.first());
        first.is_some_and(|it| it.is_object() || it.is_array())
    };
    let is_inner = |it: &Value| is_rows(it) || it.is_object();
    if let Some(key) = ROW_KEYS.iter().find(|it| map.get(**it).is_some_and(is_inner)) {
        return map.remove(*key).and_then(rows_of);
    }
    let lists: Vec<usize> = map.values().filter_map(|it| it.as_array().map(Vec::len)).collect();
    if 1 < map.len() && lists.len() == map.len() && lists.iter().all(|it| *it == lists[0]) {
        let (columns, lists): (Vec<String>, Vec<Value>) = map.into_iter().unzip();
        return Some(transposed(
            columns,
            lists.into_iter().map(|it| match it {
                Value::Array(it) => it.into_iter(),
                _ => Vec::new().into_iter(),
            }),
        ));
    }
    if 1 < map.len() && map.values().all(is_texts) {
        let label = |it: &str| Cell::Text(it.into());
        let rows = map.iter().flat_map(|(of, it)| texts_of(it).map(move |it| (it, label(of))));
        return Some(of_labelled(rows));
    }
    if map.values().all(Value::is_string) && are_texts(map.keys().map(String::as_str)) {
        let texts: Vec<Value> = map.keys().map(|it| Value::from(it.as_str())).collect();
        let labels = map.values().map(|it| json::cell(it.clone()));
        return Some(of_labelled(texts.iter().zip(labels)));
    }
    if let ([Value::Object(_)], true) = (&Vec::from_iter(map.values())[..], map.len() == 1) {
        return map.into_iter().next().and_then(|it| rows_of(it.1));
    }
    if map.values().all(Value::is_object) {
        return of_objects_by_key(map);
    }
    let mut rows = map.into_iter().filter(|it| is_rows(&it.1));
    match (rows.next(), rows.next()) {
        (Some(only), None) => rows_of(only.1),
        _ => None,
    }
}

fn transposed(
    columns: Vec<String>,
    lists: impl Iterator<Item = std::vec::IntoIter<Value>>,
) -> Rows {
    let mut lists: Vec<_> = lists.collect();
    let n = lists.first().map_or(0, ExactSizeIterator::len);
    let row = |_| {
        let cell = |it: &mut std::vec::IntoIter<Value>| it.next().map_or(Cell::Missing, json::cell);
        Ok(lists.iter_mut().map(cell).collect())
    };
    let rows = (0..n).map(row).collect();
    (columns, rows, false)
}

/// `{"text": {"0": …}, "label": {"0": …}}`, or `{"id": {"text": …, "label": …}}`: there are more
/// rows than columns, and columns have usual names.
fn of_objects_by_key(map: Map<String, Value>) -> Option<Rows> {
    let inner: BTreeSet<String> =
        map.values().filter_map(Value::as_object).flat_map(Map::keys).cloned().collect();
    let usual = |it: &String| names::is_usual(it);
    let by_column = match (map.keys().any(usual), inner.iter().any(usual)) {
        (true, false) => true,
        (false, true) => false,
        _ => map.len() < inner.len(),
    };
    if !by_column {
        return Some(of_objects(map.into_iter().map(|it| it.1).collect()));
    }
    let mut indices: Vec<String> = inner.into_iter().collect();
    indices.sort_by_cached_key(|it| (it.parse::<u64>().unwrap_or(u64::MAX), it.clone()));
    let columns: Vec<String> = map.keys().cloned().collect();
    let mut values: Vec<Map<String, Value>> = map
        .into_iter()
        .filter_map(|it| match it.1 {
            Value::Object(it) => Some(it),
            _ => None,
        })
        .collect();
    let cell = |column: &mut Map<String, Value>, it: &String| {
        column.remove(it).map_or(Cell::Missing, json::cell)
    };
    let row = |it: &String| Ok(values.iter_mut().map(|column| cell(column, it)).collect());
    Some((columns, indices.iter().map(row).collect(), false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, columns: &[&str], rows: usize) {
        assert!(is_document(text), "{text}");
        let (sample, held) = table(parse(text).unwrap(), None).unwrap();
        assert_eq!(sample.columns, columns, "{text}");
        assert_eq!(held.rows.len(), rows, "{text}");
    }

    #[test]
    fn documents_of_every_shape() {
        let both = ["label", "text"];
        check(
            r#"{"text": {"0": "a", "1": "b", "10": "c"}, "label": {"0": 1, "1": 2, "10": 3}}"#,
            &both,
            3,
        );
        check(r#"{"x1": {"text": "a", "label": 1}, "x2": {"text": "b", "label": 2}}"#, &both, 2);
        check(
            r#"{"columns": ["text", "label"], "index": [0], "data": [["a", 1]]}"#,
            &["text", "label"],
            1,
        );
        check(r#"{"title": "x", "data": [{"text": "a", "label": 1}]}"#, &both, 1);
        check(r#"{"version": 1, "reviews": [{"text": "a", "label": 1}]}"#, &both, 1);
        check(r#"{"text": ["a", "b"], "label": [1, 2]}"#, &both, 2);
        check(
            "{\n\"text\": \"a\",\n\"label\": 1\n}\n{\n\"text\": \"b\",\n\"label\": 1\n}",
            &both,
            2,
        );
        check(r#"{"data": [["a", "x"], ["b", "y"]]}"#, &["column 1", "column 2"], 2);
        let hit = r#"{"_index": "i", "_id": "1", "_source": {"text": "a", "label": 1}}"#;
        let found = format!(r#"{{"took": 3, "hits": {{"total": 2, "hits": [{hit}, {hit}]}}}}"#);
        check(&found, &both, 2);
    }

    #[test]
    fn one_object_a_line_is_no_document() {
        for text in [
            "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": 1}\n",
            r#"{"text": "a", "label": ["x", "y"]}"#,
            r#"{"text": "a", "options": [{"id": 1}]}"#,
            "{\"text\": \"a\",\n \"label\": 1}\n",
        ] {
            assert!(!is_document(text), "{text}");
        }
    }

    #[test]
    fn lists_are_labels_where_their_keys_can_be_nothing_else() {
        let both = ["text", "label"];
        check(r#"{"greet": ["hi", "hello", "hey"], "part": ["bye", "ciao"]}"#, &both, 5);
        check(r#"{"data": {"greet": ["hi", "hello"], "part": ["bye"]}}"#, &both, 3);
        for (text, why) in [
            (r#"{"text": ["a", "b", "c"], "label": ["x", "y"]}"#, "`label` is called as a column"),
            (r#"{"Review": ["a", "b", "c"], "id": ["x", "y"]}"#, "`Review` is called as a column"),
            (r#"{"data": {"text": ["a", "b"], "label": ["x"]}}"#, "`label` is called as a column"),
            (r#"{"train": ["a", "b", "c"], "test": ["d", "e"]}"#, "`test`, which is a split"),
            (r#"{"train": ["a", "b"], "dev": ["d", "e"]}"#, "`dev`, which is a split"),
            (r#"{"one": ["a", "b"], "two": ["d", "e"]}"#, "of equal length"),
        ] {
            let refused = table(parse(text).unwrap(), None).unwrap_err();
            assert!(is_document(text) && refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn a_list_of_labels_with_their_texts() {
        let labels = |text: &str| -> Vec<Cell> {
            let (sample, held) = table(parse(text).unwrap(), None).unwrap();
            let at = sample.columns.iter().position(|it| it == "label").unwrap();
            held.rows.into_iter().map(|it| it.cells.unwrap().remove(at)).collect()
        };
        let texts = |of: [&str; 3]| of.map(|it| Cell::Text(it.into()));
        let text =
            r#"[{"tag": "a", "patterns": ["hi", "hey"]}, {"tag": "b", "patterns": ["bye"]}]"#;
        assert!(begins_as_labels(text));
        assert_eq!(labels(text), texts(["a", "a", "b"]));
        let text = r#"[{"label": 3, "texts": ["hi", "hey"]}, {"label": 4, "texts": ["bye"]}]"#;
        assert_eq!(labels(text), [3, 3, 4].map(Cell::Integer));
        // Each is called something, and has a label.
        let text = r#"[{"name": "Ann", "sentiment": true, "texts": ["hi", "hey"]},
            {"name": "Bob", "sentiment": true, "texts": ["bye"]}]"#;
        let (sample, held) = table(parse(text).unwrap(), None).unwrap();
        assert_eq!((sample.columns.len(), held.rows.len()), (3, 2));
        assert!(!begins_as_labels(r#"[{"text": "hi", "label": "a"}]"#));
    }

    #[test]
    fn a_list_for_each_split() {
        let keys = keys(r#"{"oos_train": [["a", "oos"]], "train": [["a", "b"]], "val": [["#);
        assert_eq!(splits(&keys), ["oos_train", "train", "val"]);
    }

    #[test]
    fn columns_of_pandas_are_in_the_order_of_numbers() {
        let text =
            r#"{"text": {"2": "b", "10": "c", "0": "a"}, "label": {"0": 1, "2": 1, "10": 1}}"#;
        let (_, held) = table(parse(text).unwrap(), None).unwrap();
        let texts: Vec<Cell> =
            held.rows.into_iter().map(|it| it.cells.unwrap().remove(1)).collect();
        assert_eq!(texts, ["a", "b", "c"].map(|it| Cell::Text(it.into())));
    }
}
