//! Where a running job stands, from the end of its `events.jsonl`; the file may be long, only its
//! tail is read.

use finetuned_job::event::{Event, Line, Phase, Step};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Some hundred steps; longer evaluations of many classes may not fit, and are missed.
const TAIL_BYTES: u64 = 128 * 1024;
/// The time left is judged by so many of the last lines of steps: stages of unfreezing differ.
const LINES_FOR_ETA: usize = 50;

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
        // What the attempt began with, where the tail knows it.
        let (mut begun, mut steps): (Option<u64>, Vec<Step>) = (None, Vec::new());
        for line in lines {
            match &line.event {
                Event::Started { resumed_from, .. } => {
                    (begun, steps) = (Some(resumed_from.unwrap_or(0)), Vec::new())
                }
                Event::Step(step) => steps.push(step.clone()),
                _ => {}
            }
            progress.tell(line.event);
        }
        progress.eta_s = (progress.stage == Some(Phase::Training))
            .then(|| seconds_left(begun, &steps))
            .flatten();
        progress
    }

    /// One more event.
    pub fn tell(&mut self, event: Event) {
        match event {
            Event::Started { .. } => *self = Progress::default(),
            Event::Phase { phase, total } => {
                (self.stage, self.done, self.total) = (Some(phase), 0, total)
            }
            Event::Progress { done, total } => {
                (self.done, self.total) = (done, total.or(self.total))
            }
            Event::Step(step) => {
                // The tail may begin after the stage was told.
                self.stage = Some(Phase::Training);
                (self.done, self.total) = (step.step, Some(step.steps));
                self.step = Some(step);
            }
            Event::Evaluation { scores, best, .. } => {
                let shown = ["macro_f1", "accuracy"]
                    .into_iter()
                    .find_map(|it| scores.metrics.get_key_value(it));
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

/// A line tells of all steps since the line before it. What is spent once for an example ends with
/// the first epoch.
fn seconds_left(begun: Option<u64>, steps: &[Step]) -> Option<f64> {
    let old = steps.len().saturating_sub(LINES_FOR_ETA);
    let (from, recent) = match (old, begun) {
        (0, Some(begun)) => (begun, steps),
        (0, None) => (steps.first()?.step, &steps[1..]),
        _ => (steps[old - 1].step, &steps[old..]),
    };
    let last = recent.last()?;
    let a_step =
        |part: fn(&Step) -> f64| recent.iter().map(part).sum::<f64>() / (last.step - from) as f64;
    let left = last.steps.saturating_sub(last.step) as f64;
    let left_once = (last.step as f64 / last.epoch - last.step as f64).max(0.0);
    Some(
        a_step(|it| it.seconds - it.once_seconds) * left + a_step(|it| it.once_seconds) * left_once,
    )
}

pub(crate) fn stage_name(stage: Phase) -> &'static str {
    match stage {
        Phase::Unpacking => "unpacking",
        Phase::Reading => "reading",
        Phase::Tokenizing => "tokenizing",
        Phase::Loading => "loading the model",
        Phase::Pulling => "fetching the model",
        Phase::Training => "training",
        Phase::Probing => "fitting a linear probe",
        Phase::Refitting => "training once more on all examples",
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
        Event::Step(Step {
            step,
            steps: 100,
            epoch,
            loss,
            lr: 1e-4,
            grad_norm: 1.0,
            examples: 32,
            tokens: 9,
            tokens_padded: 10,
            seconds,
            once_seconds: 0.0,
            sampled: None,
        })
    }

    fn after(events: Vec<Event>) -> Progress {
        Progress::after(events.into_iter().map(|event| Line { at_ms: 0, attempt: 1, event }))
    }

    fn started(resumed_from: Option<u64>) -> Event {
        Event::Started { pid: 1, version: String::new(), resumed_from }
    }

    fn training(steps: Vec<Event>) -> Progress {
        after(
            [vec![started(None), Event::Phase { phase: Phase::Training, total: Some(100) }], steps]
                .concat(),
        )
    }

    #[test]
    fn training_tells_step_loss_and_time_left() {
        let progress = training(vec![step(10, 10.0), step(20, 30.0)]);
        assert_eq!(
            progress.sentence(),
            "training, step 20 of 100, epoch 2.00, loss 0.050, 2 min 40 s left"
        );
    }

    #[test]
    fn of_a_tail_only_what_lies_between_two_lines_is_a_measure() {
        let tail = |steps| {
            after([vec![Event::Phase { phase: Phase::Training, total: Some(100) }], steps].concat())
                .eta_s
        };
        assert_eq!(tail(vec![step(19, 1.0)]), None);
        assert_eq!(tail(vec![step(18, 1.0), step(20, 3.0)]), Some(80.0 * 1.5));
    }

    #[test]
    fn what_is_spent_once_is_not_expected_of_later_epochs() {
        let Event::Step(slow) = step(4, 8.0) else { unreachable!() };
        assert_eq!(
            training(vec![Event::Step(Step { once_seconds: 6.0, ..slow })]).eta_s,
            Some(96.0 * 0.5 + 6.0 * 1.5)
        );
    }

    #[test]
    fn a_new_attempt_forgets_the_old_one() {
        assert_eq!(after(vec![step(20, 1.0), started(Some(20))]).sentence(), "starting");
    }

    #[test]
    fn a_stage_tells_its_part() {
        let stage = Event::Phase { phase: Phase::Tokenizing, total: Some(200) };
        assert_eq!(
            after(vec![stage, Event::Progress { done: 50, total: None }]).sentence(),
            "tokenizing, 25 %"
        );
    }

    #[test]
    fn a_tail_begins_with_a_whole_line_and_survives_torn_ones() {
        let run = tempfile::tempdir().unwrap();
        let line =
            serde_json::to_string(&Line { at_ms: 0, attempt: 1, event: step(7, 1.0) }).unwrap();
        let long = "x".repeat(2 * TAIL_BYTES as usize);
        fs::write(run.path().join("events.jsonl"), format!("{long}\n{line}\n{{\"at_ms\":"))
            .unwrap();
        assert_eq!(of(run.path()).step.unwrap().step, 7);
        assert_eq!(of(&run.path().join("absent")), Progress::default());
    }
}
