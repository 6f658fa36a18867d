//! The one place that writes what an archive holds, and keeps its limits.

use super::entry_path;
use crate::inflate::{self, Count};
use crate::progress::{Progress, Steps};
use crate::refusal;
use finetuned_job::event::Phase;
use finetuned_job::outcome::{Failure, FailureKind};
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Files and folders of one archive.
const ENTRIES_MAX: u64 = 100_000;
/// A data set of text that is larger is given as a folder, so that it need not lie on the disk
/// twice.
const BYTES_MAX: u64 = 64 << 30;
/// Part of the free space that unpacking may take: checkpoints and the model need the rest.
const FREE_SHARE_MAX: f64 = 0.8;
const CHUNK_BYTES: usize = 128 << 10;

pub(super) struct Unpacker<'a, 'p> {
    root: &'a Path,
    /// The archive's name.
    name: &'a str,
    archive_bytes: u64,
    /// Bytes read of the archive.
    raw: Count,
    entries: u64,
    bytes: u64,
    bytes_max: u64,
    files: HashSet<PathBuf>,
    folders: HashSet<PathBuf>,
    progress: &'a mut Progress<'p>,
    steps: Steps,
    chunk: Vec<u8>,
}

impl<'a, 'p> Unpacker<'a, 'p> {
    pub(super) fn new(
        root: &'a Path,
        name: &'a str,
        archive_bytes: u64,
        raw: Count,
        progress: &'a mut Progress<'p>,
    ) -> Result<Self, Failure> {
        let space = rustix::fs::statvfs(root)
            .map_err(|err| refusal::writing("the staging folder", &err.into()))?;
        let free = space.f_bavail.saturating_mul(space.f_frsize) as f64;
        Ok(Unpacker {
            root,
            name,
            archive_bytes,
            raw,
            entries: 0,
            bytes: 0,
            bytes_max: BYTES_MAX.min((free * FREE_SHARE_MAX) as u64),
            files: HashSet::new(),
            folders: HashSet::new(),
            progress,
            steps: Steps::new(Phase::Unpacking, Some(archive_bytes)),
            chunk: vec![0; CHUNK_BYTES],
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// A refusal that names archive and entry.
    pub(super) fn refuse(&self, entry: &[u8], why: &str) -> Failure {
        let entry: String =
            String::from_utf8_lossy(entry).chars().take(100).flat_map(char::escape_debug).collect();
        refusal::data(format!("{}: the entry `{entry}` is {why}", self.name))
            .with_cure("make the archive again from plain files and folders")
    }

    pub(super) fn damaged(&self, err: &dyn std::fmt::Display) -> Failure {
        refusal::data(format!("{} is damaged: {err}", self.name)).with_cure("copy or make it again")
    }

    /// To be asked first for every entry, whatever it is.
    pub(super) fn count(&mut self) -> Result<(), Failure> {
        self.entries += 1;
        if ENTRIES_MAX < self.entries {
            return Err(refusal::data(format!(
                "{} has more than {ENTRIES_MAX} entries",
                self.name
            ))
            .with_cure("put the texts into a table"));
        }
        Ok(())
    }

    fn path(&self, entry: &[u8]) -> Result<PathBuf, Failure> {
        entry_path::checked(entry)
            .map_err(|why| self.refuse(entry, &format!("refused: it has {why}")))
    }

    pub(super) fn folder(&mut self, entry: &[u8]) -> Result<(), Failure> {
        let path = self.path(entry)?;
        self.make_folder(entry, &path)
    }

    fn make_folder(&mut self, entry: &[u8], path: &Path) -> Result<(), Failure> {
        if path.as_os_str().is_empty() || self.folders.contains(path) {
            return Ok(());
        }
        if path.ancestors().any(|it| self.files.contains(it)) {
            return Err(self.refuse(entry, "a file and a folder at once"));
        }
        std::fs::create_dir_all(self.root.join(path)).map_err(|err| self.writing(&err))?;
        self.folders.extend(
            path.ancestors().filter(|it| !it.as_os_str().is_empty()).map(Path::to_path_buf),
        );
        Ok(())
    }

    /// Writes what `content` gives, however much its header announced; returns how much that was.
    pub(super) fn file(&mut self, entry: &[u8], content: &mut dyn Read) -> Result<u64, Failure> {
        let path = self.path(entry)?;
        if path.as_os_str().is_empty() {
            return Err(self.refuse(entry, "a file without a name"));
        }
        if self.folders.contains(&path) {
            return Err(self.refuse(entry, "a file and a folder at once"));
        }
        if let Some(parent) = path.parent() {
            self.make_folder(entry, parent)?;
        }
        if !self.files.insert(path.clone()) {
            return Err(self.refuse(entry, "there twice"));
        }
        // Never what the archive says: no set-uid bit, nothing that is executable.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.root.join(&path))
            .map_err(|err| self.writing(&err))?;
        let mut bytes = 0;
        loop {
            let n = match content.read(&mut self.chunk) {
                Ok(0) => return Ok(bytes),
                Ok(n) => n,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                Err(err) => return Err(self.unreadable(&err)),
            };
            bytes += n as u64;
            self.account(n as u64)?;
            file.write_all(&self.chunk[..n]).map_err(|err| self.writing(&err))?;
        }
    }

    fn account(&mut self, n: u64) -> Result<(), Failure> {
        self.bytes += n;
        if self.bytes_max < self.bytes {
            let message = format!(
                "{} unpacks to more than {} MiB, which is the room there is for it",
                self.name,
                self.bytes_max >> 20
            );
            return Err(refusal::data(message)
                .with_cure("free disk space, or drop the folder instead of the archive"));
        }
        // Entries of a zip may overlap, so what was read is bounded by the archive itself.
        if inflate::is_bomb(self.raw.get().min(self.archive_bytes), self.bytes) {
            return Err(self.unreadable(&inflate::bomb()));
        }
        self.steps.within(&self.raw, self.progress);
        Ok(())
    }

    pub(super) fn unreadable(&self, err: &io::Error) -> Failure {
        refusal::reading(self.name, err)
    }

    fn writing(&self, err: &io::Error) -> Failure {
        Failure::new(FailureKind::Disk, format!("unpacking {}: {err}", self.name))
    }
}
