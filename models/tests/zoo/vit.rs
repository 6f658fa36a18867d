//! Vision transformers: the numbers are those of timm and transformers, for images of other sizes
//! too, and what is saved opens as a model of its own.
//!
//! The data in `data/vit` was made by `data/make_vit.py` with torch 2.13.0, timm 1.0.31 and
//! transformers 5.23.0. 1e-5 is about a hundred roundings of fp32 at the size of these logits and
//! gradients; ten steps add up theirs, so 1e-4.

use crate::{data, distance, finished, fresh, open, tensors};
use finetuned_libtorch::{Algorithm, Optimizer};
use finetuned_models::{BuildOptions, Built, HeadKind, Input, ModelError, Parts, Pass, Rows, save};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

const FOLDERS: [&str; 10] = [
    "timm_vit",
    "timm_vit_avg",
    "timm_deit",
    "timm_deit3",
    "timm_dinov2",
    "timm_dinov2_giant",
    "hf_vit",
    "hf_deit",
    "hf_dinov2",
    "hf_dinov2_giant",
];
const EXACT: f64 = 1e-5;
const STEPPED: f64 = 1e-4;

fn at(folder: &str) -> PathBuf {
    data("vit").join(folder)
}

fn build(folder: &str, options: &BuildOptions) -> Built {
    open(&at(folder)).build(options).unwrap()
}

fn expected(folder: &str) -> BTreeMap<String, Tensor> {
    tensors(&at(folder).join("expected.safetensors"))
}

fn logits(model: &Built, images: &Tensor, pass: &Pass) -> Tensor {
    model.model.logits(&Input::pixels(images.shallow_clone()), pass).unwrap()
}

/// What trains when everything does.
fn parameters(parts: &Parts) -> BTreeSet<String> {
    [&parts.embeddings]
        .into_iter()
        .chain(&parts.layers)
        .chain([&parts.head])
        .flatten()
        .cloned()
        .collect()
}

/// With these trainable.
fn training(
    folder: &str,
    options: &BuildOptions,
    names: impl Fn(&Parts) -> BTreeSet<String>,
) -> Built {
    let mut model = build(folder, options);
    let names = names(model.model.parts());
    model.model.set_trainable(&names).unwrap();
    model
}

#[test]
fn logits_and_gradients_are_those_of_the_library() {
    for folder in FOLDERS {
        let expected = expected(folder);
        let model = training(folder, &finished(), parameters);
        let logits = logits(&model, &expected["images"], &Pass::training(0, 1, 0));
        assert!(
            distance(&logits, &expected["logits"]) < EXACT,
            "{folder}: {}",
            distance(&logits, &expected["logits"])
        );
        let loss = logits.cross_entropy_for_logits(&expected["labels"]);
        assert!(distance(&loss, &expected["loss"]) < EXACT, "{folder}");
        loss.backward();
        assert_eq!(
            model.tensors.len(),
            expected.keys().filter(|it| it.starts_with("gradient.")).count(),
            "{folder}"
        );
        let trainable = parameters(model.model.parts());
        for (name, tensor) in model.tensors.iter().filter(|it| trainable.contains(&it.0)) {
            let off = distance(&tensor.grad(), &expected[&format!("gradient.{name}")]);
            assert!(off < EXACT, "{folder}, {name}: {off}");
        }
    }
}

#[test]
fn ten_steps_end_where_those_of_torch_do() {
    // As in make_vit.py.
    const LR: f64 = 1e-3;
    const WEIGHT_DECAY: f64 = 0.01;
    const RULE: Algorithm = Algorithm::AdamW { betas: (0.9, 0.999), eps: 1e-5 };
    for folder in FOLDERS {
        let expected = expected(folder);
        let model = training(folder, &finished(), parameters);
        let trainable = parameters(model.model.parts());
        let mut optimizer = Optimizer::new(RULE);
        for (name, tensor) in model.tensors.iter().filter(|it| trainable.contains(&it.0)) {
            optimizer.add(name, tensor, 1.0, if 1 < tensor.dim() { WEIGHT_DECAY } else { 0.0 });
        }
        for step in 1..=10 {
            optimizer.zero_grad();
            logits(&model, &expected["images"], &Pass::training(0, step, 0))
                .cross_entropy_for_logits(&expected["labels"])
                .backward();
            optimizer.step(LR).unwrap();
        }
        let before = tensors(&at(folder).join("model.safetensors"));
        for (name, tensor) in &model.tensors {
            let tensor = tensor.detach();
            let off = distance(&tensor, &expected[&format!("stepped.{name}")]);
            // Nothing is computed from a mask token, and the bias of a key moves by nothing but
            // rounding.
            if name.ends_with("mask_token") {
                assert!(tensor.equal(&before[name]), "{folder}, {name}");
            } else {
                assert!(off < STEPPED, "{folder}, {name}: {off}");
                assert!(
                    name.contains("key.bias") || STEPPED * 10.0 < distance(&tensor, &before[name]),
                    "{folder}, {name} stood still"
                );
            }
        }
    }
}

#[test]
fn images_of_another_size_are_seen_as_the_library_sees_them() {
    for folder in FOLDERS {
        let expected = expected(folder);
        let model = training(folder, &finished(), parameters);
        for size in ["wide", "small"] {
            let (images, wanted) =
                (&expected[&format!("{size}.images")], &expected[&format!("{size}.logits")]);
            let logits = logits(&model, images, &Pass::training(0, 1, 0));
            assert!(
                distance(&logits, wanted) < EXACT,
                "{folder}, {size}: {}",
                distance(&logits, wanted)
            );
            logits.square().mean(None).backward();
        }
        let positions = model
            .tensors
            .iter()
            .find(|it| it.0.ends_with("pos_embed") || it.0.ends_with("position_embeddings"))
            .unwrap();
        assert!(
            positions.1.grad().abs().min().double_value(&[]) > 0.0,
            "{folder}: every stored position learns"
        );
    }
}

#[test]
fn images_that_do_not_divide_into_patches_are_refused() {
    let model = build("hf_vit", &finished());
    let image =
        |height, width| Input::pixels(Tensor::zeros([1, 3, height, width], tch::kind::FLOAT_CPU));
    let refused = model.model.features(&image(12, 14), &Pass::evaluation()).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("images of 12 x 14 pixels do not divide into patches of 4 x 4"),
        "{refused}"
    );
    assert!(model.model.features(&image(0, 4), &Pass::evaluation()).is_err());
}

#[test]
fn parts_are_a_partition_and_the_last_norm_belongs_to_the_last_layer() {
    for (folder, norm, head) in [
        ("timm_vit", "norm.weight", vec!["head.weight", "head.bias"]),
        ("timm_vit_avg", "fc_norm.weight", vec!["head.weight", "head.bias"]),
        (
            "timm_deit",
            "norm.weight",
            vec!["head.weight", "head.bias", "head_dist.weight", "head_dist.bias"],
        ),
        ("timm_dinov2", "norm.weight", vec!["head.weight", "head.bias"]),
        ("hf_vit", "vit.layernorm.weight", vec!["classifier.weight", "classifier.bias"]),
        ("hf_dinov2", "dinov2.layernorm.weight", vec!["classifier.weight", "classifier.bias"]),
    ] {
        let model = build(folder, &finished());
        let parts = model.model.parts();
        assert_eq!(parts.layers.len(), 2);
        assert!(parts.layers[1].iter().any(|it| it == norm), "{folder}");
        assert_eq!(parts.head, head, "{folder}");
        let scales = if folder.contains("dinov2") { 4 } else { 0 };
        assert_eq!(parts.norms.len(), 2 + 2 * 2 * 2 + scales, "{folder}: {:?}", parts.norms);
        let buffers: BTreeSet<String> = parts.buffers.iter().flatten().cloned().collect();
        let all: BTreeSet<String> = model.tensors.iter().map(|it| it.0.clone()).collect();
        assert!(parameters(parts).is_disjoint(&buffers));
        assert_eq!(
            parameters(parts).union(&buffers).cloned().collect::<BTreeSet<String>>(),
            all,
            "{folder}"
        );
    }
}

#[test]
fn below_what_trains_there_is_no_graph_and_nothing_moves() {
    for folder in FOLDERS {
        let model = training(folder, &finished(), |it| {
            it.layers[1].iter().chain(&it.head).cloned().collect()
        });
        assert_eq!(model.model.frozen_stages(), 2);
        let expected = expected(folder);
        let pass = Pass::training(0, 1, 0);
        let images = Input::pixels(expected["images"].shallow_clone());
        let below = model.model.run(&images, 2, &pass).unwrap();
        assert!(!below.xs.requires_grad());
        let features = model.model.run(&below, 3, &pass).unwrap();
        assert_eq!(features.xs.size()[1], open(&at(folder)).hidden_size());
        let logits = model.model.head(&features, &pass).unwrap();
        assert!(distance(&logits.detach(), &expected["logits"]) < EXACT, "{folder}");
        logits.cross_entropy_for_logits(&expected["labels"]).backward();
        for (name, tensor) in &model.tensors {
            let trains = name.contains(".1.")
                || model.model.parts().layers[1].contains(name)
                || model.model.parts().head.contains(name);
            assert_eq!(tensor.grad().defined(), trains, "{folder}, {name}");
        }
    }
}

#[test]
fn attention_with_dropout_written_out_is_the_kernel_without() {
    // A probability so small that nothing is dropped takes the long way.
    for folder in FOLDERS {
        let expected = expected(folder);
        let at = |attention_dropout, step| {
            let model =
                training(folder, &BuildOptions { attention_dropout, ..finished() }, parameters);
            logits(&model, &expected["images"], &Pass::training(0, step, 0)).detach()
        };
        assert!(distance(&at(1e-12, 1), &expected["logits"]) < EXACT, "{folder}");
        assert!(EXACT < distance(&at(0.3, 1), &at(0.3, 2)), "{folder}");
        assert!(at(0.3, 1).equal(&at(0.3, 1)), "{folder}");
    }
}

#[test]
fn a_body_alone_gets_a_head() {
    let model = build("hf_dinov2_body", &fresh());
    assert_eq!(model.report.missing, ["classifier.weight", "classifier.bias"]);
    assert_eq!(model.report.surplus, Vec::<String>::new());
    let images = &expected("hf_dinov2")["images"];
    assert_eq!(logits(&model, images, &Pass::evaluation()).size(), [4, 3]);
}

#[test]
fn timms_positions_may_be_stored_for_another_size_than_the_config_speaks_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = open(&at("timm_dinov2")).config_json().clone();
    config["model_args"]["img_size"] = serde_json::json!([16, 20]);
    config["pretrained_cfg"]["input_size"] = serde_json::json!([3, 16, 20]);
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    fs::copy(at("timm_dinov2").join("model.safetensors"), folder.path().join("model.safetensors"))
        .unwrap();
    let (model, expected) =
        (open(folder.path()).build(&finished()).unwrap(), expected("timm_dinov2"));
    for size in ["", "wide."] {
        let logits = logits(&model, &expected[&format!("{size}images")], &Pass::evaluation());
        assert!(distance(&logits, &expected[&format!("{size}logits")]) < EXACT, "{size}");
    }
}

#[test]
fn built_for_another_size_it_is_the_same_and_its_folder_says_so() {
    let images =
        Tensor::arange(2 * 3 * 24 * 24, (Kind::Float, Device::Cpu)).sin().view([2, 3, 24, 24]);
    for folder in FOLDERS {
        let checkpoint = open(&at(folder));
        let in_each_pass = logits(&build(folder, &finished()), &images, &Pass::evaluation());
        let size = Some([24, 24]);
        let model = checkpoint.build(&BuildOptions { image_size: size, ..finished() }).unwrap();
        assert!(
            distance(&logits(&model, &images, &Pass::evaluation()), &in_each_pass) < EXACT,
            "{folder}"
        );
        let left = tempfile::tempdir().unwrap();
        save(&model.tensors, &left.path().join("model.safetensors")).unwrap();
        let names: Vec<String> = (0..in_each_pass.size()[1]).map(|it| it.to_string()).collect();
        let head = HeadKind::Classes(names.len() as i64);
        let config = checkpoint.export_config(head, &names, size);
        let found = if folder.starts_with("timm") {
            &config["model_args"]["img_size"]
        } else {
            &config["image_size"]
        };
        let any_size = folder.starts_with("hf_dinov2");
        assert_eq!(
            *found == serde_json::json!(24) || *found == serde_json::json!([24, 24]),
            !any_size,
            "{folder}: {found}"
        );
        fs::write(left.path().join("config.json"), config.to_string()).unwrap();
        let again = open(left.path()).build(&finished()).unwrap();
        assert!(
            distance(&logits(&again, &images, &Pass::evaluation()), &in_each_pass) < EXACT,
            "{folder}"
        );
    }
}

#[test]
fn images_that_are_no_squares_of_patches_are_refused() {
    for (folder, size) in [("hf_vit", [16, 20]), ("hf_vit", [18, 18]), ("timm_vit", [18, 18])] {
        let refused =
            open(&at(folder)).build(&BuildOptions { image_size: Some(size), ..finished() });
        let found = refused.err().map(|it| it.to_string()).unwrap_or_default();
        assert!(found.contains("set model.image_size to a multiple of 4"), "{folder}: {found}");
    }
}

/// As a finished job leaves it.
fn leave(folder: &Path, base: &str) -> Built {
    let checkpoint = open(&at(base));
    let model = checkpoint.build(&BuildOptions { head: HeadKind::Classes(2), ..fresh() }).unwrap();
    save(&model.tensors, &folder.join("model.safetensors")).unwrap();
    let names = ["cat".to_string(), "dog".to_string()];
    let config = checkpoint.export_config(HeadKind::Classes(2), &names, None);
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    model
}

#[test]
fn a_saved_model_comes_back_bit_for_bit() {
    for base in FOLDERS.into_iter().chain(["hf_dinov2_body"]) {
        let folder = tempfile::tempdir().unwrap();
        let model = leave(folder.path(), base);
        let again = open(folder.path()).build(&finished()).unwrap();
        assert_eq!(
            (again.report.loaded.len(), again.report.surplus.len()),
            (model.tensors.len(), 0),
            "{base}"
        );
        for ((name, a), (_, b)) in model.tensors.iter().zip(&again.tensors) {
            assert!(a.equal(b), "{base}, {name}");
        }
    }
}

#[test]
fn what_is_not_built_is_refused() {
    let check = |base: &str, key: &str, value: serde_json::Value, wanted: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut config = open(&at(base)).config_json().clone();
        match key.split_once('/') {
            Some((outer, inner)) => config[outer][inner] = value,
            None => config[key] = value,
        }
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        fs::copy(at(base).join("model.safetensors"), folder.path().join("model.safetensors"))
            .unwrap();
        let built = finetuned_models::open(folder.path()).and_then(|it| it.build(&finished()));
        let refused = built.err().map(|it| it.to_string()).unwrap_or_default();
        assert!(
            refused.contains(wanted) && refused.contains(&folder.path().display().to_string()),
            "{base}, {key}: {refused}"
        );
    };
    check("timm_vit", "model_args/qk_norm", true.into(), "unknown field `qk_norm`");
    check(
        "timm_vit",
        "model_args/global_pool",
        "map".into(),
        "global_pool is map, but must be token",
    );
    check("timm_deit", "model_args/global_pool", "avg".into(), "global_pool is avg");
    check("timm_vit", "model_args/in_chans", 1.into(), "in_chans is 1, but must be 3");
    check("timm_vit", "model_args/num_heads", 5.into(), "a divisor of the width 12");
    check("timm_vit", "model_args/patch_size", 0.into(), "the side of a patch is 0");
    check(
        "timm_vit",
        "model_args/no_embed_class",
        true.into(),
        "pos_embed: checkpoint has [1, 10, 12], model wants [1, 9, 12]",
    );
    check(
        "timm_vit",
        "architecture",
        "vit_base_patch16_clip_224".into(),
        "architecture is `vit_base_patch16_clip_224`",
    );
    check(
        "hf_vit",
        "num_hidden_layers",
        600.into(),
        "the number of layers is 600, but must be at most 512",
    );
    check("hf_vit", "num_hidden_layers", 3.into(), "vit.encoder.layer.2.");
    check("hf_vit", "hidden_act", "swish2".into(), "hidden_act is swish2, but must be one of gelu");
    check(
        "hf_vit",
        "image_size",
        16.into(),
        "position_embeddings: checkpoint has [1, 10, 12], model wants [1, 17, 12]",
    );
    check("hf_vit", "image_size", 3.into(), "the image's side in patches is 0");
    check("hf_dinov2", "num_channels", 4.into(), "num_channels is 4, but must be 3");
    check("hf_dinov2", "mlp_ratio", 1e30.into(), "the width of the network in a layer");
}

#[test]
fn a_head_that_images_can_not_have_is_refused() {
    let options = |head| BuildOptions { head, ..finished() };
    let refused = |head| open(&at("timm_vit")).build(&options(head)).err().unwrap();
    for head in [HeadKind::PerToken(3), HeadKind::Vocabulary, HeadKind::None(Rows::PerToken)] {
        assert!(matches!(refused(head), ModelError::Head { .. }), "{head:?}");
    }
    assert_eq!(
        refused(HeadKind::PerToken(3)).to_string(),
        format!(
            "{} is a vit_tiny_patch16_224, which can have no head for each token: choose another base model",
            at("timm_vit").display()
        )
    );
}

#[test]
fn every_map_that_gives_outputs_is_named() {
    for folder in FOLDERS {
        let parts = build(folder, &finished()).model.parts().clone();
        let named: Vec<String> = parts.outputs.into_iter().flat_map(|it| [it.0, it.1]).collect();
        assert_eq!(named, parts.head, "{folder}");
    }
}
