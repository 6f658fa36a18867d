//! The model makes its answers itself: no column is learnt.

use crate::cell::Cell;
use crate::reading::{Columns, Look, Outputs, Refused, TargetKind, TargetReader};
use crate::target::Target;
use finetuned_job::outcome::Failure;
use finetuned_job::task::Answer;

pub(crate) struct Kind;

impl TargetKind for Kind {
    fn answer(&self) -> Answer {
        Answer::Completion
    }

    /// Nothing is learnt of a column.
    fn look(&self, _: &Columns<'_>) -> Look {
        Look::No
    }

    fn reader(&self, columns: &Columns<'_>) -> Result<Box<dyn TargetReader>, String> {
        match columns.names[..] {
            [] => Ok(Box::new(Reader)),
            [name, ..] => Err(format!(
                "`{name}` is to be learnt, but this task learns from rewards alone: leave data.label out of the recipe, and let a [[reward]] read it by `field`"
            )),
        }
    }

    fn all_alike(&self, _: usize, _: &Target, _: &[String]) -> Option<(String, &'static str)> {
        None
    }
}

struct Reader;

impl TargetReader for Reader {
    fn read(&mut self, _: Vec<Cell>) -> Result<Target, Refused> {
        Ok(Target::default())
    }

    fn finish(self: Box<Self>, _: &mut [&mut Target]) -> Result<Outputs, Failure> {
        Ok(Outputs::default())
    }
}
