//! What is saved is what was trained, and opens as a model of its own.

use crate::{CLASSES, FAMILIES, build, data, distance, finished, fresh, input, open};
use finetuned_models::{Built, HeadKind, Input, ModelError, Pass, read, save};
use std::fs;
use tch::{Kind, Tensor};

fn names() -> Vec<String> {
    ["bad", "so-so", "good"].map(String::from).to_vec()
}

#[test]
fn a_saved_model_comes_back_bit_for_bit() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let base = open(&data(family));
        let model = base.build(&fresh()).unwrap();
        save(&model.tensors, &folder.path().join("model.safetensors")).unwrap();
        fs::write(
            folder.path().join("config.json"),
            base.export_config(HeadKind::Classes(3), &names(), None).to_string(),
        )
        .unwrap();

        let again = open(folder.path()).build(&finished()).unwrap();
        assert_eq!(again.report.loaded.len(), model.tensors.len());
        assert_eq!(
            (
                again.report.missing.len(),
                again.report.surplus.len(),
                again.report.reinitialised.len()
            ),
            (0, 0, 0)
        );
        for ((name, a), (_, b)) in model.tensors.iter().zip(&again.tensors) {
            assert!(a.equal(b), "{name}");
        }
        let (input, _) = input(family);
        let logits = |it: &Built| it.model.logits(&input, &Pass::evaluation()).unwrap();
        assert!(logits(&model).equal(&logits(&again)), "{family}");
    }
}

#[test]
fn every_kind_and_shape_comes_back_and_the_order_given_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.safetensors"), folder.path().join("b.safetensors"));
    let random = || Tensor::randn([3, 5], (Kind::Float, tch::Device::Cpu));
    let mut tensors: Vec<(String, Tensor)> = vec![
        ("turned".into(), random().transpose(0, 1)),
        ("half".into(), random().to_kind(Kind::Half)),
        ("bf16".into(), random().to_kind(Kind::BFloat16)),
        ("double".into(), random().to_kind(Kind::Double)),
        ("bytes".into(), Tensor::from_slice(&[1u8, 2, 3])),
        ("long".into(), Tensor::from_slice(&[-1i64, i64::MAX])),
        ("scalar".into(), Tensor::from(0.1f32)),
        ("empty".into(), Tensor::zeros([0, 4], (Kind::Float, tch::Device::Cpu))),
        ("bool".into(), Tensor::from_slice(&[true, false])),
    ];
    save(&tensors, &a).unwrap();
    tensors.reverse();
    save(&tensors, &b).unwrap();
    assert_eq!(fs::read(&a).unwrap(), fs::read(&b).unwrap());
    let back = read(&a).unwrap();
    assert_eq!(back.len(), tensors.len());
    for (name, tensor) in back {
        let saved = &tensors.iter().find(|it| it.0 == name).unwrap().1;
        assert_eq!((tensor.kind(), tensor.size()), (saved.kind(), saved.size()));
        assert!(tensor.equal(saved), "{name}");
    }
}

#[test]
fn what_can_not_be_saved_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let one = || Tensor::from(1.0f32);
    let twice =
        save(&[("w".into(), one()), ("w".into(), one())], &folder.path().join("x")).unwrap_err();
    assert_eq!(twice.to_string(), "w: conversion error: given twice");
    let complex = one().to_kind(Kind::ComplexFloat);
    assert!(matches!(
        save(&[("w".into(), complex)], &folder.path().join("x")),
        Err(ModelError::Tensor { .. })
    ));
    let nowhere = save(&[("w".into(), one())], &folder.path().join("no/x")).unwrap_err();
    assert!(matches!(nowhere, ModelError::Write { .. }), "{nowhere}");
}

#[test]
fn the_config_of_a_finished_model_names_its_class_and_labels() {
    for (family, class) in [
        ("bert", "BertForSequenceClassification"),
        ("roberta", "RobertaForSequenceClassification"),
        ("distilbert", "DistilBertForSequenceClassification"),
        ("xlm_roberta", "XLMRobertaForSequenceClassification"),
        ("electra", "ElectraForSequenceClassification"),
        ("modernbert", "ModernBertForSequenceClassification"),
        ("mpnet", "MPNetForSequenceClassification"),
        ("deberta", "DebertaV2ForSequenceClassification"),
        ("bert_body", "BertForSequenceClassification"),
    ] {
        let base = open(&data(family));
        let config = base.export_config(HeadKind::Classes(3), &names(), None);
        assert_eq!(config["architectures"][0], class);
        assert_eq!(config["id2label"]["2"], "good");
        assert_eq!(config["label2id"]["so-so"], 1);
        assert_eq!(config["problem_type"], "single_label_classification");
        assert_eq!(config["dtype"], "float32");
        for (key, value) in base.config_json().as_object().unwrap() {
            if !["architectures", "id2label", "label2id", "problem_type", "dtype"]
                .contains(&key.as_str())
            {
                assert_eq!(&config[key], value, "{key}");
            }
        }
    }
}

#[test]
fn a_new_head_is_a_function_of_the_seed() {
    for family in FAMILIES {
        let head = |seed| {
            let model = build(family, &finetuned_models::BuildOptions { seed, ..fresh() });
            let wanted = |name: &str| {
                name.ends_with("classifier.weight") || name.ends_with("out_proj.weight")
            };
            model.tensors.into_iter().filter(|it| wanted(&it.0)).map(|it| it.1).next_back().unwrap()
        };
        assert_eq!(head(1).size()[0], CLASSES);
        assert!(head(1).equal(&head(1)));
        assert!(!head(1).equal(&head(2)));
        // initializer_range is 0.02; 576 draws leave a deviation of 3 %.
        let dense = build(family, &fresh()).tensors.into_iter().find(|it| {
            it.0.ends_with("classifier.dense.weight") || it.0 == "pre_classifier.weight"
        });
        let Some((_, dense)) = dense else { continue };
        let (deviation, mean) =
            (dense.std(true).double_value(&[]), dense.mean(Kind::Double).double_value(&[]));
        assert!((0.018..0.022).contains(&deviation) && mean.abs() < 0.004, "{deviation} {mean}");
    }
}

/// What the head says of features.
fn logits_of(model: &Built, features: &Tensor) -> Tensor {
    let features = Input::pixels(features.shallow_clone())
        .after(model.model.stages(), features.shallow_clone());
    model.model.head(&features, &Pass::evaluation()).unwrap()
}

#[test]
fn a_head_becomes_a_given_linear_map_where_its_form_allows_it() {
    let map = |width: i64| {
        let tensor = |shape: &[i64]| Tensor::randn(shape, tch::kind::FLOAT_CPU);
        (tensor(&[CLASSES, width]), tensor(&[CLASSES]), tensor(&[5, width]))
    };
    for family in FAMILIES {
        let can = ["distilbert", "electra", "deberta"].contains(&family);
        let model = build(family, &fresh());
        let width = open(&data(family)).hidden_size();
        let (weight, bias, features) = map(width);
        let before = logits_of(&model, &features);
        assert_eq!(model.model.set_head(&weight, &bias).unwrap(), can, "{family}");
        let after = logits_of(&model, &features);
        let expected = if can { features.linear(&weight, Some(&bias)) } else { before };
        assert!(distance(&after, &expected) < 1e-5, "{family}");
        let many = Tensor::zeros([width, width], tch::kind::FLOAT_CPU);
        assert!(
            !can || !model.model.set_head(&many, &many.select(0, 0)).unwrap(),
            "twice as many classes do not fit"
        );
    }
    for name in ["resnet_hf", "tf_mobilenetv3_small", "convnext"] {
        let model = crate::images::build(name);
        let width =
            model.tensors.iter().find(|it| it.0 == model.model.parts().head[0]).unwrap().1.size()
                [1];
        let (weight, bias, features) = map(width);
        assert!(model.model.set_head(&weight, &bias).unwrap(), "{name}");
        assert!(
            logits_of(&model, &features).equal(&features.linear(&weight, Some(&bias))),
            "{name}"
        );
        assert!(model.model.set_head(&weight.transpose(0, 1), &bias).is_err());
    }
    // The distilled one has two heads, whose logits are averaged.
    for name in ["hf_vit", "timm_deit3", "timm_vit_avg", "hf_dinov2", "hf_deit"] {
        let checkpoint = open(&data("vit").join(name));
        let model = checkpoint.build(&fresh()).unwrap();
        let (weight, bias, features) = map(checkpoint.hidden_size());
        assert!(model.model.set_head(&weight, &bias).unwrap(), "{name}");
        let expected = features.linear(&weight, Some(&bias));
        assert!(distance(&logits_of(&model, &features), &expected) < 1e-5, "{name}");
        assert!(model.model.set_head(&weight.transpose(0, 1), &bias).is_err(), "{name}");
    }
}
