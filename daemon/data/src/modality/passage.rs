//! Texts go in to be learnt as they are, without labels: a column of a table, or files of texts
//! wherever they lie. A file may be a whole book, so a long one is divided at the ends of its
//! paragraphs: of one book too a part can be held out.

use super::chat::{absent, doubts};
use super::text::{self, folders, holds_texts};
use super::{Content, Modal, Named, Nothing};
use crate::example::Record;
use crate::inventory::{Inventory, SingleFile};
use crate::layout::{self, ClassFolder, Layout};
use crate::names::{self, TEXT_NAMES};
use crate::quarantine::Usable;
use crate::reading::{self, Reading, RowReader, text_of};
use crate::refusal;
use crate::table::Table;
use crate::targets;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::DataChoice;
use finetuned_job::scores::Split;
use finetuned_job::task::Modality;
use std::path::Path;

/// Bytes of a part that a long text is divided into, about: some pages.
const PART_BYTES: usize = 8_000;

pub(super) struct Kind;

impl Modal for Kind {
    fn modality(&self) -> Modality {
        Modality::Passage
    }

    /// A recipe asks for it: without labels nobody can tell what is wanted.
    fn recognises(&self, _: &Inventory, _: &DataChoice) -> bool {
        false
    }

    fn read(
        &self,
        _: &Path,
        mut found: Inventory,
        reading: &mut Reading<'_, '_>,
    ) -> Result<Box<dyn Content>, Failure> {
        if let ([table, ..], [text, ..]) = (&found.tables[..], &found.texts[..]) {
            return Err(refusal::data(format!(
                "the drop holds tables ({}) and texts ({}) at once, and which are to be learnt can't be told",
                table.name, text.name
            ))
            .with_cure("drop the texts without the tables, or the tables alone"));
        }
        if found.tables.is_empty() {
            take_markdown(&mut found, &mut reading.warnings);
        }
        if found.tables.is_empty() && !found.texts.is_empty() {
            reading.warnings.append(&mut found.warnings);
            layout::warn_of_archives(&found.archives, &mut reading.warnings);
            let learnt = targets::of_texts(reading.request)?;
            let rows = &mut |folder: &ClassFolder, _: &SingleFile, text: &str| {
                Ok(parts(text).into_iter().map(|it| folders::row(folder, it)).collect())
            };
            folders::read(folders::by_split(found.texts), learnt, ("text_folders", rows), reading)?;
        } else {
            let layout = layout::decide(found, true, &mut reading.warnings)?;
            let Layout::Tables(tables) = layout else {
                return Err(refusal::data("the drop holds no texts"));
            };
            let choice = reading.request.choice;
            let rows = &mut Rows { named: choice.text.clone(), split: choice.split_special_tokens };
            reading::tables(reading, tables, rows)?;
        }
        Ok(Box::new(Nothing))
    }

    fn named(&self, args: &[String], columns: &[String]) -> Result<Vec<Named>, Failure> {
        text::Kind.named(args, columns)
    }
}

/// Markdown is text, and is named since it may have been written about the others. Programs may
/// well have made them, so they are counted only.
fn take_markdown(found: &mut Inventory, warnings: &mut Vec<String>) {
    let is_markdown = |it: &SingleFile| it.name.to_ascii_lowercase().ends_with(".md");
    let writings = std::mem::take(&mut found.writings).into_iter();
    let (markdown, others): (Vec<_>, Vec<_>) = writings.partition(is_markdown);
    if let Some(first) = markdown.first() {
        let (n, first) = (markdown.len(), &first.name);
        warnings.push(format!("files of Markdown that are read as texts: {n} (first: {first})"));
    }
    found.texts.extend(markdown);
    found.texts.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(it) = layout::of_writings(&others).filter(|_| !found.texts.is_empty()) {
        warnings.push(format!("{it}; {}", layout::RENAMED));
    }
    found.writings = others;
}

/// A text whole, or in parts that end where a paragraph does, else a line, else a word.
fn parts(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut parts = Vec::new();
    while 2 * PART_BYTES < rest.len() {
        let most = rest.floor_char_boundary(2 * PART_BYTES);
        let ends = ["\n\n", "\n", " "].into_iter();
        let mut ends = ends.filter_map(|it| Some(rest[..most].rfind(it)? + it.len()));
        let end = ends.find(|it| PART_BYTES <= *it).unwrap_or(most);
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts.retain(|it| !it.trim().is_empty());
    if parts.is_empty() { vec![text] } else { parts }
}

struct Rows {
    /// By the recipe.
    named: Vec<String>,
    /// Special tokens that stand in a text are text.
    split: bool,
}

impl RowReader for Rows {
    fn columns(&self, table: &Table, _: &[usize]) -> Result<Vec<usize>, Failure> {
        let (file, columns) = (&table.source.name, &table.sample.columns);
        let refused = |message: String| {
            Err(refusal::data(message).with_cure(
                "name the column of texts in a job.toml in the drop: data.text = \"COLUMN\"",
            ))
        };
        match &self.named[..] {
            [] => {}
            [name] => return Ok(vec![names::named(file, columns, name)?]),
            several => {
                return refused(format!(
                    "data.text names {} columns, and one is read",
                    several.len()
                ));
            }
        }
        if let Some((why, cure)) = absent::conversations(table) {
            return Err(refusal::data(format!(
                "{file} {why}, and texts as they are are learnt here"
            ))
            .with_cure(cure));
        }
        let all: Vec<usize> = (0..columns.len()).collect();
        let of_texts = all.iter().copied().filter(|it| holds_texts(table, *it)).collect::<Vec<_>>();
        match (names::usual(columns, TEXT_NAMES, &all), &of_texts[..], &all[..]) {
            (Some(text), ..) | (None, &[text], _) | (None, _, &[text]) => Ok(vec![text]),
            _ => refused(format!(
                "{file}: which column is the text can't be told; its columns are {}",
                refusal::list(columns)
            )),
        }
    }

    fn unused(&self, table: &Table, inputs: &[usize], unused: &[usize]) -> Option<String> {
        let (file, columns) = (&table.source.name, &table.sample.columns);
        let marked =
            inputs.first().filter(|_| self.split).and_then(|it| doubts::marker(table, *it));
        let templated = marked.map(|it| {
            format!("{file}: nearly all texts hold `{it}`, which is read as letters; data.split_special_tokens = false reads the tokenizer's special tokens")
        });
        let other = unused.iter().find(|it| self.named.is_empty() && holds_texts(table, **it));
        let other =
            other.map(|it| format!("{file}: `{}` holds texts too, and is not read", columns[*it]));
        let both: Vec<String> = templated.into_iter().chain(other).collect();
        (!both.is_empty()).then(|| both.join("; "))
    }

    /// Labels and the like say nothing to this task.
    fn targets(&self, _: &Table, _: &[usize]) -> Option<Vec<usize>> {
        Some(Vec::new())
    }

    fn record(
        &mut self,
        _: (&str, u64),
        cells: Vec<Cell>,
        _: &mut Vec<Cell>,
    ) -> Usable<(Record, Option<Split>)> {
        let texts: Result<Box<[_]>, _> = cells.into_iter().map(text_of).collect();
        Ok(texts.map(|texts| (Record { texts, ..Record::default() }, None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_divided_and_nothing_of_it_is_lost() {
        let paragraph = "So it goes on and on, sentence after sentence. ".repeat(40);
        let long = vec![paragraph.as_str(); 30].join("\n\n");
        let found = parts(&long);
        assert!(3 < found.len() && found.concat() == long);
        assert!(found.iter().rev().skip(1).all(|it| it.ends_with("\n\n")));
        assert!(found.iter().all(|it| it.len() <= 2 * PART_BYTES));
        // No paragraph, no line, no word ends there, and a character has several bytes.
        let wall = "ü".repeat(30_000);
        assert_eq!(parts(&wall).concat(), wall);
        assert!(parts(&wall).len() == 4, "{}", parts(&wall).len());
        assert_eq!(parts("short"), ["short"]);
        assert_eq!(parts(" "), [" "], "an empty file is said to be empty");
    }
}
