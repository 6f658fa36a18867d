//! Gradient checkpointing changes memory and time, and not a bit of what is learnt.

use crate::{all_names, build, data, distance, finished, images, input};
use finetuned_models::{BuildOptions, Built, Input, Parts, Pass};
use std::collections::BTreeSet;
use tch::{Device, Kind, Tensor};

/// Models with dropout, batch norm, layer norm and positions, each with a batch.
fn cases() -> Vec<(&'static str, Built, Input)> {
    let noisy = BuildOptions { dropout: Some(0.3), attention_dropout: 0.1, ..finished() };
    let small = Tensor::arange(4 * 3 * 12 * 12, (Kind::Float, Device::Cpu)).sin();
    let small = || Input::pixels(small.view([4, 3, 12, 12]));
    let pixels = || Input::pixels(images::batch().0);
    vec![
        ("bert", build("bert", &noisy), input("bert").0),
        ("roberta", build("roberta", &noisy), input("roberta").0),
        ("modernbert", build("modernbert", &noisy), input("modernbert").0),
        ("mpnet", build("mpnet", &noisy), input("mpnet").0),
        ("deberta", build("deberta", &noisy), input("deberta").0),
        ("vit", build("vit/hf_vit", &noisy), small()),
        ("deit", build("vit/timm_deit", &noisy), small()),
        ("resnet", images::build("resnet_basic"), pixels()),
        ("mobilenet", images::build("tf_mobilenetv3_small"), pixels()),
        ("convnext", images::build("convnext"), pixels()),
    ]
}

fn passes(gradient_checkpointing: bool, n: u64) -> Vec<Pass> {
    let pass = |micro| Pass { gradient_checkpointing, ..Pass::training(7, 3, micro) };
    (0..n).map(pass).collect()
}

/// The loss of some passes together, and afterwards all gradients and statistics.
fn learn(
    case: usize,
    checkpointing: bool,
    n: u64,
    trains: impl Fn(&Parts) -> Vec<String>,
) -> Vec<(String, Tensor)> {
    let (_, mut built, input) = cases().swap_remove(case);
    let names: BTreeSet<String> = trains(built.model.parts()).into_iter().collect();
    built.model.set_trainable(&names).unwrap();
    let mut loss = Tensor::zeros([], (Kind::Float, Device::Cpu));
    for pass in passes(checkpointing, n) {
        let logits = built.model.logits(&input, &pass).unwrap();
        loss += logits.square().mean(Kind::Float);
    }
    loss.backward();
    let mut all = vec![("loss".to_string(), loss.detach())];
    for (name, tensor) in &built.tensors {
        let gradient = tensor.grad();
        assert_eq!(gradient.defined(), names.contains(name) && !name.contains("mask_token"));
        let found = if gradient.defined() { gradient } else { tensor.detach() };
        all.push((name.clone(), found));
    }
    all
}

fn everything(parts: &Parts) -> Vec<String> {
    parts.stages().flatten().cloned().collect()
}

#[track_caller]
fn check(case: usize, n: u64, trains: impl Fn(&Parts) -> Vec<String> + Copy) {
    let (name, ..) = cases().swap_remove(case);
    let (with, without) = (learn(case, true, n, trains), learn(case, false, n, trains));
    // What layers share has several parts, which are added up in another order.
    let shares = ["mpnet", "deberta"].contains(&name);
    for ((tensor, a), (_, b)) in with.iter().zip(&without) {
        let same = if shares { distance(a, b) < 1e-6 } else { a.equal(b) };
        assert!(same, "{name}, {tensor}: {}", distance(a, b));
    }
}

#[test]
fn gradients_and_statistics_are_the_same_bit_for_bit() {
    for case in 0..cases().len() {
        check(case, 1, everything);
    }
}

#[test]
fn two_forward_passes_before_one_backward_pass_are_too() {
    for case in 0..cases().len() {
        check(case, 2, everything);
    }
}

#[test]
fn where_lower_stages_are_frozen_too() {
    for case in 0..cases().len() {
        check(case, 1, |it| it.layers.iter().skip(1).flatten().chain(&it.head).cloned().collect());
        check(case, 1, |it| it.embeddings.clone());
    }
}

#[test]
fn a_tied_table_learns_from_both_ends() {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for (checkpointing, gradients) in [(true, &mut with), (false, &mut without)] {
        let head = finetuned_models::HeadKind::Vocabulary;
        let mut built =
            crate::open(&data("bert")).build(&BuildOptions { head, ..finished() }).unwrap();
        built.model.set_trainable(&all_names(&built)).unwrap();
        let logits = built.model.logits(&input("bert").0, &passes(checkpointing, 1)[0]).unwrap();
        logits.square().mean(Kind::Float).backward();
        gradients.extend(built.tensors.iter().map(|it| (it.0.clone(), it.1.grad())));
    }
    for ((name, a), (_, b)) in with.iter().zip(&without) {
        // The table's two parts are added up in another order.
        assert!(distance(a, b) < 1e-6, "{name}");
    }
}

#[test]
fn an_error_in_a_stage_comes_back() {
    let (_, mut built, input) = cases().swap_remove(0);
    built.model.set_trainable(&all_names(&built)).unwrap();
    let beyond = Input::tokens(&input.xs + 1000, input.lengths.clone());
    let pass = passes(true, 1)[0];
    let refused = built.model.logits(&beyond, &pass).unwrap_err().to_string();
    assert!(refused.contains("index out of range"), "{refused}");
    assert!(built.model.logits(&input, &pass).is_ok());
}

#[test]
fn lower_stages_are_no_part_of_the_graph_and_the_last_one_is() {
    let (_, mut built, input) = cases().swap_remove(0);
    built.model.set_trainable(&all_names(&built)).unwrap();
    let weight = |layer: usize| {
        let name = format!("bert.encoder.layer.{layer}.output.dense.weight");
        built.tensors.iter().find(|it| it.0 == name).unwrap().1.shallow_clone()
    };
    for (checkpointing, layer, there) in
        [(false, 0, true), (true, 0, false), (false, 1, true), (true, 1, true)]
    {
        let logits = built.model.logits(&input, &passes(checkpointing, 1)[0]).unwrap();
        let loss = logits.sum(Kind::Float);
        let found = Tensor::run_backward(&[loss], &[weight(layer)], false, false);
        assert_eq!(found[0].defined(), there, "{checkpointing}, layer {layer}");
    }
}
