//! A sentence goes in, and its words are tagged: lists of words with lists of tags (CoNLL files are
//! such tables too), or texts with spans of characters, which may stand in files of their own.
//! Sentences stay whole.

mod form; // which columns hold words, texts, tags, spans
mod cut; // a text -> its words
mod spans; // spans of characters -> a tag for each word
mod standoff; // a text and the file of its spans -> texts with spans

use super::text::folders;
use super::{Content, Modal, Named, Nothing};
use crate::example::Record;
use crate::inventory::{Inventory, SingleFile};
use crate::layout::{self, ClassFolder, Layout};
use crate::names;
use crate::quarantine::{Reason, Usable};
use crate::reading::{self, Reading, RowReader, text_of};
use crate::refusal;
use crate::source::Source;
use crate::table::Table;
use crate::targets;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::DataChoice;
use finetuned_job::scores::Split;
use finetuned_job::task::Modality;
use std::path::Path;

pub(super) struct Kind;

impl Modal for Kind {
    fn modality(&self) -> Modality {
        Modality::Words
    }

    fn recognises(&self, found: &Inventory, choice: &DataChoice) -> bool {
        // What is wrong with a table is said when it is read.
        let holds = |it: &Table| match &choice.label {
            None => form::find(it, &choice.text, None).is_some(),
            Some(label) => names::find(&it.sample.columns, label)
                .is_some_and(|label| form::find(it, &choice.text, Some(label)).is_some()),
        };
        found.tables.iter().any(|it| it.glance().is_some_and(holds))
            || (found.tables.is_empty() && !found.spans.is_empty())
    }

    fn read(
        &self,
        _: &Path,
        found: Inventory,
        reading: &mut Reading<'_, '_>,
    ) -> Result<Box<dyn Content>, Failure> {
        let mut rows = Rows {
            named: reading.request.choice.text.clone(),
            label: reading.request.labels().first().map(|it| (*it).to_owned()),
            spaced: std::cell::Cell::default(),
            widened: 0,
            spans: 0,
        };
        if found.tables.is_empty() && !found.spans.is_empty() {
            read_pairs(found, &mut rows, reading)?;
        } else {
            read_tables(found, &mut rows, reading)?;
        }
        check_spans(&rows)?;
        if 0 < rows.widened {
            reading.warnings.push(format!(
                "spans that began or ended within a word were widened to whole words: {}",
                rows.widened
            ));
        }
        Ok(Box::new(Nothing))
    }

    /// Texts, whose words are cut out of them.
    fn named(&self, args: &[String], columns: &[String]) -> Result<Vec<Named>, Failure> {
        let mut found = super::text::Kind.named(args, columns)?;
        for it in &mut found {
            it.record.words = it.record.texts.first().map(|it| cut::words(it)).unwrap_or_default();
        }
        Ok(found)
    }
}

const CURE: &str = "it takes CoNLL files, tables of `tokens` and `tags` that are lists, or of `text` and `spans` with start, end and label in characters; other columns are named in a job.toml: data.text and data.label";

fn read_tables(
    found: Inventory,
    rows: &mut Rows,
    reading: &mut Reading<'_, '_>,
) -> Result<(), Failure> {
    let asked = reading.request.task.is_some();
    let Layout::Tables(tables) = layout::decide(found, asked, &mut reading.warnings)? else {
        return Err(refusal::data("folders of texts have no tags of words").with_cure(CURE));
    };
    reading::tables(reading, tables, rows)
}

/// Each text with the file of its spans beside it.
fn read_pairs(
    mut found: Inventory,
    rows: &mut Rows,
    reading: &mut Reading<'_, '_>,
) -> Result<(), Failure> {
    reading.warnings.append(&mut found.warnings);
    layout::warn_of_archives(&found.archives, &mut reading.warnings);
    let pairs = standoff::by_text(&found.spans);
    let (texts, alone): (Vec<_>, Vec<_>) =
        found.texts.into_iter().partition(|it| pairs.contains_key(&it.name));
    if let Some(first) = alone.first() {
        let (n, first) = (alone.len(), &first.name);
        reading.warnings.push(format!(
            "texts that have no .ann with spans beside them were left out: {n} (first: {first})"
        ));
    }
    let learnt = targets::of_spans(reading.request, reading.modality)?;
    let of_file = &mut |_: &ClassFolder, file: &SingleFile, text: &str| {
        let Some(spans) = pairs.get(&file.name) else { return Ok(Vec::new()) };
        let spans = match folders::text(&Source::open(&spans.path, &spans.name)?)? {
            Ok((spans, _)) => spans,
            Err(why) => return Ok(vec![Err(why)]),
        };
        let pieces = standoff::pieces(text, &spans).unwrap_or_else(|why| vec![Err(why)]);
        let given = pieces.into_iter().map(|piece| {
            let (text, spans) = piece?;
            let mut targets = vec![spans];
            Ok((rows.of_spans(Cell::Text(text), &mut targets)?, targets))
        });
        Ok(given.collect())
    };
    folders::read(folders::by_split(texts), learnt, ("brat", of_file), reading)
}

struct Rows {
    /// By the recipe.
    named: Vec<String>,
    label: Option<String>,
    /// Whether words and tags stand between blanks, once a table has shown it.
    spaced: std::cell::Cell<bool>,
    /// Spans that cut words, of all.
    widened: u64,
    spans: u64,
}

/// Refused where nearly all spans cut words: they count something else than characters.
fn check_spans(rows: &Rows) -> Result<(), Failure> {
    /// Of fewer, chance may be the cause.
    const SPANS_MIN: u64 = 10;
    let Rows { widened, spans, .. } = *rows;
    if spans < SPANS_MIN || 10 * widened < 9 * spans {
        return Ok(());
    }
    Err(refusal::data(format!(
        "{widened} of {spans} spans begin or end within a word, so they count something else than the characters of the text"
    ))
    .with_cure("let start and end be numbers of Unicode characters from 0, as Python counts them: neither bytes nor UTF-16 units, as JavaScript counts, and of the text as it stands in the file"))
}

impl Rows {
    fn find(&self, table: &Table) -> Option<form::Found> {
        let label = self.label.as_deref().and_then(|it| names::find(&table.sample.columns, it));
        form::find(table, &self.named, label)
    }
}

impl RowReader for Rows {
    fn columns(&self, table: &Table, _: &[usize]) -> Result<Vec<usize>, Failure> {
        let found = self.find(table).ok_or_else(|| {
            refusal::data(format!(
                "{} has no words with a tag for each, and no texts with spans; its columns are {}",
                table.source.name,
                refusal::list(&table.sample.columns)
            ))
            .with_cure(CURE)
        })?;
        self.spaced.set(found.spaced);
        Ok(found.inputs)
    }

    fn targets(&self, table: &Table, _: &[usize]) -> Option<Vec<usize>> {
        self.find(table).map(|it| vec![it.target])
    }

    fn record(
        &mut self,
        _: (&str, u64),
        cells: Vec<Cell>,
        targets: &mut Vec<Cell>,
    ) -> Usable<(Record, Option<Split>)> {
        let mut cells = cells.into_iter();
        let mut input = cells.next().unwrap_or(Cell::Missing);
        if self.spaced.get() {
            [&mut input].into_iter().chain(targets.iter_mut()).for_each(divide);
        }
        let record = match (input, cells.next()) {
            (Cell::List(words), more) => of_words(words, more.as_ref(), targets),
            (input, _) => self.of_spans(input, targets),
        };
        Ok(record.map(|it| (it, None)))
    }
}

/// A text becomes the list of what stands between its blanks.
fn divide(cell: &mut Cell) {
    if let Cell::Text(text) = cell {
        *cell = Cell::List(text.split_whitespace().map(|it| Cell::Text(it.into())).collect());
    }
}

impl Rows {
    fn of_spans(&mut self, input: Cell, targets: &mut [Cell]) -> Result<Record, Reason> {
        let raw = form::text(input);
        let text = text_of(raw.clone())?;
        let Cell::Text(raw) = raw else { return Err(Reason::EmptyText) };
        let words = cut::words(&text);
        let Some(target) = targets.first_mut() else { return Err(spans::none()) };
        let (tags, widened) = spans::tags(&raw, &words, std::mem::replace(target, Cell::Missing))?;
        self.spans += tags.iter().filter(|it| it.starts_with('B')).count() as u64;
        *target = Cell::List(tags.into_iter().map(Cell::Text).collect());
        self.widened += widened;
        Ok(Record { texts: [text].into(), words, ..Record::default() })
    }
}

/// Joined by spaces, but where CoNLL-U says that none is there. `misc`: of each word.
fn of_words(words: Vec<Cell>, misc: Option<&Cell>, targets: &[Cell]) -> Result<Record, Reason> {
    let tags = match targets.first() {
        Some(Cell::List(tags)) => tags.len(),
        _ => {
            return Err(Reason::Own("words without a list of tags", "the tags are no list".into()));
        }
    };
    if tags != words.len() {
        let why = format!("{} words and {tags} tags", words.len());
        return Err(Reason::Own("as many words as tags are needed", why));
    }
    let glued = |word: usize| match misc {
        Some(Cell::List(misc)) => {
            matches!(misc.get(word), Some(Cell::Text(it)) if it.split('|').any(|it| it.trim() == "SpaceAfter=No"))
        }
        _ => false,
    };
    let (mut text, mut places) = (String::new(), Vec::new());
    for (nth, word) in words.into_iter().enumerate() {
        let word = text_of(word).map_err(|why| match why {
            Reason::EmptyText => Reason::Own("an empty word", format!("word {} is empty", nth + 1)),
            other => other,
        })?;
        if 0 < nth && !glued(nth - 1) {
            text.push(' ');
        }
        let start = text.len() as u32;
        text.push_str(&word);
        places.push((start, text.len() as u32));
    }
    if places.is_empty() {
        return Err(Reason::EmptyText);
    }
    Ok(Record { words: places.into(), ..Record::of_text(text) })
}
