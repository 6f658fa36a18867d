//! What the TOML parser finds wrong, in words of a person who wrote the file: which key, where it
//! stands and what it must be. What is meant by a key that is not known, others say.

use super::RecipeError;

/// What a key may be meant for that a table (empty: none) does not have, as the end of a refusal.
pub(super) type Meant = fn(key: &str, table: &str) -> Option<String>;

pub(super) fn readable(text: &str, err: &toml::de::Error, meant: Meant) -> RecipeError {
    let at = err.span().map(|span| span.start.min(text.len()));
    let line = at.map(|at| 1 + text[..at].matches('\n').count());
    let message = err.message().trim_end();
    let place = at.map(|it| Place::of(text, it)).unwrap_or_default();
    let unknown = || unknown_key(message, &place.table, meant);
    let readable = unknown().or_else(|| wrong_value(message, &place));
    RecipeError { line, message: readable.unwrap_or_else(|| message.to_string()) }
}

fn unknown_key(message: &str, table: &str, meant: Meant) -> Option<String> {
    let mut names = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let key = names.next()?;
    let known: Vec<&str> = names.collect();
    let near = || Some(suggestion(key, &known)).filter(|it| !it.is_empty());
    let hint = meant(key, table).or_else(near);
    let hint = hint.unwrap_or_else(|| format!("; there are {}", known.join(", ")));
    let place = if table.is_empty() { String::new() } else { format!(" in [{table}]") };
    Some(format!("unknown key `{key}`{place}{hint}"))
}

/// A value of another kind than its key has.
fn wrong_value(message: &str, place: &Place) -> Option<String> {
    let field = place.field();
    if let Some(name) = message.strip_prefix("missing field ") {
        return Some(format!("{field} has no {name}"));
    }
    let (found, wanted) = message.split_once(", expected ")?;
    if let Some(n) = found.strip_prefix("invalid length ") {
        let wanted: String = wanted.chars().filter(char::is_ascii_digit).collect();
        return Some(format!("{field} has {n} values, but must have {wanted}"));
    }
    let kinds = ["invalid type: ", "invalid value: "];
    let found = kinds.iter().find_map(|it| found.strip_prefix(it))?;
    let key = place.key.as_deref().unwrap_or(&field);
    Some(match (found, wanted) {
        ("map", "a sequence") => {
            format!(
                "[{field}] is one table, but there may be several: write [[{field}]] in its place"
            )
        }
        (_, wanted) if wanted.starts_with("struct ") => format!(
            "{field} is {}, but is a table: write [{key}] on a line of its own, and its keys below it",
            shown(found)
        ),
        (_, wanted) => format!("{field} is {}, but must be {}", shown(found), spoken(wanted)),
    })
}

/// A value as the recipe has it.
fn shown(found: &str) -> String {
    match found {
        "map" => "a table".into(),
        "sequence" => "a list".into(),
        _ => match found.split_once(' ') {
            Some(("string", text)) => text.to_string(),
            _ => found.split('`').nth(1).unwrap_or(found).to_string(),
        },
    }
}

/// What serde calls a kind of values.
fn spoken(wanted: &str) -> String {
    let digits = || wanted.chars().filter(char::is_ascii_digit).collect::<String>();
    match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".into(),
        "i8" | "i16" | "i32" | "i64" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "bool" | "a boolean" => "true or false".into(),
        "a string" => "a text in quotes".into(),
        "a sequence" => "a list in brackets".into(),
        "a map" => "a table".into(),
        _ if wanted.starts_with("a tuple") || wanted.starts_with("an array") => {
            format!("a list of {}", digits())
        }
        _ => wanted.into(),
    }
}

/// Of a byte in a text of TOML.
#[derive(Default)]
struct Place {
    /// Empty above all of them.
    table: String,
    /// Whose value it is part of; none of a table's header, and before a key's own `=`.
    key: Option<String>,
}

impl Place {
    fn of(text: &str, at: usize) -> Place {
        let start = text[..at].rfind('\n').map_or(0, |it| it + 1);
        let above = text[..start].lines().rev().map(str::trim);
        let table =
            above.clone().find_map(|it| Some(it.strip_prefix('[')?.trim_start_matches('[')));
        let table = table.and_then(|it| it.split(']').next()).unwrap_or("").trim();
        let line = text[start..at].trim_start();
        if text[start..].trim_start().starts_with('[') && !line.contains('=') {
            // A header names the table that it stands in before its own last part.
            let header = line.trim_start_matches('[');
            let table = header.rsplit_once('.').map_or("", |it| it.0).trim().to_string();
            let own = text[start..].trim_start().trim_start_matches('[');
            let key = own.split(']').next().filter(|_| header.is_empty() && line.is_empty());
            return Place { table, key: key.map(|it| it.trim().into()) };
        }
        let outer = |dotted: &str| match dotted.rsplit_once('.') {
            Some((before, key)) => (join(table, before.trim()), key.trim().to_string()),
            None => (table.to_string(), dotted.trim().to_string()),
        };
        match line.split_once('=') {
            // In an inline table the key before it is a table too.
            Some((before, rest))
                if rest.trim_start().starts_with(['{', '[']) && rest.contains('{') =>
            {
                let inner = rest.rsplit(['{', ',']).next().unwrap_or("");
                let key = inner.split_once('=').map(|it| it.0.trim().to_string());
                Place { table: join(table, before.trim()), key }
            }
            Some((dotted, _)) => {
                let (table, key) = outer(dotted);
                Place { table, key: Some(key) }
            }
            None => Place { table: outer(line).0, key: None },
        }
    }

    /// As `train.lr`.
    fn field(&self) -> String {
        match &self.key {
            Some(key) => join(&self.table, key),
            None if self.table.is_empty() => "the recipe".into(),
            None => self.table.clone(),
        }
    }
}

fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.into() } else { format!("{table}.{key}") }
}

/// `: did you mean ...?` where one of the known names is close, else nothing.
pub(super) fn suggestion(typed: &str, known: &[&str]) -> String {
    match nearest(typed, known, 0.8) {
        Some(name) => format!(": did you mean `{name}`?"),
        None => String::new(),
    }
}

/// The name that is most alike, by more than `least` (1: the same).
pub(super) fn nearest<'a>(typed: &str, known: &[&'a str], least: f64) -> Option<&'a str> {
    let scores = known.iter().map(|it| (strsim::jaro_winkler(typed, it), *it));
    let best = scores.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (least < best.0).then_some(best.1)
}
