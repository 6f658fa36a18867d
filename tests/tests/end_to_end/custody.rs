//! Whose data are whose: a database that is lost, restored or damaged, drops that can't be moved,
//! recipes of strangers. After each: no drop lost or mistaken for another, nothing read that is not
//! the dropper's.

use crate::attempt::sentences;
use crate::sandbox::{LONG, QUICK, Sandbox, is_checkpoint};
use finetuned_job::run_folder;
use std::fs;
use std::path::Path;
use std::process::Command;

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("model/model.safetensors")).expect("a finished model")
}

/// As the message about a damaged database advises.
fn move_the_database_away(sandbox: &Sandbox) {
    for name in ["finetuned.db", "finetuned.db-wal", "finetuned.db-shm"] {
        let file = sandbox.home().join(name);
        if file.exists() {
            fs::rename(&file, sandbox.home().join(format!("away-{name}"))).unwrap();
        }
    }
}

#[test]
fn a_lost_database_is_rebuilt_and_no_run_is_mistaken_for_another() {
    let mut sandbox = Sandbox::new(QUICK).serving();
    sandbox.drop_rows("tweets.csv", 60);
    sandbox.wait_for_state(1, "done");
    fs::write(sandbox.inbox().join("one.csv"), "text,label\ngood,a\nbetter,a\n").unwrap();
    sandbox.wait_for_state(2, "failed");
    sandbox.stop_daemon();
    let before = weights(&sandbox.run(1));
    move_the_database_away(&sandbox);
    sandbox.serve();
    assert_eq!([sandbox.state(1), sandbox.state(2)], ["done", "failed"]);
    // Another data set under the same name.
    fs::write(sandbox.inbox().join("tweets.csv"), sentences(80, 99)).unwrap();
    sandbox.wait_for_state(3, "done");
    assert_eq!(sandbox.run(3), sandbox.home().join("runs/0003-tweets"));
    let drop = |job| fs::read_to_string(sandbox.run(job).join("drop/tweets.csv")).unwrap();
    assert_eq!([drop(1), drop(3)], [sentences(60, 7), sentences(80, 99)]);
    assert!(weights(&sandbox.run(1)) == before && weights(&sandbox.run(3)) != before);
}

#[test]
fn a_restored_database_knows_every_run_again() {
    let mut sandbox = Sandbox::new(LONG).serving();
    sandbox.wait_until("it has a database", |it| it.home().join("finetuned.db").exists());
    sandbox.stop_daemon();
    let (database, backup) =
        (sandbox.home().join("finetuned.db"), sandbox.home().join("backup.db"));
    fs::copy(&database, &backup).unwrap();
    sandbox.serve();
    sandbox.drop_rows("a.csv", 400);
    sandbox.wait_for(1, is_checkpoint);
    sandbox.stop_daemon();
    move_the_database_away(&sandbox);
    fs::copy(&backup, &database).unwrap();
    sandbox.serve();
    sandbox.drop_rows("a.csv", 60);
    sandbox.wait_for_state(1, "done");
    sandbox.wait_for_state(2, "done");
    let rows =
        |job| fs::read_to_string(sandbox.run(job).join("drop/a.csv")).unwrap().lines().count();
    assert_eq!([rows(1), rows(2)], [401, 61]);
}

#[test]
fn a_folder_of_another_job_is_left_alone() {
    let mut sandbox = Sandbox::new(QUICK).serving();
    sandbox.drop_rows("a.csv", 60);
    sandbox.wait_for_state(1, "done");
    sandbox.drop_rows("b.csv", 60);
    sandbox.wait_for_state(2, "done");
    sandbox.stop_daemon();
    // The folder of a job of another number, and a copy of a folder that has its row.
    let run = sandbox.run(2);
    let copy = sandbox.home().join("runs/0009-copy");
    assert!(
        Command::new("cp").arg("-a").arg(sandbox.run(1)).arg(&copy).status().unwrap().success()
    );
    move_the_database_away(&sandbox);
    fs::rename(&run, sandbox.home().join("runs/0003-c")).unwrap();
    sandbox.serve();
    sandbox.wait_for_state(3, "done");
    fs::write(sandbox.inbox().join("c.csv"), sentences(70, 5)).unwrap();
    sandbox.wait_for_state(10, "done");
    assert_eq!(sandbox.status()["jobs"].as_array().unwrap().len(), 3);
    let adopted = sandbox.home().join("runs/0003-c");
    assert!(!adopted.join("drop/c.csv").exists() && adopted.join(run_folder::DONE).exists());
}
