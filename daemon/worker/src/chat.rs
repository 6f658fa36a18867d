//! The action `chat`: on stdin a list of messages a line, on stdout what the model answers, word by
//! word; the model is loaded once.

use crate::generate::generate;
use crate::predict::Finished;
use crate::replies::{Growing, Replies};
use crate::stop::{Stop, Stopped};
use anyhow::{Context, Result, anyhow};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::spec::{Sampling, Spec};
use serde_json::{Value, json};
use std::io::{self, BufRead, Read};

/// Longest line: a conversation of some thousand pages.
const LINE_BYTES_MAX: u64 = 16 << 20;

pub(crate) fn chat(spec: &Spec, sampling: &Sampling, stop: &Stop) -> Result<()> {
    let mut replies = Replies::apart()?;
    let finished = Finished::open(spec)?;
    let task = finished.plan.task;
    if !task.modality.has_messages() || !task.objective.goes_on() {
        let message = format!("{} has not learnt to answer", spec.run.display());
        return Err(Failure::new(FailureKind::Model, message)
            .with_cure("`finetuned predict` asks it about one thing at a time")
            .into());
    }
    replies.line(&json!({ "ready": true }))?;
    replies.flush()?;
    let mut stdin = std::io::stdin().lock();
    while let Some(line) = line(&mut stdin).context("reading what is said")? {
        let answer = match line {
            Line::Whole(messages) => answered(&finished, &messages, sampling, &mut replies, stop),
            Line::TooLong => Err(anyhow!("that is longer than {LINE_BYTES_MAX} bytes")),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(err) if err.is::<Stopped>() => return Err(err),
            // What one turn can't have is no end of the conversation.
            Err(err) => json!({ "error": format!("{err:#}") }),
        };
        replies.line(&answer)?;
        replies.flush()?;
    }
    Ok(())
}

enum Line {
    Whole(String),
    /// Read to its end all the same.
    TooLong,
}

fn line(from: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    let read = from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)? as u64;
    if read < LINE_BYTES_MAX || bytes.ends_with(b"\n") {
        let text = String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned();
        return Ok((0 < read).then_some(Line::Whole(text)));
    }
    while !bytes.ends_with(b"\n") {
        bytes.clear();
        if from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
    }
    Ok(Some(Line::TooLong))
}

/// The whole answer; its parts are printed meanwhile.
fn answered(
    finished: &Finished,
    messages: &str,
    sampling: &Sampling,
    replies: &mut Replies,
    stop: &Stop,
) -> Result<Value> {
    let encoder = finished.encoder.as_ref();
    let named = finetuned_data::inputs(finished.plan.task.modality, &[messages.into()], &[])?;
    let record = &named.first().context("nothing was said")?.record;
    let prompts = [encoder.prompt(record)?];
    let mut growing = Growing::default();
    let found = generate(
        &finished.saved.network,
        &prompts,
        encoder.ends(),
        (sampling, finished.saved.max_positions),
        &mut |_, tokens| {
            stop.check()?;
            growing.print(tokens, encoder, replies)
        },
    )?;
    let of = found.first().context("the model gave no answer")?;
    let text = encoder.text(&of.tokens);
    growing.print_rest(text.clone(), replies)?;
    Ok(of.reply(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_one_and_the_next_is_whole() {
        let mut input = vec![b'x'; 2 * LINE_BYTES_MAX as usize + 3];
        input.extend(b"\nshort\n\nlast");
        let mut from = &*input;
        let mut lines = Vec::new();
        while let Some(line) = line(&mut from).unwrap() {
            lines.push(match line {
                Line::Whole(text) => text,
                Line::TooLong => "too long".into(),
            });
        }
        assert_eq!(lines, ["too long", "short", "", "last"]);
    }
}
