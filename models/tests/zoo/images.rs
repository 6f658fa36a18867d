//! Convolutional models: names and shapes are timm's, freezing is what it says, what is saved opens
//! again. Weights are a function of the tensors' names, as in `data/make_images.py`.

use crate::{data, distance, open};
use finetuned_models::{
    BuildOptions, Built, HeadKind, Input, Kind as Sort, ModelError, Parts, Pass, read, save,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tch::Tensor;
use tempfile::TempDir;

pub(crate) const MODELS: [&str; 10] = [
    "resnet_basic",
    "resnet_bottleneck",
    "resnet_hf",
    "efficientnet_lite0",
    "tf_efficientnet_lite0",
    "mobilenetv3_large",
    "tf_mobilenetv3_small",
    "convnext",
    "convnext_pointwise",
    "convnext_hf",
];
const SMALL: [&str; 5] =
    ["resnet_basic", "resnet_hf", "tf_mobilenetv3_small", "convnext", "convnext_hf"];
/// As in make_images.py.
pub(crate) const CLASSES: i64 = 3;

#[derive(Deserialize)]
pub(crate) struct Expected {
    /// In evaluation.
    pub logits: Vec<f32>,
    pub training_logits: Vec<f32>,
    pub loss: f64,
    pub rounding: Rounding,
    pub tensors: BTreeMap<String, Stored>,
}

/// How far timm and transformers are, in single precision, from these numbers, which are theirs in
/// double.
#[derive(Deserialize)]
pub(crate) struct Rounding {
    pub logits: f64,
    pub training_logits: f64,
    /// Gradients and statistics.
    pub once: f64,
    pub stepped: f64,
}

#[derive(Deserialize)]
pub(crate) struct Stored {
    pub shape: Vec<i64>,
    /// Of a parameter, after one pass.
    pub gradient: Option<Vec<f64>>,
    /// Of a running statistic, after one pass.
    pub moved: Option<Vec<f64>>,
    /// After ten steps.
    pub stepped: Vec<f64>,
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(path: &str) -> T {
    serde_json::from_slice(&fs::read(data("images").join(path)).unwrap()).unwrap()
}

pub(crate) fn expected(model: &str) -> Expected {
    json(&format!("{model}/expected.json"))
}

/// FNV-1a, 64 bits.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// Numbers in [-1, 1) of 24 bits: SplitMix64 of name and place.
pub(crate) fn noise(name: &str, shape: &[i64]) -> Vec<f64> {
    let number = |place: u64| {
        let z = fnv(name).wrapping_add(place.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    (0..shape.iter().product::<i64>() as u64).map(number).collect()
}

pub(crate) fn weight(name: &str, shape: &[i64]) -> Tensor {
    if name.ends_with("num_batches_tracked") {
        return Tensor::from(0_i64);
    }
    let spread = (3.0 / shape[1..].iter().product::<i64>() as f64).sqrt();
    let around_one = ["weight", "running_var", "gamma", "layer_scale_parameter"]
        .iter()
        .any(|it| name.ends_with(it));
    let place = |v: f64| match shape.len() {
        1 if around_one => 1.0 + 0.25 * v,
        1 => 0.1 * v,
        _ => v * spread,
    };
    let values: Vec<f32> = noise(name, shape).into_iter().map(|it| place(it) as f32).collect();
    Tensor::from_slice(&values).view(shape)
}

/// The model's folder, with the weights.
fn folder(model: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(data("images").join(model).join("config.json"), folder.path().join("config.json"))
        .unwrap();
    let tensors: Vec<(String, Tensor)> = expected(model)
        .tensors
        .iter()
        .map(|(name, it)| (name.clone(), weight(name, &it.shape)))
        .collect();
    save(&tensors, &folder.path().join("model.safetensors")).unwrap();
    folder
}

fn options(keep_head: bool) -> BuildOptions {
    BuildOptions::new(if keep_head { HeadKind::Keep } else { HeadKind::Classes(CLASSES) })
}

pub(crate) fn build(model: &str) -> Built {
    open(folder(model).path()).build(&options(true)).unwrap()
}

pub(crate) fn train(model: &mut Built, names: impl Fn(&Parts) -> Vec<String>) {
    let names: BTreeSet<String> = names(model.model.parts()).into_iter().collect();
    model.model.set_trainable(&names).unwrap();
}

pub(crate) fn all(parts: &Parts) -> Vec<String> {
    [&parts.embeddings]
        .into_iter()
        .chain(&parts.layers)
        .chain([&parts.head])
        .flatten()
        .cloned()
        .collect()
}

pub(crate) fn batch() -> (Tensor, Tensor) {
    let shape = [4, 3, 64, 64];
    let pixels: Vec<f32> = noise("pixels", &shape).into_iter().map(|it| it as f32).collect();
    (Tensor::from_slice(&pixels).view(shape), Tensor::from_slice(&[0_i64, 2, 1, 1]))
}

pub(crate) fn logits(model: &Built, pixels: &Tensor, pass: &Pass) -> Tensor {
    model.model.logits(&Input::pixels(pixels.shallow_clone()), pass).unwrap()
}

/// About a hundred roundings of fp32.
pub(crate) const EXACT: f64 = 1e-5;

/// A model that is too large to be made here shows what it wants by refusing what it gets: first
/// nothing at all, then tensors without elements.
#[test]
fn every_variant_has_the_names_and_shapes_of_timm() {
    let variants: BTreeMap<String, (usize, String)> = json("variants.json");
    assert!(30 < variants.len());
    for (architecture, (count, hash)) in variants {
        let folder = tempfile::tempdir().unwrap();
        let weights = folder.path().join("model.safetensors");
        fs::write(
            folder.path().join("config.json"),
            json!({"architecture": architecture, "num_classes": 3}).to_string(),
        )
        .unwrap();
        save(&[], &weights).unwrap();
        let Some(ModelError::Missing { mut names, .. }) =
            open(folder.path()).build(&options(true)).err()
        else {
            panic!("{architecture}")
        };
        let counters: Vec<String> = names
            .iter()
            .filter_map(|it| {
                Some(format!("{}.num_batches_tracked", it.strip_suffix(".running_mean")?))
            })
            .collect();
        names.extend(counters);
        let empty: Vec<(String, Tensor)> =
            names.into_iter().map(|it| (it, Tensor::zeros([0], tch::kind::FLOAT_CPU))).collect();
        save(&empty, &weights).unwrap();
        let Some(ModelError::Shapes { differences, .. }) =
            open(folder.path()).build(&options(true)).err()
        else {
            panic!("{architecture}")
        };
        let mut lines: Vec<String> =
            differences.iter().map(|it| format!("{} {:?}", it.name, it.wanted)).collect();
        lines.sort();
        assert_eq!(
            (lines.len(), format!("{:016x}", fnv(&lines.concat()))),
            (count, hash),
            "{architecture}"
        );
    }
}

#[test]
fn parts_and_buffers_are_a_partition_of_the_tensors_stage_by_stage() {
    for name in MODELS {
        let model = build(name);
        let parts = model.model.parts();
        let parameters = [&parts.embeddings].into_iter().chain(&parts.layers).chain([&parts.head]);
        let listed: Vec<&String> =
            parameters.zip(&parts.buffers).flat_map(|(a, b)| a.iter().chain(b)).collect();
        let of_model: BTreeSet<&String> = model.tensors.iter().map(|it| &it.0).collect();
        assert_eq!(listed.len(), of_model.len(), "{name}");
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), of_model, "{name}");
        assert_eq!(
            (parts.buffers.len(), model.model.stages()),
            (parts.layers.len() + 2, parts.layers.len() + 1)
        );
        assert_eq!(parts.head.len(), 2, "{name}");
        assert!(parts.buffers.last().unwrap().is_empty());
    }
    let layers = |name| build(name).model.parts().layers.len();
    assert_eq!(MODELS.map(layers), [5, 5, 5, 16, 16, 16, 12, 5, 5, 5]);
    let lite = build("tf_efficientnet_lite0");
    assert!(
        lite.model.parts().layers[15].iter().any(|it| it == "conv_head.weight"),
        "what follows the blocks belongs to the last"
    );
}

#[test]
fn running_statistics_move_where_something_trains_and_nowhere_else() {
    for name in ["resnet_basic", "resnet_hf", "tf_mobilenetv3_small"] {
        let mut model = build(name);
        train(&mut model, |it| it.layers.last().unwrap().iter().chain(&it.head).cloned().collect());
        let (pixels, labels) = batch();
        let buffers = model.model.parts().buffers.clone();
        let before: BTreeMap<String, Tensor> =
            model.tensors.iter().map(|it| (it.0.clone(), it.1.detach().copy())).collect();
        let _ = logits(&model, &pixels, &Pass::evaluation());
        assert!(
            model.tensors.iter().all(|it| it.1.equal(&before[&it.0])),
            "{name}: evaluation moves nothing"
        );
        logits(&model, &pixels, &Pass::training(0, 1, 0))
            .cross_entropy_for_logits(&labels)
            .backward();
        let moving = &buffers[buffers.len() - 2];
        assert!(!moving.is_empty());
        for (tensor_name, tensor) in &model.tensors {
            assert_eq!(
                !tensor.equal(&before[tensor_name]),
                moving.contains(tensor_name),
                "{name}, {tensor_name}"
            );
        }
        assert!(
            model
                .tensors
                .iter()
                .all(|it| !it.1.requires_grad() || !buffers.concat().contains(&it.0))
        );
    }
}

#[test]
fn a_frozen_stage_passes_gradients_and_runs_as_in_evaluation() {
    for name in SMALL {
        let mut model = build(name);
        train(&mut model, |it| it.embeddings.clone());
        let (pixels, labels) = batch();
        let pass = Pass::training(0, 1, 0);
        let (from, to) = (1, model.model.stages());
        let below = model.model.run(&Input::pixels(pixels), from, &pass).unwrap();
        let trained = model.model.run(&below, to, &pass).unwrap();
        assert!(
            distance(
                &trained.xs.detach(),
                &model.model.run(&below, to, &Pass::evaluation()).unwrap().xs
            ) < EXACT
        );
        model.model.head(&trained, &pass).unwrap().cross_entropy_for_logits(&labels).backward();
        let stem = model.model.parts().embeddings.clone();
        for (tensor_name, tensor) in &model.tensors {
            assert_eq!(
                tensor.grad().defined(),
                stem.contains(tensor_name),
                "{name}, {tensor_name}"
            );
        }
    }
}

#[test]
fn what_lies_below_all_that_trains_can_be_run_once() {
    for name in SMALL {
        let mut model = build(name);
        let (pixels, _) = batch();
        assert_eq!(model.model.frozen_stages(), model.model.stages());
        train(&mut model, |it| it.layers[3..].iter().flatten().chain(&it.head).cloned().collect());
        let (cut, top) = (model.model.frozen_stages(), model.model.stages());
        assert_eq!(cut, 4, "{name}");
        let pass = Pass::training(0, 1, 0);
        let pixels = Input::pixels(pixels);
        let below = model.model.run(&pixels, cut, &pass).unwrap();
        let cached = &below.xs;
        assert!(!cached.requires_grad());
        // As it comes back from a cache: contiguous, one image at a time.
        let cached = Tensor::cat(
            &(0..4).map(|k| cached.narrow(0, k, 1).contiguous()).collect::<Vec<_>>(),
            0,
        );
        let features = model.model.run(&below.after(cut, cached), top, &pass).unwrap();
        assert!(features.xs.requires_grad());
        assert!(
            distance(
                &features.xs.detach(),
                &model.model.features(&pixels, &pass).unwrap().xs.detach()
            ) < EXACT,
            "{name}"
        );
        train(&mut model, |it| it.head.clone());
        assert_eq!(model.model.frozen_stages(), top);
        assert!(!model.model.features(&pixels, &pass).unwrap().xs.requires_grad());
    }
}

#[test]
fn passes_that_can_not_be_run_are_errors() {
    let model = build("resnet_basic");
    let (pixels, _) = batch();
    let (pass, model) = (Pass::evaluation(), &model.model);
    let pixels = Input::pixels(pixels);
    for (from, to) in [(0, 7), (7, 8), (2, 1)] {
        assert!(model.run(&pixels.after(from, pixels.xs.shallow_clone()), to, &pass).is_err());
    }
    assert!(model.features(&Input::pixels(pixels.xs.narrow(1, 0, 1)), &pass).is_err(), "grey");
    let narrow = Tensor::zeros([2, 7], tch::kind::FLOAT_CPU);
    assert!(model.head(&pixels.after(model.stages(), narrow), &pass).is_err());
}

fn names() -> Vec<String> {
    ["cat", "dog", "élan", "yak"].map(String::from).to_vec()
}

#[test]
fn a_saved_model_comes_back_bit_for_bit_with_its_statistics() {
    for name in MODELS {
        let (base, saved) = (folder(name), tempfile::tempdir().unwrap());
        let base = open(base.path());
        let options = BuildOptions::new(HeadKind::Classes(4));
        let mut model = base.build(&options).unwrap();
        assert_eq!(model.report.reinitialised.len(), 2, "{name}");
        assert!(model.report.missing.is_empty() && model.report.surplus.is_empty());
        train(&mut model, all);
        let (pixels, _) = batch();
        let _ = logits(&model, &pixels, &Pass::training(0, 1, 0));
        save(&model.tensors, &saved.path().join("model.safetensors")).unwrap();
        fs::write(
            saved.path().join("config.json"),
            base.export_config(HeadKind::Classes(4), &names(), None).to_string(),
        )
        .unwrap();
        let again =
            open(saved.path()).build(&BuildOptions { head: HeadKind::Keep, ..options }).unwrap();
        assert_eq!(again.report.loaded.len(), model.tensors.len());
        assert!(
            model.tensors.iter().zip(&again.tensors).all(|(a, b)| a.0 == b.0 && a.1.equal(&b.1)),
            "{name}"
        );
        assert!(
            logits(&model, &pixels, &Pass::evaluation()).equal(&logits(
                &again,
                &pixels,
                &Pass::evaluation()
            )),
            "{name}"
        );
    }
}

#[test]
fn the_config_of_a_finished_model_is_its_librarys() {
    let timm = open(folder("tf_efficientnet_lite0").path());
    assert_eq!(
        (timm.kind(), timm.architecture(), timm.hidden_size(), timm.layers()),
        (Sort::Image, "tf_efficientnet_lite0", 1280, 16)
    );
    let config = timm.export_config(HeadKind::Classes(4), &names(), None);
    assert_eq!((&config["num_classes"], &config["label_names"][2]), (&json!(4), &json!("élan")));
    assert_eq!(config["architecture"], "tf_efficientnet_lite0");
    assert_eq!(config["pretrained_cfg"]["num_classes"], 4);
    assert_eq!(config["pretrained_cfg"]["mean"], timm.config_json()["pretrained_cfg"]["mean"]);
    assert!(config.get("model_args").is_none(), "timm wants a table or nothing");
    let hf = open(folder("convnext_hf").path());
    assert_eq!(
        (hf.kind(), hf.architecture(), hf.hidden_size(), hf.layers()),
        (Sort::Image, "convnext", 24, 5)
    );
    let config = hf.export_config(HeadKind::Classes(4), &names(), None);
    assert_eq!(
        (&config["architectures"][0], &config["id2label"]["3"]),
        (&json!("ConvNextForImageClassification"), &json!("yak"))
    );
}

/// What says where weights came from must not lead timm back there.
#[test]
fn a_config_from_the_hub_loses_what_leads_back_to_it() {
    let (folder, config) = (folder("resnet_basic"), "config.json");
    edit(folder.path(), |it| {
        it["pretrained_cfg"]["hf_hub_id"] = json!("timm/resnet18.a1_in1k");
        it["pretrained_cfg"]["url"] = json!("https://example.org/resnet18.pth");
        it["model_args"]["num_classes"] = json!(1000);
        it["architecture"] = json!("resnet18.a1_in1k");
    });
    let exported = open(folder.path()).export_config(HeadKind::Classes(4), &names(), None);
    fs::write(folder.path().join(config), exported.to_string()).unwrap();
    let open = open(folder.path());
    assert_eq!(open.architecture(), "resnet18");
    assert_eq!(
        exported["pretrained_cfg"]
            .as_object()
            .unwrap()
            .keys()
            .filter(|it| ["hf_hub_id", "url"].contains(&it.as_str()))
            .count(),
        0
    );
    assert_eq!(
        exported["model_args"],
        json!({"layers": [1, 1, 2, 1], "channels": [8, 16, 24, 32]})
    );
}

fn edit(folder: &Path, edit: impl FnOnce(&mut Value)) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut config);
    fs::write(path, config.to_string()).unwrap();
}

#[test]
fn old_weights_without_counts_of_batches_load() {
    let folder = folder("resnet_basic");
    let path = folder.path().join("model.safetensors");
    let mut tensors = read(&path).unwrap();
    tensors.retain(|it| !it.0.ends_with("num_batches_tracked"));
    // A single number as a row of one, as numpy likes to write it.
    tensors.push(("bn1.num_batches_tracked".into(), Tensor::from_slice(&[7_i64])));
    save(&tensors, &path).unwrap();
    let model = open(folder.path()).build(&options(true)).unwrap();
    let count = &model.tensors.iter().find(|it| it.0 == "bn1.num_batches_tracked").unwrap().1;
    assert_eq!((count.int64_value(&[]), count.dim()), (7, 0));
    assert!(
        !model.report.missing.is_empty()
            && model.report.missing.iter().all(|it| it.ends_with("num_batches_tracked"))
    );
}

#[test]
fn what_is_missing_or_misfits_is_named() {
    let folder = folder("resnet_basic");
    let path = folder.path().join("model.safetensors");
    let whole = read(&path).unwrap();
    let build = || {
        open(folder.path())
            .build(&options(false))
            .err()
            .unwrap()
            .to_string()
            .replace(&folder.path().display().to_string(), "DIR")
    };
    let tensors: Vec<(String, Tensor)> = whole
        .iter()
        .filter(|it| it.0 != "layer1.0.bn2.running_var")
        .map(|it| (it.0.clone(), it.1.shallow_clone()))
        .collect();
    save(&tensors, &path).unwrap();
    assert_eq!(build(), "DIR lacks 1 of the model's tensors: layer1.0.bn2.running_var");
    save(&whole, &path).unwrap();
    edit(folder.path(), |it| it["model_args"]["channels"][3] = json!(1_000_000));
    let err = build();
    assert!(err.starts_with("DIR: the weights do not fit the config: layer4.0.conv1.weight: checkpoint has [32, 24, 3, 3], model wants"), "{err}");
}

#[test]
fn a_config_that_is_not_built_is_refused() {
    #[track_caller]
    fn check(model: &str, change: impl FnOnce(&mut Value), message: &str) {
        let folder = folder(model);
        edit(folder.path(), change);
        let err = finetuned_models::open(folder.path()).err().expect("a refusal").to_string();
        let err = err.replace(&folder.path().display().to_string(), "DIR");
        assert!(err.starts_with(message), "{err}");
    }
    check(
        "resnet_basic",
        |it| it["architecture"] = json!("resnet17"),
        "DIR/config.json: architecture is `resnet17`, but must be one of resnet18, resnet34",
    );
    check(
        "resnet_basic",
        |it| it["model_args"]["stem_type"] = json!("deep"),
        "DIR/config.json is not JSON as it should be: unknown field `stem_type`",
    );
    let args = "DIR/config.json: model_args.layers is [1], but must be as many as the 4 channels";
    check("resnet_basic", |it| it["model_args"]["layers"] = json!([1]), args);
    let deep = "DIR/config.json: the blocks of each stage is [1, 1, 1, 9999], but must be at least 1 each and at most 512 in all";
    check("resnet_basic", |it| it["model_args"]["layers"] = json!([1, 1, 1, 9999]), deep);
    check(
        "resnet_basic",
        |it| it["model_args"]["channels"] = json!([0, 1, 1, 1]),
        "DIR/config.json: model_args.channels is 0, but must be between 1",
    );
    check(
        "tf_efficientnet_lite0",
        |it| it["model_args"] = json!({"in_chans": 1}),
        "DIR/config.json: in_chans is 1, but must be 3, for red, green",
    );
    check(
        "resnet_basic",
        |it| it["model_args"] = json!([]),
        "DIR/config.json: model_args is [], but must be an object",
    );
    check(
        "convnext",
        |it| it["model_args"]["global_pool"] = json!("max"),
        "DIR/config.json: global_pool is \"max\", but must be avg",
    );
    check(
        "tf_efficientnet_lite0",
        |it| it["model_args"] = json!({"pad_type": ""}),
        "DIR/config.json is not JSON as it should be: unknown field",
    );
    check(
        "resnet_hf",
        |it| it["hidden_act"] = json!("gelu"),
        "DIR/config.json: hidden_act is gelu, but must be relu",
    );
    check(
        "resnet_hf",
        |it| it["num_channels"] = json!(1),
        "DIR/config.json: num_channels is 1, but must be 3, for red, green and blue",
    );
    check(
        "resnet_hf",
        |it| it["hidden_sizes"] = json!([8, 8, 8, 9]),
        "DIR/config.json: hidden_sizes is ",
    );
    check(
        "convnext_hf",
        |it| it["depths"] = json!([1, 1]),
        "DIR/config.json: depths is [1, 1], but must be as many as the 4 channels",
    );
    check(
        "convnext_hf",
        |it| it["patch_size"] = json!(0),
        "DIR/config.json: patch_size is 0, but must be between 1 and 1048576",
    );
}

#[test]
fn dropout_of_the_head_is_off_unless_asked_for() {
    let folder = folder("convnext");
    let noisy = |dropout| {
        let mut model =
            open(folder.path()).build(&BuildOptions { dropout, ..options(true) }).unwrap();
        train(&mut model, |it| it.head.clone());
        let (pixels, _) = batch();
        let at = |pass: &Pass| logits(&model, &pixels, pass).detach();
        distance(&at(&Pass::training(0, 1, 0)), &at(&Pass::evaluation()))
    };
    assert_eq!(noisy(None), 0.0);
    assert!(1e-3 < noisy(Some(0.5)));
}

#[test]
fn a_pass_that_is_repeated_gives_the_same_and_moves_nothing() {
    for name in ["resnet_basic", "tf_mobilenetv3_small"] {
        let mut model = build(name);
        train(&mut model, all);
        let (pixels, _) = batch();
        let pass = Pass::training(0, 1, 0);
        let once = logits(&model, &pixels, &pass);
        let moved: Vec<Tensor> = model.tensors.iter().map(|it| it.1.detach().copy()).collect();
        let again = logits(&model, &pixels, &Pass { again: true, ..pass });
        assert!(once.equal(&again), "{name}");
        assert!(model.tensors.iter().zip(&moved).all(|(a, b)| a.1.equal(b)), "{name}");
    }
}
