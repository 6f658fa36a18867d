//! Counts equal texts and equal images, and takes out of training what stands in validation or test
//! too (out of validation, what stands in test): a model must not be judged by what it has learnt
//! by heart.

use crate::sample::{Key, PerSplit, Sample};
use finetuned_job::data::Duplicates;
use finetuned_job::scores::Split;
use std::collections::{HashMap, HashSet};

/// One key for each example, in the same order.
pub(crate) fn keys<E: Sample>(examples: &[E]) -> Vec<Key> {
    examples.iter().map(E::key).collect()
}

/// Removes the leaked examples and counts everything; also the keys of what is left of train.
pub(crate) fn take_out<E: Sample>(examples: &mut PerSplit<Vec<E>>) -> (Duplicates, Vec<Key>) {
    let mut keys = PerSplit {
        train: keys(&examples.train),
        validation: keys(&examples.validation),
        test: keys(&examples.test),
    };
    let conflicting_labels = conflicting_labels(examples, &keys);
    let mut judged: HashSet<Key> = keys.test.iter().copied().collect();
    let leaked_validation_dropped =
        retain_outside(&mut examples.validation, &mut keys.validation, &judged);
    judged.extend(&keys.validation);
    let leaked_dropped = retain_outside(&mut examples.train, &mut keys.train, &judged);
    drop(judged);
    let repeated =
        |split| (keys.of(split).len() - keys.of(split).iter().collect::<HashSet<_>>().len()) as u64;
    let within_splits = Split::ALL.into_iter().map(repeated).sum();
    (
        Duplicates { within_splits, conflicting_labels, leaked_dropped, leaked_validation_dropped },
        keys.train,
    )
}

/// Contents that stand under two labels or more.
fn conflicting_labels<E: Sample>(examples: &PerSplit<Vec<E>>, keys: &PerSplit<Vec<Key>>) -> u64 {
    let mut first: HashMap<Key, &E> = HashMap::new();
    let mut conflicting: HashSet<Key> = HashSet::new();
    for split in Split::ALL {
        for (example, key) in examples.of(split).iter().zip(keys.of(split)) {
            if !first.entry(*key).or_insert(example).same_answer(example) {
                conflicting.insert(*key);
            }
        }
    }
    conflicting.len() as u64
}

fn retain_outside<E>(examples: &mut Vec<E>, keys: &mut Vec<Key>, outside: &HashSet<Key>) -> u64 {
    if outside.is_empty() {
        return 0;
    }
    let before = keys.len();
    let mut of_examples = keys.iter();
    examples.retain(|_| of_examples.next().is_some_and(|it| !outside.contains(it)));
    keys.retain(|it| !outside.contains(it));
    (before - keys.len()) as u64
}
