//! Events -> lines for people: `logs` prints them, and work in the foreground where there is no
//! terminal for a bar. Which events are worth a line is decided here.

use crate::{progress, words};
use finetuned_job::event::{Event, Line};

/// Steps come by the thousand: one line in so much time is enough for people.
const STEP_LINES_EVERY_MS: u64 = 2000;

/// Turns events into lines for people, and leaves out most steps.
pub(crate) struct Narrator {
    pub as_json: bool,
    step_shown_at_ms: Option<u64>,
}

impl Narrator {
    pub fn new(as_json: bool) -> Narrator {
        Narrator { as_json, step_shown_at_ms: None }
    }

    /// A line of `events.jsonl`.
    pub fn line(&mut self, line: &[u8]) -> Option<String> {
        if self.as_json {
            return Some(String::from_utf8_lossy(line).into_owned());
        }
        let line: Line = serde_json::from_slice(line).ok()?;
        Some(format!("{}  {}", words::moment(line.at_ms), self.words(&line)?))
    }

    /// `None`: not worth a line.
    pub fn words(&mut self, line: &Line) -> Option<String> {
        Some(match &line.event {
            Event::Started { pid, version, resumed_from } => {
                let from =
                    resumed_from.map_or_else(String::new, |it| format!(", goes on from step {it}"));
                format!("worker {version} starts in process {pid}{from}")
            }
            Event::Phase { phase, total } => {
                let of = total
                    .filter(|it| 0 < *it)
                    .map_or_else(String::new, |it| format!(" ({})", words::count(it)));
                format!("{}{of}", progress::stage_name(*phase))
            }
            Event::Progress { .. } => return None,
            Event::Features { split, bytes, found } => {
                let how = if *found { "found" } else { "computed in the first epoch" };
                format!("features of the {} split, {}: {how}", split.name(), words::bytes(*bytes))
            }
            Event::Step(step) => {
                if step.step < step.steps
                    && self.step_shown_at_ms.is_some_and(|at| line.at_ms < at + STEP_LINES_EVERY_MS)
                {
                    return None;
                }
                self.step_shown_at_ms = Some(line.at_ms);
                format!(
                    "step {} of {}, epoch {:.2}, loss {:.4}, learning rate {:.2e}",
                    step.step, step.steps, step.epoch, step.loss, step.lr
                )
            }
            Event::Evaluation { step, scores, best, .. } => {
                let metric = |name: &str| {
                    scores
                        .metrics
                        .get(name)
                        .map_or_else(String::new, |it| format!(", {name} {it:.3}"))
                };
                let best = if *best { " (best so far)" } else { "" };
                format!(
                    "{} after step {step}: loss {:.4}{}{}{best}",
                    scores.split.name(),
                    scores.loss,
                    metric("accuracy"),
                    metric("macro_f1")
                )
            }
            Event::Unfrozen { epoch, trainable_tensors, trainable_parameters } => {
                format!(
                    "from epoch {epoch} on {trainable_tensors} tensors train, {} parameters",
                    words::count(*trainable_parameters)
                )
            }
            Event::Checkpoint { step } => format!("checkpoint at step {step}"),
            Event::Warning { message } => format!("warning: {message}"),
            Event::Trained { steps, best_step, seconds } => {
                format!(
                    "trained: {steps} steps in {}, the best at {best_step}",
                    words::seconds(*seconds)
                )
            }
            Event::Stopped { step } => format!("stopped at step {step}"),
            Event::Done { metric, score } => format!("done: {metric} {score:.3}, proven"),
            Event::Failed { failure } => format!("failed: {failure}"),
        })
    }
}
