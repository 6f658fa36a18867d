//! `finetuned logs JOB`: what its workers have said, readable; with `-f` until the job ends.
//! Follows the file itself, so it needs no daemon.

use super::find;
use crate::cli::Exit;
use crate::home::Home;
use crate::narrator::Narrator;
use crate::progress;
use crate::queue::{Job, Queue, State};
use crate::report::Report;
use anyhow::{Context, Result};
use finetuned_job::run_folder;
use notify::{RecursiveMode, Watcher};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

/// Without events of the file system (a network's, say) the file is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes read at a time.
const CHUNK: u64 = 1 << 20;

pub(super) fn logs(
    home: &Home,
    wanted: &str,
    follow: bool,
    as_json: bool,
    report: &mut Report,
) -> Result<Exit> {
    let (queue, job) = find(home, wanted)?;
    let run = home.runs().join(&job.run);
    let mut reader = Reader { from: 0, rest: Vec::new(), narrator: Narrator::new(as_json) };
    // The sender stays here too: where nothing can be watched, only the time-out wakes us.
    let (sender, moved) = sync_channel(1);
    let _watcher = follow.then(|| watch(&run, sender.clone()));
    loop {
        // The state is read first: what was said before the job ended is then in the file.
        let state = queue.job(job.id)?.state;
        reader.drain(&run.join(run_folder::EVENTS), report)?;
        if !follow || is_over(&state) {
            return end(&queue, &job, &run, as_json, report);
        }
        let _ = moved.recv_timeout(LOOK_EVERY);
    }
}

fn is_over(state: &State) -> bool {
    matches!(
        state,
        State::Done
            | State::Failed(_)
            | State::Cancelled(_)
            | State::Quarantined(_)
            | State::Paused
    )
}

fn watch(run: &Path, moved: SyncSender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let tell = move |event: notify::Result<notify::Event>| {
        // Our own reading is an event too: answered, it would wake us for ever.
        if event.is_ok_and(|it| !it.kind.is_access()) {
            // A full channel says the same already.
            moved.try_send(()).unwrap_or_default();
        }
    };
    let mut watcher = notify::recommended_watcher(tell)?;
    watcher.watch(run, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn end(queue: &Queue, job: &Job, run: &Path, as_json: bool, report: &mut Report) -> Result<Exit> {
    let state = queue.job(job.id)?.state;
    let failed = matches!(state, State::Failed(_) | State::Quarantined(_));
    if !as_json {
        let log = progress::tail(&run.join(run_folder::LOG)).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(if failed { 20 } else { 5 }).collect();
        if !last.is_empty() {
            report.line("worker.log ends with:")?;
            last.iter().rev().try_for_each(|it| report.line(&format!("  {it}")))?;
        }
        let reason = state.reason().map_or_else(String::new, |it| format!(": {it}"));
        report.line(&format!("job {} is {}{reason}", job.id, state.name()))?;
    }
    Ok(if failed { Exit::JobFailed } else { Exit::Done })
}

/// Reads on where it stopped; a line that is not whole yet waits.
struct Reader {
    from: u64,
    rest: Vec<u8>,
    narrator: Narrator,
}

impl Reader {
    fn drain(&mut self, events: &Path, report: &mut Report) -> Result<()> {
        let mut file = match File::open(events) {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(err) => return Err(err).with_context(|| format!("reading {}", events.display())),
        };
        file.seek(SeekFrom::Start(self.from))?;
        loop {
            let n = file.by_ref().take(CHUNK).read_to_end(&mut self.rest)?;
            self.from += n as u64;
            let whole = self.rest.iter().rposition(|it| *it == b'\n').map_or(0, |at| at + 1);
            for line in self.rest[..whole].split(|it| *it == b'\n').filter(|it| !it.is_empty()) {
                if let Some(text) = self.narrator.line(line) {
                    if self.narrator.as_json {
                        report.json_text(&text)
                    } else {
                        report.line(&text)
                    }?;
                }
            }
            self.rest.drain(..whole);
            if n == 0 {
                return Ok(());
            }
        }
    }
}
