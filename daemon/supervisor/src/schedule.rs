//! Decides whose turn it is: which queued job gets a free place, and which running one gives its
//! place up.
//!
//! The more important job goes first, whatever inbox it lay in. Among the equally important the
//! inboxes take turns, by their weights; within one the oldest job is next. Everything is computed
//! from facts passed in.

use crate::queue::{Due, JobId};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the configuration says about the jobs of an inbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Turns that it gets while another gets one.
    pub weight: u32,
    /// At the same time.
    pub jobs_max: Option<u32>,
    /// Nothing of it shall run now.
    pub is_quiet: bool,
}

/// A job that has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    pub job: JobId,
    pub inbox: PathBuf,
    pub priority: i32,
    /// When this attempt began.
    pub since: Duration,
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It can be asked to write a checkpoint and wait.
    Training,
    /// That takes a moment, and nothing of it could be kept.
    Proving,
    /// It has been asked to leave.
    Leaving,
}

/// Smooth weighted round robin: what each inbox has been promised and not yet been given, in
/// weights. Of weights 2 and 1 the turns are A B A, A B A.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Turns(BTreeMap<PathBuf, i64>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Once it has begun, the turns are these.
    Start(JobId, Turns),
    /// It writes a checkpoint and waits.
    Stop(JobId, Why),
    Nothing,
}

/// Why a running job has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    MoreImportant(JobId),
    QuietHours,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::MoreImportant(job) => write!(f, "job {job} is more important and has its place"),
            Why::QuietHours => f.write_str("these are quiet hours"),
        }
    }
}

/// What is to be done next, with so many places in all.
pub(crate) fn choose(
    due: &[Due],
    running: &[Running],
    places: usize,
    turns: &Turns,
    rules: impl Fn(&Path) -> Rules,
) -> Choice {
    let stops = |it: &&Running| it.place == Place::Training && rules(&it.inbox).is_quiet;
    if let Some(it) = running.iter().find(stops) {
        return Choice::Stop(it.job, Why::QuietHours);
    }
    let is_full = |inbox: &Path| {
        let n = running.iter().filter(|it| it.inbox == inbox).count();
        rules(inbox).jobs_max.is_some_and(|most| most as usize <= n)
    };
    let mut heads = heads(due);
    heads.retain(|inbox, _| !rules(inbox).is_quiet);
    if running.len() < places {
        let open: Vec<&Due> = heads.values().filter(|it| !is_full(&it.inbox)).copied().collect();
        if let Some(highest) = open.iter().map(|it| it.priority).max() {
            let contenders = open.into_iter().filter(|it| it.priority == highest).collect();
            return next_turn(contenders, turns, |inbox| rules(inbox).weight);
        }
    }
    match displaced(heads.into_values().collect(), running, is_full) {
        Some((victim, by)) => Choice::Stop(victim, Why::MoreImportant(by)),
        None => Choice::Nothing,
    }
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
fn next_turn(contenders: Vec<&Due>, turns: &Turns, weight: impl Fn(&Path) -> u32) -> Choice {
    let weight = |it: &Due| i64::from(weight(&it.inbox));
    // Who has nothing to do is promised nothing for later.
    let promised = |it: &Due| turns.0.get(&it.inbox).copied().unwrap_or(0) + weight(it);
    let all: i64 = contenders.iter().map(|it| weight(it)).sum();
    let Some(next) = contenders.iter().rev().max_by_key(|it| promised(it)).map(|it| it.job) else {
        return Choice::Nothing;
    };
    let given = |it: &Due| if it.job == next { all } else { 0 };
    let after = contenders.iter().map(|it| (it.inbox.clone(), promised(it) - given(it)));
    Choice::Start(next, Turns(after.collect()))
}

/// Of the least important running jobs the youngest, for a head that is more important. One at a
/// time: the place of a job that leaves already may be all that is wanted.
fn displaced(
    mut heads: Vec<&Due>,
    running: &[Running],
    is_full: impl Fn(&Path) -> bool,
) -> Option<(JobId, JobId)> {
    if running.iter().any(|it| it.place == Place::Leaving) {
        return None;
    }
    heads.sort_by_key(|it| (Reverse(it.priority), it.job));
    heads.iter().find_map(|head| {
        let own_only = is_full(&head.inbox);
        let may_go = |it: &&Running| {
            it.place == Place::Training
                && it.priority < head.priority
                && (!own_only || it.inbox == head.inbox)
        };
        let candidates = running.iter().filter(may_go);
        let victim = candidates.min_by_key(|it| (it.priority, Reverse(it.since)))?;
        Some((victim.job, head.job))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(job: u64, inbox: &str, priority: i32) -> Due {
        Due { job: JobId(job), inbox: inbox.into(), priority }
    }

    fn running(job: u64, inbox: &str, priority: i32) -> Running {
        let since = Duration::from_secs(job);
        let place = Place::Training;
        Running { job: JobId(job), inbox: inbox.into(), priority, since, place }
    }

    /// An inbox's name begins with its weight; one with `quiet` in it is, and one with `one` in it
    /// has one job at a time.
    fn rules(inbox: &Path) -> Rules {
        let name = inbox.to_str().unwrap();
        Rules {
            weight: name[..1].parse().unwrap(),
            jobs_max: name.contains("one").then_some(1),
            is_quiet: name.contains("quiet"),
        }
    }

    fn chosen(due: &[Due], running: &[Running], places: usize) -> Choice {
        match choose(due, running, places, &Turns::default(), rules) {
            Choice::Start(job, _) => Choice::Start(job, Turns::default()),
            other => other,
        }
    }

    fn start(job: u64) -> Choice {
        Choice::Start(JobId(job), Turns::default())
    }

    fn stop(job: u64, by: u64) -> Choice {
        Choice::Stop(JobId(job), Why::MoreImportant(JobId(by)))
    }

    /// The order in which one place takes them all.
    fn order(mut due: Vec<Due>) -> Vec<u64> {
        let (mut turns, mut order) = (Turns::default(), vec![]);
        while let Choice::Start(job, after) = choose(&due, &[], 1, &turns, rules) {
            due.retain(|it| it.job != job);
            order.push(job.0);
            turns = after;
        }
        order
    }

    #[test]
    fn the_more_important_goes_first_and_then_the_older() {
        let jobs = vec![due(1, "1a", 0), due(2, "1a", 5), due(3, "1a", -5), due(4, "1a", 5)];
        assert_eq!(order(jobs), [2, 4, 1, 3]);
        assert_eq!(order(vec![due(1, "1a", 0), due(2, "1b", 3), due(3, "1b", 0)])[0], 2);
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
    fn who_had_nothing_to_do_has_no_turns_saved() {
        let mut turns = Turns::default();
        for job in 1..50 {
            let Choice::Start(_, after) = choose(&[due(job, "1b", 0)], &[], 1, &turns, rules)
            else {
                panic!("a free place")
            };
            turns = after;
        }
        let both = [due(50, "1b", 0), due(51, "1a", 0)];
        let Choice::Start(next, _) = choose(&both, &[], 1, &turns, rules) else { panic!("free") };
        assert_eq!(next, JobId(51), "the first by name, as at the beginning");
    }

    #[test]
    fn an_inbox_has_no_more_jobs_at_a_time_than_it_may() {
        let waiting = [due(2, "1one", 0), due(3, "1b", 0)];
        assert_eq!(chosen(&waiting, &[running(1, "1one", 0)], 2), start(3));
        assert_eq!(chosen(&waiting[..1], &[running(1, "1one", 0)], 2), Choice::Nothing);
        let important = [due(2, "1one", 9)];
        assert_eq!(
            chosen(&important, &[running(1, "1one", 0), running(3, "1b", -9)], 4),
            stop(1, 2)
        );
    }

    #[test]
    fn the_least_important_and_youngest_gives_way_and_only_to_a_more_important_one() {
        let at_work = [running(1, "1a", 0), running(2, "1b", 0), running(3, "1a", 1)];
        assert_eq!(chosen(&[due(9, "1b", 0)], &at_work, 3), Choice::Nothing);
        assert_eq!(chosen(&[due(9, "1b", 1)], &at_work, 3), stop(2, 9));
        assert_eq!(chosen(&[due(9, "1b", 1)], &at_work, 4), start(9), "a place is free");
        assert_eq!(chosen(&[due(8, "1a", 3), due(9, "1b", 5)], &at_work, 3), stop(2, 9));
    }

    #[test]
    fn one_gives_way_at_a_time_and_a_proof_never() {
        let with = |place| [running(1, "1a", 0), Running { place, ..running(2, "1a", 0) }];
        let important = [due(9, "1b", 5)];
        assert_eq!(chosen(&important, &with(Place::Leaving), 2), Choice::Nothing);
        assert_eq!(chosen(&important, &with(Place::Proving), 2), stop(1, 9));
        assert_eq!(chosen(&important, &with(Place::Proving)[1..], 1), Choice::Nothing);
    }

    #[test]
    fn nothing_of_an_inbox_runs_in_its_quiet_hours() {
        let waiting = [due(2, "1quiet", 9), due(3, "1b", 0)];
        assert_eq!(chosen(&waiting, &[], 1), start(3));
        let quiet = Choice::Stop(JobId(1), Why::QuietHours);
        assert_eq!(chosen(&waiting, &[running(1, "1quiet", 0)], 1), quiet);
        let leaving = Running { place: Place::Leaving, ..running(1, "1quiet", 0) };
        assert_eq!(chosen(&waiting, &[leaving], 1), Choice::Nothing);
    }
}
