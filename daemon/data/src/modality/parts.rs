//! Tables of which several columns together are one record: what each column holds is decided
//! once, by the first table, and a row is read by that. Which columns those are, and what becomes
//! of their cells, is each kind's own.

use crate::example::Record;
use crate::inventory::Inventory;
use crate::layout::{self, Layout};
use crate::quarantine::{Reason, Usable};
use crate::reading::{Reading, RowReader};
use crate::refusal;
use crate::table::{Table, TableFile};
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use std::cell::OnceCell;

/// What a kind calls its records in sentences, and what else a drop could be made to.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub records: &'static str,
    pub cure: &'static str,
    /// Why a table holds none, and what helps, where that is known.
    pub absent: fn(&Table) -> Option<(String, String)>,
}

impl Wanted {
    /// # Errors
    /// Folders of files.
    pub(super) fn tables(
        self,
        found: Inventory,
        reading: &mut Reading<'_, '_>,
    ) -> Result<Vec<(TableFile, Option<Split>)>, Failure> {
        match layout::decide(found, true, &mut reading.warnings)? {
            Layout::Tables(tables) => Ok(tables),
            Layout::Folders(_) => {
                let message = format!("folders of texts hold no {}", self.records);
                Err(refusal::data(message).with_cure(self.cure))
            }
        }
    }

    /// That a table holds none.
    pub(super) fn none_in(self, table: &Table) -> Failure {
        let (file, columns) = (&table.source.name, refusal::list(&table.sample.columns));
        if let Some((why, cure)) = (self.absent)(table) {
            let message = format!("{file} holds no {}: {why}", self.records);
            return refusal::data(message).with_cure(cure);
        }
        refusal::data(format!("{file} holds no {}; its columns are {columns}", self.records))
            .with_cure(self.cure)
    }
}

/// Of records that say themselves what is learnt of them.
pub(super) struct Parts<P> {
    /// By the recipe.
    named: Vec<String>,
    wanted: Wanted,
    /// Table, columns that the recipe names, columns of targets -> columns, and what each holds.
    find: Find<P>,
    read: fn(&[P], Vec<Cell>) -> Result<Record, Reason>,
    /// What is to be said of a table that is read, or nothing.
    pub note: Note<P>,
    /// Once the first table has shown it.
    found: OnceCell<Vec<P>>,
}

pub(super) type Note<P> = fn(&Table, &[(P, usize)]) -> Option<String>;
pub(super) type Find<P> =
    fn(&Table, &[String], &[usize]) -> Result<Option<Vec<(P, usize)>>, Failure>;

impl<P: Clone> Parts<P> {
    pub(super) fn new(
        named: &[String],
        wanted: Wanted,
        find: Find<P>,
        read: fn(&[P], Vec<Cell>) -> Result<Record, Reason>,
    ) -> Parts<P> {
        Parts {
            named: named.to_vec(),
            wanted,
            find,
            read,
            note: |_, _| None,
            found: OnceCell::new(),
        }
    }
}

impl<P: Clone> RowReader for Parts<P> {
    fn columns(&self, table: &Table, targets: &[usize]) -> Result<Vec<usize>, Failure> {
        let found = (self.find)(table, &self.named, targets)?;
        let (parts, places) = found.ok_or_else(|| self.wanted.none_in(table))?.into_iter().unzip();
        let _ = self.found.set(parts);
        Ok(places)
    }

    fn unused(&self, table: &Table, inputs: &[usize], _: &[usize]) -> Option<String> {
        let parts = self.found.get()?.iter().cloned().zip(inputs.iter().copied());
        (self.note)(table, &parts.collect::<Vec<_>>())
    }

    /// What is learnt stands in the record itself.
    fn targets(&self, _: &Table, _: &[usize]) -> Option<Vec<usize>> {
        Some(Vec::new())
    }

    fn record(
        &mut self,
        _: (&str, u64),
        cells: Vec<Cell>,
        _: &mut Vec<Cell>,
    ) -> Usable<(Record, Option<Split>)> {
        let parts = self.found.get().map(Vec::as_slice).unwrap_or_default();
        Ok((self.read)(parts, cells).map(|it| (it, None)))
    }
}
