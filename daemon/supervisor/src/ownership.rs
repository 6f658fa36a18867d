//! Whose a run folder is: makes it for a job, and says whether what lies in it counts for one.
//! `job.json` is the proof, for numbers may be given again when a database was lost.

use crate::attempt::RunFacts;
use crate::copy;
use crate::queue::Job;
use crate::run_facts;
use crate::settle::Fingerprint;
use anyhow::{Context, Result, bail};
use finetuned_files::{rename_new, sync_folder};
use finetuned_job::identity::{IDENTITY_VERSION, Identity};
use finetuned_job::run_folder;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Begins the names of run folders under construction; none of them means anything after a crash.
pub(crate) const UNDER_CONSTRUCTION: &str = ".new-";

/// Begins the names of run folders that are being removed.
pub(crate) const REMOVED: &str = ".removed-";

/// The job's run folder, with its identity and a place for its drop; it appears whole.
///
/// # Errors
/// Another job has a folder of that name.
pub(crate) fn make(runs: &Path, job: &Job) -> Result<()> {
    let run = runs.join(&job.run);
    if owns(&run, job)? {
        return Ok(());
    }
    let making = under_construction(runs, job);
    let make = || -> Result<()> {
        match fs::remove_dir_all(&making) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err.into()),
            _ => {}
        }
        fs::create_dir(&making)?;
        fs::create_dir(making.join(run_folder::DROP))?;
        write(&making, job)
    };
    let name = || match rename_new(&making, &run) {
        // Nobody has seen it yet.
        Ok(()) => sync_folder(runs)
            .inspect_err(|_| drop(rename_new(&run, &making)))
            .with_context(|| format!("flushing {}", runs.display())),
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} is another job's", run.display())
        }
        Err(err) => Err(err).with_context(|| format!("making {}", run.display())),
    };
    make()
        .with_context(|| format!("making {}", making.display()))
        .and_then(|()| name())
        .inspect_err(|_| remove_new(&making))
}

/// Removes what is left of a claim that came to nothing, where nothing else lies in it.
pub(crate) fn unmake(run: &Path, job: &Job) {
    if is_of(run, job) && is_unused(run) {
        let gone = under_construction(run.parent().unwrap_or(run), job);
        // Half of it, after a crash, is no job's.
        if rename_new(run, &gone).is_ok() {
            remove_new(&gone);
        }
    }
}

/// Whether no drop ever came whole into the folder, and no worker.
pub(crate) fn is_unused(run: &Path) -> bool {
    let holds_only = |folder: &Path, names: &[&str]| {
        fs::read_dir(folder).is_ok_and(|mut it| {
            it.all(|it| it.is_ok_and(|it| names.iter().any(|name| it.file_name() == *name)))
        })
    };
    holds_only(&run.join(run_folder::DROP), &[copy::PARTIAL])
        && holds_only(run, &[run_folder::DROP, run_folder::JOB])
}

/// Without opening anything, for want of descriptors may be why. What stays goes when a daemon
/// starts.
pub(crate) fn remove_new(folder: &Path) {
    let drop = folder.join(run_folder::DROP);
    let _ = fs::remove_file(folder.join(run_folder::JOB));
    let _ = copy::remove(&drop.join(copy::PARTIAL));
    let _ = fs::remove_dir(drop);
    let _ = fs::remove_dir(folder);
}

/// What a run folder is called while it is being removed.
pub(crate) fn removed(runs: &Path, run: &str) -> PathBuf {
    runs.join(format!("{REMOVED}{run}"))
}

fn under_construction(runs: &Path, job: &Job) -> PathBuf {
    runs.join(format!("{UNDER_CONSTRUCTION}{}", job.uuid.as_deref().unwrap_or(&job.run)))
}

/// Whether the folder was made for this job.
pub(crate) fn is_of(run: &Path, job: &Job) -> bool {
    owns(run, job).unwrap_or(false)
}

/// The same where a wrong answer would do harm.
///
/// # Errors
/// Nobody can tell now: for want of descriptors, say, the folder can't be read.
pub(crate) fn owns(run: &Path, job: &Job) -> Result<bool> {
    is_of_which(run, job, |_| true)
}

/// Whether what lies in the folder was computed for this job and its drop as it is now.
fn counts(run: &Path, job: &Job) -> Result<bool> {
    is_of_which(run, job, |it| it.fingerprint == hex(job.fingerprint))
}

/// Folders of 0.1.0 have no `job.json`, and nothing more is known of them.
fn is_of_which(run: &Path, job: &Job, is_so: impl Fn(&Identity) -> bool) -> Result<bool> {
    let is_unreadable = |err: &anyhow::Error| {
        let kind = err.downcast_ref::<io::Error>().map(io::Error::kind);
        kind.is_some_and(|it| {
            ![io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&it)
        })
    };
    match (&job.uuid, read(run)) {
        (_, Err(err)) if is_unreadable(&err) => Err(err),
        (Some(uuid), Ok(found)) => Ok(found.uuid == *uuid && is_so(&found)),
        (None, Err(_)) => Ok(run.is_dir() && !run.join(run_folder::JOB).exists()),
        _ => Ok(false),
    }
}

/// What lies in the folder, as far as it counts for the job.
///
/// # Errors
/// Nobody can tell now. What can't be read is not absent: a proven job must not fail for it.
pub(crate) fn facts(run: &Path, job: &Job) -> Result<RunFacts> {
    let counts = counts(run, job)?;
    let facts = run_facts::read(run);
    let is_there = |name: &str| {
        let path = run.join(name);
        path.try_exists().with_context(|| format!("looking for {}", path.display()))
    };
    let trained = counts && is_there(run_folder::TRAINED)?;
    let done = counts && is_there(run_folder::DONE)?;
    Ok(RunFacts { trained, done, ..facts })
}

pub(crate) fn read(run: &Path) -> Result<Identity> {
    run_facts::json(&run.join(run_folder::JOB))
}

/// Says what the drop looks like that the folder is about from now on.
pub(crate) fn write(run: &Path, job: &Job) -> Result<()> {
    let Some(uuid) = job.uuid.clone() else { return Ok(()) };
    let identity = Identity {
        version: IDENTITY_VERSION,
        job: job.id.0,
        uuid,
        name: job.name.clone(),
        source: job.source.to_string_lossy().into_owned(),
        fingerprint: hex(job.fingerprint),
        created_ms: job.created_ms,
        recipe: job.recipe.clone(),
    };
    run_facts::write_json(&run.join(run_folder::JOB), &identity)
}

/// 16 hex digits.
pub(crate) fn hex(fingerprint: Fingerprint) -> String {
    format!("{:016x}", fingerprint.0)
}

pub(crate) fn fingerprint(identity: &Identity) -> Option<Fingerprint> {
    u64::from_str_radix(&identity.fingerprint, 16).ok().map(Fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{JobId, State};

    fn job(uuid: Option<&str>, fingerprint: u64) -> Job {
        Job {
            id: JobId(1),
            name: "a.csv".into(),
            source: "/in/a.csv".into(),
            run: "0001-a".into(),
            recipe: None,
            fingerprint: Fingerprint(fingerprint),
            attempt: 0,
            crashes: 0,
            created_ms: 7,
            changed_ms: 7,
            uuid: uuid.map(String::from),
            original: None,
            copied: true,
            priority: 0,
            state: State::Claiming,
        }
    }

    #[test]
    fn a_folder_counts_for_one_job_and_one_state_of_its_drop() {
        let runs = tempfile::tempdir().unwrap();
        let run = runs.path().join("0001-a");
        make(runs.path(), &job(Some("aa"), 5)).unwrap();
        make(runs.path(), &job(Some("aa"), 5)).unwrap();
        assert!(counts(&run, &job(Some("aa"), 5)).unwrap());
        assert!(is_of(&run, &job(Some("aa"), 6)) && !counts(&run, &job(Some("aa"), 6)).unwrap());
        for other in [job(Some("bb"), 5), job(None, 5)] {
            assert!(!is_of(&run, &other));
            let message = make(runs.path(), &other).unwrap_err().to_string();
            assert!(message.ends_with("0001-a is another job's"), "{message}");
        }
        assert_eq!(fs::read_dir(runs.path()).unwrap().count(), 1);
        unmake(&run, &job(Some("aa"), 5));
        assert!(!run.exists());
    }

    #[test]
    fn a_folder_that_can_not_be_read_is_not_another_jobs() {
        let runs = tempfile::tempdir().unwrap();
        let run = runs.path().join("0001-a");
        make(runs.path(), &job(Some("aa"), 5)).unwrap();
        fs::remove_file(run.join(run_folder::JOB)).unwrap();
        assert!(!owns(&run, &job(Some("aa"), 5)).unwrap());
        // Reading a folder as a file fails whoever asks, root too.
        fs::create_dir(run.join(run_folder::JOB)).unwrap();
        owns(&run, &job(Some("aa"), 5)).unwrap_err();
        let why = format!("{:#}", make(runs.path(), &job(Some("aa"), 5)).unwrap_err());
        assert!(why.contains("job.json") && !why.contains("another"), "{why}");
        facts(&run, &job(Some("aa"), 5)).unwrap_err();
    }

    #[test]
    fn only_a_folder_without_a_drop_is_unmade() {
        let runs = tempfile::tempdir().unwrap();
        let run = runs.path().join("0001-a");
        let job = job(Some("aa"), 5);
        for name in ["drop/a.csv", "worker.log"] {
            make(runs.path(), &job).unwrap();
            fs::write(run.join(name), "").unwrap();
            unmake(&run, &job);
            assert!(is_of(&run, &job), "{name}");
            fs::remove_file(run.join(name)).unwrap();
        }
        // Half a copy is nobody's data.
        fs::write(run.join("drop/.partial"), "text,la").unwrap();
        unmake(&run, &job);
        assert_eq!(fs::read_dir(runs.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_can_not_be_made_leaves_nothing() {
        let runs = tempfile::tempdir().unwrap();
        fs::create_dir(runs.path().join("0001-a")).unwrap();
        make(runs.path(), &job(Some("aa"), 5)).unwrap_err();
        assert_eq!(fs::read_dir(runs.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_of_the_first_version_is_its_rows() {
        let runs = tempfile::tempdir().unwrap();
        let run = runs.path().join("0001-a");
        fs::create_dir(&run).unwrap();
        assert!(counts(&run, &job(None, 5)).unwrap() && !is_of(&run, &job(Some("aa"), 5)));
    }
}
