//! Cells -> a tag for each word, and the names of the tags in the end: all schemes of entities
//! become BIO. Which words the tags stand for is left to the data crate.

use super::entities::entities;
use super::schemes::{self, Scheme, scheme};
use crate::cell::Cell;
use crate::labels::{CLASSES_MAX, label_of};
use crate::reading::{Columns, Look, Outputs, Reason, Refused, TargetKind, TargetReader};
use crate::target::Target;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::task::Answer;
use std::collections::{BTreeSet, HashMap};

pub(crate) struct Kind;

impl TargetKind for Kind {
    fn answer(&self) -> Answer {
        Answer::Tags
    }

    /// Lists are several labels of one text where nothing says that there is one for each word.
    fn look(&self, _: &Columns<'_>) -> Look {
        Look::No
    }

    fn reader(&self, columns: &Columns<'_>) -> Result<Box<dyn TargetReader>, String> {
        let [name] = columns.names[..] else {
            return Err("the tags of words stand in one column, but several are named".into());
        };
        let is_number = |it: &Cell| matches!(it, Cell::Integer(_));
        let are_numbers = |it: &Cell| match it {
            Cell::List(items) => !items.is_empty() && items.iter().all(is_number),
            _ => false,
        };
        if columns.nearly_all(0, are_numbers) {
            return Err(format!(
                "`{name}` has numbers without names: write the names of the tags (B-PER, NOUN) in \
                 their place, or keep them in Parquet, whose ClassLabel names are read"
            ));
        }
        Ok(Box::new(Reader { column: name.into(), ..Reader::default() }))
    }

    fn label_names(&self, outputs: &[String]) -> Vec<String> {
        if !schemes::are_entities(outputs) {
            return outputs.to_vec();
        }
        outputs.iter().filter_map(|it| it.strip_prefix("B-")).map(str::to_owned).collect()
    }

    /// Types of entities of a sentence, or its plain tags.
    fn labels(&self, target: &Target, outputs: &[String]) -> Vec<u32> {
        let tags = target.classes().iter().copied();
        let labels: BTreeSet<u32> = match schemes::are_entities(outputs) {
            true => tags.filter_map(|it| it.checked_sub(1)).map(|it| it / 2).collect(),
            false => tags.collect(),
        };
        labels.into_iter().collect()
    }

    /// Their words differ, and so do the tags of one sentence.
    fn all_alike(&self, _: usize, _: &Target, _: &[String]) -> Option<(String, &'static str)> {
        None
    }

    fn not_in_folders(&self) -> Option<&'static str> {
        Some("a tag for each word")
    }
}

#[derive(Default)]
struct Reader {
    column: String,
    /// In the order of their first appearance.
    tags: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Reader {
    fn number(&mut self, cell: Cell) -> Result<u32, Refused> {
        if let Cell::Integer(it) = cell {
            return Err(Reason::LabelIsNumber(it).into());
        }
        let tag = label_of(cell)?;
        if let Some(number) = self.numbers.get(&tag) {
            return Ok(*number);
        }
        if self.tags.len() == CLASSES_MAX {
            let message = format!("`{}` has more than {CLASSES_MAX} different tags", self.column);
            return Err(Refused::All(
                failure(message).with_cure("name the column of tags in the recipe: data.label"),
            ));
        }
        let number = self.tags.len() as u32;
        self.tags.push(tag.clone());
        self.numbers.insert(tag, number);
        Ok(number)
    }
}

fn failure(message: String) -> Failure {
    Failure::new(FailureKind::Data, message)
}

impl TargetReader for Reader {
    /// A list with a tag for each word.
    fn read(&mut self, mut cells: Vec<Cell>) -> Result<Target, Refused> {
        match cells.pop() {
            Some(Cell::List(tags)) if !tags.is_empty() => {
                let tags = tags.into_iter().map(|it| self.number(it));
                Ok(Target::of_classes(tags.collect::<Result<Vec<_>, _>>()?))
            }
            _ => Err(Reason::EmptyLabel.into()),
        }
    }

    fn reason(&self) -> Option<String> {
        Some(format!("`{}` has a tag for each word: tags are learnt", self.column))
    }

    fn finish(self: Box<Self>, targets: &mut [&mut Target]) -> Result<Outputs, Failure> {
        let usual = schemes::usual(&self.tags);
        let tags = usual.as_ref().unwrap_or(&self.tags);
        let names = |it: &Target| -> Vec<&str> {
            it.classes().iter().map(|tag| &*tags[*tag as usize]).collect()
        };
        let sentences: Vec<Vec<&str>> = targets.iter().map(|it| names(it)).collect();
        let scheme =
            scheme(&sentences).map_err(|err| failure(format!("`{}`: {err}", self.column)))?;
        let read: Vec<Vec<String>> = sentences.iter().map(|it| scheme.convert(it)).collect();
        let outputs = if scheme.has_entities() {
            schemes::label_names(
                &read.iter().flat_map(|it| entities(it)).map(|it| it.kind).collect(),
            )
        } else {
            let all: BTreeSet<&String> = read.iter().flatten().collect();
            all.into_iter().cloned().collect()
        };
        if let [only] = &outputs[..] {
            return Err(failure(format!("every word has the tag `{only}`"))
                .with_cure("tags of two kinds at least can be learnt"));
        }
        let places: HashMap<&str, u32> = outputs.iter().map(|it| &**it).zip(0..).collect();
        for (target, tags) in targets.iter_mut().zip(&read) {
            **target = Target::of_classes(tags.iter().map(|it| places[&**it]).collect::<Vec<_>>());
        }
        let same = sentences.iter().zip(&read).filter(|(a, b)| a.iter().eq(b.iter())).count();
        let notes = match (scheme, read.len() - same) {
            (_, 0) => None,
            (Scheme::Bio, n) => Some(format!(
                "sentences with entities that begin with I-, which were read as B-: {n}"
            )),
            (other, _) => {
                Some(format!("the tags mark entities as {} and were read as BIO", other.name()))
            }
        };
        let other = usual.as_ref().and_then(|it| self.tags.iter().zip(it).find(|(a, b)| a != b));
        let other = other.map(|(a, b)| {
            format!("the tags are in another notation: `{a}` was read as `{b}`, and so on")
        });
        Ok(Outputs { names: outputs, notes: other.into_iter().chain(notes).collect() })
    }
}
