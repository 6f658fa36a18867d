//! Conversations, in all the forms that people have them, and what is none.

use crate::support::Drop;
use finetuned_job::recipe::Recipe;
use finetuned_job::task::Modality;
use serde_json::{Value, json};

/// JSON Lines of so many rows.
fn lines(row: impl Fn(usize) -> Value) -> Vec<u8> {
    (0..40).map(|it| format!("{}\n", row(it))).collect::<String>().into_bytes()
}

fn csv(header: &str, row: impl Fn(usize) -> String) -> Vec<u8> {
    let rows = (0..40).map(|it| row(it) + "\n").collect::<String>();
    format!("{header}\n{rows}").into_bytes()
}

fn messages(it: usize) -> Value {
    json!([
        { "role": "user", "content": format!("What is {it} + 1?") },
        { "role": "assistant", "content": format!("{}", it + 1) },
    ])
}

fn first(drop: &Drop, recipe: &str) -> Value {
    let dataset = drop.load_as(recipe, 0).unwrap_or_else(|it| panic!("{it}"));
    assert_eq!(dataset.task.name, "text-generation");
    let all = [dataset.train, dataset.validation].concat();
    assert_eq!(all.len(), 40);
    let first = all.iter().min_by_key(|it| it.line).unwrap();
    serde_json::from_str(&first.record.texts[0]).unwrap()
}

#[test]
fn lists_of_messages_and_questions_with_answers_are_known_as_conversations() {
    let wanted = json!({ "messages": messages(0) });
    let question = |it: usize| format!("What is {it} + 1?");
    let sharegpt = |it: usize| json!([{ "from": "human", "value": question(it) }, { "from": "gpt", "value": (it + 1).to_string() }]);
    let drops = [
        Drop::file("a.jsonl", &lines(|it| json!({ "messages": messages(it), "id": it }))),
        Drop::file("a.jsonl", &lines(|it| json!({ "conversations": sharegpt(it) }))),
        Drop::file(
            "a.jsonl",
            &lines(|it| json!({ "prompt": question(it), "completion": (it + 1).to_string() })),
        ),
        Drop::file(
            "a.jsonl",
            &lines(
                |it| json!({ "instruction": question(it), "input": "", "output": (it + 1).to_string() }),
            ),
        ),
        Drop::file(
            "a.jsonl",
            &lines(|it| json!({ "prompt": [messages(it)[0]], "completion": [messages(it)[1]] })),
        ),
        Drop::file(
            "a.csv",
            &csv("instruction,context,response,category", |it| {
                format!("What is {it} + 1?,,{},sums", it + 1)
            }),
        ),
    ];
    for drop in drops {
        assert_eq!(drop.modality(), Modality::Chat);
        assert_eq!(first(&drop, ""), wanted);
    }
    let faq = csv("question,answer", |it| format!("What is {it} + 1?,{}", it + 1));
    assert_eq!(first(&Drop::file("a.csv", &faq), "task = 'text-generation'"), wanted);
    let named = csv("frage,antwort", |it| format!("What is {it} + 1?,{}", it + 1));
    let recipe = "task = 'text-generation'\ndata.text = ['frage', 'antwort']";
    assert_eq!(first(&Drop::file("a.csv", &named), recipe), wanted);
}

#[test]
fn what_has_a_verdict_beside_it_is_not_taken_for_a_conversation() {
    let graded = csv("prompt,response,label", |it| {
        format!("What is {it} + 1?,it is {it} I think,{}", ["good", "bad"][it % 2])
    });
    let preferences = lines(
        |it| json!({ "prompt": format!("What is {it}?"), "completion": "a", "chosen": "b", "rejected": "c" }),
    );
    for drop in [Drop::file("a.csv", &graded), Drop::file("a.jsonl", &preferences)] {
        let modality = drop.open().unwrap().modality(None, &Recipe::default().data);
        assert!(!matches!(modality, Ok(Modality::Chat)), "{modality:?}");
    }
}

#[test]
fn a_table_without_conversations_is_refused_with_the_forms_that_are_read() {
    let drop = Drop::file("a.csv", &csv("left,right", |it| format!("a {it},b {it}")));
    let failure = drop.load_as("task = 'text-generation'", 0).err().unwrap().to_string();
    assert!(
        failure.contains("a.csv holds no conversations; its columns are left, right"),
        "{failure}"
    );
    assert!(failure.contains("`prompt` and `completion`"), "{failure}");
}
