//! Texts to predict for, one or more to a record: as they stand, files of texts, or lines of
//! standard input.

use crate::encoding::{self, Decoded};
use crate::example::Record;
use crate::format::Format;
use crate::forms;
use crate::inflate::Count;
use crate::inventory::Kind;
use crate::modality::Named;
use crate::names;
use crate::quarantine::Reason;
use crate::reading::text_of;
use crate::refusal;
use crate::source::{RowBound, Source, each_line};
use crate::table::{Table, TableFile};
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use std::io::Read;
use std::path::Path;

/// What inputs are made of.
pub(in crate::modality) struct Wanted<'a> {
    /// Texts of a record.
    pub(in crate::modality) texts: usize,
    /// Of tables, where they have them.
    pub(in crate::modality) columns: &'a [String],
    /// Of tables that have not.
    pub(in crate::modality) usual: fn(&[String]) -> Option<Vec<usize>>,
}

/// Texts that stand as arguments follow each other; in a line a tab divides them.
pub(in crate::modality) fn inputs(
    args: &[String],
    wanted: &Wanted<'_>,
) -> Result<Vec<Named>, Failure> {
    let mut found = Vec::new();
    let mut loose: Vec<(usize, &str)> = Vec::new();
    for (idx, arg) in args.iter().enumerate() {
        let path = Path::new(arg);
        if arg == "-" {
            lines("standard input", std::io::stdin().lock(), wanted, &mut found)?;
        } else if path.is_dir() {
            return Err(refusal::data(format!("{arg} is a folder")).with_cure("name its files"));
        } else if path.is_file() {
            // A person names this file: a link is as good as what it points to.
            let path = path.canonicalize().map_err(|err| refusal::reading(arg, &err))?;
            file(&path, arg, wanted, &mut found)?;
        } else if looks_like_a_file(arg) {
            return Err(refusal::data(format!("{arg} does not exist")));
        } else {
            loose.push((idx + 1, arg.trim()));
            if loose.len() == wanted.texts {
                let origin = match loose[..] {
                    [(only, _)] => format!("argument {only}"),
                    _ => format!("arguments {} to {}", loose[0].0, idx + 1),
                };
                found.push(of_texts(loose.drain(..).map(|it| it.1), origin));
            }
        }
    }
    match loose.first() {
        None => Ok(found),
        Some((number, _)) => Err(refusal::data(format!("argument {number} is a text alone"))
            .with_cure(format!(
                "this model reads {} texts together: give them one after the other",
                wanted.texts
            ))),
    }
}

fn of_texts<'a>(texts: impl Iterator<Item = &'a str>, origin: String) -> Named {
    let record = Record { texts: texts.map(Into::into).collect(), ..Record::default() };
    Named { what: record.texts.join(" / "), record, origin, image: None }
}

/// The texts of a table.
fn columns(file: &str, columns: &[String], wanted: &Wanted<'_>) -> Result<Vec<usize>, Failure> {
    let trained: Option<Vec<usize>> =
        wanted.columns.iter().map(|name| names::find(columns, name)).collect();
    let found = trained.filter(|it| it.len() == wanted.texts);
    found.or_else(|| (wanted.usual)(columns)).ok_or_else(|| {
        let names: Vec<String> = wanted.columns.iter().map(|it| format!(" `{it}`")).collect();
        let (s, columns) = (if wanted.texts == 1 { "" } else { "s" }, refusal::list(columns));
        refusal::data(format!(
            "{file} has no text column{s}{}; its columns are {columns}",
            names.join(" and")
        ))
        .with_cure(format!("name the column{s} as in the training data"))
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
    wanted: &Wanted<'_>,
    found: &mut Vec<Named>,
) -> Result<(), Failure> {
    match Kind::of(&path.file_name().unwrap_or_default().to_string_lossy()) {
        Kind::Table(format) => table(path, name, format, wanted, found),
        Kind::Archive => {
            Err(refusal::data(format!("{name} is an archive")).with_cure("unpack it first"))
        }
        Kind::Text
        | Kind::Spans
        | Kind::Image
        | Kind::Idx
        | Kind::Companion
        | Kind::Other
        | Kind::Unknown => text_file(path, name, wanted, found),
    }
}

fn text_file(
    path: &Path,
    name: &str,
    wanted: &Wanted<'_>,
    found: &mut Vec<Named>,
) -> Result<(), Failure> {
    let source = Source::open(path, name)?;
    let survey = encoding::survey(source.stream(&Count::default())?)
        .map_err(|err| refusal::reading(name, &err))?;
    if let Some(what) = survey.foreign() {
        return Err(refusal::data(format!("{name} is {what}, not text")));
    }
    let decoded = Decoded::new(source.stream(&Count::default())?, survey.encoding);
    lines(name, decoded, wanted, found)?;
    source.check_unchanged()
}

fn lines(
    name: &str,
    bytes: impl Read,
    wanted: &Wanted<'_>,
    found: &mut Vec<Named>,
) -> Result<(), Failure> {
    let (bounded, left) = RowBound::new(bytes);
    each_line(name, bounded, &left, &mut |number, line| {
        let place = format!("{name} line {number}");
        let (text, _) = encoding::decode(line).map_err(|err| refusal::reading(&place, &err))?;
        // Every line has an answer, an empty one as well.
        let texts: Vec<&str> = match text.trim() {
            "" => vec![""; wanted.texts],
            all if wanted.texts == 1 => vec![all],
            all => all.split('\t').map(str::trim).collect(),
        };
        if texts.len() != wanted.texts {
            return Err(refusal::data(format!(
                "{place}: {} texts divided by tabs, where this model reads {} together",
                texts.len(),
                wanted.texts
            )));
        }
        found.push(of_texts(texts.into_iter(), place));
        Ok(())
    })
}

fn table(
    path: &Path,
    name: &str,
    format: Format,
    wanted: &Wanted<'_>,
    found: &mut Vec<Named>,
) -> Result<(), Failure> {
    let named: Vec<&str> = wanted.columns.iter().map(String::as_str).collect();
    let file = TableFile::new(path.into(), name.into(), format);
    let table = Table::open_to_predict(&forms::disguised(file, &mut Vec::new())?, &named)?;
    let asked = columns(name, &table.sample.columns, wanted)?;
    table.rows(&asked, &Count::default(), &mut |row| {
        let origin = format!("{name} line {}", row.line);
        let texts = row.cells.and_then(|it| it.into_iter().map(text_or_empty).collect());
        let texts: Vec<Box<str>> =
            texts.map_err(|why: Reason| refusal::data(format!("{origin}: {why}")))?;
        found.push(of_texts(texts.iter().map(|it| &**it), origin));
        Ok(())
    })
}
