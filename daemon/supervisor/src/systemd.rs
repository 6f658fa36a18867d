//! What the service manager that started us gets to know (sd_notify(3)): ready, reloading,
//! stopping, a line for people, signs of life. Without one nothing is sent. When each is due is
//! decided by the daemon's loop, which alone gives signs of life.

use crate::config;
use finetuned_job::printable::printable;
use sd_notify::NotifyState::{self, MonotonicUsec, Ready, Reloading, Status, Stopping, Watchdog};
use std::time::Duration;

/// How far a running job has come is sent this often.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// A line for people; a datagram's limit is far beyond it.
const STATUS_CHARS_MAX: usize = 500;

pub(crate) struct Systemd {
    listens: bool,
    status: String,
    status_at: Duration,
    /// Half of what the manager waits for a sign of life.
    sign_every: Option<Duration>,
    sign_at: Duration,
}

impl Systemd {
    pub fn new() -> Systemd {
        Systemd {
            listens: config::has_manager(),
            status: String::new(),
            status_at: Duration::ZERO,
            sign_every: sd_notify::watchdog_enabled().map(|it| it / 2).filter(|it| !it.is_zero()),
            sign_at: Duration::ZERO,
        }
    }

    pub fn is_due(&self, now: Duration) -> bool {
        self.listens && self.status_at <= now
    }

    /// Sent when it is another one.
    pub fn status(&mut self, status: &str, now: Duration) {
        self.status_at = now + STATUS_EVERY;
        let status: String = printable(status).chars().take(STATUS_CHARS_MAX).collect();
        if status != self.status {
            send(&[Status(&status)]);
            self.status = status;
        }
    }

    /// The loop has come round.
    pub fn alive(&mut self, now: Duration) {
        if let Some(every) = self.sign_every
            && self.sign_at <= now
        {
            send(&[Watchdog]);
            self.sign_at = now + every;
        }
    }

    /// When the loop has to come round at the latest.
    pub fn next_sign(&self) -> Option<Duration> {
        self.sign_every.map(|_| self.sign_at)
    }

    /// When a line about running jobs is old.
    pub fn next_status(&self) -> Option<Duration> {
        self.listens.then_some(self.status_at)
    }
}

pub(crate) fn ready() {
    send(&[Ready]);
}

pub(crate) fn reloading() {
    // By one clock, the manager knows which of two reloads has ended.
    match NotifyState::monotonic_usec_now() {
        Ok(MonotonicUsec(now)) => send(&[Reloading, MonotonicUsec(now)]),
        _ => send(&[Reloading]),
    }
}

pub(crate) fn stopping() {
    send(&[Stopping]);
}

/// Why nothing is served.
pub(crate) fn failed(why: &anyhow::Error) {
    send(&[Status(&printable(&format!("{why:#}")))]);
}

fn send(states: &[NotifyState]) {
    sd_notify::notify(states)
        .unwrap_or_else(|err| tracing::warn!("the service manager can't be told: {err}"));
}
