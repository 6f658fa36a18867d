//! Finds images that look alike: perceptual hashes that differ in few bits, and shades, colours and
//! shapes that agree.
//!
//! Hashes at most k bits apart agree in one of k + 1 bands of bits at least (the pigeonhole
//! principle), so only those that agree in a band are compared (multi-index hashing: Norouzi,
//! Punjani, Fleet 2012).

use super::decode::Seen;
use crate::example::{Example, Examples, Key};
use finetuned_images::{NEAR_DUPLICATE_BITS, hash_distance};
use finetuned_job::scores::Split;
use std::collections::{HashMap, HashSet};

/// Comparisons of two hashes, some seconds' worth. Real sets stay far below; one of a million
/// nearly equal images does not, and its near duplicates need no counting.
const COMPARISONS_MAX: u64 = 2_000_000_000;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct NearPairs {
    /// Images that have a near duplicate.
    pub(super) images: u64,
    pub(super) pairs: u64,
    pub(super) across_splits: u64,
    pub(super) conflicting_labels: u64,
    pub(super) shown: Vec<Pair>,
    /// Not everything was compared.
    pub(super) incomplete: bool,
}

/// Places of two images in their splits, the first one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) a: (Split, usize),
    pub(super) b: (Split, usize),
    pub(super) distance: u32,
    pub(super) same_label: bool,
}

/// `shown_max`: pairs to give. Equal images (by key) are one; images of one colour are none.
pub(super) fn find(examples: &Examples, seen: &HashMap<Key, Seen>, shown_max: usize) -> NearPairs {
    let mut known: HashSet<Key> = HashSet::new();
    let mut candidates: Vec<((Split, usize), &Example, &Seen)> = Vec::new();
    for split in Split::ALL {
        for (idx, it) in examples.of(split).iter().enumerate() {
            if let Some(seen) = seen.get(&it.key).filter(|it| !it.blank)
                && known.insert(it.key)
            {
                candidates.push(((split, idx), it, seen));
            }
        }
    }
    let hashes: Vec<u64> = candidates.iter().map(|it| it.2.look.hash).collect();
    let mut has_near = vec![false; hashes.len()];
    let mut pairs = NearPairs::default();
    let complete = near(&hashes, &mut |one, other| {
        let ((a, left, left_seen), (b, right, right_seen)) = (candidates[one], candidates[other]);
        if !alike(left_seen, right_seen) {
            return;
        }
        (has_near[one], has_near[other]) = (true, true);
        let pair = Pair {
            a,
            b,
            distance: hash_distance(hashes[one], hashes[other]),
            same_label: left.target == right.target,
        };
        pairs.pairs += 1;
        pairs.across_splits += u64::from(a.0 != b.0);
        pairs.conflicting_labels += u64::from(!pair.same_label);
        pairs.shown.push(pair);
        if 16 * shown_max < pairs.shown.len() {
            pairs.keep_best(shown_max);
        }
    });
    pairs.keep_best(shown_max);
    pairs.images = has_near.iter().filter(|it| **it).count() as u64;
    pairs.incomplete = !complete;
    pairs
}

/// A hash knows neither colour nor shape of an image, and of one with little in it hardly its
/// content: that is what the small grey image is for.
fn alike(one: &Seen, other: &Seen) -> bool {
    /// What recompressing, scaling and a slight retouch change at most, of channels that go from 0
    /// to 1.
    const CHANGE_MAX: f32 = 0.04;
    /// Cropping more than this makes another image.
    const ASPECT_MAX: f64 = 1.1;
    let close = |of: fn(&Seen) -> [f32; 3]| {
        of(one).iter().zip(of(other)).all(|(a, b)| (a - b).abs() <= CHANGE_MAX)
    };
    let aspect = |it: &Seen| f64::from(it.width) / f64::from(it.height);
    let ratio = aspect(one) / aspect(other);
    one.look.is_near(&other.look)
        && close(|it| it.mean)
        && close(|it| it.square)
        && ratio.max(1.0 / ratio) <= ASPECT_MAX
}

impl NearPairs {
    /// Across splits first, then with different labels, then the closest.
    fn keep_best(&mut self, n: usize) {
        self.shown.sort_by_key(|it| (it.a.0 == it.b.0, it.same_label, it.distance, it.a, it.b));
        self.shown.truncate(n);
    }
}

/// Tells every pair of hashes that are close once, the smaller index first. Whether all were
/// compared.
fn near(hashes: &[u64], each: &mut dyn FnMut(usize, usize)) -> bool {
    const BANDS: u32 = NEAR_DUPLICATE_BITS + 1;
    let band = |hash: u64, nth: u32| {
        let (low, high) = (nth * u64::BITS / BANDS, (nth + 1) * u64::BITS / BANDS);
        hash >> low & (u64::MAX >> (u64::BITS - (high - low)))
    };
    let mut comparisons = 0;
    for nth in 0..BANDS {
        let mut order: Vec<usize> = (0..hashes.len()).collect();
        order.sort_by_key(|it| (band(hashes[*it], nth), *it));
        for run in order.chunk_by(|a, b| band(hashes[*a], nth) == band(hashes[*b], nth)) {
            comparisons += run.len() as u64 * (run.len() as u64 - 1) / 2;
            if COMPARISONS_MAX < comparisons {
                return false;
            }
            for (place, &a) in run.iter().enumerate() {
                for &b in &run[place + 1..] {
                    let (x, y) = (hashes[a], hashes[b]);
                    // A pair that agrees in an earlier band was found there.
                    if hash_distance(x, y) <= NEAR_DUPLICATE_BITS
                        && (0..nth).all(|it| band(x, it) != band(y, it))
                    {
                        each(a, b);
                    }
                }
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bands_find_what_comparing_all_finds(seeds in proptest::collection::vec((0..4_u64,
            any::<u64>(), any::<u64>(), any::<u64>()), 0..60)) {
            // Around four centres, each bit flipped with a chance of one in eight.
            let hashes: Vec<u64> =
                seeds.into_iter().map(|(centre, a, b,
                    c)| centre.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (a & b & c)).collect();
            let mut found = Vec::new();
            prop_assert!(near(&hashes, &mut |a, b| found.push((a, b))));
            found.sort_unstable();
            let all = |it: &(usize, usize)| hash_distance(hashes[it.0],
                hashes[it.1]) <= NEAR_DUPLICATE_BITS;
            let every = (0..hashes.len()).flat_map(|a| (a + 1..hashes.len()).map(move |b| (a, b)));
            prop_assert_eq!(found, every.filter(all).collect::<Vec<_>>());
        }
    }
}
