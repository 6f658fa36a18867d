//! Reads `events.jsonl` as a crash may have left it: the last line may be torn, and the steps after
//! the last checkpoint may be told twice.

use anyhow::{Context, Result};
use finetuned_job::event::{Event, LINE_BYTES_MAX, Line};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The lines of an `events.jsonl` in their order. Lines that no worker of ours has written whole
/// (torn, over [`LINE_BYTES_MAX`], other JSON) are left out; of several lines about one step, or
/// one evaluation of one split, the last one stays.
pub fn read_events(path: &Path) -> Result<Vec<Line>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    parse(BufReader::new(file)).with_context(|| format!("reading {}", path.display()))
}

fn parse(mut input: impl BufRead) -> std::io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = input.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            break;
        }
        if bytes.last() != Some(&b'\n') && LINE_BYTES_MAX < read {
            input.skip_until(b'\n')?;
            continue;
        }
        if let Ok(line) = serde_json::from_slice(&bytes) {
            lines.push(line);
        }
    }
    Ok(last_reported(lines))
}

/// What a line is about, where a later line about the same replaces it.
#[derive(PartialEq, Eq, Hash)]
enum Subject {
    Step(u64),
    /// Step and name of the split.
    Evaluation(u64, &'static str),
}

fn subject(line: &Line) -> Option<Subject> {
    match &line.event {
        Event::Step(step) => Some(Subject::Step(step.step)),
        Event::Evaluation { step, scores, .. } => {
            Some(Subject::Evaluation(*step, scores.split.name()))
        }
        _ => None,
    }
}

fn last_reported(lines: Vec<Line>) -> Vec<Line> {
    let last: HashMap<Subject, usize> = lines
        .iter()
        .enumerate()
        .filter_map(|(index, line)| Some((subject(line)?, index)))
        .collect();
    let stays = |(index, line): &(usize, Line)| subject(line).is_none_or(|it| last[&it] == *index);
    lines.into_iter().enumerate().filter(stays).map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use finetuned_job::event::Step;

    fn step(step: u64, attempt: u32) -> String {
        let event = Event::Step(Step {
            step,
            steps: 9,
            epoch: 0.0,
            loss: 1.0,
            lr: 0.1,
            grad_norm: 1.0,
            examples: 1,
            tokens: 1,
            tokens_padded: 1,
            seconds: 1.0,
            once_seconds: 0.0,
            sampled: None,
        });
        serde_json::to_string(&Line { at_ms: 0, attempt, event }).unwrap()
    }

    fn reported(text: &str) -> Vec<(u64, u32)> {
        let about = |line: Line| match line.event {
            Event::Step(it) => (it.step, line.attempt),
            other => panic!("{other:?}"),
        };
        parse(text.as_bytes()).unwrap().into_iter().map(about).collect()
    }

    #[test]
    fn steps_that_come_again_after_a_crash_count_once() {
        let text =
            [step(1, 1), step(2, 1), step(3, 1), step(2, 2), step(3, 2), step(4, 2)].join("\n");
        assert_eq!(reported(&text), [(1, 1), (2, 2), (3, 2), (4, 2)]);
    }

    #[test]
    fn torn_overlong_and_foreign_lines_are_left_out() {
        let overlong = format!("{{\"at_ms\":\"{}\"}}", "x".repeat(3 * LINE_BYTES_MAX));
        let whole = step(3, 1);
        let text = [
            step(1, 1),
            overlong,
            "{\"kind\":7}\n\n\u{0}".into(),
            step(2, 1),
            whole[..whole.len() / 2].into(),
        ]
        .join("\n");
        assert_eq!(reported(&text), [(1, 1), (2, 1)]);
    }

    #[test]
    fn a_line_of_the_longest_length_is_read() {
        let line = step(1, 1);
        let padded = format!("{}{line}\n{}\n", " ".repeat(LINE_BYTES_MAX - line.len()), step(2, 1));
        assert_eq!(reported(&padded), [(1, 1), (2, 1)]);
    }
}
