//! What must not go wrong when everything else does: kills at any moment, full disks, restless
//! owners. After each: no drop lost, no half result visible, a clear state, the daemon alive.

use crate::attempt::sentences;
use crate::sandbox::{LONG, QUICK, Sandbox, is_checkpoint, skipped};
use finetuned_job::event::{Event, Phase};
use finetuned_job::run_folder;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("model/model.safetensors")).expect("a finished model")
}

#[test]
fn a_killed_worker_resumes_and_the_model_is_the_same_bit_for_bit() {
    let sandbox = Sandbox::new(LONG).serving();
    sandbox.drop_rows("calm.csv", 300);
    sandbox.wait_for_state(1, "done");
    sandbox.drop_rows("killed.csv", 300);
    sandbox.wait_until("it is a job", |it| it.state(2) == "running");
    sandbox.wait_for(2, is_checkpoint);
    sandbox.kill_worker(2);
    sandbox.wait_for_state(2, "done");
    assert_eq!(sandbox.job(2)["crashes"], 1);
    assert!(
        sandbox
            .events(2)
            .iter()
            .any(|it| matches!(it, Event::Started { resumed_from: Some(step), .. } if 0 < *step))
    );
    assert!(
        weights(&sandbox.run(1)) == weights(&sandbox.run(2)),
        "the kill left a trace in the model"
    );
}

#[test]
fn three_deaths_are_a_quarantine_and_a_retry_forgives() {
    let mut sandbox = Sandbox::new(LONG).serving();
    sandbox.drop_rows("a.csv", 400);
    for death in 1..=3 {
        sandbox.wait_until("it runs", |it| {
            it.job(1)["attempt"] == death && !it.job(1)["pid"].is_null()
        });
        sandbox.kill_worker(1);
    }
    sandbox.wait_for_state(1, "quarantined");
    let job = sandbox.job(1);
    assert_eq!(job["outcome"]["failure"]["kind"], "crash");
    assert!(
        job["reason"].as_str().unwrap().starts_with("its worker died 3 times, at last by SIGKILL"),
        "{job}"
    );
    assert!(sandbox.is_alive());
    sandbox.ok(&["retry", "1"]);
    sandbox.wait_for_state(1, "done");
    assert!(!sandbox.run(1).join(run_folder::FAILED).exists());
}

/// From the first look at the drops to the last rename: whatever the daemon is at, it is killed
/// there.
#[test]
fn a_daemon_killed_at_any_moment_loses_nothing() {
    let mut sandbox = Sandbox::new("[train]\nepochs = 4\npatience = 0\n[save]\nevery_steps = 2\n");
    const DROPS: u64 = 5;
    for n in 0..DROPS {
        sandbox.drop_rows(&format!("drop{n}.csv"), 80);
    }
    // Milliseconds after it serves: settling, claiming, starting, and then in the middle of
    // training and proof.
    for pause in [20, 290, 305, 320, 340, 400, 700, 1100, 1500, 1900, 2300, 2700] {
        sandbox.serve();
        sleep(Duration::from_millis(pause));
        sandbox.kill_daemon();
        for run in fs::read_dir(sandbox.home().join("runs")).unwrap().map(|it| it.unwrap().path()) {
            assert_eq!(
                run.join(run_folder::MODEL).exists(),
                run.join(run_folder::MODEL).join("config.json").exists(),
                "half a model in {}",
                run.display()
            );
        }
    }
    sandbox.serve();
    sandbox.wait_until("all are done", |it| it.status()["counts"]["done"] == DROPS);
    assert_eq!(
        sandbox.status()["jobs"].as_array().unwrap().len() as u64,
        DROPS,
        "each drop is one job: {}",
        sandbox.status()
    );
    assert_eq!(fs::read_dir(sandbox.inbox()).unwrap().count(), 0);
    for job in sandbox.status()["jobs"].as_array().unwrap() {
        assert_eq!(job["crashes"], 0, "its daemon was killed, not its worker: {job}");
        let drop = Path::new(job["run"].as_str().unwrap())
            .join("drop")
            .join(job["name"].as_str().unwrap());
        assert_eq!(fs::read_to_string(drop).unwrap(), sentences(80, 7));
    }
}

#[test]
fn two_thousand_drops_at_once() {
    let mut sandbox = Sandbox::new(QUICK).serving();
    for n in 0..2000 {
        fs::write(sandbox.inbox().join(format!("drop{n}.csv")), "text,label\n").unwrap();
    }
    let start = Instant::now();
    sandbox.wait_until("all are jobs", |it| {
        it.status()["jobs"].as_array().unwrap().len() == 2000
            && fs::read_dir(it.inbox()).unwrap().count() == 0
    });
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    sandbox.wait_until("the first has its answer", |it| it.state(1) == "failed");
    assert!(sandbox.is_alive());
}

#[test]
fn a_drop_that_grows_while_it_is_read_is_read_whole() {
    let sandbox = Sandbox::new("[train]\nepochs = 3\n").serving();
    // Renamed in whole, so it is taken at once; its owner still writes.
    let folder = sandbox.home().join("outside");
    fs::create_dir(&folder).unwrap();
    let mut file = File::create(folder.join("data.csv")).unwrap();
    let text = sentences(600, 5);
    let (first, rest) = text.split_at(text.len() / 3);
    file.write_all(first.as_bytes()).unwrap();
    fs::rename(&folder, sandbox.inbox().join("growing")).unwrap();
    for part in rest.as_bytes().chunks(rest.len() / 12 + 1) {
        sleep(Duration::from_millis(100));
        file.write_all(part).unwrap();
    }
    drop(file);
    sandbox.wait_for_state(1, "done");
    let data: serde_json::Value =
        serde_json::from_slice(&fs::read(sandbox.run(1).join(run_folder::DATA)).unwrap()).unwrap();
    assert_eq!(data["files"][0]["rows"], 600, "{data}");
}

#[test]
fn an_owner_who_takes_a_drop_back_gets_a_clear_answer() {
    let mut sandbox = Sandbox::new(LONG).serving();
    sandbox.drop_rows("first.csv", 400);
    sandbox.wait_for(1, is_checkpoint);
    sandbox.drop_rows("second.csv", 100);
    sandbox.wait_for_state(2, "queued");
    fs::remove_file(sandbox.run(2).join("drop/second.csv")).unwrap();
    // And one that settles still.
    fs::write(sandbox.inbox().join("third.csv"), "text,label\n").unwrap();
    fs::remove_file(sandbox.inbox().join("third.csv")).unwrap();
    sandbox.ok(&["cancel", "1"]);
    sandbox.wait_for_state(2, "cancelled");
    assert_eq!(sandbox.job(2)["reason"], "its drop was removed before it could be read");
    assert_eq!(sandbox.state(3), "absent");
    assert!(sandbox.is_alive());
}

#[test]
fn a_run_folder_that_is_removed_under_its_worker_stops_nobody() {
    let mut sandbox = Sandbox::new(LONG).serving();
    sandbox.drop_rows("a.csv", 400);
    sandbox.wait_for(1, is_checkpoint);
    let run = sandbox.run(1);
    // Its worker may write into it meanwhile.
    sandbox.wait_until("it is gone", |_| fs::remove_dir_all(&run).is_ok() || !run.exists());
    sandbox.drop_rows("b.csv", 60);
    sandbox.wait_for_state(2, "done");
    assert!(["failed", "cancelled"].contains(&&*sandbox.state(1)), "{}", sandbox.job(1));
    assert!(sandbox.status()["daemon"]["trouble"].is_null(), "{}", sandbox.status());
    assert!(sandbox.is_alive());
}

/// Fills the home's file system to the last byte.
fn fill(home: &Path) {
    let mut ballast = File::create(home.join("ballast")).unwrap();
    let block = vec![0; 64 * 1024];
    while ballast.write_all(&block).is_ok() {}
    while ballast.write_all(&[0]).is_ok() {}
}

#[track_caller]
fn a_full_disk(at: impl Fn(&Event) -> bool) {
    const BYTES: u64 = 32 << 20;
    let mut sandbox = Sandbox::serve_on_tmpfs(LONG, BYTES, "true");
    sandbox.drop_rows("a.csv", 400);
    sandbox.wait_until("it is a job", |it| it.state(1) == "running");
    sandbox.wait_for(1, at);
    fill(&sandbox.home());
    sandbox.wait_until("the job or the daemon names the disk", |it| {
        let job = it.job(1);
        ["failed", "done"].contains(&job["state"].as_str().unwrap_or(""))
            || !it.status()["daemon"]["trouble"].is_null()
            || it.log().contains("full")
            || it.log().contains("No space")
    });
    assert!(sandbox.is_alive());
    let run = sandbox.run(1);
    assert_eq!(
        run.join(run_folder::DONE).exists(),
        run.join("model/model.safetensors").exists() && run.join(run_folder::DONE).exists(),
        "half a result"
    );
    fs::remove_file(sandbox.home().join("ballast")).unwrap();
    sandbox
        .wait_until("the state is written down", |it| ["failed", "done"].contains(&&*it.state(1)));
    if sandbox.state(1) == "failed" {
        assert_eq!(sandbox.job(1)["outcome"]["failure"]["kind"], "disk", "{}", sandbox.job(1));
        sandbox.ok(&["retry", "1"]);
        sandbox.wait_for_state(1, "done");
    }
    assert!(sandbox.run(1).join("model/model.safetensors").exists());
}

#[test]
fn a_disk_that_is_full_while_checkpointing() {
    a_full_disk(is_checkpoint);
}

#[test]
fn a_disk_that_is_full_while_publishing() {
    a_full_disk(|it| {
        matches!(it, Event::Phase { phase: Phase::Evaluating | Phase::Exporting, .. })
    });
}

#[test]
fn a_read_only_inbox_is_named_with_its_cure() {
    let prepare = "mkdir -p \"$1/inbox\"; printf 'text,label\\n' > \"$1/inbox/a.csv\"; mount --bind \"$1/inbox\" \"$1/inbox\"; mount -o remount,bind,ro \"$1/inbox\"";
    let mut sandbox = Sandbox::serve_on_tmpfs(QUICK, 32 << 20, prepare);
    sandbox.wait_until("it is told", |it| {
        it.status()["daemon"]["inboxes"][0]["unclaimable"]
            .as_str()
            .is_some_and(|why| why.contains("mount it read-write"))
    });
    assert!(sandbox.ok(&["status"]).contains("CLOSED: it lies on a read-only file system"));
    sleep(Duration::from_secs(2));
    assert!(sandbox.status()["jobs"].as_array().unwrap().is_empty());
    assert!(sandbox.inbox().join("a.csv").exists() && sandbox.is_alive());
}

/// A user namespace has limits of its own for file events: none of them is taken from anybody.
#[test]
fn without_file_events_an_inbox_is_looked_at_and_that_is_shown() {
    for limit in ["max_inotify_instances", "max_inotify_watches"] {
        let used_up = format!("echo 0 >/proc/sys/user/{limit}");
        let namespaces = ["--user", "--map-root-user"];
        let tried =
            Command::new("unshare").args(namespaces).args(["--", "sh", "-c", &used_up]).output();
        if !tried.is_ok_and(|it| it.status.success()) {
            return skipped("no user namespace with limits of its own can be made here");
        }
        let mut sandbox = Sandbox::new(QUICK);
        sandbox.serve_in(&namespaces, &used_up);
        sandbox.wait_until("it is told", |it| {
            it.status()["daemon"]["inboxes"][0]["polled"]
                .as_str()
                .is_some_and(|why| why.contains("fs.inotify.max_user_"))
        });
        assert!(sandbox.ok(&["status"]).contains("looked at every few seconds: no events"));
        assert!(sandbox.log().contains("no events"), "{}", sandbox.log());
        sandbox.drop_rows("a.csv", 60);
        sandbox.wait_for_state(1, "done");
    }
}

#[test]
fn a_drop_from_another_file_system_is_copied_before_the_original_goes() {
    let prepare = "mkdir -p \"$1/inbox\"; mount -t tmpfs -o size=8m tmpfs \"$1/inbox\"";
    let sandbox = Sandbox::serve_on_tmpfs(QUICK, 32 << 20, prepare);
    sandbox.drop_rows("far.csv", 100);
    sandbox.wait_for_state(1, "done");
    assert_eq!(fs::read_to_string(sandbox.run(1).join("drop/far.csv")).unwrap(), sentences(100, 7));
    assert_eq!(fs::read_dir(sandbox.inbox()).unwrap().count(), 0);
}
