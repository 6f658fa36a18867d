//! Takes images as they are listed, with what is to be learnt of them, and places them into splits.

use super::preflight::Judged;
use super::store::Writer;
use super::{At, ImageExample, Target};
use crate::classes::Classes;
use crate::layout;
use crate::quarantine::{Reason, Ward};
use crate::refusal;
use crate::sample::PerSplit;
use finetuned_job::data::FileReport;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;

pub(super) struct Gather {
    pub(super) ward: Ward,
    pub(super) store: Writer,
    pub(super) rows: u64,
    pub(super) classes: Classes,
    /// With the split that their place says, in the order of reading.
    pub(super) examples: Vec<(ImageExample, Option<Split>)>,
}

impl Gather {
    pub(super) fn new(ward: Ward, store: Writer) -> Gather {
        Gather { ward, store, rows: 0, classes: Classes::default(), examples: Vec::new() }
    }

    /// `file`, `line`: as in [`ImageExample`].
    pub(super) fn take(
        &mut self,
        (at, target): (At, Target),
        split: Option<Split>,
        file: u32,
        line: u64,
    ) {
        self.rows += 1;
        // The key is known once the bytes have been read.
        self.examples.push((ImageExample { at, target, key: 0, file, line }, split));
    }

    pub(super) fn refuse(
        &mut self,
        name: &str,
        line: Option<u64>,
        reason: &Reason,
    ) -> Result<(), Failure> {
        self.rows += 1;
        self.ward.admit(name, line, reason)
    }
}

/// Into the splits that their places name. All of one split are the whole data set, whatever it is
/// called.
pub(super) fn placed(
    judged: Vec<(Judged, Option<Split>)>,
    files: &[FileReport],
) -> Result<PerSplit<Vec<Judged>>, Failure> {
    let of = |wanted: Option<Split>| {
        judged.iter().find(|it| it.1 == wanted).map(|it| it.0.example.origin(files))
    };
    let named: Vec<String> = Split::ALL.iter().filter_map(|it| of(Some(*it))).collect();
    if let ([named, ..], Some(other)) = (&named[..], of(None)) {
        return Err(refusal::data(format!("{named} lies in a split and {other} does not"))
            .with_cure("put all images into train, validation or test, or none of them"));
    }
    if let ([named, _, ..], None) = (&named[..], of(Some(Split::Train))) {
        return Err(layout::no_train(named));
    }
    let alone = named.len() < 2;
    let mut examples = PerSplit::<Vec<Judged>>::default();
    for (it, split) in judged {
        let split = split.filter(|_| !alone).unwrap_or(Split::Train);
        examples.of_mut(split).push(it);
    }
    Ok(examples)
}

/// Class names in their final order; the targets are renumbered accordingly.
pub(super) fn order_classes(classes: Classes, examples: &mut PerSplit<Vec<Judged>>) -> Vec<String> {
    let (names, renumbered) = classes.ordered();
    for split in Split::ALL {
        for it in examples.of_mut(split) {
            match &mut it.example.target {
                Target::Class(class) => *class = renumbered[*class as usize],
                Target::Classes(classes) => {
                    classes.iter_mut().for_each(|it| *it = renumbered[*it as usize]);
                    classes.sort_unstable();
                }
                Target::Numbers(_) => {}
            }
        }
    }
    names
}
