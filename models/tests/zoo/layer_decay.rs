//! Where lower layers learn slower, each tensor's factor is timm's.

use crate::{build, data, finished};
use finetuned_models::Built;
use std::collections::BTreeMap;

/// As in make_layer_decay.py.
const DECAY: f64 = 0.5;

#[test]
fn factors_of_image_models_are_those_of_timm() {
    // Made by data/make_layer_decay.py with timm 1.0.31.
    let text = std::fs::read(data("layer_decay.json")).unwrap();
    let expected: BTreeMap<String, BTreeMap<String, f64>> = serde_json::from_slice(&text).unwrap();
    for (folder, expected) in &expected {
        let built = match folder.strip_prefix("images/") {
            Some(name) => crate::images::build(name),
            None => build(folder, &finished()),
        };
        let ours = built.model.parts().learning_rate_scales(DECAY);
        for (name, scale) in expected {
            assert_eq!(ours.get(name), Some(scale), "{folder}, {name}");
        }
        assert_eq!(ours.len(), expected.len(), "{folder}");
    }
}

#[test]
fn models_of_transformers_learn_as_those_of_timm() {
    let scale = |built: &Built, name: &str| built.model.parts().learning_rate_scales(DECAY)[name];
    let vit = build("vit/hf_vit", &finished());
    assert_eq!(scale(&vit, "vit.layernorm.weight"), DECAY, "before pooling");
    assert_eq!(scale(&vit, "classifier.weight"), 1.0);
    assert_eq!(scale(&vit, "vit.embeddings.cls_token"), DECAY.powi(3));
    assert_eq!(scale(&build("vit/hf_dinov2", &finished()), "dinov2.layernorm.bias"), DECAY);
    let convnext = crate::images::build("convnext_hf");
    assert_eq!(scale(&convnext, "convnext.layernorm.weight"), 1.0, "after pooling");
    let bert = build("bert", &finished());
    assert_eq!(scale(&bert, "bert.pooler.dense.weight"), 1.0);
    assert_eq!(scale(&bert, "bert.encoder.layer.1.output.dense.weight"), DECAY);
    assert_eq!(scale(&bert, "bert.embeddings.word_embeddings.weight"), DECAY.powi(3));
    // What all layers share stands below them.
    for (family, name) in [
        ("electra", "electra.embeddings_project.weight"),
        ("mpnet", "mpnet.encoder.relative_attention_bias.weight"),
        ("deberta", "deberta.encoder.rel_embeddings.weight"),
        ("deberta", "deberta.encoder.LayerNorm.weight"),
        ("modernbert", "model.embeddings.norm.weight"),
    ] {
        assert_eq!(scale(&build(family, &finished()), name), DECAY.powi(3), "{name}");
    }
    let modernbert = build("modernbert", &finished());
    assert_eq!(scale(&modernbert, "model.final_norm.weight"), DECAY, "before pooling");
    assert_eq!(scale(&modernbert, "head.dense.weight"), 1.0);
}
