//! `finetuned`: the supervisor and the command line. It watches inboxes, queues jobs, starts
//! workers and shows what came of them; it links no libtorch and opens neither data sets nor
//! weights.

mod assignment; // a job -> the spec of a worker
mod attempt; // a worker's end -> what follows
mod bulletin; // what the daemon says of its inboxes
mod claim; // settled drops -> run folders
mod cli; // what can be typed
mod commands; // status, show, logs, …
mod config; // config.toml, environment -> settings
mod foreground; // run and check, without a daemon
mod home; // names in the home folder, its lock
mod inbox; // one inbox: what lies, waits, has settled
mod logging; // tracing
mod lookup; // what a person types -> a job
mod machine; // cores, memory, cgroup -> defaults
mod observe; // a tree on disk -> what is seen
mod poke; // a command -> the running daemon
mod progress; // the tail of events.jsonl -> where it stands
mod proven; // a proven model -> rows for people
mod queue; // jobs and attempts; the only SQL
mod recovery; // what a crash left -> queue
mod report; // the only stdout
mod run_facts; // small files of a run folder
mod run_lock; // who works on a run folder
mod settle; // what is seen -> has it settled
mod supervisor; // the daemon's loop
mod wake; // everything that can wake the supervisor
mod watch; // file events -> hints
mod words; // numbers and times for people
mod worker_process; // spec -> process -> lines and its end

use clap::Parser;
use cli::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let exit = commands::execute(cli::Cli::parse()).unwrap_or_else(|err| {
        if report::is_reader_gone(&err) {
            return Exit::Done;
        }
        eprintln!("finetuned: {err:#}");
        Exit::Error
    });
    exit.into()
}
