//! What an owner may ask of a job, and what that means in each state. A running job is only marked:
//! its daemon stops the worker.

use super::job::{State, Wanted};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Pause,
    Resume,
    Cancel,
    Retry,
}

/// What granting a wish writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    /// It is so already.
    Nothing,
    Pause,
    Cancel,
    /// From its last checkpoint, with its crashes forgiven.
    Queue,
    /// For a running job.
    Mark(Wanted),
}

/// What to write and what to tell; or why the wish has no meaning, and which one has.
pub(super) fn judge(state: &State, wish: Wish) -> Result<(Grant, &'static str), String> {
    Ok(match (wish, state) {
        (_, State::Claiming) => {
            return Err("is just being taken from its inbox: try again in a moment".into());
        }
        (_, State::Done) => return Err("is done: drop its data again to train anew".into()),
        (Wish::Pause, State::Queued { .. }) => (Grant::Pause, "is paused"),
        (Wish::Pause, State::Running { .. }) => {
            (Grant::Mark(Wanted::Pause), "pauses after its next checkpoint")
        }
        (Wish::Pause, State::Paused) => (Grant::Nothing, "is paused already"),
        (Wish::Resume, State::Paused) => (Grant::Queue, "is queued again"),
        (Wish::Resume, State::Running { .. }) => (Grant::Mark(Wanted::Run), "goes on"),
        (Wish::Resume, State::Queued { .. }) => (Grant::Nothing, "is queued already"),
        (Wish::Cancel, State::Queued { .. } | State::Paused) => (Grant::Cancel, "is cancelled"),
        (Wish::Cancel, State::Running { .. }) => {
            (Grant::Mark(Wanted::Cancel), "is being cancelled")
        }
        (Wish::Cancel, State::Cancelled(_)) => (Grant::Nothing, "is cancelled already"),
        (Wish::Retry, State::Failed(_) | State::Cancelled(_) | State::Quarantined(_)) => {
            (Grant::Queue, "is queued again")
        }
        (Wish::Retry, State::Paused) => {
            return Err("is paused: let it go on with `finetuned resume`".into());
        }
        (Wish::Retry, State::Queued { .. } | State::Running { .. }) => {
            return Err(format!("is {}: nothing to retry", state.name()));
        }
        (Wish::Resume, ended) => {
            return Err(format!("is {}: start it again with `finetuned retry`", ended.name()));
        }
        (Wish::Pause | Wish::Cancel, ended) => return Err(format!("is {} already", ended.name())),
    })
}
