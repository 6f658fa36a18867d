//! A home with a real daemon, and what a person does with it: drops, commands, signals. It all goes
//! when the sandbox does.

use crate::attempt::{binary, events, on_tiny_bert, sentences, tiny_bert};
use finetuned_job::event::Event;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// Nothing in these tests takes a tenth of it on two cores of its own.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub struct Sandbox {
    folder: tempfile::TempDir,
    daemon: Option<Child>,
    disk: Disk,
}

/// Where the home lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disk {
    Real,
    /// In a mount namespace of the daemon's own, seen from here through /proc.
    Tmpfs,
}

/// What a drop has to be trained with, so that it takes a second.
pub const QUICK: &str = "[train]\nepochs = 2\nlr = 3e-3\n";
/// Some hundred steps with a checkpoint at every fifth: time enough to be killed. Which precision
/// is faster would be measured for each job anew, and on a busy machine may be two.
pub const LONG: &str = r#"
[train]
epochs = 12
lr = 3e-3
patience = 0
precision = "fp32"
[save]
every_steps = 5
"#;

pub fn is_checkpoint(event: &Event) -> bool {
    matches!(event, Event::Checkpoint { .. })
}

/// The answer of a command that must work.
#[track_caller]
pub fn ok(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Says so even where the output of tests that pass is not shown.
pub fn skipped(why: &str) {
    // Past the test's own capture, which only takes what `eprintln` writes.
    let test = std::thread::current().name().unwrap_or("a test").to_string();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// For unshare(1): where mounts meet nobody else.
pub fn mounts_of_its_own() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() {
        &["--mount"]
    } else {
        &["--mount", "--user", "--map-root-user"]
    }
}

impl Sandbox {
    /// A home whose inbox has this recipe; nobody serves it yet.
    pub fn new(recipe: &str) -> Sandbox {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sandbox = Sandbox { folder, daemon: None, disk: Disk::Real };
        fs::create_dir_all(sandbox.inbox()).expect("inbox");
        sandbox.configure(recipe, "");
        sandbox
    }

    pub fn configure(&self, recipe: &str, settings: &str) {
        let recipe_file = self.folder.path().join("recipe.toml");
        fs::write(&recipe_file, on_tiny_bert(recipe)).expect("recipe");
        let config = format!(
            "settle_s = 0.3\nrescan_s = 1\nthreads = 1\nstop_timeout_s = 30\n{settings}\n[[inbox]]\npath = \"inbox\"\nrecipe = {recipe_file:?}\n[recipes]\nbases = [\"hf:*\", {:?}]\n",
            tiny_bert()
        );
        fs::write(self.home().join("config.toml"), config).expect("config.toml");
    }

    /// As the daemon knows it.
    fn real_home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// As this process sees it.
    pub fn home(&self) -> PathBuf {
        match (self.disk, &self.daemon) {
            (Disk::Tmpfs, Some(daemon)) => Path::new("/proc")
                .join(daemon.id().to_string())
                .join("root")
                .join(self.real_home().strip_prefix("/").expect("absolute")),
            _ => self.real_home(),
        }
    }

    pub fn inbox(&self) -> PathBuf {
        self.home().join("inbox")
    }

    pub fn serving(mut self) -> Sandbox {
        self.serve();
        self
    }

    pub fn serve(&mut self) {
        self.serve_with(&[]);
    }

    pub fn serve_with(&mut self, flags: &[&str]) {
        let mut command = Command::new(binary("finetuned"));
        command.arg("--home").arg(self.real_home()).arg("serve").args(flags);
        self.start(command);
    }

    /// As a service manager starts it.
    pub fn serve_with_env(&mut self, env: &[(&str, &str)]) {
        let mut command = Command::new(binary("finetuned"));
        command.arg("--home").arg(self.real_home()).arg("serve").envs(env.iter().copied());
        self.start(command);
    }

    /// As another user, whose the home has to be.
    pub fn serve_as(&mut self, user: &str) {
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={user}")).arg(format!("--regid={user}"));
        command.arg("--clear-groups").arg(binary("finetuned"));
        command.arg("--home").arg(self.real_home()).arg("serve");
        self.start(command);
    }

    /// Without a log that anybody could read.
    pub fn serve_with_stderr(&mut self, stderr: File) {
        let mut command = Command::new(binary("finetuned"));
        command.arg("--home").arg(self.real_home()).arg("serve");
        command.stderr(stderr);
        self.start_unheard(command);
    }

    fn start_unheard(&mut self, mut command: Command) {
        command.stdin(std::process::Stdio::null());
        self.daemon = Some(command.spawn().expect("the daemon starts"));
        self.wait_until("the daemon serves", |it| !it.status()["daemon"].is_null());
    }

    /// With a folder in place of /run/systemd/journal and a stderr that the journal reads.
    pub fn serve_into_journal(&mut self, folder: &Path) {
        let prepare = "mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/journal; mount --bind \"$3\" /run/systemd/journal; export JOURNAL_STREAM=$(stat -L -c %d:%i /dev/stderr)";
        let script = format!("set -e; {prepare}; exec \"$2\" --home \"$1\" serve");
        let mut command = Command::new("unshare");
        command.args(mounts_of_its_own()).args(["--", "sh", "-c", &script, "sh"]);
        command.arg(self.real_home()).arg(binary("finetuned")).arg(folder);
        let log = File::options().create(true).append(true).open(self.log_file()).expect("log");
        command.stderr(log);
        self.start_unheard(command);
    }

    /// In namespaces of its own (see unshare(1)), which the line of shell in `prepare` furnishes.
    pub fn serve_in(&mut self, namespaces: &[&str], prepare: &str) {
        let mut command = Command::new("unshare");
        let script = format!("set -e; {prepare}; exec \"$2\" --home \"$1\" serve");
        command
            .args(namespaces)
            .args(["--", "sh", "-c", &script, "sh"])
            .arg(self.real_home())
            .arg(binary("finetuned"));
        self.start(command);
    }

    /// On a file system of so many bytes, and without a home before: `prepare` is a line of shell.
    pub fn serve_on_tmpfs(recipe: &str, size: u64, prepare: &str) -> Sandbox {
        let mut sandbox = Sandbox::new(recipe);
        // The configuration is copied over the mount.
        let mount = format!(
            "cp -r \"$1\" \"$1.kept\"; mount -t tmpfs -o size={size} tmpfs \"$1\"; cp -r \"$1.kept\"/. \"$1\"; {prepare}"
        );
        sandbox.disk = Disk::Tmpfs;
        sandbox.serve_in(mounts_of_its_own(), &mount);
        sandbox
    }

    fn start(&mut self, mut command: Command) {
        let log = File::options().create(true).append(true).open(self.log_file()).expect("log");
        // As people and as JSON have it.
        const SERVING: &str = "serving /";
        let before = self.log().matches(SERVING).count();
        self.daemon = Some(
            command
                .stdin(std::process::Stdio::null())
                .stdout(log.try_clone().expect("log"))
                .stderr(log)
                .spawn()
                .expect("the daemon starts"),
        );
        self.wait_until("the daemon serves", |it| before < it.log().matches(SERVING).count());
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("daemon.log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// A table of so many rows; written under a name that waits, then renamed.
    pub fn drop_rows(&self, name: &str, rows: u32) {
        let partial = self.inbox().join(format!("{name}.part"));
        fs::write(&partial, sentences(rows, 7)).expect("a drop");
        fs::rename(partial, self.inbox().join(name)).expect("a drop");
    }

    /// A table of so many rows and a recipe for it, for commands that need no daemon.
    pub fn drop_and_recipe(&self, rows: u32, recipe: &str) -> (PathBuf, PathBuf) {
        let (drop, file) = (self.home().join("a.csv"), self.home().join("r.toml"));
        fs::write(&drop, sentences(rows, 3)).expect("a drop");
        fs::write(&file, on_tiny_bert(recipe)).expect("a recipe");
        (drop, file)
    }

    pub fn finetuned(&self, args: &[&str]) -> Output {
        self.command().args(args).output().expect("finetuned starts")
    }

    /// `finetuned` for this home; what it shall do is still to say.
    pub fn command(&self) -> Command {
        let mut command = match (self.disk, &self.daemon) {
            (Disk::Tmpfs, Some(daemon)) => {
                let mut command = Command::new("nsenter");
                if !rustix::process::geteuid().is_root() {
                    command.args(["--user", "--preserve-credentials"]);
                }
                command
                    .arg("--mount")
                    .arg("--target")
                    .arg(daemon.id().to_string())
                    .arg(binary("finetuned"));
                command
            }
            _ => Command::new(binary("finetuned")),
        };
        command.arg("--home").arg(self.real_home());
        command
    }

    /// The answer of a command that must work.
    pub fn ok(&self, args: &[&str]) -> String {
        ok(self.command().args(args))
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.ok(&["status", "--all", "--json"])).expect("JSON")
    }

    /// `Null` where there is no such job.
    pub fn job(&self, job: u64) -> Value {
        let output = self.finetuned(&["show", &job.to_string(), "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    pub fn state(&self, job: u64) -> String {
        self.job(job)["state"].as_str().unwrap_or("absent").to_string()
    }

    pub fn run(&self, job: u64) -> PathBuf {
        self.run_of(&self.job(job)).expect("a run folder")
    }

    /// As this process sees it.
    fn run_of(&self, job: &Value) -> Option<PathBuf> {
        let run = Path::new(job["run"].as_str()?);
        Some(self.home().join(run.strip_prefix(self.real_home()).expect("below the home")))
    }

    pub fn events(&self, job: u64) -> Vec<Event> {
        self.run_of(&self.job(job)).map_or_else(Vec::new, |run| events(&run))
    }

    #[track_caller]
    pub fn wait_until(&self, what: &str, condition: impl Fn(&Sandbox) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(start.elapsed() < PATIENCE, "waited in vain until {what}\n{}", self.log());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    #[track_caller]
    pub fn wait_for_state(&self, job: u64, state: &str) {
        self.wait_until(&format!("job {job} is {state}"), |it| it.state(job) == state);
    }

    /// Waits for an event that was not there before.
    #[track_caller]
    pub fn wait_for(&self, job: u64, event: impl Fn(&Event) -> bool) {
        let before = self.events(job).len();
        self.wait_until("something happens in a job", |it| {
            it.events(job).iter().skip(before).any(&event)
        });
    }

    fn worker(&self, job: u64) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.job(job)["pid"].as_i64()?).ok()?)
    }

    pub fn kill_worker(&self, job: u64) {
        let pid = self.worker(job).expect("a running worker");
        kill_process(pid, Signal::KILL).expect("the worker is there");
        self.wait_until("the death is noticed", |it| it.worker(job) != Some(pid));
    }

    /// SIGSTOP: it hangs.
    pub fn stop_worker(&self, job: u64) {
        kill_process(self.worker(job).expect("a running worker"), Signal::STOP)
            .expect("the worker is there");
    }

    fn signal(&self, signal: Signal) {
        let daemon = self.daemon.as_ref().expect("a daemon");
        kill_process(Pid::from_child(daemon), signal).expect("the daemon is there");
    }

    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    pub fn kill_daemon(&mut self) {
        self.signal(Signal::KILL);
        self.daemon.take().expect("a daemon").wait().expect("it ends");
    }

    /// SIGTERM, and how long it took.
    pub fn stop_daemon(&mut self) -> Duration {
        let start = Instant::now();
        self.signal(Signal::TERM);
        let status = self.daemon.take().expect("a daemon").wait().expect("it ends");
        assert!(status.success(), "{status}\n{}", self.log());
        start.elapsed()
    }

    pub fn is_alive(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(|it| it.try_wait().expect("a child").is_none())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // Its workers are told by the kernel, and stop.
            let _ = daemon.kill().and_then(|()| daemon.wait());
        }
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
    }
}
