//! `finetuned run` and `finetuned check`: one drop in the foreground, read where it lies, without a
//! daemon and without the queue. What a worker's end means is decided in `attempt`, as for the
//! daemon.

mod findings; // data report and plan -> a table
mod out; // which run folder, and whether it fits

use crate::assignment::Assignment;
use crate::attempt::{self, Ending, Next};
use crate::cli::{Exit, RunArgs};
use crate::config::{self, Config};
use crate::display::Display;
use crate::home::Home;
use crate::queue::Phase;
use crate::report::{self, Report};
use crate::worker_process::{Heard, Room, WorkerProcess};
use crate::{lookup, proven, run_facts, signals};
use anyhow::{Context, Result};
use finetuned_job::data::DataReport;
use finetuned_job::event::Event;
use finetuned_job::outcome::Failure;
use finetuned_job::plan::Plan;
use finetuned_job::run_folder;
use finetuned_job::spec::{Action, RecipeText, exit};
use out::Out;
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Lines of a worker that may wait for being shown.
const WAITING_MAX: usize = 256;

/// What can come while a worker works.
enum News {
    Heard(Heard),
    Signal(i32),
}

/// One worker after the other on one run folder.
struct Foreground<'a> {
    config: &'a Config,
    out: &'a Out,
    news: Receiver<News>,
    sender: SyncSender<News>,
    /// The signal that told us to stop.
    signal: Option<i32>,
}

pub(crate) fn run(home: &Home, args: &RunArgs, report: &mut Report) -> Result<Exit> {
    let config = Config::load(&home.root)?;
    let recipe = args.recipe.as_deref().map(config::recipe_text).transpose()?;
    let out = Out::choose(home, &args.drop, recipe, args.out.as_deref())?;
    if run_facts::read(&out.run).done {
        out.is_about_this()?;
        return done(&out, args.json, report);
    }
    out.begin()?;
    let (sender, news) = sync_channel(WAITING_MAX);
    hear_signals(sender.clone())?;
    let mut display = Display::new(args.json);
    let mut foreground = Foreground { config: &config, out: &out, news, sender, signal: None };
    let next = display
        .begin(&out.run, report)
        .map_err(Into::into)
        .and_then(|()| foreground.train_and_prove(&mut display, report));
    display.end();
    let next = match next {
        // Nothing is proven: to end as quietly as other commands do must not look like success.
        Err(err) if report::is_reader_gone(&err) => return Ok(Exit::Stopped),
        next => next?,
    };
    match next {
        Next::Done => done(&out, args.json, report),
        Next::Failed(failure) | Next::Quarantine(failure) => {
            failed(&out, &failure, args.json, report)
        }
        Next::Prove | Next::Again { .. } => {
            let where_ = out.run.display();
            report::complain(&format!(
                "stopped, nothing is lost: the same command with `--out '{where_}'` continues"
            ));
            Ok(if foreground.signal == Some(SIGINT) { Exit::Interrupted } else { Exit::Stopped })
        }
    }
}

impl Foreground<'_> {
    /// Until it is proven, has failed, or was stopped.
    fn train_and_prove(&mut self, display: &mut Display, report: &mut Report) -> Result<Next> {
        let mut crashes = 0;
        run_facts::step_back(&self.out.run)?;
        let mut phase =
            if run_facts::read(&self.out.run).trained { Phase::Prove } else { Phase::Train };
        let mut attempt = self.out.attempt;
        loop {
            let (ending, reported) = self.work(phase, attempt, display, report)?;
            let next = attempt::next(
                phase,
                &ending,
                run_facts::read(&self.out.run),
                reported,
                self.signal.is_some(),
                crashes,
            );
            match &next {
                Next::Prove if self.signal.is_none() => phase = Phase::Prove,
                Next::Again { crash: Some(how) } => {
                    display.say(&format!(
                        "the worker died {how}; another one goes on from the last checkpoint"
                    ));
                    crashes += 1;
                    attempt += 1;
                }
                _ => return Ok(next),
            }
        }
    }

    /// One worker from start to end: how it left, and the failure that it told.
    fn work(
        &mut self,
        phase: Phase,
        attempt: u32,
        display: &mut Display,
        report: &mut Report,
    ) -> Result<(Ending, Option<Failure>)> {
        let action = match phase {
            Phase::Train => Action::Train,
            Phase::Prove => Action::Prove,
        };
        let process = start(self.config, self.out, action, attempt, self.sender.clone())?;
        let mut reported = None;
        loop {
            // We hold a sender ourselves, so the channel stays open.
            match self.news.recv().context("waiting for the worker")? {
                News::Signal(signal) if self.signal.is_some() => {
                    display.say("killed at once; what came after the last checkpoint is lost");
                    self.signal = Some(signal);
                    process.kill();
                }
                News::Signal(signal) => {
                    display.say("stopping: a checkpoint is written (once more: kill at once)");
                    self.signal = Some(signal);
                    process.stop();
                }
                News::Heard(Heard::Line(line)) => {
                    if let Err(err) = display.show(&line, report) {
                        self.see_off(&process);
                        return Err(err.into());
                    }
                    if let Event::Failed { failure } = line.event {
                        reported = Some(failure);
                    }
                }
                News::Heard(Heard::Ended(ending, _)) => return Ok((ending, reported)),
            }
        }
    }

    /// Until the worker has written its checkpoint and left, so that the same command may follow at
    /// once.
    fn see_off(&self, process: &WorkerProcess) {
        process.stop();
        while let Ok(news) = self.news.recv() {
            match news {
                News::Signal(_) => process.kill(),
                News::Heard(Heard::Ended(..)) => return,
                News::Heard(Heard::Line(_)) => {}
            }
        }
    }
}

fn start(
    config: &Config,
    out: &Out,
    action: Action,
    attempt: u32,
    sender: SyncSender<News>,
) -> Result<WorkerProcess> {
    let spec = Assignment {
        action,
        job: 0,
        attempt,
        drop: Some(out.drop.clone()),
        run: &out.run,
        recipe: out.recipe.clone(),
    }
    .spec(config);
    let spec_file = out.run.join(run_folder::SPEC);
    run_facts::forget_failure(&out.run)?;
    run_facts::write_json(&spec_file, &spec)?;
    let hear = move |heard| drop(sender.send(News::Heard(heard)));
    let room = Room { alone: true, group: None };
    WorkerProcess::start(&config.worker, &spec_file, &out.run, room, hear)
}

fn hear_signals(sender: SyncSender<News>) -> Result<()> {
    signals::hear(&[SIGTERM, SIGINT], move |signal| sender.send(News::Signal(signal)).is_ok())
}

fn done(out: &Out, as_json: bool, report: &mut Report) -> Result<Exit> {
    proven::show(&out.run, as_json, report)?;
    Ok(Exit::Done)
}

fn failed(out: &Out, failure: &Failure, as_json: bool, report: &mut Report) -> Result<Exit> {
    if run_facts::read(&out.run).failed.is_none() {
        let name =
            out.drop.file_name().map_or_else(String::new, |it| it.to_string_lossy().into_owned());
        run_facts::write_failed(&out.run, 0, &name, out.attempt, failure)?;
    }
    report::complain(&failure.to_string());
    if as_json {
        let reported = report
            .json(&run_facts::json::<Value>(&out.run.join(run_folder::FAILED))?)
            .map_err(Into::into);
        reported.or_else(|err| if report::is_reader_gone(&err) { Ok(()) } else { Err(err) })?;
    }
    Ok(Exit::JobFailed)
}

/// The data report and the plan, in a folder that goes afterwards.
pub(crate) fn check(
    home: &Home,
    drop: &Path,
    recipe: Option<&Path>,
    as_json: bool,
    report: &mut Report,
) -> Result<Exit> {
    let config = Config::load(&home.root)?;
    let recipe: Option<RecipeText> = recipe.map(config::recipe_text).transpose()?;
    let drop = lookup::drop_at(drop)?;
    // Beside the runs where there are any: an unpacked archive may be too big for /tmp.
    let builder = |parent: PathBuf| tempfile::Builder::new().prefix(".check-").tempdir_in(parent);
    let folder = builder(home.runs())
        .or_else(|_| builder(std::env::temp_dir()))
        .context("making a temporary folder")?;
    let out = Out { drop, run: folder.path().to_path_buf(), recipe, attempt: 1 };
    let (sender, news) = sync_channel(WAITING_MAX);
    hear_signals(sender.clone())?;
    let mut display = Display::quiet();
    let process = start(&config, &out, Action::Check, 1, sender)?;
    let mut reported = None;
    let ending = loop {
        match news.recv().context("waiting for the worker")? {
            News::Signal(_) => process.stop(),
            News::Heard(Heard::Line(line)) => {
                display.show(&line, report)?;
                if let Event::Failed { failure } = line.event {
                    reported = Some(failure);
                }
            }
            News::Heard(Heard::Ended(ending, _)) => break ending,
        }
    };
    display.end();
    match ending {
        Ending::Exited(exit::DONE) => print_findings(&out.run, as_json, report),
        Ending::Exited(exit::STOPPED) => Ok(Exit::Interrupted),
        Ending::Exited(exit::FAILED) => {
            let failure = run_facts::read(&out.run)
                .failed
                .or(reported)
                .context("the worker gave up without saying why")?;
            report::complain(&failure.to_string());
            Ok(Exit::JobFailed)
        }
        died => {
            if let Some(failure) = attempt::starved(&died, &run_facts::read(&out.run)) {
                report::complain(&failure.to_string());
                return Ok(Exit::JobFailed);
            }
            let log = fs::read_to_string(out.run.join(run_folder::LOG)).unwrap_or_default();
            report::complain(&format!("the worker died {}", attempt::describe(&died)));
            log.trim_end().lines().for_each(report::complain);
            Ok(Exit::Error)
        }
    }
}

fn print_findings(run: &Path, as_json: bool, report: &mut Report) -> Result<Exit> {
    let (data, plan): (DataReport, Plan) = (
        run_facts::json(&run.join(run_folder::DATA))?,
        run_facts::json(&run.join(run_folder::PLAN))?,
    );
    if as_json {
        report.json(&json!({ "data": data, "plan": plan }))?;
    } else {
        report.lines(&findings::table(&data, &plan))?;
    }
    Ok(Exit::Done)
}
