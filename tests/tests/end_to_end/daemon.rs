//! Stories of a daemon that nothing disturbs: drops, wishes, signals, configuration.

use crate::attempt::{binary, sentences};
use crate::sandbox::{LONG, QUICK, Sandbox, is_checkpoint, mounts_of_its_own, ok, skipped};
use finetuned_job::event::Event;
use finetuned_job::run_folder;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn a_dropped_file_becomes_a_proven_model() {
    let sandbox = Sandbox::new("[train]\nepochs = 20\nlr = 1e-3\n").serving();
    sandbox.drop_rows("tweets.csv", 400);
    sandbox.wait_for_state(1, "done");
    let job = sandbox.job(1);
    assert!(0.9 < job["outcome"]["score"].as_f64().unwrap(), "{job}");
    assert_eq!(job["attempts"][0]["outcome"], "done");
    let run = sandbox.run(1);
    assert_eq!(run, sandbox.home().join("runs/0001-tweets"));
    for name in [
        "drop/tweets.csv",
        "spec.json",
        "plan.json",
        "data.json",
        "events.jsonl",
        "report.html",
        "model/model.safetensors",
    ] {
        assert!(run.join(name).exists(), "{name}");
    }
    assert_eq!(fs::read_dir(sandbox.inbox()).unwrap().count(), 0);
    let answer = sandbox.ok(&[
        "predict",
        "tweets",
        "the movie 7 was good",
        "the movie 7 was awful",
        "--json",
    ]);
    let labels: Vec<String> = answer
        .lines()
        .map(|it| serde_json::from_str::<Value>(it).unwrap()["label"].to_string())
        .collect();
    assert_eq!(labels, ["\"positive\"", "\"negative\""]);
}

#[test]
fn a_folder_with_ready_is_taken_at_once_and_an_unfinished_name_never() {
    let sandbox = Sandbox::new(QUICK).serving();
    let config = fs::read_to_string(sandbox.home().join("config.toml"))
        .unwrap()
        .replace("settle_s = 0.3", "settle_s = 3600");
    fs::write(sandbox.home().join("config.toml"), config).unwrap();
    sandbox.reload();
    sandbox.wait_until("the configuration is read", |it| {
        it.log().contains("configuration read again")
    });
    fs::write(sandbox.inbox().join("later.csv.part"), sentences(60, 1)).unwrap();
    let drop = sandbox.inbox().join("mails");
    fs::create_dir(&drop).unwrap();
    fs::write(drop.join("train.csv"), sentences(60, 1)).unwrap();
    sandbox.wait_until("it waits", |it| it.status()["daemon"]["inboxes"][0]["waiting"] == 1);
    assert_eq!(sandbox.state(1), "absent");
    fs::write(drop.join(".ready"), "").unwrap();
    sandbox.wait_for_state(1, "done");
    assert!(sandbox.inbox().join("later.csv.part").exists());
}

#[test]
fn a_broken_configuration_is_refused_and_the_old_one_stays() {
    let sandbox = Sandbox::new(QUICK).serving();
    fs::write(sandbox.home().join("config.toml"), "\nsetle_s = 1\n").unwrap();
    sandbox.reload();
    sandbox.wait_until("it is refused", |it| {
        it.log().contains("line 2: unknown key `setle_s`: did you mean `settle_s`?")
    });
    sandbox.configure("[train]\nepochs = 0\n", "");
    sandbox.reload();
    sandbox.wait_until("its recipe is refused", |it| {
        it.log().contains("train.epochs is 0, but must be at least 1")
    });
    sandbox.configure(QUICK, "");
    sandbox.drop_rows("a.csv", 60);
    sandbox.wait_for_state(1, "done");
}

#[test]
fn a_home_has_one_daemon() {
    let sandbox = Sandbox::new(QUICK).serving();
    let output = sandbox.finetuned(&["serve"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("another finetuned (process"),
        "{output:?}"
    );
}

#[test]
fn a_stopped_daemon_keeps_its_jobs_and_the_next_one_goes_on() {
    let mut sandbox = Sandbox::new(LONG).serving();
    sandbox.drop_rows("a.csv", 400);
    sandbox.drop_rows("b.csv", 60);
    sandbox.wait_for(1, is_checkpoint);
    assert!(sandbox.stop_daemon() < Duration::from_secs(30));
    assert_eq!([sandbox.state(1), sandbox.state(2)], ["queued", "queued"]);
    assert!(
        matches!(sandbox.events(1).last(), Some(Event::Stopped { step }) if 0 < *step),
        "{:?}",
        sandbox.events(1).last()
    );
    sandbox.serve();
    sandbox.wait_for_state(1, "done");
    sandbox.wait_for_state(2, "done");
    let resumed = sandbox
        .events(1)
        .iter()
        .any(|it| matches!(it, Event::Started { resumed_from: Some(step), .. } if 0 < *step));
    assert!(resumed, "it went on from its checkpoint");
}

#[test]
fn an_owner_pauses_resumes_cancels_and_retries() {
    let sandbox = Sandbox::new(LONG).serving();
    sandbox.drop_rows("a.csv", 400);
    sandbox.wait_for(1, is_checkpoint);
    assert_eq!(sandbox.ok(&["pause", "1"]), "job 1 pauses after its next checkpoint\n");
    sandbox.wait_for_state(1, "paused");
    assert!(!sandbox.finetuned(&["retry", "1"]).status.success());
    sandbox.ok(&["resume", "1"]);
    sandbox.wait_for(1, |it| matches!(it, Event::Started { resumed_from: Some(_), .. }));
    sandbox.ok(&["cancel", "0001-a"]);
    sandbox.wait_for_state(1, "cancelled");
    assert!(sandbox.run(1).join("drop/a.csv").exists(), "nobody's data is deleted");
    assert!(!sandbox.run(1).join(run_folder::DONE).exists());
    sandbox.ok(&["retry", "a"]);
    sandbox.wait_for_state(1, "done");
    assert!(sandbox.ok(&["logs", "1"]).contains("job 1 is done"));
}

#[test]
fn a_wish_without_a_daemon_waits() {
    let mut sandbox = Sandbox::new(LONG).serving();
    sandbox.drop_rows("a.csv", 400);
    sandbox.wait_for(1, is_checkpoint);
    sandbox.kill_daemon();
    assert_eq!(sandbox.state(1), "running", "nobody could write it down");
    sandbox.ok(&["cancel", "1"]);
    sandbox.serve();
    sandbox.wait_for_state(1, "cancelled");
}

#[test]
fn a_hopeless_drop_fails_with_a_sentence_and_the_next_one_is_served() {
    let mut sandbox = Sandbox::new(QUICK).serving();
    fs::write(sandbox.inbox().join("one.csv"), "text,label\ngood,a\nbetter,a\nbest,a\n").unwrap();
    sandbox.wait_for_state(1, "failed");
    let job = sandbox.job(1);
    assert_eq!(job["outcome"]["failure"]["kind"], "data", "{job}");
    assert!(job["reason"].as_str().is_some_and(|it| 20 < it.len()), "{job}");
    assert_eq!(sandbox.finetuned(&["show", "1"]).status.code(), Some(3));
    sandbox.drop_rows("two.csv", 60);
    sandbox.wait_for_state(2, "done");
    assert!(sandbox.is_alive());
}

#[test]
fn a_run_in_the_foreground_is_interrupted_and_continued() {
    let sandbox = Sandbox::new("");
    let ((drop, recipe), out) = (sandbox.drop_and_recipe(400, LONG), sandbox.home().join("out"));
    let command = || {
        let mut command = sandbox.command();
        command
            .arg("run")
            .arg(&drop)
            .arg("--recipe")
            .arg(&recipe)
            .arg("--out")
            .arg(&out)
            .arg("--json");
        command
    };
    let child = command()
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    sandbox.wait_until("a checkpoint is written", |_| {
        fs::read_to_string(out.join(run_folder::EVENTS))
            .is_ok_and(|it| it.contains("\"checkpoint\""))
    });
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::INT,
    )
    .unwrap();
    let stopped = child.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(130), "{stopped:?}");
    assert!(String::from_utf8_lossy(&stopped.stderr).contains("continues"), "{stopped:?}");
    assert!(!out.join(run_folder::DONE).exists());

    let finished = command().output().unwrap();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let text = String::from_utf8(finished.stdout).unwrap();
    let done: finetuned_job::outcome::Done =
        serde_json::from_str(text.lines().last().unwrap()).expect("the last line is done.json");
    assert_eq!(done.attempts, 2);
    assert!(text.contains("\"resumed_from\":"), "it went on");
    assert_eq!(
        fs::read_to_string(&drop).unwrap(),
        sentences(400, 3),
        "the drop is read where it lies"
    );
}

#[test]
fn a_terminal_gets_a_bar_and_a_pipe_gets_lines() {
    /// Back to the start of the line and clear it, as a bar does.
    const REDRAWN: &str = "\r";
    let sandbox = Sandbox::new("");
    let (drop, recipe) = sandbox.drop_and_recipe(100, "[train]\nepochs = 2\n");
    let run = |out: &str| {
        format!(
            "run {} --recipe {} --out {}",
            drop.display(),
            recipe.display(),
            sandbox.home().join(out).display()
        )
    };
    let piped = sandbox.finetuned(&run("piped").split(' ').collect::<Vec<&str>>());
    let printed = String::from_utf8_lossy(&piped.stdout);
    assert!(
        piped.status.success() && printed.contains("step ") && !printed.contains(REDRAWN),
        "{printed}"
    );

    // `script` gives a command a terminal.
    let command = sandbox.command();
    let mut terminal = std::process::Command::new("script");
    terminal
        .envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))))
        .env("TERM", "xterm")
        .env_remove("NO_COLOR");
    let shown = terminal
        .args([
            "-qec",
            &format!("{} {}", command.get_program().display(), run("shown")),
            "/dev/null",
        ])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&shown.stdout);
    assert!(
        shown.status.success()
            && printed.contains("\u{1b}[")
            && 10 < printed.matches(REDRAWN).count(),
        "{printed}"
    );
}

#[test]
fn check_tells_data_and_plan_and_leaves_nothing() {
    let sandbox = Sandbox::new("");
    let (drop, recipe) = sandbox.drop_and_recipe(100, "");
    let args = ["check", drop.to_str().unwrap(), "--recipe", recipe.to_str().unwrap()];
    assert!(sandbox.ok(&args).contains("text `text`, label `label`"));
    let answer: Value =
        serde_json::from_str(&sandbox.ok(&[&args[..], &["--json"]].concat())).unwrap();
    assert_eq!(answer["data"]["classes"].as_array().unwrap().len(), 2);
    assert!(0 < answer["plan"]["train"]["steps"].as_u64().unwrap());
    assert!(!sandbox.home().join("runs").exists());
}

#[test]
fn a_healthy_home_is_called_healthy_and_a_missing_worker_named() {
    let sandbox = Sandbox::new(QUICK);
    let answer: Value = serde_json::from_str(&sandbox.ok(&["doctor", "--json"])).unwrap();
    assert_eq!(answer["healthy"], true, "{answer}");
    sandbox.configure(QUICK, "worker = \"/nowhere/finetuned-worker\"");
    let output = sandbox.finetuned(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("/nowhere/finetuned-worker is missing"),
        "{output:?}"
    );
}

const GIB: u64 = 1 << 30;

/// The default ceiling is four fifths of the limit (`MEMORY_PERCENT`), in the words of `doctor`.
#[track_caller]
fn follows_the_limit_of_one_gib(doctor: &mut Command) {
    let answer: Value = serde_json::from_str(&ok(doctor)).unwrap();
    assert_eq!(answer["checks"][0]["check"], "configuration");
    let text = answer["checks"][0]["text"].as_str().unwrap();
    assert!(
        text.ends_with(&format!("{:.1} MB of memory each", (GIB / 100 * 80) as f64 / 1e6)),
        "{text}"
    );
    assert!(
        answer["checks"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["text"].as_str().unwrap().contains(" cores, 1.1 GB")),
        "{answer}"
    );
}

#[test]
fn the_default_memory_ceiling_follows_the_cgroup() {
    let sandbox = Sandbox::new(QUICK);
    // Whatever hierarchy this machine has, a mount namespace has this one: its root holds for every
    // group.
    let hierarchy = sandbox.home().join("cgroup");
    fs::create_dir(&hierarchy).unwrap();
    fs::write(hierarchy.join("memory.max"), format!("{GIB}\n")).unwrap();
    let script = r#"mount --bind "$1" /sys/fs/cgroup; exec "$2" --home "$3" doctor --json"#;
    let mut doctor = Command::new("unshare");
    doctor.args(mounts_of_its_own()).args(["--", "sh", "-ec", script, "sh"]).arg(&hierarchy);
    follows_the_limit_of_one_gib(doctor.arg(binary("finetuned")).arg(sandbox.home()));
}

/// A cgroup v2 below our own whose memory is limited to a GiB; it goes when the value does.
struct LimitedGroup(PathBuf);

impl LimitedGroup {
    fn new() -> std::io::Result<LimitedGroup> {
        let ours = fs::read_to_string("/proc/self/cgroup")?;
        let ours = ours.lines().find_map(|it| it.strip_prefix("0::/")).unwrap_or_default();
        let group = LimitedGroup(
            Path::new("/sys/fs/cgroup")
                .join(ours)
                .join(format!("finetuned-test-{}", std::process::id())),
        );
        fs::create_dir(&group.0)?;
        // The kernel makes this file, where groups may be made and memory is shared out; elsewhere
        // it is absent.
        File::options()
            .write(true)
            .open(group.0.join("memory.max"))?
            .write_all(format!("{GIB}\n").as_bytes())?;
        Ok(group)
    }
}

impl Drop for LimitedGroup {
    fn drop(&mut self) {
        // Absent where it could not be made.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn the_default_memory_ceiling_follows_a_live_cgroup() {
    let group = match LimitedGroup::new() {
        Ok(group) => group,
        Err(err) => {
            return skipped(&format!(
                "no cgroup v2 with memory can be made below our own here: {err}"
            ));
        }
    };
    let sandbox = Sandbox::new(QUICK);
    let script = r#"echo $$ >"$1/cgroup.procs"; exec "$2" --home "$3" doctor --json"#;
    let mut doctor = Command::new("sh");
    doctor.args(["-ec", script, "sh"]).arg(&group.0);
    follows_the_limit_of_one_gib(doctor.arg(binary("finetuned")).arg(sandbox.home()));
}

#[test]
fn a_log_in_json_is_json_in_every_line() {
    let mut sandbox = Sandbox::new(QUICK);
    sandbox.serve_with(&["--log", "json"]);
    sandbox.drop_rows("good.csv", 60);
    sandbox.wait_for_state(1, "done");
    fs::write(sandbox.inbox().join("bad.csv"), "text,label\ngood,a\n").unwrap();
    sandbox.wait_for_state(2, "failed");
    let second = sandbox.finetuned(&["serve", "--log", "json"]);
    assert_eq!(second.status.code(), Some(1));
    fs::write(sandbox.home().join("config.toml"), "setle_s = 1\n").unwrap();
    sandbox.reload();
    sandbox.wait_until("the configuration is refused", |it| it.log().contains("stays in force"));
    sandbox.stop_daemon();
    let log = sandbox.log() + &String::from_utf8(second.stderr).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|it| serde_json::from_str(it).unwrap_or_else(|err| panic!("{err}: {it}")))
        .collect();
    for line in &lines {
        assert!(
            line["timestamp"].as_str().is_some_and(|it| it.starts_with("20") && it.ends_with('Z')),
            "{line}"
        );
        assert!(["ERROR", "WARN", "INFO"].contains(&line["level"].as_str().unwrap()), "{line}");
        assert!(line["message"].as_str().is_some_and(|it| !it.is_empty()), "{line}");
    }
    for (level, what) in [
        ("INFO", "serving /"),
        ("INFO", "job 1: took good.csv"),
        ("INFO", "job 1: done"),
        ("WARN", "job 2: failed"),
        ("ERROR", "did you mean `settle_s`"),
        ("ERROR", "another finetuned (process"),
        ("INFO", "stopped"),
    ] {
        assert!(
            lines
                .iter()
                .any(|it| it["level"] == level && it["message"].as_str().unwrap().contains(what)),
            "{level} {what}: {log}"
        );
    }
}

#[test]
fn idle_is_cheap_and_status_is_quick() {
    let sandbox = Sandbox::new(QUICK).serving();
    sandbox.wait_until("it has said something", |it| !it.status()["daemon"].is_null());
    let pid = sandbox.status()["daemon"]["pid"].as_u64().unwrap();
    let field = |name: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        text.lines()
            .find_map(|it| it.strip_prefix(name)?.trim().split(' ').next()?.parse::<u64>().ok())
            .unwrap()
    };
    assert!(field("VmRSS:") < 20_000, "{} kB", field("VmRSS:"));
    // The quickest of several: other tests run beside this one.
    let quickest = (0..20).map(|_| {
        let start = Instant::now();
        sandbox.ok(&["status"]);
        start.elapsed()
    });
    let quickest = quickest.min().unwrap();
    assert!(quickest < Duration::from_millis(20), "{quickest:?}");
}
