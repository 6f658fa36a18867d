//! What the workers of a run have used, where cgroups know it: a line for each in `usage.jsonl`.

use crate::cgroup::Usage;
use crate::queue::Phase;
use crate::words;
use anyhow::{Context, Result};
use finetuned_job::run_folder;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    attempt: u32,
    phase: String,
    usage: Usage,
}

pub(crate) fn add(run: &Path, attempt: u32, phase: Phase, usage: Usage) -> Result<()> {
    let file = run.join(run_folder::USAGE);
    let line = Line { attempt, phase: phase.name().into(), usage };
    let mut text = serde_json::to_vec(&line).context("encoding what was used")?;
    text.push(b'\n');
    let append = || File::options().append(true).create(true).open(&file)?.write_all(&text);
    append().with_context(|| format!("writing {}", file.display()))
}

/// Lines torn by a full disk are left out.
pub(crate) fn read(run: &Path) -> Vec<Line> {
    let text = fs::read_to_string(run.join(run_folder::USAGE)).unwrap_or_default();
    text.lines().filter_map(|it| serde_json::from_str(it).ok()).collect()
}

/// As `1.2 GB of memory at most, 34 s of processors' time`; absent where nothing is known.
pub(crate) fn words(run: &Path) -> Option<String> {
    let lines = read(run);
    let memory = lines.iter().filter_map(|it| it.usage.memory_bytes).max();
    let cpu: Vec<f64> = lines.iter().filter_map(|it| it.usage.cpu_s).collect();
    let memory = memory.map(|it| format!("{} of memory at most", words::bytes(it)));
    let cpu = (!cpu.is_empty())
        .then(|| format!("{} of processors' time", words::seconds(cpu.iter().sum())));
    let parts: Vec<String> = memory.into_iter().chain(cpu).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_memory_and_all_time_are_shown() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(words(run.path()), None);
        let used = |memory_bytes, cpu_s| Usage { memory_bytes, cpu_s };
        add(run.path(), 1, Phase::Train, used(Some(1_200_000_000), Some(30.0))).unwrap();
        add(run.path(), 1, Phase::Prove, used(None, Some(4.0))).unwrap();
        assert_eq!(read(run.path()).len(), 2);
        assert_eq!(
            words(run.path()).unwrap(),
            "1.2 GB of memory at most, 34 s of processors' time"
        );
    }
}
