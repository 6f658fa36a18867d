//! What of finished jobs goes, and when: by number, age and bytes as the configuration says, or by
//! a person's `finetuned remove`. The newest proven run of an inbox stays whatever the numbers are.

use crate::claim;
use crate::copy;
use crate::home::Home;
use crate::moves::{rename_new, sync_folder};
use crate::queue::{Job, JobId, Queue, State};
use crate::run_lock;
use anyhow::{Context, Result, bail};
use finetuned_job::run_folder;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Begins the names of run folders that are being removed.
pub(crate) const REMOVED: &str = ".removed-";

/// What may stay; absent: everything.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Retention {
    pub runs: Option<u64>,
    pub age: Option<Duration>,
    pub bytes: Option<u64>,
}

/// A job that is over, for the rules.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    pub id: JobId,
    pub inbox: Option<std::path::PathBuf>,
    pub proven: bool,
    pub ended_ms: u64,
    pub bytes: u64,
}

impl Retention {
    pub fn is_set(&self) -> bool {
        self.runs.is_some() || self.age.is_some() || self.bytes.is_some()
    }

    /// Which of them go, oldest first.
    pub fn surplus(&self, mut finished: Vec<Finished>, now_ms: u64) -> Vec<JobId> {
        finished.sort_by_key(|it| std::cmp::Reverse((it.ended_ms, it.id)));
        let mut inboxes = HashSet::new();
        let (mut runs, mut bytes, mut surplus) = (0, 0_u64, Vec::new());
        for it in finished {
            let is_newest = it.proven && inboxes.insert(it.inbox.clone());
            let age = Duration::from_millis(now_ms.saturating_sub(it.ended_ms));
            let is_too_much = self.runs.is_some_and(|most| most <= runs)
                || self.bytes.is_some_and(|most| most < bytes + it.bytes)
                || self.age.is_some_and(|most| most < age);
            if is_too_much && !is_newest {
                surplus.push(it.id);
            } else {
                runs += 1;
                bytes += it.bytes;
            }
        }
        surplus.reverse();
        surplus
    }
}

/// Every job that is over.
pub(crate) fn finished(queue: &Queue, home: &Home) -> Result<Vec<Finished>> {
    let describe = |job: Job| Finished {
        id: job.id,
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
        copy::remove(&claim::hidden_of(job))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn surplus(rules: Retention) -> Vec<u64> {
        let job = |id, inbox: &str, proven, ended_ms, bytes| Finished {
            id: JobId(id),
            inbox: Some(inbox.into()),
            proven,
            ended_ms,
            bytes,
        };
        let finished = vec![
            job(1, "/a", true, 10_000, 5),
            job(2, "/b", true, 20_000, 5),
            job(3, "/a", false, 30_000, 5),
            job(4, "/a", true, 40_000, 5),
            job(5, "/a", false, 50_000, 5),
        ];
        rules.surplus(finished, 100_000).iter().map(|it| it.0).collect()
    }

    #[test]
    fn the_oldest_go_and_the_newest_proven_of_an_inbox_stays() {
        let none = Retention::default();
        assert_eq!(surplus(none), [0; 0]);
        assert_eq!(surplus(Retention { runs: Some(2), ..none }), [1, 3]);
        assert_eq!(surplus(Retention { runs: Some(0), ..none }), [1, 3, 5]);
        assert_eq!(surplus(Retention { bytes: Some(11), ..none }), [1, 3]);
        let age = Some(Duration::from_secs(65));
        assert_eq!(surplus(Retention { age, ..none }), [1, 3]);
    }
}
