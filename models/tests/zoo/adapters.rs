//! Adapters: the numbers are those of peft, whose folders are read and written.
//!
//! The data in `data/adapters` was made by `data/make_adapters.py` with torch 2.13.0, transformers
//! 5.23.0, timm 1.0.31 and peft 0.21.2. 1e-5 is about a hundred roundings of fp32 at the size of
//! these logits and gradients; ten steps add up theirs, so 1e-4.

use crate::{data, distance, finished, input, open, tensors};
use finetuned_libtorch::{Algorithm, Optimizer};
use finetuned_models::{
    Adapter, AdapterFolder, AdapterNames, BuildOptions, Built, Form, Input, ModelError, Pass,
    Ranks, is_of_adapter, open_adapted, save_adapter,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tch::Tensor;

const EXACT: f64 = 1e-5;
const STEPPED: f64 = 1e-4;

/// An adapter of the data, and its base.
const CASES: [(&str, &str); 13] = [
    ("bert_lora", "bert"),
    ("bert_some", "bert"),
    ("bert_dora", "bert"),
    ("distilbert_lora", "distilbert"),
    ("deberta_lora", "deberta"),
    ("modernbert_lora", "modernbert"),
    ("hf_vit_lora", "vit/hf_vit"),
    ("timm_vit_dora", "vit/timm_vit"),
    ("bert_ia3", "bert"),
    ("deberta_ia3", "deberta"),
    ("modernbert_ia3", "modernbert"),
    ("hf_vit_ia3", "vit/hf_vit"),
    ("timm_vit_ia3", "vit/timm_vit"),
];

fn expected(name: &str) -> BTreeMap<String, Tensor> {
    let stored = tensors(&data("adapters").join(name).join("expected.safetensors"));
    stored.into_iter().map(|(name, it)| (of_files(&name), it)).collect()
}

/// The name that transformers' files have for a parameter of its ViT.
fn of_files(name: &str) -> String {
    let names = [
        ("vit.layers.", "vit.encoder.layer."),
        ("attention.q_proj", "attention.attention.query"),
        ("attention.k_proj", "attention.attention.key"),
        ("attention.v_proj", "attention.attention.value"),
        ("attention.o_proj", "attention.output.dense"),
    ];
    let name = names.iter().fold(name.to_string(), |name, (from, to)| name.replace(from, to));
    if !name.contains("vit.encoder") {
        return name;
    }
    name.replace("mlp.fc1", "intermediate.dense").replace("mlp.fc2", "output.dense")
}

fn inputs(base: &str) -> Input {
    if base.starts_with("vit/") {
        let images = tensors(&data(base).join("expected.safetensors")).remove("images");
        return Input::pixels(images.unwrap());
    }
    input(base).0
}

fn folder(at: &Path) -> AdapterFolder {
    AdapterFolder::open(at).unwrap().unwrap()
}

/// As peft saved it.
fn adapted(name: &str, base: &str, options: &BuildOptions) -> Built {
    tch::set_num_threads(1);
    let adapter = folder(&data("adapters").join(name));
    open_adapted(adapter, open(&data(base))).unwrap().build(options).unwrap()
}

/// What the adapter trains and saves.
fn trains(built: &Built, name: &str) -> BTreeSet<String> {
    let adapter = folder(&data("adapters").join(name)).adapter().clone();
    let names = built.tensors.iter().map(|it| it.0.clone());
    names.filter(|it| is_of_adapter(it) || adapter.saves(it)).collect()
}

fn logits(built: &Built, input: &Input, pass: &Pass) -> Tensor {
    built.model.logits(input, pass).unwrap()
}

#[test]
fn logits_and_gradients_are_those_of_peft() {
    for (name, base) in CASES {
        for gradient_checkpointing in [false, true] {
            let (expected, input) = (expected(name), inputs(base));
            let mut built = adapted(name, base, &finished());
            let names = trains(&built, name);
            built.model.set_trainable(&names).unwrap();
            let pass = Pass { gradient_checkpointing, ..Pass::training(0, 1, 0) };
            let logits = logits(&built, &input, &pass);
            let off = distance(&logits, &expected["logits"]);
            assert!(off < EXACT, "{name}: {off}");
            logits.cross_entropy_for_logits(&expected["labels"]).backward();
            let wanted = expected.keys().filter_map(|it| it.strip_prefix("grad."));
            assert_eq!(wanted.map(String::from).collect::<BTreeSet<_>>(), names, "{name}");
            for (tensor, it) in &built.tensors {
                if !names.contains(tensor) {
                    assert!(!it.grad().defined(), "{name}: {tensor} is frozen");
                    continue;
                }
                let off = distance(&it.grad(), &expected[&format!("grad.{tensor}")]);
                assert!(off < EXACT, "{name}: {tensor}: {off}");
            }
        }
    }
}

#[test]
fn ten_steps_end_where_those_of_peft_do_and_one_map_does_the_same() {
    // As in make_adapters.py.
    const LR: f64 = 1e-3;
    const WEIGHT_DECAY: f64 = 0.01;
    const RULE: Algorithm = Algorithm::AdamW { betas: (0.9, 0.999), eps: 1e-5 };
    for (name, base) in CASES {
        let (expected, input) = (expected(name), inputs(base));
        let mut built = adapted(name, base, &finished());
        let names = trains(&built, name);
        built.model.set_trainable(&names).unwrap();
        let mut optimizer = Optimizer::new(RULE);
        for (tensor, it) in built.tensors.iter().filter(|it| names.contains(&it.0)) {
            let decays = !tensor.ends_with("bias");
            optimizer.add(tensor, it, 1.0, if decays { WEIGHT_DECAY } else { 0.0 });
        }
        for step in 1..=10 {
            optimizer.zero_grad();
            logits(&built, &input, &Pass::training(0, step, 0))
                .cross_entropy_for_logits(&expected["labels"])
                .backward();
            optimizer.step(LR).unwrap();
        }
        for (tensor, it) in built.tensors.iter().filter(|it| names.contains(&it.0)) {
            let off = distance(&it.detach(), &expected[&format!("stepped.{tensor}")]);
            assert!(off < STEPPED, "{name}: {tensor}: {off}");
        }
        let evaluated = |built: &Built| logits(built, &input, &Pass::evaluation());
        let off = distance(&evaluated(&built), &expected["stepped_logits"]);
        assert!(off < STEPPED, "{name}: {off}");

        let before = evaluated(&built);
        let gone = built.model.merge().unwrap();
        assert!(gone.iter().all(|it| is_of_adapter(it)) && !gone.is_empty(), "{name}");
        assert!(!built.model.parts().stages().flatten().any(|it| gone.contains(it)), "{name}");
        let off = distance(&evaluated(&built), &before);
        assert!(off < EXACT, "{name}: merged, {off}");
    }
}

fn new(targets: &[&str], dropout: f64) -> Adapter {
    let ranks = Ranks { r: 4, alpha: 8.0, dropout, rslora: false, dora: false };
    Adapter {
        form: Form::LowRank(ranks),
        targets: targets.iter().map(|it| it.to_string()).collect(),
        modules_to_save: BTreeSet::new(),
        biases: false,
    }
}

#[test]
fn a_new_adapter_changes_nothing_is_a_function_of_the_seed_and_trains_alone() {
    let query = "bert.encoder.layer.1.attention.self.query";
    let input = inputs("bert");
    let mut built = open(&data("bert")).build(&finished()).unwrap();
    let before = logits(&built, &input, &Pass::evaluation());
    let added = built.model.adapt(&new(&[query], 0.0), 7).unwrap();
    assert!(logits(&built, &input, &Pass::evaluation()).equal(&before));
    let names: Vec<&str> = added.iter().map(|it| it.0.as_str()).collect();
    let wanted = ["lora_A.weight", "lora_B.weight"].map(|it| format!("{query}.{it}"));
    assert_eq!(names, wanted);
    let parts = built.model.parts().clone();
    assert!(
        parts.layers[1].contains(&wanted[0]) && parts.held.contains(&format!("{query}.weight"))
    );
    assert!(!parts.held.iter().any(|it| is_of_adapter(it) || parts.head.contains(it)));
    // Its stage trains; what lies below is frozen still.
    built.model.set_trainable(&wanted.into()).unwrap();
    assert_eq!(built.model.frozen_stages(), 2);

    let a = |seed| {
        let mut built = open(&data("bert")).build(&finished()).unwrap();
        built.model.adapt(&new(&[query], 0.0), seed).unwrap().remove(0).1
    };
    assert!(a(7).equal(&added[0].1) && !a(8).equal(&added[0].1));
    // Evenly distributed up to 1 / sqrt(inputs).
    let most = added[0].1.abs().max().double_value(&[]);
    assert!((0.15..0.2042).contains(&most), "{most}");
    assert!(built.model.adapt(&new(&[query], 0.0), 7).is_err(), "it has one");
    let mut with_biases = open(&data("bert")).build(&finished()).unwrap();
    let adapter = Adapter { biases: true, ..new(&[query], 0.0) };
    let _ = with_biases.model.adapt(&adapter, 7).unwrap();
    let held = &with_biases.model.parts().held;
    assert!(!held.is_empty() && held.iter().all(|it| it.ends_with(".weight")), "{held:?}");
    let mut other = open(&data("bert")).build(&finished()).unwrap();
    assert!(other.model.adapt(&new(&["bert.pooler.dense"], 0.0), 7).is_err(), "of the head");
}

#[test]
fn new_factors_are_ones_and_merge_into_weight_and_bias() {
    let (value, down) =
        ("bert.encoder.layer.1.attention.self.value", "bert.encoder.layer.1.output.dense");
    let input = inputs("bert");
    let mut built = open(&data("bert")).build(&finished()).unwrap();
    let before = logits(&built, &input, &Pass::evaluation());
    let adapter = Adapter {
        form: Form::Factors { feedforward: [down.to_string()].into() },
        targets: [value, down].map(String::from).into(),
        modules_to_save: BTreeSet::new(),
        biases: false,
    };
    let added = built.model.adapt(&adapter, 7).unwrap();
    assert!(logits(&built, &input, &Pass::evaluation()).equal(&before));
    let width = built.model.linears()[value].weight.size()[0];
    let inner = built.model.linears()[down].weight.size()[1];
    let shapes: Vec<Vec<i64>> = added.iter().map(|it| it.1.size()).collect();
    assert_eq!(shapes, [vec![width, 1], vec![1, inner]]);
    for (_, each) in &added {
        assert!(each.equal(&each.ones_like()));
        let _ = tch::no_grad(|| each.shallow_clone().fill_(1.5));
    }
    let moved = logits(&built, &input, &Pass::evaluation());
    assert!(1e-3 < distance(&moved, &before));
    let bias = built.model.linears()[value].bias.as_ref().unwrap().copy();
    assert_eq!(built.model.merge().unwrap().len(), 2);
    assert!(distance(&logits(&built, &input, &Pass::evaluation()), &moved) < EXACT);
    assert!(distance(built.model.linears()[value].bias.as_ref().unwrap(), &(bias * 1.5)) < EXACT);
}

#[test]
fn its_dropout_is_a_function_of_seed_step_and_pass() {
    for (name, base) in
        [("bert_lora", "bert"), ("bert_dora", "bert"), ("hf_vit_lora", "vit/hf_vit")]
    {
        let from = folder(&data("adapters").join(name));
        let stored = tensors(&data("adapters").join(name).join("adapter_model.safetensors"));
        let stored: BTreeMap<String, Tensor> =
            stored.into_iter().map(|(name, it)| (of_files(&name), it)).collect();
        let mut built = open(&data(base)).build(&finished()).unwrap();
        let Form::LowRank(ranks) = from.adapter().form else { panic!("{name}") };
        let form = Form::LowRank(Ranks { dropout: 0.3, ..ranks });
        let adapter = Adapter { form, ..from.adapter().clone() };
        built.tensors.extend(built.model.adapt(&adapter, 0).unwrap());
        for (name, tensor) in built.tensors.iter().filter(|it| is_of_adapter(&it.0)) {
            tch::no_grad(|| {
                tensor.shallow_clone().copy_(&stored[&format!("base_model.model.{name}")])
            });
        }
        let names = trains(&built, name);
        built.model.set_trainable(&names).unwrap();
        let input = inputs(base);
        let logits = |pass: Pass| logits(&built, &input, &pass).detach();
        let (one, again) = (Pass::training(1, 5, 0), Pass::training(1, 5, 0));
        assert!(logits(one).equal(&logits(again)), "{name}");
        let twice = Pass { gradient_checkpointing: true, ..one };
        assert!(logits(one).equal(&logits(twice)), "{name}");
        for other in [Pass::training(2, 5, 0), Pass::training(1, 6, 0), Pass::training(1, 5, 1)] {
            assert!(!logits(one).equal(&logits(other)), "{name}");
        }
        let without = logits(Pass::evaluation());
        assert!(logits(Pass::evaluation()).equal(&without) && !logits(one).equal(&without));
    }
}

#[test]
fn what_is_written_is_read_again() {
    for (name, base) in CASES {
        let built = adapted(name, base, &finished());
        let names = trains(&built, name);
        let trained: Vec<(String, Tensor)> = built
            .tensors
            .iter()
            .filter(|it| names.contains(&it.0))
            .map(|(name, it)| (name.clone(), it.shallow_clone()))
            .collect();
        let target = tempfile::tempdir().unwrap();
        let adapter = folder(&data("adapters").join(name)).adapter().clone();
        let names =
            AdapterNames { base: "some/base", revision: Some("v1"), task_type: Some("SEQ_CLS") };
        save_adapter(target.path(), &adapter, names, &trained).unwrap();
        let again = folder(target.path());
        assert_eq!((again.base(), again.adapter()), (Some("some/base"), &adapter));
        let theirs = tensors(&data("adapters").join(name).join("adapter_model.safetensors"));
        let ours = tensors(&target.path().join("adapter_model.safetensors"));
        assert!(theirs.keys().eq(ours.keys()), "{name}: peft has the same names");
        let opened = open_adapted(again, open(&data(base))).unwrap().build(&finished()).unwrap();
        let input = inputs(base);
        let [a, b] = [&built, &opened].map(|it| logits(it, &input, &Pass::evaluation()));
        assert!(a.equal(&b), "{name}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let from = data("adapters").join("bert_some");
    let config = std::fs::read_to_string(from.join("adapter_config.json")).unwrap();
    let with = |from: &str, to: &str| {
        assert!(config.contains(from), "{from}");
        let target = tempfile::tempdir().unwrap();
        std::fs::write(target.path().join("adapter_config.json"), config.replace(from, to))
            .unwrap();
        let weights = "adapter_model.safetensors";
        std::fs::copy(
            data("adapters").join("bert_some").join(weights),
            target.path().join(weights),
        )
        .unwrap();
        AdapterFolder::open(target.path()).map(|it| open_adapted(it.unwrap(), open(&data("bert"))))
    };
    for (from, to, key) in [
        (r#""peft_type": "LORA""#, r#""peft_type": "LOHA""#, "peft_type"),
        (r#""bias": "none""#, r#""bias": "all""#, "bias"),
        (r#""rank_pattern": {}"#, r#""rank_pattern": {"query": 2}"#, "rank_pattern"),
        (r#""lora_bias": false"#, r#""lora_bias": true"#, "lora_bias is true"),
        (r#""use_qalora": false"#, r#""use_qalora": true"#, "use_qalora is true"),
        (r#""target_parameters": null"#, r#""target_parameters": ["w"]"#, "target_parameters"),
        (r#""init_lora_weights": true"#, r#""init_lora_weights": "pissa""#, "init_lora_weights"),
        (r#""r": 4"#, r#""r": 0"#, "r is 0"),
        (r#""lora_dropout": 0.0"#, r#""lora_dropout": 1.0"#, "lora_dropout"),
    ] {
        let err = with(from, to).err().unwrap().to_string();
        assert!(err.contains(key), "{err}");
    }
    let rank = with(r#""r": 4"#, r#""r": 5"#).unwrap().unwrap();
    assert!(matches!(rank.build(&finished()).err(), Some(ModelError::Shapes { .. })));
    let dora = with(r#""use_dora": false"#, r#""use_dora": true"#).unwrap().unwrap();
    assert!(matches!(dora.build(&finished()).err(), Some(ModelError::Missing { .. })));
    assert!(AdapterFolder::open(&data("bert")).unwrap().is_none(), "a model is no adapter");
}
