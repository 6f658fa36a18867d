//! Two texts go in, from two columns of a table: those that a recipe names, else two that people
//! call so together.

use super::text::named::{self, Wanted};
use super::text::{holds_texts, rival};
use super::{Content, Modal, Named, Nothing};
use crate::example::Record;
use crate::inventory::Inventory;
use crate::layout::{self, Layout};
use crate::names;
use crate::quarantine::Usable;
use crate::reading::{self, Reading, RowReader, text_of};
use crate::refusal;
use crate::table::{Table, TableFile};
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::DataChoice;
use finetuned_job::scores::Split;
use finetuned_job::task::Modality;
use std::path::Path;

/// What people call two texts that belong together, the surest first.
const PAIR_NAMES: &[[&str; 2]] = &[
    ["sentence1", "sentence2"],
    ["sentence_1", "sentence_2"],
    ["sentence_a", "sentence_b"],
    ["premise", "hypothesis"],
    ["question1", "question2"],
    ["question_1", "question_2"],
    ["text_a", "text_b"],
    ["text1", "text2"],
    ["text_1", "text_2"],
    ["#1 string", "#2 string"],
    ["text", "text_pair"],
    ["query", "passage"],
    ["query", "document"],
    ["query", "text"],
    ["claim", "evidence"],
    ["question", "sentence"],
    ["question", "passage"],
    ["question", "context"],
    ["question", "answer"],
];

pub(super) struct Kind;

impl Modal for Kind {
    fn modality(&self) -> Modality {
        Modality::TextPair
    }

    fn recognises(&self, found: &Inventory, choice: &DataChoice) -> bool {
        match &choice.text[..] {
            [] => found.tables.iter().any(has_usual),
            named => named.len() == 2,
        }
    }

    fn read(
        &self,
        _: &Path,
        found: Inventory,
        reading: &mut Reading<'_, '_>,
    ) -> Result<Box<dyn Content>, Failure> {
        let Layout::Tables(tables) =
            layout::decide(found, reading.request.task.is_some(), &mut reading.warnings)?
        else {
            return Err(refusal::data("folders of texts hold no pairs")
                .with_cure("drop a table with two columns of texts"));
        };
        let named = reading.request.choice.text.clone();
        reading::tables(reading, tables, &mut Rows { named })?;
        Ok(Box::new(Nothing))
    }

    fn named(&self, args: &[String], columns: &[String]) -> Result<Vec<Named>, Failure> {
        named::inputs(args, &Wanted { texts: 2, columns, usual: usual_or_only })
    }
}

/// What is wrong with a table is named when it is read. Of a table of two columns one is what is
/// learnt.
fn has_usual(file: &TableFile) -> bool {
    file.glance().is_some_and(|it| 2 < it.sample.columns.len() && of_table(it).is_some())
}

/// Where no column has a name, the only two that hold texts: nothing is lost by reading both.
fn of_table(table: &Table) -> Option<Vec<usize>> {
    let columns = &table.sample.columns;
    if !table.sample.headerless {
        return usual(columns);
    }
    let texts = (0..columns.len()).filter(|it| holds_texts(table, *it));
    Some(texts.collect::<Vec<_>>()).filter(|it| it.len() == 2)
}

fn usual(columns: &[String]) -> Option<Vec<usize>> {
    let all: Vec<usize> = (0..columns.len()).collect();
    let both = |names: &[&str; 2]| -> Option<Vec<usize>> {
        names.iter().map(|it| names::usual(columns, &[it], &all)).collect()
    };
    PAIR_NAMES.iter().find_map(both)
}

/// Of a table to be predicted.
fn usual_or_only(columns: &[String]) -> Option<Vec<usize>> {
    usual(columns).or_else(|| (columns.len() == 2).then(|| vec![0, 1]))
}

struct Rows {
    /// By the recipe.
    named: Vec<String>,
}

impl RowReader for Rows {
    fn columns(&self, table: &Table, _: &[usize]) -> Result<Vec<usize>, Failure> {
        let (file, columns) = (&table.source.name, &table.sample.columns);
        let cure =
            "name the two columns in a job.toml in the drop: data.text = [\"FIRST\", \"SECOND\"]";
        match &self.named[..] {
            [] => of_table(table).ok_or_else(|| {
                refusal::data(format!(
                    "{file}: which two columns are the pair can't be told; its columns are {}",
                    refusal::list(columns)
                ))
                .with_cure(cure)
            }),
            [first, second] if first != second => {
                [first, second].iter().map(|it| names::named(file, columns, it)).collect()
            }
            named => Err(refusal::data(format!(
                "data.text names {}, and a pair has two columns",
                refusal::list(named)
            ))
            .with_cure(cure)),
        }
    }

    fn unused(&self, table: &Table, inputs: &[usize], unused: &[usize]) -> Option<String> {
        if let ([], true, [.., last]) = (&self.named[..], table.sample.headerless, inputs) {
            let (file, last) = (&table.source.name, &table.sample.columns[*last]);
            return Some(format!(
                "{file}: two columns hold texts, and are read as a pair; data.text = {last:?} reads one alone"
            ));
        }
        rival(table, inputs, unused)
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
