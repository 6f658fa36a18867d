//! Probes become lines on the worker's stdout, which is kept from the plugin: what that prints
//! lands in a file.

use anyhow::{Context, Result};
use finetuned_job::outcome::Failure;
use finetuned_job::plugin_check::{Line, Tried, Verdict};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

/// So much of what a plugin printed is shown.
const PRINTED_BYTES_SHOWN: u64 = 80;

pub(super) struct Teller {
    out: File,
    printed: File,
}

/// What a probe saw that is no fault.
pub(super) enum Seen {
    Passed(String),
    Noted(String),
}

/// What is wrong, in one sentence.
pub(super) struct Fault(String);

pub(super) type Outcome = Result<Seen, Fault>;

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Fault {
        Fault(failure.message)
    }
}

impl From<String> for Fault {
    fn from(message: String) -> Fault {
        Fault(message)
    }
}

impl From<tch::TchError> for Fault {
    fn from(err: tch::TchError) -> Fault {
        Fault(err.to_string().lines().next().unwrap_or_default().to_string())
    }
}

impl Teller {
    pub(super) fn new() -> Result<Teller> {
        let set_aside = || -> Result<Teller> {
            let out = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?);
            let printed = File::from(memfd_create("stdout", MemfdFlags::CLOEXEC)?);
            rustix::stdio::dup2_stdout(&printed)?;
            Ok(Teller { out, printed })
        };
        set_aside().context("setting stdout aside")
    }

    pub(super) fn tell(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_vec(line).context("encoding a line")?;
        text.push(b'\n');
        self.out.write_all(&text).context("writing to stdout")
    }

    /// Says that it tries, tries, and says what it saw; whether that was no fault.
    pub(super) fn probe(
        &mut self,
        subject: &str,
        probe: &str,
        f: impl FnOnce() -> Outcome,
    ) -> Result<bool> {
        self.tell(&Line::Trying { what: format!("{subject}: {probe}") })?;
        let (verdict, found) = match f() {
            Ok(Seen::Passed(found)) => (Verdict::Passed, found),
            Ok(Seen::Noted(found)) => (Verdict::Noted, found),
            Err(Fault(found)) => (Verdict::Failed, found),
        };
        self.tell(&Line::Tried(Tried {
            subject: subject.into(),
            probe: probe.into(),
            verdict,
            found,
        }))?;
        Ok(verdict != Verdict::Failed)
    }

    /// The beginning of what was printed meanwhile.
    pub(super) fn printed(&mut self) -> Result<Option<String>> {
        self.printed.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        Read::by_ref(&mut self.printed).take(PRINTED_BYTES_SHOWN).read_to_end(&mut bytes)?;
        Ok((!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned()))
    }
}
