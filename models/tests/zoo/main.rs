//! What users of the zoo rely on: the numbers are those of transformers, a folder is taken or
//! refused for a reason, freezing is what it says, and what is saved is what was trained.
//!
//! The data beside it was made by `data/make_fixtures.py` with torch 2.13.0 and transformers
//! 5.23.0, seed 0.

mod freezing;
mod image_parity;
mod images;
mod lite0;
mod loading;
mod minilm;
mod parity;
mod saving;
mod vit;

use finetuned_models::{BuildOptions, Checkpoint, Model, Tokens};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

const FAMILIES: [&str; 3] = ["bert", "roberta", "distilbert"];
const CLASSES: i64 = 3;

fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder)
}

fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    finetuned_models::read(path).unwrap().into_iter().collect()
}

fn open(folder: &Path) -> Checkpoint {
    // Tests run side by side already; threads of libtorch under each only wait for one another.
    tch::set_num_threads(1);
    finetuned_models::open(folder).unwrap()
}

/// No dropout, and the checkpoint's own head.
fn finished() -> BuildOptions {
    BuildOptions {
        classes: CLASSES,
        dropout: Some(0.0),
        attention_dropout: 0.0,
        image_size: None,
        device: Device::Cpu,
        seed: 0,
        keep_head: true,
    }
}

/// A head of its own, made from the seed.
fn fresh() -> BuildOptions {
    BuildOptions { keep_head: false, ..finished() }
}

fn build(folder: &str, options: &BuildOptions) -> Model {
    open(&data(folder)).build(options).unwrap()
}

fn all_names(model: &Model) -> std::collections::BTreeSet<String> {
    model.tensors.iter().map(|it| it.0.clone()).collect()
}

fn input(folder: &str) -> (Tokens, Tensor) {
    let mut stored = tensors(&data(folder).join("input.safetensors"));
    let mut take = |name: &str| stored.remove(name).unwrap();
    (packed(&take("ids"), &take("mask")), take("labels"))
}

/// The texts of padded rows, (batch, seq) each, without their padding.
fn packed(ids: &Tensor, mask: &Tensor) -> Tokens {
    let lengths = mask.sum_dim_intlist(1, false, Kind::Int64);
    Tokens { ids: ids.masked_select(&mask.ne(0)), lengths: Vec::try_from(lengths).unwrap() }
}

/// Largest difference of two tensors.
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().to_kind(Kind::Double).double_value(&[])
}
