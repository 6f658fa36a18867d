//! Asks the kernel, of every file of a drop, whether it can be read and whether somebody has it
//! open for writing: a read lease is granted only where nobody has. What follows from the answer
//! is decided in `inbox` and `copy`.

use crate::observe;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Of fcntl(2): which signal tells that a lease is wanted by another. The libc crate lacks it.
const F_SETSIG: libc::c_int = 10;

/// What was found; a file by its path below the entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// As far as the file system can tell: some of other machines have no leases.
    Free,
    Written(PathBuf),
    Unreadable(PathBuf, String),
}

/// Links are passed over, and so is what vanishes meanwhile.
pub(crate) fn examine(entry: &Path) -> Use {
    let entry = resolved(entry);
    let mut rest = vec![entry.clone()];
    while let Some(path) = rest.pop() {
        let spoken = || observe::relative(&entry, &path).to_path_buf();
        match look(&path, &mut rest) {
            Ok(true) => {}
            Ok(false) => return Use::Written(spoken()),
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            Err(err) => return Use::Unreadable(spoken(), err.to_string()),
        }
    }
    Use::Free
}

/// Links in the way to the inbox are its owner's, in the drop nobody's.
pub(crate) fn resolved(entry: &Path) -> PathBuf {
    let folder = entry.parent().and_then(|it| it.canonicalize().ok());
    folder.zip(entry.file_name()).map_or_else(|| entry.to_path_buf(), |(it, name)| it.join(name))
}

/// Whether nobody writes; a folder's entries are added to `rest`.
fn look(path: &Path, rest: &mut Vec<PathBuf>) -> io::Result<bool> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_dir() {
        for entry in fs::read_dir(path)? {
            rest.push(entry?.path());
        }
        // To list a folder and to enter it are two permissions.
        return fs::symlink_metadata(path.join(".")).map(|_| true);
    }
    if !kind.is_file() {
        return Ok(true);
    }
    match finetuned_files::open_strange(path) {
        Ok(file) => Ok(!is_open_for_writing(&file)),
        // A server of files that holds a lease of its own.
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(err) => Err(err),
    }
}

/// The lease ends with the file, in a moment.
fn is_open_for_writing(file: &File) -> bool {
    let fd = file.as_raw_fd();
    // Whoever opens the file meanwhile makes the kernel send us a signal: one that does nothing,
    // instead of SIGIO, which would end us.
    // SAFETY: fcntl on an open file, with arguments that are numbers.
    let refused = unsafe {
        libc::fcntl(fd, F_SETSIG, libc::SIGURG) == -1
            || libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) == -1
    };
    // Any other reason says nothing: no leases here, or a file of another user.
    refused && io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_open_for_writing_is_found_however_deep() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        fs::write(root.path().join("x"), "1").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.path().join("pipe"), rustix::fs::Mode::RUSR)
            .unwrap();
        assert_eq!(examine(root.path()), Use::Free);
        let writer = fs::File::create(root.path().join("a/b/y")).unwrap();
        assert_eq!(examine(root.path()), Use::Written("a/b/y".into()));
        drop(writer);
        assert_eq!(examine(root.path()), Use::Free);
        assert_eq!(examine(&root.path().join("gone")), Use::Free);
    }
}
