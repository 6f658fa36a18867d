//! What single families of encoders have of their own: configs of older transformers, and what is
//! refused because transformers would compute something else.

use crate::{build, data, distance, finished, input, open};
use finetuned_models::{BuildOptions, HeadKind, Pass};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tch::Tensor;
use tempfile::TempDir;

/// A copy of a tiny model with another config.
fn with(family: &str, edit: impl FnOnce(&mut Value)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let weights = "model.safetensors";
    fs::copy(data(family).join(weights), folder.path().join(weights)).unwrap();
    let text = fs::read(data(family).join("config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&text).unwrap();
    edit(&mut config);
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

fn logits(folder: &Path, family: &str) -> Tensor {
    let built = open(folder).build(&finished()).unwrap();
    built.model.logits(&input(family).0, &Pass::evaluation()).unwrap()
}

#[test]
fn a_modernbert_of_transformers_4_is_the_same_model() {
    let older = with("modernbert", |it| {
        let config = it.as_object_mut().unwrap();
        for key in ["layer_types", "rope_parameters"] {
            config.remove(key).unwrap();
        }
        config.insert("global_attn_every_n_layers".into(), json!(3));
        config.insert("global_rope_theta".into(), json!(160_000.0));
        config.insert("local_rope_theta".into(), json!(10_000.0));
    });
    let now = logits(&data("modernbert"), "modernbert");
    assert!(logits(older.path(), "modernbert").equal(&now));
    // Each of what such a config says counts.
    for (key, value) in [
        ("global_attn_every_n_layers", json!(1)),
        ("global_rope_theta", json!(100.0)),
        ("local_rope_theta", json!(100.0)),
        ("local_attention", json!(2)),
        ("classifier_pooling", json!("mean")),
    ] {
        let text = fs::read(older.path().join("config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        config[key] = value;
        let other = with("modernbert", |it| *it = config);
        assert!(1e-4 < distance(&logits(other.path(), "modernbert"), &now), "{key}");
    }
}

#[test]
fn what_modernbert_was_pretrained_with_stays_below_a_new_head() {
    let fresh = BuildOptions { head: HeadKind::Classes(5), ..finished() };
    let report = build("modernbert", &fresh).report;
    assert!(report.loaded.contains(&"head.dense.weight".to_string()));
    let names: Vec<&str> = report.reinitialised.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["classifier.weight", "classifier.bias"]);
}

#[track_caller]
fn refused(family: &str, key: &str, value: Value, message: &str) {
    let folder = with(family, |it| it[key] = value);
    let found = finetuned_models::open(folder.path()).err().expect("a refusal").to_string();
    let place = format!("{}: ", folder.path().join("config.json").display());
    assert_eq!(found.strip_prefix(&place), Some(message));
}

#[test]
fn what_is_not_built_is_refused_with_the_key() {
    let only = |what: &str| format!("but must be {what}, the only one that is built");
    refused(
        "deberta",
        "conv_kernel_size",
        json!(3),
        "conv_kernel_size is 3, but must be 0 or absent: no convolution is built, as the large models of v2 have it",
    );
    for key in ["share_att_key", "relative_attention"] {
        refused("deberta", key, json!(false), &format!("{key} is false, {}", only("true")));
    }
    for (key, built) in
        [("embedding_size", 24), ("pooler_hidden_size", 24), ("attention_head_size", 6)]
    {
        let message = format!("{key} is 7, {}", only(&built.to_string()));
        refused("deberta", key, json!(7), &message);
    }
    let message = format!("pooler_hidden_act is tanh, {}", only("gelu"));
    refused("deberta", "pooler_hidden_act", json!("tanh"), &message);
    let message = "pos_att_type is p2p, but must be c2p, p2c or both";
    refused("deberta", "pos_att_type", json!("c2p|p2p"), message);
    let message =
        "max_relative_positions is 3, but must be above 3, half of position_buckets and one";
    refused("deberta", "max_relative_positions", json!(3), message);
    for (key, built) in [("relative_attention_num_buckets", 32), ("pad_token_id", 1)] {
        let message = format!(
            "{key} is 8, but must be {built}, the only one that transformers computes with"
        );
        refused("mpnet", key, json!(8), &message);
    }
    let message = "classifier_pooling is max, but must be cls or mean";
    refused("modernbert", "classifier_pooling", json!("max"), message);
    let message =
        "layer_types is chunked_attention, but must be sliding_attention or full_attention";
    let kinds = json!(["full_attention", "chunked_attention"]);
    refused("modernbert", "layer_types", kinds, message);
    let message = "layer_types is 1, but must be 2, one for each layer";
    refused("modernbert", "layer_types", json!(["full_attention"]), message);
    let scaled = json!({ "full_attention": { "rope_type": "yarn", "rope_theta": 10_000.0 } });
    let message = format!("rope_type is yarn, {}", only("default"));
    refused("modernbert", "rope_parameters", scaled, &message);
}
