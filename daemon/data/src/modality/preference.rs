//! Answers of which one is wanted and another not: `prompt`, `chosen` and `rejected` as TRL has
//! them, whole conversations that share their beginning, or answers with a verdict each (`prompt`,
//! `completion`, `label`). Whatever the form, a record is one text: JSON with `messages`, what is
//! answered, and `chosen` and `rejected`, or `completion`; perhaps `tools` and `margin`.

mod answers; // cells -> what is answered, and answers to it
mod undecided; // answers of which another column says which is wanted
mod form; // which columns hold what
mod overlaps; // questions of several splits, pairs of both orders

use super::chat::{absent, columns_of, doubts, message, messages};
use super::parts::Wanted;
use super::{Content, Modal, Named};
use crate::example::Record;
use crate::inventory::Inventory;
use crate::quarantine::Usable;
use crate::reading::{self, Reading, RowReader};
use crate::refusal;
use crate::table::Table;
use answers::Part;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::DataChoice;
use finetuned_job::scores::Split;
use finetuned_job::task::{Modality, Objective};
use form::Form;
use std::cell::OnceCell;
use std::path::Path;

pub(super) struct Kind;

impl Modal for Kind {
    fn modality(&self) -> Modality {
        Modality::Preference
    }

    fn recognises(&self, found: &Inventory, choice: &DataChoice) -> bool {
        super::chat::is_unnamed(found, choice, form::is_clear)
    }

    fn read(
        &self,
        _: &Path,
        found: Inventory,
        reading: &mut Reading<'_, '_>,
    ) -> Result<Box<dyn Content>, Failure> {
        let tables = WANTED.tables(found, reading)?;
        let named = reading.request.choice.text.clone();
        let scores = reading.request.task.is_some_and(|it| it.objective == Objective::Rewards);
        let form = OnceCell::new();
        let mut rows =
            Rows { named, scores, form, scored: 0, behind: Vec::new(), below: Vec::new() };
        reading::tables(reading, tables, &mut rows)?;
        reading.warnings.extend(rows.warnings());
        Ok(Box::new(overlaps::Overlaps))
    }

    /// A text is a question; a list of messages is a conversation, which may end with an answer.
    fn named(&self, args: &[String], columns: &[String]) -> Result<Vec<Named>, Failure> {
        super::chat::Kind.named(args, columns)
    }
}

const WANTED: Wanted = Wanted {
    records: "preferences",
    absent: |table| undecided::refusal(table).or_else(|| absent::why(table)),
    cure: "it takes JSON Lines, JSON, Parquet or CSV with `prompt`, `chosen` and `rejected` (texts or lists of messages), with `chosen` and `rejected` as whole conversations, or with `prompt`, `completion` and `label` (true or false); other columns are named in a job.toml: data.text = [\"PROMPT\", \"CHOSEN\", \"REJECTED\"], or data.text = [\"PROMPT\", \"COMPLETION\"] and data.label = \"LABEL\"",
};

struct Rows {
    /// By the recipe.
    named: Vec<String>,
    /// Rewards are learnt, of pairs alone.
    scores: bool,
    /// Once the first table has shown it.
    form: OnceCell<Form>,
    /// Pairs of which both answers have a score.
    scored: u64,
    /// Those whose wanted answer has the lower one: table and line.
    behind: Vec<(String, u64)>,
    /// Those whose margin is below 0.
    below: Vec<(String, u64)>,
}

impl Rows {
    /// That scores or margins and the order disagree.
    fn warnings(&self) -> impl Iterator<Item = String> {
        let lines = |of: &[(String, u64)]| {
            let lines = of.iter().map(|it| format!("{} line {}", it.0, it.1));
            refusal::list(&lines.collect::<Vec<_>>())
        };
        let behind = (!self.behind.is_empty()).then(|| {
            format!(
                "the chosen answer has the lower score in {} of {} pairs ({}): margins of both signs are a sign of swapped rows, or of a score that says something else; they are learnt as they stand",
                self.behind.len(),
                self.scored,
                lines(&self.behind)
            )
        });
        let below = (!self.below.is_empty()).then(|| {
            format!(
                "pairs whose margin is below 0: {} ({}); margins of both signs are a sign of swapped rows; they are learnt as they stand",
                self.below.len(),
                lines(&self.below)
            )
        });
        behind.into_iter().chain(below)
    }
}

impl RowReader for Rows {
    fn columns(&self, table: &Table, targets: &[usize]) -> Result<Vec<usize>, Failure> {
        let found = form::find(table, &self.named, targets)?;
        let found = found.ok_or_else(|| WANTED.none_in(table))?;
        if self.scores && found.verdict.is_some() {
            let file = &table.source.name;
            let message = format!("{file} has answers alone, but rewards are learnt of pairs");
            return Err(refusal::data(message)
                .with_cure("drop `prompt`, `chosen` and `rejected`, or set task to `preference`"));
        }
        let places = columns_of(&found.parts);
        doubts::check(table, &places, !self.named.is_empty())?;
        let _ = self.form.set(found);
        Ok(places)
    }

    /// Which of two answers is wanted stands in the input itself.
    fn targets(&self, _: &Table, _: &[usize]) -> Option<Vec<usize>> {
        Some(self.form.get().and_then(|it| it.verdict).into_iter().collect())
    }

    fn record(
        &mut self,
        (table, line): (&str, u64),
        cells: Vec<Cell>,
        _: &mut Vec<Cell>,
    ) -> Usable<(Record, Option<Split>)> {
        let parts = self.form.get().map(|it| &it.parts[..]).unwrap_or_default();
        let parts = parts.iter().map(|it: &(Part, usize)| it.0);
        let found = match answers::of_cells(parts.zip(cells)) {
            Ok(it) => it,
            Err(reason) => return Ok(Err(reason)),
        };
        if found.margin.is_some_and(|it| it < 0.0) {
            self.below.push((table.into(), line));
        }
        if let Some((chosen, rejected)) = found.scores {
            self.scored += 1;
            if chosen < rejected {
                self.behind.push((table.into(), line));
            }
        }
        Ok(Ok((Record::of_text(found.json), None)))
    }
}
