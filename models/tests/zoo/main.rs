//! What users of the zoo rely on: the numbers are those of transformers, a folder is taken or
//! refused for a reason, freezing is what it says, and what is saved is what was trained.
//!
//! The data beside it was made by `data/make_fixtures.py` with torch 2.13.0 and transformers
//! 5.23.0, seed 0.

mod adapters;
mod checkpointing;
mod decoders;
mod encoders;
mod freezing;
mod frozen_statistics;
mod heads;
mod image_parity;
mod images;
mod layer_decay;
mod linear;
mod lite0;
mod loading;
mod minilm;
mod parity;
mod saving;
mod smollm2;
mod storage;
mod vit;

use finetuned_models::{BuildOptions, Built, Checkpoint, HeadKind, Input, Rows};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

const FAMILIES: [&str; 8] =
    ["bert", "roberta", "distilbert", "xlm_roberta", "electra", "modernbert", "mpnet", "deberta"];
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
    BuildOptions { dropout: Some(0.0), ..BuildOptions::new(HeadKind::Keep) }
}

/// A head of its own, made from the seed.
fn fresh() -> BuildOptions {
    BuildOptions { head: HeadKind::Classes(CLASSES), ..finished() }
}

fn build(folder: &str, options: &BuildOptions) -> Built {
    open(&data(folder)).build(options).unwrap()
}

fn all_names(model: &Built) -> std::collections::BTreeSet<String> {
    model.tensors.iter().map(|it| it.0.clone()).collect()
}

fn input(folder: &str) -> (Input, Tensor) {
    let mut stored = tensors(&data(folder).join("input.safetensors"));
    let mut take = |name: &str| stored.remove(name).unwrap();
    (packed(&take("ids"), &take("mask")), take("labels"))
}

/// With features for every token, and no head.
fn headless() -> BuildOptions {
    BuildOptions { head: HeadKind::None(Rows::PerToken), ..finished() }
}

/// The texts of padded rows, (batch, seq) each, without their padding.
fn packed(ids: &Tensor, mask: &Tensor) -> Input {
    let lengths = mask.sum_dim_intlist(1, false, Kind::Int64);
    Input::tokens(ids.masked_select(&mask.ne(0)), Vec::try_from(lengths).unwrap())
}

/// Largest difference of two tensors.
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().to_kind(Kind::Double).double_value(&[])
}
