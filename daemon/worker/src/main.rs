//! `finetuned-worker SPEC`: one attempt at one job, or one question about a model, in a process of
//! its own.
//!
//! Decides how an attempt begins (spec, lock, limits) and how it ends (exit status, `failed.json`).
//! Everything between is in the modules, listed as the data flows.

mod stderr; // lines of the log
mod failures; // what went wrong -> words
mod durable; // files that appear whole
mod journal; // events out
mod stop; // the stop signal as a flag
mod sandbox; // spec -> what the process may reach
mod attempt; // spec, journal and stop signal, on their way together
mod device; // CPU or GPU
mod checkpoint; // updates -> disk and back
mod plugins; // libraries that users bring: the only foreign code
mod plugin_reader; // what a plugin read -> files
mod extensions; // what a recipe takes from plugins
mod adapter; // names -> linear maps with an adapter
mod freeze; // patterns -> tensors that train
mod rules; // an answer's text -> what it is rewarded with
mod schedule; // step -> learning rate
mod class_weights; // counts -> weights of classes
mod planning; // recipe and facts -> plan
mod batches; // examples -> which stand together
mod modality; // records -> encoded inputs -> tensors
mod examples; // inputs and targets of a split
mod feature_store; // what frozen stages gave, on disk
mod feature_cache; // what frozen stages give
mod units; // numbers of the data <-> numbers that are learnt
mod network; // tensors -> outputs
mod generate; // prompt -> what follows
mod gguf; // a model's folder -> one file for llama.cpp
mod source; // where batches come from
mod stored; // batches of stored data
mod stranger_base; // a drop's recipe -> the base model it may have
mod base_model; // a name -> the base model, beneath an adapter or not
mod reward_model; // a finished model -> rewards of answers
mod rewards; // answers -> what they are rewarded with
mod objective; // outputs x targets -> loss
mod linear_head; // a plugin's head -> the family's own
mod learner; // loss -> gradients -> updates
mod evaluate; // model x split -> predictions
mod estimate; // one batch -> time and memory
mod precision; // two timed steps -> fp32 or bf16
mod reference; // what the base finds of answers
mod prepare; // spec -> recipe, base model, data
mod probe; // a linear map of what the frozen base gives
mod patience; // evaluations -> an early end
mod refit; // a plan -> that of a second training
mod trainer; // the loop
mod resume; // checkpoint -> a learner that goes on
mod export; // tensors -> model folder
mod samples; // held-out texts -> what a model says to their beginnings
mod finish; // a trained model -> model folder and scores
mod training; // the action `train`
mod proof; // the action `prove`
mod convert; // the action `export`
mod fill_mask; // masked texts -> what may stand there
mod replies; // answers -> stdout
mod predict; // the action `predict`
mod chat; // the action `chat`
mod questions; // the actions `check`, `pull`, `inspect`, `doctor`

use anyhow::{Context, Result, bail};
use attempt::Attempt;
use finetuned_job::event::Event;
use finetuned_job::outcome::{Failed, Failure, OUTCOME_VERSION};
use finetuned_job::run_folder;
use finetuned_job::spec::{Action, SPEC_VERSION, Spec, exit};
use journal::Journal;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use stop::{Stop, Stopped};

/// Held by the worker of a run folder for its whole life.
const LOCK: &str = ".lock";

fn main() -> ExitCode {
    let code = match begin() {
        Ok((spec, stop, closed)) => attempt(&spec, &stop, closed),
        Err(err) => {
            stderr::say(&format!("finetuned-worker: {err:#}"));
            exit::USAGE
        }
    };
    ExitCode::from(code as u8)
}

/// What the worker could not be closed in by.
type Closed = Result<Option<String>>;

/// The spec, and limits that hold from the start.
fn begin() -> Result<(Spec, Stop, Closed)> {
    let mut args = std::env::args_os().skip(1);
    let (Some(path), None) = (args.next(), args.next()) else {
        bail!(
            "usage: finetuned-worker SPEC.json (started by `finetuned`; a person wants `finetuned run`)"
        );
    };
    let path = Path::new(&path);
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let mut spec: Spec =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    if spec.version != SPEC_VERSION {
        bail!(
            "{} has version {}, this worker reads {SPEC_VERSION}: `finetuned` and `finetuned-worker` are of different releases",
            path.display(),
            spec.version
        );
    }
    resolve_folders(&mut spec)?;
    let stop = Stop::on_signals(spec.supervisor)?;
    // Before there is a second thread.
    let closed = sandbox::close(&spec);
    if let Some(bytes) = spec.memory_bytes {
        let limit = rustix::process::Rlimit { current: Some(bytes), maximum: Some(bytes) };
        rustix::process::setrlimit(rustix::process::Resource::Data, limit)
            .context("setting the memory ceiling")?;
    }
    tch::set_num_threads(spec.threads as i32);
    tch::set_num_interop_threads(1);
    finetuned_libtorch::begin_functions()?;
    rayon::ThreadPoolBuilder::new()
        .num_threads(spec.threads as usize)
        .build_global()
        .context("starting threads")?;
    Ok((spec, stop, closed))
}

/// Links in the way to the home are its owner's; from here on no part of a drop's path may be one.
fn resolve_folders(spec: &mut Spec) -> Result<()> {
    let real = |path: &Path| {
        path.canonicalize().with_context(|| format!("looking for {}", path.display()))
    };
    spec.run = real(&spec.run)?;
    if let Some(drop) = &mut spec.drop
        && let (Some(folder), Some(name)) = (drop.parent(), drop.file_name())
    {
        *drop = real(folder)?.join(name);
    }
    Ok(())
}

/// Runs the action and tells how it ended; the exit status.
fn attempt(spec: &Spec, stop: &Stop, closed: Closed) -> i32 {
    // A method of tch that panics must end as a failure with words, like all else.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(spec, stop, closed)));
    let result = result.unwrap_or_else(|panic| match panic.downcast::<Stopped>() {
        Ok(stopped) => Err((*stopped).into()),
        Err(panic) => Err(anyhow::anyhow!("defect: {}", failures::panic_message(panic.as_ref()))),
    });
    match result {
        Ok(()) => exit::DONE,
        Err(err) if err.is::<Stopped>() => {
            let step = checkpoint::newest_step(&spec.run);
            tell(spec, Event::Stopped { step });
            exit::STOPPED
        }
        Err(err) => {
            stderr::say(&format!("finetuned-worker: {err:#}"));
            let failure = failures::of(err);
            leave_failure(spec, &failure);
            tell(spec, Event::Failed { failure });
            exit::FAILED
        }
    }
}

fn act(spec: &Spec, stop: &Stop, closed: Closed) -> Result<()> {
    finetuned_libtorch::pool_memory();
    match &spec.action {
        Action::Predict { inputs, csv, sampling, aloud } => {
            let (csv, aloud) = (csv.as_deref(), *aloud);
            predict::predict(spec, &predict::Question { inputs, csv, sampling, aloud }, stop)
        }
        Action::Chat { sampling } => chat::chat(spec, sampling, stop),
        Action::Export { gguf, out } => {
            // What is written of a run is one worker's at a time.
            let _lock = lock(&spec.run)?;
            convert::export(spec, *gguf, out.as_deref(), stop)
        }
        Action::Pull { base } => questions::pull(base),
        Action::ListModels => questions::list_models(),
        Action::Inspect { base } => questions::inspect(base),
        Action::Doctor => questions::doctor(),
        Action::CheckPlugin { file } => plugins::check(spec, file),
        Action::Train | Action::Prove | Action::Check => {
            let _lock = lock(&spec.run)?;
            let mut journal = Journal::open(&spec.run, spec.attempt)?;
            if let Some(warning) = closed? {
                journal.warn(warning)?;
            }
            let mut attempt = Attempt { spec, journal, stop };
            match &spec.action {
                Action::Check => questions::check(&mut attempt),
                Action::Prove => proof::prove(&mut attempt),
                _ => training::train(&mut attempt),
            }
        }
    }
}

/// Two workers in one run folder would ruin both; the kernel frees the lock with the process.
fn lock(run: &Path) -> Result<File> {
    let path = run.join(LOCK);
    // Not truncated: whoever holds it has said there who he is.
    let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.with_context(|| format!("creating {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {
            // For a daemon that finds us at work after its predecessor has gone. A full disk only
            // makes it wait for us.
            let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
            Ok(file)
        }
        // One that a killed daemon had just started, say. Whichever was first goes on; the other
        // has failed at nothing, and must leave no word of failure in a folder that is not its own.
        Err(TryLockError::WouldBlock) => {
            stderr::say(&format!(
                "finetuned-worker: another worker is at work in {}",
                run.display()
            ));
            Err(Stopped.into())
        }
        Err(TryLockError::Error(err)) => {
            Err(err).with_context(|| format!("locking {}", path.display()))
        }
    }
}

fn tell(spec: &Spec, event: Event) {
    if matches!(spec.action, Action::Train | Action::Prove | Action::Check) {
        // The exit status says the same; on a full disk it is all that is left.
        let _ = Journal::open(&spec.run, spec.attempt).and_then(|mut it| it.tell(event));
    }
}

fn leave_failure(spec: &Spec, failure: &Failure) {
    if !matches!(spec.action, Action::Train | Action::Prove | Action::Check) {
        return;
    }
    let name = spec
        .drop
        .as_deref()
        .and_then(Path::file_name)
        .map_or_else(String::new, |it| it.to_string_lossy().into_owned());
    let failed = Failed {
        version: OUTCOME_VERSION,
        job: spec.job,
        name,
        attempt: spec.attempt,
        failure: failure.clone(),
    };
    if let Err(err) = durable::write_json(&spec.run.join(run_folder::FAILED), &failed) {
        stderr::say(&format!("finetuned-worker: {err:#}"));
    }
}
