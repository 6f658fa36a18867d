//! Signals of the process, heard in a thread of its own; what they mean is left to the caller.

use anyhow::{Context, Result};
use signal_hook::iterator::Signals;
use std::thread;

/// Calls `each` for every signal of the list, until it answers false.
pub(crate) fn hear(list: &[i32], mut each: impl FnMut(i32) -> bool + Send + 'static) -> Result<()> {
    let mut signals = Signals::new(list).context("listening to signals")?;
    let hear = move || signals.forever().take_while(|it| each(*it)).for_each(drop);
    thread::Builder::new().name("signals".into()).spawn(hear).context("starting a thread")?;
    Ok(())
}
