//! Takes validation and test out of the training examples where the drop has none: stratified, a
//! pure function of (seed, order of the rows, contents), equal contents always on one side.

use crate::sample::{Key, PerSplit, Sample};
use finetuned_job::scores::Split;
use std::collections::{BTreeMap, HashMap};

/// Fractions of all rows; 0 for a split that isn't wanted or that the drop has already.
pub(crate) struct Fractions {
    pub(crate) validation: f64,
    pub(crate) test: f64,
}

/// Every stratum keeps an example in train; where it has enough different contents, each wanted
/// split gets one too. `keys`: those of train.
pub(crate) fn carve<E: Sample>(
    examples: &mut PerSplit<Vec<E>>,
    keys: &[Key],
    fractions: &Fractions,
    seed: u64,
) {
    if fractions.validation <= 0.0 && fractions.test <= 0.0 {
        return;
    }
    let pool = std::mem::take(&mut examples.train);
    let mut places = vec![Split::Train; pool.len()];
    for groups in groups_by_stratum(&pool, keys).into_values() {
        deal(groups, fractions, seed, &mut places);
    }
    for (example, place) in pool.into_iter().zip(places) {
        examples.of_mut(place).push(example);
    }
}

/// Rows of one content.
type Group = Vec<usize>;

/// Groups by the stratum of their first row, in the order of first rows.
fn groups_by_stratum<E: Sample>(pool: &[E], keys: &[Key]) -> BTreeMap<u32, Vec<Group>> {
    let mut strata: BTreeMap<u32, Vec<Group>> = BTreeMap::new();
    let mut known: HashMap<Key, (u32, usize)> = HashMap::new();
    for (row_idx, key) in keys.iter().copied().enumerate() {
        let (stratum, group_idx) = *known.entry(key).or_insert_with(|| {
            let stratum = pool[row_idx].stratum();
            let groups = strata.entry(stratum).or_default();
            groups.push(Group::new());
            (stratum, groups.len() - 1)
        });
        strata.entry(stratum).or_default()[group_idx].push(row_idx);
    }
    strata
}

/// Deals the groups of one stratum.
fn deal(mut groups: Vec<Group>, fractions: &Fractions, seed: u64, places: &mut [Split]) {
    let rows: usize = groups.iter().map(Vec::len).sum();
    groups.sort_by_key(|it| (shuffled(seed, it[0]), it[0]));
    let mut left = groups.len();
    let mut groups = groups.into_iter();
    for (split, fraction) in
        [(Split::Validation, fractions.validation), (Split::Test, fractions.test)]
    {
        if fraction <= 0.0 {
            continue;
        }
        let wanted = ((fraction * rows as f64).round() as usize).max(1);
        let mut taken = 0;
        while taken < wanted && 1 < left {
            let Some(group) = groups.next() else { break };
            left -= 1;
            taken += group.len();
            group.into_iter().for_each(|it| places[it] = split);
        }
    }
}

/// A number for each (seed, row) that looks random: splitmix64, twice.
fn shuffled(seed: u64, row_idx: usize) -> u64 {
    let mix = |x: u64| {
        let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    mix(mix(seed) ^ row_idx as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Example, duplicates};

    fn carved(
        mut it: PerSplit<Vec<Example>>,
        validation: f64,
        test: f64,
        seed: u64,
    ) -> PerSplit<Vec<Example>> {
        let keys = duplicates::keys(&it.train);
        carve(&mut it, &keys, &Fractions { validation, test }, seed);
        it
    }

    fn pool(counts: &[usize]) -> PerSplit<Vec<Example>> {
        let mut examples = PerSplit::<Vec<Example>>::default();
        for (label, count) in counts.iter().enumerate() {
            let of_class = |it| Example {
                text: format!("{label} {it}").into(),
                label: label as u32,
                file: 0,
                line: it as u64,
            };
            examples.train.extend((0..*count).map(of_class));
        }
        examples
    }

    fn counts(examples: &[Example], classes: usize) -> Vec<usize> {
        (0..classes)
            .map(|class| examples.iter().filter(|it| it.label as usize == class).count())
            .collect()
    }

    #[test]
    fn every_class_is_in_every_split_where_it_can_be() {
        let it = carved(pool(&[100, 3, 2, 1]), 0.1, 0.2, 7);
        assert_eq!(counts(&it.validation, 4), [10, 1, 1, 0]);
        assert_eq!(counts(&it.test, 4), [20, 1, 0, 0]);
        assert_eq!(counts(&it.train, 4), [70, 1, 1, 1]);
    }

    #[test]
    fn the_same_seed_gives_the_same_split_and_another_one_another() {
        let validation = |seed| {
            let it = carved(pool(&[50, 50]), 0.2, 0.0, seed);
            it.validation.into_iter().map(|it| it.text).collect::<Vec<_>>()
        };
        assert_eq!(validation(1), validation(1));
        assert_ne!(validation(1), validation(2));
    }

    #[test]
    fn equal_texts_stay_together() {
        let mut it = pool(&[40, 40]);
        it.train.extend(pool(&[40, 40]).train);
        let it = carved(it, 0.25, 0.25, 0);
        let texts = |examples: &[Example]| {
            examples.iter().map(|it| it.text.clone()).collect::<std::collections::HashSet<_>>()
        };
        assert!(
            texts(&it.train).is_disjoint(&texts(&it.validation))
                && texts(&it.train).is_disjoint(&texts(&it.test))
        );
        assert_eq!(counts(&it.validation, 2), [20, 20]);
    }
}
