//! Decides which job, and which drop, a person means.

use crate::queue::Job;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A number, a run folder's name, a drop's name, or the beginning of a run folder's name. Digits
/// alone are a number and nothing else: what fits by chance may be removed by whoever asks.
///
/// # Errors
/// Nothing fits, or more than one job does; they are named.
pub(crate) fn find(jobs: Vec<Job>, wanted: &str) -> Result<Job> {
    let exact = |job: &Job| wanted.parse() == Ok(job.id.0) || job.run == wanted;
    let begins = |job: &Job| {
        let without_number = job.run.split_once('-').map_or("", |(_, name)| name);
        [&*job.run, &*job.name, without_number].iter().any(|it| it.starts_with(wanted))
    };
    let (mut exactly, others): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(exact);
    if let Some(job) = exactly.pop() {
        return Ok(job);
    }
    let is_number = wanted.bytes().all(|it| it.is_ascii_digit());
    let mut fitting: Vec<Job> =
        others.into_iter().filter(|job| !is_number && begins(job)).collect();
    if 1 < fitting.len() {
        let names: Vec<&str> = fitting.iter().take(5).map(|it| &*it.run).collect();
        let more = if names.len() < fitting.len() { ", …" } else { "" };
        bail!("`{wanted}` fits {} jobs: {}{more}", fitting.len(), names.join(", "));
    }
    match fitting.pop() {
        Some(job) => Ok(job),
        None => bail!("there is no job `{wanted}`: `finetuned status --all` lists them"),
    }
}

/// The drop's full path, which a spec can hold.
pub(crate) fn drop_at(path: &Path) -> Result<PathBuf> {
    let drop = match fs::canonicalize(path) {
        Ok(drop) => drop,
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            bail!("there is no drop {}: name a folder, an archive or one file", path.display())
        }
        Err(err) => {
            return Err(err).with_context(|| format!("looking for the drop {}", path.display()));
        }
    };
    if drop.to_str().is_none() {
        bail!("the drop {} must have a name in UTF-8: rename it", drop.display());
    }
    Ok(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{JobId, State};
    use crate::settle::Fingerprint;

    fn job(id: u64, name: &str) -> Job {
        let run = finetuned_job::run_folder::name(id, name);
        Job {
            id: JobId(id),
            name: name.into(),
            source: name.into(),
            run,
            recipe: None,
            fingerprint: Fingerprint(0),
            attempt: 0,
            crashes: 0,
            created_ms: 0,
            changed_ms: 0,
            uuid: None,
            original: None,
            copied: true,
            priority: 0,
            state: State::Done,
        }
    }

    #[track_caller]
    fn check(wanted: &str, expected: &str) {
        let jobs = vec![
            job(1, "tweets.csv"),
            job(2, "mails.zip"),
            job(12, "tweets.csv"),
            job(34, "12-angry-men"),
        ];
        let found = find(jobs, wanted).map_or_else(|err| err.to_string(), |it| it.id.to_string());
        assert_eq!(found, expected);
    }

    #[test]
    fn jobs_are_found_as_people_name_them() {
        check("2", "2");
        check("12", "12");
        check("0002-mails", "2");
        check("mails", "2");
        check("mails.zip", "2");
        check("0012", "12");
        check("tweets", "`tweets` fits 2 jobs: 0001-tweets, 0012-tweets");
        check("9", "there is no job `9`: `finetuned status --all` lists them");
        check("3", "there is no job `3`: `finetuned status --all` lists them");
        check("00", "there is no job `00`: `finetuned status --all` lists them");
        check("12-", "34");
        check("", "there is no job ``: `finetuned status --all` lists them");
    }
}
