//! Decides, when a daemon starts, what becomes of jobs that its predecessor left in the middle of
//! something. Afterwards no job is claiming or running.

use crate::attempt::RunFacts;
use crate::claim::{self, Moved, drop_of};
use crate::home::Home;
use crate::observe::observe;
use crate::queue::{Interrupted, Job, Original, Queue, State, Verdict};
use crate::{ownership, rebuild, removal, run_lock};
use anyhow::{Context, Result};
use rustix::fs::Gid;
use std::path::Path;

pub(crate) fn recover(queue: &mut Queue, home: &Home, group: Option<Gid>) -> Result<()> {
    removal::finish_removals(queue, home).context("finishing removals")?;
    rebuild::rebuild(queue, home)?;
    finish_claims(queue, home)?;
    for job in left_behind(queue)?.iter().filter(|it| matches!(it.state, State::Running { .. })) {
        running(queue, home, group, job)?;
    }
    renames_undone(queue, home)
}

/// Before any scan sees the drop in its inbox and makes a second job of it.
fn renames_undone(queue: &Queue, home: &Home) -> Result<()> {
    for job in queue.all()?.iter().filter(|it| matches!(it.state, State::Queued { .. })) {
        // Where nobody knows whether it is there, it was not taken out.
        if job.original.is_some() || drop_of(home, job).try_exists().unwrap_or(true) {
            continue;
        }
        let _named = job.span().entered();
        match claim::take_again(home, job) {
            Ok(true) => tracing::warn!("job {}: its drop was taken again", job.id),
            Ok(false) => {}
            // One drop that can't be moved keeps no daemon from starting.
            Err(err) => tracing::warn!("job {}: {err:#}", job.id),
        }
    }
    Ok(())
}

/// Also after trouble while we live: a full disk can keep the second row of a claim from being
/// written.
pub(crate) fn finish_claims(queue: &mut Queue, home: &Home) -> Result<()> {
    for job in left_behind(queue)?.iter().filter(|it| it.state == State::Claiming) {
        claiming(queue, home, job)?;
    }
    Ok(())
}

fn left_behind(queue: &Queue) -> Result<Vec<Job>> {
    queue.left_behind().context("reading what was left unfinished")
}

/// What can't be looked at is not gone.
fn is_there(path: &Path) -> Result<bool> {
    path.try_exists().with_context(|| format!("looking for {}", path.display()))
}

/// The row was written; the drop is here, there, or gone.
fn claiming(queue: &mut Queue, home: &Home, job: &Job) -> Result<()> {
    let _named = job.span().entered();
    let moved = if is_there(&drop_of(home, job))? {
        tracing::info!("job {}: its drop had been taken, it is queued", job.id);
        Moved::Here
    } else if is_there(&claim::hidden_of(job))? {
        Moved::Hidden
    } else {
        match claim::take(home, job) {
            Ok(moved) => moved,
            // It lies in the inbox still: the scan will find it, and its reason not to be taken.
            Err(err) => {
                tracing::warn!("job {}: {err:#}", job.id);
                return queue.unclaim(&[job.id]);
            }
        }
    };
    if matches!(moved, Moved::Here | Moved::Hidden) {
        claim::flush(home, &[job])?;
    }
    match moved {
        Moved::Here => queue.claimed(&[job.id]),
        Moved::Hidden => queue.claimed_in_place(job.id, Original::Hidden),
        Moved::Left => queue.claimed_in_place(job.id, Original::Left),
        Moved::Vanished => {
            queue.vanished(job.id, "its drop was removed from the inbox before it could be taken")
        }
    }
}

/// Its worker was told of the daemon's end by the kernel, and stops or has stopped. If it still
/// lives it holds the run folder's lock, and the job waits in the queue for that.
fn running(queue: &mut Queue, home: &Home, group: Option<Gid>, job: &Job) -> Result<()> {
    let _named = job.span().entered();
    let run = home.runs().join(&job.run);
    let facts = ownership::facts(&run, job).unwrap_or_else(|err| {
        tracing::warn!("job {}: {err:#}", job.id);
        RunFacts::default()
    });
    let same = observe(&drop_of(home, job)).is_ok_and(|it| it.fingerprint == job.fingerprint);
    // Of a drop that has changed since, `start` makes the job anew.
    if facts.done && same {
        removal::tidy_up(home, group, job);
        return queue.over(job.id, &Verdict::Done);
    }
    if let Some(failure) = facts.failed.filter(|_| !run_lock::is_worked_on(&run)) {
        return queue.over(job.id, &Verdict::Failed(failure.to_string()));
    }
    tracing::info!("job {}: its daemon was gone, it goes on from its last checkpoint", job.id);
    queue.interrupted(job.id, &Interrupted::because("lost", "its daemon was gone"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{JobId, NewDrop, Phase, Wish};
    use crate::run_facts;
    use finetuned_job::outcome::{Failure, FailureKind};
    use std::fs;
    use std::path::PathBuf;

    struct Story {
        _root: tempfile::TempDir,
        home: Home,
        queue: Queue,
        source: PathBuf,
        id: JobId,
    }

    /// A daemon that died just after it had written the row.
    fn announced() -> Story {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path().join("home"));
        home.create().unwrap();
        let source = root.path().join("a.csv");
        fs::write(&source, "text,label\n").unwrap();
        let mut queue = Queue::open(&home.database()).unwrap();
        let fingerprint = observe(&source).unwrap().fingerprint;
        let id = queue
            .announce(&[NewDrop {
                name: "a.csv",
                source: &source,
                fingerprint,
                recipe: None,
                priority: 0,
                bytes: 0,
            }])
            .unwrap()[0]
            .id;
        Story { _root: root, home, queue, source, id }
    }

    /// A daemon that died while a worker worked.
    fn running() -> Story {
        let mut story = announced();
        story.recover();
        story.queue.claim(story.id, Phase::Train).unwrap();
        story
    }

    impl Story {
        fn recover(&mut self) -> State {
            recover(&mut self.queue, &self.home, None).unwrap();
            self.state()
        }

        fn state(&self) -> State {
            self.queue.job(self.id).unwrap().state
        }

        fn run(&self) -> PathBuf {
            self.home.runs().join(self.queue.job(self.id).unwrap().run)
        }
    }

    const QUEUED: State = State::Queued { waiting: None, not_before_ms: 0 };

    #[test]
    fn killed_between_row_and_rename() {
        let mut story = announced();
        assert_eq!(story.recover(), QUEUED);
        assert!(!story.source.exists());
        assert!(story.run().join("drop/a.csv").exists());
    }

    #[test]
    fn killed_between_rename_and_row() {
        let mut story = announced();
        let job = story.queue.job(story.id).unwrap();
        claim::take(&story.home, &job).unwrap();
        assert_eq!(story.recover(), QUEUED);
        assert!(story.run().join("drop/a.csv").exists());
    }

    #[test]
    fn killed_between_hiding_and_row() {
        let mut story = announced();
        let job = story.queue.job(story.id).unwrap();
        fs::rename(&story.source, claim::hidden_of(&job)).unwrap();
        assert_eq!(story.recover(), QUEUED);
        let job = story.queue.job(story.id).unwrap();
        assert_eq!((job.original, job.copied), (Some(Original::Hidden), false));
    }

    #[test]
    fn a_rename_that_a_power_cut_undid_is_made_again_before_any_scan() {
        let mut story = announced();
        story.recover();
        fs::rename(story.run().join("drop/a.csv"), &story.source).unwrap();
        assert_eq!(story.recover(), QUEUED);
        assert!(story.run().join("drop/a.csv").exists() && !story.source.exists());
    }

    #[test]
    fn a_new_drop_under_the_old_name_is_not_taken_for_the_original() {
        let mut story = announced();
        let job = story.queue.job(story.id).unwrap();
        claim::take(&story.home, &job).unwrap();
        fs::write(&story.source, "another one").unwrap();
        assert_eq!(story.recover(), QUEUED);
        assert!(story.source.exists());
    }

    #[test]
    fn its_owner_took_the_drop_back_meanwhile() {
        let mut story = announced();
        fs::remove_file(&story.source).unwrap();
        assert!(
            matches!(story.recover(), State::Cancelled(why) if why.contains("removed from the inbox"))
        );
    }

    #[test]
    fn a_running_job_is_queued_again_without_blame() {
        let mut story = running();
        assert_eq!(story.recover(), QUEUED);
        assert_eq!(story.queue.job(story.id).unwrap().crashes, 0);
    }

    #[test]
    fn what_a_worker_finished_unseen_counts() {
        let mut story = running();
        fs::write(story.run().join("done.json"), "{}").unwrap();
        fs::create_dir(story.run().join("checkpoints")).unwrap();
        assert_eq!(story.recover(), State::Done);
        assert!(!story.run().join("checkpoints").exists());

        let mut story = running();
        run_facts::write_failed(
            &story.run(),
            1,
            "a.csv",
            1,
            &Failure::new(FailureKind::Data, "one class only"),
        )
        .unwrap();
        assert_eq!(story.recover(), State::Failed("one class only".into()));
    }

    #[test]
    fn a_wish_survives_the_daemon() {
        let mut story = running();
        story.queue.wish(story.id, Wish::Pause).unwrap();
        assert_eq!(story.recover(), State::Paused);
    }
}
