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
    run_folder::TRAINED,
    run_folder::CONTACT,
    run_folder::DONE,
];

/// Of everything that this process and its workers make from now on.
pub(crate) fn make_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Takes back what an earlier version, another configuration, or whoever made the folder gave to
/// others; gives the group what is proven already.
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
    let Some(group) = group else {
        return restrict(&home.root, 0o700)
            .with_context(|| format!("closing {} to others", home.root.display()));
    };
    // To enter, not to list.
    share(&home.root, group, 0o710)
        .and_then(|()| share(&home.runs(), group, 0o750))
        .and_then(|()| share_proven(home, group))
        .with_context(|| {
            format!(
                "giving {} to the group {}: the daemon's user must be a member of it",
                home.root.display(),
                group.as_raw()
            )
        })
}

/// Results of runs that were proven for another group, or for none.
fn share_proven(home: &Home, group: Gid) -> io::Result<()> {
    for run in fs::read_dir(home.runs())?.flatten() {
        let (run, meta) = (run.path(), run.metadata()?);
        let is_shared = meta.gid() == group.as_raw() && meta.mode() & 0o050 == 0o050;
        if meta.is_dir() && !is_shared && run.join(run_folder::DONE).exists() {
            share_results(&run, group)?;
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_gets_what_is_proven_and_loses_it_with_its_name() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path().join("home"));
        home.create().unwrap();
        let (proven, unproven) = (home.runs().join("0001-a"), home.runs().join("0002-b"));
        for run in [&proven, &unproven] {
            fs::create_dir(run).unwrap();
            restrict(run, 0o700).unwrap();
            fs::write(run.join(run_folder::TRAINED), "{}").unwrap();
            restrict(&run.join(run_folder::TRAINED), 0o600).unwrap();
        }
        fs::write(proven.join(run_folder::DONE), "{}").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        let own = rustix::process::getgid();

        tighten(&home, Some(own)).unwrap();
        assert_eq!((mode(&home.root), mode(&home.runs())), (0o710, 0o750));
        assert_eq!((mode(&proven), mode(&proven.join(run_folder::TRAINED))), (0o750, 0o640));
        assert_eq!((mode(&unproven), mode(&unproven.join(run_folder::TRAINED))), (0o700, 0o600));

        tighten(&home, None).unwrap();
        assert_eq!((mode(&home.root), mode(&home.runs())), (0o700, 0o700));
    }
}
