//! Batch norm that trains by its running statistics: the gradients are timm's of a model in
//! evaluation, and nothing but what trains moves.

use crate::distance;
use crate::image_parity::{allowed, apart, cross_entropy};
use crate::images::{all, batch, build, json, logits, train};
use finetuned_models::Pass;
use serde::Deserialize;
use std::collections::BTreeMap;
use tch::Tensor;

#[derive(Deserialize)]
struct Expected {
    /// How far torch's own single precision is from these numbers.
    rounding: f64,
    gradients: BTreeMap<String, Vec<f64>>,
}

#[test]
fn gradients_by_running_statistics_are_those_of_timm() {
    // Made by data/make_frozen_statistics.py with torch 2.13.0 and timm 1.0.31.
    let models: BTreeMap<String, Expected> = json("frozen_statistics.json");
    for (name, expected) in &models {
        let mut model = build(name);
        train(&mut model, all);
        let (pixels, labels) = batch();
        let pass = Pass { frozen_statistics: true, ..Pass::training(0, 1, 0) };
        let tensors: BTreeMap<&String, &Tensor> =
            model.tensors.iter().map(|it| (&it.0, &it.1)).collect();
        let buffers = model.model.parts().buffers.concat();
        let before: Vec<Tensor> = buffers.iter().map(|it| tensors[it].copy()).collect();
        let trained = logits(&model, &pixels, &pass);
        let off = distance(&trained.detach(), &logits(&model, &pixels, &Pass::evaluation()));
        assert!(off < 1e-5, "{name}: training computes what evaluation does: {off}");
        cross_entropy(&trained, &labels).backward();
        assert!(!buffers.is_empty());
        for (buffer, before) in buffers.iter().zip(&before) {
            assert!(tensors[buffer].equal(before), "{name}: {buffer} moved");
        }
        for (tensor, gradient) in &expected.gradients {
            let off = apart(&tensors[tensor].grad(), gradient);
            assert!(off < allowed(expected.rounding), "{name}, {tensor}: {off}");
        }
    }
}
