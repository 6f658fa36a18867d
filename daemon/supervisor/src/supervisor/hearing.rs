//! What of a worker's words the daemon acts on or logs; the rest stays in `events.jsonl`. What
//! follows from them is carried out in `crew`.

use crate::wake::WorkerNews;
use crate::worker_process::Heard;
use finetuned_job::event::{Event, Phase};

/// Of an attempt's warnings in the daemon's log: a plugin may have one for every step.
const WARNINGS_BYTES_MAX: usize = 64 * 1024;

/// Listens to one worker.
pub(super) struct Ear {
    /// What its warnings may still take of the log.
    bytes_left: Option<usize>,
}

impl Ear {
    pub(super) fn new() -> Ear {
        Ear { bytes_left: Some(WARNINGS_BYTES_MAX) }
    }

    pub(super) fn news(&mut self, heard: Heard) -> Option<WorkerNews> {
        match heard {
            Heard::Ended(ending, usage) => Some(WorkerNews::Ended(ending, usage)),
            Heard::Line(line) => match line.event {
                Event::Warning { message } => self.warning(message).map(WorkerNews::Warning),
                Event::Failed { failure } => Some(WorkerNews::Failed(failure)),
                // Stages that work on texts in memory.
                Event::Phase { phase: Phase::Tokenizing | Phase::Training, .. } => {
                    Some(WorkerNews::DropRead)
                }
                _ => None,
            },
        }
    }

    fn warning(&mut self, message: String) -> Option<String> {
        self.bytes_left = self.bytes_left?.checked_sub(message.len());
        let no_more = || "it has more to warn of, which stands in its events.jsonl".into();
        Some(self.bytes_left.map_or_else(no_more, |_| message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use finetuned_job::event::Line;

    #[test]
    fn a_flood_of_warnings_is_logged_in_part() {
        let mut ear = Ear::new();
        let mut heard = Vec::new();
        for _ in 0..2 * WARNINGS_BYTES_MAX / 1000 {
            let event = Event::Warning { message: "x".repeat(1000) };
            let line = Heard::Line(Box::new(Line { at_ms: 1, attempt: 1, event }));
            if let Some(WorkerNews::Warning(message)) = ear.news(line) {
                heard.push(message);
            }
        }
        let last = heard.pop().unwrap();
        assert!(last.contains("events.jsonl") && heard.iter().all(|it| it.len() == 1000));
        assert_eq!(heard.len(), WARNINGS_BYTES_MAX / 1000);
        let event = Event::Phase { phase: Phase::Training, total: None };
        let line = Heard::Line(Box::new(Line { at_ms: 1, attempt: 1, event }));
        assert!(matches!(ear.news(line), Some(WorkerNews::DropRead)));
    }
}
