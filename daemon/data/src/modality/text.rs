//! One text goes in: a column of a table, a file that a table names, or a file in the folder of its
//! class.

pub(super) mod folders; // a file for each text
mod listed; // files that a table names
pub(super) mod named; // what is to be predicted

use super::files::Files;
use super::{Content, Modal, Named, Nothing, no_texts, speakers};
use crate::example::Record;
use crate::inventory::Inventory;
use crate::layout::{self, Layout};
use crate::names::{self, LABEL_NAMES, TEXT_NAMES};
use crate::quarantine::Usable;
use crate::reading::{self, Reading, RowReader, text_of};
use crate::refusal;
use crate::row::nearly_all;
use crate::table::Table;
use crate::targets;
use finetuned_answers::{CLASSES_MAX, Cell};
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::DataChoice;
use finetuned_job::scores::Split;
use finetuned_job::task::Modality;
use folders::Guesses;
use named::Wanted;
use std::collections::HashSet;
use std::path::Path;

pub(super) struct Kind;

impl Modal for Kind {
    fn modality(&self) -> Modality {
        Modality::Text
    }

    /// Whatever is left.
    fn recognises(&self, _: &Inventory, _: &DataChoice) -> bool {
        true
    }

    fn read(
        &self,
        _: &Path,
        mut found: Inventory,
        reading: &mut Reading<'_, '_>,
    ) -> Result<Box<dyn Content>, Failure> {
        let named = reading.request.choice.text.clone();
        let column = named.first().map(String::as_str);
        let listed = listed::take(&mut found, column, &mut reading.warnings);
        let links = found.links.clone();
        match layout::decide(found, reading.request.task.is_some(), &mut reading.warnings)? {
            Layout::Tables(tables) => {
                let files = Files::of(&listed, &links);
                let asked = reading.request.task.is_some();
                let (used, guesses) = (vec![false; listed.len()], Guesses::default());
                let mut rows = Rows { named, asked, used, guesses, files };
                reading::tables(reading, tables, &mut rows)?;
                reading.warnings.extend(rows.unlisted().into_iter().chain(rows.guesses.warning()));
            }
            Layout::Folders(folders) => folders::of_classes(folders, reading)?,
        }
        Ok(Box::new(Nothing))
    }

    fn named(&self, args: &[String], columns: &[String]) -> Result<Vec<Named>, Failure> {
        named::inputs(args, &Wanted { texts: 1, columns, usual: usual_or_only })
    }
}

/// Of a table to be predicted.
fn usual_or_only(columns: &[String]) -> Option<Vec<usize>> {
    let all: Vec<usize> = (0..columns.len()).collect();
    match all[..] {
        [_] => Some(all),
        _ => names::usual(columns, TEXT_NAMES, &all).map(|it| vec![it]),
    }
}

struct Rows<'a> {
    /// By the recipe.
    named: Vec<String>,
    /// Whether it names the task.
    asked: bool,
    /// That hold the texts, where tables name them; else none.
    files: Files<'a>,
    /// For each of them, whether a table names it.
    used: Vec<bool>,
    guesses: Guesses,
}

impl Rows<'_> {
    /// What is to be said of files that no table names.
    fn unlisted(&self) -> Option<String> {
        let first = self.used.iter().position(|it| !it)?;
        let (n, first) = (self.used.iter().filter(|it| !**it).count(), self.files.get(first));
        Some(format!("texts that no table names were ignored: {n} (first: {})", first.name))
    }
}

impl RowReader for Rows<'_> {
    fn columns(&self, table: &Table, targets: &[usize]) -> Result<Vec<usize>, Failure> {
        let (file, columns) = (&table.source.name, &table.sample.columns);
        match &self.named[..] {
            [] if !self.used.is_empty() => Ok(vec![listed::column(table, &self.files)?]),
            [] => {
                let text = unnamed(table, targets, self.asked)?;
                stands_for_texts(table, text)?;
                Ok(vec![text])
            }
            [name] => Ok(vec![names::named(file, columns, name)?]),
            several => Err(refusal::data(format!(
                "data.text names {} columns, and one is read",
                several.len()
            ))
            .with_cure(
                "name the column of texts alone, or leave `task` out: two columns are a pair",
            )),
        }
    }

    fn unused(&self, table: &Table, inputs: &[usize], unused: &[usize]) -> Option<String> {
        rival(table, inputs, unused)
    }

    fn record(
        &mut self,
        (table, _): (&str, u64),
        mut cells: Vec<Cell>,
        _: &mut Vec<Cell>,
    ) -> Usable<(Record, Option<Split>)> {
        let cell = cells.pop().unwrap_or(Cell::Missing);
        let text = match self.used.is_empty() {
            true => text_of(cell),
            false => {
                let text = listed::text(&self.files, table, cell, &mut self.guesses)?;
                text.map(|(text, at)| {
                    self.used[at] = true;
                    text
                })
            }
        };
        Ok(text.map(|it| (Record::of_text(it), None)))
    }
}

/// By the usual names, else by elimination, else (of two columns) by what the values show.
fn unnamed(table: &Table, targets: &[usize], asked: bool) -> Result<usize, Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    if columns.is_empty() {
        return Err(refusal::data(format!("{file} has no columns"))
            .with_cure("a table needs a column of texts and a column of labels"));
    }
    if let Some(why) = conversations(table) {
        return Err(why);
    }
    let all: Vec<usize> = (0..columns.len()).collect();
    if targets.is_empty() && names::usual(columns, LABEL_NAMES, &all).is_none() {
        message_rows(table)?;
    }
    let free = |taken: &[usize]| -> Vec<usize> {
        (0..columns.len()).filter(|it| !taken.contains(it)).collect()
    };
    let rest = free(targets);
    if let Some(usual) = names::usual(columns, TEXT_NAMES, &rest) {
        return Ok(usual);
    }
    let label = names::usual(columns, LABEL_NAMES, &rest).filter(|_| targets.is_empty());
    let labels = label.map_or_else(|| targets.to_vec(), |it| vec![it]);
    let by_values = || (targets.is_empty() && label.is_none()).then(|| by_values(table)).flatten();
    let others = free(&labels);
    let of_texts: Vec<usize> =
        others.iter().copied().filter(|it| holds_texts(table, *it)).collect();
    if targets.is_empty()
        && let Some(why) = no_texts::refused(table, &of_texts, &labels)
    {
        return Err(why);
    }
    match (&others[..], &of_texts[..]) {
        ([only], _) => Ok(*only),
        (_, [only]) => Ok(*only),
        _ => by_values().ok_or_else(|| ambiguous(table, &labels, asked)),
    }
}

/// Refused where a column holds lists of messages, as OpenAI and ShareGPT write them: text and
/// label are parts of them.
fn conversations(table: &Table) -> Option<Failure> {
    const KEYS: &[[&str; 2]] = &[["role", "content"], ["from", "value"]];
    let is_message = |it: &Cell| {
        KEYS.iter().any(|keys| keys.iter().all(|key| matches!(it.field(key), Some(Cell::Text(_)))))
    };
    let is_it = |it: &Cell| match it {
        Cell::List(messages) => !messages.is_empty() && messages.iter().all(is_message),
        _ => false,
    };
    let holds = |it: &usize| nearly_all(table.sample.rows.iter().map(|row| is_it(&row[*it])));
    let column = (0..table.sample.columns.len()).find(holds)?;
    Some(
        refusal::data(format!(
            "{}: `{}` holds conversations (messages of a role and a content, as models that chat are trained on), and no column of texts and labels",
            table.source.name, table.sample.columns[column]
        ))
        .with_cure(
            r#"for classes write the user's message and the label that was answered: {"text": "…", "label": "…"}, one object a line"#,
        ),
    )
}

/// Refuses rows that are messages of one conversation each: who speaks is no label.
fn message_rows(table: &Table) -> Result<(), Failure> {
    let columns = &table.sample.columns;
    let Some(found) = speakers::message_rows(table) else { return Ok(()) };
    let ((why, cure), role) = (found.refusal(columns), &columns[found.role]);
    Err(refusal::data(format!("{}: {why}", table.source.name)).with_cure(format!(
        "for conversations {cure}; to learn who speaks as a class, name it: data.label = {role:?}"
    )))
}

/// Refuses a column of what stands for texts elsewhere: names of files, or ids. Training on them
/// would teach nothing, and say so late.
fn stands_for_texts(table: &Table, column: usize) -> Result<(), Failure> {
    let name = &table.sample.columns[column];
    let values = || table.sample.rows.iter().filter_map(|it| it[column].value());
    let hold = |is: &dyn Fn(&str) -> bool| nearly_all(values().map(|it| is(it.trim())));
    let one = |it: &str| !it.contains(char::is_whitespace);
    let is_file = |it: &str| {
        let extension = it.rsplit_once('.').map(|it| it.1.to_ascii_lowercase());
        one(it) && extension.is_some_and(|it| FILES.contains(&it.as_str()))
    };
    // Of numbers only, as pixels are too, or of one long word with many digits.
    let is_id = |it: &str| {
        let digits = it.bytes().filter(u8::is_ascii_digit).count();
        let is_number = 0 < digits && !it.contains(char::is_alphabetic);
        is_number || (one(it) && ID_CHARS_MIN <= it.len() && it.len() < 3 * digits)
    };
    let first: String = values().next().unwrap_or_default().chars().take(SHOWN_CHARS).collect();
    let refused = |what: &str, cure: &str| {
        let place = table.place_of(column, &|it| it.value().is_some());
        Err(refusal::data(format!("{place}: `{name}` holds {what} ({first}, …), and no texts"))
            .with_cure(cure))
    };
    if hold(&is_file) {
        return refused("names of files", "write the texts themselves into the column");
    }
    let different = values().collect::<HashSet<_>>().len();
    if !TEXT_NAMES.iter().any(|it| names::is_same(name, it))
        && hold(&is_id)
        && values().count() < 2 * different
    {
        return refused("numbers or ids", "add a column of the texts that they stand for");
    }
    Ok(())
}

/// Extensions of files that people keep texts in.
const FILES: &[&str] =
    &["txt", "html", "htm", "xml", "md", "pdf", "doc", "docx", "json", "eml", "srt"];
/// Shorter ones may be codes that are to be told apart.
const ID_CHARS_MIN: usize = 8;
/// Of a value in a sentence.
const SHOWN_CHARS: usize = 40;

/// A column of texts that is not read is no small thing: it may be half of what is asked.
pub(super) fn rival(table: &Table, inputs: &[usize], unused: &[usize]) -> Option<String> {
    let name = |it: usize| &*table.sample.columns[it];
    let first = *unused.iter().find(|it| holds_texts(table, **it))?;
    let of_one = |it: &usize| {
        let (a, b) = (name(first.min(*it)), name(first.max(*it)));
        format!("; data.text = [{a:?}, {b:?}] reads both as a pair")
    };
    let pair = inputs.first().filter(|_| inputs.len() == 1).map(of_one);
    Some(format!(
        "{}: `{}` holds texts too, and is not read{}",
        table.source.name,
        name(first),
        pair.unwrap_or_default()
    ))
}

/// Whether most rows have several words there that hardly recur.
pub(super) fn holds_texts(table: &Table, column: usize) -> bool {
    /// Of the mean text.
    const WORDS_MIN: f64 = 4.0;
    let cells = table.sample.rows.iter().filter_map(|it| match it.get(column) {
        Some(Cell::Text(it)) if !it.trim().is_empty() => Some(it.trim()),
        _ => None,
    });
    let values: Vec<&str> = cells.collect();
    let is_word = |it: &&str| it.contains(char::is_alphabetic);
    let words = |it: &&str| it.split_whitespace().filter(is_word).count();
    let words: usize = values.iter().map(words).sum();
    let distinct = values.iter().collect::<HashSet<_>>().len();
    table.sample.rows.len() < 2 * values.len()
        && values.len() < 4 * distinct
        && WORDS_MIN * values.len() as f64 <= words as f64
}

/// Of two columns the one that looks like texts, where the other looks like labels or numbers.
fn by_values(table: &Table) -> Option<usize> {
    let sample = &table.sample;
    if sample.columns.len() != 2 {
        return None;
    }
    let stats = [0, 1].map(|column| {
        let values: Vec<_> =
            sample.rows.iter().filter_map(|row| row.get(column)?.value()).collect();
        let chars: usize = values.iter().map(|it| it.chars().count()).sum();
        let n = values.len();
        let numbers = 0 < n && values.iter().all(|it| it.parse::<f64>().is_ok());
        let distinct = values.into_iter().collect::<HashSet<_>>().len();
        let recur = distinct <= CLASSES_MAX && 2 * distinct <= n;
        (recur || numbers, chars as f64 / n.max(1) as f64)
    });
    match stats {
        [(true, _), (false, _)] => Some(1),
        [(false, _), (true, _)] => Some(0),
        // Texts that repeat a lot: the longer column by far holds them.
        [(true, a), (true, b)] if 3.0 * a < b => Some(1),
        [(true, a), (true, b)] if 3.0 * b < a => Some(0),
        _ => None,
    }
}

/// `labels`: what is clear. `asked`: whether the recipe names the task.
fn ambiguous(table: &Table, labels: &[usize], asked: bool) -> Failure {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let holding = |it: &usize| !labels.contains(it) && holds_texts(table, *it);
    let texts: Vec<usize> = (0..columns.len()).filter(holding).collect();
    if texts.is_empty()
        && let Some(why) = no_texts::refused(table, &[], labels)
    {
        return why;
    }
    if table.sample.headerless {
        return targets::no_header(table, &texts);
    }
    let (what, label) = match labels.first() {
        Some(label) => ("the text", &*columns[*label]),
        None => ("the text and which the label", "COLUMN"),
    };
    let text = match texts[..] {
        [a, b] => format!(
            "{:?} (or [{:?}, {:?}], which reads both as a pair)",
            columns[a], columns[a], columns[b]
        ),
        _ => "\"COLUMN\"".into(),
    };
    let is_open = !asked && labels.is_empty() && !texts.is_empty();
    let unlabelled = if is_open { targets::UNLABELLED } else { "" };
    refusal::data(format!(
        "{file}: which column is {what} can't be told; its columns are {}",
        refusal::list(columns)
    ))
    .with_cure(format!(
        "drop it in a folder with a job.toml of two lines: data.text = {text} and data.label = {label:?}{unlabelled}"
    ))
}
