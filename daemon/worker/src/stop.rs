//! The stop signal as a flag that long work looks at.

use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

/// Long work was left because of a stop signal. Not a failure: the job continues later.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a signal")]
pub(crate) struct Stopped;

impl Stop {
    /// SIGTERM and SIGINT raise the flag; so does the end of the parent process, since nobody would
    /// read on.
    pub(crate) fn on_signals() -> Result<Stop> {
        let stop = Stop::default();
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, stop.0.clone()).context("watching for signals")?;
        }
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
            .context("watching the parent process")?;
        Ok(stop)
    }

    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// For code that takes no answer from its caller: leaves it by unwinding, without a word of
    /// panic.
    pub(crate) fn unwind_if_requested(&self) {
        if self.requested() {
            std::panic::resume_unwind(Box::new(Stopped));
        }
    }

    /// For stages without a checkpoint of their own: they are done again.
    pub(crate) fn check(&self) -> Result<()> {
        if self.requested() { Err(Stopped.into()) } else { Ok(()) }
    }
}
