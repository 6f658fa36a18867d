//! What a person gets wrong: each is answered with one sentence that says what to do, and the exit
//! status that `finetuned --help` promises.

use crate::attempt::binary;
use crate::sandbox::{LONG, QUICK, Sandbox};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

#[track_caller]
fn check(command: &mut Command, status: i32, sentence: &str) {
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{command:?}: {printed}");
    assert!(printed.contains(sentence), "{command:?}: {printed}");
    assert_eq!(printed.trim_end().lines().count(), 1, "one sentence: {printed}");
}

#[test]
fn what_is_not_there_is_named() {
    let sandbox = Sandbox::new(QUICK);
    let no_jobs = "there are no jobs in /";
    for (args, sentence) in [
        (&["show", "7"][..], no_jobs),
        (&["logs", "7", "--json"], no_jobs),
        (&["cancel", "7"], no_jobs),
        (&["predict", "7", "a text"], no_jobs),
        (&["predict", "/", "a text"], "/ is not the folder of a run: it has no plan.json"),
        (
            &["run", "/nowhere.csv"],
            "there is no drop /nowhere.csv: name a folder, an archive or one file",
        ),
        (
            &["check", "/nowhere.csv", "--json"],
            "there is no drop /nowhere.csv: name a folder, an archive or one file",
        ),
        (&["check", "/", "--recipe", "/nowhere.toml"], "reading the recipe /nowhere.toml"),
        (&["model", "pull", "hf:"], "write hf:OWNER/NAME"),
        (&["model", "inspect", "/nowhere"], "there is no folder /nowhere"),
    ] {
        check(sandbox.command().args(args), 1, sentence);
    }
    let odd = sandbox.home().join(OsStr::from_bytes(b"odd\xff.csv"));
    fs::write(&odd, "text,label\n").unwrap();
    for verb in ["run", "check"] {
        check(sandbox.command().arg(verb).arg(&odd), 1, "must have a name in UTF-8: rename it");
    }
}

#[test]
fn a_home_that_is_none_is_not_called_empty() {
    let sandbox = Sandbox::new(QUICK);
    fs::write(sandbox.home().join("file"), "").unwrap();
    let at_file = || {
        let mut command = Command::new(binary("finetuned"));
        command.env("FINETUNED_HOME", sandbox.home().join("file"));
        command
    };
    for verb in [&["status"][..], &["status", "--json"], &["show", "1"], &["cancel", "1"]] {
        check(at_file().args(verb), 1, "file/finetuned.db");
    }
    let Output { status, stdout, .. } = at_file().args(["doctor", "--json"]).output().unwrap();
    assert_eq!(status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&stdout).unwrap();
    let faults = answer["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["ok"] == false)
        .map(|it| it["check"].as_str().unwrap());
    assert_eq!(faults.collect::<Vec<_>>(), ["configuration", "home"], "{answer}");

    // A daemon that was killed before its first table leaves this.
    fs::write(sandbox.home().join("finetuned.db"), "").unwrap();
    assert!(sandbox.ok(&["status"]).contains("none yet"));
    fs::write(sandbox.home().join("finetuned.db"), "something else").unwrap();
    check(
        sandbox.command().arg("status"),
        1,
        "finetuned.db: file is not a database (move it away to begin with an empty queue",
    );
}

#[test]
fn wishes_are_answered_in_json_too() {
    let sandbox = Sandbox::new(QUICK).serving();
    fs::write(sandbox.inbox().join("one.csv"), "text,label\ngood,a\n").unwrap();
    sandbox.wait_for_state(1, "failed");
    let answer: Value = serde_json::from_str(&sandbox.ok(&["retry", "1", "--json"])).unwrap();
    assert_eq!(
        answer,
        serde_json::json!({ "id": 1, "answer": "job 1 is queued again", "served": true })
    );
    check(
        sandbox.command().args(["pause", "oen", "--json"]),
        1,
        "there is no job `oen`: `finetuned status --all` lists them",
    );
}

/// As in `finetuned … | head -0`.
fn unread(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    child.wait_with_output().unwrap()
}

#[test]
fn nobody_reads_on() {
    let sandbox = Sandbox::new(QUICK);
    for args in [
        &["status"][..],
        &["doctor", "--json"],
        &["model", "list"],
        &["model", "list", "--json"],
        &["completions", "bash"],
    ] {
        let output = unread(sandbox.command().args(args));
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (Some(0), ""),
            "{args:?}"
        );
    }
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    check(
        sandbox.command().arg("status").stdout(full),
        1,
        "writing the answer to stdout: No space left on device",
    );
}

#[test]
fn a_run_that_nobody_reads_is_no_success_and_continues() {
    let sandbox = Sandbox::new("");
    let ((drop, recipe), out) = (sandbox.drop_and_recipe(200, LONG), sandbox.home().join("out"));
    let run = |flags: &[&str]| {
        let mut command = sandbox.command();
        command
            .arg("run")
            .arg(&drop)
            .arg("--recipe")
            .arg(&recipe)
            .arg("--out")
            .arg(&out)
            .args(flags);
        command
    };
    for flags in [&[][..], &["--json"]] {
        let output = unread(&mut run(flags));
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        assert!(!out.join("done.json").exists());
    }
    let finished = run(&["--json"]).output().unwrap();
    assert!(finished.status.success(), "{finished:?}");
}
