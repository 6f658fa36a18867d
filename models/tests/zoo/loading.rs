//! A folder is taken or refused for a reason, and the report says what became of every tensor.

use crate::{FAMILIES, all_names, build, data, finished, fresh, input, open};
use finetuned_models::{
    BuildOptions, HeadKind, Input, LoadReport, Pass, ShapeDifference, read, save,
};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tch::{Kind, Tensor};
use tempfile::TempDir;

/// A copy of a tiny model, to be spoilt.
fn copy(family: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(data(family).join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn edit_config(folder: &Path, edit: impl FnOnce(&mut Value)) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut config);
    fs::write(path, config.to_string()).unwrap();
}

/// Rewrites the weights.
fn edit_weights(folder: &Path, edit: impl FnOnce(&mut Vec<(String, Tensor)>)) {
    let path = folder.join("model.safetensors");
    let mut tensors = read(&path).unwrap();
    edit(&mut tensors);
    save(&tensors, &path).unwrap();
}

fn report(folder: &Path, options: &BuildOptions) -> LoadReport {
    open(folder).build(options).unwrap().report
}

/// Opening and building fails with this message, the folder's path written as `DIR`.
#[track_caller]
fn refused(folder: &TempDir, options: &BuildOptions, message: &str) {
    let built = finetuned_models::open(folder.path()).and_then(|it| it.build(options));
    let err = built.err().expect("a refusal").to_string();
    assert_eq!(err.replace(&folder.path().display().to_string(), "DIR"), message);
}

#[test]
fn a_checkpoint_says_what_it_is() {
    let bert = open(&data("bert"));
    assert_eq!((bert.architecture(), bert.hidden_size(), bert.layers()), ("bert", 24, 2));
    assert_eq!((bert.max_positions(), bert.pad_token_id(), bert.dropout()), (24, 0, 0.1));
    assert_eq!(bert.weights_files(), [data("bert").join("model.safetensors")]);
    let roberta = open(&data("roberta"));
    // 26 rows, of which the first two are never a token's place.
    assert_eq!(
        (roberta.architecture(), roberta.max_positions(), roberta.pad_token_id()),
        ("roberta", 24, 1)
    );
    assert_eq!(open(&data("distilbert")).hidden_size(), 24);
}

#[test]
fn a_whole_classifier_is_loaded_whole() {
    for family in FAMILIES {
        let model = build(family, &finished());
        assert_eq!(model.report.loaded.len(), model.tensors.len());
        assert_eq!(LoadReport { loaded: Vec::new(), ..model.report }, LoadReport::default());
    }
}

#[test]
fn a_body_without_prefix_and_with_old_names_is_found() {
    let report = build("bert_body", &fresh()).report;
    assert_eq!(report.missing, ["classifier.weight", "classifier.bias"]);
    assert_eq!(report.surplus, ["embeddings.position_ids"]);
    assert!(report.loaded.contains(&"bert.pooler.dense.weight".to_string()));
    assert!(report.loaded.contains(&"bert.encoder.layer.0.output.LayerNorm.bias".to_string()));
}

#[test]
fn a_pretraining_checkpoint_has_heads_too_many_and_may_lack_the_pooler() {
    let folder = copy("bert");
    edit_weights(folder.path(), |it| {
        it.retain(|(name, _)| !name.starts_with("bert.pooler") && !name.starts_with("classifier"));
        it.push(("cls.predictions.bias".into(), Tensor::zeros([64], tch::kind::FLOAT_CPU)));
        it.push(("bert.embeddings.position_ids".into(), Tensor::arange(24, tch::kind::INT64_CPU)));
    });
    let report = report(folder.path(), &fresh());
    assert_eq!(
        report.missing,
        [
            "bert.pooler.dense.weight",
            "bert.pooler.dense.bias",
            "classifier.weight",
            "classifier.bias"
        ]
    );
    assert_eq!(report.surplus, ["bert.embeddings.position_ids", "cls.predictions.bias"]);
}

#[test]
fn another_tasks_head_is_made_anew_and_reported() {
    let options = BuildOptions { head: HeadKind::Classes(5), ..fresh() };
    let reinitialised = build("bert", &options).report.reinitialised;
    let difference = |name: &str, found: &[i64], wanted: &[i64]| ShapeDifference {
        name: name.into(),
        found: found.into(),
        wanted: wanted.into(),
    };
    assert_eq!(
        reinitialised,
        [
            difference("classifier.weight", &[3, 24], &[5, 24]),
            difference("classifier.bias", &[3], &[5])
        ]
    );
    // Of equal shape too, unless it is asked for: the classes are other ones.
    let model = build("bert", &fresh());
    assert_eq!(model.report.reinitialised[0], difference("classifier.weight", &[3, 24], &[3, 24]));
    let initialised: Vec<&str> = model.report.initialised().collect();
    assert_eq!(initialised, ["classifier.weight", "classifier.bias"]);
    assert!(
        model.report.loaded.contains(&"bert.pooler.dense.weight".to_string()),
        "the pooler belongs to the body's training"
    );
}

#[test]
fn half_precision_becomes_single() {
    for kind in [Kind::Half, Kind::BFloat16] {
        let folder = copy("distilbert");
        edit_weights(folder.path(), |it| it.iter_mut().for_each(|it| it.1 = it.1.to_kind(kind)));
        let model = open(folder.path()).build(&finished()).unwrap();
        let whole = build("distilbert", &finished());
        for ((name, a), (_, b)) in model.tensors.iter().zip(&whole.tensors) {
            assert_eq!(a.kind(), Kind::Float);
            assert!(a.equal(&b.to_kind(kind).to_kind(Kind::Float)), "{name}");
        }
    }
}

#[test]
fn shards_are_one_model() {
    let folder = copy("roberta");
    let tensors = read(&folder.path().join("model.safetensors")).unwrap();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let (a, b) = tensors.split_at(tensors.len() / 2);
    let mut weight_map = serde_json::Map::new();
    for (shard, tensors) in
        [("model-00001-of-00002.safetensors", a), ("model-00002-of-00002.safetensors", b)]
    {
        save(tensors, &folder.path().join(shard)).unwrap();
        weight_map.extend(tensors.iter().map(|it| (it.0.clone(), json!(shard))));
    }
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, json!({"metadata": {"total_size": 1}, "weight_map": weight_map}).to_string())
        .unwrap();

    let checkpoint = open(folder.path());
    assert_eq!(checkpoint.weights_files().len(), 2);
    let (sharded, whole) = (checkpoint.build(&finished()).unwrap(), build("roberta", &finished()));
    assert!(sharded.tensors.iter().zip(&whole.tensors).all(|(a, b)| a.0 == b.0 && a.1.equal(&b.1)));

    weight_map.insert("classifier.more".into(), json!("model-00001-of-00002.safetensors"));
    fs::write(&index, json!({"weight_map": weight_map}).to_string()).unwrap();
    let lost = "DIR/model.safetensors.index.json: classifier.more should be in model-00001-of-00002.safetensors, but is not; fetch the folder again";
    refused(&folder, &finished(), lost);
    weight_map.insert("classifier.more".into(), json!("../outside.safetensors"));
    fs::write(&index, json!({"weight_map": weight_map}).to_string()).unwrap();
    let outside = "DIR/model.safetensors.index.json: weight_map is `../outside.safetensors`, but must be the name of a file beside it";
    refused(&folder, &finished(), outside);
    fs::write(&index, json!({"weight_map": {"w": "model-00003-of-00002.safetensors"}}).to_string())
        .unwrap();
    refused(
        &folder,
        &finished(),
        "reading DIR/model-00003-of-00002.safetensors: No such file or directory (os error 2)",
    );
}

#[test]
fn what_the_body_lacks_is_named() {
    let folder = copy("bert");
    edit_weights(folder.path(), |it| {
        it.retain(|it| !it.0.contains(".layer.1.attention.output.dense."))
    });
    let names = "bert.encoder.layer.1.attention.output.dense.weight, bert.encoder.layer.1.attention.output.dense.bias";
    refused(&folder, &fresh(), &format!("DIR lacks 2 of the model's tensors: {names}"));
    // A config that asks for more than there is.
    let folder = copy("distilbert");
    edit_config(folder.path(), |it| it["n_layers"] = json!(3));
    let built = open(folder.path()).build(&fresh()).err().unwrap().to_string();
    assert!(
        built.contains(
            "lacks 16 of the model's tensors: distilbert.transformer.layer.2.attention.q_lin.weight"
        ),
        "{built}"
    );
    assert!(built.ends_with("and 8 more"), "{built}");
}

#[test]
fn shapes_that_differ_are_named_with_both() {
    let folder = copy("bert");
    edit_config(folder.path(), |it| it["vocab_size"] = json!(65));
    let difference =
        "bert.embeddings.word_embeddings.weight: checkpoint has [64, 24], model wants [65, 24]";
    refused(&folder, &fresh(), &format!("DIR: the weights do not fit the config: {difference}"));
}

#[test]
fn a_finished_model_must_be_whole() {
    let folder = copy("bert");
    edit_config(folder.path(), |it| it["id2label"]["3"] = json!("one more"));
    let differences = "classifier.weight: checkpoint has [3, 24], model wants [4, 24], classifier.bias: checkpoint has [3], model wants [4]";
    refused(
        &folder,
        &finished(),
        &format!("DIR: the weights do not fit the config: {differences}"),
    );
    edit_config(folder.path(), |it| {
        let _ = it["id2label"].as_object_mut().unwrap().remove("3");
    });
    edit_weights(folder.path(), |it| it.retain(|it| it.0 != "classifier.bias"));
    refused(&folder, &finished(), "DIR lacks 1 of the model's tensors: classifier.bias");
}

#[test]
fn a_folder_that_is_no_model_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    refused(
        &folder,
        &fresh(),
        "DIR has no config.json, so it is no model folder of Hugging Face's kind",
    );
    let config = folder.path().join("config.json");
    fs::write(&config, "{").unwrap();
    refused(
        &folder,
        &fresh(),
        "DIR/config.json is not JSON as it should be: EOF while parsing an object at line 1 column 1",
    );
    fs::write(&config, "{}").unwrap();
    let known = |found: &str| {
        format!(
            "DIR/config.json: model_type is {found}, but must be one of bert, roberta, xlm-roberta, distilbert, "
        )
    };
    let message =
        |folder: &TempDir| finetuned_models::open(folder.path()).err().unwrap().to_string();
    let message =
        |folder: &TempDir| message(folder).replace(&folder.path().display().to_string(), "DIR");
    assert!(message(&folder).starts_with(&known("absent")));
    fs::write(&config, r#"{"model_type": "mamba"}"#).unwrap();
    assert!(message(&folder).starts_with(&known("`mamba`")));
    fs::write(&config, r#"{"model_type": "bert"}"#).unwrap();
    refused(
        &folder,
        &fresh(),
        "DIR holds no model.safetensors and no model.safetensors.index.json",
    );
    fs::write(folder.path().join("pytorch_model.bin"), "PK").unwrap();
    let err = finetuned_models::open(folder.path()).err().unwrap().to_string();
    assert!(
        err.contains("has its weights in pytorch_model.bin only")
            && err.contains("safe_serialization=True"),
        "{err}"
    );
}

#[test]
fn a_config_that_no_model_can_have_is_refused() {
    #[track_caller]
    fn check(key: &str, value: Value, message: &str) {
        let folder = copy("bert");
        edit_config(folder.path(), |it| it[key] = value);
        refused(&folder, &fresh(), &format!("DIR/config.json{message}"));
    }
    check(
        "num_attention_heads",
        json!(5),
        ": the number of heads is 5, but must be a divisor of the hidden size 24",
    );
    check(
        "num_attention_heads",
        json!(0),
        ": the number of heads is 0, but must be a positive number of 31 bits",
    );
    check(
        "num_hidden_layers",
        json!(1_000_000),
        ": the number of layers is 1000000, but must be at most 512",
    );
    check(
        "hidden_size",
        json!(-3),
        ": the hidden size is -3, but must be a positive number of 31 bits",
    );
    check(
        "hidden_size",
        json!("wide"),
        " is not JSON as it should be: invalid type: string \"wide\", expected i64",
    );
    check(
        "position_embedding_type",
        json!("relative_key"),
        ": position_embedding_type is relative_key, but must be absolute, the only one that is built",
    );
    check(
        "pad_token_id",
        json!(64),
        ": pad_token_id is 64, but must be below the vocabulary's size 64",
    );
    check(
        "hidden_dropout_prob",
        json!(1.5),
        ": the dropout is 1.5, but must be at least 0 and below 1",
    );
    let known = "gelu, gelu_python, gelu_new, gelu_pytorch_tanh, relu, silu, swish";
    check(
        "hidden_act",
        json!("snake"),
        &format!(": the activation is snake, but must be one of {known}"),
    );
}

#[test]
fn damaged_weights_are_refused_with_the_file() {
    #[track_caller]
    fn check(spoil: impl FnOnce(&mut Vec<u8>), message: &str) {
        let folder = copy("bert");
        let path = folder.path().join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        spoil(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let err = finetuned_models::open(folder.path()).err().expect("a refusal").to_string();
        let err = err.replace(&path.display().to_string(), "FILE");
        assert!(err.starts_with(message), "{err}");
    }
    /// Replaces text in the header, of equal length.
    fn header(bytes: &mut [u8], from: &str, to: &str) {
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|it| it == from.as_bytes()).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    check(|it| it.clear(), "FILE is damaged: header too small");
    check(|it| it.truncate(7), "FILE is damaged: header too small");
    check(|it| it.truncate(100), "FILE is damaged: invalid header length");
    check(
        |it| it.truncate(54_000),
        "FILE is damaged: it has 54000 bytes, but its header speaks of 54812; fetch it again",
    );
    check(
        |it| it.extend([0; 3]),
        "FILE is damaged: it has 54815 bytes, but its header speaks of 54812; fetch it again",
    );
    check(|it| it[..8].fill(0xff), "FILE is damaged: header too large");
    check(|it| it[20] = 0xff, "FILE is damaged: invalid JSON in header");
    check(
        |it| header(it, "\"data_offsets\":[0,", "\"data_offsets\":[4,"),
        "FILE is damaged: invalid JSON in header: invalid offset for tensor",
    );
    check(
        |it| header(it, "\"shape\":[24,24]", "\"shape\":[24,23]"),
        "FILE is damaged: invalid JSON in header: invalid shape, data type, or offset",
    );
    check(
        |it| header(it, "\"shape\":[24,24]", "\"shape\":[9e9,9]"),
        "FILE is damaged: invalid JSON in header",
    );
}

#[test]
fn weights_of_no_use_are_refused() {
    let folder = copy("bert");
    edit_weights(folder.path(), |it| {
        it.iter_mut()
            .filter(|it| it.0 == "bert.embeddings.LayerNorm.bias")
            .for_each(|it| it.1 = it.1.to_kind(Kind::Int64))
    });
    let message = "DIR/model.safetensors: bert.embeddings.LayerNorm.bias is of type I64; only F32, F16 and BF16 can be weights";
    refused(&folder, &fresh(), message);
    let folder = copy("bert");
    edit_weights(folder.path(), |it| {
        it.push(("bert.embeddings.LayerNorm.gamma".into(), Tensor::from(1.0f32)))
    });
    let names = "bert.embeddings.LayerNorm.gamma and as bert.embeddings.LayerNorm.weight";
    refused(
        &folder,
        &fresh(),
        &format!("DIR: bert.embeddings.LayerNorm.weight stands in it twice, as {names}"),
    );
}

#[test]
fn inputs_that_do_not_fit_are_errors() {
    for family in FAMILIES {
        let mut model = build(family, &finished());
        model.model.set_trainable(&all_names(&model)).unwrap();
        let (input, _) = input(family);
        let pass = Pass::training(0, 1, 0);
        let beyond = input.after(0, &input.xs + 1000);
        assert!(model.model.features(&beyond, &pass).is_err(), "{family}");
        let long = Input::tokens(input.xs.repeat([9]), vec![9 * input.xs.size()[0]]);
        assert!(model.model.features(&long, &pass).is_err(), "{family}");
        assert!(
            model
                .model
                .head(&input.after(3, Tensor::zeros([2, 7], tch::kind::FLOAT_CPU)), &pass)
                .is_err(),
            "{family}"
        );
        assert!(model.model.features(&input, &pass).is_ok(), "{family}");
    }
}
