//! Prompts that a model is to answer, and what else is known of them.

use crate::support::Drop;
use finetuned_data::Dataset;
use finetuned_job::scores::Split;
use serde_json::{Value, json};

const TASK: &str = "task = 'grpo'";

fn lines(row: impl Fn(usize) -> Value) -> Vec<u8> {
    (0..40).map(|it| format!("{}\n", row(it))).collect::<String>().into_bytes()
}

fn question(it: usize) -> String {
    format!("What is {it} + 1?")
}

/// Messages and fields of the first example of a file.
fn first(dataset: &Dataset) -> (Value, Value) {
    let all = dataset.train.iter().chain(&dataset.validation);
    let record = &all.min_by_key(|it| it.line).unwrap().record;
    let parsed = |it: &str| serde_json::from_str::<Value>(it).unwrap();
    (parsed(&record.texts[0])["messages"].clone(), parsed(record.fields.as_deref().unwrap()))
}

#[test]
fn every_form_of_a_prompt_becomes_messages_and_all_else_fields() {
    let messages = json!([{ "role": "user", "content": question(0) }]);
    let texts = |it: usize| json!({ "question": question(it), "answer": it + 1, "steps": [it] });
    let lists = |it: usize| json!({ "prompt": [{ "role": "user", "content": question(it) }], "answer": it + 1, "steps": [it] });
    for drop in [Drop::file("a.jsonl", &lines(texts)), Drop::file("a.jsonl", &lines(lists))] {
        let dataset = drop.load_as(TASK, 0).unwrap();
        assert_eq!((dataset.task.name, dataset.outputs.len()), ("grpo", 0));
        assert_eq!(first(&dataset), (messages.clone(), json!({ "answer": 1, "steps": [0] })));
        assert_eq!(dataset.report.input_columns[1..], ["answer", "steps"]);
    }
    let csv: String = (0..40).map(|it| format!("{it},{},{}\n", question(it), it + 1)).collect();
    let csv = format!("id,frage,loesung\n{csv}");
    let recipe = format!("{TASK}\ndata.text = ['frage', 'loesung']");
    let dataset = Drop::file("a.csv", csv.as_bytes()).load_as(&recipe, 0).unwrap();
    assert_eq!(first(&dataset), (messages, json!({ "loesung": "1" })));
}

#[test]
fn a_column_of_splits_divides_and_is_no_field() {
    let row = |it: usize| {
        let split = if it < 30 { "train" } else { "test" };
        json!({ "prompt": question(it % 35), "id": it, "split": split, "system": "Be right." })
    };
    let dataset = Drop::file("a.jsonl", &lines(row)).load_as(TASK, 0).unwrap();
    let (messages, fields) = first(&dataset);
    assert_eq!(messages[0]["role"], "system");
    assert_eq!(fields.as_object().unwrap().keys().collect::<Vec<_>>(), ["id"]);
    let rows = |split| dataset.report.splits.iter().find(|it| it.split == split).unwrap().rows;
    assert_eq!(rows(Split::Test), 10);
    assert_eq!(dataset.report.duplicates.leaked_dropped, 5, "whatever id it has");
}

#[test]
fn a_drop_without_prompts_is_refused_with_its_columns() {
    let row = |it: usize| json!({ "frage": question(it), "answer": it });
    let refused = Drop::file("a.jsonl", &lines(row)).load_as(TASK, 0).err().unwrap().to_string();
    assert!(refused.contains("holds no prompts; its columns are"), "{refused}");
    assert!(refused.contains("data.text"), "{refused}");
}
