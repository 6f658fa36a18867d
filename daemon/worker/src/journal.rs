//! Tells what happens: each event becomes one line in `events.jsonl` and on stdout. How often a
//! stage reports its progress is decided here, so that nobody else looks at the clock for it.

use anyhow::{Context, Result};
use finetuned_job::event::{Event, Line, Phase};
use finetuned_job::run_folder;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A person sees no difference below this, and a fast loop must not fill the disk with lines.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Journal {
    file: File,
    attempt: u32,
    last_progress: Option<Instant>,
}

impl Journal {
    /// Continues the run's `events.jsonl`; a line torn by a crash is closed first.
    pub(crate) fn open(run: &Path, attempt: u32) -> Result<Journal> {
        let path = run.join(run_folder::EVENTS);
        let open = || -> std::io::Result<File> {
            let mut file = File::options().read(true).append(true).create(true).open(&path)?;
            let mut last = [b'\n'];
            if 0 < file.metadata()?.len() {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
            }
            if last != [b'\n'] {
                file.write_all(b"\n")?;
            }
            Ok(file)
        };
        let file = open().with_context(|| format!("opening {}", path.display()))?;
        Ok(Journal { file, attempt, last_progress: None })
    }

    pub(crate) fn tell(&mut self, event: Event) -> Result<()> {
        let at_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_millis() as u64);
        let mut line = serde_json::to_vec(&Line { at_ms, attempt: self.attempt, event })
            .context("encoding an event")?;
        line.push(b'\n');
        // stdout only wakes the supervisor, and it comes first: it still works when the disk is
        // full. A supervisor that is gone is no reason to stop.
        let _ = std::io::stdout().lock().write_all(&line).and_then(|()| std::io::stdout().flush());
        self.file.write_all(&line).context("writing events.jsonl")
    }

    pub(crate) fn warn(&mut self, message: impl Into<String>) -> Result<()> {
        self.tell(Event::Warning { message: message.into() })
    }

    pub(crate) fn phase(&mut self, phase: Phase, total: Option<u64>) -> Result<()> {
        self.last_progress = Some(Instant::now());
        self.tell(Event::Phase { phase, total })
    }

    /// True at most every tenth of a second: whoever gets it should say where it stands.
    pub(crate) fn due(&mut self) -> bool {
        let due = self.last_progress.is_none_or(|at| PROGRESS_EVERY <= at.elapsed());
        if due {
            self.last_progress = Some(Instant::now());
        }
        due
    }

    pub(crate) fn progress(&mut self, done: u64, total: Option<u64>) -> Result<()> {
        if self.due() { self.tell(Event::Progress { done, total }) } else { Ok(()) }
    }
}
