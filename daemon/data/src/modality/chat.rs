//! Conversations go in, of which a model learns the answers: lists of messages as OpenAI, ShareGPT
//! and TRL write them, or a question and its answer in columns of their own. Whatever the form, a
//! record is one text: JSON with `messages`, each of a `role` and a `content`, and perhaps `tools`.
//!
//! How messages become the text that a model reads is its chat template's to say.

pub(super) mod message; // who says what, and whether it is learnt
pub(super) mod marks; // turns in one text
pub(super) mod messages; // cells -> messages in an order that a conversation can have
pub(super) mod form; // which columns hold messages, questions, answers
pub(super) mod doubts; // what would be learnt otherwise than it is meant
pub(super) mod absent; // why a table has no conversations

pub use message::LEARNT;

use super::parts::{Parts, Wanted};
use super::questions::Questions;
use super::{Content, Modal, Named};
use crate::example::Record;
use crate::inventory::Inventory;
use crate::reading::{self, Reading};
use crate::table::Table;
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::DataChoice;
use finetuned_job::task::Modality;
use std::path::Path;

pub(super) struct Kind;

pub(super) fn columns_of<P>(parts: &[(P, usize)]) -> Vec<usize> {
    parts.iter().map(|it| it.1).collect()
}

/// Whether a table is clearly of such a form, and nobody says otherwise.
pub(super) fn is_unnamed(
    found: &Inventory,
    choice: &DataChoice,
    is_clear: fn(&Table) -> bool,
) -> bool {
    let nobody_says_otherwise = choice.label.is_none() && choice.text.is_empty();
    nobody_says_otherwise && found.tables.iter().any(|it| it.glance().is_some_and(is_clear))
}

/// Columns of a question and of its answer, by the names that people give them together.
pub(super) fn question_and_answer(table: &Table) -> Option<[usize; 2]> {
    let parts = form::find(table, &[]).ok()??;
    let place = |part| parts.iter().find(|it| it.0 == part).map(|it| it.1);
    Some([place(messages::Part::Question)?, place(messages::Part::Answer)?])
}

impl Modal for Kind {
    fn modality(&self) -> Modality {
        Modality::Chat
    }

    fn recognises(&self, found: &Inventory, choice: &DataChoice) -> bool {
        is_unnamed(found, choice, form::is_clear)
    }

    fn read(
        &self,
        _: &Path,
        found: Inventory,
        reading: &mut Reading<'_, '_>,
    ) -> Result<Box<dyn Content>, Failure> {
        let tables = WANTED.tables(found, reading)?;
        let mut rows = Parts::new(
            &reading.request.choice.text,
            WANTED,
            |table, named, _| {
                let found = form::find(table, named)?;
                if let Some(parts) = &found {
                    let (inputs, is_named) = (columns_of(parts), !named.is_empty());
                    doubts::check(table, &inputs, is_named)?;
                    doubts::check_keys(table, parts)?;
                    doubts::check_answers(table, parts, is_named)?;
                }
                Ok(found)
            },
            |parts, cells| {
                messages::of_cells(parts.iter().copied().zip(cells)).map(Record::of_text)
            },
        );
        rows.note = doubts::thoughts;
        reading::tables(reading, tables, &mut rows)?;
        Ok(Box::new(Questions))
    }

    /// A text is a question; a list of messages is a conversation that is to go on.
    fn named(&self, args: &[String], columns: &[String]) -> Result<Vec<Named>, Failure> {
        let columns = columns.get(..1).unwrap_or_default();
        let mut found = super::text::Kind.named(args, columns)?;
        for it in &mut found {
            let text = it.record.texts.first().map(|it| &**it).unwrap_or_default();
            it.record = Record::of_text(messages::question(text));
        }
        Ok(found)
    }
}

const WANTED: Wanted = Wanted {
    records: "conversations",
    absent: absent::why,
    cure: "it takes JSON Lines or Parquet with `messages` (lists of role and content), or columns of questions and answers such as `prompt` and `completion`, or `instruction`, `input` and `output`; other columns are named in a job.toml: data.text = [\"QUESTION\", \"ANSWER\"]",
};
