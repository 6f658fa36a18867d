//! Who may look into a home: its owner alone, and where the configuration names a group, its
//! members into results. Drops, logs, checkpoints and the database are nobody else's.

use anyhow::{Context, Result};
use finetuned_job::run_folder;
use rustix::fs::{CWD, Gid, Mode};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::home::Home;

/// What of a run is a result.
const RESULTS: &[&str] = &[
    run_folder::MODEL,
    run_folder::REPORT,
    run_folder::PREDICTIONS,
    run_folder::TENSORBOARD,
    run_folder::DATA,
    run_folder::PLAN,
    run_folder::CONTACT,
    run_folder::DONE,
];

/// Of everything that this process and its workers make from now on.
pub(crate) fn make_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Takes back what an earlier version, or whoever made the folder, gave to others.
///
/// # Errors
/// The group can't be given what it may have.
pub(crate) fn tighten(home: &Home, group: Option<Gid>) -> Result<()> {
    let names = [
        "finetuned.db",
        "finetuned.db-wal",
        "finetuned.db-shm",
        "lock",
        "daemon.json",
        "poke.sock",
        "cache",
        "backups",
        "runs",
    ];
    for path in names.iter().map(|it| home.root.join(it)) {
        let closed = restrict(&path, 0o700);
        closed.with_context(|| format!("closing {} to others", path.display()))?;
    }
    let Some(group) = group else { return Ok(()) };
    // To enter, not to list.
    share(&home.root, group, 0o710).and_then(|()| share(&home.runs(), group, 0o750)).with_context(
        || {
            format!(
                "giving {} to the group {}: the daemon's user must be a member of it",
                home.root.display(),
                group.as_raw()
            )
        },
    )
}

/// The results of a run that has been proven.
pub(crate) fn share_results(run: &Path, group: Gid) -> io::Result<()> {
    share(run, group, 0o750)?;
    RESULTS.iter().try_for_each(|it| share_tree(&run.join(it), group))
}

fn share_tree(path: &Path, group: Gid) -> io::Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        meta => meta?,
    };
    if meta.is_symlink() {
        return Ok(());
    }
    share(path, group, if meta.is_dir() { 0o750 } else { 0o640 })?;
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            share_tree(&entry?.path(), group)?;
        }
    }
    Ok(())
}

fn share(path: &Path, group: Gid, mode: u32) -> io::Result<()> {
    if fs::metadata(path)?.gid() != group.as_raw() {
        rustix::fs::chownat(CWD, path, None, Some(group), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn restrict(path: &Path, most: u32) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(err) => Err(err),
        Ok(meta) if meta.is_symlink() || meta.mode() & 0o777 & !most == 0 => Ok(()),
        Ok(meta) => fs::set_permissions(path, fs::Permissions::from_mode(meta.mode() & most)),
    }
}
