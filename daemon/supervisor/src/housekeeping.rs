//! What a daemon does now and then beside its work: a backup of the database each day, and the runs
//! that the configuration's retention leaves no room for. `finetuned gc` does the second by hand.

use crate::home::Home;
use crate::queue::{Job, Queue, State, now_ms};
use crate::removal;
use crate::retention::{Finished, Retention};
use crate::words;
use anyhow::{Context, Result};
use finetuned_files::rename_new;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

const DAY_MS: u64 = 86_400_000;
/// Backups that stay, one of a day.
const BACKUPS: usize = 7;

/// What can go.
pub(crate) struct Garbage {
    pub job: Job,
    pub what: What,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Run,
    Checkpoints,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Run => "the run",
            What::Checkpoints => "the checkpoints",
        })
    }
}

/// What can't be done keeps nothing else from being done: on a full disk no backup is possible
/// before something has gone.
pub(crate) fn keep_house(home: &Home, rules: Retention) -> Result<()> {
    let mut queue = Queue::open(&home.database())?;
    let backed_up = back_up(&queue, home);
    for it in garbage(&queue, home, rules)? {
        let (id, what) = (it.job.id, it.what);
        let _named = it.job.span().entered();
        match collect(&mut queue, home, &it) {
            Ok(()) => tracing::info!("job {id}: removed {what}, {}", words::bytes(it.bytes)),
            Err(err) => tracing::warn!("job {id}: {what} can't be removed: {err:#}"),
        }
    }
    backed_up
}

/// Checkpoints of proven runs, and runs beyond the rules.
pub(crate) fn garbage(queue: &Queue, home: &Home, rules: Retention) -> Result<Vec<Garbage>> {
    let jobs = removal::finished(queue)?;
    let finished: Vec<Finished> = jobs
        .iter()
        .map(|job| Finished {
            job: job.id.0,
            inbox: job.source.parent().map(Path::to_path_buf),
            proven: job.state == State::Done,
            ended_ms: job.changed_ms,
            // A walk through the whole folder.
            bytes: if rules.is_set() { removal::size(home, job) } else { 0 },
        })
        .collect();
    let surplus = rules.surplus(finished.clone(), now_ms());
    let mut garbage = Vec::new();
    for (job, it) in jobs.into_iter().zip(finished) {
        let checkpoints = if it.proven { removal::checkpoints(home, &job) } else { 0 };
        if surplus.contains(&it.job) && !removal::is_left(&job) {
            garbage.push(Garbage { job, what: What::Run, bytes: it.bytes });
        } else if 0 < checkpoints {
            garbage.push(Garbage { job, what: What::Checkpoints, bytes: checkpoints });
        }
    }
    Ok(garbage)
}

pub(crate) fn collect(queue: &mut Queue, home: &Home, it: &Garbage) -> Result<()> {
    match it.what {
        What::Run => removal::remove(queue, home, &it.job),
        What::Checkpoints => {
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
    let is_ours = |it: &String| it.starts_with("finetuned-") && it.ends_with(".db");
    let names = fs::read_dir(&folder)?.flatten().map(|it| it.file_name().into_string());
    let mut ours: Vec<String> = names.flatten().filter(is_ours).collect();
    ours.sort();
    for old in ours.iter().rev().skip(BACKUPS) {
        let old = folder.join(old);
        fs::remove_file(&old).with_context(|| format!("removing {}", old.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership;
    use crate::queue::{NewDrop, Verdict};
    use crate::settle::Fingerprint;
    use crate::story::Story;
    use finetuned_job::run_folder;
    use std::path::PathBuf;

    impl Story {
        /// Over, with a checkpoint left; its run folder.
        fn over(&mut self, verdict: &Verdict) -> PathBuf {
            let source = Path::new("/in/a.csv");
            let drop = NewDrop {
                name: "a.csv",
                source,
                fingerprint: Fingerprint(1),
                recipe: None,
                priority: 0,
                bytes: 0,
            };
            let job = self.queue.announce(&[drop]).unwrap().remove(0);
            ownership::make(&self.home.runs(), &job).unwrap();
            self.queue.claimed(&[job.id]).unwrap();
            self.queue.over(job.id, verdict).unwrap();
            let run = self.home.runs().join(&job.run);
            fs::create_dir(run.join(run_folder::CHECKPOINTS)).unwrap();
            fs::write(run.join(run_folder::CHECKPOINTS).join("step-1"), "weights").unwrap();
            run
        }
    }

    #[test]
    fn checkpoints_of_proven_runs_go_without_any_rule() {
        let mut story = Story::new();
        let (proven, failed) =
            (story.over(&Verdict::Done), story.over(&Verdict::Failed("one class only".into())));
        let another = story.over(&Verdict::Done);
        let foreign = story.queue.all().unwrap().pop().unwrap();
        ownership::write(&another, &Job { uuid: Some("another".into()), ..foreign }).unwrap();
        keep_house(&story.home, Retention::default()).unwrap();
        let has_checkpoints = |run: &PathBuf| run.join(run_folder::CHECKPOINTS).exists();
        assert_eq!([&proven, &failed, &another].map(has_checkpoints), [false, true, true]);
    }

    #[test]
    fn neither_a_backup_nor_a_run_that_fails_keeps_the_rest_from_going() {
        let mut story = Story::new();
        let failed = Verdict::Failed("one class only".into());
        let (stuck, free) = (story.over(&failed), story.over(&failed));
        // Its name on the way out is taken.
        let name = stuck.file_name().unwrap().to_str().unwrap();
        fs::create_dir(ownership::removed(stuck.parent().unwrap(), name)).unwrap();
        fs::write(story.home.backups(), "no folder").unwrap();
        let rules = Retention { runs: Some(0), ..Retention::default() };
        assert!(keep_house(&story.home, rules).is_err());
        assert!(stuck.exists() && !free.exists());
    }

    #[test]
    fn only_backups_of_our_own_are_rotated() {
        let story = Story::new();
        let folder = story.home.backups();
        fs::create_dir(&folder).unwrap();
        let ours: Vec<String> = (1..=9).map(|it| format!("finetuned-2020-01-0{it}.db")).collect();
        let others = ["before-the-move.db", "notes.txt"];
        for name in ours.iter().map(String::as_str).chain(others) {
            fs::write(folder.join(name), "").unwrap();
        }
        keep_house(&story.home, Retention::default()).unwrap();
        let mut left: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left.len(), 7 + others.len());
        assert!(others.iter().all(|it| left.contains(&(*it).to_string())));
        assert!(!left.contains(&ours[2]) && left.contains(&ours[3]));
    }
}
