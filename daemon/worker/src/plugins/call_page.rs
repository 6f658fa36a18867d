//! Notes which function of which plugin runs now, in the page of `finetuned_job::plugin_call`, and
//! ends the worker when a call takes too long. Costs two stores to memory a call: the kernel keeps
//! the page of a dead process.

use anyhow::{Context, Result};
use finetuned_job::plugin_call::{FILE_BYTES, HEADER_BYTES, RECORD_BYTES, RECORDS_MAX};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::process::{Signal, getpid, kill_process};
use std::fs::File;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often the watching thread looks: a hanging call is found out so much late at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The mapped file. It lives as long as the process.
struct Page(NonNull<u8>);

// SAFETY: the header is only touched through atomics, and a record is written by one thread before
// its number is given to anybody.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    fn header(&self, idx: usize) -> &AtomicU32 {
        const { assert!(HEADER_BYTES == 8) };
        assert!(idx < 2);
        // SAFETY: the mapping starts at a page, so it is aligned; it is FILE_BYTES long and never
        // unmapped.
        unsafe { AtomicU32::from_ptr(self.0.as_ptr().cast::<u32>().add(idx)) }
    }
}

pub(super) struct CallPage {
    page: Page,
    records: AtomicUsize,
    /// Counts every beginning and end of a call, so that the watcher can tell one long call from
    /// many short ones.
    moves: AtomicU64,
    /// Calls that run now.
    running: AtomicU32,
}

/// A function of a plugin, known to the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record(u32);

impl CallPage {
    /// Makes the file, and watches over calls from now on.
    pub(super) fn open(path: &Path, call_s: u32) -> Result<Arc<CallPage>> {
        let map = || -> Result<NonNull<u8>> {
            let file =
                File::options().read(true).write(true).create(true).truncate(true).open(path)?;
            // Allocated now: a full disk shall be an error here, not a SIGBUS in a store.
            rustix::fs::fallocate(
                &file,
                rustix::fs::FallocateFlags::empty(),
                0,
                FILE_BYTES as u64,
            )?;
            // SAFETY: a new shared mapping at an address of the kernel's choice overlaps nothing.
            let start = unsafe {
                mmap(
                    std::ptr::null_mut(),
                    FILE_BYTES,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::SHARED,
                    &file,
                    0,
                )
            }?;
            NonNull::new(start.cast()).context("the mapping is nowhere")
        };
        let start = map().with_context(|| format!("mapping {}", path.display()))?;
        let page = Arc::new(CallPage {
            page: Page(start),
            records: AtomicUsize::new(0),
            moves: AtomicU64::new(0),
            running: AtomicU32::new(0),
        });
        let watched = Arc::clone(&page);
        std::thread::Builder::new()
            .name("plugin-watch".into())
            .spawn(move || watched.watch(call_s))
            .context("starting a thread")?;
        Ok(page)
    }

    /// `what` as in `the head arcface of the plugin margins, in forward`. When the page is full,
    /// the last record stands for all that come after.
    pub(super) fn record(&self, what: &str) -> Record {
        let idx = self.records.fetch_add(1, Ordering::Relaxed);
        if RECORDS_MAX <= idx {
            return Record(RECORDS_MAX as u32);
        }
        let end = (0..=what.len().min(RECORD_BYTES))
            .rev()
            .find(|it| what.is_char_boundary(*it))
            .unwrap_or(0);
        // SAFETY: `idx` is below RECORDS_MAX, so the record lies within the mapping, and nobody
        // else has this `idx`.
        unsafe {
            let record = self.page.0.as_ptr().add(HEADER_BYTES + idx * RECORD_BYTES);
            std::ptr::copy_nonoverlapping(what.as_ptr(), record, end);
        }
        Record(idx as u32 + 1)
    }

    /// The call that `f` makes into a plugin.
    pub(super) fn during<R>(&self, record: Record, f: impl FnOnce() -> R) -> R {
        let current = self.page.header(0);
        // A call may come while another runs: from another thread, or from the host's function that
        // a plugin called.
        self.running.fetch_add(1, Ordering::AcqRel);
        let before = current.swap(record.0, Ordering::AcqRel);
        self.moves.fetch_add(1, Ordering::Relaxed);
        let result = f();
        self.moves.fetch_add(1, Ordering::Relaxed);
        if self.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Unless another thread began in this moment.
            let _ = current.compare_exchange(record.0, 0, Ordering::AcqRel, Ordering::Relaxed);
        } else if before != 0 {
            current.store(before, Ordering::Release);
        }
        result
    }

    fn watch(&self, call_s: u32) {
        let limit = Duration::from_secs(u64::from(call_s));
        let mut since = Instant::now();
        let mut seen = self.moves.load(Ordering::Relaxed);
        loop {
            std::thread::sleep(LOOK_EVERY);
            let moves = self.moves.load(Ordering::Relaxed);
            if moves != seen || self.running.load(Ordering::Acquire) == 0 {
                (seen, since) = (moves, Instant::now());
            } else if limit < since.elapsed() {
                self.page.header(1).store(call_s, Ordering::Relaxed);
                // No clean end is possible with a thread inside the plugin; who started us reads
                // the page.
                let _ = kill_process(getpid(), Signal::KILL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use finetuned_job::plugin_call::PluginCall;

    #[test]
    fn the_file_says_who_is_at_work() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugin.call");
        let page = CallPage::open(&path, 60).unwrap();
        let read = || PluginCall::read(&std::fs::read(&path).unwrap()).map(|it| it.what);
        let (outer, inner) = (
            page.record("the loss focal of the plugin focal, in forward"),
            page.record(&"ü".repeat(200)),
        );
        assert_eq!(read(), None);
        page.during(outer, || {
            assert_eq!(read().unwrap(), "the loss focal of the plugin focal, in forward");
            page.during(inner, || {
                assert_eq!(read().unwrap(), "ü".repeat(128), "cut at a character")
            });
            assert_eq!(read().unwrap(), "the loss focal of the plugin focal, in forward");
        });
        assert_eq!(read(), None);
    }

    #[test]
    fn whoever_ends_first_another_threads_call_stays_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugin.call");
        let page = CallPage::open(&path, 60).unwrap();
        let read = || PluginCall::read(&std::fs::read(&path).unwrap()).map(|it| it.what);
        let (first, second) = (page.record("first"), page.record("second"));
        let both = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                page.during(first, || both.wait());
                both.wait();
            });
            page.during(second, || {
                both.wait();
                both.wait(); // the first has ended
                assert!(read().is_some());
            });
        });
        assert_eq!((read(), page.running.load(Ordering::Acquire)), (None, 0));
    }

    #[test]
    fn more_functions_than_records_are_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let page = CallPage::open(&folder.path().join("plugin.call"), 60).unwrap();
        let last = (0..RECORDS_MAX + 10)
            .fold(None, |_, it| Some(page.record(&format!("function {it}"))))
            .unwrap();
        page.during(last, || {
            let bytes = std::fs::read(folder.path().join("plugin.call")).unwrap();
            assert_eq!(
                PluginCall::read(&bytes).unwrap().what,
                format!("function {}", RECORDS_MAX - 1)
            );
        });
    }
}
