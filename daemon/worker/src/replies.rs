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
        let text = encoder.text(tokens);
        match text.ends_with(char::REPLACEMENT_CHARACTER) {
            true => Ok(()),
            false => self.print_rest(text, replies),
        }
    }

    /// The same of the whole text, at its end.
    pub(crate) fn print_rest(&mut self, text: String, replies: &mut Replies) -> Result<()> {
        let Some(delta) = self.delta(text) else { return Ok(()) };
        replies.line(&json!({ "delta": delta }))?;
        replies.flush()
    }

    /// From the first difference on: a token may change how those before it are read.
    fn delta(&mut self, text: String) -> Option<String> {
        let same = text.chars().zip(self.printed.chars()).take_while(|(a, b)| a == b);
        let same: usize = same.map(|it| it.0.len_utf8()).sum();
        let delta = text[same..].to_string();
        self.printed = text;
        (!delta.is_empty()).then_some(delta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_printed_once_and_goes_on_where_it_was_read_otherwise() {
        let mut growing = Growing::default();
        let texts = ["a", "a", "abé", "abéc", "ab\u{fffd}\u{fffd}d"];
        let deltas: Vec<String> =
            texts.into_iter().filter_map(|it| growing.delta(it.into())).collect();
        assert_eq!(deltas, ["a", "bé", "c", "\u{fffd}\u{fffd}d"]);
    }
}
