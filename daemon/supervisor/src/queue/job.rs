//! A job as the rest of the supervisor sees it: the facts of a state stand inside the state.

use crate::settle::Fingerprint;
use finetuned_job::spec::RecipeText;
use std::fmt;
use std::path::{Path, PathBuf};
use tracing::Span;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl JobId {
    /// The same as [`Job::span`], where no more is known.
    pub fn span(self) -> Span {
        tracing::error_span!("job", job = self.0)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Job {
    pub id: JobId,
    /// The drop's own name.
    pub name: String,
    /// Where the drop lay.
    pub source: PathBuf,
    /// Folder below `runs/`.
    pub run: String,
    pub recipe: Option<RecipeText>,
    pub fingerprint: Fingerprint,
    pub attempt: u32,
    /// Deaths of its workers since the last `retry`.
    pub crashes: u32,
    pub created_ms: u64,
    pub changed_ms: u64,
    /// Absent in rows of 0.1.0.
    pub uuid: Option<String>,
    /// What remains in the inbox of a drop that could not be moved.
    pub original: Option<Original>,
    /// False: the drop has still to be copied from its original.
    pub copied: bool,
    /// The more important first.
    pub priority: i32,
    pub state: State,
}

/// A queued job that waits for nothing but its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub job: JobId,
    /// The folder that its drop lay in.
    pub inbox: PathBuf,
    pub priority: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Original {
    /// Under a hidden name beside its old one, until the job is over.
    Hidden,
    /// As it was: it can't be moved.
    Left,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Its row is written, its drop is about to be moved.
    Claiming,
    Queued {
        /// Besides its turn.
        waiting: Option<String>,
        not_before_ms: u64,
    },
    Running {
        phase: Phase,
        /// Absent for the moment before the process exists.
        pid: Option<u32>,
        wanted: Wanted,
    },
    Paused,
    Done,
    Failed(String),
    Cancelled(String),
    Quarantined(String),
}

impl Job {
    /// The folder that its drop lay in.
    pub fn inbox(&self) -> &Path {
        self.source.parent().unwrap_or(Path::new(""))
    }

    /// What is logged within it is found by its job.
    pub fn span(&self) -> Span {
        let attempt = Some(self.attempt).filter(|it| 0 < *it);
        let inbox = self.inbox().display();
        tracing::error_span!("job", job = self.id.0, run = self.run, attempt, %inbox)
    }
}

impl State {
    pub fn name(&self) -> &'static str {
        match self {
            State::Claiming => "claiming",
            State::Queued { .. } => "queued",
            State::Running { .. } => "running",
            State::Paused => "paused",
            State::Done => "done",
            State::Failed(_) => "failed",
            State::Cancelled(_) => "cancelled",
            State::Quarantined(_) => "quarantined",
        }
    }

    /// Nothing more happens unless its owner wants it.
    pub fn is_over(&self) -> bool {
        matches!(self, State::Done | State::Failed(_) | State::Cancelled(_) | State::Quarantined(_))
    }

    /// Why it ended or what it waits for.
    pub fn reason(&self) -> Option<&str> {
        match self {
            State::Failed(why) | State::Cancelled(why) | State::Quarantined(why) => Some(why),
            State::Queued { waiting, .. } => waiting.as_deref(),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Train,
    Prove,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Train => "train",
            Phase::Prove => "prove",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Phase> {
        [Phase::Train, Phase::Prove].into_iter().find(|it| it.name() == name)
    }
}

/// What its owner wants of a running job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Run,
    Pause,
    Cancel,
}

impl Wanted {
    pub fn name(self) -> &'static str {
        match self {
            Wanted::Run => "run",
            Wanted::Pause => "pause",
            Wanted::Cancel => "cancel",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Wanted> {
        [Wanted::Run, Wanted::Pause, Wanted::Cancel].into_iter().find(|it| it.name() == name)
    }
}

/// One attempt, for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub attempt: u32,
    pub started_ms: u64,
    pub ended_ms: Option<u64>,
    pub outcome: Option<String>,
    pub detail: Option<String>,
}
