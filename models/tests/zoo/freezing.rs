//! Freezing is what it says: no gradients, no graph below what trains, no noise, the same bits
//! afterwards.

use crate::{FAMILIES, all_names, build, data, distance, finished, input};
use finetuned_libtorch::{Algorithm, Optimizer};
use finetuned_models::{BuildOptions, Built, Parts, Pass};
use std::collections::BTreeSet;

fn noisy() -> BuildOptions {
    BuildOptions { dropout: Some(0.5), ..finished() }
}

fn trained(family: &str, options: &BuildOptions, names: impl Fn(&Parts) -> Vec<String>) -> Built {
    let mut model = build(family, options);
    let names = names(model.model.parts()).into_iter().collect();
    model.model.set_trainable(&names).unwrap();
    model
}

#[test]
fn parts_are_a_partition_of_the_tensors() {
    for family in FAMILIES {
        let model = build(family, &finished());
        let Parts { embeddings, layers, head, norms, buffers, .. } = model.model.parts();
        assert_eq!(layers.len(), 2);
        assert!(buffers.iter().all(Vec::is_empty));
        let stages: Vec<String> =
            [embeddings].into_iter().chain(layers).chain([head]).flatten().cloned().collect();
        assert_eq!(stages, model.tensors.iter().map(|it| it.0.clone()).collect::<Vec<_>>());
        let of_family = match family {
            // Without biases; one after the last layer and one in the head in place of the first.
            "modernbert" => 6,
            // Of the table of distances too.
            "deberta" => 2 + 2 + 2 * 2 * 2,
            _ => 2 + 2 * 2 * 2,
        };
        assert_eq!(norms.len(), of_family, "{norms:?}");
        assert!(norms.iter().all(|it| it.to_lowercase().contains("norm")));
    }
    let head = |family| build(family, &finished()).model.parts().head.clone();
    assert_eq!(
        head("bert"),
        [
            "bert.pooler.dense.weight",
            "bert.pooler.dense.bias",
            "classifier.weight",
            "classifier.bias"
        ]
    );
    let roberta = [
        "classifier.dense.weight",
        "classifier.dense.bias",
        "classifier.out_proj.weight",
        "classifier.out_proj.bias",
    ];
    assert_eq!(head("roberta"), roberta);
    assert_eq!(
        head("distilbert"),
        ["pre_classifier.weight", "pre_classifier.bias", "classifier.weight", "classifier.bias"]
    );
}

#[test]
fn a_frozen_body_keeps_no_graph_and_draws_no_noise() {
    for family in FAMILIES {
        let model = trained(family, &noisy(), |it| it.head.clone());
        let (input, _) = input(family);
        let pass = Pass::training(0, 1, 0);
        let features = model.model.features(&input, &pass).unwrap();
        assert!(!features.xs.requires_grad());
        let still = model.model.features(&input, &Pass::evaluation()).unwrap();
        assert!(features.xs.equal(&still.xs));
        let logits = model.model.head(&features, &pass).unwrap();
        assert!(logits.requires_grad());
        assert!(
            !logits.equal(&model.model.head(&features, &Pass::evaluation()).unwrap()),
            "the head does draw"
        );
    }
}

#[test]
fn a_frozen_stage_above_passes_gradients_and_draws_no_noise() {
    for family in FAMILIES {
        let model = trained(family, &noisy(), |it| it.embeddings.clone());
        let (input, labels) = input(family);
        let run = |pass: &Pass| model.model.logits(&input, pass).unwrap();
        run(&Pass::training(0, 1, 0)).cross_entropy_for_logits(&labels).backward();
        for (name, tensor) in &model.tensors {
            let trains = model.model.parts().embeddings.contains(name);
            assert_eq!(tensor.grad().defined(), trains, "{name}");
        }
    }
}

#[test]
fn what_is_frozen_has_the_same_bits_afterwards() {
    for family in FAMILIES {
        let model =
            trained(family, &noisy(), |it| it.layers[1].iter().chain(&it.head).cloned().collect());
        let Parts { embeddings, layers, .. } = model.model.parts().clone();
        let trains = |name: &String| !embeddings.contains(name) && !layers[0].contains(name);
        let before: Vec<_> = model.tensors.iter().map(|it| it.1.detach().copy()).collect();
        let mut optimizer = Optimizer::new(Algorithm::AdamW { betas: (0.9, 0.999), eps: 1e-8 });
        model
            .tensors
            .iter()
            .filter(|it| trains(&it.0))
            .for_each(|(name, it)| optimizer.add(name, it, 1.0, 0.01));
        let (input, labels) = input(family);
        for step in 1..=3 {
            let pass = Pass::training(0, step, 0);
            let logits = model.model.logits(&input, &pass).unwrap();
            logits.cross_entropy_for_logits(&labels).backward();
            optimizer.step(1e-2).unwrap();
            optimizer.zero_grad();
        }
        for ((name, tensor), before) in model.tensors.iter().zip(&before) {
            assert_eq!(tensor.detach().equal(before), !trains(name), "{name}");
        }
    }
}

#[test]
fn a_pass_that_does_not_train_keeps_no_graph() {
    let mut model = build("bert", &noisy());
    model.model.set_trainable(&all_names(&model)).unwrap();
    let (input, _) = input("bert");
    assert!(!model.model.features(&input, &Pass::evaluation()).unwrap().xs.requires_grad());
    assert!(model.model.features(&input, &Pass::training(0, 1, 0)).unwrap().xs.requires_grad());
    model.model.set_trainable(&BTreeSet::new()).unwrap();
    assert!(!model.model.features(&input, &Pass::training(0, 1, 0)).unwrap().xs.requires_grad());
}

#[test]
fn dropout_is_the_configs_where_nobody_says_otherwise() {
    let noise = |dropout| {
        let options = BuildOptions { dropout, ..finished() };
        let model = trained("distilbert", &options, |it| it.head.clone());
        let (input, _) = input("distilbert");
        let features = model.model.features(&input, &Pass::evaluation()).unwrap();
        let still = model.model.head(&features, &Pass::evaluation()).unwrap();
        let at = |step| model.model.head(&features, &Pass::training(0, step, 0)).unwrap().detach();
        (0..200).map(|step| distance(&at(step), &still).powi(2)).sum::<f64>()
    };
    // Its head drops a fifth: seq_classif_dropout, not dropout.
    assert_eq!(open_json("distilbert")["seq_classif_dropout"], 0.2);
    assert_eq!(noise(None), noise(Some(0.2)));
    assert!(noise(Some(0.1)) < 0.8 * noise(None));
}

fn open_json(family: &str) -> serde_json::Value {
    crate::open(&data(family)).config_json().clone()
}

#[test]
fn stages_may_be_run_one_after_the_other() {
    for family in FAMILIES {
        let model = trained(family, &noisy(), |it| it.layers.concat());
        let (input, _) = input(family);
        let pass = Pass::training(0, 1, 0);
        let top = model.model.stages();
        let step_by_step = (1..=top)
            .fold(input.shallow_clone(), |it, to| model.model.run(&it, to, &pass).unwrap());
        assert!(
            step_by_step.xs.equal(&model.model.features(&input, &pass).unwrap().xs),
            "{family}"
        );
        assert!(model.model.run(&input, top + 1, &pass).is_err());
        assert!(model.model.run(&step_by_step, 1, &pass).is_err());
        assert!(model.model.head(&input, &pass).is_err());
        assert!(model.model.run(&input, 0, &pass).unwrap().xs.equal(&input.xs));
    }
}
