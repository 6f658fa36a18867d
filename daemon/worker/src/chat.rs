//! The action `chat`: on stdin a list of messages a line, on stdout what the model answers, word by
//! word; the model is loaded once.

use crate::generate::generate_aloud;
use crate::predict::Finished;
use crate::replies::{Growing, Replies};
use anyhow::{Context, Result};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::spec::{Sampling, Spec};
use serde_json::{Value, json};
use std::io::BufRead;

/// Longest line: a conversation of some thousand pages.
const LINE_BYTES_MAX: u64 = 16 << 20;

pub(crate) fn chat(spec: &Spec, sampling: &Sampling) -> Result<()> {
    let mut replies = Replies::apart()?;
    let finished = Finished::open(spec)?;
    if !finished.plan.task.modality.has_messages() {
        let message = format!("{} has not learnt from conversations", spec.run.display());
        return Err(Failure::new(FailureKind::Model, message)
            .with_cure("`finetuned predict` asks it about one thing at a time")
            .into());
    }
    replies.line(&json!({ "ready": true }))?;
    replies.flush()?;
    let mut stdin = std::io::stdin().lock();
    let mut line = String::new();
    loop {
        line.clear();
        let read = std::io::Read::take(&mut stdin, LINE_BYTES_MAX).read_line(&mut line);
        if read.context("reading what is said")? == 0 {
            return Ok(());
        }
        // What one turn can't have is no end of the conversation.
        let answer = answered(&finished, line.trim_end(), sampling, &mut replies)
            .unwrap_or_else(|err| json!({ "error": format!("{err:#}") }));
        replies.line(&answer)?;
        replies.flush()?;
    }
}

/// The whole answer; its parts are printed meanwhile.
fn answered(
    finished: &Finished,
    messages: &str,
    sampling: &Sampling,
    replies: &mut Replies,
) -> Result<Value> {
    let encoder = finished.encoder.as_ref();
    let named = finetuned_data::inputs(finished.plan.task.modality, &[messages.into()], &[])?;
    let record = &named.first().context("nothing was said")?.record;
    let prompts = [encoder.prompt(record)?];
    let mut growing = Growing::default();
    let found = generate_aloud(
        &finished.saved.network,
        &prompts,
        encoder.ends(),
        (sampling, finished.saved.max_positions),
        &mut |_, tokens| growing.print(tokens, encoder, replies),
    )?;
    let of = found.first().context("the model gave no answer")?;
    Ok(of.reply(&encoder.text(&of.tokens)))
}
