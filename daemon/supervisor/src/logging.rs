//! Where the daemon's log goes and how it looks: stderr, text for people or one JSON object a line.

use crate::config::{self, LogStyle};
use anyhow::{Context, Result};
use finetuned_job::printable::{printable, printable_json};
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
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
    let layer = match style {
        LogStyle::Human => {
            let fields = debug_fn(|out, field, value| {
                let (value, name) = (format!("{value:?}"), field.name());
                // Where a crate's own log call stands in its source.
                if name.starts_with("log.") {
                    return Ok(());
                }
                let value = printable(&value);
                if name == "message" {
                    write!(out, "{value}")
                } else {
                    write!(out, "{name}={value}")
                }
            });
            let fields = fields.delimited(" ");
            let lines = lines.with_writer(std::io::stderr).fmt_fields(fields);
            lines.with_target(false).with_ansi(colours).boxed()
        }
        LogStyle::Json => lines.with_writer(|| Json).json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    Ok(())
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
