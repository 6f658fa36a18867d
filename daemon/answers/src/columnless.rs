//! Reads nothing: answers that no column holds, since the input is its own target or the model
//! makes them itself.

use crate::cell::Cell;
use crate::reading::{Columns, Look, Outputs, Refused, TargetKind, TargetReader};
use crate::target::Target;
use finetuned_job::outcome::Failure;
use finetuned_job::task::Answer;

pub(crate) struct Columnless {
    pub answer: Answer,
    /// What is learnt from instead, and what to do with a column: the end of a sentence.
    pub instead: &'static str,
}

impl TargetKind for Columnless {
    fn answer(&self) -> Answer {
        self.answer
    }

    fn look(&self, _: &Columns<'_>) -> Look {
        Look::No
    }

    fn reader(&self, columns: &Columns<'_>) -> Result<Box<dyn TargetReader>, String> {
        match columns.names[..] {
            [] => Ok(Box::new(Reader)),
            [name, ..] => Err(format!("`{name}` is to be learnt, but {}", self.instead)),
        }
    }

    /// The inputs differ.
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
