//! Stories of models that look at something else than one text, or answer with something else than
//! one class.

use crate::attempt::{Run, binary, sentences, tiny_bert, wait};
use crate::training::{largest_difference, signal_if_alive};
use finetuned_job::event::Event;
use finetuned_job::spec::Action;
use rustix::process::Signal;
use serde_json::Value;
use std::fmt::Write;
use std::process::Command;

/// What `finetuned predict --json` prints for these arguments.
pub fn predicted(run: &Run, args: &[&str]) -> Vec<Value> {
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

/// Labels of which one is never likelier than not: a third of the good books are rare ones.
fn rare_labels(rows: usize) -> String {
    let mut csv = String::from("text,good,bad,rare\n");
    for it in 0..rows {
        let (good, thing) = (it % 2 == 0, ["book", "movie", "song"][it / 2 % 3]);
        let rare = good && it / 6 % 3 == 0;
        let labels = match (good, rare) {
            (true, true) => "1,0,1",
            (true, false) => "1,0,0",
            _ => "0,1,0",
        };
        let how = if good { "good" } else { "bad" };
        writeln!(csv, "the {thing} number {it} was {how},{labels}").unwrap();
    }
    csv
}

#[test]
fn thresholds_are_tuned_and_go_with_the_model() {
    let recipe =
        "data.test = 0.3\n[train]\nmethod = 'full'\nepochs = 6\nlr = 3e-3\nbatch = 16\n[eval]\n";
    let of = |tuned: &str| {
        let mut run = Run::new(&format!("{recipe}{tuned}"), &rare_labels(480));
        (run.complete(), run)
    };
    let (done, tuned) = of("");
    let (plain_done, plain) = of("tune_thresholds = false");
    let config = |run: &Run| -> Value {
        let text = std::fs::read_to_string(run.folder().join("model/config.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let threshold = config(&tuned)["decision_thresholds"]["rare"].as_f64().unwrap();
    assert!(0.01 < threshold && threshold < 0.49, "{threshold}");
    assert!(config(&plain).get("decision_thresholds").is_none());
    let f1 = |it: &finetuned_job::outcome::Done| it.scores.metrics["macro_f1"];
    assert!(f1(&plain_done) + 0.05 < f1(&done), "{} and {}", f1(&plain_done), f1(&done));
    assert_eq!(done.proof.loss_trained, plain_done.proof.loss_trained, "the same weights");
    let asked: Vec<String> = (0..48).map(|it| format!("the book number {it} was good")).collect();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let rare = |run: &Run| {
        let found = predicted(run, &asked);
        for it in &found {
            let named = it["labels"].as_array().unwrap().contains(&"rare".into());
            let from = if run.folder() == tuned.folder() { threshold } else { 0.5 };
            assert_eq!(named, from <= it["probabilities"]["rare"].as_f64().unwrap(), "{it}");
        }
        found.iter().filter(|it| it["labels"].as_array().unwrap().contains(&"rare".into())).count()
    };
    assert!(rare(&plain) < rare(&tuned), "{} and {}", rare(&plain), rare(&tuned));
    for name in ["model/README.md", "report.html"] {
        let page = std::fs::read_to_string(tuned.folder().join(name)).unwrap();
        assert!(page.contains("Thresholds were tuned on validation"), "{name}");
        let page = std::fs::read_to_string(plain.folder().join(name)).unwrap();
        assert!(!page.contains("Thresholds were tuned"), "{name}");
    }
}

/// Sentences in CoNLL's form, whose entities can be learnt; a pure function of the number.
fn conll(sentences: usize) -> String {
    const PEOPLE: [&str; 4] = ["good", "great", "lovely", "fine"];
    const PLACES: [&str; 4] = ["bad", "awful", "poor", "sad"];
    let mut text = String::new();
    for it in 0..sentences {
        let (person, place) = (PEOPLE[it % 4], PLACES[it / 4 % 4]);
        let mut word = |word: &str, tag: &str| writeln!(text, "{word} {tag}").unwrap();
        for before in ["the", "day", "was"].into_iter().cycle().take(1 + it % 5) {
            word(before, "O");
        }
        word(person, "B-PER");
        if it % 3 == 0 {
            word(PEOPLE[(it + 1) % 4], "I-PER");
        }
        word("and", "O");
        word(place, "B-LOC");
        word(["movie", "book", "song"][it % 3], "O");
        text.push('\n');
    }
    text
}

fn of_words(recipe: &str) -> Run {
    let recipe = format!("data.test = 0.2\n{recipe}");
    Run::with_drop(&tiny_bert(), &recipe, "words.conll", |path| {
        std::fs::write(path, conll(240)).unwrap();
    })
}

#[test]
fn tags_become_a_proven_model_that_finds_entities() {
    let mut run = of_words("[train]\nepochs = 30\nlr = 3e-3\nbatch = 16\n");
    let done = run.complete();
    assert_eq!((&*done.metric, done.probe.is_none()), ("entity_f1", true));
    assert!(0.95 < done.scores.metrics["entity_f1"], "{:?}", done.scores.metrics);
    assert!(done.baseline.metrics["entity_f1"] < 0.1);
    let asked = "the great fine and sad book";
    let found = predicted(&run, &[asked]);
    let entities: Vec<_> = found[0]["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["entity_group"].clone(), it["word"].clone(), it["start"].clone()))
        .collect();
    let wanted = [("PER", "great fine", 4), ("LOC", "sad", 19)]
        .map(|(group, word, start)| (group.into(), word.into(), Value::from(start)));
    assert_eq!(entities, wanted);
    // Longer than the model reads at once: windows lose nothing.
    let long = [asked; 60].join(" ");
    let found = predicted(&run, &[&long]);
    let entities = found[0]["entities"].as_array().unwrap();
    assert!(115 <= entities.len(), "{} of 120", entities.len());
    let last = entities.last().unwrap()["start"].as_u64().unwrap();
    assert_eq!(last as usize, long.rfind("sad").unwrap());
    let report = std::fs::read_to_string(run.folder().join("report.html")).unwrap();
    assert!(report.contains("PER") && report.contains("LOC"));
}

#[test]
fn tags_are_learnt_by_a_head_alone_and_by_the_last_layer() {
    for train in ["['head']", "['head', 'last:1']"] {
        let recipe = |cache: bool| {
            format!(
                "model.dropout = 0.0\n[freeze]\ntrain = {train}\ncache = {cache}\n[train]\nepochs = 2\nlr = 1e-2\noptimizer = 'sgd'\n"
            )
        };
        let [cached, running] = [true, false].map(|cache| {
            let mut run = of_words(&recipe(cache));
            run.complete();
            run.weights()
        });
        assert!(largest_difference(&cached, &running) < 1e-5, "{train}");
    }
}

#[test]
fn tags_killed_at_a_step_end_the_same_bit_for_bit() {
    let recipe =
        "model.dropout = 0.2\n[train]\nepochs = 3\nlr = 3e-3\nbatch = 8\n[save]\nevery_steps = 5\n";
    let mut calm = of_words(recipe);
    calm.complete();
    let mut killed = of_words(recipe);
    let mut child = killed.start(Action::Train);
    killed.wait_for(&mut child, |it| matches!(it, Event::Step(it) if 12 <= it.step));
    signal_if_alive(&mut child, Signal::KILL);
    wait(&mut child);
    killed.complete();
    assert_eq!(killed.weights(), calm.weights());
}
