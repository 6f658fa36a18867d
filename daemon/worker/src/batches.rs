//! Decides which examples stand together in a batch, and in which order batches come: a pure
//! function of (seed, epoch, index), so that a killed run continues as if nothing had happened.

/// Examples of a group.
const GROUP: usize = 16;

/// How much work the examples of a set are, in units.
pub(crate) struct Lengths {
    pub each: Vec<u32>,
    /// Of the longest part that a model takes as one: a long example may have many.
    pub longest: u32,
}

impl Lengths {
    /// Of a batch.
    pub(crate) fn units(&self, batch: &[u32]) -> u64 {
        batch.iter().map(|&it| u64::from(self.each[it as usize])).sum()
    }

    /// Units in so many examples at most, where a longer one stands alone: what a batch takes of
    /// memory is bounded, however many parts an example has.
    fn most(&self, examples: usize) -> u64 {
        u64::from(self.longest) * examples as u64
    }

    /// Cut where it would have more than so many units.
    fn bounded(&self, batch: Vec<u32>, most: u64) -> Vec<Vec<u32>> {
        let mut batches: Vec<Vec<u32>> = Vec::new();
        let mut units = 0;
        for it in batch {
            let its = u64::from(self.each[it as usize]);
            match batches.last_mut().filter(|_| units + its <= most) {
                Some(last) => {
                    last.push(it);
                    units += its;
                }
                None => {
                    batches.push(vec![it]);
                    units = its;
                }
            }
        }
        batches
    }
}

/// The updates of an epoch, each as the batches whose gradients it sums up, as example indices: a
/// random order, cut. The first epoch takes the groups one after the other, in random order.
///
/// Updates are as many as full ones and a rest would be, but of even sizes, and so are the batches
/// of one: a rest of one or two examples would weigh as much as a whole batch, and batch norm would
/// learn from its statistics. Which examples an update has does not depend on how it is cut. A
/// batch of examples of many parts each becomes several.
///
/// Nothing is padded, so that no order by length is wanted. Within a batch, whose order has no
/// meaning, texts of one length stand together, because attention takes them as one block.
pub(crate) fn epoch(
    lengths: &Lengths,
    (batch, accumulate): (usize, usize),
    seed: u64,
    epoch: u64,
) -> Vec<Vec<Vec<u32>>> {
    let seed = mix(seed, epoch);
    let order = match epoch {
        // Each group has a draw of its own: its members stand by length, and with one draw for all
        // the same ranks of length would come first in every group.
        0 => shuffled(groups(lengths), seed)
            .into_iter()
            .zip(1..)
            .flat_map(|(group, number)| shuffled(group, mix(!seed, number)))
            .collect(),
        _ => shuffled((0..lengths.each.len() as u32).collect(), seed),
    };
    let updates = even(order, batch * accumulate).into_iter();
    let cut = |batch_of: Vec<u32>| lengths.bounded(batch_of, lengths.most(batch));
    updates.map(|it| sorted(even(it, batch), lengths).into_iter().flat_map(cut).collect()).collect()
}

/// The examples in groups drawn by lot, the same for every seed. What frozen stages give is
/// computed group by group: so it has the same bits whoever wants it first, and a first batch needs
/// few examples.
pub(crate) fn groups(lengths: &Lengths) -> Vec<Vec<u32>> {
    let order = shuffled((0..lengths.each.len() as u32).collect(), 0);
    let groups = sorted(order.chunks(GROUP).map(<[u32]>::to_vec).collect(), lengths).into_iter();
    groups.flat_map(|it| lengths.bounded(it, lengths.most(GROUP))).collect()
}

fn shuffled<T>(items: Vec<T>, seed: u64) -> Vec<T> {
    let mut keyed: Vec<(u64, T)> = (0..).map(|place| mix(seed, place)).zip(items).collect();
    keyed.sort_by_key(|it| it.0);
    keyed.into_iter().map(|it| it.1).collect()
}

/// Cut into the fewest batches of at most `most`, no two of which differ by more than one.
fn even(order: Vec<u32>, most: usize) -> Vec<Vec<u32>> {
    let count = order.len().div_ceil(most);
    let place = |number: usize| number * order.len() / count;
    (0..count).map(|it| order[place(it)..place(it + 1)].to_vec()).collect()
}

fn sorted(mut batches: Vec<Vec<u32>>, lengths: &Lengths) -> Vec<Vec<u32>> {
    batches.iter_mut().for_each(|it| it.sort_by_key(|&it| lengths.each[it as usize]));
    batches
}

/// Batches for evaluation: by length, so that attention takes many texts as one block.
pub(crate) fn by_length(lengths: &Lengths, batch: usize) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..lengths.each.len() as u32).collect();
    order.sort_by_key(|&it| std::cmp::Reverse(lengths.each[it as usize]));
    let batches = order.chunks(batch);
    batches.flat_map(|it| lengths.bounded(it.to_vec(), lengths.most(batch))).collect()
}

/// One step of splitmix64 (Steele, Lea and Flood 2014) over two numbers.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ b.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// In [0, 1), of the bits that [`mix`] gives.
pub(crate) fn uniform(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(n: u32) -> Lengths {
        Lengths { each: (0..n).map(|it| 5 + it * 7919 % 120).collect(), longest: 124 }
    }

    #[test]
    fn examples_of_many_parts_are_cut_into_more_batches() {
        // Parts of 10 units at most; two of the examples have many of them.
        let lengths = Lengths { each: vec![10, 8, 90, 10, 55, 9, 3, 10], longest: 10 };
        assert_eq!(by_length(&lengths, 3), [vec![2], vec![4], vec![0], vec![3, 7, 5], vec![1, 6]]);
        let updates = epoch(&lengths, (4, 1), 7, 1);
        assert_eq!(updates.len(), 2, "an update has the same examples");
        for batch in updates.concat() {
            let units = batch.iter().map(|it| lengths.each[*it as usize]).sum::<u32>();
            assert!(units <= 40 || batch.len() == 1, "{batch:?}");
        }
        let mut all = groups(&lengths).concat();
        all.sort_unstable();
        assert_eq!((all, groups(&lengths).len()), ((0..8).collect(), 2));
    }

    fn flat(lengths: &Lengths, batch: usize, seed: u64, number: u64) -> Vec<Vec<u32>> {
        epoch(lengths, (batch, 1), seed, number).concat()
    }

    #[test]
    fn an_update_has_the_same_examples_however_it_is_cut() {
        let lengths = lengths(90);
        let sets = |cut: (usize, usize)| -> Vec<Vec<u32>> {
            let mut updates: Vec<Vec<u32>> =
                epoch(&lengths, cut, 7, 1).into_iter().map(|it| it.concat()).collect();
            updates.iter_mut().for_each(|it| it.sort_unstable());
            updates
        };
        assert_eq!(sets((20, 1)).len(), 5);
        assert_eq!(sets((20, 1)), sets((4, 5)));
        assert!(
            epoch(&lengths, (4, 5), 7, 1).concat().iter().all(|it| (3..=4).contains(&it.len()))
        );
    }

    #[test]
    fn every_example_comes_once_an_epoch_in_an_order_of_its_own() {
        let lengths = lengths(1003);
        let first = flat(&lengths, 32, 7, 0);
        assert_eq!(first.len(), 32);
        let mut seen = first.concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..1003).collect::<Vec<u32>>());
        assert_eq!(first, flat(&lengths, 32, 7, 0));
        assert_ne!(first, flat(&lengths, 32, 7, 1));
        assert_ne!(first, flat(&lengths, 32, 8, 0));
    }

    #[test]
    fn batches_are_even() {
        for (examples, batch) in [(33, 32), (1003, 32), (64, 32), (5, 32), (7, 3), (3, 1), (0, 4)] {
            for number in [0, 1] {
                let batches = flat(&lengths(examples), batch, 0, number);
                assert_eq!(batches.len(), (examples as usize).div_ceil(batch));
                let sizes = batches.iter().map(Vec::len);
                let (least, most) = (sizes.clone().min(), sizes.max());
                assert!(
                    most <= least.map(|it| it + 1),
                    "{examples} by {batch}: {least:?} {most:?}"
                );
                assert!(most.is_none_or(|it| it <= batch));
            }
        }
    }

    #[test]
    fn a_first_batch_needs_few_groups() {
        let lengths = lengths(1003);
        let groups = groups(&lengths);
        let mut group_of = vec![0; lengths.each.len()];
        for (number, group) in groups.iter().enumerate() {
            group.iter().for_each(|&it| group_of[it as usize] = number);
        }
        for seed in 0..9 {
            let mut seen = std::collections::BTreeSet::new();
            for (number, batch) in flat(&lengths, 32, seed, 0).iter().enumerate() {
                seen.extend(batch.iter().map(|&it| group_of[it as usize]));
                assert!(
                    seen.len() <= 2 * (number + 1) + 1,
                    "seed {seed}, batch {number}: {seen:?}"
                );
            }
            assert_eq!(seen.len(), groups.len());
        }
    }

    /// How many standard errors a batch's mean length is from the mean of all.
    fn off(lengths: &Lengths, batch: &[u32]) -> f64 {
        let mean = |it: &[f64]| it.iter().sum::<f64>() / it.len() as f64;
        let all: Vec<f64> = lengths.each.iter().map(|&it| f64::from(it)).collect();
        let these: Vec<f64> = batch.iter().map(|&it| all[it as usize]).collect();
        let squares: Vec<f64> = all.iter().map(|it| (it - mean(&all)).powi(2)).collect();
        (mean(&these) - mean(&all)) / (mean(&squares) / these.len() as f64).sqrt()
    }

    #[test]
    fn halves_of_a_group_know_no_length() {
        // The first batch cut out of a group is not the one of the shorter or the longer texts:
        // over many groups the two are alike.
        let lengths = lengths(1600);
        for seed in 0..20 {
            let batches = flat(&lengths, 8, seed, 0);
            let half = |first: usize| -> Vec<u32> {
                batches.iter().skip(first).step_by(2).flatten().copied().collect()
            };
            for half in [half(0), half(1)] {
                let off = off(&lengths, &half);
                assert!(off.abs() < 4.0, "seed {seed}: {off} standard errors");
            }
        }
    }

    #[test]
    fn batches_know_no_length() {
        // Sorting by length ruins small sets: a batch's mean length must be that of a random draw.
        let lengths = lengths(1372);
        for batch in [flat(&lengths, 32, 0, 0), flat(&lengths, 32, 0, 1)].iter().flatten() {
            assert!(off(&lengths, batch).abs() < 4.0);
            assert!(batch.is_sorted_by_key(|&it| lengths.each[it as usize]));
        }
    }
}
