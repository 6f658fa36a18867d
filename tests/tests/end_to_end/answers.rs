//! Stories of models that look at something else than one text, or answer with something else than
//! one class.

use crate::attempt::{Run, binary, sentences};
use serde_json::Value;
use std::fmt::Write;
use std::process::Command;

/// What `finetuned predict --json` prints for these arguments.
fn predicted(run: &Run, args: &[&str]) -> Vec<Value> {
    let mut command = Command::new(binary("finetuned"));
    command.arg("predict").arg(run.folder()).arg("--json").args(args);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect()
}

/// Of which the second text has the answer, and the first none.
fn pairs(rows: u32) -> String {
    let mut csv = String::from("question,passage,label\n");
    for (nth, row) in sentences(rows, 1).lines().skip(1).enumerate() {
        writeln!(csv, "is number {nth} any good,{row}").unwrap();
    }
    csv
}

#[test]
fn pairs_become_a_proven_model() {
    let mut run =
        Run::new("data.test = 0.2\n[train]\nepochs = 6\nlr = 3e-3\nbatch = 16\n", &pairs(400));
    let done = run.complete();
    assert!(0.9 < done.scores.metrics["accuracy"], "{:?}", done.scores.metrics);
    let found = predicted(&run, &["what is it like", "a lovely book", "and this", "a sad game"]);
    assert_eq!(found.iter().map(|it| &it["label"]).collect::<Vec<_>>(), ["positive", "negative"]);
    assert_eq!(found[1]["pair"], serde_json::json!(["and this", "a sad game"]));
    // The order counts: the first text was never the one with the answer.
    let alone = predicted(&run, &["what is it like", "the movie was good"]);
    assert_eq!(alone[0]["origin"], "arguments 1 to 2");
    let card = std::fs::read_to_string(run.folder().join("model/README.md")).unwrap();
    assert!(
        card.contains(r#"{"text": "A text of yours", "text_pair": "The other one"}"#),
        "{card}"
    );
}
