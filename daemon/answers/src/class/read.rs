//! Cells -> one class each.

use crate::cell::Cell;
use crate::labels::{Labels, label_of};
use crate::reading::{Columns, Look, Outputs, Reason, Refused, TargetKind, TargetReader};
use crate::target::Target;
use finetuned_job::task::Answer;
use std::collections::HashSet;

pub(crate) struct Kind;

impl TargetKind for Kind {
    fn answer(&self) -> Answer {
        Answer::Class
    }

    /// Whatever else has not taken.
    fn look(&self, columns: &Columns<'_>) -> Look {
        let [name] = columns.names[..] else { return Look::No };
        let values: Vec<String> = columns.known(0).filter_map(|it| one(it.clone()).ok()).collect();
        let different = values.iter().collect::<HashSet<_>>().len();
        Look::Yes(reason(name, different as u64, values.len() as u64))
    }

    fn reader(&self, columns: &Columns<'_>) -> Result<Box<dyn TargetReader>, String> {
        let [name] = columns.names[..] else {
            return Err("one class stands in one column, but several are named".into());
        };
        let (mut n, mut wrong) = (0, Vec::new());
        for cell in columns.known(0) {
            n += 1;
            wrong.extend(one(cell.clone()).err());
        }
        // The rarer ones are left out, row by row.
        let many = n < 10 * wrong.len();
        let worst = wrong.iter().position(|it| *it != Reason::EmptyLabel).unwrap_or(0);
        match wrong.get(worst).filter(|_| many) {
            Some(why) => Err(format!("`{name}`: {why}")),
            None if is_measured(columns) => {
                Err(format!("`{name}` is a column of fractions that hardly recur"))
            }
            None => Ok(Box::new(Reader { column: name.into(), labels: Labels::default() })),
        }
    }

    fn stratum(&self, target: &Target) -> Option<u32> {
        target.classes().first().copied()
    }

    fn all_alike(&self, n: usize, target: &Target, outputs: &[String]) -> (String, &'static str) {
        let class = target.classes().first().and_then(|it| outputs.get(*it as usize));
        let class = class.map_or("", String::as_str);
        (
            format!("all {n} examples have the label `{class}`"),
            "a classifier needs two classes at least",
        )
    }
}

/// Fractions of which each has a value of its own: nobody writes classes so.
fn is_measured(columns: &Columns<'_>) -> bool {
    let numbers: Vec<f64> = columns.known(0).filter_map(|it| it.number(true)).collect();
    let different: HashSet<u64> = numbers.iter().map(|it| it.to_bits()).collect();
    numbers.iter().any(|it| it.fract() != 0.0)
        && columns.nearly_all(0, |it| it.number(true).is_some())
        && numbers.len() < 2 * different.len()
}

fn reason(column: &str, different: u64, all: u64) -> String {
    let recur = if 2 * different <= all { " that recur" } else { "" };
    let values = if different == 1 { "value" } else { "values" };
    format!("`{column}` has {different} {values}{recur}: classes are learnt")
}

struct Reader {
    column: String,
    labels: Labels,
}

impl TargetReader for Reader {
    fn read(&mut self, mut cells: Vec<Cell>) -> Result<Target, Refused> {
        let label = one(cells.pop().unwrap_or(Cell::Missing))?;
        Ok(Target::of_classes([self.labels.number(label)?]))
    }

    fn reason(&self) -> Option<String> {
        let (different, all) = self.labels.counts();
        Some(reason(&self.column, different, all))
    }

    fn finish(self: Box<Self>) -> Outputs {
        self.labels.finish()
    }
}

/// A list of one label is that label.
fn one(cell: Cell) -> Result<String, Reason> {
    match cell {
        Cell::List(mut labels) => match (labels.pop(), labels.len()) {
            (None, _) => Err(Reason::EmptyLabel),
            (Some(only), 0) => label_of(only),
            (Some(_), others) => Err(Reason::SeveralLabels(others + 1)),
        },
        other => label_of(other),
    }
}
