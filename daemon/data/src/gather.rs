//! Takes rows as they are read and keeps what can be used: the text once, the label as a number,
//! and where both stood.

use crate::Example;
use crate::classes::Classes;
use crate::quarantine::{Reason, Ward};
use crate::sample::PerSplit;
use crate::table::Cell;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;

/// Where a row stands.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) split: Split,
    /// Index into the report's files.
    pub(crate) file: u32,
    /// What messages call it.
    pub(crate) name: &'a str,
    /// Absent: the whole file.
    pub(crate) line: Option<u64>,
}

pub(crate) struct Gather {
    pub(crate) ward: Ward,
    pub(crate) rows: u64,
    pub(crate) empty_texts: u64,
    pub(crate) examples: PerSplit<Vec<Example>>,
    pub(crate) classes: Classes,
}

impl Gather {
    pub(crate) fn new(ward: Ward) -> Gather {
        Gather {
            ward,
            rows: 0,
            empty_texts: 0,
            examples: PerSplit::default(),
            classes: Classes::default(),
        }
    }

    /// Whether the row was kept. `nth`: what the example remembers as its line.
    pub(crate) fn take(
        &mut self,
        at: Place<'_>,
        nth: u64,
        row: Result<(Cell, Cell), Reason>,
    ) -> Result<bool, Failure> {
        self.rows += 1;
        let usable = row.and_then(|(text, label)| Ok((text_of(text)?, label_of(label)?)));
        let (text, label) = match usable {
            Ok(it) => it,
            Err(reason) => {
                self.empty_texts += u64::from(reason == Reason::EmptyText);
                self.ward.admit(at.name, at.line, &reason)?;
                return Ok(false);
            }
        };
        let label = self.classes.number(label, at.name)?;
        self.examples.of_mut(at.split).push(Example { text, label, file: at.file, line: nth });
        Ok(true)
    }

    /// Class names in their final order; the examples are renumbered accordingly.
    pub(crate) fn order_classes(&mut self) -> Vec<String> {
        let (names, renumbered) = std::mem::take(&mut self.classes).ordered();
        for split in Split::ALL {
            for example in self.examples.of_mut(split) {
                example.label = renumbered[example.label as usize];
            }
        }
        names
    }
}

fn text_of(cell: Cell) -> Result<Box<str>, Reason> {
    match cell {
        Cell::Text(it) if it.contains('\0') => Err(Reason::Nul),
        Cell::Text(it) => match it.trim() {
            "" => Err(Reason::EmptyText),
            text => Ok(text.into()),
        },
        Cell::Missing => Err(Reason::EmptyText),
        Cell::Integer(it) => Ok(it.to_string().into()),
        Cell::Bool(_) => Err(Reason::TextIs("true or false")),
        Cell::Fraction(_) => Err(Reason::TextIs("a number")),
        Cell::Bytes(it) => match String::from_utf8(it) {
            Ok(it) => text_of(Cell::Text(it)),
            Err(_) => Err(Reason::TextIs("binary")),
        },
        Cell::List(_) => Err(Reason::TextIs("a list")),
        Cell::Image(_) => Err(Reason::TextIs("an image")),
        Cell::Other(what) => Err(Reason::TextIs(what)),
    }
}

/// For prediction, where every row must have an answer.
pub(crate) fn text_or_empty(cell: Cell) -> Result<String, Reason> {
    match text_of(cell) {
        Ok(text) => Ok(text.into()),
        Err(Reason::EmptyText) => Ok(String::new()),
        Err(reason) => Err(reason),
    }
}

pub(crate) fn label_of(cell: Cell) -> Result<String, Reason> {
    /// Integers above this are not exact in a double.
    const EXACT_MAX: f64 = (1_u64 << 53) as f64;
    match cell {
        Cell::Text(it) if it.contains('\0') => Err(Reason::Nul),
        Cell::Text(it) => match it.trim() {
            "" => Err(Reason::EmptyLabel),
            label if label.len() == it.len() => Ok(it),
            label => Ok(label.to_string()),
        },
        Cell::Missing => Err(Reason::EmptyLabel),
        Cell::Integer(it) => Ok(it.to_string()),
        Cell::Bool(it) => Ok(it.to_string()),
        Cell::Fraction(it) if it.is_nan() => Err(Reason::EmptyLabel),
        // pandas turns integers into doubles where a column has gaps.
        Cell::Fraction(it) if it.fract() == 0.0 && it.abs() < EXACT_MAX => {
            Ok((it as i64).to_string())
        }
        Cell::Fraction(it) => Err(Reason::LabelIsFraction(it)),
        Cell::Bytes(it) => match String::from_utf8(it) {
            Ok(it) => label_of(Cell::Text(it)),
            Err(_) => Err(Reason::LabelIs("binary")),
        },
        Cell::List(_) => Err(Reason::LabelIs("a list")),
        Cell::Image(_) => Err(Reason::LabelIs("an image")),
        Cell::Other(what) => Err(Reason::LabelIs(what)),
    }
}
