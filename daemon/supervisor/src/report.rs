//! The only place that prints on stdout or stderr; strings of strangers are made printable here. A
//! reader that has gone (`finetuned status | head -1`) is
//! no error: it ends the command quietly.

use finetuned_job::printable::{printable, printable_json, printable_lines};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Prints whole lines.
pub(crate) struct Report {
    out: io::Stdout,
}

impl Report {
    pub fn new() -> Report {
        Report { out: io::stdout() }
    }

    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.print(&[printable(text).as_bytes(), b"\n"])
    }

    /// What a line begins with, or goes on with.
    pub fn part(&mut self, text: &str) -> io::Result<()> {
        self.print(&[printable_lines(text).as_bytes()])
    }

    /// A person is likely to look at it now.
    pub fn is_terminal(&self) -> bool {
        self.out.is_terminal()
    }

    /// Several lines; cells of `words::table` are on one line each.
    pub fn lines(&mut self, text: &str) -> io::Result<()> {
        self.print(&[printable_lines(text).as_bytes(), b"\n"])
    }

    /// One value on one line.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.json_text(&serde_json::to_string(value)?)
    }

    /// JSON as it was encoded, with its line ends.
    pub fn json_text(&mut self, json: &str) -> io::Result<()> {
        let end: &[u8] = if json.ends_with('\n') { b"" } else { b"\n" };
        self.print(&[printable_json(json).as_bytes(), end])
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

/// A line on stderr. A full disk behind it is no reason to panic.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "finetuned: {}", printable(text));
}

/// Whether an error only says that nobody reads on.
pub(crate) fn is_reader_gone(err: &anyhow::Error) -> bool {
    err.chain()
        .filter_map(|it| it.downcast_ref::<io::Error>())
        .any(|it| it.kind() == io::ErrorKind::BrokenPipe)
}
