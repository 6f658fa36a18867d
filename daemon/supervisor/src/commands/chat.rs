//! `finetuned chat RUN`: a person says something, a worker answers, and both remember what was said
//! until the end.

use super::{ask_folder, heard, run_folder_of};
use crate::cli::{ChatArgs, Exit};
use crate::config::Config;
use crate::home::Home;
use crate::report::{self, Report};
use crate::worker_process::{Talk, read_line};
use anyhow::{Context, Result};
use finetuned_job::spec::Action;
use serde_json::{Value, json};
use std::io::{self, IsTerminal};

/// Of one thing that a person says: more than any model reads.
const INPUT_BYTES_MAX: usize = 1 << 20;
/// Begins anew, when a person types it.
const NEW: &str = "/new";

pub(super) fn chat(home: &Home, args: &ChatArgs, report: &mut Report) -> Result<Exit> {
    let config = Config::load(&home.root)?;
    let run = run_folder_of(home, &args.run)?;
    let action = Action::Chat { sampling: args.sampling.chosen() };
    let (_folder, spec_file) = ask_folder(&config, action, Some(&run))?;
    let mut talk = Talk::start(&config.worker, &spec_file)?;
    // Or it has said on stderr why not.
    if talk.hear().is_some() {
        converse(args, &mut talk, report)?;
    }
    Ok(if talk.end()?.success() { Exit::Done } else { Exit::Error })
}

/// Until nothing more is said.
fn converse(args: &ChatArgs, talk: &mut Talk, report: &mut Report) -> Result<()> {
    let is_person = io::stdin().is_terminal() && report.is_terminal() && !args.json;
    let system = args.system.iter().map(|it| message("system", it));
    let beginning: Vec<Value> = system.collect();
    let mut messages = beginning.clone();
    let mut stdin = io::stdin().lock();
    loop {
        if is_person {
            report.part("> ")?;
        }
        let line = read_line(&mut stdin, INPUT_BYTES_MAX).context("reading what you say")?;
        let Some(line) = line else {
            return if is_person { report.line("") } else { Ok(()) }.map_err(Into::into);
        };
        match String::from_utf8_lossy(&line).trim() {
            "" => {}
            NEW => messages.clone_from(&beginning),
            input => {
                messages.push(message("user", input));
                match answer(&messages, talk, args.json, report)? {
                    Some(text) => messages.push(message("assistant", &text)),
                    None => drop(messages.pop()),
                }
            }
        }
    }
}

fn message(role: &str, content: &str) -> Value {
    json!({ "role": role, "content": content })
}

/// What the model says, printed while it does; nothing where it can't, which is printed too.
fn answer(
    messages: &[Value],
    talk: &mut Talk,
    as_json: bool,
    report: &mut Report,
) -> Result<Option<String>> {
    talk.say(&serde_json::to_string(messages)?)?;
    let mut print = |delta: &str| if as_json { Ok(()) } else { report.part(delta) };
    let value =
        heard(talk, &mut print)?.context("the worker has left; its last words are above")?;
    if as_json {
        report.json(&value)?;
    } else if let Some(why) = value["error"].as_str() {
        report::complain(why);
    } else {
        report.line("")?;
    }
    Ok(value["generated_text"].as_str().map(str::to_string))
}
