//! `finetuned wait JOB`, and the second half of `submit --wait`: follows a job until it is over,
//! looks as `run` does and ends as `run` does. It only reads; the daemon does the work.

use super::find;
use crate::cli::Exit;
use crate::display::Display;
use crate::events::{self, Events};
use crate::home::Home;
use crate::queue::{Job, JobId, Queue, State};
use crate::report::{self, Report};
use crate::{proven, run_facts, signals};
use anyhow::{Context, Result};
use finetuned_job::run_folder;
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// What moves without an event of the file system (the job's state) is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What ends a pause.
enum News {
    Moved,
    Signal(i32),
}

/// Waits for moments of the job, and hears signals meanwhile.
pub(super) struct Waiter {
    news: Receiver<News>,
    sender: SyncSender<News>,
    /// A signal has come, whatever we are at.
    pub stop: Arc<AtomicBool>,
}

impl Waiter {
    pub fn new() -> Result<Waiter> {
        let (sender, news) = sync_channel(1);
        let stop = Arc::<AtomicBool>::default();
        let (bell, flag) = (sender.clone(), stop.clone());
        signals::hear(&[SIGINT, SIGTERM], move |signal| {
            flag.store(true, Ordering::Relaxed);
            bell.send(News::Signal(signal)).is_ok()
        })?;
        Ok(Waiter { news, sender, stop })
    }

    /// How to end, when a signal says so.
    pub fn pause(&self, longest: Duration) -> Option<Exit> {
        match self.news.recv_timeout(longest) {
            Ok(News::Signal(SIGINT)) => Some(Exit::Interrupted),
            Ok(News::Signal(_)) => Some(Exit::Stopped),
            Ok(News::Moved) | Err(_) => None,
        }
    }

    /// Called by whatever watches.
    fn bell(&self) -> impl Fn() + Send + 'static {
        let sender = self.sender.clone();
        // A full channel says the same already.
        move || sender.try_send(News::Moved).unwrap_or_default()
    }
}

pub(super) fn wait(home: &Home, wanted: &str, as_json: bool, report: &mut Report) -> Result<Exit> {
    let waiter = Waiter::new()?;
    let (queue, job) = find(home, wanted)?;
    follow(home, &queue, job.id, &waiter, as_json, report)
}

/// Until the job is over, or a signal comes.
pub(super) fn follow(
    home: &Home,
    queue: &Queue,
    id: JobId,
    waiter: &Waiter,
    as_json: bool,
    report: &mut Report,
) -> Result<Exit> {
    let mut display = Display::new(as_json);
    let followed = until_over(home, queue, id, waiter, &mut display, report);
    display.end();
    let job = match followed {
        Ok(Ok(job)) => job,
        Ok(Err(exit)) => {
            report::complain(&format!("job {id} goes on: `finetuned wait {id}` follows it again"));
            return Ok(exit);
        }
        Err(err) => return unfollowed(err),
    };
    end(&home.runs().join(&job.run), &job, as_json, report).or_else(unfollowed)
}

/// To end as quietly as other commands do must not look like a proven model.
fn unfollowed(err: anyhow::Error) -> Result<Exit> {
    if report::is_reader_gone(&err) { Ok(Exit::Stopped) } else { Err(err) }
}

fn until_over(
    home: &Home,
    queue: &Queue,
    id: JobId,
    waiter: &Waiter,
    display: &mut Display,
    report: &mut Report,
) -> Result<Result<Job, Exit>> {
    let job = |queue: &Queue| queue.job(id).with_context(|| format!("job {id}"));
    let run = home.runs().join(&job(queue)?.run);
    display.begin(&run, report)?;
    let mut events = Events::default();
    // The folder appears with the claim.
    let mut watcher = events::watch(&run, waiter.bell()).ok();
    let mut remarked = None;
    loop {
        // The state is read first: what was written before the job ended is then in the file.
        let job = job(queue)?;
        events.drain(&run, |line| match serde_json::from_slice(line) {
            Ok(line) => Ok(display.show(&line, report)?),
            // A newer worker's.
            Err(_) => Ok(()),
        })?;
        if job.state.is_over() {
            return Ok(Ok(job));
        }
        let remark = remark(home, &job);
        if remark.is_some() && remark != remarked {
            remark.iter().for_each(|it| display.say(it));
        }
        remarked = remark;
        if let Some(exit) = waiter.pause(LOOK_EVERY) {
            return Ok(Err(exit));
        }
        watcher = watcher.or_else(|| events::watch(&run, waiter.bell()).ok());
    }
}

/// Why nothing happens.
fn remark(home: &Home, job: &Job) -> Option<String> {
    let id = job.id;
    match &job.state {
        State::Running { .. } => None,
        State::Paused => Some(format!("job {id} is paused: `finetuned resume {id}` lets it go on")),
        _ if !home.is_served() => Some(super::NOBODY_SERVES.into()),
        State::Queued { waiting: Some(why), .. } => Some(format!("job {id} waits: {why}")),
        _ => None,
    }
}

fn end(run: &Path, job: &Job, as_json: bool, report: &mut Report) -> Result<Exit> {
    match &job.state {
        State::Done => {
            proven::show(run, as_json, report)?;
            Ok(Exit::Done)
        }
        State::Failed(why) | State::Quarantined(why) => {
            report::complain(why);
            if as_json {
                // Without a reader it has failed all the same.
                let failed: Result<Value> = run_facts::json(&run.join(run_folder::FAILED));
                let shown = failed.and_then(|it| Ok(report.json(&it)?));
                shown
                    .or_else(|err| if report::is_reader_gone(&err) { Ok(()) } else { Err(err) })?;
            }
            Ok(Exit::JobFailed)
        }
        other => {
            let why = other.reason().unwrap_or("no reason is known");
            report::complain(&format!("job {} is {}: {why}", job.id, other.name()));
            Ok(Exit::Stopped)
        }
    }
}
