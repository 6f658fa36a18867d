//! Opens one file of a drop: never through a link, never a pipe or a device, inflated where it is
//! compressed, with a watch on whether anybody changed it meanwhile and a bound on what a single
//! row may take.

use crate::inflate::{Compression, Count, Counted};
use crate::refusal;
use finetuned_job::outcome::Failure;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Longest row of a table, and longest single text. A book fits; a table read with a quote that
/// never closes does not.
pub(crate) const ROW_BYTES_MAX: u64 = 16 << 20;

/// How a file begins that stands for one on a server.
const LFS_POINTER: &[u8] = b"version https://git-lfs";

pub(crate) struct Source {
    /// Relative to the drop, for messages.
    pub(crate) name: String,
    path: PathBuf,
    file: File,
    before: Stamp,
    compression: Option<Compression>,
}

#[derive(PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    inode: u64,
}

impl Stamp {
    fn of(it: &Metadata) -> Stamp {
        Stamp { bytes: it.len(), modified: (it.mtime(), it.mtime_nsec()), inode: it.ino() }
    }
}

impl Source {
    pub(crate) fn open(path: &Path, name: &str) -> Result<Source, Failure> {
        let failed = |err: io::Error| refusal::reading(name, &err);
        let file = finetuned_files::open_strange(path).map_err(|err| {
            if err.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
                return refusal::data(format!("{name} is a symbolic link"))
                    .with_cure("drop the file itself");
            }
            match err.kind() {
                io::ErrorKind::InvalidInput => {
                    refusal::data(format!("{name} is not an ordinary file"))
                }
                _ => failed(err),
            }
        })?;
        let metadata = file.metadata().map_err(failed)?;
        let mut source = Source {
            name: name.into(),
            path: path.into(),
            file,
            before: Stamp::of(&metadata),
            compression: None,
        };
        let mut head = [0; LFS_POINTER.len()];
        let n = source.raw_head(&mut head)?;
        if head[..n] == *LFS_POINTER {
            return Err(refusal::data(format!("{name} is a Git LFS pointer, not the file itself"))
                .with_cure("run `git lfs pull` where it was cloned, and drop the data again"));
        }
        source.compression = Compression::of(&head[..n]);
        Ok(source)
    }

    /// Size on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.before.bytes
    }

    pub(crate) fn compression(&self) -> Option<Compression> {
        self.compression
    }

    /// The first bytes as they lie on disk.
    pub(crate) fn raw_head(&self, head: &mut [u8]) -> Result<usize, Failure> {
        rustix::io::retry_on_intr(|| rustix::io::pread(&self.file, &mut *head, 0))
            .map_err(|err| refusal::reading(&self.name, &err.into()))
    }

    /// The whole file from its start, inflated. `raw` counts what was read from disk.
    pub(crate) fn stream(&self, raw: &Count) -> Result<Box<dyn Read>, Failure> {
        let open = || {
            let mut file = self.file.try_clone()?;
            file.seek(SeekFrom::Start(0))?;
            let counted = Counted { inner: file, count: raw.clone() };
            match self.compression {
                Some(compression) => compression.inflate(counted),
                None => Ok(Box::new(counted) as Box<dyn Read>),
            }
        };
        open().map_err(|err| refusal::reading(&self.name, &err))
    }

    /// The whole file as it lies on disk, from its start; to be read once.
    pub(crate) fn stored(&self) -> Result<&File, Failure> {
        (&self.file).seek(SeekFrom::Start(0)).map_err(|err| refusal::reading(&self.name, &err))?;
        Ok(&self.file)
    }

    pub(crate) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// To be asked after the last read: is it still the file that was opened?
    pub(crate) fn check_unchanged(&self) -> Result<(), Failure> {
        let changed = || {
            refusal::data(format!("{} changed while it was read", self.name)).with_cure(
                "drop it again when it is complete; writing it elsewhere and moving it in is safe",
            )
        };
        match std::fs::symlink_metadata(&self.path) {
            Ok(now) if Stamp::of(&now) == self.before => Ok(()),
            Ok(_) => Err(changed()),
            Err(err) => Err(refusal::reading(&self.name, &err)),
        }
    }
}

/// Takes the number and the bytes of a line.
type EachLine<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), Failure>;

/// Every line with its end, with its number from 1. `left`: what the line under way may still read.
pub(crate) fn each_line(
    name: &str,
    text: impl Read,
    left: &Count,
    each: EachLine<'_>,
) -> Result<(), Failure> {
    let mut reader = BufReader::with_capacity(1 << 16, text);
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        left.set(ROW_BYTES_MAX);
        let n = reader
            .read_until(b'\n', &mut bytes)
            .map_err(|err| refusal::reading(&format!("{name} line {line}"), &err))?;
        if n == 0 {
            break;
        }
        each(line, &bytes)?;
    }
    Ok(())
}

/// Ends with an error when a row takes more than [`ROW_BYTES_MAX`]; `left` is filled up between
/// rows.
pub(crate) struct RowBound<R> {
    inner: R,
    left: Count,
}

impl<R> RowBound<R> {
    pub(crate) fn new(inner: R) -> (RowBound<R>, Count) {
        let left = Count::default();
        left.set(ROW_BYTES_MAX);
        (RowBound { inner, left: left.clone() }, left)
    }
}

impl<R: Read> Read for RowBound<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 && !buf.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("a row is longer than {} MiB", ROW_BYTES_MAX >> 20),
            ));
        }
        let wanted = buf.len().min(self.left.get() as usize);
        let n = self.inner.read(&mut buf[..wanted])?;
        self.left.set(self.left.get() - n as u64);
        Ok(n)
    }
}
