//! Decides how a file or folder becomes complete in one instant: written beside, flushed to the
//! disk, renamed, and the folder flushed too. What is written is left to the callers.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A folder under construction. Dropped unfinished, it is removed, so that a full disk gets its
/// space back.
pub(crate) struct Partial {
    path: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Partial {
    /// Starts `target` in a fresh folder beside it; what a killed attempt left there is removed
    /// first.
    pub(crate) fn new(target: &Path) -> Result<Partial> {
        let path = beside(target);
        remove_tree(&path)?;
        fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Partial { path, target: target.to_path_buf(), finished: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes every file, then gives the folder its name. A finished folder of that name is
    /// replaced.
    pub(crate) fn finish(mut self) -> Result<()> {
        sync_tree(&self.path)?;
        remove_tree(&self.target)?;
        rename(&self.path, &self.target)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing better can be done on the way out of an error than to try.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Writes a whole file: after a crash it is the old one or the new one, never a part.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |partial| Ok(File::create(partial)?.write_all(bytes)?))
}

/// The same for a file that another piece of code writes.
pub(crate) fn write_with(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let partial = written(path, write)?;
    rename(&partial, path)
}

/// The same, and nothing that has the name loses it.
pub(crate) fn write_new(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let partial = written(path, write)?;
    let named = finetuned_files::rename_new(&partial, path);
    if let Err(err) = named {
        let _ = fs::remove_file(&partial);
        return Err(err).with_context(|| format!("naming {}", path.display()));
    }
    sync(parent(path))
}

/// The file beside `path` that is to become it, flushed to the disk.
fn written(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let partial = beside(path);
    let written = write(&partial).and_then(|()| sync(&partial));
    if let Err(err) = written {
        let _ = fs::remove_file(&partial);
        return Err(err).with_context(|| format!("writing {}", path.display()));
    }
    Ok(partial)
}

pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text =
        serde_json::to_vec_pretty(value).with_context(|| format!("encoding {}", path.display()))?;
    text.push(b'\n');
    write(path, &text)
}

/// Renames within one folder and flushes that folder, so that the name survives a power cut.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)
        .with_context(|| format!("renaming {} to {}", from.display(), to.display()))?;
    sync(parent(to))
}

/// The folder of a file, also of one named without.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            Err(err).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn sync_tree(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() { sync_tree(&path)? } else { sync(&path)? }
    }
    sync(folder)
}

fn sync(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|it| it.sync_all())
        .with_context(|| format!("flushing {}", path.display()))
}

fn beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.partial"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("model");
        let partial = Partial::new(&target).unwrap();
        fs::write(partial.path().join("a"), "1").unwrap();
        drop(partial);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "an abandoned folder is removed");

        let partial = Partial::new(&target).unwrap();
        fs::write(partial.path().join("b"), "2").unwrap();
        assert!(!target.exists());
        partial.finish().unwrap();
        assert_eq!(fs::read_to_string(target.join("b")).unwrap(), "2");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_new_file_takes_no_other_s_name() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        let text = |text: &'static str| move |partial: &Path| Ok(fs::write(partial, text)?);
        write_new(&path, text("1")).unwrap();
        let refused = write_new(&path, text("2")).unwrap_err();
        assert!(format!("{refused:#}").contains("exists"), "{refused:#}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "1");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
