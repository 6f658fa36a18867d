//! Takes rows as they are read and leaves what can be used: the input, what is right for it, and
//! where both stood.

use crate::example::{Example, Examples, Key, Origins, Record};
use crate::layout;
use crate::quarantine::{Reason, Ward};
use crate::refusal;
use crate::targets::Learnt;
use finetuned_answers::{Cell, Refused, Target};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::scores::Split;
use std::collections::BTreeMap;

/// Where a row stands.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) split: Option<Split>,
    /// Index into the report's files.
    pub(crate) file: u32,
    /// What the example remembers as its line.
    pub(crate) nth: u64,
    /// What messages call it.
    pub(crate) name: &'a str,
    /// Absent: the whole file.
    pub(crate) line: Option<u64>,
}

pub(crate) struct Gather {
    pub(crate) ward: Ward,
    pub(crate) rows: u64,
    pub(crate) empty_texts: u64,
    /// Rows that are left out without being at fault: by file and why, how many.
    left_out: BTreeMap<(String, &'static str), u64>,
    /// What is learnt, once that is known.
    pub(crate) learnt: Option<Learnt>,
    /// With the split that their place says, in the order of reading.
    pub(crate) examples: Vec<(Example, Option<Split>)>,
}

impl Gather {
    pub(crate) fn new(ward: Ward) -> Gather {
        Gather {
            ward,
            rows: 0,
            empty_texts: 0,
            left_out: BTreeMap::new(),
            learnt: None,
            examples: Vec::new(),
        }
    }

    /// `row`: what goes in, and a cell for each target column.
    pub(crate) fn take(
        &mut self,
        at: Place<'_>,
        row: Result<(Record, Vec<Cell>), Reason>,
    ) -> Result<(), Failure> {
        let usable = match row {
            Ok((record, cells)) => self.target(at.name, cells)?.map(|it| (record, it)),
            Err(reason) => Err(reason),
        };
        if let Err(Reason::LeftOut(why)) = usable {
            *self.left_out.entry((at.name.into(), why)).or_default() += 1;
            return Ok(());
        }
        self.rows += 1;
        let (record, target) = match usable {
            Ok(it) => it,
            Err(reason) => {
                self.empty_texts += u64::from(reason == Reason::EmptyText);
                return self.ward.admit(at.name, at.line, &reason);
            }
        };
        // That of an image is known once its bytes have been read.
        let key: Key = if record.image.is_some() { 0 } else { record.key() };
        let example = Example { record, target, key, file: at.file, line: at.nth };
        self.examples.push((example, at.split));
        Ok(())
    }

    /// In sentences.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = String> {
        let spoken = |((file, why), n): (&(String, _), _)| {
            format!("{file}: rows left out as they are {why}: {n}")
        };
        self.left_out.iter().map(spoken)
    }

    fn target(&mut self, file: &str, cells: Vec<Cell>) -> Result<Result<Target, Reason>, Failure> {
        let nothing = || Failure::new(FailureKind::Internal, "rows were read before their columns");
        let learnt = self.learnt.as_mut().ok_or_else(nothing)?;
        let is_open = matches!(&cells[..], [Cell::List(labels)] if labels.is_empty());
        match learnt.reader.read(cells) {
            Ok(target) => Ok(Ok(target)),
            // Where others have one label, an empty list is work that is still to be done.
            Err(Refused::Row(finetuned_answers::Reason::EmptyLabel)) if is_open => {
                Ok(Err(Reason::LeftOut("not labelled")))
            }
            Err(Refused::Row(reason)) => Ok(Err(Reason::Target(reason))),
            Err(Refused::All(mut failure)) => {
                failure.message = format!("{file}: {}", failure.message);
                Err(failure)
            }
        }
    }
}

/// Into the splits that their places name. All of one split are the whole data set, whatever it is
/// called.
pub(crate) fn placed(
    examples: Vec<(Example, Option<Split>)>,
    origins: &Origins,
) -> Result<Examples, Failure> {
    let of = |wanted: Option<Split>| {
        examples.iter().find(|it| it.1 == wanted).map(|it| origins.of(&it.0))
    };
    let named: Vec<String> = Split::ALL.iter().filter_map(|it| of(Some(*it))).collect();
    if let ([named, ..], Some(other)) = (&named[..], of(None)) {
        return Err(refusal::data(format!("{named} lies in a split and {other} does not"))
            .with_cure("put all examples into train, validation or test, or none of them"));
    }
    if let ([named, _, ..], None) = (&named[..], of(Some(Split::Train))) {
        return Err(layout::no_train(named));
    }
    let alone = named.len() < 2;
    let mut placed = Examples::default();
    for (it, split) in examples {
        placed.of_mut(split.filter(|_| !alone).unwrap_or(Split::Train)).push(it);
    }
    Ok(placed)
}
