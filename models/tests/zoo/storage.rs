//! Matrices that are stored in half the bits: nothing else is different.

use crate::{FAMILIES, all_names, data, finished, input, open, tensors};
use finetuned_models::{
    Adapter, BuildOptions, Built, Form, Pass, Ranks, Storage, is_of_adapter, save, save_wide,
};
use std::collections::BTreeSet;
use std::fs;
use tch::{Kind, Tensor};
use tempfile::TempDir;

/// A family's folder with weights of this kind.
fn folder(family: &str, kind: Kind) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(data(family).join("config.json"), folder.path().join("config.json")).unwrap();
    let stored = tensors(&data(family).join("model.safetensors"));
    let rounded: Vec<(String, Tensor)> = stored
        .into_iter()
        .map(|(name, it)| {
            let is_float = it.kind() == Kind::Float;
            (name, if is_float { it.to_kind(kind) } else { it })
        })
        .collect();
    save(&rounded, &folder.path().join("model.safetensors")).unwrap();
    folder
}

fn build(folder: &TempDir, storage: Storage) -> Built {
    open(folder.path()).build(&BuildOptions { storage, ..finished() }).unwrap()
}

/// Numbers in tensors of half the bits, and in all.
fn packed(built: &Built) -> (usize, usize) {
    let numbers = |of: &dyn Fn(&Tensor) -> bool| {
        built.tensors.iter().filter(|it| of(&it.1)).map(|it| it.1.numel()).sum()
    };
    (numbers(&|it| it.kind() != Kind::Float), numbers(&|_| true))
}

fn adapter(built: &Built, dora: bool) -> Adapter {
    Adapter {
        form: Form::LowRank(Ranks { r: 2, alpha: 8.0, dropout: 0.1, rslora: false, dora }),
        targets: built.model.linears().keys().cloned().collect(),
        modules_to_save: BTreeSet::new(),
        biases: false,
    }
}

fn bytes(built: &Built) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    save_wide(&built.tensors, file.path()).unwrap();
    fs::read(file.path()).unwrap()
}

/// Gradients of an adapter, and the finished model's file once both are one.
fn trained(mut built: Built, family: &str, dora: bool) -> (Vec<(String, Tensor)>, Vec<u8>) {
    let added = built.model.adapt(&adapter(&built, dora), 3).unwrap();
    for (name, it) in added.iter().filter(|it| it.0.ends_with("lora_B.weight")) {
        let slopes = Tensor::arange(it.numel() as i64, (Kind::Float, it.device())).sin() * 0.1;
        tch::no_grad(|| it.shallow_clone().copy_(&slopes.view_as(it)));
        assert!(is_of_adapter(name));
    }
    let names: BTreeSet<String> = added.iter().map(|it| it.0.clone()).collect();
    built.model.set_trainable(&names).unwrap();
    let (input, labels) = input(family);
    let logits = built.model.logits(&input, &Pass::training(1, 2, 0)).unwrap();
    logits.cross_entropy_for_logits(&labels).backward();
    let gradients = added.iter().map(|(name, it)| (name.clone(), it.grad())).collect();
    built.model.merge().unwrap();
    (gradients, bytes(&built))
}

#[test]
fn what_loses_nothing_changes_no_bit() {
    for (family, kind) in
        FAMILIES.iter().map(|it| (*it, Kind::BFloat16)).chain([("bert", Kind::Half)])
    {
        let folder = folder(family, kind);
        let (wide, stored) = (build(&folder, Storage::Wide), build(&folder, Storage::Lossless));
        let (half, all) = packed(&stored);
        assert!(all * 8 < half * 10, "{family}: {half} of {all}");
        assert_eq!((packed(&wide).0, &stored.report.rounded[..]), (0, &[][..]), "{family}");
        let input = input(family).0;
        let logits = |built: &Built| built.model.logits(&input, &Pass::evaluation()).unwrap();
        assert!(logits(&wide).equal(&logits(&stored)), "{family}");
        for dora in [false, true] {
            let (wide, stored) = (build(&folder, Storage::Wide), build(&folder, Storage::Lossless));
            let (wide, stored) = (trained(wide, family, dora), trained(stored, family, dora));
            for ((name, a), (_, b)) in wide.0.iter().zip(&stored.0) {
                assert!(a.equal(b) && 0.0 < a.abs().max().double_value(&[]), "{family}: {name}");
            }
            assert!(wide.1 == stored.1, "{family}: the finished model");
        }
    }
}

#[test]
fn what_trains_is_stored_as_it_is_computed_with() {
    let folder = folder("bert", Kind::BFloat16);
    let (mut wide, mut stored) = (build(&folder, Storage::Wide), build(&folder, Storage::Lossless));
    let (input, labels) = input("bert");
    let query = "bert.encoder.layer.1.attention.self.query.weight".to_string();
    stored.model.set_trainable(&[query.clone()].into()).unwrap();
    let kind = |built: &Built, name: &str| {
        built.tensors.iter().find(|it| it.0 == name).map(|it| it.1.kind()).unwrap()
    };
    assert_eq!(kind(&stored, &query), Kind::Float);
    assert_eq!(kind(&stored, &query.replace("query", "key")), Kind::BFloat16);
    for built in [&mut wide, &mut stored] {
        built.model.set_trainable(&all_names(built)).unwrap();
        let logits = built.model.logits(&input, &Pass::training(0, 1, 0)).unwrap();
        logits.cross_entropy_for_logits(&labels).backward();
    }
    assert_eq!(packed(&stored).0, 0);
    for ((name, a), (_, b)) in wide.tensors.iter().zip(&stored.tensors) {
        assert!(a.grad().equal(&b.grad()), "{name}");
    }
}

#[test]
fn more_bits_are_rounded_only_where_that_is_asked_for() {
    let folder = folder("bert", Kind::Float);
    assert_eq!(packed(&build(&folder, Storage::Lossless)).0, 0);
    let rounded = build(&folder, Storage::Rounded);
    assert!(rounded.report.rounded.contains(&"bert.encoder.layer.0.output.dense.weight".into()));
    let file = bytes(&rounded);
    let target = tempfile::tempdir().unwrap();
    fs::copy(folder.path().join("config.json"), target.path().join("config.json")).unwrap();
    fs::write(target.path().join("model.safetensors"), file).unwrap();
    let again = open(target.path()).build(&finished()).unwrap();
    let input = input("bert").0;
    let logits = |built: &Built| built.model.logits(&input, &Pass::evaluation()).unwrap();
    assert!(logits(&rounded).equal(&logits(&again)), "the finished model is the rounded one");
    assert!(!logits(&rounded).equal(&logits(&build(&folder, Storage::Wide))));
}
