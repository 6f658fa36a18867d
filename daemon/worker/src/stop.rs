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
    /// read on. `parent`: who started us, as far as it is known.
    pub(crate) fn on_signals(parent: Option<u32>) -> Result<Stop> {
        let stop = Stop::default();
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, stop.0.clone()).context("watching for signals")?;
        }
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
            .context("watching the parent process")?;
        if parent.is_some_and(is_gone) {
            stop.0.store(true, Ordering::Relaxed);
        }
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

/// It ended before we could ask to be told of it. A wrapper may stand between us.
fn is_gone(parent: u32) -> bool {
    let ours = rustix::process::getppid().map(|it| it.as_raw_nonzero().get().cast_unsigned());
    ours != Some(parent) && std::fs::read_link(format!("/proc/{parent}/exe")).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_that_ended_before_we_asked_is_noticed() {
        let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get().cast_unsigned();
        assert!(!is_gone(parent) && !is_gone(std::process::id()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(is_gone(pid));
    }
}
