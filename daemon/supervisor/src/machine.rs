//! Reads what the machine, and the cgroup that we run in, can give: cores, memory, and how often
//! the kernel has killed for want of memory. Defaults are derived from it in `config`.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// What defaults are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    pub cores: u32,
    /// The smaller of the machine's memory and every `memory.max` above us; absent where /proc is.
    pub memory_bytes: Option<u64>,
}

impl Machine {
    pub fn read() -> Machine {
        // Affinity and cgroup quotas (cpu.max of every level) are honoured by the standard library.
        let cores = std::thread::available_parallelism().map_or(1, |it| it.get() as u32);
        let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_total(&text));
        let limit = memory_max(Path::new("/sys/fs/cgroup"), &own_cgroup());
        Machine { cores, memory_bytes: [total, limit].into_iter().flatten().min() }
    }
}

/// Nobody but us is running. Takes 50 ms: a shell command that ends in this moment is no company.
pub(crate) fn is_idle() -> bool {
    const LOOKS: usize = 5;
    let quiet = (0..LOOKS).filter(|_| {
        thread::sleep(Duration::from_millis(10));
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        field(&stat, "procs_running").is_some_and(|it| it <= 1)
    });
    LOOKS / 2 < quiet.count()
}

/// Kills by the kernel's out-of-memory killer so far, in our cgroup and on the whole machine. Only
/// a difference between two readings says something.
pub(crate) fn oom_kills() -> u64 {
    let events = own_group().map(|it| it.join("memory.events"));
    let counter = |path: &Path| {
        fs::read_to_string(path).ok().and_then(|text| field(&text, "oom_kill")).unwrap_or(0)
    };
    events.as_deref().map_or(0, counter) + counter(Path::new("/proc/vmstat"))
}

/// Our cgroup v2 path, relative to the root of the hierarchy; empty for the root itself.
pub(crate) fn own_cgroup() -> String {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or("").to_string()
}

/// The folder of our cgroup v2, wherever the hierarchy is mounted.
pub(crate) fn own_group() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    group_folder(&mounts, &own_cgroup())
}

fn group_folder(mounts: &str, group: &str) -> Option<PathBuf> {
    // 24 1 0:21 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw
    let line = mounts.lines().find(|it| it.contains(" - cgroup2 "))?;
    if group.starts_with("..") {
        return None; // above the root that a container sees nothing can be reached
    }
    Some(Path::new(line.split(' ').nth(4)?).join(group))
}

/// The smallest `memory.max` from our group up to the root: a limit holds for everything below it.
fn memory_max(root: &Path, group: &str) -> Option<u64> {
    let own = root.join(group);
    let levels = own.ancestors().take_while(|it| it.starts_with(root));
    levels
        .filter_map(|it| fs::read_to_string(it.join("memory.max")).ok()?.trim().parse().ok())
        .min()
}

fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_above_us_counts() {
        let root = tempfile::tempdir().unwrap();
        let leaf = root.path().join("system.slice/finetuned.service");
        fs::create_dir_all(&leaf).unwrap();
        assert_eq!(memory_max(root.path(), "system.slice/finetuned.service"), None);
        fs::write(leaf.join("memory.max"), "max\n").unwrap();
        fs::write(root.path().join("system.slice/memory.max"), "4294967296\n").unwrap();
        assert_eq!(memory_max(root.path(), "system.slice/finetuned.service"), Some(4 << 30));
        fs::write(leaf.join("memory.max"), "1073741824\n").unwrap();
        assert_eq!(memory_max(root.path(), "system.slice/finetuned.service"), Some(1 << 30));
    }

    #[test]
    fn our_group_is_found_where_it_is_mounted() {
        let mounts = "23 1 0:20 / /sys rw - sysfs sysfs rw\n24 23 0:21 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let group = "system.slice/finetuned.service";
        let folder = Path::new("/sys/fs/cgroup/system.slice/finetuned.service");
        assert_eq!(group_folder(mounts, group).unwrap(), folder);
        assert_eq!(group_folder(mounts, "").unwrap(), Path::new("/sys/fs/cgroup"));
        assert_eq!(group_folder(mounts, "../other.service"), None);
        assert_eq!(group_folder("24 1 0:21 / /sys/fs/cgroup rw - cgroup cpu rw\n", group), None);
    }

    #[test]
    fn kernel_tables_are_read_by_whole_names() {
        assert_eq!(field("oom_kill_group 7\noom_kill 3\n", "oom_kill"), Some(3));
        assert_eq!(
            mem_total("MemTotal:       24689764 kB\nMemFree: 1 kB\n"),
            Some(24_689_764 * 1024)
        );
    }
}
