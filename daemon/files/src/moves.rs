//! Gives a file or folder a new name, and never one that is taken: nothing is renamed over
//! anything.

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// # Errors
/// Kind `AlreadyExists` when something has the name, whatever it is.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // File systems of other machines know no such flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => rename_looking(from, to),
        renamed => Ok(renamed?),
    }
}

/// A link fails where a name is taken, and so does a folder's rename where something lies in it.
fn rename_looking(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    if fs::symlink_metadata(from)?.is_file() && fs::hard_link(from, to).is_ok() {
        return fs::remove_file(from);
    }
    fs::rename(from, to)
}

/// What was renamed in the folder is so after a power cut too.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_is_not_taken_again() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for rename in [rename_new, rename_looking] {
            fs::write(path("a"), "new").unwrap();
            fs::write(path("b"), "old").unwrap();
            let refused = rename(&path("a"), &path("b")).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read_to_string(path("b")).unwrap(), "old");
            fs::remove_file(path("b")).unwrap();
            rename(&path("a"), &path("b")).unwrap();
            assert_eq!(fs::read_to_string(path("b")).unwrap(), "new");
            // An empty folder would be replaced by rename(2).
            fs::create_dir(path("full")).unwrap();
            fs::create_dir(path("empty")).unwrap();
            assert!(rename(&path("full"), &path("empty")).is_err());
            fs::remove_dir(path("full")).unwrap();
            fs::remove_dir(path("empty")).unwrap();
        }
    }
}
