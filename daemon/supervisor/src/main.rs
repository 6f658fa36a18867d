//! `finetuned`: the supervisor and the command line. It watches inboxes, queues jobs, starts
//! workers and shows what came of them; it links no libtorch and opens neither data sets nor
//! weights.

mod machine; // cores, memory, cgroup -> defaults
mod retention; // jobs that are over -> which of them go
mod words; // numbers and times for people
mod hours; // the clock -> is it quiet
mod limits; // what waits -> may more be taken
mod config; // config.toml, environment -> settings
mod assignment; // a job -> the spec of a worker
mod cli; // what can be typed
mod journald; // log records -> systemd's journal
mod logging; // tracing
mod report; // the only stdout
mod systemd; // what the service manager gets to know
mod run_lock; // who works on a run folder
mod home; // names in the home folder, its lock
mod access; // who may look into a home
mod settle; // what is seen -> has it settled
mod observe; // a tree on disk -> what is seen
mod writers; // a tree on disk -> can it be read, does somebody write
mod queue; // jobs and attempts; the only SQL
#[cfg(test)]
mod story; // a home for tests
mod importance; // a drop, its recipes -> a priority
mod schedule; // due jobs -> whose turn it is
mod attempt; // a worker's end -> what follows
mod cgroup; // the unit's cgroup -> one for each worker
mod lookup; // what a person types -> a job, a drop
mod run_facts; // small files of a run folder
mod usage; // what workers used -> run folder
mod signals; // signals of the process
mod wake; // everything that can wake the supervisor
mod copy; // what can't be moved -> run folders
mod ownership; // whose a run folder is
mod poke; // a command -> the running daemon
mod watch; // file events -> hints
mod inbox; // one inbox: what lies, waits, has settled
mod bulletin; // what the daemon says of its inboxes
mod claim; // settled drops -> run folders
mod removal; // jobs that go -> gone
mod housekeeping; // backups, retention
mod rebuild; // run folders without rows -> rows
mod recovery; // what a crash left -> queue
mod handover; // what a person submits -> an entry of an inbox
mod events; // events.jsonl while it is written
mod progress; // the tail of events.jsonl -> where it stands
mod narrator; // events -> lines for people
mod display; // events -> bar, lines or JSON
mod proven; // a proven model -> rows for people
mod worker_log; // what workers print, within bounds
mod worker_process; // spec -> process -> lines and its end
mod supervisor; // the daemon's loop
mod foreground; // run and check, without a daemon
mod commands; // status, show, logs, …

use clap::Parser;
use cli::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let exit = commands::execute(cli::Cli::parse()).unwrap_or_else(|err| {
        if report::is_reader_gone(&err) {
            return Exit::Done;
        }
        report::complain(&format!("{err:#}"));
        Exit::Error
    });
    exit.into()
}
