//! Stories of runs that an earlier version left: they are shown, and their models answer as they
//! did. How they were made stands in tests/data/make_runs.py.

use crate::attempt::tiny_bert;
use crate::sandbox::{LONG, QUICK, Sandbox, is_checkpoint};
use finetuned_job::run_folder;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn stored(run: &str) -> PathBuf {
    tiny_bert().with_file_name("runs-0.1.0").join(run)
}

/// The rows of a `predictions.csv` without quotes, each a map from column to cell.
fn predictions(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join(run_folder::PREDICTIONS)).unwrap();
    let mut lines = text.lines().map(|it| it.split(','));
    let header: Vec<&str> = lines.next().expect("a header").collect();
    let row = |cells: std::str::Split<char>| header.iter().copied().zip(cells).collect();
    lines.map(row).collect()
}

/// Each answer's label and probabilities are those of a row of `predictions.csv`.
#[track_caller]
fn same(answers: &str, rows: &[Value]) {
    let answers: Vec<Value> = answers.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(answers.len(), rows.len());
    assert!(!rows.is_empty());
    for (answer, row) in answers.iter().zip(rows) {
        assert_eq!(answer["label"], row["predicted"], "{answer}");
        for (class, probability) in answer["probabilities"].as_object().expect("classes") {
            let then: f64 = row[format!("p_{class}")].as_str().unwrap().parse().unwrap();
            let now = probability.as_f64().unwrap();
            assert!((now - then).abs() < 1e-4, "{class}: {row} and {answer}");
        }
    }
}

#[test]
fn models_of_the_first_version_answer_as_they_did() {
    let sandbox = Sandbox::new(QUICK);
    for (run, input) in [("texts", "text"), ("images", "image")] {
        let run = stored(run);
        let rows = predictions(&run);
        let asked = |it: &Value| {
            let what = it[input].as_str().expect("an input");
            if input == "text" { what.into() } else { run.join("asked").join(what) }
        };
        let mut command = sandbox.command();
        command.arg("predict").arg(&run).arg("--json").args(rows.iter().map(asked));
        same(&crate::sandbox::ok(&mut command), &rows);
    }
}

#[test]
fn a_run_of_the_first_version_is_shown() {
    let sandbox = Sandbox::new(QUICK).serving();
    sandbox.drop_rows("tweets.csv", 60);
    sandbox.wait_for_state(1, "done");
    let run = sandbox.run(1);
    for name in [run_folder::PLAN, run_folder::DATA, run_folder::TRAINED, run_folder::DONE] {
        fs::copy(stored("texts").join(name), run.join(name)).unwrap();
    }
    let outcome = &sandbox.job(1)["outcome"];
    assert_eq!(
        (&outcome["task"], &outcome["metric"]),
        (&Value::from("text-classification"), &Value::from("macro_f1"),)
    );
    let shown = sandbox.ok(&["show", "1"]);
    assert!(shown.contains("loaded again from disk, 24 examples"), "{shown}");
}

#[test]
fn a_run_of_the_first_version_is_retried() {
    let sandbox = Sandbox::new(LONG).serving();
    sandbox.drop_rows("tweets.csv", 200);
    sandbox.wait_for(1, is_checkpoint);
    sandbox.ok(&["cancel", "1"]);
    sandbox.wait_for_state(1, "cancelled");
    let run = sandbox.run(1);
    fs::remove_dir_all(run.join(run_folder::CHECKPOINTS)).unwrap();
    for name in [run_folder::PLAN, run_folder::DATA] {
        fs::copy(stored("texts").join(name), run.join(name)).unwrap();
    }
    let version = || -> Value {
        let plan = fs::read_to_string(run.join(run_folder::PLAN)).unwrap();
        serde_json::from_str::<Value>(&plan).unwrap()["version"].clone()
    };
    assert_eq!(version(), 1);
    assert!(sandbox.ok(&["show", "1"]).contains("cancelled"));
    sandbox.ok(&["retry", "1"]);
    sandbox.wait_for_state(1, "done");
    assert_eq!(version(), finetuned_job::plan::PLAN_VERSION);
}
