//! Decides whose turn it is: which queued job gets a free place.
//!
//! The more important job goes first, whatever inbox it lay in. Among the equally important the
//! inboxes take turns, by their weights; within one the oldest job is next. Everything is computed
//! from facts passed in.

use crate::queue::Due;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the configuration says about the jobs of an inbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Turns that it gets while another gets one.
    pub weight: u32,
}

/// Smooth weighted round robin: what each inbox has been promised and not yet been given, in
/// weights. Of weights 2 and 1 the turns are A B A, A B A.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Turns(BTreeMap<PathBuf, i64>);

/// The next job, and the turns as they are once it has begun.
pub(crate) fn choose<'a>(
    due: &'a [Due],
    turns: &Turns,
    rules: impl Fn(&Path) -> Rules,
) -> Option<(&'a Due, Turns)> {
    let heads = heads(due);
    let highest = heads.values().map(|it| it.priority).max()?;
    let contenders: Vec<&Due> = heads.into_values().filter(|it| it.priority == highest).collect();
    Some(next_turn(&contenders, turns, rules))
}

/// The most important and then oldest job of each inbox.
fn heads(due: &[Due]) -> BTreeMap<&Path, &Due> {
    let mut heads: BTreeMap<&Path, &Due> = BTreeMap::new();
    for it in due {
        let head = heads.entry(&it.inbox).or_insert(it);
        if (head.priority, it.job) < (it.priority, head.job) {
            *head = it;
        }
    }
    heads
}

/// `contenders`: one of each inbox, in the order of their inboxes, at least one.
fn next_turn<'a>(
    contenders: &[&'a Due],
    turns: &Turns,
    rules: impl Fn(&Path) -> Rules,
) -> (&'a Due, Turns) {
    let weight = |it: &Due| i64::from(rules(&it.inbox).weight);
    // Who has nothing to do is promised nothing for later.
    let promised = |it: &Due| turns.0.get(&it.inbox).copied().unwrap_or(0) + weight(it);
    let all: i64 = contenders.iter().map(|it| weight(it)).sum();
    let next = contenders.iter().rev().max_by_key(|it| promised(it)).expect("a contender");
    let given = |it: &Due| if it.job == next.job { all } else { 0 };
    let after = contenders.iter().map(|it| (it.inbox.clone(), promised(it) - given(it)));
    (next, Turns(after.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::JobId;

    fn due(job: u64, inbox: &str, priority: i32) -> Due {
        Due { job: JobId(job), inbox: inbox.into(), priority }
    }

    /// The order in which one place takes them all; an inbox's name begins with its weight.
    fn order(mut due: Vec<Due>) -> Vec<u64> {
        let rules = |inbox: &Path| Rules { weight: inbox.to_str().unwrap()[..1].parse().unwrap() };
        let (mut turns, mut order) = (Turns::default(), vec![]);
        while let Some((next, after)) = choose(&due, &turns, rules) {
            let job = next.job;
            (order, turns) = ([order, vec![job.0]].concat(), after);
            due.retain(|it| it.job != job);
        }
        order
    }

    #[test]
    fn the_more_important_goes_first_and_then_the_older() {
        let jobs = vec![due(1, "1a", 0), due(2, "1a", 5), due(3, "1a", -5), due(4, "1a", 5)];
        assert_eq!(order(jobs), [2, 4, 1, 3]);
    }

    #[test]
    fn inboxes_take_turns_by_their_weights_however_many_jobs_wait() {
        let jobs = |inbox: &str, from: u64, n: u64| {
            (from..from + n).map(|it| due(it, inbox, 0)).collect::<Vec<Due>>()
        };
        let both = [jobs("1a", 1, 9), jobs("1b", 11, 2)].concat();
        assert_eq!(order(both), [1, 11, 2, 12, 3, 4, 5, 6, 7, 8, 9]);
        let weighted = [jobs("2a", 1, 6), jobs("1b", 11, 3), jobs("1c", 21, 2)].concat();
        assert_eq!(order(weighted), [1, 11, 21, 2, 3, 12, 22, 4, 5, 13, 6]);
    }

    #[test]
    fn importance_counts_across_inboxes_and_costs_turns() {
        let jobs = vec![due(1, "1a", 0), due(2, "1b", 3), due(3, "1b", 0), due(4, "1a", 0)];
        assert_eq!(order(jobs)[0], 2);
    }

    #[test]
    fn who_had_nothing_to_do_has_no_turns_saved() {
        let rules = |_: &Path| Rules { weight: 1 };
        let mut turns = Turns::default();
        for job in 1..50 {
            turns = choose(&[due(job, "a", 0)], &turns, rules).unwrap().1;
        }
        let both = [due(50, "a", 0), due(51, "b", 0)];
        assert_eq!(choose(&both, &turns, rules).unwrap().0.job, JobId(50));
    }

    #[test]
    fn nothing_is_due() {
        assert_eq!(choose(&[], &Turns::default(), |_| Rules { weight: 1 }), None);
    }
}
