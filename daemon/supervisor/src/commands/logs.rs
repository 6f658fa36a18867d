//! `finetuned logs JOB`: what its workers have said, readable; with `-f` until the job ends.
//! Follows the file itself, so it needs no daemon.

use super::find;
use crate::cli::Exit;
use crate::events::{self, Events};
use crate::home::Home;
use crate::narrator::Narrator;
use crate::progress;
use crate::queue::{Job, Queue, State};
use crate::report::Report;
use anyhow::Result;
use finetuned_job::run_folder;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Without events of the file system (a network's, say) the file is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) fn logs(
    home: &Home,
    wanted: &str,
    follow: bool,
    as_json: bool,
    report: &mut Report,
) -> Result<Exit> {
    let (queue, job) = find(home, wanted)?;
    let run = home.runs().join(&job.run);
    let (mut events, mut narrator) = (Events::default(), Narrator::new(as_json));
    // The sender stays here too: where nothing can be watched, only the time-out wakes us.
    let (sender, moved) = sync_channel(1);
    let bell = sender.clone();
    // A full channel says the same already.
    let _watcher =
        follow.then(|| events::watch(&run, move || bell.try_send(()).unwrap_or_default()));
    loop {
        // The state is read first: what was said before the job ended is then in the file.
        let state = queue.job(job.id)?.state;
        events.drain(&run, |line| match narrator.line(line) {
            Some(text) if as_json => Ok(report.json_text(&text)?),
            Some(text) => Ok(report.line(&text)?),
            None => Ok(()),
        })?;
        if !follow || is_over(&state) {
            return end(&queue, &job, &run, as_json, report);
        }
        let _ = moved.recv_timeout(LOOK_EVERY);
    }
}

fn is_over(state: &State) -> bool {
    state.is_over() || *state == State::Paused
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
