//! The only place that prints on stdout. A reader that has gone (`finetuned status | head -1`) is
//! no error: it ends the command quietly.

use serde::Serialize;
use std::io::{self, Write};

/// Prints whole lines.
pub(crate) struct Report {
    out: io::Stdout,
}

impl Report {
    pub fn new() -> Report {
        Report { out: io::stdout() }
    }

    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.print(&[text.as_bytes(), b"\n"])
    }

    /// One value on one line.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.line(&serde_json::to_string(value)?)
    }

    /// Bytes that bring their own line ends.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.print(&[bytes])
    }

    fn print(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let mut out = self.out.lock();
        let printed = parts.iter().try_for_each(|it| out.write_all(it)).and_then(|()| out.flush());
        printed.map_err(|err| {
            io::Error::new(err.kind(), format!("writing the answer to stdout: {err}"))
        })
    }
}

/// Whether an error only says that nobody reads on.
pub(crate) fn is_reader_gone(err: &anyhow::Error) -> bool {
    err.chain()
        .filter_map(|it| it.downcast_ref::<io::Error>())
        .any(|it| it.kind() == io::ErrorKind::BrokenPipe)
}
