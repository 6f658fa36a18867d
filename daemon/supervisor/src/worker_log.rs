//! What a worker and its plugins print on stderr: a file of the run folder that does not grow
//! without end. What stands in it is nobody's to read here.

use finetuned_job::run_folder;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Above this only the end stays: a plugin that prints at every step would else fill the disk.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// What stays of it: the last words, of which the reason for an abort is one.
const TAIL_BYTES: u64 = 1 << 20;

/// Open for appending, as the worker has it: whatever is cut, both write at the end.
pub(crate) struct WorkerLog(File);

impl WorkerLog {
    pub fn open(run: &Path) -> io::Result<WorkerLog> {
        let path = run.join(run_folder::LOG);
        Ok(WorkerLog(File::options().append(true).read(true).create(true).open(path)?))
    }

    /// For the worker.
    pub fn writer(&self) -> io::Result<File> {
        self.0.try_clone()
    }

    /// Leaves the end of a log that is too long. What is printed at this very moment may be lost.
    pub fn bound(&self) -> io::Result<()> {
        let length = self.0.metadata()?.len();
        if length <= LOG_BYTES_MAX {
            return Ok(());
        }
        let mut log = &self.0;
        log.seek(SeekFrom::Start(length - TAIL_BYTES))?;
        let mut tail = Vec::new();
        log.take(TAIL_BYTES).read_to_end(&mut tail)?;
        let from = tail.iter().position(|it| *it == b'\n').map_or(0, |at| at + 1);
        log.set_len(0)?;
        let gone = length - (tail.len() - from) as u64;
        log.write_all(
            format!("[{gone} bytes of this log are gone: it grew too long]\n").as_bytes(),
        )?;
        log.write_all(&tail[from..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_long_log_keeps_its_end_and_goes_on() {
        let run = tempfile::tempdir().unwrap();
        let log = WorkerLog::open(run.path()).unwrap();
        let mut worker = log.writer().unwrap();
        writeln!(worker, "short").unwrap();
        log.bound().unwrap();
        for n in 0..LOG_BYTES_MAX / 64 {
            writeln!(worker, "{n:063}").unwrap();
        }
        log.bound().unwrap();
        writeln!(worker, "last words").unwrap();
        let text = fs::read_to_string(run.path().join(run_folder::LOG)).unwrap();
        assert!(text.len() as u64 <= TAIL_BYTES + 1000, "{}", text.len());
        let first = text.lines().next().unwrap();
        assert!(first.starts_with('[') && first.contains("it grew too long"), "{first}");
        assert!(text.lines().skip(1).all(|it| it == "last words" || it.len() == 63));
        assert!(text.ends_with(&format!("{:063}\nlast words\n", LOG_BYTES_MAX / 64 - 1)));
    }
}
