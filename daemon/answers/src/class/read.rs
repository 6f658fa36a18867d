//! Cells -> one class each.

use crate::cell::Cell;
use crate::labels::{Labels, is_code, label_of};
use crate::numbers;
use crate::reading::{Columns, Look, Outputs, Reason, Refused, TargetKind, TargetReader};
use crate::target::Target;
use finetuned_job::outcome::Failure;
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
        if columns.nearly_all(0, Cell::is_date) {
            return Look::Doubt(format!(
                "`{name}` is a column of dates or times, which are neither classes nor numbers: name another column as data.label, or set task in the recipe to that of classes"
            ));
        }
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
            None if is_id(columns) => {
                let first = columns.known(0).next().map(Cell::shown).unwrap_or_default();
                Err(format!(
                    "`{name}` has another value in each of {n} rows ({first}, …), as ids and names have: no class has a second example"
                ))
            }
            None => Ok(Box::new(Reader {
                column: name.into(),
                labels: Labels::default(),
                codes: false,
            })),
        }
    }

    fn stratum(&self, target: &Target) -> Option<u32> {
        target.classes().first().copied()
    }

    fn all_alike(
        &self,
        n: usize,
        target: &Target,
        outputs: &[String],
    ) -> Option<(String, &'static str)> {
        let class = target.classes().first().and_then(|it| outputs.get(*it as usize));
        let class = class.map_or("", String::as_str);
        Some((
            format!("all {n} examples have the label `{class}`"),
            "a classifier needs two classes at least",
        ))
    }
}

/// Whether each row has a value of its own.
fn is_id(columns: &Columns<'_>) -> bool {
    /// In fewer rows it may be chance.
    const ROWS_MIN: usize = 20;
    let values: Vec<String> = columns.known(0).filter_map(|it| one(it.clone()).ok()).collect();
    let different: HashSet<&String> = values.iter().collect();
    ROWS_MIN <= values.len() && different.len() == values.len()
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

/// What is to be said of labels that look like several at once, though not all of their parts are
/// labels.
fn combined(column: &str, names: &[String]) -> Option<String> {
    let note = |separator: char| {
        let parts = |it: &str| it.split(separator).map(|it| it.trim().to_lowercase()).collect();
        let all: Vec<Vec<String>> = names.iter().map(|it| parts(it)).collect();
        let known: HashSet<&String> = all.iter().filter(|it| it.len() == 1).flatten().collect();
        let several = all.iter().filter(|it| 1 < it.len());
        let hits = several.filter(|it| it.iter().any(|it| known.contains(it))).count();
        let example = names.iter().zip(&all).find(|it| 1 < it.1.len())?.0;
        (2 <= hits && names.len() <= 5 * hits).then(|| {
            format!("`{column}`: {hits} of {} classes look like several at once (`{example}`), and each was taken for one; if they are several, set task in the recipe to that of several labels", names.len())
        })
    };
    ['|', ';', ',', '/', '+', '&'].into_iter().find_map(note)
}

/// What is to be said of classes that are called as people write where they know none.
fn unknown(column: &str, names: &[String]) -> Option<String> {
    const WORDS: &[&str] = &[
        "n/a",
        "na",
        "#n/a",
        "#nv",
        "#ref!",
        "#bezug!",
        "#value!",
        "#wert!",
        "#name?",
        "#div/0!",
        "#null!",
        "#num!",
        "#zahl!",
        ".",
        "null",
        "?",
        "-",
        "--",
        "missing",
        "undefined",
        "unlabeled",
        "unlabelled",
        "n.a.",
        "k.a.",
        "keine angabe",
        "no answer",
        "not answered",
        "not applicable",
    ];
    // Statistics programs write `-99 = no answer`.
    let word = |it: &str| match it.split_once('=') {
        Some((code, word)) if code.trim().parse::<i64>().is_ok() => word.trim().to_lowercase(),
        _ => it.to_lowercase(),
    };
    let code = code_of_unknown(names);
    let is_it = |it: &&String| WORDS.contains(&word(it).as_str()) || code == Some(it.as_str());
    let found: Vec<&str> = names.iter().filter(is_it).map(String::as_str).collect();
    (!found.is_empty()).then(|| {
        format!(
            "`{column}`: `{}` looks like no label, and was taken for a class: remove its rows if it is none",
            found.join("`, `")
        )
    })
}

/// Of classes that count from 0 or 1, the one far beyond: what questionnaires write where nothing
/// was answered.
fn code_of_unknown(names: &[String]) -> Option<&str> {
    const CODES: &[i64] = &[-999, -99, -9, 9, 77, 88, 99, 777, 888, 999, 9999];
    let numbers: Vec<i64> = names.iter().map(|it| it.parse().ok()).collect::<Option<_>>()?;
    let at = numbers.iter().position(|it| CODES.contains(it))?;
    let mut others = numbers.clone();
    let code = others.remove(at);
    let counted = others.windows(2).all(|it| it[0] + 1 == it[1]);
    let (first, last) = (others.first()?, others.last()?);
    let is_it =
        2 <= others.len() && counted && (0..=1).contains(first) && (code < 0 || last + 1 < code);
    is_it.then(|| names[at].as_str())
}

struct Reader {
    column: String,
    labels: Labels,
    /// Some have zeros before them, as no number has.
    codes: bool,
}

impl TargetReader for Reader {
    fn read(&mut self, mut cells: Vec<Cell>) -> Result<Target, Refused> {
        let label = one(cells.pop().unwrap_or(Cell::Missing))?;
        self.codes |= is_code(&label);
        Ok(Target::of_classes([self.labels.number(label)?]))
    }

    fn reason(&self) -> Option<String> {
        let (different, all) = self.labels.counts();
        Some(reason(&self.column, different, all))
    }

    fn doubt(&self) -> Option<String> {
        let all = self.labels.as_numbers();
        let rows = |numbers: bool| {
            let of = all.iter().filter(|it| !numbers || it.0.is_some());
            of.map(|it| it.1).sum::<u64>()
        };
        let few = rows(true) + rows(true) / 9 < rows(false);
        let each = all.iter().filter_map(|it| Some((it.0?, it.1)));
        let numbers: Vec<f64> =
            each.flat_map(|(it, n)| std::iter::repeat_n(it, n as usize)).collect();
        match numbers::read::verdict(&self.column, &numbers, false) {
            _ if few || numbers.is_empty() || self.codes => None,
            Look::No => None,
            Look::Yes(why) | Look::Doubt(why) => Some(why),
        }
    }

    fn finish(self: Box<Self>, targets: &mut [&mut Target]) -> Result<Outputs, Failure> {
        let mut outputs = self.labels.finish(targets);
        outputs.notes.extend(combined(&self.column, &outputs.names));
        outputs.notes.extend(unknown(&self.column, &outputs.names));
        Ok(outputs)
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
