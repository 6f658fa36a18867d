//! Names of the files in a run folder, so that nobody spells one twice.

pub const DROP: &str = "drop";
/// Whose folder it is. See [`crate::identity`].
pub const JOB: &str = "job.json";
pub const SPEC: &str = "spec.json";
/// Of a run in the foreground: which state of the drop it is about.
pub const DROP_STATE: &str = "drop.state";
pub const PLAN: &str = "plan.json";
pub const DATA: &str = "data.json";
/// Every quarantined row or file, one JSON object a line; `data.json` shows the first ones.
pub const QUARANTINE: &str = "quarantine.jsonl";
/// Contact sheets of the images; `data.json` names those that there are.
pub const CONTACT: &str = "contact";
pub const EVENTS: &str = "events.jsonl";
/// What a worker printed on stderr, the last attempt at the end.
pub const LOG: &str = "worker.log";
/// What each worker used of memory and processors.
pub const USAGE: &str = "usage.jsonl";
/// Which plugin's function runs now; what stands there when a worker died says who was at work. See
/// [`crate::plugin_call`].
pub const PLUGIN_CALL: &str = "plugin.call";
/// What the base model finds of answers that are compared: log-probabilities, by a hash of what
/// they are of.
pub const REFERENCE: &str = "reference";
pub const CHECKPOINTS: &str = "checkpoints";
/// Unpacked archives and other things that may be made again; gone when the job is done.
pub const STAGING: &str = "staging";
/// The trained model before its proof; renamed to [`MODEL`] by the proof.
pub const UNPROVEN: &str = "model.unproven";
pub const MODEL: &str = "model";
/// What training ended with: the facts that the proof compares with. Its presence means "trained".
pub const TRAINED: &str = "trained.json";
/// What base model and finished model say to some held-out prompts, one JSON object a line: see
/// [`crate::outcome::Sample`].
pub const SAMPLES: &str = "samples.jsonl";
pub const PREDICTIONS: &str = "predictions.csv";
pub const REPORT: &str = "report.html";
pub const TENSORBOARD: &str = "tensorboard";
pub const DONE: &str = "done.json";
pub const FAILED: &str = "failed.json";

/// The folder of a run below `runs/`: `0007-tweets` for job 7 from a drop called `tweets.csv`.
pub fn name(job: u64, drop: &str) -> String {
    /// Longer names only make paths hard to read.
    const NAME_CHARS_MAX: usize = 40;
    let stem = drop.split('.').find(|part| !part.is_empty()).unwrap_or("drop");
    let clean =
        |c: char| if c.is_ascii_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '_' };
    let stem: String = stem.chars().take(NAME_CHARS_MAX).map(clean).collect();
    format!("{job:04}-{stem}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_run_folder_is_named_after_job_and_drop() {
        assert_eq!(super::name(7, "Tweets 2026.tar.gz"), "0007-tweets_2026");
        assert_eq!(super::name(12345, "..écoute"), "12345-_coute");
    }
}
