//! How attempts' ends are written down: into the database, and into run folders where no worker was
//! left to do it. What does not get there waits and is tried again. What an end means is decided in
//! `attempt` and carried out in `crew`.

use super::Supervisor;
use crate::queue::{Interrupted, Job, JobId, Verdict, now_ms};
use crate::run_facts;
use crate::schedule::Why;
use anyhow::Result;
use finetuned_job::outcome::Failure;
use std::io;
use std::time::Duration;

/// What an environment that is not ready (no disk space, no worker binary) gets to become so.
pub(super) const ENVIRONMENT_AFTER: Duration = Duration::from_secs(30);

/// What is written into the database about an attempt's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Over(Verdict),
    Interrupted(Interrupted),
}

impl Supervisor {
    /// Workers write `failed.json` themselves, unless they could not.
    pub(super) fn put_down(&mut self, job: &Job, failure: &Failure) {
        if run_facts::read(&self.run_of(job)).failed.is_none() {
            self.unwritten_failures.push((job.clone(), failure.clone()));
        }
    }

    pub(super) fn record(&mut self, id: JobId, end: End) {
        self.release_at = Duration::ZERO;
        self.unwritten.push((id, end));
        // What fails here is told by `tend`, which tries it again.
        let _ = self.write_ends();
    }

    /// Failures and ends that a full disk kept out of run folder and database wait until they are
    /// there.
    pub(super) fn write_ends(&mut self) -> Result<()> {
        while let Some((job, failure)) = self.unwritten_failures.first() {
            let _named = job.span().entered();
            let run = self.run_of(job);
            match run_facts::write_failed(&run, job.id.0, &job.name, job.attempt, failure) {
                Err(err) if is_disk_full(&err) => return Err(err),
                // Whoever removed the folder, say, stops no other job.
                Err(err) => tracing::error!("job {}: {err:#}", job.id),
                Ok(()) => {}
            }
            self.unwritten_failures.remove(0);
        }
        while let Some((id, end)) = self.unwritten.first() {
            match end {
                End::Over(verdict) => self.queue.over(*id, verdict)?,
                End::Interrupted(how) => self.queue.interrupted(*id, how)?,
            }
            self.unwritten.remove(0);
        }
        Ok(())
    }

    /// What lies in its run folder can't be read now: `start` looks again.
    pub(super) fn end_unseen(&mut self, job: &Job, why: &anyhow::Error) {
        let why = format!("{why:#}");
        tracing::warn!("job {}: {why}", job.id);
        let later = Interrupted {
            waiting: Some(why.clone()),
            not_before_ms: in_future(ENVIRONMENT_AFTER),
            ..Interrupted::because("lost", why)
        };
        self.record(job.id, End::Interrupted(later));
    }
}

/// What waiting helps against.
fn is_disk_full(err: &anyhow::Error) -> bool {
    let kind = err.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

/// Whoever gave way says for what it waits.
pub(super) fn stopped(how: &str, gave_way: Option<Why>) -> End {
    let waiting = gave_way.map(|it| it.to_string());
    let detail = waiting.as_ref().map_or(how.into(), |it| format!("{how}: {it}"));
    End::Interrupted(Interrupted { waiting, ..Interrupted::because("stopped", detail) })
}

pub(super) fn in_future(pause: Duration) -> u64 {
    now_ms() + pause.as_millis() as u64
}
