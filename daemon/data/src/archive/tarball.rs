//! Reads .tar, plain or inflated.

use super::unpacker::Unpacker;
use crate::inflate::Count;
use finetuned_job::outcome::Failure;
use std::io::{self, Read};
use tar::{Archive, EntryType, Header};

pub(super) const BLOCK_BYTES: u64 = 512;
/// Headers between two entries, with their long names. The tar crate holds these in memory, and
/// believes the size that the archive gives them.
const HEADERS_BYTES_MAX: u64 = 1 << 20;

/// Whether a first block is a header: its checksum is right.
pub(super) fn is_header(block: &[u8]) -> bool {
    if block.len() < BLOCK_BYTES as usize || block.iter().all(|it| *it == 0) {
        return false;
    }
    let header = Header::from_byte_slice(&block[..BLOCK_BYTES as usize]);
    let field = 148..156;
    let sum: u32 = block[..BLOCK_BYTES as usize]
        .iter()
        .enumerate()
        .map(|(idx, it)| if field.contains(&idx) { 32 } else { u32::from(*it) })
        .sum();
    header.cksum().is_ok_and(|it| it == sum)
}

pub(super) fn unpack(stream: impl Read, unpacker: &mut Unpacker<'_, '_>) -> Result<(), Failure> {
    let allowance = Count::default();
    let mut archive = Archive::new(Allowed { inner: stream, left: allowance.clone() });
    allowance.set(HEADERS_BYTES_MAX);
    let mut entries = archive.entries().map_err(|err| unpacker.unreadable(&err))?;
    loop {
        allowance.set(HEADERS_BYTES_MAX);
        let Some(entry) = entries.next() else { return Ok(()) };
        let mut entry = entry.map_err(|err| unpacker.damaged(&err))?;
        unpacker.count()?;
        let name = entry.path_bytes().into_owned();
        allowance.set(u64::MAX);
        match entry.header().entry_type() {
            EntryType::Directory => unpacker.folder(&name)?,
            EntryType::Regular | EntryType::Continuous => {
                let announced = entry.size();
                if unpacker.file(&name, &mut entry)? != announced {
                    return Err(unpacker.unreadable(&io::ErrorKind::UnexpectedEof.into()));
                }
            }
            EntryType::XGlobalHeader => {}
            other => return Err(unpacker.refuse(&name, spoken(other))),
        }
        // Whatever an entry holds beyond what was read of it.
        io::copy(&mut entry, &mut io::sink()).map_err(|err| unpacker.unreadable(&err))?;
    }
}

fn spoken(entry_type: EntryType) -> &'static str {
    match entry_type {
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::GNUSparse => "a sparse file",
        _ => "neither file nor folder",
    }
}

/// Gives no more than it is allowed at the moment.
struct Allowed<R> {
    inner: R,
    left: Count,
}

impl<R: Read> Read for Allowed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = buf.len().min(usize::try_from(self.left.get()).unwrap_or(usize::MAX));
        if wanted == 0 && !buf.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "a header of an entry is longer than 1 MiB",
            ));
        }
        let n = self.inner.read(&mut buf[..wanted])?;
        self.left.set(self.left.get() - n as u64);
        Ok(n)
    }
}
