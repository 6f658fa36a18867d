//! What could be learnt in two ways where nobody says it: questions with answers, and columns
//! beside them.

use crate::support::Drop;
use serde_json::{Value, json};

/// JSON Lines of forty rows.
fn drop(row: impl Fn(usize) -> Value) -> Drop {
    let lines: String = (0..40).map(|it| format!("{}\n", row(it))).collect();
    Drop::file("a.jsonl", lines.as_bytes())
}

#[track_caller]
fn refused(drop: &Drop, recipe: &str) -> String {
    drop.load_as(recipe, 0).map(|it| it.task.name).unwrap_err().to_string()
}

fn question(it: usize) -> String {
    format!("Could you tell me what {it} + 1 is?")
}

fn answer(it: usize) -> String {
    format!("That is {}, as everybody knows.", it + 1)
}

#[test]
fn questions_with_answers_are_asked_about() {
    let beside = |column: &str, values: &'static [&'static str]| {
        let column = column.to_string();
        drop(
            move |it| json!({ "question": question(it), "response": answer(it), &column: values[it % values.len()] }),
        )
    };
    for (column, values) in [
        ("system_prompt", &["Be brief.", "Be kind."][..]),
        ("type", &["sum", "word"]),
        ("category", &["sum", "word"]),
    ] {
        let refusal = refused(&beside(column, values), "");
        assert!(refusal.contains("`question` and `response` are called as questions"), "{refusal}");
        assert!(refusal.contains("task = \"text-generation\""), "{refusal}");
        assert!(refusal.contains(&format!("data.label = \"{column}\"")), "{refusal}");
    }
    let kinds = beside("type", &["sum", "word"]);
    let task = |recipe: &str| kinds.load_as(recipe, 0).unwrap().task.name;
    assert_eq!(task("data.label = 'type'"), "text-classification");
    assert_eq!(task("task = 'text-generation'"), "text-generation");
    assert_eq!(task("task = 'text-classification'\ndata.label = 'type'"), "text-classification");
    let numbers = drop(|it| json!({ "question": question(it), "answer": it + 1 }));
    let refusal = refused(&numbers, "");
    assert!(refusal.contains("`answer` could be a label of `question`"), "{refusal}");
    // A column that is called as labels are says which of both it is.
    let label = beside("label", &["right", "wrong"]);
    assert!(label.load_as("", 0).is_ok());
}

#[test]
fn pairs_have_no_several_labels() {
    let refusal = refused(
        &drop(
            |it| json!({ "premise": question(it), "hypothesis": answer(it), "labels": [(["a", "b"][it % 2]), "c"] }),
        ),
        "",
    );
    assert!(refusal.contains("what `labels` holds can't be learnt of `premise`"), "{refusal}");
    assert!(refusal.contains("text-pair-classification and text-pair-regression"), "{refusal}");
}

#[test]
fn the_first_row_of_many_says_its_own_reason() {
    let drop = drop(|it| {
        json!({ "messages": [
            { "role": "user", "content": question(it) },
            { "role": (["assistant", "bing"][it % 2]), "content": answer(it) },
        ] })
    });
    let refusal = refused(&drop, "");
    let first = "20 times an unknown role (first: a.jsonl line 2: a role is `bing`";
    assert!(refusal.contains(first), "{refusal}");
    assert!(refusal.ends_with("(mend or remove them)"), "{refusal}");
}
