//! How long queued jobs wait. Rows name a time of the wall clock, for people; what counts is the
//! clock that nobody sets, and a wait that begins with the daemon is no longer than ours ever are.

use crate::queue::JobId;
use std::collections::BTreeMap;
use std::time::Duration;

/// No pause of ours is longer: what a row says beyond it, another clock has said.
const WAIT_MAX: Duration = Duration::from_secs(600);

#[derive(Default)]
pub(super) struct Waits {
    /// What the row says, and when that is.
    known: BTreeMap<JobId, (u64, Duration)>,
}

impl Waits {
    /// The jobs whose time has come. `wall_ms` and `now` are this moment by the two clocks.
    pub fn over(&mut self, rows: &[(JobId, u64)], wall_ms: u64, now: Duration) -> Vec<JobId> {
        let mut known = BTreeMap::new();
        let mut over = Vec::new();
        for (id, not_before_ms) in rows {
            let new = || {
                let left = Duration::from_millis(not_before_ms.saturating_sub(wall_ms));
                (*not_before_ms, now + left.min(WAIT_MAX))
            };
            let before = self.known.get(id).filter(|it| it.0 == *not_before_ms).copied();
            let wait = before.unwrap_or_else(new);
            if wait.1 <= now {
                over.push(*id);
            } else {
                known.insert(*id, wait);
            }
        }
        self.known = known;
        over
    }

    pub fn next(&self) -> Option<Duration> {
        self.known.values().map(|it| it.1).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_changes_no_wait() {
        let at = Duration::from_secs;
        const YEAR_MS: u64 = 365 * 86_400_000;
        let rows = [(JobId(1), 2 * YEAR_MS + 5_000)];
        let mut waits = Waits::default();
        assert_eq!(waits.over(&rows, 2 * YEAR_MS, at(100)), []);
        assert_eq!(waits.next(), Some(at(105)));
        // Back by a year, and forth again.
        assert_eq!(waits.over(&rows, YEAR_MS, at(104)), []);
        assert_eq!(waits.over(&rows, 3 * YEAR_MS, at(104)), []);
        assert_eq!(waits.over(&rows, YEAR_MS, at(105)), [JobId(1)]);
        // A daemon that starts after the clock was set.
        assert_eq!(Waits::default().over(&rows, YEAR_MS, at(0)), []);
        let mut started = Waits::default();
        started.over(&rows, YEAR_MS, at(0));
        assert_eq!(started.next(), Some(WAIT_MAX));
    }
}
