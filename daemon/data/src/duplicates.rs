//! Counts equal texts, and takes out of training what stands in validation or test too (out of validation,
//! what stands in test): a model must not be judged by what it has learnt by heart.
//!
//! Equal means equal after trimming; texts are compared by 128 bits of blake3.

use crate::{Example, PerSplit};
use finetuned_job::data::Duplicates;
use finetuned_job::scores::Split;
use std::collections::{HashMap, HashSet};

/// Stands for a text.
pub(crate) type Key = u128;

pub(crate) fn key(text: &str) -> Key {
    let mut first = [0; 16];
    first.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    u128::from_le_bytes(first)
}

/// One key for each example, in the same order.
pub(crate) fn keys(examples: &[Example]) -> Vec<Key> {
    examples.iter().map(|it| key(&it.text)).collect()
}

/// Removes the leaked examples and counts everything.
pub(crate) fn take_out(examples: &mut PerSplit<Vec<Example>>) -> Duplicates {
    let test: HashSet<Key> = keys(&examples.test).into_iter().collect();
    let mut labels: HashMap<Key, Option<u32>> = HashMap::new();
    for split in Split::ALL {
        for example in examples.of(split) {
            let label = labels.entry(key(&example.text)).or_insert(Some(example.label));
            if *label != Some(example.label) {
                *label = None;
            }
        }
    }
    let conflicting_labels = labels.values().filter(|it| it.is_none()).count() as u64;
    drop(labels);
    let leaked_validation_dropped = retain_outside(&mut examples.validation, &test);
    let mut judged = test;
    judged.extend(keys(&examples.validation));
    let leaked_dropped = if judged.is_empty() { 0 } else { retain_outside(&mut examples.train, &judged) };
    let repeated = |split| {
        let keys = keys(examples.of(split));
        let n = keys.len();
        (n - keys.into_iter().collect::<HashSet<_>>().len()) as u64
    };
    Duplicates { within_splits: Split::ALL.into_iter().map(repeated).sum(), conflicting_labels, leaked_dropped, leaked_validation_dropped }
}

fn retain_outside(examples: &mut Vec<Example>, outside: &HashSet<Key>) -> u64 {
    let before = examples.len();
    examples.retain(|it| !outside.contains(&key(&it.text)));
    (before - examples.len()) as u64
}
