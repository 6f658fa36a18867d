//! Stories of finished language models that become one file for llama.cpp. What is read from it is
//! compared by tests/peers/test_gguf.py.

use crate::attempt::{Run, sentences, tiny_llama};
use crate::language_models::{CAUSAL, texts};
use finetuned_job::outcome::FailureKind;
use finetuned_job::recipe::Gguf;
use finetuned_job::spec::Action;
use std::fs;
use std::path::PathBuf;

fn export(gguf: Gguf, out: Option<PathBuf>) -> Action {
    Action::Export { gguf, out }
}

fn refused(run: &mut Run, action: Action, part: &str) {
    let before = run.log().len();
    assert!(!run.finish(action).success());
    let log = run.log().split_off(before);
    assert!(log.contains(part), "{log}");
}

#[test]
fn a_finished_language_model_becomes_a_file_that_is_read_back() {
    let recipe =
        CAUSAL.replace("[save]", "[save]\ngguf = \"q8_0\"").replace("epochs = 4", "epochs = 1");
    let mut run = Run::with_base(&tiny_llama(), &recipe, &texts(100));
    refused(&mut run, export(Gguf::F16, None), "holds no finished model");
    run.complete();
    let model = run.folder().join("model");
    let file = |of: Gguf| fs::read(model.join(of.file_name())).unwrap();
    let small = file(Gguf::Q8_0);
    assert_eq!(small[..8], *b"GGUF\x03\0\0\0");
    let card = fs::read_to_string(model.join("README.md")).unwrap();
    assert!(card.contains("llama-cli -m model-Q8_0.gguf"), "{card}");

    assert!(run.finish(export(Gguf::F16, None)).success(), "{}", run.log());
    assert!(small.len() < file(Gguf::F16).len());
    refused(&mut run, export(Gguf::F16, None), "is there already");
    let beside = run.folder().join("beside.gguf");
    assert!(run.finish(export(Gguf::Q8_0, Some(beside.clone()))).success(), "{}", run.log());
    assert_eq!(fs::read(&beside).unwrap(), small, "whenever it is made");
    let hidden = fs::read_dir(&model).unwrap().map(|it| it.unwrap().file_name());
    let hidden: Vec<_> = hidden.filter(|it| it.to_string_lossy().starts_with('.')).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn what_can_be_no_gguf_file_is_refused_before_anybody_trains() {
    let failure = Run::new("save.gguf = 'f16'\n", &sentences(60, 1)).failed(Action::Train).failure;
    assert_eq!(failure.kind, FailureKind::Recipe);
    assert!(failure.to_string().contains("go on with texts"), "{failure}");
    let mut run = Run::new("train.epochs = 1\n", &sentences(100, 1));
    run.complete();
    refused(&mut run, export(Gguf::F16, None), "`text-classification` has no GGUF file");

    // A base whose tokenizer splits texts in a way of its own.
    let home = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(tiny_llama().join(name), home.path().join(name)).unwrap();
    }
    let path = home.path().join("tokenizer.json");
    let whole = fs::read_to_string(&path).unwrap();
    let mut tokenizer: serde_json::Value = serde_json::from_str(&whole).unwrap();
    tokenizer["pre_tokenizer"]["add_prefix_space"] = true.into();
    fs::write(&path, tokenizer.to_string()).unwrap();
    let recipe = format!("{CAUSAL}gguf = 'f16'\n");
    let failure = Run::with_base(home.path(), &recipe, &texts(60)).failed(Action::Train).failure;
    assert_eq!(failure.kind, FailureKind::Model);
    let spoken = failure.to_string();
    assert!(spoken.contains("its pre_tokenizer {") && spoken.contains("smollm"), "{spoken}");
}

#[test]
fn an_adapter_beside_its_base_names_the_setting_that_merges_it() {
    let recipe =
        CAUSAL.replace("[save]", "[save]\nadapter = true").replace("epochs = 4", "epochs = 1");
    let mut run =
        Run::with_base(&tiny_llama(), &format!("{recipe}[adapter]\nr = 2\n"), &texts(100));
    run.complete();
    refused(&mut run, export(Gguf::F16, None), "save.adapter = false");
}
