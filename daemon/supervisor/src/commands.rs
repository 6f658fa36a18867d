//! Carries out what was typed. Commands that only ask open the database for reading; those that
//! wish something write it there and poke the daemon, and work without one too.

mod chat;
mod doctor;
mod export;
mod gc;
mod logs;
mod models;
mod plugin;
mod predict;
mod show;
mod status;
mod submit;
mod wait;

use crate::assignment::Assignment;
use crate::cli::{Cli, Command, Exit, WishArgs};
use crate::config::{self, Config};
use crate::home::Home;
use crate::queue::{Job, JobId, Queue, Wish};
use crate::report::Report;
use crate::worker_process::Talk;
use crate::{
    access, foreground, logging, lookup, poke, run_facts, supervisor, systemd, worker_process,
};
use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use finetuned_job::run_folder;
use finetuned_job::spec::Action;
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use tempfile::TempDir;

const NOBODY_SERVES: &str = "no daemon serves this home now: start one with `finetuned serve`";

pub(crate) fn execute(cli: Cli) -> Result<Exit> {
    let home = || config::home(cli.home.clone()).map(Home::new);
    let mut report = Report::new();
    match cli.command {
        Command::Serve { log } => {
            let home = home()?;
            let config = Config::load(&home.root)?;
            logging::start(log.unwrap_or(config.log))?;
            access::make_private();
            match supervisor::serve(home, config) {
                Ok(()) => Ok(Exit::Done),
                // From here on whoever reads our stderr reads a log.
                Err(err) => {
                    tracing::error!("{err:#}");
                    systemd::failed(&err);
                    Ok(Exit::Error)
                }
            }
        }
        Command::Run(args) => foreground::run(&home()?, &args, &mut report),
        Command::Check { drop, recipe, json } => {
            foreground::check(&home()?, &drop, recipe.as_deref(), json, &mut report)
        }
        Command::Submit(args) => submit::submit(&home()?, &args, &mut report),
        Command::Wait { job, json } => wait::wait(&home()?, &job.job, json, &mut report),
        Command::Status { all, json } => status::status(&home()?, all, json, &mut report),
        Command::Show { job, json } => show::show(&home()?, &job.job, json, &mut report),
        Command::Logs { job, follow, json } => {
            logs::logs(&home()?, &job.job, follow, json, &mut report)
        }
        Command::Remove { job } => gc::remove(&home()?, &job.job, &mut report),
        Command::Gc { dry_run, json } => gc::gc(&home()?, dry_run, json, &mut report),
        Command::Cancel(args) => wish(&home()?, &args, Wish::Cancel, &mut report),
        Command::Retry(args) => wish(&home()?, &args, Wish::Retry, &mut report),
        Command::Pause(args) => wish(&home()?, &args, Wish::Pause, &mut report),
        Command::Resume(args) => wish(&home()?, &args, Wish::Resume, &mut report),
        Command::Priority { wish, priority } => {
            ask_for(&home()?, &wish, &mut report, |queue, id| queue.prioritise(id, priority))
        }
        Command::Predict(args) => predict::predict(&home()?, &args, &mut report),
        Command::Chat(args) => chat::chat(&home()?, &args, &mut report),
        Command::Export(args) => export::export(&home()?, &args, &mut report),
        Command::Model(command) => models::models(&home()?, &command, &mut report),
        Command::Plugin(command) => plugin::plugin(&home()?, &command, &mut report),
        Command::Doctor { json } => doctor::doctor(&home()?, json, &mut report),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "finetuned", &mut script);
            report.raw(&script)?;
            Ok(Exit::Done)
        }
        Command::Man { folder: Some(folder) } => {
            clap_mangen::generate_to(Cli::command(), &folder)
                .with_context(|| format!("writing manual pages into {}", folder.display()))?;
            Ok(Exit::Done)
        }
        Command::Man { folder: None } => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            report.raw(&page)?;
            Ok(Exit::Done)
        }
    }
}

fn wish(home: &Home, args: &WishArgs, wish: Wish, report: &mut Report) -> Result<Exit> {
    ask_for(home, args, report, |queue, id| queue.wish(id, wish))
}

/// `grant` writes it into the database and has the answer.
fn ask_for(
    home: &Home,
    args: &WishArgs,
    report: &mut Report,
    grant: impl FnOnce(&mut Queue, JobId) -> Result<String>,
) -> Result<Exit> {
    let id = find(home, &args.job.job)?.1.id;
    let answer = grant(&mut Queue::open(&home.database())?, id)?;
    poke::poke(home);
    if args.json {
        report.json(&json!({ "id": id.0, "answer": answer, "served": home.is_served() }))?;
        return Ok(Exit::Done);
    }
    report.line(&answer)?;
    if !home.is_served() {
        report.line(NOBODY_SERVES)?;
    }
    Ok(Exit::Done)
}

fn find(home: &Home, wanted: &str) -> Result<(Queue, Job)> {
    let Some(queue) = Queue::open_to_read(&home.database())? else {
        bail!(
            "there are no jobs in {} yet: drop a data set into an inbox, or name another --home",
            home.root.display()
        );
    };
    let job = lookup::find(queue.all()?, wanted)?;
    Ok((queue, job))
}

/// A run folder's own path, or a job.
fn run_folder_of(home: &Home, wanted: &str) -> Result<PathBuf> {
    let path = Path::new(wanted);
    if path.join(run_folder::PLAN).exists() {
        return std::path::absolute(path).context("finding the current folder");
    }
    if path.is_dir() {
        bail!("{} is not the folder of a run: it has no {}", path.display(), run_folder::PLAN);
    }
    Ok(home.runs().join(find(home, wanted)?.1.run))
}

/// One question to a worker; `run` is a finished run where the question is about one.
fn ask(config: &Config, action: Action, run: Option<&Path>) -> Result<(ExitStatus, Vec<u8>)> {
    let (_folder, spec_file) = ask_folder(config, action, run)?;
    worker_process::ask(&config.worker, &spec_file)
}

/// The worker's next answer, whose parts `print` has had while it came into being; none when it
/// says nothing more.
fn heard(talk: &mut Talk, print: &mut dyn FnMut(&str) -> io::Result<()>) -> Result<Option<Value>> {
    while let Some(line) = talk.hear() {
        let value: Value = serde_json::from_slice(&line).context("reading the worker's answer")?;
        match value["delta"].as_str() {
            Some(delta) => print(delta)?,
            None => return Ok(Some(value)),
        }
    }
    Ok(None)
}

/// A folder with the spec of a question, which is the run folder where the question is about no
/// other.
fn ask_folder(config: &Config, action: Action, run: Option<&Path>) -> Result<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir().context("making a temporary folder")?;
    let spec_file = folder.path().join("spec.json");
    let run = run.unwrap_or(folder.path());
    let spec =
        Assignment { action, job: 0, attempt: 1, drop: None, run, recipe: None }.spec(config);
    run_facts::write_json(&spec_file, &spec)?;
    Ok((folder, spec_file))
}
