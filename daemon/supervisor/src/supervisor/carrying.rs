//! Drops that could not be moved: one copy at a time, beside everything else, and what becomes of
//! the originals when their jobs are over.

use super::{RETRY_AFTER, Supervisor};
use crate::claim;
use crate::copy::Carriage;
use crate::observe::observe;
use crate::ownership;
use crate::queue::{Job, JobId, Original, now_ms};
use crate::wake::{NotCopied, Wake};
use crate::words;
use anyhow::{Context, Result};
use std::thread;
use std::time::Duration;

/// A first pause after a copy that failed; each further one is twice as long, up to the last.
const PAUSE_FIRST: Duration = Duration::from_secs(10);
const PAUSE_LAST: Duration = Duration::from_secs(600);
/// The same while somebody writes: the whole drop is looked through each time.
const WRITTEN_FIRST: Duration = Duration::from_secs(1);
const WRITTEN_LAST: Duration = Duration::from_secs(30);
/// A remark about file events that were lost stays so long.
const LOSS_SHOWN: Duration = Duration::from_secs(3600);
/// An original that could not be removed is tried again.
const RELEASE_EVERY: Duration = Duration::from_secs(600);

impl Supervisor {
    /// Starts the copy of the oldest job that waits for one.
    pub(super) fn copy_next(&mut self) -> Result<()> {
        if self.carriage.is_some() || self.bell.is_stopping() {
            return Ok(());
        }
        let Some(job) = self.queue.next_to_copy()? else { return Ok(()) };
        let (from, reserve) = (claim::original_of(&job), self.config.reserve);
        if !self.copy_pauses.contains_key(&job.id) {
            let _named = job.span().entered();
            tracing::info!("job {}: copying {}", job.id, from.display());
        }
        self.carriage = Some(Carriage::start(&self.home, &job, from, reserve, self.bell.clone())?);
        Ok(())
    }

    pub(super) fn copied(&mut self, id: JobId, copied: Result<(), NotCopied>) {
        let _named = id.span().entered();
        self.carriage = None;
        // What the database did not take now is found again by the next copy.
        self.after_copy(id, copied).unwrap_or_else(|err| tracing::error!("job {id}: {err:#}"));
    }

    fn after_copy(&mut self, id: JobId, copied: Result<(), NotCopied>) -> Result<()> {
        let before = self.copy_pauses.remove(&id);
        let longer = |first, last| before.map_or(first, |it| (it * 2).clamp(first, last));
        match copied {
            Ok(()) => self.queue.copied(id),
            Err(NotCopied::Stopped) => Ok(()),
            Err(NotCopied::Gone) => {
                self.queue.vanished(id, "its drop was removed before it could be copied")
            }
            Err(NotCopied::Changed(fingerprint)) => {
                let job = self.queue.job(id)?;
                ownership::write(&self.run_of(&job), &Job { fingerprint, ..job })?;
                self.queue.uncopied(id, fingerprint)?;
                self.wait(id, "its drop still changes", self.config.settle.max(RETRY_AFTER / 10))
            }
            Err(NotCopied::Written(file)) => {
                let pause = longer(WRITTEN_FIRST, WRITTEN_LAST);
                self.copy_pauses.insert(id, pause);
                self.wait(id, &format!("{file} is still open for writing"), pause)
            }
            Err(NotCopied::Failed(why)) => {
                tracing::warn!("job {id}: its drop can't be copied: {why}");
                let pause = longer(PAUSE_FIRST, PAUSE_LAST);
                self.copy_pauses.insert(id, pause);
                self.wait(id, &format!("its drop can't be copied: {why}"), pause)
            }
        }
    }

    fn wait(&mut self, id: JobId, waiting: &str, pause: Duration) -> Result<()> {
        self.queue.postpone(id, waiting, now_ms() + pause.as_millis() as u64)
    }

    /// Whether a hidden original is no longer what was copied: its owner still had it open.
    pub(super) fn original_changed(&self, job: &Job) -> bool {
        job.original == Some(Original::Hidden)
            && observe(&claim::hidden_of(job)).is_ok_and(|it| it.fingerprint != job.fingerprint)
    }

    /// One at a time, in a thread: a folder of a million files takes its time.
    pub(super) fn release_next(&mut self, now: Duration) -> Result<()> {
        if self.releasing || self.bell.is_stopping() || now < self.release_at {
            return Ok(());
        }
        let jobs = self.queue.hidden_originals()?;
        let stuck = &self.stuck;
        let Some(job) = jobs.into_iter().find(|it| !stuck.contains_key(&it.id)) else {
            self.release_at = now + RELEASE_EVERY;
            self.stuck_before = std::mem::take(&mut self.stuck).into_values().collect();
            return Ok(());
        };
        let (home, bell) = (self.home.clone(), self.bell.clone());
        let work = move || {
            let released = claim::release(&home, &job).map_err(|err| format!("{err:#}"));
            bell.ring(Wake::Released(job.id, released));
        };
        thread::Builder::new().name("release".into()).spawn(work).context("starting a thread")?;
        self.releasing = true;
        Ok(())
    }

    pub(super) fn released(&mut self, id: JobId, released: Result<(), String>) {
        let _named = id.span().entered();
        self.releasing = false;
        match released {
            Ok(()) => {
                self.queue.released(id).unwrap_or_else(|err| tracing::error!("job {id}: {err:#}"))
            }
            Err(why) => {
                if !self.stuck_before.contains(&why) {
                    tracing::warn!("job {id}: {why}");
                }
                self.stuck.insert(id, why);
            }
        }
    }

    /// What a person has to mend or to know, and nothing waits for.
    pub(super) fn remarks(&self) -> Vec<String> {
        let stuck = self.stuck.values().chain(&self.stuck_before).chain(&self.stale_config);
        let mut remarks: Vec<String> = stuck.cloned().collect();
        remarks.sort();
        remarks.dedup();
        let lost = self.lost_at.filter(|it| self.now() < it.0 + LOSS_SHOWN);
        remarks.extend(lost.map(|it| {
            let at = words::moment(it.1);
            format!("more files moved than the kernel tells of (fs.inotify.max_queued_events), last at {at}: inboxes were looked at instead")
        }));
        remarks
    }
}
