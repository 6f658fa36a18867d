//! Leaves out the blanks between a delimiter and a quote, which people write and the grammar of CSV
//! does not know.

use std::io::{Read, Result};

pub(crate) struct Unblanked<R> {
    inner: R,
    delimiter: u8,
    /// Whether anything is left out at all.
    active: bool,
    state: State,
    /// Blanks that may be left out.
    held: usize,
    out: Vec<u8>,
    at: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte of a field.
    Fresh,
    Plain,
    Quoted,
}

impl<R> Unblanked<R> {
    pub(crate) fn new(inner: R, delimiter: u8, active: bool) -> Unblanked<R> {
        Unblanked { inner, delimiter, active, state: State::Fresh, held: 0, out: Vec::new(), at: 0 }
    }

    fn take(&mut self, byte: u8) {
        if self.state == State::Fresh && byte == b' ' {
            self.held += 1;
            return;
        }
        let quote = byte == b'"';
        if !(self.state == State::Fresh && quote) {
            self.out.resize(self.out.len() + self.held, b' ');
        }
        self.held = 0;
        self.out.push(byte);
        let ends = byte == self.delimiter || byte == b'\n' || byte == b'\r';
        self.state = match self.state {
            State::Fresh if quote => State::Quoted,
            // Of two quotes the second one opens again what the first one closed.
            State::Quoted if quote => State::Plain,
            State::Quoted => State::Quoted,
            State::Plain if quote && self.out.ends_with(b"\"\"") => State::Quoted,
            _ if ends => State::Fresh,
            _ => State::Plain,
        };
    }
}

impl<R: Read> Read for Unblanked<R> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if !self.active {
            return self.inner.read(buf);
        }
        while self.at == self.out.len() {
            // The last byte is needed to know two quotes.
            let keep = self.out.len().saturating_sub(1);
            self.out.drain(..keep);
            self.at = self.out.len();
            let n = self.inner.read(buf)?;
            buf[..n].iter().for_each(|it| self.take(*it));
            if n == 0 {
                return Ok(0);
            }
        }
        let n = buf.len().min(self.out.len() - self.at);
        buf[..n].copy_from_slice(&self.out[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
