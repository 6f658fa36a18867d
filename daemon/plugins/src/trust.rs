//! Reads a plugin's file so that what is judged is what will be loaded: opened once, without
//! following a link, its owner and mode asked of the open file, its bytes read once. Decides who
//! could have written it.

use crate::Refusal;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open, stat};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A plugin with all of libstdc++ and symbols is some 20 MB; the file is held in memory twice.
pub const FILE_BYTES_MAX: u64 = 512 << 20;

const WRITE_BY_OTHERS: u32 = 0o022;
const WRITE_BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// The folder by its true name, after a look at who can change what lies in it.
pub(crate) fn folder(folder: &Path) -> Result<PathBuf, Refusal> {
    let unreadable =
        |err: std::io::Error| Refusal::Unreadable { path: folder.into(), why: err.to_string() };
    let folder = std::fs::canonicalize(folder).map_err(unreadable)?;
    let found = stat(&folder).map_err(|err| unreadable(err.into()))?;
    nobody_else_writes(&folder, &found)?;
    // Who can rename a folder above can put another in its place.
    for above in folder.ancestors().skip(1) {
        let found = stat(above).map_err(|err| unreadable(err.into()))?;
        if found.st_mode & WRITE_BY_ALL != 0 && found.st_mode & STICKY == 0 {
            return Err(Refusal::WritableByOthers {
                path: above.into(),
                mode: found.st_mode & 0o7777,
            });
        }
    }
    Ok(folder)
}

/// The bytes of a file that only we, or root, could have written.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, Refusal> {
    let (file, found) = open_file(path)?;
    nobody_else_writes(path, &found)?;
    read(path, file)
}

/// The bytes of a file, whoever wrote it, and what would keep it from being loaded from the plugin
/// folder.
pub(crate) fn bytes_of_anyones(path: &Path) -> Result<(Vec<u8>, Option<Refusal>), Refusal> {
    let (file, found) = open_file(path)?;
    let doubt = nobody_else_writes(path, &found).err();
    Ok((read(path, file)?, doubt))
}

fn open_file(path: &Path) -> Result<(File, Stat), Refusal> {
    // Without O_NONBLOCK, a pipe of the name `x.so` would hang us.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let unreadable = |err: rustix::io::Errno| Refusal::Unreadable {
        path: path.into(),
        why: std::io::Error::from(err).to_string(),
    };
    let file = open(path, flags, Mode::empty()).map_err(|err| {
        if err == rustix::io::Errno::LOOP { Refusal::Link } else { unreadable(err) }
    })?;
    let found = fstat(&file).map_err(unreadable)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(Refusal::NoFile);
    }
    Ok((file.into(), found))
}

fn read(path: &Path, file: File) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let unreadable =
        |err: std::io::Error| Refusal::Unreadable { path: path.into(), why: err.to_string() };
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let n = bytes.len() as u64;
    if FILE_BYTES_MAX < n {
        Err(Refusal::TooLarge { bytes: n, max: FILE_BYTES_MAX })
    } else {
        Ok(bytes)
    }
}

fn nobody_else_writes(path: &Path, found: &Stat) -> Result<(), Refusal> {
    let (mode, owner) = (found.st_mode & 0o7777, found.st_uid);
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(Refusal::ForeignOwner { path: path.into(), owner });
    }
    if mode & WRITE_BY_OTHERS != 0 {
        return Err(Refusal::WritableByOthers { path: path.into(), mode });
    }
    Ok(())
}
