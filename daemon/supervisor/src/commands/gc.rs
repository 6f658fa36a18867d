//! `finetuned remove JOB` and `finetuned gc`: what goes from the disk, by hand.

use super::find;
use crate::cli::Exit;
use crate::config::Config;
use crate::home::Home;
use crate::queue::Queue;
use crate::report::Report;
use crate::{housekeeping, poke, removal, words};
use anyhow::Result;
use serde_json::json;

pub(super) fn remove(home: &Home, wanted: &str, report: &mut Report) -> Result<Exit> {
    let job = find(home, wanted)?.1;
    let bytes = removal::size(home, &job);
    removal::remove(&mut Queue::open(&home.database())?, home, &job)?;
    poke::poke(home);
    let run = home.runs().join(&job.run);
    report.line(&if run.exists() {
        format!("job {} is removed; {} is another job's and stays", job.id, run.display())
    } else {
        format!(
            "job {} ({}) is removed, with its drop and its model: {}",
            job.id,
            job.run,
            words::bytes(bytes)
        )
    })?;
    Ok(Exit::Done)
}

pub(super) fn gc(home: &Home, dry_run: bool, as_json: bool, report: &mut Report) -> Result<Exit> {
    let config = Config::load(&home.root)?;
    let Some(reader) = Queue::open_to_read(&home.database())? else {
        report.line("there are no jobs yet, so there is nothing to remove")?;
        return Ok(Exit::Done);
    };
    let garbage = housekeeping::garbage(&reader, home, config.retention)?;
    drop(reader);
    let (how, mut bytes) = (if dry_run { "would remove" } else { "removed" }, 0);
    for it in &garbage {
        if !dry_run {
            housekeeping::collect(&mut Queue::open(&home.database())?, home, it)?;
        }
        bytes += it.bytes;
        if !as_json {
            let (run, size) = (&it.job.run, words::bytes(it.bytes));
            report.line(&format!("{how} {} of job {} ({run}): {size}", it.what, it.job.id))?;
        }
    }
    if as_json {
        let list: Vec<_> = garbage
            .iter()
            .map(|it| json!({ "id": it.job.id.0, "what": it.what.to_string(), "bytes": it.bytes }))
            .collect();
        report.json(&json!({ "dry_run": dry_run, "bytes": bytes, "removed": list }))?;
    } else {
        report.line(&format!("{how} {} in all", words::bytes(bytes)))?;
    }
    Ok(Exit::Done)
}
