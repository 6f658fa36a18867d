//! Stories of a daemon that a manager of services started: what it gets to know through
//! NOTIFY_SOCKET, as systemd would.

use crate::sandbox::{LONG, QUICK, Sandbox, is_checkpoint, skipped};
use rustix::fs::XattrFlags;
use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The other end of NOTIFY_SOCKET, or of the journal's socket.
struct Manager {
    folder: tempfile::TempDir,
    socket: PathBuf,
    /// Each datagram, in order.
    heard: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    fn new() -> Manager {
        Manager::at("notify")
    }

    fn at(name: &str) -> Manager {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join(name);
        let listener = UnixDatagram::bind(&socket).unwrap();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let list = heard.clone();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n) = listener.recv(&mut bytes) {
                list.lock().unwrap().push(String::from_utf8(bytes[..n].to_vec()).unwrap());
            }
        });
        Manager { folder, socket, heard }
    }

    fn env(&self) -> [(&str, &str); 2] {
        [("NOTIFY_SOCKET", self.socket.to_str().unwrap()), ("WATCHDOG_USEC", "600000")]
    }

    /// Everything so far but signs of life.
    fn words(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|it| *it != "WATCHDOG=1\n").cloned().collect()
    }

    fn signs(&self) -> usize {
        self.heard.lock().unwrap().iter().filter(|it| *it == "WATCHDOG=1\n").count()
    }

    fn count(&self, word: &str) -> usize {
        self.words().iter().filter(|it| it.lines().any(|it| it == word)).count()
    }

    fn last_status(&self) -> String {
        let words = self.words();
        words.iter().rev().find_map(|it| it.strip_prefix("STATUS=")).unwrap_or("").to_string()
    }
}

#[test]
fn the_manager_hears_of_readiness_work_and_the_end() {
    let manager = Manager::new();
    // Still at it when a line about it is due, however fast the machine.
    let mut sandbox = Sandbox::new(&LONG.replace("epochs = 12", "epochs = 2000"));
    sandbox.serve_with_env(&manager.env());
    assert_eq!(manager.words()[0], "READY=1\n");
    sandbox.wait_until("a status", |_| manager.last_status() == "0 queued, 0 running\n");
    // A name cannot forge a message of its own.
    sandbox.drop_rows("a\nSTOPPING=1.csv", 400);
    sandbox.drop_rows("b.csv", 60);
    sandbox.wait_until("a status with steps", |_| {
        let status = manager.last_status();
        status.starts_with("1 queued, 1 running; job ") && status.contains("training, step ")
    });
    assert_eq!(manager.count("STOPPING=1.csv"), 0);
    assert_eq!(manager.count("STOPPING=1"), 0);
    sandbox.stop_daemon();
    assert_eq!(manager.count("STOPPING=1"), 1);
    assert_eq!(manager.count("READY=1"), 1);
}

#[test]
fn a_daemon_that_can_not_serve_is_never_ready() {
    let manager = Manager::new();
    let sandbox = Sandbox::new(QUICK);
    fs::write(sandbox.home().join("finetuned.db"), "this is no database ".repeat(500)).unwrap();
    let mut command: Command = sandbox.command();
    let output = command.arg("serve").envs(manager.env()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    sandbox.wait_until("the reason", |_| manager.last_status().contains("finetuned.db"));
    assert_eq!(manager.count("READY=1"), 0);
}

#[test]
fn a_reload_begins_and_ends_whatever_is_read() {
    let manager = Manager::new();
    let mut sandbox = Sandbox::new(QUICK);
    sandbox.serve_with_env(&manager.env());
    sandbox.configure(QUICK, "workers = 2");
    sandbox.reload();
    sandbox.wait_until("it is ready again", |_| manager.count("READY=1") == 2);
    let words = manager.words();
    let reloading = words.iter().find(|it| it.starts_with("RELOADING=1\n")).unwrap();
    let (_, usec) = reloading.trim_end().split_once("MONOTONIC_USEC=").unwrap();
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let age = now.tv_sec * 1_000_000 + now.tv_nsec / 1000 - usec.parse::<i64>().unwrap();
    assert!((0..60_000_000).contains(&age), "{age}");
    // With a mistake the old one stays, and everybody who asks hears why.
    fs::write(sandbox.home().join("config.toml"), "setle_s = 1\n").unwrap();
    sandbox.reload();
    sandbox.wait_until("it is ready again", |_| manager.count("READY=1") == 3);
    assert_eq!(manager.count("RELOADING=1"), 2);
    let why = "did you mean `settle_s`?; the old configuration stays in force";
    sandbox.wait_until("the reason", |_| manager.last_status().contains(why));
    assert!(sandbox.ok(&["status"]).contains(why));
    sandbox.drop_rows("a.csv", 60);
    sandbox.wait_for_state(1, "done");
    sandbox.configure(QUICK, "");
    sandbox.reload();
    sandbox.wait_until("the reason is gone", |_| !manager.last_status().contains("setle_s"));
}

#[test]
fn an_inbox_that_is_not_watched_is_polled_and_every_place_says_so() {
    let manager = Manager::new();
    let mut sandbox = Sandbox::new(QUICK);
    // Of a user namespace there are limits of its own.
    let prepare = format!(
        "export NOTIFY_SOCKET={}; echo 0 >/proc/sys/user/max_inotify_instances",
        manager.socket.display()
    );
    sandbox.serve_in(&["--user", "--map-root-user"], &prepare);
    let line = ": no events: Too many open files";
    sandbox.wait_until("the log says so", |it| it.log().contains(line));
    let polled = sandbox.status()["daemon"]["inboxes"][0]["polled"].as_str().unwrap().to_string();
    assert!(polled.contains("max_user_instances"), "{polled}");
    sandbox.wait_until("the manager knows", |_| {
        manager.words().iter().any(|it| it.contains("is polled: no events"))
    });
}

#[test]
fn a_loop_that_hangs_gives_no_signs_of_life() {
    const A_WHILE: Duration = Duration::from_millis(1500);
    let manager = Manager::new();
    let mut sandbox = Sandbox::new(QUICK);
    sandbox.serve_with_env(&manager.env());
    // Idle, it gives one every 0.3 s, half of what it was given.
    sandbox.wait_until("signs", |_| 3 <= manager.signs());
    let before = manager.signs();
    thread::sleep(A_WHILE);
    let signs = manager.signs() - before;
    assert!((2..=6).contains(&signs), "{signs} in {A_WHILE:?}");
    // The loop alone hangs, at a file that nobody writes; the other threads live.
    let config = sandbox.home().join("config.toml");
    let text = fs::read(&config).unwrap();
    fs::remove_file(&config).unwrap();
    assert!(Command::new("mkfifo").arg(&config).status().unwrap().success());
    sandbox.reload();
    sandbox.wait_until("it reloads", |_| manager.count("RELOADING=1") == 1);
    let before = manager.signs();
    thread::sleep(A_WHILE);
    assert_eq!(manager.signs(), before);
    fs::rename(&config, config.with_extension("fifo")).unwrap();
    fs::write(&config, text).unwrap();
    drop(File::options().write(true).open(config.with_extension("fifo")).unwrap());
    sandbox.wait_until("it lives again", |_| before + 2 <= manager.signs());
}

#[test]
fn the_journal_hears_which_job_a_record_is_about() {
    let journal = Manager::at("socket");
    let mut sandbox = Sandbox::new(QUICK);
    sandbox.serve_into_journal(journal.folder.path());
    sandbox.drop_rows("a\nJOB=9.csv", 60);
    sandbox.wait_for_state(1, "done");
    let run = sandbox.run(1).file_name().unwrap().to_str().unwrap().to_string();
    sandbox.stop_daemon();
    let records = journal.words();
    let of_job: Vec<&String> =
        records.iter().filter(|it| it.lines().any(|it| it == "JOB=1")).collect();
    let message = |text: &str| {
        let it = of_job.iter().find(|it| it.contains(&format!("MESSAGE={text}")));
        it.unwrap_or_else(|| panic!("no {text} in {records:#?}"))
    };
    let took = message("job 1: took a\\nJOB=9.csv from ");
    assert!(!took.contains("ATTEMPT="), "{took}");
    for record in [message("job 1: attempt 1, train in process "), message("job 1: done, ")] {
        for field in ["PRIORITY=6", "ATTEMPT=1", &format!("RUN={run}")] {
            assert!(record.lines().any(|it| it == field), "{field} in {record}");
        }
        assert!(record.contains("\nINBOX=/"), "{record}");
    }
    assert!(records.iter().any(|it| it.contains("MESSAGE=serving /") && !it.contains("JOB=")));
    assert!(records.iter().all(|it| !it.lines().any(|it| it == "JOB=9")));
    // What the journal took is not written a second time.
    assert_eq!(sandbox.log(), "");
}

/// A cgroup that is left to a daemon, as systemd does with `Delegate=`.
fn delegated_group(name: &str) -> Result<PathBuf, String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|it| it.contains(" - cgroup2 ")).ok_or("no cgroup v2 here")?;
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|it| it.strip_prefix("0::/")).ok_or("no cgroup of our own")?;
    let mount = Path::new(mount.split(' ').nth(4).unwrap());
    let group = mount.join(own).join(format!("{name}-{}", std::process::id()));
    fs::create_dir(&group).map_err(|err| format!("{}: {err}", group.display()))?;
    rustix::fs::setxattr(&group, "user.delegate", b"1", XattrFlags::empty()).unwrap();
    Ok(group)
}

/// As the daemon publishes it, a moment after the line in the log that it serves.
fn limits_of(sandbox: &Sandbox) -> String {
    let limits = || sandbox.status()["daemon"]["limits"].as_str().map(str::to_string);
    sandbox.wait_until("it says how limits hold", |_| limits().is_some());
    limits().unwrap()
}

#[test]
fn each_worker_has_a_cgroup_where_the_unit_is_delegated() {
    let group = match delegated_group("finetuned-service") {
        Ok(group) => group,
        Err(why) => return skipped(&why),
    };
    let mut sandbox = Sandbox::new(&LONG.replace("epochs = 12", "epochs = 2000"));
    sandbox.serve_in(&[], &format!("echo $$ >{}/cgroup.procs", group.display()));
    let limits = limits_of(&sandbox);
    assert!(limits.starts_with("a cgroup for each worker: "), "{limits}");
    assert!(sandbox.ok(&["status"]).contains("limits   a cgroup for each worker: "));
    let of_process = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    sandbox.drop_rows("a.csv", 400);
    sandbox.wait_for(1, is_checkpoint);
    let worker = sandbox.job(1)["pid"].to_string();
    assert!(of_process(&worker).trim_end().ends_with("/jobs/job-1"), "{}", of_process(&worker));
    let daemon = sandbox.status()["daemon"]["pid"].to_string();
    assert!(of_process(&daemon).trim_end().ends_with("/supervisor"), "{}", of_process(&daemon));
    // A checkpoint is written, and the group goes with the worker.
    sandbox.stop_daemon();
    assert!(!group.join("jobs/job-1").exists());
    let usage = sandbox.job(1)["usage"].clone();
    assert!(0.0 < usage[0]["usage"]["cpu_s"].as_f64().unwrap(), "{usage}");
    assert!(sandbox.ok(&["show", "1"]).contains(" of processors' time"));
    for folder in [group.join("jobs"), group.join("supervisor"), group] {
        fs::remove_dir(folder).unwrap();
    }
}

#[test]
fn without_delegation_the_limits_are_those_of_processes() {
    let sandbox = Sandbox::new(QUICK).serving();
    let limits = limits_of(&sandbox);
    assert!(limits.starts_with("of processes, for "), "{limits}");
    assert!(sandbox.ok(&["doctor"]).contains(&limits));
}
