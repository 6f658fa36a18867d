//! The one way to open files that others have made: only ordinary ones, and never waiting for a
//! pipe's other end. Of strangers' files no part of the path may be a link; what the machine's
//! owner has installed (a cache of models is full of links) may have them. And the one way to give
//! a file a name that nobody may lose.
//!
//! What is in a file is left to whoever reads it.

#![forbid(unsafe_code)]

mod moves; // a name that nobody has -> renamed

pub use moves::{rename_new, sync_folder};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path};

/// NONBLOCK: a pipe would wait for a writer.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// A stranger's file. `path` has been resolved as far as the folder that is theirs.
///
/// # Errors
/// ELOOP: a part of the path is a link. Kind `InvalidInput`: it is no ordinary file.
pub fn open_strange(path: &Path) -> io::Result<File> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(CWD, path, FLAGS, Mode::empty(), resolve) {
        // Kernels before 5.6, and sandboxes that have not heard of it.
        Err(Errno::NOSYS | Errno::PERM) => ordinary(part_by_part(path)?),
        opened => ordinary(opened?.into()),
    }
}

fn part_by_part(path: &Path) -> io::Result<File> {
    let flags = |last| {
        // Of a folder on the way nothing is read, which may be forbidden.
        let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        OFlags::NOFOLLOW | if last { FLAGS } else { way }
    };
    let mut parts = path.components().peekable();
    let first = if path.is_absolute() { "/" } else { "." };
    let mut at =
        rustix::fs::open(first, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    while let Some(part) = parts.next() {
        if matches!(part, Component::RootDir | Component::CurDir) {
            continue;
        }
        at = rustix::fs::openat(
            &at,
            part.as_os_str(),
            flags(parts.peek().is_none()),
            Mode::empty(),
        )?;
    }
    Ok(at.into())
}

/// A file of the machine's owner, links followed.
///
/// # Errors
/// Kind `InvalidInput`: it is no ordinary file.
pub fn open(path: &Path) -> io::Result<File> {
    ordinary(rustix::fs::open(path, FLAGS, Mode::empty())?.into())
}

/// The whole of [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn ordinary(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not an ordinary file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_ordinary_files_are_opened_and_of_strangers_only_without_links() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let path = |name: &str| root.join(name);
        fs::create_dir(path("folder")).unwrap();
        fs::write(path("folder/a"), "text").unwrap();
        symlink("folder", path("to_folder")).unwrap();
        symlink("folder/a", path("to_file")).unwrap();
        rustix::fs::mkfifoat(CWD, path("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        for open_one in [open_strange, |path: &Path| part_by_part(path).and_then(ordinary)] {
            assert!(open_one(&path("folder/a")).is_ok());
            for name in ["to_folder/a", "to_file"] {
                let refused = open_one(&path(name)).unwrap_err();
                assert!(matches!(refused.raw_os_error(), Some(20 | 40)), "{name}: {refused}");
            }
            for name in ["pipe", "folder"] {
                assert_eq!(open_one(&path(name)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            }
            assert_eq!(open_one(&path("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        assert_eq!(read(&path("to_folder/a")).unwrap(), b"text");
        assert_eq!(read(&path("pipe")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(open(Path::new("/dev/zero")).is_err());
    }
}
