//! Reads and writes the small files of a run folder that the supervisor's decisions rest on. Data
//! sets and weights are none of them: those are for workers only.

use crate::attempt::RunFacts;
use anyhow::{Context, Result};
use finetuned_files::sync_folder;
use finetuned_job::outcome::{Done, Failed, Failure, OUTCOME_VERSION};
use finetuned_job::plugin_call::PluginCall;
use finetuned_job::run_folder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// What lies there for the job that the folder is of; see `ownership`.
pub(crate) fn read(run: &Path) -> RunFacts {
    RunFacts {
        trained: run.join(run_folder::TRAINED).exists(),
        done: run.join(run_folder::DONE).exists(),
        failed: json::<Failed>(&run.join(run_folder::FAILED)).ok().map(|it| it.failure),
        starved: is_starved(run),
        plugin: plugin_call(run),
    }
}

/// What the allocator says before it ends the process stands at the end of the log.
fn is_starved(run: &Path) -> bool {
    const TAIL_BYTES: u64 = 4096;
    let tail = || -> io::Result<Vec<u8>> {
        let mut log = File::open(run.join(run_folder::LOG))?;
        let from = log.metadata()?.len().saturating_sub(TAIL_BYTES);
        log.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        log.take(TAIL_BYTES).read_to_end(&mut tail)?;
        Ok(tail)
    };
    tail().is_ok_and(|it| String::from_utf8_lossy(&it).contains("memory allocation of"))
}

/// The plugin's function that a worker is in, or was in when it died.
pub(crate) fn plugin_call(run: &Path) -> Option<PluginCall> {
    PluginCall::read(&fs::read(run.join(run_folder::PLUGIN_CALL)).ok()?)
}

pub(crate) fn done(run: &Path) -> Result<Done> {
    json(&run.join(run_folder::DONE))
}

/// The file of our own making at `path`.
pub(crate) fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} was not written by this version of finetuned", path.display()))
}

/// Written beside, synced, renamed: the file is whole or absent.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let encoded = serde_json::to_vec_pretty(value);
    let text = encoded.with_context(|| format!("encoding {}", path.display()))?;
    write(path, &text).with_context(|| format!("writing {}", path.display()))
}

/// For failures that no worker was left to write down.
pub(crate) fn write_failed(
    run: &Path,
    job: u64,
    name: &str,
    attempt: u32,
    failure: &Failure,
) -> Result<()> {
    let failed = Failed {
        version: OUTCOME_VERSION,
        job,
        name: name.to_string(),
        attempt,
        failure: failure.clone(),
    };
    write_json(&run.join(run_folder::FAILED), &failed)
}

/// What the last attempt said about its end no longer holds when a new one begins.
pub(crate) fn forget_failure(run: &Path) -> io::Result<()> {
    [run_folder::FAILED, run_folder::PLUGIN_CALL]
        .iter()
        .try_for_each(|it| gone(fs::remove_file(run.join(it))))
}

/// A proof that has failed would fail again on the same files: training goes on from its last
/// checkpoint instead, and what it leaves is made anew.
pub(crate) fn step_back(run: &Path) -> io::Result<()> {
    if !run.join(run_folder::FAILED).exists() || run.join(run_folder::DONE).exists() {
        return Ok(());
    }
    // The word that training is over goes first.
    gone(fs::remove_file(run.join(run_folder::TRAINED)))?;
    let folders = [run_folder::UNPROVEN, run_folder::MODEL];
    folders.iter().try_for_each(|it| gone(fs::remove_dir_all(run.join(it))))
}

/// The drop is another one now: what was computed from it is worth nothing. The log and the events
/// stay.
pub(crate) fn start_over(run: &Path) -> io::Result<()> {
    // The word that all is complete goes first.
    const FILES: &[&str] = &[
        run_folder::DONE,
        run_folder::REPORT,
        run_folder::PREDICTIONS,
        run_folder::PLAN,
        run_folder::DATA,
        run_folder::QUARANTINE,
        run_folder::TRAINED,
        run_folder::FAILED,
    ];
    const FOLDERS: &[&str] = &[
        run_folder::CHECKPOINTS,
        run_folder::STAGING,
        run_folder::UNPROVEN,
        run_folder::MODEL,
        run_folder::CONTACT,
        run_folder::TENSORBOARD,
        run_folder::REFERENCE,
    ];
    FILES.iter().try_for_each(|it| gone(fs::remove_file(run.join(it))))?;
    FOLDERS.iter().try_for_each(|it| gone(fs::remove_dir_all(run.join(it))))
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("json.tmp");
    let write = || -> io::Result<()> {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    // A full disk gets its space back.
    write().inspect_err(|_| drop(fs::remove_file(&partial)))?;
    path.parent().map_or(Ok(()), sync_folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use finetuned_job::outcome::FailureKind;

    #[test]
    fn a_failure_is_written_read_and_forgotten() {
        let run = tempfile::tempdir().unwrap();
        let failure = Failure::new(FailureKind::Crash, "it died");
        write_failed(run.path(), 7, "tweets.csv", 3, &failure).unwrap();
        assert_eq!(read(run.path()), RunFacts { failed: Some(failure), ..RunFacts::default() });
        forget_failure(run.path()).unwrap();
        forget_failure(run.path()).unwrap();
        assert_eq!(read(run.path()), RunFacts::default());
    }

    #[test]
    fn after_a_failed_proof_training_goes_on() {
        let run = tempfile::tempdir().unwrap();
        let path = |name: &str| run.path().join(name);
        fs::create_dir_all(path("model.unproven")).unwrap();
        fs::create_dir_all(path("checkpoints/step-8")).unwrap();
        fs::write(path("trained.json"), "damaged").unwrap();
        step_back(run.path()).unwrap();
        assert!(path("trained.json").exists(), "nothing has failed");
        fs::write(path("failed.json"), "{}").unwrap();
        step_back(run.path()).unwrap();
        assert!(!path("trained.json").exists() && !path("model.unproven").exists());
        assert!(path("checkpoints/step-8").exists());
        fs::write(path("trained.json"), "{}").unwrap();
        fs::write(path("done.json"), "{}").unwrap();
        step_back(run.path()).unwrap();
        assert!(path("trained.json").exists(), "what is proven stays");
    }

    #[test]
    fn starting_over_keeps_the_drop_and_the_events() {
        let run = tempfile::tempdir().unwrap();
        let path = |name: &str| run.path().join(name);
        fs::create_dir_all(path("drop/data")).unwrap();
        fs::create_dir_all(path("checkpoints/step-1")).unwrap();
        for name in ["plan.json", "trained.json", "events.jsonl", "worker.log", "spec.json"] {
            fs::write(path(name), "{}").unwrap();
        }
        start_over(run.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(run.path())
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["drop", "events.jsonl", "spec.json", "worker.log"]);
    }
}
