//! Says what equal records do not show: questions that stand in several splits with other answers,
//! and pairs that stand there the other way round too.

use super::super::{Content, Divided};
use crate::example::Example;
use finetuned_job::data::DataReport;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use serde_json::Value;
use std::collections::HashSet;

pub(super) struct Overlaps;

/// What is asked, and the two answers where there are two.
fn parsed(example: &Example) -> Option<(String, [String; 2])> {
    let record: Value = serde_json::from_str(example.record.texts.first()?).ok()?;
    let part = |name: &str| record[name].to_string();
    Some((part("messages"), ["chosen", "rejected"].map(part)))
}

impl Content for Overlaps {
    fn report(&self, of: &Divided<'_>, report: &mut DataReport) -> Result<(), Failure> {
        let (mut held_out, mut pairs, mut trained) = (HashSet::new(), HashSet::new(), Vec::new());
        let mut turned = 0;
        for (split, example) in of.examples.iter() {
            let Some((asked, [chosen, rejected])) = parsed(example) else { continue };
            let other_way = (asked.clone(), rejected.clone(), chosen.clone());
            turned += u64::from(chosen != rejected && pairs.contains(&other_way));
            pairs.insert((asked.clone(), chosen, rejected));
            match split {
                Split::Train => trained.push(asked),
                Split::Validation | Split::Test => _ = held_out.insert(asked),
            }
        }
        let shared = trained.iter().filter(|it| held_out.contains(*it)).count();
        if 0 < shared {
            report.warnings.push(format!(
                "training examples whose question stands in validation or test too, with other answers: {shared}; scores may flatter the model"
            ));
        }
        if 0 < turned {
            report.warnings.push(format!(
                "pairs that also stand the other way round, the rejected answer as the chosen one: {turned}"
            ));
        }
        Ok(())
    }
}
