//! How far a stage is, in bytes.

use crate::inflate::Count;
use finetuned_job::event::Phase;

/// Hears how far a stage is, in bytes: done, and total where it is known.
pub type Progress<'a> = dyn FnMut(Phase, u64, Option<u64>) + 'a;

/// Bytes between two reports of progress.
const STEP_BYTES: u64 = 1 << 20;

/// Passes progress on, but not with every row.
pub(crate) struct Steps {
    phase: Phase,
    done: u64,
    reported: u64,
    total: Option<u64>,
}

impl Steps {
    pub(crate) fn new(phase: Phase, total: Option<u64>) -> Steps {
        Steps { phase, done: 0, reported: 0, total }
    }

    /// These bytes are done too.
    pub(crate) fn add(&mut self, bytes: u64, progress: &mut Progress<'_>) {
        self.done += bytes;
        self.within(&Count::default(), progress);
    }

    /// So much of the next file is done.
    pub(crate) fn within(&mut self, of_file: &Count, progress: &mut Progress<'_>) {
        let done = self.done + of_file.get();
        if self.reported + STEP_BYTES <= done {
            self.reported = done;
            progress(self.phase, done, self.total);
        }
    }

    /// A file is done, however small.
    pub(crate) fn file(&mut self, bytes: u64, progress: &mut Progress<'_>) {
        self.done += bytes;
        self.reported = self.done;
        progress(self.phase, self.done, self.total);
    }
}
