//! A linear head on a row that is made of a text's tokens: the finished model, in the family's own
//! class, says the same, loaded again from its files too.

use crate::{CLASSES, FAMILIES, all_names, build, data, distance, finished, input, open};
use finetuned_models::{
    BuildOptions, Built, Checkpoint, HeadKind, Model, Pass, Pooling, Rows, save,
};
use std::collections::BTreeMap;
use std::fs;
use tch::{Kind, Tensor};

/// A few hundred roundings of fp32 at the size of these logits.
const EXACT: f64 = 5e-5;

fn options(classes: i64, pooling: Pooling) -> BuildOptions {
    BuildOptions { head: HeadKind::Linear(classes, pooling), ..finished() }
}

/// With a head as large as a probe's.
fn linear(base: &Checkpoint, options: &BuildOptions) -> (Built, BTreeMap<String, Tensor>) {
    let built = base.build(options).unwrap();
    let tensors: BTreeMap<String, Tensor> =
        built.tensors.iter().map(|(name, it)| (name.clone(), it.shallow_clone())).collect();
    let numbers = |it: &Tensor| {
        let count = it.numel() as i64;
        (Tensor::arange(count, (Kind::Float, it.device())) * 0.7).sin().view_as(it)
    };
    for name in ["classifier.weight", "classifier.bias"] {
        tch::no_grad(|| tensors[name].shallow_clone().copy_(&numbers(&tensors[name])));
    }
    (built, tensors)
}

fn logits(model: &dyn Model, family: &str) -> Tensor {
    tch::no_grad(|| model.logits(&input(family).0, &Pass::evaluation())).unwrap()
}

/// How the row of a text can be made, the last way being the usual one.
fn poolings(family: &str) -> &'static [Pooling] {
    match family {
        // By its config.
        "modernbert" => &[Pooling::First],
        // None of its layers attends to all tokens alike.
        "mpnet" => &[Pooling::First],
        _ => &[Pooling::First, Pooling::Mean],
    }
}

fn usual(family: &str) -> Pooling {
    *poolings(family).last().unwrap()
}

#[test]
fn the_finished_model_of_the_familys_class_says_the_same() {
    for family in FAMILIES {
        let base = open(&data(family));
        for &pooling in poolings(family) {
            says_the_same(family, &base, CLASSES, &options(CLASSES, pooling));
        }
        let width = base.hidden_size();
        says_the_same(family, &base, width, &options(width, usual(family)));
    }
}

#[test]
fn where_the_familys_head_takes_the_mean_no_layer_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let from = data("modernbert");
    fs::copy(from.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let config = fs::read_to_string(from.join("config.json")).unwrap();
    let mean = config.replace(r#""classifier_pooling": "cls""#, r#""classifier_pooling": "mean""#);
    assert!(mean != config);
    fs::write(folder.path().join("config.json"), mean).unwrap();
    let base = open(folder.path());
    assert_eq!(base.pooling().unwrap(), Some(Pooling::Mean));
    says_the_same("modernbert", &base, CLASSES, &options(CLASSES, Pooling::Mean));
    assert!(base.build(&options(CLASSES, Pooling::First)).is_err());
    assert!(open(&data("mpnet")).build(&options(CLASSES, Pooling::Mean)).is_err());
    assert_eq!(open(&data("mpnet")).pooling().unwrap(), Some(Pooling::First));
}

fn says_the_same(family: &str, base: &Checkpoint, classes: i64, options: &BuildOptions) {
    let (trained, mut tensors) = linear(base, options);
    // As if it had been trained.
    let words = ["word_embeddings.weight", "tok_embeddings.weight"];
    let moved = tensors.keys().find(|it| words.iter().any(|end| it.ends_with(end))).unwrap();
    let _ = tch::no_grad(|| tensors[moved].shallow_clone().f_mul_scalar_(1.5)).unwrap();
    let before = logits(trained.model.as_ref(), family);
    let own = base.in_family(options, &tensors).unwrap();
    let off = distance(&before, &logits(own.model.as_ref(), family));
    assert!(off < EXACT, "{family}, {options:?}: {off}");

    let folder = tempfile::tempdir().unwrap();
    save(&own.tensors, &folder.path().join("model.safetensors")).unwrap();
    let names: Vec<String> = (0..classes).map(|it| it.to_string()).collect();
    let config = base.export_config(options.head, &names, None);
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let saved = open(folder.path());
    let mean = matches!(options.head, HeadKind::Linear(_, Pooling::Mean)) && family != "modernbert";
    assert_eq!(saved.layers(), base.layers() + i64::from(mean), "{family}, {options:?}");
    let again = saved.build(&finished()).unwrap();
    assert!(again.report.missing.is_empty() && again.report.surplus.is_empty());
    let off = distance(&before, &logits(again.model.as_ref(), family));
    assert!(off < EXACT, "{family}, {options:?}: {off}");

    tensors.remove("classifier.bias");
    let refused = base.in_family(options, &tensors).err().unwrap().to_string();
    assert!(refused.ends_with("classifier.bias"), "{refused}");
}

#[test]
fn a_row_is_the_normed_mean_of_its_texts_tokens_alone() {
    for family in FAMILIES.into_iter().filter(|it| usual(it) == Pooling::Mean) {
        let (built, _) = linear(&open(&data(family)), &options(CLASSES, Pooling::Mean));
        let rows = built.model.features(&input(family).0, &Pass::evaluation()).unwrap().xs;
        let headless = BuildOptions { head: HeadKind::None(Rows::PerToken), ..finished() };
        let tokens = build(family, &headless);
        let batch = input(family).0;
        let tokens = tokens.model.features(&batch, &Pass::evaluation()).unwrap().xs;
        let texts = tokens.split_with_sizes(&batch.lengths, 0);
        for (place, text) in texts.iter().enumerate() {
            let mean = text.mean_dim(0, false, Kind::Float);
            let normed = (&mean - mean.mean(Kind::Float)) / mean.std(false);
            // The first token's share, and the bend of the head.
            let off = distance(&rows.select(0, place as i64), &normed);
            assert!(off < 0.05, "{family}, text {place}: {off}");
        }
    }
}

#[test]
fn all_below_a_linear_head_learns() {
    for family in FAMILIES {
        let (mut built, _) = linear(&open(&data(family)), &options(CLASSES, usual(family)));
        built.model.set_trainable(&all_names(&built)).unwrap();
        let pass = Pass { gradient_checkpointing: true, ..Pass::training(0, 1, 0) };
        built.model.logits(&input(family).0, &pass).unwrap().square().sum(Kind::Float).backward();
        for (name, tensor) in &built.tensors {
            let pooler = name.contains("pooler");
            assert!(pooler || tensor.grad().defined(), "{family}: {name}");
        }
        assert_eq!(built.model.outline([0, 0]).unwrap().last().unwrap().rows, Rows::PerExample);
    }
}
