//! Removes jobs that are over, row and run folder, and what proven runs need no more. Which of
//! them is decided in `retention`, or by a person.

use crate::claim;
use crate::copy;
use crate::home::Home;
use crate::moves::{rename_new, sync_folder};
use crate::queue::{Job, Queue, State};
use crate::retention::Finished;
use crate::run_lock;
use anyhow::{Context, Result, bail};
use finetuned_job::run_folder;
use std::fs;
use std::io;
use std::path::Path;

/// Begins the names of run folders that are being removed.
pub(crate) const REMOVED: &str = ".removed-";

/// Every job that is over.
pub(crate) fn finished(queue: &Queue, home: &Home) -> Result<Vec<Finished>> {
    let describe = |job: Job| Finished {
        job: job.id.0,
        inbox: job.source.parent().map(Path::to_path_buf),
        proven: job.state == State::Done,
        ended_ms: job.changed_ms,
        bytes: copy::size(&home.runs().join(&job.run)).unwrap_or(0),
    };
    Ok(queue.all()?.into_iter().filter(|it| it.state.is_over()).map(describe).collect())
}

/// Row, run folder and what waits hidden in the inbox. The folder's name changes first: after a
/// crash the rest is done by [`finish_removals`].
///
/// # Errors
/// The job is not over, or a worker is still at work in its folder.
pub(crate) fn remove(queue: &mut Queue, home: &Home, job: &Job) -> Result<()> {
    if !job.state.is_over() {
        bail!("job {} is {}: `finetuned cancel {}` first", job.id, job.state.name(), job.id);
    }
    let run = home.runs().join(&job.run);
    if run_lock::is_worked_on(&run) {
        bail!("a worker is still at work in {}: try again in a moment", run.display());
    }
    let removed = home.runs().join(format!("{REMOVED}{}", job.run));
    match rename_new(&run, &removed) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => {
            return Err(err).with_context(|| format!("removing {}", run.display()));
        }
        _ => sync_folder(&home.runs())?,
    }
    if let Err(err) = queue.forget(job.id) {
        // It is queued again, say.
        let _ = rename_new(&removed, &run);
        return Err(err).with_context(|| format!("forgetting job {}", job.id));
    }
    if job.original.is_some() {
        claim::discard(job)?;
    }
    copy::remove(&removed).with_context(|| format!("removing {}", removed.display()))
}

/// Those that a crash left half-way; nobody else removes meanwhile.
pub(crate) fn finish_removals(queue: &mut Queue, home: &Home) -> Result<()> {
    for entry in fs::read_dir(home.runs())?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(run) = name.strip_prefix(REMOVED) else { continue };
        if let Some(job) = queue.all()?.into_iter().find(|it| it.run == run && it.state.is_over()) {
            queue.forget(job.id)?;
        }
        copy::remove(&entry.path())
            .unwrap_or_else(|err| tracing::warn!("removing {}: {err}", entry.path().display()));
    }
    Ok(())
}

/// What a proven run needs no more, in bytes.
pub(crate) fn checkpoints(run: &Path) -> u64 {
    let folders = [run_folder::CHECKPOINTS, run_folder::STAGING];
    folders.iter().map(|it| copy::size(&run.join(it)).unwrap_or(0)).sum()
}

pub(crate) fn remove_checkpoints(run: &Path) -> io::Result<()> {
    [run_folder::CHECKPOINTS, run_folder::STAGING]
        .iter()
        .try_for_each(|it| copy::remove(&run.join(it)))
}
