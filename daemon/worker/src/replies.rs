//! Answers on stdout, one JSON object a line, whole or as they come into being.

use crate::modality::Encoder;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};

/// The worker's stdout, out of reach of what a plugin prints: that goes to stderr.
pub(crate) struct Replies(BufWriter<File>);

impl Replies {
    pub(crate) fn apart() -> Result<Replies> {
        let out = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)
            .context("setting stdout aside")?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr()).context("setting stdout aside")?;
        Ok(Replies(BufWriter::new(File::from(out))))
    }

    pub(crate) fn line(&mut self, line: &Value) -> Result<()> {
        serde_json::to_writer(&mut self.0, line).context("printing")?;
        self.0.write_all(b"\n").context("printing")
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        self.0.flush().context("printing")
    }
}

/// A text that is printed while it grows.
#[derive(Default)]
pub(crate) struct Growing {
    printed: String,
}

impl Growing {
    /// Prints what these tokens say that was not printed yet, under `delta`. A character of which
    /// some bytes are to come is not printed.
    pub(crate) fn print(
        &mut self,
        tokens: &[u32],
        encoder: &dyn Encoder,
        replies: &mut Replies,
    ) -> Result<()> {
        let Some(delta) = self.delta(encoder.text(tokens)) else { return Ok(()) };
        replies.line(&json!({ "delta": delta }))?;
        replies.flush()
    }

    fn delta(&mut self, text: String) -> Option<String> {
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return None;
        }
        let delta = text.strip_prefix(self.printed.as_str()).filter(|it| !it.is_empty())?;
        let delta = delta.to_string();
        self.printed = text;
        Some(delta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_printed_once_and_by_whole_characters() {
        let mut growing = Growing::default();
        let mut said = Vec::new();
        for text in ["a", "a", "ab\u{fffd}", "ab\u{fffd}", "abé", "abéc"] {
            said.extend(growing.delta(text.into()));
        }
        assert_eq!(said, ["a", "bé", "c"]);
    }
}
