//! Texts to predict for: as they stand, files of texts, or lines of standard input.

use super::super::Named;
use crate::encoding::{self, Decoded};
use crate::example::Record;
use crate::format::Format;
use crate::inflate::Count;
use crate::inventory::Kind;
use crate::names::{self, TEXT_NAMES};
use crate::quarantine::Reason;
use crate::reading::text_of;
use crate::refusal;
use crate::source::{ROW_BYTES_MAX, RowBound, Source};
use crate::table::Table;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// `text_column`: of tables, where they have it.
pub(super) fn inputs(args: &[String], text_column: Option<&str>) -> Result<Vec<Named>, Failure> {
    let mut found = Vec::new();
    for (idx, arg) in args.iter().enumerate() {
        let path = Path::new(arg);
        if arg == "-" {
            lines("standard input", std::io::stdin().lock(), &mut found)?;
        } else if path.is_dir() {
            return Err(refusal::data(format!("{arg} is a folder")).with_cure("name its files"));
        } else if path.is_file() {
            // A person names this file: a link is as good as what it points to.
            let path = path.canonicalize().map_err(|err| refusal::reading(arg, &err))?;
            file(&path, arg, text_column, &mut found)?;
        } else if looks_like_a_file(arg) {
            return Err(refusal::data(format!("{arg} does not exist")));
        } else {
            found.push(of_text(arg.trim(), format!("argument {}", idx + 1)));
        }
    }
    Ok(found)
}

fn of_text(text: &str, origin: String) -> Named {
    Named { record: Record::of_text(text), what: text.into(), origin, image: None }
}

/// The texts of a table.
fn column(file: &str, columns: &[String], text: Option<&str>) -> Result<usize, Failure> {
    if let Some(at) = text.and_then(|name| names::find(columns, name)) {
        return Ok(at);
    }
    let all: Vec<usize> = (0..columns.len()).collect();
    let at = match all[..] {
        [only] => Some(only),
        _ => names::usual(columns, TEXT_NAMES, &all),
    };
    at.ok_or_else(|| {
        let wanted = text.map(|it| format!(" `{it}`")).unwrap_or_default();
        refusal::data(format!(
            "{file} has no text column{wanted}; its columns are {}",
            refusal::list(columns)
        ))
        .with_cure("name the column as in the training data")
    })
}

/// Every row must have an answer.
fn text_or_empty(cell: Cell) -> Result<Box<str>, Reason> {
    match text_of(cell) {
        Err(Reason::EmptyText) => Ok("".into()),
        other => other,
    }
}

/// A word with the extension of data is a mistyped path, not a text.
fn looks_like_a_file(arg: &str) -> bool {
    !arg.contains(char::is_whitespace)
        && matches!(Kind::of(arg), Kind::Table(_) | Kind::Text)
        && !arg.starts_with('.')
}

fn file(
    path: &Path,
    name: &str,
    text_column: Option<&str>,
    found: &mut Vec<Named>,
) -> Result<(), Failure> {
    match Kind::of(&path.file_name().unwrap_or_default().to_string_lossy()) {
        Kind::Table(format) => table(path, name, format, text_column, found),
        Kind::Archive => {
            Err(refusal::data(format!("{name} is an archive")).with_cure("unpack it first"))
        }
        Kind::Text | Kind::Image | Kind::Idx | Kind::Companion | Kind::Other | Kind::Unknown => {
            text_file(path, name, found)
        }
    }
}

fn text_file(path: &Path, name: &str, found: &mut Vec<Named>) -> Result<(), Failure> {
    let source = Source::open(path, name)?;
    let survey = encoding::survey(source.stream(&Count::default())?)
        .map_err(|err| refusal::reading(name, &err))?;
    if let Some(what) = survey.foreign() {
        return Err(refusal::data(format!("{name} is {what}, not text")));
    }
    lines(name, Decoded::new(source.stream(&Count::default())?, survey.encoding), found)?;
    source.check_unchanged()
}

fn lines(name: &str, bytes: impl Read, found: &mut Vec<Named>) -> Result<(), Failure> {
    let (bounded, left) = RowBound::new(bytes);
    let mut reader = BufReader::new(bounded);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        left.set(ROW_BYTES_MAX);
        let place = || format!("{name} line {number}");
        if reader.read_until(b'\n', &mut line).map_err(|err| refusal::reading(&place(), &err))? == 0
        {
            break;
        }
        let (text, _) = encoding::decode(&line).map_err(|err| refusal::reading(&place(), &err))?;
        found.push(of_text(text.trim(), place()));
    }
    Ok(())
}

fn table(
    path: &Path,
    name: &str,
    format: Format,
    text_column: Option<&str>,
    found: &mut Vec<Named>,
) -> Result<(), Failure> {
    let named: Vec<&str> = text_column.into_iter().collect();
    let table = Table::open(path, name, format, &named)?;
    let text = column(name, &table.sample.columns, text_column)?;
    table.rows(&[text], &Count::default(), &mut |row| {
        let origin = format!("{name} line {}", row.line);
        let text = row
            .cells
            .and_then(|mut it| text_or_empty(it.pop().unwrap_or(Cell::Missing)))
            .map_err(|why| refusal::data(format!("{origin}: {why}")))?;
        found.push(of_text(&text, origin));
        Ok(())
    })
}
