//! Takes validation and test out of the training examples where the drop has none: stratified, a
//! pure function of (seed, order of the rows, contents), equal contents always on one side, and
//! where the kind of input says so all that begins with one question.
//!
//! Examples of several labels are stratified iteratively (Sechidis, Tsoumakas, Vlahavas 2011): the
//! rarest label first, each example to the split that lacks most of it.

use crate::example::{Example, Examples, Key};
use finetuned_answers::TargetKind;
use finetuned_job::scores::Split;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

/// Fractions of all rows; 0 for a split that isn't wanted or that the drop has already.
pub(crate) struct Fractions {
    pub(crate) validation: f64,
    pub(crate) test: f64,
    /// At least so many of each class in validation, but no more than a quarter of it.
    pub(crate) of_each_class: usize,
}

impl Fractions {
    /// The wanted splits, with their rows of so many.
    fn wanted(&self, rows: usize) -> impl Iterator<Item = (Split, usize)> {
        [(Split::Validation, self.validation), (Split::Test, self.test)]
            .into_iter()
            .filter(|it| 0.0 < it.1)
            .map(move |(split, part)| (split, ((part * rows as f64).round() as usize).max(1)))
    }
}

/// Every stratum keeps an example in train; where it has enough different contents, each wanted
/// split gets one too. `group`: examples of which it says the same stay together. Groups that are
/// larger than a split stay in train; where none is left for it then, only equal contents do.
pub(crate) fn carve(
    examples: &mut Examples,
    of: (&dyn TargetKind, &[String]),
    group: &dyn Fn(&Example) -> Key,
    fractions: &Fractions,
    seed: u64,
) {
    if fractions.validation <= 0.0 && fractions.test <= 0.0 {
        return;
    }
    let pool = std::mem::take(&mut examples.train);
    let mut places = divided(&pool, of, (group, true), fractions, seed);
    if fractions.wanted(pool.len()).any(|it| !places.contains(&it.0)) {
        places = divided(&pool, of, (&|it| it.key, false), fractions, seed);
    }
    for (example, place) in pool.into_iter().zip(places) {
        examples.of_mut(place).push(example);
    }
}

/// `bounded`: no group goes into a split that is smaller.
fn divided(
    pool: &[Example],
    (kind, outputs): (&dyn TargetKind, &[String]),
    (group, bounded): (&dyn Fn(&Example) -> Key, bool),
    fractions: &Fractions,
    seed: u64,
) -> Vec<Split> {
    let mut places = vec![Split::Train; pool.len()];
    for (stratum, mut groups) in groups_by_stratum(pool, kind, group) {
        groups.sort_by_key(|it| (shuffled(seed, it[0]), it[0]));
        match stratum {
            Some(_) => deal(groups, fractions, bounded, &mut places),
            None => {
                let labels = |it: &Group| kind.labels(&pool[it[0]].target, outputs);
                let labels = groups.iter().map(labels).collect::<Vec<_>>();
                deal_by_labels((&groups, &labels), fractions, bounded, &mut places);
            }
        }
    }
    places
}

/// Rows that stay together.
type Group = Vec<usize>;

/// Groups by the stratum of their first row, in the order of first rows.
fn groups_by_stratum(
    pool: &[Example],
    kind: &dyn TargetKind,
    group: &dyn Fn(&Example) -> Key,
) -> BTreeMap<Option<u32>, Vec<Group>> {
    let mut strata: BTreeMap<Option<u32>, Vec<Group>> = BTreeMap::new();
    let mut known: HashMap<Key, (Option<u32>, usize)> = HashMap::new();
    for (row_idx, example) in pool.iter().enumerate() {
        let (stratum, group_idx) = *known.entry(group(example)).or_insert_with(|| {
            let stratum = kind.stratum(&example.target);
            let groups = strata.entry(stratum).or_default();
            groups.push(Group::new());
            (stratum, groups.len() - 1)
        });
        strata.entry(stratum).or_default()[group_idx].push(row_idx);
    }
    strata
}

/// Deals the shuffled groups of one stratum.
fn deal(mut groups: Vec<Group>, fractions: &Fractions, bounded: bool, places: &mut [Split]) {
    let rows: usize = groups.iter().map(Vec::len).sum();
    let mut left = groups.len();
    for (split, wanted) in fractions.wanted(rows) {
        let least = if split == Split::Validation { fractions.of_each_class } else { 0 };
        let wanted = wanted.max(least.min(rows / 4));
        let (mut taken, mut rest) = (0, Vec::new());
        for group in groups {
            let fits = !bounded || group.len() <= wanted;
            if !fits || left < 2 || wanted <= taken {
                rest.push(group);
                continue;
            }
            left -= 1;
            taken += group.len();
            group.into_iter().for_each(|it| places[it] = split);
        }
        groups = rest;
    }
}

/// Rows that a split lacks.
struct Lack {
    split: Split,
    rows: f64,
    /// The largest group that it takes.
    largest: usize,
    of_label: BTreeMap<u32, f64>,
}

/// Deals shuffled groups whose examples have any number of labels, or none that could be counted.
/// How many rows a split gets follows from its fraction alone. `labels`: of each group.
fn deal_by_labels(
    (groups, labels): (&[Group], &[Vec<u32>]),
    fractions: &Fractions,
    bounded: bool,
    places: &mut [Split],
) {
    let rows: usize = groups.iter().map(Vec::len).sum();
    // Groups of each label that have no place yet.
    let mut open: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for (idx, group) in groups.iter().enumerate() {
        for label in &labels[idx] {
            open.entry(*label).or_default().push(idx);
            *counts.entry(*label).or_default() += group.len();
        }
    }
    let lack = |(split, wanted): (Split, usize)| {
        let part = wanted as f64 / rows as f64;
        let of_label = counts.iter().map(|(label, n)| (*label, part * *n as f64)).collect();
        let largest = if bounded && split != Split::Train { wanted } else { usize::MAX };
        Lack { split, rows: wanted as f64, largest, of_label }
    };
    let wanted: Vec<(Split, usize)> = fractions.wanted(rows).collect();
    let rest = rows.saturating_sub(wanted.iter().map(|it| it.1).sum());
    let mut lacks: Vec<Lack> = [(Split::Train, rest)].into_iter().chain(wanted).map(lack).collect();
    let mut has_place = vec![false; groups.len()];
    let mut place = |idx: usize, label: Option<u32>| {
        if std::mem::replace(&mut has_place[idx], true) {
            return;
        }
        let of = |it: &Lack| label.and_then(|label| it.of_label.get(&label)).copied();
        let size = groups[idx].len();
        let open = |it: &&mut Lack| it.split == Split::Train || 0.0 < it.rows && size <= it.largest;
        let most = |a: &&mut Lack, b: &&mut Lack| {
            let of_label = of(a).partial_cmp(&of(b)).unwrap_or(Ordering::Equal);
            // Of equal ones the first.
            of_label.then(a.rows.total_cmp(&b.rows)).then(b.split.cmp(&a.split))
        };
        let Some(to) = lacks.iter_mut().filter(open).max_by(most) else { return };
        let n = size as f64;
        to.rows -= n;
        for label in &labels[idx] {
            *to.of_label.entry(*label).or_default() -= n;
        }
        groups[idx].iter().for_each(|row| places[*row] = to.split);
    };
    while let Some(label) = open.iter().min_by_key(|it| (it.1.len(), *it.0)).map(|it| *it.0) {
        for idx in open.remove(&label).unwrap_or_default() {
            place(idx, Some(label));
            labels[idx].iter().for_each(|other| {
                if let Some(of_other) = open.get_mut(other) {
                    of_other.retain(|it| *it != idx);
                }
            });
        }
    }
    (0..groups.len()).for_each(|idx| place(idx, None));
    fill(groups, labels, &lacks, places);
}

/// Rounding may leave a split short of rows: it gets groups of train whose labels stay there.
fn fill(groups: &[Group], labels: &[Vec<u32>], lacks: &[Lack], places: &mut [Split]) {
    let mut in_train: BTreeMap<u32, usize> = BTreeMap::new();
    let mut left = 0;
    for (_, labels) in groups.iter().zip(labels).filter(|it| places[it.0[0]] == Split::Train) {
        left += 1;
        labels.iter().for_each(|it| *in_train.entry(*it).or_default() += 1);
    }
    for lack in lacks.iter().filter(|it| it.split != Split::Train) {
        let mut rows = lack.rows;
        for (group, labels) in groups.iter().zip(labels) {
            let stay = labels.iter().all(|it| in_train.get(it).is_some_and(|n| 1 < *n));
            let fits = group.len() <= lack.largest;
            if rows <= 0.0 || left < 2 || places[group[0]] != Split::Train || !stay || !fits {
                continue;
            }
            left -= 1;
            rows -= group.len() as f64;
            labels.iter().for_each(|it| *in_train.entry(*it).or_default() -= 1);
            group.iter().for_each(|row| places[*row] = lack.split);
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
    use crate::example::Record;
    use finetuned_answers::{Target, target_kind};
    use finetuned_job::task::Answer;
    use std::collections::HashSet;

    fn example(text: String, target: Target) -> Example {
        let record = Record::of_text(text);
        Example { key: record.key(), record, target, file: 0, line: 1 }
    }

    fn carved(train: Vec<Example>, answer: Answer, parts: [f64; 2], seed: u64) -> Examples {
        let mut it = Examples { train, ..Examples::default() };
        let fractions = Fractions { validation: parts[0], test: parts[1], of_each_class: 0 };
        carve(&mut it, (target_kind(answer).unwrap(), &[]), &|it| it.key, &fractions, seed);
        it
    }

    fn pool(counts: &[usize]) -> Vec<Example> {
        let of_class = |(class, count): (usize, &usize)| {
            (0..*count)
                .map(move |it| example(format!("{class} {it}"), Target::of_classes([class as u32])))
                .collect::<Vec<_>>()
        };
        counts.iter().enumerate().flat_map(of_class).collect()
    }

    fn counts(examples: &[Example], classes: usize) -> Vec<usize> {
        let of = |class| {
            examples.iter().filter(|it| it.target.classes().contains(&(class as u32))).count()
        };
        (0..classes).map(of).collect()
    }

    #[test]
    fn every_class_is_in_every_split_where_it_can_be() {
        let it = carved(pool(&[100, 3, 2, 1]), Answer::Class, [0.1, 0.2], 7);
        assert_eq!(counts(&it.validation, 4), [10, 1, 1, 0]);
        assert_eq!(counts(&it.test, 4), [20, 1, 0, 0]);
        assert_eq!(counts(&it.train, 4), [70, 1, 1, 1]);
    }

    #[test]
    fn validation_has_five_of_each_class_where_that_is_no_more_than_a_quarter() {
        let mut it = Examples { train: pool(&[1000, 40, 12, 3]), ..Examples::default() };
        let fractions = Fractions { validation: 0.02, test: 0.0, of_each_class: 5 };
        carve(&mut it, (target_kind(Answer::Class).unwrap(), &[]), &|it| it.key, &fractions, 7);
        assert_eq!(counts(&it.validation, 4), [20, 5, 3, 1]);
    }

    #[test]
    fn the_same_seed_gives_the_same_split_and_another_one_another() {
        for answer in [Answer::Class, Answer::Classes] {
            let validation = |seed| carved(pool(&[50, 50]), answer, [0.2, 0.0], seed).validation;
            assert_eq!(validation(1), validation(1));
            assert_ne!(validation(1), validation(2));
        }
    }

    #[test]
    fn equal_texts_stay_together() {
        for answer in [Answer::Class, Answer::Classes] {
            let twice = [pool(&[40, 40]), pool(&[40, 40])].concat();
            let it = carved(twice, answer, [0.25, 0.25], 0);
            let keys = |all: &[Example]| all.iter().map(|it| it.key).collect::<HashSet<_>>();
            assert!(keys(&it.train).is_disjoint(&keys(&it.validation)));
            assert!(keys(&it.train).is_disjoint(&keys(&it.test)));
            assert_eq!(counts(&it.validation, 2), [20, 20]);
        }
    }

    /// Rows of one group are beside each other.
    fn grouped(sizes: &[usize], answer: Answer, seed: u64) -> Examples {
        let of_group = |(group, size): (usize, &usize)| {
            (0..*size).map(move |it| Example {
                file: group as u32,
                ..example(format!("{group} {it}"), Target::of_classes([it as u32 % 2]))
            })
        };
        let train = sizes.iter().enumerate().flat_map(of_group).collect();
        let mut it = Examples { train, ..Examples::default() };
        let fractions = Fractions { validation: 0.2, test: 0.1, of_each_class: 0 };
        let kind = target_kind(answer).unwrap();
        carve(&mut it, (kind, &["a".into(), "b".into()]), &|it| it.file.into(), &fractions, seed);
        it
    }

    #[test]
    fn what_is_one_group_stays_together_and_a_large_one_in_train() {
        let sizes = [&[60][..], &[4; 20], &[1; 60]].concat();
        for (answer, seed) in [Answer::Class, Answer::Classes, Answer::Tokens, Answer::Reward]
            .into_iter()
            .flat_map(|it| (0..10).map(move |seed| (it, seed)))
        {
            let it = grouped(&sizes, answer, seed);
            let groups = |of: &[Example]| of.iter().map(|it| it.file).collect::<HashSet<_>>();
            let [train, validation, test] =
                [&it.train, &it.validation, &it.test].map(|it| groups(it));
            assert!(train.is_disjoint(&validation) && train.is_disjoint(&test));
            assert!(validation.is_disjoint(&test) && train.contains(&0));
            let rows = [it.validation.len(), it.test.len()];
            assert!((40..44).contains(&rows[0]) && (20..24).contains(&rows[1]), "{rows:?}");
        }
    }

    #[test]
    fn where_all_are_one_group_contents_are_divided() {
        for answer in [Answer::Class, Answer::Tokens] {
            let it = grouped(&[40], answer, 0);
            assert_eq!([it.train.len(), it.validation.len(), it.test.len()], [28, 8, 4]);
            let it = grouped(&[20, 20], answer, 0);
            assert_eq!([it.train.len(), it.validation.len(), it.test.len()], [28, 8, 4]);
        }
    }

    /// Label 0 on every second example, 1 on every fifth, 2 on every 25th; the rarest are seldom
    /// where the others are.
    fn label_sets(n: usize) -> Vec<Example> {
        let labels = |it: usize| -> Vec<u32> {
            [2, 5, 25]
                .iter()
                .enumerate()
                .filter(|at| it % at.1 == at.0)
                .map(|at| at.0 as u32)
                .collect()
        };
        (0..n).map(|it| example(format!("text {it}"), Target::of_classes(labels(it)))).collect()
    }

    #[test]
    fn each_label_of_many_has_its_part_in_every_split() {
        for seed in 0..20 {
            let it = carved(label_sets(500), Answer::Classes, [0.1, 0.2], seed);
            assert_eq!([it.train.len(), it.validation.len(), it.test.len()], [350, 50, 100]);
            assert_eq!(counts(&it.validation, 3), [25, 10, 2], "seed {seed}");
            assert_eq!(counts(&it.test, 3), [50, 20, 4], "seed {seed}");
        }
    }

    #[test]
    fn a_label_with_one_example_stays_in_train() {
        let mut few: Vec<Example> =
            (0..30).map(|it| example(format!("text {it}"), Target::of_classes([it]))).collect();
        few.push(example("more".into(), Target::of_classes([0, 1])));
        let it = carved(few, Answer::Classes, [0.1, 0.0], 3);
        assert!(!it.validation.is_empty());
        assert!(counts(&it.train, 30).iter().all(|it| 0 < *it));
    }

    #[test]
    fn what_has_no_labels_is_divided_by_rows() {
        let numbers = |n: u32| example(n.to_string(), Target::of_numbers([f64::from(n)]));
        let it = carved((0..41).map(numbers).collect(), Answer::Numbers, [0.1, 0.1], 3);
        assert_eq!([it.train.len(), it.validation.len(), it.test.len()], [33, 4, 4]);
    }
}
