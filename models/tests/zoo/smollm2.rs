//! SmolLM2-135M itself: logits as transformers has them, and the same text when it goes on with the
//! most likely token. `data/make_smollm2.py` stored the numbers. The weights are too large to be
//! kept here: without them the test says that it was skipped.

use crate::{distance, open};
use finetuned_models::{BuildOptions, Cache, HeadKind, Input, Pass};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Logits are of size 10, after thirty layers.
const TOLERANCE: f64 = 5e-4;

#[derive(Deserialize)]
struct Stored {
    ids: Vec<i64>,
    /// First eight logits after the first and after the last token.
    first: Vec<f32>,
    last: Vec<f32>,
    /// Of all logits.
    mean: f64,
    mean_absolute: f64,
    generated: Vec<i64>,
}

fn weights() -> Option<PathBuf> {
    let folder = match std::env::var_os("FINETUNED_ASSETS") {
        Some(assets) => PathBuf::from(assets).join("models/smollm2"),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../.assets/models/smollm2"),
    };
    folder.join("model.safetensors").exists().then_some(folder)
}

#[test]
fn smollm2_has_the_logits_of_transformers_and_goes_on_as_it_does() {
    let Some(folder) = weights() else {
        // Past the harness, which keeps what a passing test prints.
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no SmolLM2 weights in FINETUNED_ASSETS or .assets/models/smollm2"
        );
        return;
    };
    let stored: Stored = serde_json::from_str(include_str!("../data/smollm2.json")).unwrap();
    let built = open(&folder).build(&BuildOptions::new(HeadKind::Vocabulary)).unwrap();
    assert!(built.report.surplus.is_empty() && built.report.missing.is_empty());
    let text = |ids: &[i64]| Input::tokens(Tensor::from_slice(ids), vec![ids.len() as i64]);
    let logits = built.model.logits(&text(&stored.ids), &Pass::evaluation()).unwrap();
    for (row, theirs) in [(0, &stored.first), (-1, &stored.last)] {
        let off = distance(&logits.get(row).narrow(0, 0, 8), &Tensor::from_slice::<f32>(theirs));
        assert!(off < TOLERANCE, "row {row}: {off}");
    }
    let mean = |it: Tensor| it.mean(Kind::Double).double_value(&[]);
    assert!(f64::abs(mean(logits.shallow_clone()) - stored.mean) < TOLERANCE);
    assert!(f64::abs(mean(logits.abs()) - stored.mean_absolute) < TOLERANCE);

    let (mut cache, mut next) = (Cache::new(1), stored.ids.clone());
    let mut ours: Vec<i64> = Vec::new();
    while ours.len() < stored.generated.len() {
        let logits = built.model.extend(&text(&next), &mut cache).unwrap();
        next = vec![logits.argmax(1, false).int64_value(&[0])];
        ours.extend_from_slice(&next);
    }
    assert_eq!(ours, stored.generated);
}
