//! What can be typed: commands, arguments, and the exit statuses that they end with. What a command
//! does stands in `commands` and `foreground`.

use crate::config::LogStyle;
use clap::builder::{PossibleValuesParser, RangedI64ValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueHint, value_parser};
use clap_complete::Shell;
use finetuned_job::recipe::{Gguf, PRIORITIES};
use finetuned_job::spec::Sampling;
use std::path::PathBuf;
use std::process::ExitCode;

const EXIT_STATUSES: &str = "\
Exit status:
  0    done; of `run`, `wait` and `submit --wait`: the model is proven
  1    an error: the message says what to do
  2    the command line can't be understood
  3    the job failed: failed.json in the run folder says why
  4    stopped by SIGTERM, or because nobody reads what it prints; of `wait` also: the job was cancelled
  130  interrupted by Ctrl-C
After 4 and 130 the same `run` or `wait` continues.";

/// How a command ends, when it ends without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    /// It has said why.
    Error,
    JobFailed,
    Stopped,
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Error => 1,
            Exit::JobFailed => 3,
            Exit::Stopped => 4,
            Exit::Interrupted => 130,
        })
    }
}

/// Drop a data set into a folder, get a proven fine-tuned model
#[derive(Debug, Parser)]
#[command(name = "finetuned", version, after_help = EXIT_STATUSES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The home folder: inbox, runs, database [default: FINETUNED_HOME, else
    /// ~/.local/share/finetuned]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub home: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch the inboxes and work on what is dropped, until SIGTERM (SIGHUP: read the configuration
    /// again)
    Serve {
        /// One JSON object a line, or text for people [default: the setting `log`]
        #[arg(long, value_name = "STYLE")]
        log: Option<LogStyle>,
    },
    /// Train on one drop in the foreground, without a daemon; the same command again continues
    Run(RunArgs),
    /// Hand a drop over to an inbox, whole or not at all; nothing there is ever overwritten
    Submit(SubmitArgs),
    /// Follow a job until it is over, and end as `run` does
    Wait {
        #[command(flatten)]
        job: JobArg,
        /// Every event as a JSON line, done.json (or failed.json) as the last
        #[arg(long)]
        json: bool,
    },
    /// Show what is in a drop and what would be done with it, without training
    Check {
        #[arg(value_hint = ValueHint::AnyPath)]
        drop: PathBuf,
        /// A recipe for drops that bring none of their own
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        recipe: Option<PathBuf>,
        /// {"data": data.json, "plan": plan.json} on one line
        #[arg(long)]
        json: bool,
    },
    /// Show the daemon, the inboxes and the jobs
    Status {
        /// Every job, not only the latest
        #[arg(long)]
        all: bool,
        #[arg(long)]
        json: bool,
    },
    /// Show one job: its state, attempts, scores and files
    Show {
        #[command(flatten)]
        job: JobArg,
        #[arg(long)]
        json: bool,
    },
    /// Show what a job's workers have said
    Logs {
        #[command(flatten)]
        job: JobArg,
        /// Go on until the job ends
        #[arg(short, long)]
        follow: bool,
        /// The lines of events.jsonl as they are
        #[arg(long)]
        json: bool,
    },
    /// Stop a job for good; its run folder and its drop stay
    Cancel(WishArgs),
    /// Try a failed, quarantined or cancelled job again, from its last checkpoint
    Retry(WishArgs),
    /// Remove a job that is over: its row, its run folder with drop and model
    Remove {
        #[command(flatten)]
        job: JobArg,
    },
    /// Remove checkpoints of proven runs, and runs beyond the configuration's `retention`
    Gc {
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
        #[arg(long)]
        json: bool,
    },
    /// Let a job write a checkpoint and wait
    Pause(WishArgs),
    /// Let a paused job go on
    Resume(WishArgs),
    /// Say how important a job is: of two that wait the one with the higher number goes first
    Priority {
        #[command(flatten)]
        wish: WishArgs,
        /// From -100 to 100; a job of which nobody says anything has 0
        #[arg(allow_negative_numbers = true, value_parser = priority())]
        priority: i32,
    },
    /// Ask a finished model about texts, or about files of texts
    Predict(PredictArgs),
    /// Talk with a model that has learnt from conversations; `/new` begins anew, Ctrl-D ends
    Chat(ChatArgs),
    /// Write a finished language model as a GGUF file, for llama.cpp and its kin
    Export(ExportArgs),
    /// Base models in the cache that the Hugging Face libraries share
    #[command(subcommand)]
    Model(ModelCommand),
    /// Heads, losses, metrics, readers and hooks that were brought as libraries
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Check that everything is there that the daemon needs
    Doctor {
        #[arg(long)]
        json: bool,
    },
    /// Print the completions for a shell
    #[command(hide = true)]
    Completions { shell: Shell },
    /// Print the manual page, or write those of all commands into a folder
    #[command(hide = true)]
    Man {
        #[arg(value_hint = ValueHint::DirPath)]
        folder: Option<PathBuf>,
    },
}

fn priority() -> RangedI64ValueParser<i32> {
    value_parser!(i32).range(i64::from(*PRIORITIES.start())..=i64::from(*PRIORITIES.end()))
}

#[derive(Debug, Args)]
pub(crate) struct JobArg {
    /// A job's number, its run folder's name, or the beginning of it
    pub job: String,
}

#[derive(Debug, Args)]
pub(crate) struct WishArgs {
    #[command(flatten)]
    pub job: JobArg,
    /// {"id": the job's number, "answer": a sentence, "served": whether a daemon runs} on one line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A folder, an archive or one file; it is read where it lies
    #[arg(value_hint = ValueHint::AnyPath)]
    pub drop: PathBuf,
    /// A recipe for drops that bring none of their own
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub recipe: Option<PathBuf>,
    /// The run folder [default: a new one below runs/ in the home]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
    /// Every event as a JSON line, done.json (or failed.json) as the last
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// A folder, an archive or one file; it is copied
    #[arg(value_hint = ValueHint::AnyPath)]
    pub drop: PathBuf,
    /// Its path, or the last part of it [default: the only one there is]
    #[arg(long, value_name = "INBOX", value_hint = ValueHint::DirPath)]
    pub inbox: Option<String>,
    /// Goes along as the drop's job.toml, which may name the base models that config.toml allows
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub recipe: Option<PathBuf>,
    /// How important its job is, from -100 to 100, whatever recipes say; wants write permission on
    /// the home
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = priority())]
    pub priority: Option<i32>,
    /// Follow the job until it is over, and end as `run` does
    #[arg(long)]
    pub wait: bool,
    /// {"entry": the name in the inbox, "job": its number or null, "served": whether a daemon runs}
    /// on one line; with --wait every event, and done.json (or failed.json) as the last
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// A job, or the path of a run folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub run: String,
    /// Texts, or files with a text column
    #[arg(required = true)]
    pub inputs: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Write the predictions to this file as well
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub csv: Option<PathBuf>,
    #[command(flatten)]
    pub sampling: SamplingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// A job, or the path of a run folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub run: String,
    /// What the model is asked to be, before all else
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// One JSON object a line for each answer
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub sampling: SamplingArgs,
}

/// How a model goes on with a text.
#[derive(Debug, Args)]
pub(crate) struct SamplingArgs {
    /// The most tokens that a model says where it goes on with a text
    #[arg(long, value_name = "N", default_value_t = Sampling::default().max_new_tokens)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_new_tokens: u32,
    /// 0: always the likeliest token; 1: as likely as the model holds it; above: wilder
    #[arg(long, value_name = "T", default_value_t = Sampling::default().temperature)]
    #[arg(value_parser = within_zero_to::<100>)]
    pub temperature: f64,
    /// Draw from so many of the likeliest tokens; 0: from all
    #[arg(long, value_name = "K", default_value_t = Sampling::default().top_k)]
    pub top_k: u32,
    /// Draw from the fewest tokens that are as likely together
    #[arg(long, value_name = "P", default_value_t = Sampling::default().top_p)]
    #[arg(value_parser = within_zero_to::<1>)]
    pub top_p: f64,
    /// Decides what is drawn
    #[arg(long, value_name = "N", default_value_t = Sampling::default().seed)]
    pub seed: u64,
}

impl SamplingArgs {
    pub fn chosen(&self) -> Sampling {
        Sampling {
            max_new_tokens: self.max_new_tokens,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            seed: self.seed,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A job, or the path of a run folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub run: String,
    /// How most numbers are stored
    #[arg(long, value_name = "TYPE", value_parser = gguf())]
    pub gguf: Gguf,
    /// The file, which must not exist [default: model-TYPE.gguf in the model's folder]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
    /// {"file": where it lies, "bytes": its size} on one line
    #[arg(long)]
    pub json: bool,
}

fn gguf() -> impl TypedValueParser<Value = Gguf> {
    PossibleValuesParser::new(Gguf::ALL.map(Gguf::name))
        .try_map(|it| Gguf::named(&it).ok_or("is no type of numbers"))
}

/// A number from 0 to `MOST`.
fn within_zero_to<const MOST: u32>(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if (0.0..=f64::from(MOST)).contains(&number) {
        return Ok(number);
    }
    Err(format!("{number} is not from 0 to {MOST}"))
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// The models that are there
    List {
        #[arg(long)]
        json: bool,
    },
    /// Fetch a model, or its newest revision
    Pull {
        /// hf:OWNER/NAME, with @REVISION where one is wanted
        base: String,
        #[arg(long)]
        json: bool,
    },
    /// Architecture, tensors and load report of a model
    Inspect {
        /// hf:OWNER/NAME or a folder
        base: String,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// What lies in the plugin folder, and why a file is refused
    List {
        #[arg(long)]
        json: bool,
    },
    /// Write a crate that builds a plugin as it is
    New {
        /// Of the crate and of the plugin: small letters, digits, - and _
        name: String,
        #[arg(long, value_name = "KIND")]
        kind: PluginKind,
        /// The folder of the SDK that the crate depends on [default: the one that came with this
        /// finetuned]
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        sdk: Option<PathBuf>,
        /// The folder that the crate's folder is made in [default: the current one]
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        path: Option<PathBuf>,
    },
    /// Try a plugin in a process of its own: shapes, gradients, determinism, memory, cost
    Check {
        /// A built library; it need not lie in the plugin folder
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PluginKind {
    Head,
    Loss,
    Metric,
    Reader,
    Hook,
    Augmentation,
    Reward,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
