//! Starts a worker on a run folder, reads its lines, and tells how it left. One thread a worker;
//! the only place that makes processes.
//!
//! A worker asks the kernel to be told when the thread that started it ends, so it must be started
//! by a thread that lives as long as the daemon: the main one.

use crate::attempt::{Ending, OutOfMemory};
use crate::cgroup::{Group, Usage};
use crate::machine;
use crate::worker_log::WorkerLog;
use anyhow::{Context, Result, anyhow, bail};
use finetuned_job::event::{LINE_BYTES_MAX, Line};
use finetuned_job::run_folder;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, Timespec, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How often a worker's log is looked at: a disk takes some hundred megabytes in it.
const LOOK_AT_LOG: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Lines that a reader is ahead of whoever shows them.
const LINES_WAITING_MAX: usize = 64;

/// Of one answer: longer than all that a model says at once.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Rounds of waiting before a thread sleeps: some 100 µs, longer than what lies between two
/// operations of a step.
const SPINS: &str = "100000";

/// A live worker, or one that has left a moment ago.
pub(crate) struct WorkerProcess {
    pub pid: u32,
    /// Names the process for ever, so that a signal never meets a stranger with the same number.
    handle: OwnedFd,
}

/// What comes from a worker; `Ended` is the last.
pub(crate) enum Heard {
    Line(Box<Line>),
    /// With what it used, where it had a cgroup.
    Ended(Ending, Option<Usage>),
}

/// Where a worker works.
pub(crate) struct Room {
    /// We start no other beside it.
    pub alone: bool,
    pub group: Option<Group>,
}

impl WorkerProcess {
    /// `spec_file` says what to do; stderr is appended to the run's log. `hear` runs in a thread of
    /// its own.
    pub fn start(
        worker: &Path,
        spec_file: &Path,
        run: &Path,
        room: Room,
        hear: impl FnMut(Heard) + Send + 'static,
    ) -> Result<WorkerProcess> {
        let opening = || format!("opening {}", run.join(run_folder::LOG).display());
        let log = WorkerLog::open(run).with_context(opening)?;
        let stderr = log.writer().with_context(opening)?;
        let oom_before = machine::oom_kills();
        let mut command = command(worker, spec_file, room.alone && machine::is_idle());
        command.stdout(Stdio::piped()).stderr(stderr);
        if let Some(group) = &room.group {
            enter(&mut command, group)?;
        }
        let mut child =
            command.spawn().with_context(|| format!("starting the worker {}", worker.display()))?;
        let handles = open_handle(&child).and_then(|it| Ok((it.try_clone()?, it)));
        let opened = (handles, child.stdout.take());
        let (Ok((handle, watched)), Some(stdout)) = opened else {
            // Without a handle it could not be stopped later.
            let _ = child.kill().and_then(|()| child.wait());
            bail!("the kernel gives no handle for the worker's process");
        };
        let pid = child.id();
        let deaths = Deaths { oom_before, group: room.group };
        let listen = move || listen(child, (stdout, log), watched, deaths, hear);
        thread::Builder::new()
            .name(format!("worker-{pid}"))
            .spawn(listen)
            .context("starting a thread for the worker")?;
        Ok(WorkerProcess { pid, handle })
    }

    /// It writes a checkpoint and leaves.
    pub fn stop(&self) {
        self.signal(Signal::TERM);
    }

    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // The only error for our own child: it has left already, which will be heard.
        let _ = pidfd_send_signal(&self.handle, signal);
    }
}

fn open_handle(child: &Child) -> Result<OwnedFd> {
    let pid = Pid::from_raw(child.id().cast_signed()).context("a process without a number")?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn listen(
    mut child: Child,
    (stdout, log): (ChildStdout, WorkerLog),
    handle: OwnedFd,
    deaths: Deaths,
    mut hear: impl FnMut(Heard),
) {
    let mut lines = BufReader::new(UntilExit::new(stdout, &handle).with(&log));
    while let Ok(Some(line)) = read_line(&mut lines, LINE_BYTES_MAX) {
        // What is not an event was printed by a library; it wakes nobody.
        if let Ok(line) = serde_json::from_slice(&line) {
            hear(Heard::Line(line));
        }
    }
    let ending = match child.wait() {
        Ok(status) => deaths.ending(status),
        Err(err) => {
            tracing::error!("waiting for worker {}: {err}", child.id());
            Ending::Exited(-1)
        }
    };
    // The group ends before anybody hears of it: the next one may have the same name.
    let usage = deaths.group.map(|group| {
        let usage = group.usage();
        if let Err(err) = group.remove() {
            tracing::warn!("the cgroup of worker {} stays: {err}", child.id());
        }
        usage
    });
    hear(Heard::Ended(ending, usage));
}

/// The worker is inside before it runs anything of its own.
fn enter(command: &mut Command, group: &Group) -> Result<()> {
    let door = group.door().context("opening the worker's cgroup")?;
    let inside = move || rustix::io::write(&door, b"0").map(drop).map_err(io::Error::from);
    // SAFETY: between fork and exec it makes one system call, and has no memory from an allocator.
    unsafe { command.pre_exec(inside) };
    Ok(())
}

/// Who knows why a worker was killed.
struct Deaths {
    /// Kills on the whole machine, for a worker without a group.
    oom_before: u64,
    group: Option<Group>,
}

/// What a worker has written until it left. A process that it has left behind may hold the pipe
/// open for ever: that is not waited for.
struct UntilExit<'a> {
    stdout: ChildStdout,
    worker: &'a OwnedFd,
    /// Looked at now and then meanwhile.
    log: Option<&'a WorkerLog>,
    has_left: bool,
    /// Of what stood in the pipe then.
    left_bytes: usize,
}

impl UntilExit<'_> {
    fn new(stdout: ChildStdout, worker: &OwnedFd) -> UntilExit<'_> {
        /// More than a pipe holds.
        const PIPE_BYTES: usize = 1 << 20;
        // Where this is refused, reading waits for the pipe's end, as it always did.
        let _ = fcntl_getfl(&stdout).and_then(|it| fcntl_setfl(&stdout, it | OFlags::NONBLOCK));
        UntilExit { stdout, worker, log: None, has_left: false, left_bytes: PIPE_BYTES }
    }
}

impl<'a> UntilExit<'a> {
    fn with(self, log: &'a WorkerLog) -> UntilExit<'a> {
        UntilExit { log: Some(log), ..self }
    }

    /// A log that can't be cut now is cut the next time.
    fn look_at_log(&self) {
        if let Some(Err(err)) = self.log.map(WorkerLog::bound) {
            tracing::warn!("a worker's log can't be cut: {err}");
        }
    }
}

impl Read for UntilExit<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.look_at_log();
            match self.stdout.read(buffer) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock && self.has_left => {
                    return Ok(0);
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                    let mut waits = [
                        PollFd::new(&self.stdout, PollFlags::IN),
                        PollFd::new(self.worker, PollFlags::IN),
                    ];
                    let pause = self.log.map(|_| &LOOK_AT_LOG);
                    rustix::io::retry_on_intr(|| poll(&mut waits, pause))?;
                    self.has_left = !waits[1].revents().is_empty();
                }
                Ok(n) if self.has_left => {
                    let within = n.min(self.left_bytes);
                    self.left_bytes -= within;
                    return Ok(within);
                }
                read => return read,
            }
        }
    }
}

impl Deaths {
    fn ending(&self, status: ExitStatus) -> Ending {
        let Some(signal) = status.signal() else {
            return Ending::Exited(status.code().unwrap_or(-1));
        };
        let own = self.group.as_ref().and_then(Group::out_of_memory);
        let on_machine = || match self.oom_before < machine::oom_kills() {
            true => OutOfMemory::Elsewhere,
            false => OutOfMemory::No,
        };
        let out_of_memory = match signal == Signal::KILL.as_raw() {
            true => own.unwrap_or_else(on_machine),
            false => OutOfMemory::No,
        };
        Ending::Signaled { signal, out_of_memory }
    }
}

/// The next line without its end, cut at `most` bytes; `None` at the end of the stream.
pub(crate) fn read_line(from: &mut impl BufRead, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if from.by_ref().take(most as u64).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() == most {
        skip_line(from)?;
    }
    Ok(Some(line))
}

/// Drops the rest of a line without keeping it.
fn skip_line(from: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = from.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let (n, found) = match buffer.iter().position(|it| *it == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), false),
        };
        from.consume(n);
        if found {
            return Ok(());
        }
    }
}

/// `alone`: nothing else wants the cores.
fn command(worker: &Path, spec_file: &Path, alone: bool) -> Command {
    let mut command = Command::new(worker);
    command.arg(spec_file).stdin(Stdio::null());
    // The service manager hears of the daemon's life only.
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
    // OpenMP's waiting threads may spin for a while before they sleep. Alone, a step then takes two
    // thirds of the time; but as soon as two workers, or a worker and a compiler, share the cores,
    // it takes twice as long. A user's own choice stands.
    if std::env::var_os("OMP_WAIT_POLICY").is_none() {
        command.env("OMP_WAIT_POLICY", "passive");
        if alone && std::env::var_os("GOMP_SPINCOUNT").is_none() {
            command.env("GOMP_SPINCOUNT", SPINS);
        }
    }
    command
}

/// Runs a worker whose stdout is its answer, in the foreground. What it says on stderr goes to
/// ours.
pub(crate) fn ask(worker: &Path, spec_file: &Path) -> Result<(ExitStatus, Vec<u8>)> {
    let child = command(worker, spec_file, false)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting the worker {}", worker.display()))?;
    let output = child.wait_with_output().context("waiting for the worker")?;
    Ok((output.status, output.stdout))
}

/// A worker that answers what it is asked, in the foreground. What it says on stderr goes to ours.
pub(crate) struct Talk {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Talk {
    pub fn start(worker: &Path, spec_file: &Path) -> Result<Talk> {
        let mut child = command(worker, spec_file, machine::is_idle())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting the worker {}", worker.display()))?;
        let stdin = child.stdin.take().context("the worker has no stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("the worker has no stdout")?);
        Ok(Talk { child, stdin, stdout })
    }

    pub fn say(&mut self, line: &str) -> Result<()> {
        // No error of ours: a reader of our own that has gone ends a command quietly.
        writeln!(self.stdin, "{line}").map_err(|err| anyhow!("the worker has left: {err}"))
    }

    /// The next line; none when it says nothing more.
    pub fn hear(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let read = self.stdout.by_ref().take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line);
        read.ok().filter(|_| line.ends_with(b"\n")).map(|_| line)
    }

    /// It is asked nothing more.
    pub fn end(self) -> Result<ExitStatus> {
        let Talk { mut child, stdin, stdout } = self;
        drop((stdin, stdout));
        child.wait().context("waiting for the worker")
    }
}

/// Runs a worker that says one thing after the other, in the foreground; one that is silent for
/// longer than `silence_max` is killed.
pub(crate) fn converse(
    worker: &Path,
    spec_file: &Path,
    silence_max: Duration,
    mut hear: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Ending> {
    let deaths = Deaths { oom_before: machine::oom_kills(), group: None };
    let mut child = command(worker, spec_file, false)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting the worker {}", worker.display()))?;
    let stdout = child.stdout.take().context("the worker has no stdout")?;
    let handle = open_handle(&child)?;
    let (sender, lines) = mpsc::sync_channel(LINES_WAITING_MAX);
    let read = move || {
        let mut from = BufReader::new(UntilExit::new(stdout, &handle));
        while let Ok(Some(line)) = read_line(&mut from, LINE_BYTES_MAX) {
            if sender.send(line).is_err() {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("worker-lines".into())
        .spawn(read)
        .context("starting a thread for the worker")?;
    let heard = loop {
        match lines.recv_timeout(silence_max) {
            Ok(line) => match hear(&line) {
                Ok(()) => {}
                Err(err) => break Err(err),
            },
            Err(RecvTimeoutError::Disconnected) => break Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                child.kill().context("killing the worker")?;
                break Ok(());
            }
        }
    };
    if heard.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().context("waiting for the worker")?;
    heard.map(|()| deaths.ending(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(from: &mut impl BufRead) -> Option<Vec<u8>> {
        read_line(from, LINE_BYTES_MAX).unwrap()
    }

    #[test]
    fn a_line_without_end_is_cut_and_the_next_one_is_whole() {
        let mut text = vec![b'x'; 3 * LINE_BYTES_MAX];
        text.extend(b"\nshort\n\nlast");
        let mut from = BufReader::with_capacity(100, &*text);
        assert_eq!(next(&mut from).unwrap().len(), LINE_BYTES_MAX);
        assert_eq!(next(&mut from).unwrap(), b"short");
        assert_eq!(next(&mut from).unwrap(), b"");
        assert_eq!(next(&mut from).unwrap(), b"last");
        assert_eq!(next(&mut from), None);
    }

    #[test]
    fn a_process_that_is_left_behind_does_not_hide_an_end() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 60 & echo first; printf last"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, handle) = (child.stdout.take().unwrap(), open_handle(&child).unwrap());
        let began = std::time::Instant::now();
        let mut lines = BufReader::new(UntilExit::new(stdout, &handle));
        assert_eq!(next(&mut lines).unwrap(), b"first");
        assert_eq!(next(&mut lines).unwrap(), b"last");
        assert_eq!(next(&mut lines), None);
        assert!(child.wait().unwrap().success());
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_line_of_just_the_limit_is_whole() {
        let mut text = vec![b'x'; LINE_BYTES_MAX - 1];
        text.extend(b"\nnext\n");
        let mut from = &*text;
        assert_eq!(next(&mut from).unwrap().len(), LINE_BYTES_MAX - 1);
        assert_eq!(next(&mut from).unwrap(), b"next");
    }
}
