//! Verdicts over answers. A pair has none: which of its answers is wanted stands in the input. An
//! answer alone is wanted or it is not.

use crate::cell::Cell;
use crate::reading::{Columns, Look, Outputs, Reason, Refused, TargetKind, TargetReader};
use crate::target::Target;
use finetuned_job::outcome::Failure;
use finetuned_job::task::Answer;

/// What answers alone are, by their class numbers.
pub(super) const UNPAIRED: [&str; 2] = ["unwanted", "wanted"];
pub(super) const WANTED: u32 = 1;
/// Of pairs there is one output.
const REWARD: &str = "reward";

pub(crate) struct Kind;

impl TargetKind for Kind {
    fn answer(&self) -> Answer {
        Answer::Reward
    }

    /// The input says it.
    fn look(&self, _: &Columns<'_>) -> Look {
        Look::No
    }

    fn reader(&self, columns: &Columns<'_>) -> Result<Box<dyn TargetReader>, String> {
        match columns.names.len() {
            0 | 1 => Ok(Box::new(Reader { column: columns.names.first().map(|it| (*it).into()) })),
            n => Err(format!("{n} columns of verdicts, and an answer has one")),
        }
    }

    fn label_names(&self, outputs: &[String]) -> Vec<String> {
        if outputs == UNPAIRED { outputs.to_vec() } else { Vec::new() }
    }

    fn all_alike(&self, n: usize, target: &Target, _: &[String]) -> Option<(String, &'static str)> {
        let name = UNPAIRED[*target.classes().first()? as usize];
        Some((
            format!("all {n} answers are {name}, so that nothing can be told from it"),
            "add answers of the other kind, or drop prompts and completions for `text-generation`",
        ))
    }
}

struct Reader {
    /// Of verdicts; none of pairs.
    column: Option<String>,
}

impl TargetReader for Reader {
    fn read(&mut self, cells: Vec<Cell>) -> Result<Target, Refused> {
        let (Some(column), [cell]) = (&self.column, &cells[..]) else {
            return Ok(Target::default());
        };
        match cell.yes_or_no() {
            Some(wanted) => Ok(Target::of_classes([u32::from(wanted)])),
            None if cell.is_missing() => Err(Reason::EmptyLabel.into()),
            None => Err(Reason::NotZeroOrOne(column.clone(), cell.shown()).into()),
        }
    }

    fn finish(self: Box<Self>, _: &mut [&mut Target]) -> Result<Outputs, Failure> {
        let names = match self.column {
            Some(_) => UNPAIRED.map(String::from).into(),
            None => vec![REWARD.into()],
        };
        Ok(Outputs { names, ..Outputs::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_yes_or_no() {
        let columns = Columns { names: vec!["label"], rows: Vec::new() };
        let mut reader = Kind.reader(&columns).unwrap();
        let mut read = |it: Cell| match reader.read(vec![it]) {
            Ok(target) => Ok(target.classes().to_vec()),
            Err(Refused::Row(reason)) => Err(reason.to_string()),
            Err(Refused::All(failure)) => panic!("{failure}"),
        };
        assert_eq!(read(Cell::Bool(true)), Ok(vec![1]));
        assert_eq!(read(Cell::Text("False".into())), Ok(vec![0]));
        assert_eq!(read(Cell::Integer(1)), Ok(vec![1]));
        assert_eq!(read(Cell::Integer(3)), Err("`label` is 3, neither 0 nor 1".into()));
        assert_eq!(
            read(Cell::Text("perhaps".into())),
            Err("`label` is `perhaps`, neither 0 nor 1".into())
        );
        assert_eq!(read(Cell::Missing), Err("empty label".into()));
    }
}
