//! Decides what follows when a worker has left: the daemon and `finetuned run` share these rules.
//!
//! Computed from facts passed in; what lies in the run folder is read by `run_facts`.

use crate::queue::Phase;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plugin_call::PluginCall;
use finetuned_job::spec::exit;
use rustix::process::Signal;

/// A worker that has died so often would die again: a person should look at it.
pub(crate) const CRASHES_MAX: u32 = 3;

/// How the process left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    Exited(i32),
    Signaled { signal: i32, out_of_memory: OutOfMemory },
}

/// What the kernel's out-of-memory killer had to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutOfMemory {
    No,
    /// It was at work meanwhile: all workers together, or the machine, had too little.
    Elsewhere,
    /// The worker had all that its own cgroup may have.
    Own,
}

/// What an attempt has left in the run folder, as far as the next step depends on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RunFacts {
    pub trained: bool,
    pub done: bool,
    /// From `failed.json`.
    pub failed: Option<Failure>,
    /// Its last words were of an allocation that failed.
    pub starved: bool,
    /// The plugin's function that the worker was in when it left.
    pub plugin: Option<PluginCall>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// A fresh process loads the model from disk.
    Prove,
    Done,
    Failed(Failure),
    /// Continues from its last checkpoint; a crash is described.
    Again {
        crash: Option<String>,
    },
    Quarantine(Failure),
}

/// `asked`: we have told it to stop, so that even its death by our signal is no crash. `told`: the
/// failure it told on stdout, for when a full disk kept `failed.json` from being written.
pub(crate) fn next(
    phase: Phase,
    ending: &Ending,
    facts: RunFacts,
    reported: Option<Failure>,
    asked: bool,
    crashes: u32,
) -> Next {
    if facts.done {
        return Next::Done;
    }
    if let Some(call) = &facts.plugin
        && !asked
        && facts.failed.is_none()
        && is_plugins_doing(call, ending)
    {
        return Next::Failed(died_in_plugin(call, ending));
    }
    if let Some(failure) = starved(ending, &facts).filter(|_| !asked) {
        return Next::Failed(failure);
    }
    match ending {
        Ending::Exited(exit::DONE) if phase == Phase::Train && facts.trained => Next::Prove,
        Ending::Exited(exit::DONE) => Next::Failed(internal(format!(
            "the worker ended well, but left no {}",
            promised(phase)
        ))),
        Ending::Exited(exit::FAILED) => {
            Next::Failed(facts.failed.or(reported).unwrap_or_else(|| {
                internal("the worker gave up without saying why: see worker.log")
            }))
        }
        Ending::Exited(exit::STOPPED) => Next::Again { crash: None },
        Ending::Exited(exit::USAGE) => {
            let failure = internal("the worker could not begin: see worker.log");
            Next::Failed(failure.with_cure("it needs more memory or threads than it may have (`memory` in config.toml), or finetuned and finetuned-worker are of two versions"))
        }
        _ if asked => Next::Again { crash: None },
        died if crashes + 1 < CRASHES_MAX => Next::Again { crash: Some(describe(died)) },
        died => Next::Quarantine(crash(died, crashes + 1)),
    }
}

/// The allocator, or the kernel, found no memory within the job's limit, as it would the next time.
pub(crate) fn starved(ending: &Ending, facts: &RunFacts) -> Option<Failure> {
    let aborted =
        matches!(ending, Ending::Signaled { signal, .. } if *signal == Signal::ABORT.as_raw());
    let killed = matches!(ending, Ending::Signaled { out_of_memory: OutOfMemory::Own, .. });
    let what = "it needs more memory than a job may have here";
    let cure = "a smaller batch or max_tokens in the recipe, less data, or more memory for each worker in config.toml";
    (killed || aborted && facts.starved)
        .then(|| Failure::new(FailureKind::Memory, what).with_cure(cure))
}

fn promised(phase: Phase) -> &'static str {
    match phase {
        Phase::Train => finetuned_job::run_folder::TRAINED,
        Phase::Prove => finetuned_job::run_folder::DONE,
    }
}

fn internal(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Internal, message)
}

/// SIGKILL comes from outside (a person, the killer for memory), unless the worker says that it
/// killed itself.
fn is_plugins_doing(call: &PluginCall, ending: &Ending) -> bool {
    call.overdue_s.is_some()
        || !matches!(ending, Ending::Signaled { signal, .. } if *signal == Signal::KILL.as_raw())
}

/// A plugin that ends the process does so again: trying it three times would only cost time.
fn died_in_plugin(call: &PluginCall, ending: &Ending) -> Failure {
    let message = plugin_death(call, ending);
    Failure::new(FailureKind::Plugin, message).with_cure(
        "`finetuned plugin check FILE` tries a plugin by itself; worker.log has its last words",
    )
}

/// `the worker was ended by SIGSEGV in the head arcface of the plugin margins, in forward`
pub(crate) fn plugin_death(call: &PluginCall, ending: &Ending) -> String {
    match (call.overdue_s, ending) {
        (Some(limit), _) => {
            format!("no end after {limit} s, so the worker was killed, in {}", call.what)
        }
        (None, Ending::Exited(status)) => {
            format!("the process was ended with exit status {status} in {}", call.what)
        }
        (None, died) => format!("the worker died {} in {}", describe(died), call.what),
    }
}

fn crash(died: &Ending, times: u32) -> Failure {
    let cure = match died {
        Ending::Signaled { out_of_memory: OutOfMemory::Elsewhere, .. } => {
            "it needs less memory with a smaller batch or max_tokens in the recipe, or fewer workers in config.toml; then `finetuned retry`"
        }
        _ => "see worker.log for its last words; `finetuned retry` tries it three more times",
    };
    Failure::new(
        FailureKind::Crash,
        format!("its worker died {times} times, at last {}", describe(died)),
    )
    .with_cure(cure)
}

pub(crate) fn describe(ending: &Ending) -> String {
    match ending {
        Ending::Exited(status) => format!("with exit status {status}"),
        Ending::Signaled { signal, out_of_memory } => {
            let name = signal_hook::low_level::signal_name(*signal)
                .map_or_else(|| format!("signal {signal}"), str::to_string);
            let why = match out_of_memory {
                OutOfMemory::No => "",
                OutOfMemory::Elsewhere => ", while the kernel's out-of-memory killer was at work",
                OutOfMemory::Own => ", for want of memory within its limit",
            };
            format!("by {name}{why}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: Ending = Ending::Signaled { signal: 9, out_of_memory: OutOfMemory::No };

    fn after(ending: Ending, facts: RunFacts) -> Next {
        next(Phase::Train, &ending, facts, None, false, 0)
    }

    #[test]
    fn only_trained_json_leads_to_the_proof() {
        let trained = RunFacts { trained: true, ..RunFacts::default() };
        assert_eq!(after(Ending::Exited(0), trained.clone()), Next::Prove);
        let nothing = after(Ending::Exited(0), RunFacts::default());
        assert!(matches!(nothing, Next::Failed(why) if why.message.contains("trained.json")));
        let unproven = next(Phase::Prove, &Ending::Exited(0), trained, None, false, 0);
        assert!(matches!(unproven, Next::Failed(why) if why.message.contains("done.json")));
    }

    #[test]
    fn done_json_decides_however_the_worker_left() {
        let done = RunFacts { done: true, ..RunFacts::default() };
        assert_eq!(after(KILLED, done.clone()), Next::Done);
        assert_eq!(after(Ending::Exited(4), done), Next::Done);
    }

    #[test]
    fn the_third_death_is_the_last() {
        let die = |crashes| next(Phase::Train, &KILLED, RunFacts::default(), None, false, crashes);
        assert_eq!(die(0), Next::Again { crash: Some("by SIGKILL".into()) });
        assert!(matches!(die(1), Next::Again { .. }));
        let Next::Quarantine(failure) = die(2) else { panic!("three deaths") };
        assert_eq!(failure.message, "its worker died 3 times, at last by SIGKILL");
        let panicked =
            next(Phase::Train, &Ending::Exited(101), RunFacts::default(), None, false, 2);
        assert!(
            matches!(panicked, Next::Quarantine(why) if why.message.ends_with("with exit status 101"))
        );
    }

    #[test]
    fn a_death_in_a_plugin_is_laid_at_its_door() {
        let died = |ending, overdue_s| {
            let call = PluginCall {
                what: "the head arcface of the plugin margins, in forward".into(),
                overdue_s,
            };
            let facts = RunFacts { plugin: Some(call), ..RunFacts::default() };
            let Next::Failed(failure) = next(Phase::Train, &ending, facts, None, false, 0) else {
                panic!("no second try")
            };
            assert_eq!(failure.kind, FailureKind::Plugin);
            failure.message
        };
        let segfault = Ending::Signaled { signal: 11, out_of_memory: OutOfMemory::No };
        assert_eq!(
            died(segfault, None),
            "the worker died by SIGSEGV in the head arcface of the plugin margins, in forward"
        );
        let call = PluginCall { what: "a plugin".into(), overdue_s: None };
        let killed_from_outside =
            after(KILLED, RunFacts { plugin: Some(call), ..RunFacts::default() });
        assert_eq!(killed_from_outside, Next::Again { crash: Some("by SIGKILL".into()) });
        assert_eq!(
            died(KILLED, Some(300)),
            "no end after 300 s, so the worker was killed, in the head arcface of the plugin margins, in forward"
        );
        assert_eq!(
            died(Ending::Exited(0), None),
            "the process was ended with exit status 0 in the head arcface of the plugin margins, in forward"
        );
    }

    #[test]
    fn the_killer_for_memory_is_named_with_a_cure() {
        let killed = Ending::Signaled { signal: 9, out_of_memory: OutOfMemory::Elsewhere };
        let Next::Quarantine(failure) =
            next(Phase::Train, &killed, RunFacts::default(), None, false, 2)
        else {
            panic!("three deaths")
        };
        assert!(failure.message.contains("out-of-memory"), "{failure}");
        assert!(failure.cure.is_some_and(|it| it.contains("smaller batch")));
    }

    #[test]
    fn an_allocation_that_failed_would_fail_again() {
        let facts = RunFacts { starved: true, ..RunFacts::default() };
        let aborted = Ending::Signaled { signal: 6, out_of_memory: OutOfMemory::No };
        let Next::Failed(failure) = after(aborted, facts.clone()) else { panic!("no second try") };
        assert_eq!(failure.kind, FailureKind::Memory);
        assert!(matches!(after(KILLED, facts), Next::Again { .. }), "an old line in the log");
        let killed = Ending::Signaled { signal: 9, out_of_memory: OutOfMemory::Own };
        let Next::Failed(failure) = after(killed, RunFacts::default()) else { panic!("again") };
        assert_eq!(failure.kind, FailureKind::Memory);
    }

    #[test]
    fn a_death_that_we_caused_is_no_crash() {
        assert_eq!(
            next(Phase::Train, &KILLED, RunFacts::default(), None, true, 2),
            Next::Again { crash: None }
        );
        assert_eq!(after(Ending::Exited(4), RunFacts::default()), Next::Again { crash: None });
    }

    #[test]
    fn a_failure_is_reported_even_when_the_disk_was_full() {
        let full = Failure::new(FailureKind::Disk, "no space left on the disk");
        let reported = next(
            Phase::Train,
            &Ending::Exited(3),
            RunFacts::default(),
            Some(full.clone()),
            false,
            0,
        );
        assert_eq!(reported, Next::Failed(full));
    }
}
