//! Where the daemon's log goes and how it looks: stderr, text for people or one JSON object a line.

use crate::config::{self, LogStyle};
use anyhow::{Context, Result};
use std::io::IsTerminal;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// # Errors
/// FINETUNED_LOG that can't be understood.
pub(crate) fn start(style: LogStyle) -> Result<()> {
    let wanted = config::log_filter().unwrap_or_else(|| "info".into());
    let filter: Targets =
        wanted.parse().with_context(|| format!("FINETUNED_LOG is `{wanted}`, but must be a level or a list as in `finetuned=debug,notify=warn`"))?;
    let colours = std::io::stderr().is_terminal() && !config::plain_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match style {
        LogStyle::Human => lines.with_target(false).with_ansi(colours).boxed(),
        LogStyle::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    Ok(())
}
