//! Stories of adapters that training goes on with: one that another run has left, or peft.

use crate::attempt::{Run, copy_files, predict, sentences, tiny_bert, tiny_llama};
use crate::training::signal_if_alive;
use finetuned_job::event::Event;
use finetuned_job::outcome::FailureKind;
use finetuned_job::plan::{AdapterFormPlan, Plan};
use finetuned_job::run_folder;
use finetuned_job::spec::Action;
use rustix::process::Signal;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const FIRST: &str = r#"
[adapter]
r = 4
lora_alpha = 12
lora_dropout = 0.1
target_modules = ["query", "value"]
modules_to_save = ["embeddings"]
[train]
epochs = 20
batch = 8
lr = 3e-3
precision = "fp32"
[save]
adapter = true
"#;

/// A run that leaves an adapter, and its model's folder.
fn left() -> (Run, PathBuf) {
    let mut run = Run::new(FIRST, &sentences(400, 4));
    let done = run.complete();
    assert!(0.8 < done.score, "{done:?}");
    let model = run.folder().join(run_folder::MODEL);
    (run, model)
}

fn numbers(file: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = fs::read(file).unwrap_or_else(|err| panic!("{}: {err}", file.display()));
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let number = |it: &[u8]| f32::from_le_bytes(it.try_into().unwrap());
    let all = stored.tensors().into_iter();
    all.map(|(name, it)| (name, it.data().chunks_exact(4).map(number).collect())).collect()
}

fn config(model: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(model.join("adapter_config.json")).unwrap()).unwrap()
}

#[test]
fn a_second_job_goes_on_where_the_first_ended() {
    let (_first, model) = left();
    // Hardly moved: what comes out is what went in, the head included.
    let still = "[train]\nepochs = 1\nlr = 1e-9\nprecision = 'fp32'\n[save]\nadapter = true\n";
    let mut run = Run::with_base(&model, still, &sentences(400, 4));
    let done = run.complete();
    assert!(0.8 < done.score, "{done:?}");
    let plan: Plan = run.json(run_folder::PLAN);
    assert_eq!(plan.model.folder, tiny_bert().canonicalize().unwrap().display().to_string());
    assert_eq!(plan.model.base, model.display().to_string());
    assert_eq!(plan.model.whole_base(), tiny_bert().display().to_string());
    assert!(plan.model.load.missing.is_empty(), "{:?}", plan.model.load);
    let AdapterFormPlan::Lora { r, lora_alpha, lora_dropout, .. } =
        plan.model.adapter.unwrap().form
    else {
        panic!("it is LoRA")
    };
    assert_eq!((r, lora_alpha, lora_dropout), (4, 12.0, 0.1));
    let again = run.folder().join(run_folder::MODEL);
    let file = "adapter_model.safetensors";
    let [before, after] = [&model, &again].map(|it| numbers(&it.join(file)));
    assert!(before.keys().eq(after.keys()));
    for (name, before) in &before {
        let off = before.iter().zip(&after[name]).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f32::max) < 1e-5, "{name}");
    }
    let [before, after] = [&model, &again].map(|it| config(it));
    for key in ["base_model_name_or_path", "r", "lora_alpha", "target_modules", "modules_to_save"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    let inputs = vec!["a great and lovely film".into()];
    assert!(run.finish(predict(inputs, None)).success(), "{}", run.log());
}

#[test]
fn it_is_merged_by_default_and_a_kill_costs_not_a_bit() {
    let (_first, model) = left();
    let recipe = "[train]\nepochs = 12\nbatch = 8\nprecision = 'fp32'\n[adapter]\nr = 4\ntarget_modules = ['*.query', 'value']\n[save]\nevery_steps = 7\n";
    let csv = sentences(300, 4);
    let mut calm = Run::with_base(&model, recipe, &csv).with_threads(2);
    let undisturbed = calm.complete();
    let mut killed = Run::with_base(&model, recipe, &csv).with_threads(2);
    let mut child = killed.start(Action::Train);
    killed.wait_for(&mut child, |it| matches!(it, Event::Step(it) if 30 <= it.step));
    signal_if_alive(&mut child, Signal::KILL);
    let done = killed.complete();
    let resumed = |it: &Event| matches!(it, Event::Started { resumed_from: Some(_), .. });
    assert!(killed.events().iter().any(resumed), "it did resume");
    assert_eq!(done.scores, undisturbed.scores);
    assert_eq!(killed.weights(), calm.weights());
    let folder = calm.folder().join(run_folder::MODEL);
    assert!(!folder.join("adapter_config.json").exists());
    let (own, base) = (
        numbers(&folder.join("model.safetensors")),
        numbers(&tiny_bert().join("model.safetensors")),
    );
    let moved = |name: &str| own[&format!("bert.{name}")] != base[name];
    assert!(moved("encoder.layer.0.attention.self.query.weight"));
    assert!(!moved("encoder.layer.0.attention.self.key.weight"));

    // An adapter that changed since the checkpoint is another beginning.
    let other = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&model).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), other.path().join(entry.file_name())).unwrap();
    }
    let mut run = Run::with_base(other.path(), recipe, &csv);
    let mut child = run.start(Action::Train);
    run.wait_for(&mut child, |it| matches!(it, Event::Checkpoint { .. }));
    signal_if_alive(&mut child, Signal::KILL);
    let text = fs::read_to_string(other.path().join("adapter_config.json")).unwrap();
    let changed = text.replace("\"lora_dropout\": 0.1", "\"lora_dropout\": 0.2");
    assert_ne!(text, changed);
    fs::write(other.path().join("adapter_config.json"), changed).unwrap();
    let failure = run.failed(Action::Train).failure.to_string();
    assert!(failure.contains("changed since the checkpoint"), "{failure}");
}

/// The two files that peft writes, and nothing of ours.
fn as_peft_leaves_it(model: &Path, target: &Path) {
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(model.join(file), target.join(file)).unwrap();
    }
}

#[test]
fn for_other_classes_the_head_is_new_and_the_adapter_goes_on() {
    let (_first, model) = left();
    let bare = tempfile::tempdir().unwrap();
    as_peft_leaves_it(&model, bare.path());
    let third = |(k, line): (usize, &str)| match k % 3 {
        0 => format!("{line}\n"),
        _ => format!("the number {k} is a count,neither\n"),
    };
    let three: String = sentences(300, 4).lines().enumerate().map(third).collect();
    let recipe = "[train]\nepochs = 2\n[save]\nadapter = true\n";
    for base in [&model, bare.path()] {
        let mut run = Run::with_base(base, recipe, &three);
        run.complete();
        let plan: Plan = run.json(run_folder::PLAN);
        assert!(plan.model.load.missing.iter().all(|it| it.starts_with("classifier")));
        let config = config(&run.folder().join(run_folder::MODEL));
        assert_eq!(config["r"], 4);
        let classes = numbers(&run.folder().join("model/adapter_model.safetensors"));
        assert_eq!(classes["base_model.model.classifier.bias"].len(), 3);
    }
}

#[test]
fn what_contradicts_it_is_refused_with_both_values() {
    let (_first, model) = left();
    let csv = sentences(60, 4);
    let refused = |recipe: &str, words: &[&str]| {
        let failure = Run::with_base(&model, recipe, &csv).failed(Action::Train).failure;
        assert_eq!(failure.kind, FailureKind::Recipe, "{failure}");
        let shown = failure.to_string();
        assert!(words.iter().all(|it| shown.contains(it)), "{shown}");
    };
    refused("adapter.r = 8", &["adapter.r is 8", "has 4", "leave it out"]);
    refused("adapter.lora_dropout = 0.0", &["adapter.lora_dropout is 0.0", "has 0.1"]);
    refused("adapter.use_dora = true", &["adapter.use_dora is true", "has false"]);
    refused("adapter.target_modules = ['key']", &["adapter.target_modules", "key", "query"]);
    refused("adapter.modules_to_save = ['intermediate']", &["intermediate", "embeddings"]);
    refused("train.method = 'probe'", &["train.method is `probe`", "model.base"]);
}

#[test]
fn a_language_model_begins_where_the_adapter_was_left() {
    let line = |k: usize| {
        let (a, b) = (["red", "tea", "sun", "cat"][k % 4], ["milk", "salt", "rain"][k % 3]);
        format!(
            "{{\"messages\": [{{\"role\": \"user\", \"content\": \"What is {k} {a}?\"}}, {{\"role\": \"assistant\", \"content\": \"It is {b}.\"}}]}}\n"
        )
    };
    let chats: String = (0..60).map(line).collect();
    let run = |base: &Path, recipe: &str| {
        Run::with_drop(base, recipe, "chats.jsonl", |it| fs::write(it, &chats).unwrap())
    };
    let recipe = "[train]\nepochs = 3\nlr = 5e-3\n[adapter]\nr = 4\n[save]\nadapter = true\n";
    let mut first = run(&tiny_llama(), recipe);
    let left = first.complete();
    assert!(left.score < left.baseline.metrics["perplexity"], "{left:?}");
    let mut second = run(&first.folder().join(run_folder::MODEL), "train.epochs = 2\n");
    let done = second.complete();
    assert_eq!(done.baseline.metrics["perplexity"], left.score);
    assert!(done.score < left.score, "{done:?}");
    // Tokenizer and template are the adapter's own.
    let template = |run: &Run| fs::read(run.folder().join("model/chat_template.jinja")).unwrap();
    assert_eq!(template(&first), template(&second));
}

/// Puts a folder into a cache of the hub, as the library leaves it.
fn cached(cache: &Path, name: &str, from: &Path) -> PathBuf {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let repo = cache.join(format!("models--{}", name.replace('/', "--")));
    let snapshot = repo.join("snapshots").join(commit);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), commit).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), snapshot.join(entry.file_name())).unwrap();
    }
    snapshot
}

#[test]
fn an_adapter_of_the_hub_stands_beside_a_model_of_the_hub() {
    let (_first, model) = left();
    let (bare, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    as_peft_leaves_it(&model, bare.path());
    cached(cache.path(), "ada/tiny", &tiny_bert());
    let adapter = cached(cache.path(), "ada/lora", bare.path()).join("adapter_config.json");
    let run = || {
        let recipe = "train.epochs = 1\nsave.adapter = true\n";
        Run::with_base(Path::new("hf:ada/lora"), recipe, &sentences(100, 4))
            .with_env("HF_HUB_CACHE", cache.path())
            .with_env("HF_HUB_OFFLINE", Path::new("1"))
    };
    let failure = run().failed(Action::Train).failure.to_string();
    assert!(failure.contains("a folder of the machine that it was trained on"), "{failure}");
    let config = fs::read_to_string(&adapter).unwrap();
    fs::write(&adapter, config.replace(&tiny_bert().display().to_string(), "ada/tiny")).unwrap();
    let mut run = run();
    run.complete();
    let again = config_of(&run);
    assert_eq!((&again["base_model_name_or_path"], &again["r"]), (&"ada/tiny".into(), &4.into()));
}

fn config_of(run: &Run) -> serde_json::Value {
    config(&run.folder().join(run_folder::MODEL))
}

/// A drop that brings an adapter and, maybe, what lies beneath.
fn dropped(model: &Path, named: &str, with_base: bool) -> Run {
    Run::with_drop(&tiny_bert(), "", "drop", |drop| {
        copy_files(model, &drop.join("adapter"));
        if with_base {
            copy_files(&tiny_bert(), &drop.join("tiny"));
        }
        let path = drop.join("adapter/adapter_config.json");
        let config = fs::read_to_string(&path).unwrap();
        let own = tiny_bert().display().to_string();
        assert!(config.contains(&own));
        fs::write(&path, config.replace(&own, named)).unwrap();
        fs::write(drop.join("train.csv"), sentences(120, 4)).unwrap();
        let recipe = "task = 'text-classification'\nmodel.base = 'adapter'\ntrain.epochs = 1\n";
        fs::write(drop.join("job.toml"), recipe).unwrap();
    })
}

#[test]
fn a_drops_adapter_may_stand_beside_what_a_drop_may_name() {
    let (_first, model) = left();
    let mut run = dropped(&model, "tiny", true);
    run.complete();
    let plan: Plan = run.json(run_folder::PLAN);
    assert!(plan.model.base_adapter.is_some_and(|it| it.beneath == "tiny"));
    for named in [tiny_bert().display().to_string(), "../tiny".into(), "/nowhere/at/all".into()] {
        let failure = dropped(&model, &named, false).failed(Action::Train).failure;
        assert_eq!(failure.kind, FailureKind::Recipe, "{failure}");
        let words = failure.to_string();
        let rule = format!(
            "the drop's recipe names the base model `{named}`, which is neither in the drop nor among those"
        );
        assert!(words.contains(&rule) && words.contains("base_model_name_or_path"), "{words}");
    }
}
