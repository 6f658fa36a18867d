//! Says what equal records do not show: questions that stand in several splits with other answers,
//! and pairs that stand there the other way round too.

use super::super::{Content, Divided, questions};
use crate::example::{Example, Key};
use finetuned_job::data::DataReport;
use finetuned_job::outcome::Failure;
use std::collections::HashSet;

pub(super) struct Overlaps;

/// What is asked, and the two answers where there are two.
fn parsed(example: &Example) -> Option<(String, [String; 2])> {
    let record = questions::parsed(example)?;
    let part = |name: &str| record[name].to_string();
    Some((part("messages"), ["chosen", "rejected"].map(part)))
}

impl Content for Overlaps {
    fn group(&self, example: &Example) -> Key {
        questions::key(example)
    }

    fn report(&self, of: &Divided<'_>, report: &mut DataReport) -> Result<(), Failure> {
        report.warnings.extend(questions::divided(of));
        let (mut pairs, mut turned) = (HashSet::new(), 0_u64);
        for (_, example) in of.examples.iter() {
            let Some((asked, [chosen, rejected])) = parsed(example) else { continue };
            let other_way = (asked.clone(), rejected.clone(), chosen.clone());
            turned += u64::from(chosen != rejected && pairs.contains(&other_way));
            pairs.insert((asked, chosen, rejected));
        }
        if 0 < turned {
            report.warnings.push(format!(
                "pairs that also stand the other way round, the rejected answer as the chosen one: {turned}"
            ));
        }
        Ok(())
    }
}
