//! What every stage of an attempt is given: what was asked for, where it tells what happens, and
//! whether it should stop.

use crate::journal::Journal;
use crate::stop::Stop;
use anyhow::Result;
use finetuned_job::event::Phase;
use finetuned_job::spec::Spec;

pub(crate) struct Attempt<'a> {
    pub spec: &'a Spec,
    pub journal: Journal,
    pub stop: &'a Stop,
}

impl Attempt<'_> {
    /// How far a stage is that has no checkpoint of its own.
    ///
    /// # Errors
    /// A stop signal came.
    pub(crate) fn progress(&mut self, done: u64, total: u64) -> Result<()> {
        self.stop.check()?;
        self.journal.progress(done, Some(total))
    }

    /// For readers of data, which know no stop signal; it unwinds them to `main`, which loses
    /// nothing: they are done again.
    pub(crate) fn reading(&mut self) -> impl FnMut(Phase, u64, Option<u64>) {
        let mut now = None;
        move |phase, done, total| self.within(&mut now, phase, (phase, done, total))
    }

    /// The same for downloads, which go on from where they were.
    pub(crate) fn pulling(&mut self) -> impl FnMut(&str, u64, Option<u64>) {
        let mut now = None;
        move |file, done, total| {
            self.within(&mut now, file.to_owned(), (Phase::Pulling, done, total));
        }
    }

    /// `now`: what was at work, of which each new one begins a phase.
    fn within<T: PartialEq>(
        &mut self,
        now: &mut Option<T>,
        at_work: T,
        (phase, done, total): (Phase, u64, Option<u64>),
    ) {
        self.stop.unwind_if_requested();
        // A progress line that could not be written says nothing about the data.
        let _ = if now.as_ref() == Some(&at_work) {
            self.journal.progress(done, total)
        } else {
            self.journal.phase(phase, total)
        };
        *now = Some(at_work);
    }
}
