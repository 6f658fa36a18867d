//! A plugin's lines in the job's log.

use crate::abi::{self, Host};
use crate::border;
use std::io::Write;
use std::sync::OnceLock;

/// Set once, by the entry. Where there is none (the author's own tests), lines go to stderr.
static HOST: OnceLock<&'static Host> = OnceLock::new();

pub(crate) fn connect(host: &'static Host) {
    // A second entry would bring the same host.
    let _ = HOST.set(host);
}

/// Behind [`error!`](crate::error!), [`warn!`](crate::warn!), [`info!`](crate::info!) and
/// [`debug!`](crate::debug!).
#[doc(hidden)]
pub fn line(level: u32, text: std::fmt::Arguments) {
    let Some(host) = HOST.get() else {
        // A full disk behind it is no reason to panic.
        let _ = writeln!(std::io::stderr(), "{text}");
        return;
    };
    let text = text.to_string();
    if let Some(log) = host.log {
        // SAFETY: the host stays, its function may be called from any thread, and copies the text.
        unsafe { log(host.context, level, border::bytes(&text)) };
    }
}

pub(crate) fn error(text: std::fmt::Arguments) {
    line(abi::LOG_ERROR, text);
}

/// A line in the job's log: the user must act, or the result is wrong.
#[macro_export]
macro_rules! error {
    ($($arg:tt)*) => { $crate::line($crate::abi::LOG_ERROR, format_args!($($arg)*)) }
}

/// A line in the job's log: something is odd.
#[macro_export]
macro_rules! warn {
    ($($arg:tt)*) => { $crate::line($crate::abi::LOG_WARN, format_args!($($arg)*)) }
}

/// A line in the job's log.
#[macro_export]
macro_rules! info {
    ($($arg:tt)*) => { $crate::line($crate::abi::LOG_INFO, format_args!($($arg)*)) }
}

/// A line in the job's log, for the plugin's author.
#[macro_export]
macro_rules! debug {
    ($($arg:tt)*) => { $crate::line($crate::abi::LOG_DEBUG, format_args!($($arg)*)) }
}
