//! A cgroup (version 2) for each worker, below that of the daemon's unit where systemd delegates
//! it: limits that hold for all that a worker starts, how a death for want of memory is known, what
//! was used, and an end for what a worker leaves behind. How much a job may have is decided in
//! `config`.
//!
//! `UNIT/supervisor` holds the daemon, `UNIT/jobs` all workers together, `UNIT/jobs/job-7` the one
//! at work on job 7.

use crate::attempt::OutOfMemory;
use crate::machine;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

const DAEMON: &str = "supervisor";
const JOBS: &str = "jobs";
/// Those that are of use here; the machine may lack some.
const CONTROLLERS: [&str; 4] = ["memory", "cpu", "io", "pids"];
/// Processes and threads of a worker: libtorch has a few for each core.
const PIDS_MAX: u32 = 4096;
/// Of cpu.max, in microseconds; the kernel's own default.
const PERIOD_US: u64 = 100_000;
/// What was killed needs a moment to be gone.
const REMOVAL_TRIES: u32 = 50;
const REMOVAL_PAUSE: Duration = Duration::from_millis(20);

/// The delegated cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Groups {
    unit: PathBuf,
    /// Those that limit something.
    pub controllers: Vec<&'static str>,
}

/// What a worker, or all of them together, may have; absent: as the kernel has it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Allowance {
    pub memory_bytes: Option<u64>,
    /// Cores' time.
    pub cpus: Option<f64>,
    pub cpu_weight: Option<u32>,
    pub io_weight: Option<u32>,
}

/// The cgroup of one worker.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
}

/// What a worker and all that it started have used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// At most at one time; kernels before 5.19 do not know.
    pub memory_bytes: Option<u64>,
    pub cpu_s: Option<f64>,
}

impl Groups {
    /// Ours, which the daemon itself leaves for a group of its own: only then may there be others.
    ///
    /// # Errors
    /// Why there are none, in a sentence without its end.
    pub fn of_process() -> Result<Groups, String> {
        let own = machine::own_group().ok_or("there is no cgroup v2 here")?;
        let is_moved = own.file_name().is_some_and(|it| it == DAEMON);
        let above = own.parent().filter(|it| is_moved && is_delegated(it));
        let unit = above.unwrap_or(&own);
        if !is_delegated(unit) {
            return Err(format!("{} is not delegated (Delegate= in the unit)", unit.display()));
        }
        Groups::open(unit).map_err(|err| format!("{} can't be divided: {err}", unit.display()))
    }

    fn open(unit: &Path) -> io::Result<Groups> {
        let jobs = unit.join(JOBS);
        for folder in [&unit.join(DAEMON), &jobs] {
            fs::create_dir(folder).or_else(is_there)?;
        }
        fs::write(unit.join(DAEMON).join("cgroup.procs"), std::process::id().to_string())?;
        let known = fs::read_to_string(unit.join("cgroup.controllers"))?;
        let enable = |folder: &Path, name: &str| {
            fs::write(folder.join("cgroup.subtree_control"), format!("+{name}")).is_ok()
        };
        let controllers = CONTROLLERS.into_iter().filter(|name| {
            let is_known = known.split_whitespace().any(|it| it == *name);
            is_known && enable(unit, name) && enable(&jobs, name)
        });
        let groups = Groups { controllers: controllers.collect(), unit: unit.to_path_buf() };
        // Of workers of a daemon that was killed; those that live have theirs.
        for old in fs::read_dir(&jobs)?.flatten().filter(|it| it.path().is_dir()) {
            let _ = fs::remove_dir(old.path());
        }
        Ok(groups)
    }

    /// Of all workers together.
    ///
    /// # Errors
    /// A limit that the kernel refuses.
    pub fn limit_all(&self, allowance: Allowance) -> io::Result<()> {
        self.limit(&self.unit.join(JOBS), allowance)
    }

    /// A group for the worker of this job, empty.
    ///
    /// # Errors
    /// It can't be made, or a limit is refused.
    pub fn make(&self, job: u64, allowance: Allowance) -> io::Result<Group> {
        let folder = self.unit.join(JOBS).join(format!("job-{job}"));
        // One that can't be removed would count for two.
        let _ = fs::write(folder.join("cgroup.kill"), "1");
        fs::remove_dir(&folder).or_else(is_gone)?;
        fs::create_dir(&folder)?;
        let group = Group { folder };
        self.furnish(&group.folder, allowance)?;
        Ok(group)
    }

    fn furnish(&self, folder: &Path, allowance: Allowance) -> io::Result<()> {
        self.limit(folder, allowance)?;
        // The rest is worth having where it can be had: no swap accounting, no scheduler of disks.
        for (controller, file, value) in [
            ("memory", "memory.swap.max", Some(0)),
            // Half a worker is none.
            ("memory", "memory.oom.group", Some(1)),
            ("pids", "pids.max", Some(PIDS_MAX)),
            ("cpu", "cpu.weight", allowance.cpu_weight),
            ("io", "io.weight", allowance.io_weight),
        ] {
            if let Some(value) = value.filter(|_| self.has(controller)) {
                let _ = fs::write(folder.join(file), value.to_string());
            }
        }
        Ok(())
    }

    fn limit(&self, folder: &Path, allowance: Allowance) -> io::Result<()> {
        let or_max = |it: Option<u64>| it.map_or("max".into(), |it| it.to_string());
        if self.has("memory") {
            fs::write(folder.join("memory.max"), or_max(allowance.memory_bytes))?;
        }
        if self.has("cpu") {
            let quota = allowance.cpus.map(|it| (it * PERIOD_US as f64) as u64);
            fs::write(folder.join("cpu.max"), format!("{} {PERIOD_US}", or_max(quota)))?;
        }
        Ok(())
    }

    fn has(&self, controller: &str) -> bool {
        self.controllers.contains(&controller)
    }
}

impl Group {
    /// A process that writes `0` here is inside.
    pub fn door(&self) -> io::Result<File> {
        File::options().write(true).open(self.folder.join("cgroup.procs"))
    }

    pub fn usage(&self) -> Usage {
        let read = |file: &str| fs::read_to_string(self.folder.join(file)).ok();
        let cpu = read("cpu.stat").and_then(|it| machine::field(&it, "usage_usec"));
        Usage {
            memory_bytes: read("memory.peak").and_then(|it| it.trim().parse().ok()),
            cpu_s: cpu.map(|it| it as f64 / 1e6),
        }
    }

    /// Whether something in it was killed for want of memory, and whose limit that was. Absent
    /// where the group does not know.
    pub fn out_of_memory(&self) -> Option<OutOfMemory> {
        let events = fs::read_to_string(self.folder.join("memory.events")).ok()?;
        let kills = machine::field(&events, "oom_kill")?;
        // Times that its own limit left no way out.
        let own = machine::field(&events, "oom").unwrap_or(0);
        Some(match (kills, own) {
            (0, _) => OutOfMemory::No,
            (_, 0) => OutOfMemory::Elsewhere,
            _ => OutOfMemory::Own,
        })
    }

    /// Ends what is still in it.
    ///
    /// # Errors
    /// Something in it can't be killed.
    pub fn remove(&self) -> io::Result<()> {
        let mut tries = 0;
        loop {
            match fs::remove_dir(&self.folder).or_else(is_gone) {
                Err(_) if tries < REMOVAL_TRIES => tries += 1,
                removed => return removed,
            }
            // Kernels before 5.14 have no such file: then what is left keeps the group.
            let _ = fs::write(self.folder.join("cgroup.kill"), "1");
            thread::sleep(REMOVAL_PAUSE);
        }
    }
}

impl Drop for Group {
    /// Where no worker came of it; one with processes in it stays.
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

fn is_gone(err: io::Error) -> io::Result<()> {
    if err.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(err) }
}

fn is_there(err: io::Error) -> io::Result<()> {
    if err.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(err) }
}

/// What systemd writes on a group that it leaves to its service: for everybody since version 251,
/// for root alone before.
fn is_delegated(group: &Path) -> bool {
    let mut value = [0; 8];
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        rustix::fs::getxattr(group, *name, &mut value).is_ok_and(|n| value[..n] == *b"1")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    /// Files as the kernel has them, in an ordinary folder.
    fn unit(controllers: &str) -> tempfile::TempDir {
        let unit = tempfile::tempdir().unwrap();
        fs::write(unit.path().join("cgroup.controllers"), controllers).unwrap();
        unit
    }

    #[test]
    fn the_daemon_leaves_the_unit_and_jobs_get_what_they_may_have() {
        let unit = unit("cpuset cpu io memory pids\n");
        let groups = Groups::open(unit.path()).unwrap();
        assert_eq!(groups.controllers, CONTROLLERS);
        let path = |name: &str| unit.path().join(name);
        assert_eq!(read(&path("supervisor/cgroup.procs")), std::process::id().to_string());
        let memory_bytes = Some(8 << 30);
        let all = Allowance { memory_bytes, cpus: Some(6.0), ..Allowance::default() };
        groups.limit_all(all).unwrap();
        assert_eq!(read(&path("jobs/memory.max")), (8u64 << 30).to_string());
        assert_eq!(read(&path("jobs/cpu.max")), "600000 100000");
        let one = Allowance {
            memory_bytes: Some(1 << 30),
            cpus: Some(1.5),
            cpu_weight: Some(50),
            io_weight: Some(10),
        };
        let group = groups.make(7, one).unwrap();
        for (file, value) in [
            ("memory.max", (1 << 30).to_string()),
            ("memory.swap.max", "0".into()),
            ("memory.oom.group", "1".into()),
            ("cpu.max", "150000 100000".into()),
            ("cpu.weight", "50".into()),
            ("io.weight", "10".into()),
            ("pids.max", PIDS_MAX.to_string()),
        ] {
            assert_eq!(read(&group.folder.join(file)), value, "{file}");
        }
        let free = groups.make(8, Allowance::default()).unwrap();
        assert_eq!(read(&free.folder.join("memory.max")), "max");
        assert_eq!(read(&free.folder.join("cpu.max")), "max 100000");
        assert_eq!(read(&free.folder.join("cpu.weight")), "");
    }

    #[test]
    fn what_the_machine_lacks_is_left_alone() {
        let unit = unit("hugetlb memory_recursive pids\n");
        let groups = Groups::open(unit.path()).unwrap();
        assert_eq!(groups.controllers, ["pids"]);
        let group = groups.make(7, Allowance { memory_bytes: Some(1), ..Allowance::default() });
        assert!(!group.unwrap().folder.join("memory.max").exists());
    }

    #[test]
    fn a_death_for_want_of_memory_is_no_other() {
        let unit = unit("memory");
        let group = Groups::open(unit.path()).unwrap().make(7, Allowance::default()).unwrap();
        let after = |events: &str| {
            fs::write(group.folder.join("memory.events"), events).unwrap();
            group.out_of_memory()
        };
        assert_eq!(group.out_of_memory(), None);
        assert_eq!(after("low 0\nmax 7\noom 0\noom_kill 0\n"), Some(OutOfMemory::No));
        assert_eq!(after("oom 0\noom_kill 1\noom_group_kill 0\n"), Some(OutOfMemory::Elsewhere));
        assert_eq!(after("oom 2\noom_kill 1\noom_group_kill 1\n"), Some(OutOfMemory::Own));
        fs::write(group.folder.join("memory.peak"), "1048576\n").unwrap();
        fs::write(group.folder.join("cpu.stat"), "usage_usec 2500000\nuser_usec 1\n").unwrap();
        assert_eq!(group.usage(), Usage { memory_bytes: Some(1 << 20), cpu_s: Some(2.5) });
    }

    #[test]
    fn a_real_group_is_entered_and_what_stays_in_it_ends_with_it() {
        let Some(own) = machine::own_group() else { return };
        let unit = own.join(format!("finetuned-test-{}", std::process::id()));
        if let Err(err) = fs::create_dir(&unit) {
            let _ = writeln!(io::stderr(), "SKIPPED a real cgroup: {}: {err}", unit.display());
            return;
        }
        // As `open` does, but that the test stays where it is.
        let jobs = unit.join(JOBS);
        fs::create_dir(&jobs).unwrap();
        let groups = Groups { unit: unit.clone(), controllers: vec![] };
        let group = groups.make(7, Allowance::default()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        group.door().unwrap().write_all(child.id().to_string().as_bytes()).unwrap();
        assert_eq!(read(&group.folder.join("cgroup.procs")).trim(), child.id().to_string());
        // Its parent reaps it, as init does with what a worker leaves behind.
        let reaped = thread::spawn(move || child.wait().unwrap());
        group.remove().unwrap();
        assert!(!reaped.join().unwrap().success());
        assert!(!group.folder.exists());
        group.remove().unwrap();
        assert!(!is_delegated(&unit));
        let flags = rustix::fs::XattrFlags::empty();
        if rustix::fs::setxattr(&unit, "user.delegate", b"1", flags).is_ok() {
            assert!(is_delegated(&unit));
        }
        fs::remove_dir(&jobs).and_then(|()| fs::remove_dir(&unit)).unwrap();
    }
}
