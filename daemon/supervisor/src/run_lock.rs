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

/// Ends the worker of a daemon that is gone, when it does not leave by itself. `worker`: the name
/// of its executable.
pub(crate) fn kill_holder(run: &Path, worker: &Path) {
    let Some(holder) = Holder::find(run, worker) else { return };
    let Ok(handle) = pidfd_open(holder.pid, PidfdFlags::empty()) else { return };
    // Asked again with the handle in hand: the number has not been given to a stranger meanwhile.
    if Holder::find(run, worker) == Some(holder) {
        tracing::warn!(
            "killing process {}, which still works on {}",
            holder.pid.as_raw_nonzero(),
            run.display()
        );
        let _ = pidfd_send_signal(&handle, Signal::KILL);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holder {
    pid: Pid,
    /// Since the machine came up, in the kernel's ticks.
    started: u64,
}

impl Holder {
    /// The process that the lock file names: it has this very file open, and is a worker.
    fn find(run: &Path, worker: &Path) -> Option<Holder> {
        let path = run.join(LOCK);
        let lock = fs::metadata(&path).ok()?;
        let pid = Pid::from_raw(fs::read_to_string(&path).ok()?.trim().parse().ok()?)?;
        let process = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
        let started = start_of(&fs::read_to_string(process.join("stat")).ok()?)?;
        let program = fs::read_link(process.join("exe")).ok()?;
        let is_same = |it: fs::Metadata| (it.dev(), it.ino()) == (lock.dev(), lock.ino());
        let holds = fs::read_dir(process.join("fd"))
            .ok()?
            .flatten()
            .any(|it| fs::metadata(it.path()).is_ok_and(is_same));
        (holds && is_program(&program, worker)).then_some(Holder { pid, started })
    }
}

/// An upgrade may have replaced the file since.
fn is_program(program: &Path, worker: &Path) -> bool {
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.trim_end_matches(" (deleted)").to_string()
    };
    name(program) == name(worker)
}

/// Field 22 of /proc/PID/stat; the second one is a name that may hold anything.
fn start_of(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_run_is_worked_on_until_the_lock_goes() {
        let run = tempfile::tempdir().unwrap();
        assert!(!is_worked_on(run.path()));
        let lock = File::create(run.path().join(LOCK)).unwrap();
        assert!(!is_worked_on(run.path()));
        lock.lock().unwrap();
        assert!(is_worked_on(run.path()));
        drop(lock);
        assert!(!is_worked_on(run.path()));
    }

    #[test]
    fn only_a_worker_that_has_the_lock_open_is_its_holder() {
        let run = tempfile::tempdir().unwrap();
        let us = std::env::current_exe().unwrap();
        let find = |worker: &Path| Holder::find(run.path(), worker).map(|it| it.pid);
        assert_eq!(find(&us), None);
        // A number that was ours and is a stranger's now: the file is not open there.
        let path = run.path().join(LOCK);
        fs::write(&path, format!("{}\n", std::process::id())).unwrap();
        assert_eq!(find(&us), None);
        let _held = File::open(&path).unwrap();
        assert_eq!(find(&us), Pid::from_raw(std::process::id().cast_signed()));
        assert_eq!(find(Path::new("/usr/bin/finetuned-worker")), None);
        assert!(is_program(Path::new("/a/worker (deleted)"), Path::new("/b/worker")));
        assert_eq!(
            start_of("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99 20"),
            Some(99)
        );
    }
}
