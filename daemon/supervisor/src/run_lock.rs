//! Who works on a run folder. A worker holds `.lock` in it as long as it lives, even when its
//! daemon is gone: two workers on one folder would ruin each other's checkpoints.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const LOCK: &str = ".lock";

pub(crate) fn is_worked_on(run: &Path) -> bool {
    is_held(&run.join(LOCK))
}

/// Whether some process holds the file locked.
pub(crate) fn is_held(path: &Path) -> bool {
    // A shared lock, so that two who only ask do not see each other; it ends with the file handle.
    File::open(path)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Ends the worker of a daemon that is gone, when it does not leave by itself.
pub(crate) fn kill_holder(run: &Path) {
    let Some(pid) = holder(run) else { return };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    // Asked again with the handle in hand: the number has not been given to a stranger meanwhile.
    if holder(run) == Some(pid) {
        tracing::warn!(
            "killing process {}, which still works on {}",
            pid.as_raw_nonzero(),
            run.display()
        );
        let _ = pidfd_send_signal(&handle, Signal::KILL);
    }
}

fn holder(run: &Path) -> Option<Pid> {
    let inode = fs::metadata(run.join(LOCK)).ok()?.ino();
    Pid::from_raw(holder_in(&fs::read_to_string("/proc/locks").ok()?, inode)?)
}

/// The table's lines look like `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`.
fn holder_in(locks: &str, inode: u64) -> Option<i32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, place, ..] = fields[..] else { return None };
        (place.rsplit(':').next()?.parse() == Ok(inode)).then(|| pid.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_by_the_files_inode() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fe:00:42 0 EOF\n2: FLOCK  ADVISORY  WRITE 22 fe:00:42 0 EOF\n3: FLOCK  ADVISORY  WRITE 33 fe:00:7 0 EOF\n";
        assert_eq!(holder_in(locks, 42), Some(22));
        assert_eq!(holder_in(locks, 8), None);
    }

    #[test]
    fn a_locked_run_is_worked_on_until_the_lock_goes() {
        let run = tempfile::tempdir().unwrap();
        assert!(!is_worked_on(run.path()));
        let lock = File::create(run.path().join(LOCK)).unwrap();
        assert!(!is_worked_on(run.path()));
        lock.lock().unwrap();
        assert!(is_worked_on(run.path()));
        assert_eq!(holder(run.path()), Pid::from_raw(std::process::id().cast_signed()));
        drop(lock);
        assert!(!is_worked_on(run.path()));
    }
}
