//! Opens gzip and zstd streams, and decides when one is a decompression bomb.
//!
//! Nothing that a header says about sizes is believed: what comes out is counted against what went
//! in.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Texts and tables shrink to a tenth, very repetitive ones to a fiftieth; deflate's own limit is
/// 1032:1, so a bomb made with it comes close to that, and one made with zstd far beyond.
pub(crate) const RATIO_MAX: u64 = 250;
/// Below this many bytes a ratio says nothing, and does no harm.
pub(crate) const RATIO_FROM_BYTES: u64 = 64 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// By the first bytes of a file.
    pub(crate) fn of(head: &[u8]) -> Option<Compression> {
        match head {
            [0x1f, 0x8b, ..] => Some(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// The decompressed stream; `raw_bytes` is what was read of `raw` so far.
    pub(crate) fn inflate<'a>(
        self,
        raw: Counted<impl Read + 'a>,
    ) -> io::Result<Box<dyn Read + 'a>> {
        let raw_bytes = raw.count.clone();
        let inner: Box<dyn Read + 'a> = match self {
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(raw)),
            Compression::Zstd => Box::new(zstd::Decoder::new(raw)?),
        };
        Ok(Box::new(Expanding { inner, raw_bytes, out_bytes: 0 }))
    }
}

/// A number that a reader keeps up to date while others look at it.
pub(crate) type Count = Rc<Cell<u64>>;

/// Counts what passes.
pub(crate) struct Counted<R> {
    pub(crate) inner: R,
    pub(crate) count: Count,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.count.set(self.count.get() + n as u64);
        Ok(n)
    }
}

/// A decompressed stream that ends with an error where it grows out of all proportion.
struct Expanding<R> {
    inner: R,
    raw_bytes: Count,
    out_bytes: u64,
}

impl<R: Read> Read for Expanding<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf).map_err(damaged)?;
        self.out_bytes += n as u64;
        if is_bomb(self.raw_bytes.get(), self.out_bytes) {
            return Err(bomb());
        }
        Ok(n)
    }
}

pub(crate) fn is_bomb(raw_bytes: u64, out_bytes: u64) -> bool {
    RATIO_FROM_BYTES < out_bytes && RATIO_MAX < out_bytes / raw_bytes.max(1)
}

pub(crate) fn bomb() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("unpacks to more than {RATIO_MAX} times its size, as decompression bombs do"),
    )
}

/// The decoders report bad input as `Other` or `InvalidInput`; real read errors keep their kind.
fn damaged(err: io::Error) -> io::Error {
    match err.kind() {
        io::ErrorKind::Other | io::ErrorKind::InvalidInput => {
            io::Error::new(io::ErrorKind::InvalidData, err.to_string())
        }
        _ => err,
    }
}
