//! Lines of CSV that stand in quotes as a whole, as a spreadsheet writes them whose cells hold a
//! line of CSV each: `"text,label"`. What is inside is the line that was meant.

use crate::row::{SAMPLE_ROWS, nearly_all};
use std::io::{BufRead, BufReader, Read, Result};

pub(crate) const NOTE: &str = "was read without the quotes around each of its lines";

/// Takes the quotes away.
pub(crate) struct WholeLines<R> {
    inner: BufReader<R>,
    /// Whether any are taken away at all.
    active: bool,
    line: Vec<u8>,
    at: usize,
}

impl<R: Read> WholeLines<R> {
    pub(crate) fn new(inner: R, active: bool) -> WholeLines<R> {
        WholeLines { inner: BufReader::new(inner), active, line: Vec::new(), at: 0 }
    }
}

impl<R: Read> Read for WholeLines<R> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if !self.active {
            return self.inner.read(buf);
        }
        if self.at == self.line.len() {
            (self.at, self.line) = (0, Vec::new());
            self.inner.read_until(b'\n', &mut self.line)?;
            let line = String::from_utf8_lossy(&self.line);
            let end = line.trim_end_matches(['\r', '\n']);
            if let Some(inner) = inner(end) {
                self.line = (inner + &line[end.len()..]).into_bytes();
            }
        }
        let n = buf.len().min(self.line.len() - self.at);
        buf[..n].copy_from_slice(&self.line[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// What stands in the quotes around a line or a field, where all quotes inside are doubled.
pub(crate) fn inner(quoted: &str) -> Option<String> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let without = inner.replace("\"\"", "");
    (!without.contains('"')).then(|| inner.replace("\"\"", "\""))
}

/// The lines without their quotes, where nearly all below the first have them and several fields
/// inside.
pub(crate) fn unquoted(text: &str) -> Option<String> {
    let is_it = |line: &str| inner(line).is_some_and(|it| it.contains([',', ';', '\t', '|']));
    let lines = || text.lines().filter(|it| !it.trim().is_empty());
    nearly_all(lines().skip(1).take(SAMPLE_ROWS).map(is_it)).then(|| {
        let line = |it: &str| inner(it).unwrap_or_else(|| it.to_string()) + "\n";
        lines().map(line).collect()
    })
}

/// Whether so many rows are nearly all that the lines below the first give.
pub(crate) fn are_rows(text: &str, rows: usize) -> bool {
    let lines = text.lines().take(SAMPLE_ROWS).count();
    0 < rows && lines <= rows + 1 + lines / 10
}
