//! `finetuned logs JOB`: what its workers have said, readable; with `-f` until the job ends.
//! Follows the file itself, so it needs no daemon.

use super::find;
use crate::cli::Exit;
use crate::home::Home;
use crate::queue::{Job, Queue, State};
use crate::report::Report;
use crate::{progress, words};
use anyhow::{Context, Result};
use finetuned_job::event::{Event, Line};
use finetuned_job::run_folder;
use notify::{RecursiveMode, Watcher};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

/// Steps come by the thousand: one line in so much time is enough for people.
const STEP_LINES_EVERY_MS: u64 = 2000;
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
    let mut reader = Reader { from: 0, rest: Vec::new(), teller: Teller::new(as_json) };
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
    teller: Teller,
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
                if let Some(text) = self.teller.tell(line) {
                    report.line(&text)?;
                }
            }
            self.rest.drain(..whole);
            if n == 0 {
                return Ok(());
            }
        }
    }
}

/// Turns events into lines for people, and leaves out most steps.
pub(crate) struct Teller {
    as_json: bool,
    step_shown_at_ms: Option<u64>,
}

impl Teller {
    pub fn new(as_json: bool) -> Teller {
        Teller { as_json, step_shown_at_ms: None }
    }

    fn tell(&mut self, line: &[u8]) -> Option<String> {
        if self.as_json {
            return Some(String::from_utf8_lossy(line).into_owned());
        }
        let line: Line = serde_json::from_slice(line).ok()?;
        Some(format!("{}  {}", words::moment(line.at_ms), self.words(&line)?))
    }

    /// `None`: not worth a line.
    pub fn words(&mut self, line: &Line) -> Option<String> {
        Some(match &line.event {
            Event::Started { pid, version, resumed_from } => {
                let from =
                    resumed_from.map_or_else(String::new, |it| format!(", goes on from step {it}"));
                format!("worker {version} starts in process {pid}{from}")
            }
            Event::Phase { phase, total } => {
                let of = total
                    .filter(|it| 0 < *it)
                    .map_or_else(String::new, |it| format!(" ({})", words::count(it)));
                format!("{}{of}", progress::stage_name(*phase))
            }
            Event::Progress { .. } => return None,
            Event::Features { split, bytes, found } => {
                let how = if *found { "found" } else { "computed in the first epoch" };
                format!("features of the {} split, {}: {how}", split.name(), words::bytes(*bytes))
            }
            Event::Step(step) => {
                if step.step < step.steps
                    && self.step_shown_at_ms.is_some_and(|at| line.at_ms < at + STEP_LINES_EVERY_MS)
                {
                    return None;
                }
                self.step_shown_at_ms = Some(line.at_ms);
                format!(
                    "step {} of {}, epoch {:.2}, loss {:.4}, learning rate {:.2e}",
                    step.step, step.steps, step.epoch, step.loss, step.lr
                )
            }
            Event::Evaluation { step, scores, best, .. } => {
                let metric = |name: &str| {
                    scores
                        .metrics
                        .get(name)
                        .map_or_else(String::new, |it| format!(", {name} {it:.3}"))
                };
                let best = if *best { " (best so far)" } else { "" };
                format!(
                    "{} after step {step}: loss {:.4}{}{}{best}",
                    scores.split.name(),
                    scores.loss,
                    metric("accuracy"),
                    metric("macro_f1")
                )
            }
            Event::Unfrozen { epoch, trainable_tensors, trainable_parameters } => {
                format!(
                    "from epoch {epoch} on {trainable_tensors} tensors train, {} parameters",
                    words::count(*trainable_parameters)
                )
            }
            Event::Checkpoint { step } => format!("checkpoint at step {step}"),
            Event::Warning { message } => format!("warning: {message}"),
            Event::Trained { steps, best_step, seconds } => {
                format!(
                    "trained: {steps} steps in {}, the best at {best_step}",
                    words::seconds(*seconds)
                )
            }
            Event::Stopped { step } => format!("stopped at step {step}"),
            Event::Done { metric, score } => format!("done: {metric} {score:.3}, proven"),
            Event::Failed { failure } => format!("failed: {failure}"),
        })
    }
}
