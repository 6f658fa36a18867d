//! Stories of language models whose base or data would teach the wrong thing, and of texts that are
//! odd and do no harm.

use crate::attempt::{Run, sentences, tiny_bert, tiny_llama};
use finetuned_job::run_folder;
use finetuned_job::spec::Action;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A copy of a base that one may change.
fn copy(base: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in base.read_dir().unwrap().map(|it| it.unwrap()) {
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

fn with_template(text: &str) -> TempDir {
    let base = copy(&tiny_llama());
    fs::write(base.path().join("chat_template.jinja"), text).unwrap();
    base
}

/// Of a conversation that begins with the system.
fn lines(row: impl Fn(usize) -> Value) -> String {
    (0..40).map(|it| format!("{}\n", row(it))).collect()
}

fn talk(it: usize) -> Value {
    json!({ "messages": [
        { "role": "system", "content": "be short" },
        { "role": "user", "content": format!("the movie {it} was lovely") },
        { "role": "assistant", "content": "good" },
    ]})
}

/// The sentence with which a run over these lines ends.
fn refused(base: &Path, recipe: &str, lines: &str) -> String {
    let drop = |path: &Path| fs::write(path, lines).unwrap();
    Run::with_drop(base, recipe, "talks.jsonl", drop).failed(Action::Train).failure.to_string()
}

const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

#[test]
fn what_a_chat_template_refuses_or_leaves_out_ends_the_run_with_the_line() {
    let refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}";
    let base = with_template(&format!("{refuses}{CHATML}"));
    let spoken = refused(base.path(), "", &lines(talk));
    assert!(
        spoken.starts_with("talks.jsonl line ") && spoken.contains("System role not supported")
    );
    let leaves_out = CHATML.replace("in messages %}", "in messages if m.role != 'system' %}");
    let base = with_template(&leaves_out);
    let spoken = refused(base.path(), "", &lines(talk));
    assert!(spoken.contains("leaves out what the system says (message 1)"), "{spoken}");
    let with_tools = |it: usize| {
        let mut row = talk(it);
        row["tools"] = json!([{ "type": "function", "function": { "name": "f" } }]);
        row
    };
    let spoken = refused(&tiny_llama(), "", &lines(with_tools));
    assert!(spoken.contains("leaves out the tools"), "{spoken}");
    let pair = |it: usize| json!({ "system": "be short", "prompt": format!("was it {it}"), "chosen": "good", "rejected": "bad" });
    let spoken = refused(base.path(), "", &lines(pair));
    assert!(spoken.contains("talks.jsonl line ") && spoken.contains("what the system says"));
}

#[test]
fn a_chat_template_that_grows_without_end_is_stopped_by_its_bound() {
    let doubles = "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% for j in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{% endfor %}{{ n.x }}";
    let base = with_template(&format!("{doubles}{CHATML}"));
    let begun = Instant::now();
    let spoken = refused(base.path(), "", &lines(talk));
    assert!(spoken.contains("runs or grows without end"), "{spoken}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_tokenizer_that_is_not_the_models_or_not_read_is_refused() {
    for (base, data, task) in [
        (tiny_bert(), sentences(60, 1), "text-classification"),
        (tiny_bert(), sentences(60, 1).replace("label", "ignored"), "masked-language-modeling"),
    ] {
        let base = copy(&base);
        let path = base.path().join("tokenizer.json");
        let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let added = json!({ "id": 9_999, "content": "<new>", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": false });
        tokenizer["added_tokens"].as_array_mut().unwrap().push(added);
        fs::write(&path, tokenizer.to_string()).unwrap();
        let recipe = format!("task = '{task}'");
        let mut run = Run::with_base(base.path(), &recipe, &data);
        let spoken = run.failed(Action::Train).failure.to_string();
        assert!(spoken.contains("(`<new>`), and the model embeddings of "), "{spoken}");
        fs::rename(&path, base.path().join("vocab.txt")).unwrap();
        let mut run = Run::with_base(base.path(), &recipe, &data);
        let spoken = run.failed(Action::Train).failure.to_string();
        assert!(spoken.contains("vocab.txt (a WordPiece vocabulary) and no tokenizer.json"));
        assert!(spoken.contains("AutoTokenizer.from_pretrained(NAME)"), "{spoken}");
    }
}

/// One word, one letter, a sign that no vocabulary has, special tokens.
const ODD: [&str; 6] = ["good", "a", "\u{10ffff}", "[SEP] [MASK]", "</s><|im_end|>", "\u{200b}"];

#[test]
fn texts_of_one_token_and_of_special_ones_do_no_harm() {
    let texts: String = (0..60).map(|it| format!("{} {it}\n", ODD[it % 6])).collect();
    let texts = format!("text\n{}{texts}", ODD.map(|it| format!("{it}\n")).concat());
    for (base, task) in
        [(tiny_bert(), "masked-language-modeling"), (tiny_llama(), "causal-language-modeling")]
    {
        let recipe = format!("task = '{task}'\ntrain.epochs = 1\n");
        let write = |path: &Path| fs::write(path, &texts).unwrap();
        let done = Run::with_drop(&base, &recipe, "odd.csv", write).complete();
        assert!(done.score.is_finite(), "{done:?}");
    }
    let row = |it: usize| {
        let odd = ODD[it % 6];
        json!({ "messages": [
            { "role": "user", "content": format!("{odd} {it}") },
            { "role": "assistant", "content": odd },
        ]})
    };
    let write = |path: &Path| fs::write(path, lines(row)).unwrap();
    let mut run = Run::with_drop(&tiny_llama(), "train.epochs = 1\n", "talks.jsonl", write);
    assert!(run.complete().score.is_finite());
}

#[test]
fn special_tokens_in_a_text_are_text_unless_the_recipe_means_them() {
    let rows: String = (0..60)
        .map(|it| {
            let (word, label) = [("good", "a"), ("bad [SEP] [CLS]", "b")][it % 2];
            format!("the movie {it} was {word},{label}\n")
        })
        .collect();
    let csv = format!("text,label\n{rows}");
    let mut longest = Vec::new();
    for meant in [false, true] {
        let recipe = format!("data.split_special_tokens = {}\ntrain.epochs = 1\n", !meant);
        let mut run = Run::new(&recipe, &csv);
        run.complete();
        let data: Value = run.json(run_folder::DATA);
        longest.push(data["tokens"]["longest"].as_u64().unwrap());
        let config: Value = run.json("model/tokenizer_config.json");
        assert_eq!(config["split_special_tokens"] == true, !meant, "{config}");
    }
    assert!(longest[1] < longest[0], "as letters they are more: {longest:?}");
}
