//! Which finished jobs go: by number, age and bytes. The newest proven run of an inbox stays
//! whatever the numbers are. Computed from what is passed in; `removal` does it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

/// What may stay; absent: everything.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Retention {
    pub runs: Option<u64>,
    pub age: Option<Duration>,
    pub bytes: Option<u64>,
}

/// A job that is over, for the rules.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    pub job: u64,
    pub inbox: Option<PathBuf>,
    pub proven: bool,
    pub ended_ms: u64,
    pub bytes: u64,
}

impl Retention {
    pub fn is_set(&self) -> bool {
        self.runs.is_some() || self.age.is_some() || self.bytes.is_some()
    }

    /// Which of them go, oldest first.
    pub fn surplus(&self, finished: Vec<Finished>, now_ms: u64) -> Vec<u64> {
        let finished = newest_first(finished, now_ms);
        let mut inboxes = HashSet::new();
        let (mut runs, mut bytes, mut surplus) = (0, 0_u64, Vec::new());
        for it in finished {
            let is_newest = it.proven && inboxes.insert(it.inbox.clone());
            let age = Duration::from_millis(now_ms.saturating_sub(it.ended_ms));
            let is_too_much = self.runs.is_some_and(|most| most <= runs)
                || self.bytes.is_some_and(|most| most < bytes + it.bytes)
                || self.age.is_some_and(|most| most < age);
            if is_too_much && !is_newest {
                surplus.push(it.job);
            } else {
                runs += 1;
                bytes += it.bytes;
            }
        }
        surplus.reverse();
        surplus
    }
}

/// One that ended in the future, by a clock that has been put back since, stands where its number
/// does: it would be the newest for as long as the clock was wrong.
fn newest_first(mut finished: Vec<Finished>, now_ms: u64) -> Vec<Finished> {
    finished.sort_by_key(|it| it.job);
    let mut newest = 0;
    let placed = finished.into_iter().map(|it| {
        let ended_ms = if it.ended_ms <= now_ms { it.ended_ms } else { newest };
        newest = newest.max(ended_ms);
        (ended_ms, it)
    });
    let mut placed: Vec<(u64, Finished)> = placed.collect();
    placed.sort_by_key(|(ended_ms, it)| std::cmp::Reverse((*ended_ms, it.job)));
    placed.into_iter().map(|it| it.1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surplus(rules: Retention) -> Vec<u64> {
        let job = |job, inbox: &str, proven, ended_ms, bytes| Finished {
            job,
            inbox: Some(inbox.into()),
            proven,
            ended_ms,
            bytes,
        };
        let finished = vec![
            job(1, "/a", true, 10_000, 5),
            job(2, "/b", true, 20_000, 5),
            job(3, "/a", false, 30_000, 5),
            job(4, "/a", true, 40_000, 5),
            job(5, "/a", false, 50_000, 5),
        ];
        rules.surplus(finished, 100_000)
    }

    #[test]
    fn the_oldest_go_and_the_newest_proven_of_an_inbox_stays() {
        let none = Retention::default();
        assert_eq!(surplus(none), [0; 0]);
        assert_eq!(surplus(Retention { runs: Some(2), ..none }), [1, 3]);
        assert_eq!(surplus(Retention { runs: Some(0), ..none }), [1, 3, 5]);
        assert_eq!(surplus(Retention { bytes: Some(11), ..none }), [1, 3]);
        let age = Some(Duration::from_secs(65));
        assert_eq!(surplus(Retention { age, ..none }), [1, 3]);
    }

    #[test]
    fn what_ended_in_the_future_is_no_newer_than_its_number() {
        let job = |job, ended_ms| Finished { job, inbox: None, proven: true, ended_ms, bytes: 5 };
        let finished = vec![job(1, 10_000), job(2, 900_000), job(3, 20_000), job(4, 30_000)];
        let one = Retention { runs: Some(1), ..Retention::default() };
        assert_eq!(one.surplus(finished, 100_000), [1, 2, 3]);
    }
}
