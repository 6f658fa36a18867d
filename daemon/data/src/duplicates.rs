//! Counts equal texts and equal images, and takes out of training what stands in validation or test
//! too (out of validation, what stands in test): a model must not be scored by what it has learnt
//! by heart.

use crate::example::{Example, Examples, Key};
use finetuned_job::data::Duplicates;
use finetuned_job::scores::Split;
use std::collections::{HashMap, HashSet};

/// Removes the leaked examples and counts everything.
pub(crate) fn take_out(examples: &mut Examples) -> Duplicates {
    let conflicting_labels = conflicting_labels(examples);
    let mut held_out: HashSet<Key> = examples.test.iter().map(|it| it.key).collect();
    let leaked_validation_dropped = retain_outside(&mut examples.validation, &held_out);
    held_out.extend(examples.validation.iter().map(|it| it.key));
    let leaked_dropped = retain_outside(&mut examples.train, &held_out);
    let repeated = |split| {
        let all = examples.of(split);
        (all.len() - all.iter().map(|it| it.key).collect::<HashSet<_>>().len()) as u64
    };
    let within_splits = Split::ALL.into_iter().map(repeated).sum();
    Duplicates { within_splits, conflicting_labels, leaked_dropped, leaked_validation_dropped }
}

/// Contents that stand under two labels or more.
fn conflicting_labels(examples: &Examples) -> u64 {
    let mut first: HashMap<Key, &Example> = HashMap::new();
    let mut conflicting: HashSet<Key> = HashSet::new();
    for (_, it) in examples.iter() {
        if first.entry(it.key).or_insert(it).target != it.target {
            conflicting.insert(it.key);
        }
    }
    conflicting.len() as u64
}

fn retain_outside(examples: &mut Vec<Example>, outside: &HashSet<Key>) -> u64 {
    let before = examples.len();
    examples.retain(|it| !outside.contains(&it.key));
    (before - examples.len()) as u64
}
