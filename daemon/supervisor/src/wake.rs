//! Everything that can wake the supervisor, and the bell that its threads ring. A wake-up carries
//! as little as possible: the scan, the database and the run folders are the truth.

use crate::attempt::Ending;
use crate::cgroup::Usage;
use crate::queue::JobId;
use crate::settle::Fingerprint;
use finetuned_job::outcome::Failure;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Wake-ups that may wait. Hints beyond it are dropped (a scan is due anyway); workers and signals
/// wait for room.
const WAITING_MAX: usize = 1024;

/// A new wake-up is a new variant.
#[derive(Debug)]
pub(crate) enum Wake {
    /// Something may have moved in an inbox; the bell knows more.
    Hint,
    /// This entry came into an inbox by a rename.
    MovedIn(PathBuf),
    /// A command changed the database.
    Poke,
    Worker(JobId, WorkerNews),
    /// The copy of a job's drop has ended.
    Copied(JobId, Result<(), NotCopied>),
    /// A job's original has been removed, or not.
    Released(JobId, Result<(), String>),
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// Why there is no copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotCopied {
    Stopped,
    /// The original is gone.
    Gone,
    /// The original looks like this now.
    Changed(Fingerprint),
    /// Somebody has this file open for writing.
    Written(String),
    /// What will not be otherwise in a moment: room, permissions, a disk.
    Failed(String),
}

/// What the supervisor needs of a worker's lines while it runs; the rest stays in `events.jsonl`.
#[derive(Debug)]
pub(crate) enum WorkerNews {
    /// The drop has been read; what comes after works on what was read.
    DropRead,
    Warning(String),
    Failed(Failure),
    /// It has left; the last news of a worker. What it used, where that is known.
    Ended(Ending, Option<Usage>),
}

/// Can be cloned into every thread.
#[derive(Clone)]
pub(crate) struct Bell {
    wakes: SyncSender<Wake>,
    /// A hint waits already: another one would say nothing new.
    hinted: Arc<AtomicBool>,
    /// The kernel dropped events.
    lost: Arc<AtomicBool>,
    /// A stop signal has come, whatever the loop is at.
    stopping: Arc<AtomicBool>,
}

impl Bell {
    pub fn new() -> (Bell, Receiver<Wake>) {
        let (wakes, receiver) = sync_channel(WAITING_MAX);
        (
            Bell { wakes, hinted: Arc::default(), lost: Arc::default(), stopping: Arc::default() },
            receiver,
        )
    }

    /// Nothing new is to be begun.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Before the wake-up itself, which may have to wait.
    pub fn announce_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Never waits. `lost`: the kernel dropped events.
    pub fn hint(&self, lost: bool) {
        self.lost.fetch_or(lost, Ordering::AcqRel);
        if !self.hinted.swap(true, Ordering::AcqRel) {
            self.try_ring(Wake::Hint);
        }
    }

    /// Whether there was a hint. Before looking at the inboxes, so that what comes meanwhile rings
    /// again.
    pub fn take_hint(&self) -> bool {
        self.hinted.swap(false, Ordering::AcqRel)
    }

    pub fn take_loss(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }

    /// Never waits; with a full channel the supervisor is awake anyway.
    pub fn try_ring(&self, wake: Wake) {
        match self.wakes.try_send(wake) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// Waits for room. False when nobody listens any more.
    pub fn ring(&self, wake: Wake) -> bool {
        self.wakes.send(wake).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_loses_no_hint() {
        let (bell, wakes) = Bell::new();
        (0..2 * WAITING_MAX).for_each(|_| bell.try_ring(Wake::MovedIn("/in/a".into())));
        bell.hint(true);
        bell.hint(false);
        assert_eq!(wakes.try_iter().count(), WAITING_MAX);
        assert_eq!([bell.take_hint(), bell.take_hint()], [true, false]);
        assert_eq!([bell.take_loss(), bell.take_loss()], [true, false]);
        bell.hint(false);
        bell.hint(false);
        assert_eq!(wakes.try_iter().count(), 1);
    }
}
