//! Stories of drops that are submitted by a command, and of waiting for their jobs.

use crate::attempt::{binary, on_tiny_bert, sentences};
use crate::sandbox::{LONG, QUICK, Sandbox, is_checkpoint};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A table outside the home.
fn table(folder: &Path, name: &str, rows: u32) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, sentences(rows, 7)).unwrap();
    file
}

fn submit(sandbox: &Sandbox, drop: &Path, flags: &[&str]) -> Output {
    sandbox.command().arg("submit").arg(drop).args(flags).output().unwrap()
}

fn spawn(sandbox: &Sandbox, args: &[&str]) -> Child {
    let mut command = sandbox.command();
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect()
}

/// Names in the inbox, hidden ones too.
fn inbox(sandbox: &Sandbox) -> Vec<String> {
    let name = |it: fs::DirEntry| it.file_name().into_string().unwrap();
    fs::read_dir(sandbox.inbox()).unwrap().map(|it| name(it.unwrap())).collect()
}

#[test]
fn a_submitted_drop_is_followed_until_its_model_is_proven() {
    let elsewhere = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new("[train]\nepochs = 20\nlr = 1e-3\n").serving();
    let drop = table(elsewhere.path(), "tweets.csv", 400);
    let output = submit(&sandbox, &drop, &["--wait"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in
        ["run /", "reading", "step ", "checkpoint at step", "score ", "/model", "report.html"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(fs::read(&drop).unwrap(), fs::read(sandbox.run(1).join("drop/tweets.csv")).unwrap());
    assert_eq!(inbox(&sandbox), [""; 0]);
    // As `run` has it: every event, and the outcome as the last line.
    let output = sandbox.finetuned(&["wait", "tweets", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let lines = lines(&output);
    assert!(lines[..lines.len() - 1].iter().all(|it| it["at_ms"].is_u64()), "events");
    assert_eq!(lines.last().unwrap()["job"], 1);
    assert!(0.9 < lines.last().unwrap()["score"].as_f64().unwrap());
}

#[test]
fn a_drop_that_fails_ends_as_run_ends() {
    let elsewhere = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(QUICK).serving();
    let drop = elsewhere.path().join("a.csv");
    fs::write(&drop, "text,label\nonly one,x\n").unwrap();
    let output = submit(&sandbox, &drop, &["--wait", "--json"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let lines = lines(&output);
    let why = lines.last().unwrap()["failure"]["message"].as_str().unwrap().to_string();
    assert!(stderr(&output).contains(&why), "{why}: {}", stderr(&output));
    assert_eq!(sandbox.finetuned(&["wait", "1"]).status.code(), Some(3));
}

#[test]
fn a_recipe_goes_along_and_a_file_then_lies_in_a_folder() {
    let elsewhere = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(QUICK).serving();
    let recipe = elsewhere.path().join("r.toml");
    fs::write(&recipe, on_tiny_bert("[train]\nepochs = 3\nlr = 3e-3\n")).unwrap();
    let flags = ["--recipe", recipe.to_str().unwrap(), "--inbox", "inbox", "--json"];
    let output = submit(&sandbox, &table(elsewhere.path(), "a.b.csv", 60), &flags);
    let answer = lines(&output).remove(0);
    assert_eq!((&answer["job"], &answer["served"]), (&1.into(), &true.into()), "{answer}");
    assert_eq!(answer["entry"], sandbox.inbox().join("a.b").to_str().unwrap());
    assert_eq!(sandbox.finetuned(&["wait", "1"]).status.code(), Some(0));
    let run = sandbox.run(1);
    assert_eq!(fs::read(run.join("drop/a.b/job.toml")).unwrap(), fs::read(&recipe).unwrap());
    let plan: Value = serde_json::from_slice(&fs::read(run.join("plan.json")).unwrap()).unwrap();
    assert_eq!(plan["train"]["epochs"], 3, "{plan}");

    // A folder that brings its own, and a recipe with a mistake.
    let folder = elsewhere.path().join("mails");
    fs::create_dir(&folder).unwrap();
    table(&folder, "train.csv", 60);
    fs::write(folder.join("job.toml"), "").unwrap();
    let output = submit(&sandbox, &folder, &flags);
    assert!(stderr(&output).contains("leave --recipe out"), "{}", stderr(&output));
    fs::write(&recipe, "[train]\nepochs = 0\n").unwrap();
    let output = submit(&sandbox, &folder, &flags);
    assert!(stderr(&output).contains("train.epochs is 0"), "{}", stderr(&output));
    assert_eq!(inbox(&sandbox), [""; 0]);
    // Without a recipe the folder is taken, at once although nobody waits for it to settle.
    fs::write(folder.join("job.toml"), on_tiny_bert(QUICK)).unwrap();
    assert_eq!(submit(&sandbox, &folder, &["--wait"]).status.code(), Some(0));
    assert!(sandbox.run(2).join("drop/mails/train.csv").exists());
}

#[test]
fn nothing_in_an_inbox_is_ever_overwritten() {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut sandbox = Sandbox::new(QUICK);
    let drop = table(elsewhere.path(), "a.csv", 60);
    let output = submit(&sandbox, &drop, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("no daemon serves this home now"));
    let first = fs::read(&drop).unwrap();
    table(elsewhere.path(), "a.csv", 90);
    let output = submit(&sandbox, &drop, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("nothing is ever overwritten"), "{}", stderr(&output));
    assert_eq!(fs::read(sandbox.inbox().join("a.csv")).unwrap(), first);
    assert_eq!(inbox(&sandbox), ["a.csv"]);
    // With a daemon names become free: many of one name, each a job of its own.
    sandbox.serve();
    let waiting: Vec<Child> =
        (0..4).map(|_| spawn(&sandbox, &["submit", drop.to_str().unwrap(), "--json"])).collect();
    let mut jobs: Vec<u64> = waiting
        .into_iter()
        .map(|it| it.wait_with_output().unwrap())
        .map(|it| lines(&it).remove(0)["job"].as_u64().unwrap_or_else(|| panic!("{it:?}")))
        .collect();
    jobs.sort();
    assert_eq!(jobs, [2, 3, 4, 5]);
    sandbox.wait_for_state(5, "done");
    assert_eq!(fs::read(sandbox.run(5).join("drop/a.csv")).unwrap(), fs::read(&drop).unwrap());
}

#[test]
fn what_is_no_whole_drop_is_not_submitted() {
    let elsewhere = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(QUICK);
    let refused = |drop: &Path, why: &str| {
        let output = submit(&sandbox, drop, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(why), "{why}: {}", stderr(&output));
        assert_eq!(inbox(&sandbox), [""; 0]);
    };
    refused(&elsewhere.path().join("absent"), "there is no drop");
    refused(&table(elsewhere.path(), "a.csv.part", 9), "inboxes pass over");
    refused(&table(elsewhere.path(), ".a.csv", 9), "inboxes pass over");
    let folder = elsewhere.path().join("mails");
    fs::create_dir(&folder).unwrap();
    refused(&folder, "holds no data");
    table(&folder, "b.csv.filepart", 9);
    table(&folder, "a.csv", 9);
    refused(&folder, "b.csv.filepart is still being written");
    fs::remove_file(folder.join("b.csv.filepart")).unwrap();
    let writer = fs::File::options().append(true).open(folder.join("a.csv")).unwrap();
    refused(&folder, "is open for writing");
    drop(writer);
    std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
    refused(&folder, "neither a file nor a folder");
    refused(&sandbox.home(), "the inbox in it");
    sandbox.configure(QUICK, "reserve = '900 TB'");
    refused(&table(elsewhere.path(), "a.csv", 9), "are kept in reserve");
}

#[test]
fn an_inbox_is_named_where_there_are_several() {
    let elsewhere = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(QUICK);
    let mails = elsewhere.path().join("mails");
    fs::create_dir(&mails).unwrap();
    sandbox.configure(QUICK, &format!("[[inbox]]\npath = {mails:?}\n"));
    let drop = table(elsewhere.path(), "a.csv", 60);
    let refused = |flags: &[&str], why: &str| {
        let output = submit(&sandbox, &drop, flags);
        assert!(stderr(&output).contains(why), "{why}: {}", stderr(&output));
        assert!(stderr(&output).contains(mails.to_str().unwrap()), "{}", stderr(&output));
    };
    refused(&[], "name one with --inbox");
    refused(&["--inbox", "mail"], "there is no inbox `mail`");
    refused(&["--inbox", "/tmp"], "there is no inbox `/tmp`");
    std::os::unix::fs::symlink(&mails, elsewhere.path().join("link")).unwrap();
    let link = elsewhere.path().join("link");
    assert!(submit(&sandbox, &drop, &["--inbox", "mails"]).status.success());
    fs::rename(mails.join("a.csv"), mails.join("b.csv")).unwrap();
    assert!(submit(&sandbox, &drop, &["--inbox", link.to_str().unwrap()]).status.success());
    assert!(mails.join("a.csv").exists());
}

#[test]
fn who_waits_may_leave_and_the_job_goes_on() {
    let elsewhere = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(LONG).serving();
    let drop = table(elsewhere.path(), "a.csv", 400);
    let leave = |child: &Child, signal| {
        kill_process(Pid::from_child(child), signal).expect("it waits");
    };
    let waiting = spawn(&sandbox, &["submit", drop.to_str().unwrap(), "--wait"]);
    sandbox.wait_until("it is taken", |it| it.state(1) == "running");
    sandbox.wait_for(1, is_checkpoint);
    leave(&waiting, Signal::INT);
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(stderr(&output).contains("`finetuned wait 1` follows it again"), "{}", stderr(&output));
    let waiting = spawn(&sandbox, &["wait", "1"]);
    sandbox.wait_for(1, is_checkpoint);
    leave(&waiting, Signal::TERM);
    assert_eq!(waiting.wait_with_output().unwrap().status.code(), Some(4));
    assert_eq!(sandbox.state(1), "running");
    // Nobody reads on: no success.
    let mut unread = spawn(&sandbox, &["wait", "1"]);
    std::mem::drop(unread.stdout.take());
    assert_eq!(unread.wait().unwrap().code(), Some(4));
    // It waits through a pause, and a cancelled job is no success either.
    let waiting = spawn(&sandbox, &["wait", "1"]);
    sandbox.ok(&["pause", "1"]);
    sandbox.wait_for_state(1, "paused");
    sandbox.ok(&["cancel", "1"]);
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("job 1 is cancelled"), "{}", stderr(&output));
}

#[test]
fn a_drop_that_is_not_taken_says_why_and_one_that_is_taken_back_ends_the_wait() {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut sandbox = Sandbox::new(QUICK);
    let drop = table(elsewhere.path(), "a.csv", 60);
    let waiting = spawn(&sandbox, &["submit", drop.to_str().unwrap(), "--wait"]);
    sandbox.wait_until("it is handed over", |it| it.inbox().join("a.csv").exists());
    std::thread::sleep(Duration::from_millis(300));
    fs::remove_file(sandbox.inbox().join("a.csv")).unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no daemon serves this home"), "{}", stderr(&output));
    assert!(stderr(&output).contains("removed or changed"), "{}", stderr(&output));
    // A home that may not be looked into has inboxes for others; their paths are enough.
    sandbox.serve();
    fs::set_permissions(&drop, fs::Permissions::from_mode(0o644)).unwrap();
    let path = sandbox.inbox();
    let lost = elsewhere.path().join("no home/config.toml");
    fs::create_dir_all(&lost).unwrap();
    let output = Command::new(binary("finetuned"))
        .args(["--home", lost.parent().unwrap().to_str().unwrap(), "submit"])
        .args([drop.to_str().unwrap(), "--inbox", path.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    sandbox.wait_for_state(1, "done");
}
