//! What stands in the line for the service manager, and when it is made.

use super::{Course, Supervisor};
use crate::inbox::Standing;
use crate::progress;
use crate::watch::Watch;
use anyhow::Result;
use std::time::Duration;

/// Running jobs that are named; the others are counted.
const JOBS_MAX: usize = 3;

impl Supervisor {
    /// After each round of the loop, so that a loop that hangs gives no signs.
    pub(super) fn report_to_manager(&mut self, now: Duration) {
        self.systemd.alive(now);
        if !self.systemd.is_due(now) {
            return;
        }
        let status = self.status_line().unwrap_or_else(|err| format!("{err:#}"));
        self.systemd.status(&status, now);
    }

    /// When the manager expects the loop to have come round.
    pub(super) fn next_report(&self) -> Option<Duration> {
        let line = self.systemd.next_status().filter(|_| !self.members.is_empty());
        self.systemd.next_sign().into_iter().chain(line).min()
    }

    /// As `3 queued, 1 running; job 7 tweets.csv: training, step 20 of 100, ...`.
    fn status_line(&self) -> Result<String> {
        let counts = self.queue.counts()?;
        let count = |state: &str| counts.iter().find(|it| it.0 == state).map_or(0, |it| it.1);
        let stopping = if self.course == Course::Serving { "" } else { "stopping; " };
        let mut parts =
            vec![format!("{stopping}{} queued, {} running", count("queued"), self.members.len())];
        for id in self.members.keys().take(JOBS_MAX) {
            let job = self.queue.job(*id)?;
            let progress = progress::of(&self.home.runs().join(&job.run)).sentence();
            parts.push(format!("job {id} {}: {progress}", job.name));
        }
        parts.extend(self.bulletin.copying.iter().map(|it| format!("copying {}", it.name)));
        let closed = self.inboxes.iter().filter_map(|it| match &it.standing {
            Standing::Open => None,
            Standing::Unclaimable(why) => Some((it.config.path.display(), why)),
        });
        parts.extend(closed.map(|(path, why)| format!("inbox {path} is closed: {why}")));
        let polled = self.inboxes.iter().filter_map(|it| match &it.watch {
            Watch::Events => None,
            Watch::Polled { why } => Some((it.config.path.display(), why)),
        });
        parts.extend(polled.map(|(path, why)| format!("inbox {path} is polled: {why}")));
        parts.extend(self.bulletin.trouble.clone());
        parts.extend(self.bulletin.remarks.first().cloned());
        Ok(parts.join("; "))
    }
}
