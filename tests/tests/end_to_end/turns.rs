//! Stories of jobs that wait for each other: priorities, turns, limits, quiet hours.

use crate::attempt::{on_tiny_bert, sentences};
use crate::sandbox::{LONG, QUICK, Sandbox, is_checkpoint};
use finetuned_job::event::Event;
use finetuned_job::run_folder;
use std::fs;
use std::path::Path;

/// A folder with a recipe of its own.
fn drop_with_recipe(inbox: &Path, name: &str, recipe: &str) {
    let folder = inbox.join(format!(".{name}"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("train.csv"), sentences(60, 1)).unwrap();
    fs::write(folder.join("job.toml"), on_tiny_bert(recipe)).unwrap();
    fs::rename(folder, inbox.join(name)).unwrap();
}

/// A job that has the only place until it is cancelled.
fn occupy(sandbox: &Sandbox) {
    sandbox.drop_rows("long.csv", 400);
    sandbox.wait_for_state(1, "running");
}

fn number_of(sandbox: &Sandbox, name: &str) -> u64 {
    let status = sandbox.status();
    let job = status["jobs"].as_array().unwrap().iter().find(|it| it["name"] == name);
    job.unwrap_or_else(|| panic!("{name} is not in {status}"))["id"].as_u64().unwrap()
}

/// Names of jobs in the order in which they began.
fn order(sandbox: &Sandbox) -> Vec<String> {
    let status = sandbox.status();
    let began = |job: &serde_json::Value| {
        let shown = sandbox.job(job["id"].as_u64().unwrap());
        shown["attempts"][0]["started_ms"].as_u64().unwrap()
    };
    let mut jobs = status["jobs"].as_array().unwrap().clone();
    jobs.sort_by_cached_key(began);
    jobs.iter().map(|it| it["name"].as_str().unwrap().to_string()).collect()
}

#[test]
fn the_more_important_job_goes_first() {
    let mut sandbox = Sandbox::new(LONG);
    let elsewhere = tempfile::tempdir().unwrap();
    let drop = elsewhere.path().join("urgent.csv");
    fs::write(&drop, sentences(60, 1)).unwrap();
    sandbox.serve();
    occupy(&sandbox);
    sandbox.stop_daemon();
    // Nobody serves: what a drop is submitted with waits for the daemon too. The job that has begun
    // is no less important.
    sandbox.ok(&["submit", drop.to_str().unwrap(), "--priority", "9"]);
    sandbox.ok(&["priority", "1", "50"]);
    sandbox.serve();
    sandbox.wait_for_state(1, "running");
    drop_with_recipe(&sandbox.inbox(), "stranger", "job.priority = 50\ntrain.epochs = 2");
    sandbox.wait_until("the first are taken", |it| it.status()["counts"]["queued"] == 2);
    sandbox.drop_rows("a.csv", 60);
    sandbox.drop_rows("b.csv", 60);
    sandbox.wait_until("all are taken", |it| it.status()["counts"]["queued"] == 4);
    let priority = |name: &str| sandbox.job(number_of(&sandbox, name))["priority"].clone();
    assert_eq!(["urgent.csv", "stranger", "a.csv"].map(priority), [9, 0, 0]);
    assert!(sandbox.log().contains("asks for priority 50, its inbox allows drops 0"));
    let a = number_of(&sandbox, "a.csv").to_string();
    let b = number_of(&sandbox, "b.csv").to_string();
    assert_eq!(sandbox.ok(&["priority", &a, "-5"]), format!("job {a} has priority -5\n"));
    sandbox.ok(&["priority", &b, "3"]);
    let status = sandbox.ok(&["status"]);
    assert!(status.contains("priority +9") && status.contains("priority -5"), "{status}");
    let shown = sandbox.ok(&["show", &a]);
    assert!(shown.lines().any(|it| it.split_whitespace().eq(["priority", "-5"])), "{shown}");
    assert!(!sandbox.finetuned(&["priority", &a, "101"]).status.success());
    sandbox.ok(&["cancel", "1"]);
    sandbox.wait_until("all are done", |it| it.status()["counts"]["done"] == 4);
    assert_eq!(order(&sandbox), ["long.csv", "urgent.csv", "b.csv", "stranger", "a.csv"]);
}

#[test]
fn inboxes_take_turns_by_their_weights() {
    let mut sandbox = Sandbox::new(LONG);
    let recipe = sandbox.home().join("quick.toml");
    fs::write(&recipe, on_tiny_bert(QUICK)).unwrap();
    let folders = ["many", "few"].map(|it| sandbox.home().join(it));
    let inboxes = folders.iter().zip([1, 2]).map(|(folder, weight)| {
        fs::create_dir(folder).unwrap();
        format!("[[inbox]]\npath = {folder:?}\nrecipe = {recipe:?}\nweight = {weight}\nmemory = '2 GB'\n")
    });
    sandbox.configure(LONG, &inboxes.collect::<String>());
    sandbox.serve();
    occupy(&sandbox);
    let fill = |folder: &Path, prefix: &str, n: u64, queued: u64| {
        for name in 0..n {
            fs::write(folder.join(format!("{prefix}{name}.csv")), sentences(60, 1)).unwrap();
        }
        sandbox.wait_until("they are taken", |it| it.status()["counts"]["queued"] == queued);
    };
    fill(&folders[0], "many", 4, 4);
    fill(&folders[1], "few", 3, 7);
    sandbox.ok(&["cancel", "1"]);
    sandbox.wait_until("all are done", |it| it.status()["counts"]["done"] == 7);
    assert_eq!(
        order(&sandbox),
        [
            "long.csv",
            "few0.csv",
            "many0.csv",
            "few1.csv",
            "few2.csv",
            "many1.csv",
            "many2.csv",
            "many3.csv"
        ]
    );
    let spec = fs::read_to_string(sandbox.run(2).join(run_folder::SPEC)).unwrap();
    let spec: serde_json::Value = serde_json::from_str(&spec).unwrap();
    assert_eq!(spec["memory_bytes"], 2_000_000_000_u64);
}

#[test]
fn a_long_job_gives_way_to_a_more_important_one_and_ends_with_the_same_bits() {
    let sandbox = Sandbox::new(LONG).serving();
    sandbox.drop_rows("alone.csv", 400);
    sandbox.wait_for_state(1, "done");
    sandbox.drop_rows("long.csv", 400);
    sandbox.wait_for(2, is_checkpoint);
    let elsewhere = tempfile::tempdir().unwrap();
    let drop = elsewhere.path().join("urgent.csv");
    fs::write(&drop, sentences(60, 1)).unwrap();
    sandbox.ok(&["submit", drop.to_str().unwrap(), "--priority", "5"]);
    sandbox.wait_for_state(3, "running");
    let waiting = sandbox.job(2);
    assert_eq!(waiting["reason"], "job 3 is more important and has its place", "{waiting}");
    sandbox.wait_for_state(2, "done");
    assert_eq!(sandbox.state(3), "done");
    let attempts = sandbox.job(2)["attempts"].clone();
    assert_eq!(
        (&attempts[0]["outcome"], &attempts[1]["outcome"]),
        (&"stopped".into(), &"done".into())
    );
    let went_on = sandbox
        .events(2)
        .into_iter()
        .any(|it| matches!(it, Event::Started { resumed_from: Some(step), .. } if 0 < step));
    assert!(went_on, "from its checkpoint");
    let model = |job| fs::read(sandbox.run(job).join("model/model.safetensors")).unwrap();
    assert!(model(1) == model(2), "the same bits as without a pause");
}

#[test]
fn in_quiet_hours_a_job_waits_with_its_checkpoint() {
    let sandbox = Sandbox::new(LONG).serving();
    sandbox.drop_rows("a.csv", 400);
    sandbox.wait_for(1, is_checkpoint);
    sandbox.configure(LONG, "quiet = '00:00-24:00'");
    sandbox.reload();
    sandbox.wait_for_state(1, "queued");
    assert_eq!(sandbox.job(1)["reason"], "these are quiet hours");
    sandbox.wait_until("status says so", |it| {
        it.ok(&["status"]).contains("quiet hours 00:00-24:00: its jobs wait")
    });
    assert_eq!(sandbox.job(1)["attempts"].as_array().unwrap().len(), 1);
    sandbox.configure(LONG, "");
    sandbox.reload();
    sandbox.wait_for_state(1, "done");
}

#[test]
fn a_drop_over_a_limit_stays_where_it_is_and_says_why() {
    let mut sandbox = Sandbox::new(LONG);
    sandbox.configure(LONG, "queue_jobs = 2\nqueue_bytes = '100 kB'");
    sandbox.serve();
    occupy(&sandbox);
    sandbox.drop_rows("a.csv", 60);
    sandbox.drop_rows("b.csv", 60);
    sandbox.wait_until("two wait", |it| it.status()["counts"]["queued"] == 2);
    sandbox.drop_rows("big.csv", 5000);
    sandbox.drop_rows("c.csv", 60);
    let why = |name: &str| {
        let status = sandbox.status();
        let refused = status["daemon"]["inboxes"][0]["refused"].as_array().unwrap().clone();
        refused
            .iter()
            .find(|it| it["name"] == name)
            .map(|it| it["why"].as_str().unwrap().to_string())
    };
    sandbox.wait_until("both say why", |_| why("big.csv").is_some() && why("c.csv").is_some());
    assert!(why("big.csv").unwrap().contains("takes 100.0 kB at most"), "{:?}", why("big.csv"));
    assert_eq!(
        why("c.csv").unwrap(),
        "it is taken when there is room: 2 jobs of all inboxes wait already, and 2 may (queue_jobs)"
    );
    assert!(sandbox.inbox().join("c.csv").exists());
    sandbox.ok(&["cancel", &number_of(&sandbox, "a.csv").to_string()]);
    sandbox.wait_until("there is room", |it| !it.inbox().join("c.csv").exists());
    assert_eq!(fs::read_to_string(sandbox.inbox().join("big.csv")).unwrap(), sentences(5000, 7));
    assert_eq!(sandbox.status()["jobs"].as_array().unwrap().len(), 4);
}
