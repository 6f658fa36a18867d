//! `finetuned submit PATH`: which inbox gets the drop, and which job it becomes. How it gets there
//! is `handover`'s, how its job is followed `wait`'s.

use super::NOBODY_SERVES;
use super::wait::{self, Waiter};
use crate::bulletin::Bulletin;
use crate::cli::{Exit, SubmitArgs};
use crate::config::{self, Config, InboxConfig};
use crate::copy::STOPPED;
use crate::handover::Staged;
use crate::home::Home;
use crate::lookup;
use crate::queue::{Job, Queue};
use crate::report::{self, Report};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// A running daemon takes what came by a rename within a second, unless it is busy.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) fn submit(home: &Home, args: &SubmitArgs, report: &mut Report) -> Result<Exit> {
    let drop = lookup::drop_at(&args.drop)?;
    let recipe = args.recipe.as_deref().map(config::recipe_text).transpose()?;
    let (inbox, reserve, is_ours) = match (Config::load(&home.root), args.inbox.as_deref()) {
        // A home that only its daemon may read has inboxes for others all the same.
        (Err(_), Some(path)) if path.contains('/') && !args.wait => {
            (std::path::absolute(path)?, None, false)
        }
        (config, wanted) => {
            let config = config?;
            // Of the system's configuration another home may be the one that is served.
            let is_ours = config.file.as_ref().is_none_or(|it| it.starts_with(&home.root));
            (choose(&config.inboxes, wanted)?.path.clone(), config.reserve, is_ours)
        }
    };
    let waiter = Waiter::new()?;
    let staged = match Staged::copy(&drop, &inbox, recipe.as_ref(), reserve, &waiter.stop) {
        Err(err) if is_stop(&err) => {
            report::complain("stopped: nothing was submitted");
            return Ok(waiter.pause(Duration::ZERO).unwrap_or(Exit::Stopped));
        }
        staged => staged?,
    };
    if let Some(priority) = args.priority {
        // Before the drop can be taken, so that its job has it from the beginning.
        Queue::open(&home.database())
            .and_then(|mut it| it.submit(&staged.entry, staged.fingerprint, priority))
            .context("only who may write to the home says which priority a job has: leave --priority away, or say it in the drop's job.toml (job.priority)")?;
    }
    if let Err(exit) = place(home, &staged, &waiter)? {
        return Ok(exit);
    }
    if args.wait {
        return match taken(home, &inbox, &staged, &waiter)? {
            Ok((queue, job)) => wait::follow(home, &queue, job.id, &waiter, args.json, report),
            Err(exit) => {
                let entry = staged.entry.display();
                report::complain(&format!("{entry} waits to be taken: `finetuned status`"));
                Ok(exit)
            }
        };
    }
    let job = soon(home, &staged, &waiter);
    let (entry, served) = (staged.entry.display(), home.is_served());
    if args.json {
        let job = job.map(|it| it.id.0);
        report.json(&json!({ "entry": staged.entry, "job": job, "served": served }))?;
        return Ok(Exit::Done);
    }
    match job {
        Some(job) => report.line(&format!("job {}: {entry}", job.id))?,
        None => report.line(&format!("{entry} waits to be taken"))?,
    }
    if !served && is_ours {
        report.line(NOBODY_SERVES)?;
    }
    Ok(Exit::Done)
}

fn is_stop(err: &anyhow::Error) -> bool {
    err.chain().filter_map(|it| it.downcast_ref::<io::Error>()).any(|it| it.kind() == STOPPED)
}

/// By its path, or by the last part of it; the only one without being named.
fn choose<'a>(inboxes: &'a [InboxConfig], wanted: Option<&str>) -> Result<&'a InboxConfig> {
    let names = || {
        let names: Vec<String> = inboxes.iter().map(|it| it.path.display().to_string()).collect();
        names.join(", ")
    };
    let fits = |it: &&InboxConfig| match wanted {
        None => true,
        Some(wanted) if wanted.contains('/') => {
            let real = |path: &Path| path.canonicalize().ok();
            real(Path::new(wanted)).is_some_and(|it_is| real(&it.path) == Some(it_is))
        }
        Some(name) => it.path.file_name().is_some_and(|it| it == name),
    };
    let fitting: Vec<&InboxConfig> = inboxes.iter().filter(fits).collect();
    match (fitting.as_slice(), wanted) {
        ([inbox], _) => Ok(inbox),
        ([], Some(wanted)) => bail!("there is no inbox `{wanted}`: there are {}", names()),
        ([], None) => bail!("the configuration lists no inbox: add [[inbox]] with its path"),
        (_, Some(wanted)) => bail!("`{wanted}` fits several inboxes: {}", names()),
        (_, None) => bail!("there are several inboxes, name one with --inbox: {}", names()),
    }
}

/// Waits a little where a daemon is about to take another drop of the same name.
fn place(home: &Home, staged: &Staged, waiter: &Waiter) -> Result<Result<(), Exit>> {
    let began = Instant::now();
    loop {
        match staged.place() {
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                if !home.is_served() || TAKEN_WITHIN < began.elapsed() {
                    bail!(
                        "{} is there already and has not been taken yet: nothing is ever overwritten; wait for its turn, remove it, or submit under another name",
                        staged.entry.display()
                    );
                }
                if let Some(exit) = waiter.pause(LOOK_EVERY) {
                    report::complain("stopped: nothing was submitted");
                    return Ok(Err(exit));
                }
            }
            placed => {
                return placed
                    .map(Ok)
                    .with_context(|| format!("giving it the name {}", staged.entry.display()));
            }
        }
    }
}

/// The job that has taken it, where one does within a moment and may be seen.
fn soon(home: &Home, staged: &Staged, waiter: &Waiter) -> Option<Job> {
    let began = Instant::now();
    while home.is_served() && began.elapsed() < TAKEN_WITHIN {
        if let Some((_, job)) = job_of(home, staged).ok()? {
            return Some(job);
        }
        if waiter.pause(LOOK_EVERY).is_some() {
            return None;
        }
    }
    None
}

fn job_of(home: &Home, staged: &Staged) -> Result<Option<(Queue, Job)>> {
    let Some(queue) = Queue::open_to_read(&home.database())? else { return Ok(None) };
    let job = queue.taken_from(&staged.entry, staged.fingerprint)?;
    Ok(job.map(|it| (queue, it)))
}

/// However long it takes; what keeps it from being taken is said once.
fn taken(
    home: &Home,
    inbox: &Path,
    staged: &Staged,
    waiter: &Waiter,
) -> Result<Result<(Queue, Job), Exit>> {
    let mut remarked = None;
    loop {
        // A row is written before its drop is moved.
        let is_there = staged.entry.symlink_metadata().is_ok();
        if let Some(found) = job_of(home, staged)? {
            return Ok(Ok(found));
        }
        if !is_there {
            bail!(
                "{} was removed or changed before it was taken: `finetuned status --all` shows what came of it",
                staged.entry.display()
            );
        }
        let remark = obstacle(home, inbox, &staged.entry);
        if remark.is_some() && remark != remarked {
            remark.iter().for_each(|it| report::complain(it));
        }
        remarked = remark;
        if let Some(exit) = waiter.pause(LOOK_EVERY) {
            return Ok(Err(exit));
        }
    }
}

/// Why a drop stays where it is.
fn obstacle(home: &Home, inbox: &Path, entry: &Path) -> Option<String> {
    let Some(bulletin) = Bulletin::read(home) else {
        return (!home.is_served()).then(|| NOBODY_SERVES.into());
    };
    let news = bulletin.inboxes.into_iter().find(|it| it.path == inbox)?;
    let name = entry.file_name()?.to_str()?;
    let refused = || Some(news.refused.iter().find(|it| it.name == name)?.why.clone());
    let why = news.unclaimable.clone().or_else(refused)?;
    Some(format!("{} is not taken: {why}", entry.display()))
}
