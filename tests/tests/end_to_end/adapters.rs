//! Stories of adapters: merged into the weights that they stood beside, or left as they are.

use crate::attempt::{Run, predict, sentences, tiny_bert};
use crate::training::signal_if_alive;
use finetuned_job::event::Event;
use finetuned_job::outcome::FailureKind;
use finetuned_job::plan::{Plan, Storage};
use finetuned_job::run_folder;
use finetuned_job::spec::Action;
use rustix::process::Signal;
use safetensors::SafeTensors;
use std::fs;

const RECIPE: &str = r#"
model.dropout = 0.1
[adapter]
r = 4
lora_dropout = 0.1
use_dora = true
[train]
epochs = 20
batch = 8
precision = "fp32"
schedule = "cosine"
[save]
every_steps = 7
"#;

/// Trained to its end, and again with a kill in its midst: the files are the same.
fn proven(recipe: &str, file: &str) -> Run {
    let csv = sentences(400, 4);
    let mut calm = Run::new(recipe, &csv).with_threads(2);
    let undisturbed = calm.complete();
    assert!(0.8 < undisturbed.score, "{undisturbed:?}");
    let mut killed = Run::new(recipe, &csv).with_threads(2);
    let mut child = killed.start(Action::Train);
    killed.wait_for(&mut child, |it| matches!(it, Event::Step(it) if 30 <= it.step));
    signal_if_alive(&mut child, Signal::KILL);
    let done = killed.complete();
    assert!(
        killed.events().iter().any(|it| matches!(it, Event::Started { resumed_from: Some(_), .. })),
        "it did resume"
    );
    assert_eq!(done.proof.model_hash, undisturbed.proof.model_hash);
    assert_eq!(done.scores, undisturbed.scores);
    let weights = |run: &Run| fs::read(run.folder().join(run_folder::MODEL).join(file)).unwrap();
    assert_eq!(weights(&killed), weights(&calm));
    let plan: Plan = calm.json(run_folder::PLAN);
    let whole = ["classifier", "bert.pooler", "bert.embeddings"];
    let trains =
        |name: &str| name.contains(".lora_") || whole.iter().any(|it| name.starts_with(it));
    assert!(plan.freeze.trainable.iter().all(|it| trains(&it.name)), "{:?}", plan.freeze.trainable);
    assert!(plan.freeze.frozen.iter().any(|it| it.name.ends_with("query.weight")));
    answers(&mut calm);
    calm
}

/// `predict` needs no recipe, whatever the folder holds.
fn answers(run: &mut Run) {
    let inputs = vec!["a great and lovely film".into(), "an awful sad day".into()];
    assert!(run.finish(predict(inputs, None)).success(), "{}", run.log());
}

#[test]
fn an_adapter_is_merged_and_a_kill_costs_not_a_bit() {
    let run = proven(RECIPE, "model.safetensors");
    let model = run.folder().join(run_folder::MODEL);
    assert!(!model.join("adapter_config.json").exists());
    let (own, base) = (run.weights(), fs::read(tiny_bert().join("model.safetensors")).unwrap());
    let own = SafeTensors::deserialize(&own).unwrap();
    assert!(!own.names().iter().any(|it| it.contains("lora")), "{:?}", own.names());
    // What it stood beside has moved; all else is the base's, bit for bit.
    let base = SafeTensors::deserialize(&base).unwrap();
    let moved = |name: &str| {
        let theirs = base.tensor(name).unwrap();
        own.tensor(&format!("bert.{name}")).unwrap().data() != theirs.data()
    };
    assert!(moved("encoder.layer.0.attention.self.query.weight"));
    assert!(!moved("encoder.layer.0.attention.self.query.bias"));
    assert!(!moved("embeddings.word_embeddings.weight"));
}

#[test]
fn a_base_that_is_stored_in_half_the_bits_is_what_the_finished_model_has() {
    let recipe = format!("model.dtype = 'bf16'\n{RECIPE}");
    let run = proven(&recipe, "model.safetensors");
    let plan: Plan = run.json(run_folder::PLAN);
    assert_eq!(plan.model.storage, Storage::Bf16);
    let (own, base) = (run.weights(), fs::read(tiny_bert().join("model.safetensors")).unwrap());
    let numbers = |file: &[u8], name: &str| -> Vec<u32> {
        let file = SafeTensors::deserialize(file).unwrap();
        let tensor = file.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), safetensors::Dtype::F32);
        tensor.data().chunks(4).map(|it| u32::from_le_bytes(it.try_into().unwrap())).collect()
    };
    let table = "embeddings.word_embeddings.weight";
    let (own, base) = (numbers(&own, &format!("bert.{table}")), numbers(&base, table));
    // To the nearest that has bf16's bits.
    let is_rounded = |(own, base): (&u32, &u32)| own & 0xffff == 0 && own.abs_diff(*base) <= 0x8000;
    assert!(own.iter().zip(&base).all(is_rounded) && own != base);
}

#[test]
fn an_adapter_is_left_as_one_and_a_kill_costs_not_a_bit() {
    let recipe = RECIPE
        .replace("[adapter]", "[adapter]\nmodules_to_save = ['embeddings']")
        .replace("[train]", "[train]\nlr = 3e-3")
        .replace("[save]", "[save]\nadapter = true");
    let run = proven(&recipe, "adapter_model.safetensors");
    let model = run.folder().join(run_folder::MODEL);
    assert!(!model.join("model.safetensors").exists());
    let config = fs::read_to_string(model.join("adapter_config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!((&config["peft_type"], &config["r"]), (&"LORA".into(), &4.into()));
    assert_eq!(config["base_model_name_or_path"], tiny_bert().display().to_string());
    assert_eq!(
        config["modules_to_save"],
        serde_json::json!(["bert.pooler", "classifier", "embeddings"])
    );
}

#[test]
fn adapters_stand_beside_models_of_pairs_and_what_is_saved_beside_them_may_be_named() {
    let pair = |line: &str| format!("is it any good,{line}\n");
    let pairs: String = sentences(200, 4).lines().skip(1).map(pair).collect();
    let recipe = "data.test = 0.2\nsave.adapter = true\ntrain.epochs = 2\n[adapter]\nr = 4\nmodules_to_save = ['pooler']\n";
    let mut run = Run::new(recipe, &format!("question,passage,label\n{pairs}"));
    let done = run.complete();
    assert_eq!(done.task, "text-pair-classification");
    let config: serde_json::Value = run.json("model/adapter_config.json");
    assert!(config["modules_to_save"].to_string().contains("pooler"), "{config}");
    // A tensor of the family's own head, in a job that could begin with a probe.
    let recipe = "train.epochs = 1\n[adapter]\nmodules_to_save = ['bert.pooler']\n";
    assert!(Run::new(recipe, &sentences(100, 4)).finish(Action::Train).success());
    let recipe = "train.epochs = 1\n[freeze]\ntrain = ['*.lora_A.weight', '*.lora_B.weight', 'head']\n[adapter]\n";
    let mut run = Run::new(recipe, &sentences(100, 4));
    assert!(run.finish(Action::Train).success(), "{}", run.log());
}

#[test]
fn factors_are_merged_or_left_and_a_second_job_goes_on_with_them() {
    let csv = sentences(400, 4);
    let recipe = "[train]\nmethod = 'full'\nepochs = 20\nbatch = 8\nlr = 1e-2\nprecision = 'fp32'\n[adapter]\npeft_type = 'ia3'\nmodules_to_save = ['word_embeddings', 'LayerNorm']\n";
    let mut merged = Run::new(recipe, &csv);
    let done = merged.complete();
    assert!(0.8 < done.score, "{done:?}");
    let model = merged.folder().join(run_folder::MODEL);
    assert!(!model.join("adapter_config.json").exists());
    let (own, base) = (merged.weights(), fs::read(tiny_bert().join("model.safetensors")).unwrap());
    let own = SafeTensors::deserialize(&own).unwrap();
    let base = SafeTensors::deserialize(&base).unwrap();
    let moved = |name: &str| {
        own.tensor(&format!("bert.{name}")).unwrap().data() != base.tensor(name).unwrap().data()
    };
    assert!(moved("encoder.layer.0.attention.self.value.weight"));
    // Biases of the base are 0, and so are their multiples.
    assert!(moved("encoder.layer.0.output.dense.weight"), "its inputs have the factors");
    assert!(!moved("encoder.layer.0.attention.self.query.weight"));

    let mut left = Run::new(&format!("{recipe}[save]\nadapter = true\n"), &csv);
    assert!(0.8 < left.complete().score);
    let model = left.folder().join(run_folder::MODEL);
    let config: serde_json::Value = left.json("model/adapter_config.json");
    assert_eq!(config["peft_type"], "IA3");
    assert!(config["feedforward_modules"].to_string().contains("output.dense"), "{config}");
    assert!(config.get("lora_alpha").is_none());
    let still = "[train]\nepochs = 1\nlr = 1e-9\nprecision = 'fp32'\n";
    let mut second = Run::with_base(&model, still, &csv);
    let done = second.complete();
    assert!(0.8 < done.score, "{done:?}");
    let wrong = Run::with_base(&model, "adapter.r = 4", &csv).failed(Action::Train).failure;
    let words = wrong.to_string();
    assert!(words.contains("adapter.peft_type") || words.contains("ia3"), "{words}");
    answers(&mut second);
}

#[test]
fn norms_train_beside_an_adapter() {
    let recipe = "train.epochs = 1\n[adapter]\nr = 4\nmodules_to_save = ['LayerNorm']\n[save]\nadapter = true\n";
    let mut run = Run::new(recipe, &sentences(100, 4));
    run.complete();
    let plan: Plan = run.json(run_folder::PLAN);
    let trains = |end: &str| plan.freeze.trainable.iter().any(|it| it.name.ends_with(end));
    assert!(trains("layer.0.output.LayerNorm.weight") && trains("layer.0.output.LayerNorm.bias"));
    assert!(!trains("layer.0.output.dense.bias"));
    let bytes = fs::read(run.folder().join("model/adapter_model.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    assert!(stored.names().iter().any(|it| it.ends_with("output.LayerNorm.bias")));
}

#[test]
fn biases_train_beside_an_adapter_that_is_merged() {
    let recipe = "train.epochs = 1\ntrain.method = 'full'\n[adapter]\nr = 4\nbias = 'all'\n";
    let mut run = Run::new(recipe, &sentences(100, 4));
    run.complete();
    let (own, base) = (run.weights(), fs::read(tiny_bert().join("model.safetensors")).unwrap());
    let own = SafeTensors::deserialize(&own).unwrap();
    let base = SafeTensors::deserialize(&base).unwrap();
    let moved = |name: &str| {
        own.tensor(&format!("bert.{name}")).unwrap().data() != base.tensor(name).unwrap().data()
    };
    for name in ["attention.self.query", "output.dense", "output.LayerNorm"] {
        assert!(moved(&format!("encoder.layer.0.{name}.bias")), "{name}");
    }
    assert!(!moved("encoder.layer.0.output.LayerNorm.weight"));
}

#[test]
fn what_makes_no_sense_is_refused_with_its_cure() {
    let csv = sentences(60, 4);
    let refused = |recipe: &str, message: &str, cure: &str| {
        let failure = Run::new(recipe, &csv).failed(Action::Train).failure;
        assert_eq!(failure.kind, FailureKind::Recipe, "{failure}");
        let words = failure.to_string();
        assert!(words.contains(message) && words.contains(cure), "{words}");
    };
    refused("adapter.target_modules = ['qeury']", "`qeury`", "the nearest are query");
    refused("[adapter]\n[train]\nwise_ft = 0.5", "train.wise_ft", "leave it out");
    refused("[adapter]\n[freeze]\ntrain = ['head']", "never train it", "leave freeze.train out");
    refused("save.adapter = true", "save.adapter", "no [adapter]");
    let rounded = "save.adapter = true\nmodel.dtype = 'bf16'\n[adapter]";
    refused(rounded, "rounds", "leave model.dtype out");
    refused("model.dtype = 'int8'", "model.dtype is `int8`", "auto, fp32 or bf16");
    refused(
        "save.adapter = true\n[adapter]\nmodules_to_save = ['embeddings', 'LayerNorm']",
        "bert.embeddings.LayerNorm within bert.embeddings",
        "name one of them only",
    );
}
