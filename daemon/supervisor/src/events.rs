//! `events.jsonl` of a run while it is written, for who follows it from outside the daemon: whole
//! lines in their order, and a call when there may be more. What lines mean is left to the caller.

use anyhow::{Context, Result};
use finetuned_job::run_folder;
use notify::{RecursiveMode, Watcher};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes read at a time.
const CHUNK: u64 = 1 << 20;

/// Reads on where it stopped; a line that is not whole yet waits.
#[derive(Default)]
pub(crate) struct Events {
    from: u64,
    rest: Vec<u8>,
}

impl Events {
    /// Each line that was not there before; a run that has not begun has none.
    pub fn drain(&mut self, run: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let events = run.join(run_folder::EVENTS);
        let mut file = match File::open(&events) {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(err) => return Err(err).with_context(|| format!("reading {}", events.display())),
        };
        file.seek(SeekFrom::Start(self.from))?;
        loop {
            let n = file.by_ref().take(CHUNK).read_to_end(&mut self.rest)?;
            self.from += n as u64;
            let whole = self.rest.iter().rposition(|it| *it == b'\n').map_or(0, |at| at + 1);
            let lines = self.rest[..whole].split(|it| *it == b'\n');
            lines.filter(|it| !it.is_empty()).try_for_each(&mut each)?;
            self.rest.drain(..whole);
            if n == 0 {
                return Ok(());
            }
        }
    }
}

/// Calls `moved` whenever something is written in the run folder, as long as the watcher lives.
pub(crate) fn watch(
    run: &Path,
    moved: impl Fn() + Send + 'static,
) -> notify::Result<notify::RecommendedWatcher> {
    let tell = move |event: notify::Result<notify::Event>| {
        // Our own reading is an event too: answered, it would wake us for ever.
        if event.is_ok_and(|it| !it.kind.is_access()) {
            moved();
        }
    };
    let mut watcher = notify::recommended_watcher(tell)?;
    watcher.watch(run, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
