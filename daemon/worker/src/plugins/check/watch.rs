//! What the kernel says of this process.

/// What the allocator's own housekeeping may take in ten thousand calls.
pub(super) const GROWTH_BYTES_MAX: u64 = 1 << 20;

/// Memory in use, from /proc; 0 where there is none.
pub(super) fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Threads of this process.
pub(super) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
