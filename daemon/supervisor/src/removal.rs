//! Removes jobs that are over, row and run folder, and what proven runs need no more. Which of
//! them is decided in `retention`, or by a person.

use crate::access;
use crate::claim;
use crate::copy;
use crate::home::Home;
use crate::observe::observe;
use crate::ownership;
use crate::queue::{Job, Original, Queue};
use crate::run_lock;
use anyhow::{Context, Result, bail};
use finetuned_files::{rename_new, sync_folder};
use finetuned_job::run_folder;
use rustix::fs::Gid;
use std::fs;
use std::io;
use std::path::Path;

/// What a proven run needs no more, in its folder.
const SPENT: [&str; 2] = [run_folder::CHECKPOINTS, run_folder::STAGING];

/// Every job that is over.
pub(crate) fn finished(queue: &Queue) -> Result<Vec<Job>> {
    Ok(queue.all()?.into_iter().filter(|it| it.state.is_over()).collect())
}

/// Whether its drop lies in the inbox as it was, and is no new one only because the job is known.
pub(crate) fn is_left(job: &Job) -> bool {
    job.original == Some(Original::Left)
        && observe(&job.source).is_ok_and(|it| it.fingerprint == job.fingerprint)
}

/// The bytes of its run folder; a folder of another job is none of its.
pub(crate) fn size(home: &Home, job: &Job) -> u64 {
    let run = home.runs().join(&job.run);
    if ownership::is_of(&run, job) { copy::size(&run).unwrap_or(0) } else { 0 }
}

/// Row, run folder and what waits hidden in the inbox. The folder's name changes first: after a
/// crash the rest is done by [`finish_removals`]. A folder of another job stays.
///
/// # Errors
/// The job is not over, a worker is still at work in its folder, or its drop was left in the inbox.
pub(crate) fn remove(queue: &mut Queue, home: &Home, job: &Job) -> Result<()> {
    if !job.state.is_over() {
        bail!("job {} is {}: `finetuned cancel {}` first", job.id, job.state.name(), job.id);
    }
    if is_left(job) {
        bail!(
            "{} still lies in the inbox and would be taken again: remove it first",
            job.source.display()
        );
    }
    let run = home.runs().join(&job.run);
    let removed = ownership::removed(&home.runs(), &job.run);
    if ownership::owns(&run, job)? {
        if run_lock::is_worked_on(&run) {
            bail!("a worker is still at work in {}: try again in a moment", run.display());
        }
        rename_new(&run, &removed).with_context(|| format!("removing {}", run.display()))?;
        sync_folder(&home.runs())?;
    }
    if let Err(err) = queue.forget(job.id) {
        // It is queued again, say.
        let _ = rename_new(&removed, &run);
        return Err(err).with_context(|| format!("forgetting job {}", job.id));
    }
    let discarded = claim::discard(&claim::hidden_of(job));
    copy::remove(&removed).with_context(|| format!("removing {}", removed.display()))?;
    discarded
}

/// Those that a crash left half-way; nobody else removes meanwhile. A job that is not over, as its
/// owner wants it again, gets its folder back.
pub(crate) fn finish_removals(queue: &mut Queue, home: &Home) -> Result<()> {
    for entry in fs::read_dir(home.runs())?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(run) = name.strip_prefix(ownership::REMOVED) else { continue };
        let folder = entry.path();
        let owner = match owner_of(queue, &folder, run) {
            Ok(owner) => owner,
            // It must not pass for a folder that nobody wants; the next start looks again.
            Err(err) => {
                tracing::warn!("{err:#}");
                continue;
            }
        };
        match owner {
            Some(job) if job.state.is_over() => queue.forget(job.id)?,
            Some(_) => {
                let back = home.runs().join(run);
                rename_new(&folder, &back)
                    .with_context(|| format!("giving {} its name back", folder.display()))?;
                continue;
            }
            None => {}
        }
        if let Ok(it) = ownership::read(&folder) {
            claim::discard(&claim::hidden_at(Path::new(&it.source), run, &it.uuid))
                .unwrap_or_else(|err| tracing::warn!("{}: {err:#}", it.name));
        }
        copy::remove(&folder)
            .unwrap_or_else(|err| tracing::warn!("removing {}: {err}", folder.display()));
    }
    Ok(())
}

fn owner_of(queue: &Queue, folder: &Path, run: &str) -> Result<Option<Job>> {
    for job in queue.all()?.into_iter().filter(|it| it.run == run) {
        if ownership::owns(folder, &job)? {
            return Ok(Some(job));
        }
    }
    Ok(None)
}

/// What that is, in bytes; a folder of another job is none of its.
pub(crate) fn checkpoints(home: &Home, job: &Job) -> u64 {
    let run = home.runs().join(&job.run);
    let bytes = SPENT.iter().map(|it| copy::size(&run.join(it)).unwrap_or(0)).sum();
    if ownership::is_of(&run, job) { bytes } else { 0 }
}

/// What follows a proof. What fails here is tried again by housekeeping, or keeps nobody from the
/// model.
pub(crate) fn tidy_up(home: &Home, group: Option<Gid>, job: &Job) {
    let run = home.runs().join(&job.run);
    tracing::info!("job {}: done, {}", job.id, run.join(run_folder::MODEL).display());
    let shared = group.map_or(Ok(()), |it| access::share_results(&run, it));
    remove_checkpoints(&run)
        .and(shared)
        .unwrap_or_else(|err| tracing::warn!("job {}: {err}", job.id));
}

pub(crate) fn remove_checkpoints(run: &Path) -> io::Result<()> {
    SPENT.iter().try_for_each(|it| copy::remove(&run.join(it)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::housekeeping;
    use crate::queue::{NewDrop, Verdict, Wish};
    use crate::retention::Retention;
    use crate::story::Story;
    use std::path::PathBuf;

    impl Story {
        /// A job that has failed; its drop was left where it lies.
        fn failed(&mut self, name: &str) -> Job {
            let source = self.root.path().join(name);
            fs::write(&source, "text,label\n").unwrap();
            let fingerprint = observe(&source).unwrap().fingerprint;
            let drop =
                NewDrop { name, source: &source, fingerprint, recipe: None, priority: 0, bytes: 0 };
            let job = self.queue.announce(&[drop]).unwrap().remove(0);
            ownership::make(&self.home.runs(), &job).unwrap();
            self.queue.claimed_in_place(job.id, Original::Left).unwrap();
            self.queue.copied(job.id).unwrap();
            self.queue.over(job.id, &Verdict::Failed("one class only".into())).unwrap();
            self.queue.job(job.id).unwrap()
        }

        fn remove(&mut self, job: &Job) -> Result<()> {
            remove(&mut self.queue, &self.home, job)
        }

        fn removed(&self, job: &Job) -> PathBuf {
            ownership::removed(&self.home.runs(), &job.run)
        }

        fn is_known(&self, job: &Job) -> bool {
            self.queue.job(job.id).is_ok()
        }
    }

    #[test]
    fn a_folder_of_another_job_stays() {
        let mut story = Story::new();
        let job = story.failed("a.csv");
        fs::remove_file(&job.source).unwrap();
        let run = story.home.runs().join(&job.run);
        ownership::write(&run, &Job { uuid: Some("another".into()), ..job.clone() }).unwrap();
        assert_eq!(size(&story.home, &job), 0);
        story.remove(&job).unwrap();
        assert!(run.join(run_folder::JOB).exists() && !story.is_known(&job));

        let job = story.failed("b.csv");
        fs::remove_file(&job.source).unwrap();
        let run = story.home.runs().join(&job.run);
        assert!(0 < size(&story.home, &job));
        story.remove(&job).unwrap();
        assert!(!run.exists() && !story.is_known(&job));
    }

    #[test]
    fn a_job_is_known_as_long_as_its_drop_lies_in_the_inbox() {
        let mut story = Story::new();
        let job = story.failed("a.csv");
        let why = story.remove(&job).unwrap_err().to_string();
        assert!(
            why.ends_with(
                "a.csv still lies in the inbox and would be taken again: remove it first"
            )
        );
        let rules = Retention { runs: Some(0), ..Retention::default() };
        let garbage =
            |story: &Story| housekeeping::garbage(&story.queue, &story.home, rules).unwrap().len();
        assert!(garbage(&story) == 0 && story.is_known(&job));
        // Another data set under its name is another job's.
        fs::write(&job.source, "text,label\na,b\n").unwrap();
        assert_eq!(garbage(&story), 1);
        story.remove(&job).unwrap();
        assert!(!story.is_known(&job) && job.source.exists());
    }

    #[test]
    fn a_removal_that_was_cut_short_is_finished() {
        let mut story = Story::new();
        let jobs = ["a.csv", "b.csv", "c.csv"].map(|it| story.failed(it));
        let [over, forgotten, other] = &jobs;
        for job in [over, forgotten] {
            fs::rename(&job.source, claim::hidden_of(job)).unwrap();
        }
        let run = story.home.runs().join(&other.run);
        ownership::write(&run, &Job { uuid: Some("another".into()), ..other.clone() }).unwrap();
        for job in &jobs {
            fs::rename(story.home.runs().join(&job.run), story.removed(job)).unwrap();
        }
        story.queue.forget(forgotten.id).unwrap();
        finish_removals(&mut story.queue, &story.home).unwrap();
        assert!(!story.is_known(over) && story.is_known(other));
        assert!(!claim::is_hidden(&claim::hidden_of(over)));
        assert!(!claim::is_hidden(&claim::hidden_of(forgotten)));
        assert_eq!(fs::read_dir(story.home.runs()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_can_not_be_read_is_not_removed() {
        let mut story = Story::new();
        let job = story.failed("a.csv");
        fs::remove_file(&job.source).unwrap();
        let run = story.home.runs().join(&job.run);
        // Reading a folder as a file fails whoever asks, root too.
        fs::remove_file(run.join(run_folder::JOB)).unwrap();
        fs::create_dir(run.join(run_folder::JOB)).unwrap();
        story.remove(&job).unwrap_err();
        assert!(run.exists() && story.is_known(&job));
        fs::rename(&run, story.removed(&job)).unwrap();
        finish_removals(&mut story.queue, &story.home).unwrap();
        assert!(story.removed(&job).exists() && story.is_known(&job));
    }

    #[test]
    fn a_job_that_was_wanted_again_gets_its_folder_back() {
        let mut story = Story::new();
        let job = story.failed("a.csv");
        let run = story.home.runs().join(&job.run);
        fs::rename(&run, story.removed(&job)).unwrap();
        story.queue.wish(job.id, Wish::Retry).unwrap();
        finish_removals(&mut story.queue, &story.home).unwrap();
        assert!(run.exists() && story.is_known(&job));
    }
}
