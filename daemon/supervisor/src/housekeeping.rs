//! What a daemon does now and then beside its work: a backup of the database each day, and the runs
//! that the configuration's retention leaves no room for. `finetuned gc` does the second by hand.

use crate::home::Home;
use crate::moves::rename_new;
use crate::queue::{Job, JobId, Queue, State, now_ms};
use crate::removal;
use crate::retention::Retention;
use crate::words;
use anyhow::{Context, Result};
use std::fs;
use std::io;
use std::path::PathBuf;

const DAY_MS: u64 = 86_400_000;
/// Backups that stay, one of a day.
const BACKUPS: usize = 7;

/// What can go.
pub(crate) struct Garbage {
    pub job: Job,
    pub what: &'static str,
    pub bytes: u64,
}

pub(crate) fn keep_house(home: &Home, rules: Retention) -> Result<()> {
    let mut queue = Queue::open(&home.database())?;
    back_up(&queue, home)?;
    if rules.is_set() {
        for it in garbage(&queue, home, rules)? {
            collect(&mut queue, home, &it)?;
            tracing::info!("job {}: removed {}, {}", it.job.id, it.what, words::bytes(it.bytes));
        }
    }
    Ok(())
}

/// Checkpoints of proven runs, and runs beyond the rules.
pub(crate) fn garbage(queue: &Queue, home: &Home, rules: Retention) -> Result<Vec<Garbage>> {
    let finished = removal::finished(queue, home)?;
    let surplus = rules.surplus(finished.clone(), now_ms());
    let mut garbage = Vec::new();
    for it in &finished {
        let job = queue.job(JobId(it.job))?;
        let checkpoints = removal::checkpoints(&home.runs().join(&job.run));
        if surplus.contains(&it.job) && !removal::is_left(&job) {
            garbage.push(Garbage { job, what: "the run", bytes: it.bytes });
        } else if job.state == State::Done && 0 < checkpoints {
            garbage.push(Garbage { job, what: "the checkpoints", bytes: checkpoints });
        }
    }
    Ok(garbage)
}

pub(crate) fn collect(queue: &mut Queue, home: &Home, it: &Garbage) -> Result<()> {
    match it.what {
        "the run" => removal::remove(queue, home, &it.job),
        _ => {
            let run = home.runs().join(&it.job.run);
            removal::remove_checkpoints(&run).with_context(|| format!("in {}", run.display()))
        }
    }
}

/// One file a day, named after it.
fn back_up(queue: &Queue, home: &Home) -> Result<()> {
    let folder = home.backups();
    match fs::create_dir(&folder) {
        Err(err) if err.kind() != io::ErrorKind::AlreadyExists => {
            return Err(err).with_context(|| format!("making {}", folder.display()));
        }
        _ => {}
    }
    let day = words::moment(now_ms() / DAY_MS * DAY_MS);
    let file = folder.join(format!("finetuned-{}.db", day.split(' ').next().unwrap_or_default()));
    if file.exists() {
        return Ok(());
    }
    let partial = folder.join(".partial.db");
    let write = || -> Result<()> {
        let _ = fs::remove_file(&partial);
        queue.back_up(&partial)?;
        fs::File::open(&partial)?.sync_all()?;
        Ok(rename_new(&partial, &file)?)
    };
    write().with_context(|| format!("backing the database up as {}", file.display()))?;
    let mut all: Vec<PathBuf> =
        fs::read_dir(&folder)?.flatten().map(|it| it.path()).filter(|it| *it != partial).collect();
    all.sort();
    for old in all.iter().rev().skip(BACKUPS) {
        fs::remove_file(old).with_context(|| format!("removing {}", old.display()))?;
    }
    Ok(())
}
