//! EfficientNet-Lite0 itself, the weights that most jobs with images start from: logits as timm has
//! them. `data/make_images.py` stored the numbers. The weights are too large to be kept here:
//! without them the test says that it was skipped.

use crate::images::noise;
use crate::{data, open};
use finetuned_models::{BuildOptions, HeadKind, Input, Pass};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Logits are of size 1 to 3; 49 layers lie below.
const TOLERANCE: f64 = 2e-5;

#[derive(Deserialize)]
struct Stored {
    /// The five classes in front.
    top: Vec<i64>,
    /// Of every tenth class.
    logits: Vec<f32>,
    norm: f64,
}

fn weights() -> Option<PathBuf> {
    let folder = match std::env::var_os("FINETUNED_ASSETS") {
        Some(assets) => PathBuf::from(assets).join("models/efficientnet-lite0"),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../.assets/models/efficientnet-lite0"),
    };
    folder.join("model.safetensors").exists().then_some(folder)
}

#[test]
fn efficientnet_lite0_has_the_logits_of_timm() {
    let Some(folder) = weights() else {
        // Past the harness, which keeps what a passing test prints.
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no weights in FINETUNED_ASSETS or .assets/models/efficientnet-lite0"
        );
        return;
    };
    let stored: Stored =
        serde_json::from_slice(&std::fs::read(data("images/lite0.json")).unwrap()).unwrap();
    let model = open(&folder).build(&BuildOptions::new(HeadKind::Keep)).unwrap();
    assert!(model.report.surplus.is_empty());
    // Noise in squares of 16 pixels.
    let coarse: Vec<f32> =
        noise("pixels", &[1, 3, 14, 14]).into_iter().map(|it| it as f32).collect();
    let pixels = Tensor::from_slice(&coarse)
        .view([1, 3, 14, 1, 14, 1])
        .expand([1, 3, 14, 16, 14, 16], false)
        .reshape([1, 3, 224, 224]);
    let pass = Pass::evaluation();
    let logits = model.model.logits(&Input::pixels(pixels), &pass).unwrap().squeeze_dim(0);
    assert_eq!(Vec::<i64>::try_from(logits.topk(5, 0, true, true).1).unwrap(), stored.top);
    let tenth = logits.view([100, 10]).select(1, 0);
    assert!(crate::distance(&tenth, &Tensor::from_slice(&stored.logits)) < TOLERANCE);
    assert!(
        (logits.to_kind(Kind::Double).norm().double_value(&[]) - stored.norm).abs()
            < 10.0 * TOLERANCE
    );
}
