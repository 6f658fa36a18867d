//! Finds pictures that look alike: perceptual hashes that differ in few bits.
//!
//! Hashes at most k bits apart agree in one of k + 1 bands of bits at least (the pigeonhole principle), so only
//! those that agree in a band are compared (multi-index hashing: Norouzi, Punjani, Fleet 2012).

use super::preflight::Judged;
use crate::sample::{Key, PerSplit};
use finetuned_images::{NEAR_DUPLICATE_BITS, hash_distance};
use finetuned_job::scores::Split;
use std::collections::{BTreeMap, HashSet};

/// Comparisons of two hashes, some seconds' worth. Real sets stay far below; one of a million nearly equal
/// pictures does not, and its twins need no counting.
const COMPARISONS_MAX: u64 = 2_000_000_000;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Twins {
    /// Pictures that have a twin.
    pub(super) pictures: u64,
    pub(super) pairs: u64,
    pub(super) across_splits: u64,
    pub(super) conflicting_labels: u64,
    pub(super) shown: Vec<Pair>,
    /// Not everything was compared.
    pub(super) incomplete: bool,
}

/// Places of two pictures in their splits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) a: (Split, usize),
    pub(super) b: (Split, usize),
    pub(super) distance: u32,
    pub(super) same_label: bool,
}

/// Different pictures that nothing here tells apart: same hash, split and answer.
struct Alike {
    /// The first ones.
    shown: Vec<(Split, usize)>,
    count: u64,
    has_twin: bool,
}

/// All pictures of one hash.
type Group = Vec<((Split, Answer), Alike)>;

/// Stands for what is to be learnt.
type Answer = Vec<u64>;

/// `shown_max`: pairs to give. Equal pictures (by key) are one; pictures of one colour are none.
pub(super) fn find(examples: &PerSplit<Vec<Judged>>, shown_max: usize) -> Twins {
    let mut groups: BTreeMap<u64, BTreeMap<(Split, Answer), Alike>> = BTreeMap::new();
    let mut known: HashSet<Key> = HashSet::new();
    for split in Split::ALL {
        for (idx, it) in examples.of(split).iter().enumerate() {
            if it.seen.blank || !known.insert(it.example.key) {
                continue;
            }
            let group = groups.entry(it.seen.hash).or_default();
            let alike = group.entry((split, answer(it))).or_insert(Alike { shown: Vec::new(), count: 0, has_twin: false });
            alike.count += 1;
            if alike.shown.len() < 2 {
                alike.shown.push((split, idx));
            }
        }
    }
    let (hashes, mut groups): (Vec<u64>, Vec<Group>) = groups.into_iter().map(|(hash, it)| (hash, it.into_iter().collect())).unzip();
    let mut twins = Twins::default();
    for group in &mut groups {
        within(group, &mut twins);
    }
    let (pairs, incomplete) = near(&hashes);
    for (one, other) in pairs {
        let (left, right) = groups.split_at_mut(other);
        let distance = hash_distance(hashes[one], hashes[other]);
        for a in &mut left[one] {
            for b in &mut right[0] {
                between(a, b, distance, &mut twins);
            }
        }
        if 16 * shown_max < twins.shown.len() {
            twins.keep_best(shown_max);
        }
    }
    twins.pictures = groups.iter().flatten().filter(|it| it.1.has_twin).map(|it| it.1.count).sum();
    twins.incomplete = incomplete;
    twins.keep_best(shown_max);
    twins
}

fn answer(it: &Judged) -> Answer {
    use super::Target;
    match &it.example.target {
        Target::Class(class) => vec![(*class).into()],
        Target::Classes(classes) => classes.iter().map(|it| (*it).into()).collect(),
        Target::Numbers(numbers) => numbers.iter().map(|it| it.to_bits()).collect(),
    }
}

/// Pairs of one hash.
fn within(group: &mut [((Split, Answer), Alike)], twins: &mut Twins) {
    for it in group.iter_mut().filter(|it| 1 < it.1.count) {
        it.1.has_twin = true;
        twins.pairs += it.1.count * (it.1.count - 1) / 2;
        if let [a, b] = it.1.shown[..] {
            twins.shown.push(Pair { a, b, distance: 0, same_label: true });
        }
    }
    for idx in 1..group.len() {
        let (left, right) = group.split_at_mut(idx);
        for a in left {
            between(a, &mut right[0], 0, twins);
        }
    }
}

fn between(a: &mut ((Split, Answer), Alike), b: &mut ((Split, Answer), Alike), distance: u32, twins: &mut Twins) {
    let pairs = a.1.count * b.1.count;
    let same_label = a.0.1 == b.0.1;
    twins.pairs += pairs;
    twins.across_splits += if a.0.0 == b.0.0 { 0 } else { pairs };
    twins.conflicting_labels += if same_label { 0 } else { pairs };
    (a.1.has_twin, b.1.has_twin) = (true, true);
    let (one, other) = (a.1.shown[0], b.1.shown[0]);
    twins.shown.push(Pair { a: one.min(other), b: one.max(other), distance, same_label });
}

impl Twins {
    /// Across splits first, then with different labels, then the closest.
    fn keep_best(&mut self, n: usize) {
        self.shown.sort_by_key(|it| (it.a.0 == it.b.0, it.same_label, it.distance, it.a, it.b));
        self.shown.truncate(n);
    }
}

/// Index pairs, the smaller first, of hashes that are close; and whether some were not compared. `hashes`: each
/// once.
fn near(hashes: &[u64]) -> (Vec<(usize, usize)>, bool) {
    const BANDS: u32 = NEAR_DUPLICATE_BITS + 1;
    let band = |hash: u64, nth: u32| {
        let (low, high) = (nth * u64::BITS / BANDS, (nth + 1) * u64::BITS / BANDS);
        hash >> low & (u64::MAX >> (u64::BITS - (high - low)))
    };
    let mut pairs = Vec::new();
    let mut comparisons = 0;
    for nth in 0..BANDS {
        let mut order: Vec<usize> = (0..hashes.len()).collect();
        order.sort_by_key(|it| (band(hashes[*it], nth), *it));
        for run in order.chunk_by(|a, b| band(hashes[*a], nth) == band(hashes[*b], nth)) {
            comparisons += run.len() as u64 * (run.len() as u64 - 1) / 2;
            if COMPARISONS_MAX < comparisons {
                return (pairs, true);
            }
            for (place, &a) in run.iter().enumerate() {
                for &b in &run[place + 1..] {
                    let (x, y) = (hashes[a], hashes[b]);
                    // A pair that agrees in an earlier band was found there.
                    if hash_distance(x, y) <= NEAR_DUPLICATE_BITS && (0..nth).all(|it| band(x, it) != band(y, it)) {
                        pairs.push((a, b));
                    }
                }
            }
        }
    }
    pairs.sort_unstable();
    (pairs, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bands_find_what_comparing_all_finds(seeds in proptest::collection::vec((0..4_u64, any::<u64>(), any::<u64>(), any::<u64>()), 0..60)) {
            // Around four centres, each bit flipped with a chance of one in eight.
            let hashes: std::collections::BTreeSet<u64> =
                seeds.into_iter().map(|(centre, a, b, c)| centre.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (a & b & c)).collect();
            let hashes: Vec<u64> = hashes.into_iter().collect();
            let all = |it: &(usize, usize)| hash_distance(hashes[it.0], hashes[it.1]) <= NEAR_DUPLICATE_BITS;
            let every = (0..hashes.len()).flat_map(|a| (a + 1..hashes.len()).map(move |b| (a, b)));
            prop_assert_eq!(near(&hashes), (every.filter(all).collect(), false));
        }
    }
}
