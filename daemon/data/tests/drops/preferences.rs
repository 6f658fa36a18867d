//! Answers of which one is wanted, in all the forms that people have them, and what is none.

use crate::support::Drop;
use finetuned_data::Dataset;
use finetuned_job::task::Modality;
use serde_json::{Value, json};

/// JSON Lines of so many rows.
fn lines(row: impl Fn(usize) -> Value) -> Vec<u8> {
    (0..40).map(|it| format!("{}\n", row(it))).collect::<String>().into_bytes()
}

fn question(it: usize) -> String {
    format!("What is {it} + 1?")
}

fn right(it: usize) -> String {
    (it + 1).to_string()
}

fn message(role: &str, text: &str) -> Value {
    json!({ "role": role, "content": text })
}

fn pair(it: usize) -> Value {
    json!({ "prompt": question(it), "chosen": right(it), "rejected": "no idea" })
}

fn loaded(drop: &Drop, recipe: &str) -> Dataset {
    drop.load_as(recipe, 0).unwrap_or_else(|it| panic!("{it}"))
}

fn first(dataset: Dataset) -> Value {
    let all = [dataset.train, dataset.validation].concat();
    assert_eq!(all.len(), 40);
    let first = all.iter().min_by_key(|it| it.line).unwrap();
    serde_json::from_str(&first.record.texts[0]).unwrap()
}

#[test]
fn pairs_are_known_by_their_names() {
    let wanted = json!({
        "messages": [message("user", "What is 0 + 1?")],
        "chosen": [message("assistant", "1")],
        "rejected": [message("assistant", "no idea")],
    });
    let whole = |it: usize, answer: String| {
        json!([message("user", &question(it)), message("assistant", &answer)])
    };
    let rows: Vec<Value> = (0..40).map(pair).collect();
    let csv: String =
        (0..40).map(|it| format!("{},{},no idea\n", question(it), right(it))).collect();
    let drops = [
        Drop::file("a.jsonl", &lines(pair)),
        Drop::file("a.json", Value::from(rows).to_string().as_bytes()),
        Drop::file("a.csv", format!("prompt,chosen,rejected\n{csv}").as_bytes()),
        Drop::file(
            "a.csv",
            format!("question,response_chosen,response_rejected\n{csv}").as_bytes(),
        ),
        Drop::file(
            "a.jsonl",
            &lines(
                |it| json!({ "chosen": whole(it, right(it)), "rejected": whole(it, "no idea".into()) }),
            ),
        ),
        Drop::file(
            "ultrafeedback.jsonl",
            &lines(|it| {
                json!({ "prompt": question(it), "prompt_id": it, "messages": whole(it, right(it)),
                "chosen": whole(it, right(it)), "rejected": whole(it, "no idea".into()),
                "score_chosen": 8.5, "score_rejected": 3 })
            }),
        ),
        Drop::file(
            "hh.jsonl",
            &lines(|it| {
                let text =
                    |answer: &str| format!("\n\nHuman: {}\n\nAssistant: {answer}", question(it));
                json!({ "chosen": text(&right(it)), "rejected": text("no idea") })
            }),
        ),
        Drop::file(
            "llama_factory.jsonl",
            &lines(|it| {
                let one = |from: &str, value: &str| json!({ "from": from, "value": value });
                json!({ "conversations": [one("human", &question(it))],
                "chosen": one("gpt", &right(it)), "rejected": one("gpt", "no idea") })
            }),
        ),
    ];
    for drop in drops {
        assert_eq!(drop.modality(), Modality::Preference);
        let dataset = loaded(&drop, "");
        assert_eq!(
            (dataset.task.name, &dataset.outputs[..]),
            ("preference", &["reward".into()][..])
        );
        assert_eq!(first(dataset), wanted);
        assert_eq!(loaded(&drop, "task = 'reward-modeling'").task.name, "reward-modeling");
    }
    let named = format!("frage,gut,schlecht\n{csv}");
    let recipe = "task = 'preference'\ndata.text = ['frage', 'gut', 'schlecht']";
    assert_eq!(first(loaded(&Drop::file("a.csv", named.as_bytes()), recipe)), wanted);
}

#[test]
fn what_belongs_to_a_question_stands_before_the_answers() {
    let row = |it: usize| {
        json!({ "system": "Be right.", "instruction": "Add.", "input": format!("{it} 1"),
        "chosen": right(it), "rejected": "no idea", "margin": 0.5 })
    };
    let found = first(loaded(&Drop::file("a.jsonl", &lines(row)), ""));
    let wanted = json!([message("system", "Be right."), message("user", "Add.\n\n0 1")]);
    assert_eq!((&found["messages"], &found["margin"]), (&wanted, &json!(0.5)));
}

#[test]
fn answers_alone_have_a_verdict() {
    let row = |it: usize| json!({ "prompt": question(it), "completion": right(it), "label": !it.is_multiple_of(4) });
    let drop = Drop::file("kto.jsonl", &lines(row));
    assert_eq!(drop.modality(), Modality::Preference);
    let dataset = loaded(&drop, "");
    assert_eq!(dataset.outputs, ["unwanted", "wanted"]);
    let counts = dataset.report.classes.iter().map(|it| it.train + it.validation + it.test);
    assert_eq!(counts.collect::<Vec<_>>(), [10, 30]);
    assert_eq!(first(dataset)["completion"], json!([message("assistant", "1")]));
    let refused = drop.load_as("task = 'reward-modeling'", 0).err().unwrap().to_string();
    assert!(refused.contains("rewards are learnt of pairs"), "{refused}");

    let all = Drop::file(
        "kto.jsonl",
        &lines(|it| json!({ "prompt": question(it), "completion": right(it), "label": true })),
    );
    let refused = all.load().err().unwrap().to_string();
    assert!(refused.contains("all 40 answers are wanted"), "{refused}");

    let rated = |it: usize| {
        let label = if it == 3 { "so so".into() } else { Value::from(it.is_multiple_of(2)) };
        json!({ "prompt": question(it), "completion": right(it), "label": label })
    };
    let drop = Drop::file("kto.jsonl", &lines(rated));
    loaded(&drop, "");
    let aside = std::fs::read_to_string(drop.quarantine()).unwrap();
    assert!(aside.contains("\"line\":4") && aside.contains("`so so`, neither 0 nor 1"), "{aside}");
}

/// What stands in the quarantine where the row of line 4 is this one.
fn aside(row: Value) -> String {
    let drop = Drop::file("a.jsonl", &lines(|it| if it == 3 { row.clone() } else { pair(it) }));
    loaded(&drop, "");
    let aside = std::fs::read_to_string(drop.quarantine()).unwrap();
    assert!(aside.contains("\"file\":\"a.jsonl\",\"line\":4"), "{aside}");
    aside
}

#[test]
fn what_teaches_the_wrong_thing_is_put_aside_with_file_and_line() {
    let of = |chosen: Value, rejected: Value| json!({ "prompt": "a", "chosen": chosen, "rejected": rejected });
    let check = |row: Value, why: &str| {
        let aside = aside(row);
        assert!(aside.contains(why), "{aside}");
    };
    check(of("b".into(), " b ".into()), "the same answer");
    check(of("b".into(), "".into()), "the answer is empty");
    let talk = |question: &str| json!([message("user", question), message("assistant", "b")]);
    check(of(talk("one"), talk("two")), "no answers to the same question: message 1");
    let twice = json!([message("assistant", "b"), message("assistant", "c")]);
    check(of("b".into(), twice), "a second answer in a row");
    let mut scored = pair(3);
    scored["score_chosen"] = "best".into();
    let drop = Drop::file(
        "a.jsonl",
        &lines(|it| {
            let mut row = if it == 3 { scored.clone() } else { pair(it) };
            row["score_rejected"] = 1.into();
            if it != 3 {
                row["score_chosen"] = 2.into();
            }
            row
        }),
    );
    loaded(&drop, "");
    let aside = std::fs::read_to_string(drop.quarantine()).unwrap();
    assert!(
        aside.contains("the score of the chosen answer is `best`, which is no number"),
        "{aside}"
    );
}

#[test]
fn scores_that_contradict_the_order_are_named_with_their_lines() {
    let row = |it: usize| {
        let mut row = pair(it);
        row["score_chosen"] = if it == 2 || it == 7 { 1.5.into() } else { 9.into() };
        row["score_rejected"] = 3.into();
        row
    };
    let drop = Drop::file("a.jsonl", &lines(row));
    let dataset = loaded(&drop, "");
    // As the recipe of a report names them.
    let recipe = format!("task = 'preference'\ndata.text = {:?}", dataset.report.input_columns);
    assert_eq!(loaded(&drop, &recipe).report.input_columns, dataset.report.input_columns);
    let warning = dataset.report.warnings.iter().find(|it| it.contains("lower score")).unwrap();
    assert!(warning.contains("in 2 of 40 pairs (a.jsonl line 3, a.jsonl line 8)"), "{warning}");
    let fine = loaded(&Drop::file("a.jsonl", &lines(pair)), "");
    assert!(!fine.report.warnings.iter().any(|it| it.contains("lower score")));
}

#[test]
fn the_same_pair_in_train_and_test_is_left_out_of_train() {
    let train = lines(pair);
    let test: Vec<u8> =
        lines(pair).split_inclusive(|it| *it == b'\n').take(5).flatten().copied().collect();
    let drop = Drop::folder(&[("train.jsonl", &train), ("test.jsonl", &test)]);
    assert_eq!(loaded(&drop, "").report.duplicates.leaked_dropped, 5);
}

#[test]
fn questions_of_two_splits_and_pairs_of_both_orders_are_named() {
    let test = lines(|it| json!({ "prompt": question(it), "chosen": "good", "rejected": "bad" }));
    let turned = |it: usize| match it {
        0 => json!({ "prompt": question(1), "chosen": "no idea", "rejected": right(1) }),
        _ => pair(it),
    };
    let drop = Drop::folder(&[("train.jsonl", &lines(turned)), ("test.jsonl", &test)]);
    let warnings = loaded(&drop, "").report.warnings.join(" ");
    assert!(
        warnings.contains("question stands in validation or test too, with other answers: "),
        "{warnings}"
    );
    assert!(warnings.contains("the rejected answer as the chosen one: 1"), "{warnings}");
}

#[test]
fn what_holds_no_preferences_is_refused_with_the_forms_that_are_read() {
    let rows = lines(|it| json!({ "left": format!("a {it}"), "right": "b" }));
    let drop = Drop::file("a.jsonl", &rows);
    let failure = drop.load_as("task = 'preference'", 0).err().unwrap().to_string();
    assert!(
        failure.contains("a.jsonl holds no preferences; its columns are left, right"),
        "{failure}"
    );
    assert!(failure.contains("`chosen` and `rejected`"), "{failure}");
    let labelled = "task = 'preference'\ndata.label = 'prompt'";
    let failure =
        Drop::file("a.jsonl", &lines(pair)).load_as(labelled, 0).err().unwrap().to_string();
    assert!(failure.contains("leave data.label out"), "{failure}");
}

#[test]
fn all_answers_to_a_question_stand_in_one_split() {
    let pairs = |it: usize| json!({ "prompt": question(it % 10), "chosen": right(it), "rejected": "no idea" });
    let alone = |it: usize| json!({ "prompt": question(it % 10), "completion": right(it), "label": it.is_multiple_of(3) });
    for seed in 0..5 {
        for drop in [Drop::file("a.jsonl", &lines(pairs)), Drop::file("a.jsonl", &lines(alone))] {
            let dataset = drop.load_as("data.validation = 0.2", seed).unwrap();
            assert!(8 <= dataset.validation.len() && dataset.validation.len() <= 12);
            let warnings = dataset.report.warnings.join(" ");
            assert!(!warnings.contains("question stands in"), "{warnings}");
        }
    }
}

#[test]
fn a_verdict_beside_two_answers_is_asked_about() {
    let row = |it: usize, column: &str, verdict: Value| {
        let mut row = pair(it);
        row[column] = verdict;
        row
    };
    for column in ["label", "Thumbs Up", "target"] {
        let drop = Drop::file("a.jsonl", &lines(|it| row(it, column, (it % 2).into())));
        let refused = drop.load().err().unwrap().to_string();
        let wanted =
            format!("a.jsonl: `{column}` says no of some rows, beside `chosen` and `rejected`");
        assert!(refused.contains(&wanted), "{refused}");
        let cure = "data.text = [\"prompt\", \"chosen\", \"rejected\"]";
        assert!(refused.contains(cure), "{refused}");
        loaded(&drop, &format!("task = 'preference'\n{cure}"));
    }
    // What says yes throughout, and what is no verdict, changes nothing.
    loaded(&Drop::file("a.jsonl", &lines(|it| row(it, "label", true.into()))), "");
    loaded(&Drop::file("a.jsonl", &lines(|it| row(it, "has_code", (it % 2).into()))), "");
    loaded(&Drop::file("a.jsonl", &lines(|it| row(it, "label", format!("topic {it}").into()))), "");
}

#[test]
fn margins_of_both_signs_are_named_with_their_lines() {
    let row = |it: usize| {
        let mut row = pair(it);
        row["margin"] = if it == 4 { (-1).into() } else { 1.into() };
        row
    };
    let warnings = loaded(&Drop::file("a.jsonl", &lines(row)), "").report.warnings.join(" ");
    let wanted = "pairs whose margin is below 0: 1 (a.jsonl line 5); margins of both signs";
    assert!(warnings.contains(wanted), "{warnings}");
}

#[test]
fn answers_of_which_another_column_says_which_is_wanted_are_refused() {
    let row = |it: usize| {
        json!({ "prompt": question(it), "response_a": format!("it is {}, I think", it + 1), "response_b": "no idea at all, sorry",
        "winner": (if it.is_multiple_of(2) { "a" } else { "b" }) })
    };
    let drop = Drop::file("a.jsonl", &lines(row));
    for recipe in ["", "\ndata.text = ['prompt', 'response_a', 'response_b']"] {
        let recipe = format!("task = 'preference'{recipe}");
        let refused = drop.load_as(&recipe, 0).err().unwrap().to_string();
        assert!(refused.contains("`winner` says in each row which of two"), "{refused}");
    }
    let places = |it: usize| json!({ "prompt": question(it), "responses": [right(it), "no idea"], "chosen": 0, "rejected": 1 });
    let drop = Drop::file("a.jsonl", &lines(places));
    let refused = drop.load().err().unwrap().to_string();
    assert!(refused.contains("the places of answers that stand in `responses`"), "{refused}");
}

#[test]
fn whole_conversations_may_have_a_verdict() {
    let row = |it: usize| {
        let turns = [message("user", &question(it)), message("assistant", &right(it))];
        json!({ "conversations": turns, "kto_tag": it.is_multiple_of(2) })
    };
    let drop = Drop::file("kto.jsonl", &lines(row));
    assert_eq!(drop.modality(), Modality::Preference);
    let found = first(loaded(&drop, ""));
    assert_eq!(found["messages"], json!([message("user", "What is 0 + 1?")]));
    assert_eq!(found["completion"], json!([message("assistant", "1")]));
}
