//! Decides, when a daemon starts, what becomes of run folders that the database does not know: it
//! was moved away, lost, or restored from before they were made. Each gets its row again, and no
//! number that a folder has is given to a new job.

use crate::claim;
use crate::home::Home;
use crate::observe::observe;
use crate::ownership::{self, UNDER_CONSTRUCTION};
use crate::queue::{Original, Orphan, Queue, Verdict, now_ms};
use crate::run_facts;
use crate::settle::Fingerprint;
use anyhow::{Context, Result};
use finetuned_job::run_folder;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Nothing is under construction: the home is locked, and no claim has begun.
pub(crate) fn rebuild(queue: &mut Queue, home: &Home) -> Result<()> {
    let runs = home.runs();
    let rows = queue.all()?;
    let known: HashSet<&str> = rows.iter().map(|it| &*it.run).collect();
    let mut uuids: HashSet<String> = rows.iter().filter_map(|it| it.uuid.clone()).collect();
    let mut orphans = Vec::new();
    let mut highest = 0;
    let listing = fs::read_dir(&runs).with_context(|| format!("listing {}", runs.display()))?;
    for entry in listing {
        let entry = entry.with_context(|| format!("listing {}", runs.display()))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with(UNDER_CONSTRUCTION) {
            fs::remove_dir_all(entry.path())
                .unwrap_or_else(|err| tracing::warn!("removing {}: {err}", entry.path().display()));
        }
        let Some(number) = number_of(&name) else { continue };
        highest = highest.max(number);
        if !known.contains(&*name) {
            orphans.extend(describe(&entry.path(), name, number));
        }
    }
    orphans.sort_by_key(|it| it.number);
    // One whose own number is taken gets none of another folder.
    queue.number_above(highest)?;
    for orphan in orphans {
        if orphan.uuid.clone().is_some_and(|it| !uuids.insert(it)) {
            tracing::warn!("{} is a copy of another run folder and no job's", orphan.run);
            continue;
        }
        let job = queue.adopt(&orphan).with_context(|| format!("a row for {}", orphan.run))?;
        let _named = job.span().entered();
        tracing::warn!(
            "job {}: {} was not in the database; it is {} again",
            job.id,
            job.run,
            job.state.name()
        );
    }
    Ok(())
}

/// `0007-tweets` has 7; `run-tweets` is no job's.
fn number_of(folder: &str) -> Option<u64> {
    folder.split_once('-')?.0.parse().ok()
}

/// `None`: there is nothing in it that a job could be made of.
fn describe(run: &Path, name: String, number: u64) -> Option<Orphan> {
    let facts = run_facts::read(run);
    let verdict = match (facts.done, facts.failed) {
        (true, _) => Some(Verdict::Done),
        (false, Some(failure)) => Some(Verdict::Failed(failure.to_string())),
        (false, None) => None,
    };
    if let Ok(it) = ownership::read(run) {
        let fingerprint = ownership::fingerprint(&it)?;
        let is_hidden = claim::is_hidden(&claim::hidden_at(Path::new(&it.source), &name, &it.uuid));
        let drop = run.join(run_folder::DROP).join(&it.name);
        if !is_hidden && ownership::is_unused(run) {
            // Of a claim that came to nothing: what was to be taken lies in the inbox.
            ownership::remove_new(run);
            return None;
        }
        // It could not be moved away, and is no new drop.
        let is_left = !is_hidden
            && drop.exists()
            && observe(Path::new(&it.source)).is_ok_and(|it| it.fingerprint == fingerprint);
        return Some(Orphan {
            number,
            uuid: Some(it.uuid),
            run: name,
            name: it.name,
            source: it.source,
            fingerprint,
            recipe: it.recipe,
            created_ms: it.created_ms,
            original: match (is_hidden, is_left) {
                (true, _) => Some(Original::Hidden),
                (false, true) => Some(Original::Left),
                (false, false) => None,
            },
            copied: !is_hidden || drop.exists(),
            verdict,
        });
    }
    // Of 0.1.0.
    let drop = fs::read_dir(run.join(run_folder::DROP)).ok()?.next()?.ok()?;
    // Read loosely: the spec is of an earlier version.
    let spec: serde_json::Value = run_facts::json(&run.join(run_folder::SPEC)).unwrap_or_default();
    Some(Orphan {
        number,
        uuid: None,
        run: name,
        name: drop.file_name().into_string().ok()?,
        source: drop.path().to_string_lossy().into_owned(),
        fingerprint: observe(&drop.path()).map_or(Fingerprint(0), |it| it.fingerprint),
        recipe: serde_json::from_value(spec["recipe"].clone()).ok(),
        created_ms: now_ms(),
        original: None,
        copied: true,
        verdict,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Job, NewDrop};

    struct Story {
        root: tempfile::TempDir,
        home: Home,
    }

    impl Story {
        fn new() -> Story {
            let root = tempfile::tempdir().unwrap();
            let home = Home::new(root.path().join("home"));
            home.create().unwrap();
            Story { root, home }
        }

        /// Claimed; its drop lies in the inbox still.
        fn claimed(&self, queue: &mut Queue, name: &str) -> Job {
            let source = self.root.path().join(name);
            fs::write(&source, "text,label\n").unwrap();
            let fingerprint = observe(&source).unwrap().fingerprint;
            let drop =
                NewDrop { name, source: &source, fingerprint, recipe: None, priority: 0, bytes: 0 };
            let job = queue.announce(&[drop]).unwrap().remove(0);
            ownership::make(&self.home.runs(), &job).unwrap();
            job
        }

        /// What the home's database says after it was lost.
        fn rebuilt(&self, before: Queue) -> Queue {
            drop(before);
            fs::remove_file(self.home.database()).unwrap();
            let mut queue = Queue::open(&self.home.database()).unwrap();
            rebuild(&mut queue, &self.home).unwrap();
            queue
        }
    }

    #[test]
    fn originals_are_found_again() {
        let story = Story::new();
        let mut queue = Queue::open(&story.home.database()).unwrap();
        let jobs = ["moved.csv", "copied.csv", "uncopied.csv", "leaving.csv", "left.csv"]
            .map(|it| story.claimed(&mut queue, it));
        let [moved, copied, uncopied, leaving, left] = &jobs;
        let drop_of = |job: &Job| claim::drop_of(&story.home, job);
        fs::rename(&moved.source, drop_of(moved)).unwrap();
        for job in [copied, leaving, left] {
            fs::copy(&job.source, drop_of(job)).unwrap();
        }
        for job in [copied, uncopied] {
            fs::rename(&job.source, claim::hidden_of(job)).unwrap();
        }
        let name = format!("{}-removed", claim::hidden_of(leaving).display());
        fs::rename(&leaving.source, name).unwrap();
        let queue = story.rebuilt(queue);
        let found = jobs.each_ref().map(|it| {
            let it = queue.job(it.id).unwrap();
            (it.original, it.copied)
        });
        let (hidden, left_there) = (Some(Original::Hidden), Some(Original::Left));
        let expected =
            [(None, true), (hidden, true), (hidden, false), (hidden, true), (left_there, true)];
        assert_eq!(found, expected);
        assert_eq!(queue.left_at(&left.source, left.fingerprint).unwrap(), Some(left.id));
    }

    /// Else its row, and that of the drop which is taken again, would be two jobs of one drop.
    #[test]
    fn what_a_claim_left_that_came_to_nothing_is_no_job() {
        let story = Story::new();
        let mut queue = Queue::open(&story.home.database()).unwrap();
        let [unused, worked_on] = ["a.csv", "b.csv"].map(|it| story.claimed(&mut queue, it));
        fs::write(story.home.runs().join(&worked_on.run).join("worker.log"), "").unwrap();
        let queue = story.rebuilt(queue);
        assert!(!story.home.runs().join(&unused.run).exists());
        assert_eq!(queue.all().unwrap().iter().map(|it| it.id).collect::<Vec<_>>(), [worked_on.id]);
    }

    #[test]
    fn no_folder_loses_its_number_to_another() {
        let story = Story::new();
        let elsewhere = Story::new();
        let mut lost = Queue::open(&elsewhere.home.database()).unwrap();
        let jobs = ["a.csv", "b.csv"].map(|it| story.claimed(&mut lost, it));
        for job in &jobs {
            fs::rename(&job.source, claim::drop_of(&story.home, job)).unwrap();
        }
        let mut queue = Queue::open(&story.home.database()).unwrap();
        story.claimed(&mut queue, "z.csv");
        rebuild(&mut queue, &story.home).unwrap();
        let ids = jobs.map(|job| {
            let is_it = |it: &&Job| it.uuid == job.uuid;
            queue.all().unwrap().iter().find(is_it).unwrap().id.0
        });
        assert_eq!(ids, [3, 2]);
    }

    #[test]
    fn only_folders_of_jobs_have_numbers() {
        assert_eq!(
            ["0007-tweets", "12345-x", "run-tweets", "0007", ".new-7"].map(number_of),
            [Some(7), Some(12345), None, None, None]
        );
    }
}
