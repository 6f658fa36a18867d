//! Where a running job stands, from the end of its `events.jsonl`; the file may be long, only its tail is read.

use finetuned_job::event::{Event, Line, Phase, Step};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Some hundred steps; longer evaluations of many classes may not fit, and are missed.
const TAIL_BYTES: u64 = 128 * 1024;
/// The time left is judged by so many of the last steps: stages of unfreezing differ.
const STEPS_FOR_ETA: usize = 50;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Progress {
    pub stage: Option<Phase>,
    /// Units of the stage.
    pub done: u64,
    pub total: Option<u64>,
    pub step: Option<Step>,
    /// (metric shown, value, best so far) of the last evaluation.
    pub evaluation: Option<(String, f64, bool)>,
    /// Seconds until training ends; proof and report come after it.
    pub eta_s: Option<f64>,
}

/// Nothing known is no error: a worker may not have begun to speak.
pub(crate) fn of(run: &Path) -> Progress {
    let text = tail(&run.join(finetuned_job::run_folder::EVENTS)).unwrap_or_default();
    Progress::after(text.lines().filter_map(|line| serde_json::from_str(line).ok()))
}

/// The last part of a file, from the beginning of a line.
pub(crate) fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let torn = if from == 0 { 0 } else { text.find('\n').map_or(text.len(), |at| at + 1) };
    Ok(text[torn..].to_string())
}

impl Progress {
    pub fn after(lines: impl Iterator<Item = Line>) -> Progress {
        let mut progress = Progress::default();
        let mut steps: Vec<f64> = Vec::new();
        for line in lines {
            if matches!(line.event, Event::Started { .. }) {
                steps.clear();
            }
            if let Event::Step(step) = &line.event {
                steps.push(step.seconds);
            }
            progress.tell(line.event);
        }
        let recent = &steps[steps.len().saturating_sub(STEPS_FOR_ETA)..];
        progress.eta_s = match &progress.step {
            Some(step) if progress.stage == Some(Phase::Training) && !recent.is_empty() => {
                let mean = recent.iter().sum::<f64>() / recent.len() as f64;
                Some(mean * step.steps.saturating_sub(step.step) as f64)
            }
            _ => None,
        };
        progress
    }

    /// One more event.
    pub fn tell(&mut self, event: Event) {
        match event {
            Event::Started { .. } => *self = Progress::default(),
            Event::Phase { phase, total } => (self.stage, self.done, self.total) = (Some(phase), 0, total),
            Event::Progress { done, total } => (self.done, self.total) = (done, total.or(self.total)),
            Event::Step(step) => {
                // The tail may begin after the stage was told.
                self.stage = Some(Phase::Training);
                (self.done, self.total) = (step.step, Some(step.steps));
                self.step = Some(step);
            }
            Event::Evaluation { scores, best, .. } => {
                let shown = ["macro_f1", "accuracy"].into_iter().find_map(|it| scores.metrics.get_key_value(it));
                self.evaluation = shown.map(|(name, value)| (name.clone(), *value, best));
            }
            _ => {}
        }
    }

    /// One line for people.
    pub fn sentence(&self) -> String {
        let Some(stage) = self.stage else { return "starting".into() };
        let mut parts = vec![stage_name(stage).to_string()];
        match (&self.step, stage) {
            (Some(step), Phase::Training) => {
                parts.push(format!("step {} of {}", step.step, step.steps));
                parts.push(format!("epoch {:.2}", step.epoch));
                parts.push(format!("loss {:.3}", step.loss));
            }
            _ if self.done == 0 => {}
            _ => parts.push(match self.total {
                Some(total) if 0 < total => format!("{} %", self.done * 100 / total),
                _ => crate::words::count(self.done),
            }),
        }
        if let Some((name, value, _)) = &self.evaluation {
            parts.push(format!("{name} {value:.3}"));
        }
        if let Some(eta) = self.eta_s {
            parts.push(format!("{} left", crate::words::seconds(eta)));
        }
        parts.join(", ")
    }
}

pub(crate) fn stage_name(stage: Phase) -> &'static str {
    match stage {
        Phase::Unpacking => "unpacking",
        Phase::Reading => "reading",
        Phase::Tokenizing => "tokenizing",
        Phase::Loading => "loading the model",
        Phase::Pulling => "fetching the model",
        Phase::Caching => "running the frozen body",
        Phase::Training => "training",
        Phase::Evaluating => "evaluating",
        Phase::Exporting => "saving the model",
        Phase::Proving => "proving the model",
        Phase::Predicting => "predicting",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn step(step: u64, seconds: f64) -> Event {
        let (epoch, loss) = (step as f64 / 10.0, 1.0 / step as f64);
        Event::Step(Step { step, steps: 100, epoch, loss, lr: 1e-4, grad_norm: 1.0, examples: 32, tokens: 9, tokens_padded: 10, seconds })
    }

    fn after(events: Vec<Event>) -> Progress {
        Progress::after(events.into_iter().map(|event| Line { at_ms: 0, attempt: 1, event }))
    }

    #[test]
    fn training_tells_step_loss_and_time_left() {
        let progress = after(vec![Event::Phase { phase: Phase::Training, total: Some(100) }, step(19, 1.0), step(20, 3.0)]);
        assert_eq!(progress.sentence(), "training, step 20 of 100, epoch 2.00, loss 0.050, 2 min 40 s left");
    }

    #[test]
    fn a_new_attempt_forgets_the_old_one() {
        let started = Event::Started { pid: 1, version: String::new(), resumed_from: Some(20) };
        assert_eq!(after(vec![step(20, 1.0), started]).sentence(), "starting");
    }

    #[test]
    fn a_stage_tells_its_part() {
        let stage = Event::Phase { phase: Phase::Tokenizing, total: Some(200) };
        assert_eq!(after(vec![stage, Event::Progress { done: 50, total: None }]).sentence(), "tokenizing, 25 %");
    }

    #[test]
    fn a_tail_begins_with_a_whole_line_and_survives_torn_ones() {
        let run = tempfile::tempdir().unwrap();
        let line = serde_json::to_string(&Line { at_ms: 0, attempt: 1, event: step(7, 1.0) }).unwrap();
        let long = "x".repeat(2 * TAIL_BYTES as usize);
        fs::write(run.path().join("events.jsonl"), format!("{long}\n{line}\n{{\"at_ms\":")).unwrap();
        assert_eq!(of(run.path()).step.unwrap().step, 7);
        assert_eq!(of(&run.path().join("absent")), Progress::default());
    }
}
