//! Where the daemon's log goes and how it looks: text for people on stderr, or with its fields to
//! systemd's journal where that is what reads our stderr; or one JSON object a line on stderr.

use crate::config::{self, LogStyle};
use crate::journald::{self, Journal};
use anyhow::{Context, Result};
use finetuned_job::printable::{printable, printable_json};
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::prelude::*;

/// # Errors
/// FINETUNED_LOG that can't be understood.
pub(crate) fn start(style: LogStyle) -> Result<()> {
    let wanted = config::log_filter().unwrap_or_else(|| "info".into());
    let filter: Targets =
        wanted.parse().with_context(|| format!("FINETUNED_LOG is `{wanted}`, but must be a level or a list as in `finetuned=debug,notify=warn`"))?;
    let colours = std::io::stderr().is_terminal() && !config::plain_terminal();
    // A full disk behind stderr must neither be told there nor end us.
    let lines = tracing_subscriber::fmt::layer().log_internal_errors(false);
    let layer = match (style, journal()) {
        (LogStyle::Human, Some(journal)) => journal.with_filter(filter).boxed(),
        (LogStyle::Human, None) => {
            let lines = lines.with_writer(std::io::stderr).fmt_fields(words());
            // A message for people names its job itself.
            let filter = filter.and(filter_fn(|it| it.is_event()));
            lines.with_target(false).with_ansi(colours).with_filter(filter).boxed()
        }
        (LogStyle::Json, _) => {
            let lines = lines.with_writer(|| Json).json().flatten_event(true);
            lines.with_span_list(false).with_filter(filter).boxed()
        }
    };
    tracing_subscriber::registry().with(layer).init();
    Ok(())
}

/// Systemd's, where it reads our stderr: see sd_journal_stream_fd(3).
fn journal() -> Option<Journal<impl for<'a> FormatFields<'a> + 'static>> {
    let stderr = rustix::fs::fstat(io::stderr()).ok()?;
    let ours = format!("{}:{}", stderr.st_dev, stderr.st_ino);
    if config::journal_stream()? != ours {
        return None;
    }
    Journal::at(journald::SOCKET.into(), words()).ok()
}

/// Message and fields of an event, on one line.
pub(crate) fn words() -> impl for<'a> FormatFields<'a> + 'static {
    let fields = debug_fn(|out, field, value| {
        let (value, name) = (format!("{value:?}"), field.name());
        // Where a crate's own log call stands in its source.
        if name.starts_with("log.") {
            return Ok(());
        }
        let value = printable(&value);
        if name == "message" { write!(out, "{value}") } else { write!(out, "{name}={value}") }
    });
    fields.delimited(" ")
}

/// Events in JSON on stderr; each is written in one piece.
struct Json;

impl Write for Json {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        io::stderr().write_all(printable_json(&text).as_bytes()).map(|()| event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
