//! Looks at an entry of an inbox, or at a drop in its run folder: what lies there, how big, how
//! old. What follows from it is decided in `settle`.

use crate::settle::{Fingerprint, Observation, Seen};
use finetuned_job::file_name::FileName;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A drop with more files and folders is a disk, not a data set; looking at it every second would
/// hurt.
pub(crate) const ENTRIES_MAX: usize = 1_000_000;
/// The owner's sign, inside a folder, that it is complete.
const READY: &str = ".ready";

/// The whole tree below `entry`, links not followed.
///
/// # Errors
/// Kind `NotFound` when the entry itself is gone; `FileTooLarge` beyond [`ENTRIES_MAX`].
pub(crate) fn observe(entry: &Path) -> io::Result<Observation> {
    let top = fs::symlink_metadata(entry)?;
    let mut seen = vec![one(entry, entry, &top)];
    let mut under_way = None;
    // A rename gives the folder a new ctime and no new mtime; what is put into it later, both.
    let renamed = (top.ctime(), top.ctime_nsec());
    let is_older = |it: &Metadata| !it.is_dir() || (it.mtime(), it.mtime_nsec()) < renamed;
    let mut came_whole = is_older(&top);
    // Firefox holds a name with an empty file, and writes beside it.
    let has_bytes = |it: &Metadata| !it.is_dir() && (0 < it.len() || !it.is_file());
    let mut has_data = has_bytes(&top);
    let mut folders: Vec<PathBuf> = if top.is_dir() { vec![entry.to_path_buf()] } else { vec![] };
    while let Some(folder) = folders.pop() {
        let listing = match fs::read_dir(&folder) {
            // It went away between two looks: the next look will see it.
            Err(err) if err.kind() == io::ErrorKind::NotFound && folder != entry => continue,
            listing => listing?,
        };
        for child in listing {
            let path = child?.path();
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            seen.push(one(entry, &path, &meta));
            came_whole &= is_older(&meta);
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            match FileName::of(&name) {
                FileName::UnderWay if under_way.is_none() => {
                    under_way = Some(relative(entry, &path).to_string_lossy().into_owned());
                }
                FileName::UnderWay | FileName::Litter => {}
                FileName::Ordinary => has_data |= has_bytes(&meta),
            }
            if ENTRIES_MAX < seen.len() {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("it holds more than {ENTRIES_MAX} files"),
                ));
            }
            if meta.is_dir() {
                folders.push(path);
            }
        }
    }
    let ready = top.is_dir() && fs::symlink_metadata(entry.join(READY)).is_ok();
    let bytes = seen.iter().map(|it| it.bytes).sum();
    let fingerprint = Fingerprint::of(seen);
    Ok(Observation { fingerprint, bytes, has_data, ready, under_way, came_whole })
}

pub(crate) fn relative<'a>(entry: &Path, path: &'a Path) -> &'a Path {
    path.strip_prefix(entry).unwrap_or(path)
}

fn one(entry: &Path, path: &Path, meta: &Metadata) -> Seen {
    Seen {
        path: relative(entry, path).as_os_str().as_bytes().to_vec(),
        bytes: if meta.is_dir() { 0 } else { meta.len() },
        modified_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        is_file: !meta.is_dir(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_deep_inside_is_seen_and_a_rename_of_the_whole_is_not() {
        let root = tempfile::tempdir().unwrap();
        let drop = root.path().join("drop");
        fs::create_dir_all(drop.join("a/b")).unwrap();
        assert!(!observe(&drop).unwrap().has_data);
        fs::write(drop.join("a/b/x.txt"), "").unwrap();
        assert!(!observe(&drop).unwrap().has_data);
        assert!(!observe(&drop.join("a/b/x.txt")).unwrap().has_data);
        fs::write(drop.join("a/b/x.txt"), "1").unwrap();
        let before = observe(&drop).unwrap();
        assert!(before.has_data && !before.ready);

        let moved = root.path().join("elsewhere");
        fs::rename(&drop, &moved).unwrap();
        assert_eq!(observe(&moved).unwrap().fingerprint, before.fingerprint);

        fs::write(moved.join("a/b/x.txt"), "12").unwrap();
        assert_ne!(observe(&moved).unwrap().fingerprint, before.fingerprint);
        fs::write(moved.join(READY), "").unwrap();
        assert!(observe(&moved).unwrap().ready);
        assert_eq!(observe(&drop).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
