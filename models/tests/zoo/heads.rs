//! Heads over tokens: the numbers are those of transformers, tied weights are one tensor and are
//! saved once, and other kinds of numbers than fp32 can be computed in. Weights are a function of
//! the tensors' names, as in `data/make_heads.py`, so only results are stored.

use crate::image_parity::apart;
use crate::images::weight;
use crate::{FAMILIES, all_names, build, data, distance, finished, fresh, headless, input, open};
use finetuned_models::{BuildOptions, Built, HeadKind, Input, Pass, Rows, read, save};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tch::{Kind, Reduction, Tensor};
use tempfile::TempDir;

/// About a hundred roundings of fp32 at the size of these logits and gradients.
const EXACT: f64 = 1e-5;

#[derive(Deserialize)]
struct Expected {
    config: Value,
    ids: Vec<i64>,
    lengths: Vec<i64>,
    token_types: Option<Vec<i64>>,
    labels: Vec<i64>,
    loss: f64,
    logits: Vec<f64>,
    tensors: BTreeMap<String, Stored>,
}

#[derive(Deserialize)]
struct Stored {
    shape: Vec<i64>,
    /// None: nothing is computed from it.
    gradient: Option<Vec<f64>>,
}

fn expected(case: &str) -> Expected {
    let text = fs::read(data("heads").join(format!("{case}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The model's folder, with the weights.
fn folder(expected: &Expected) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), expected.config.to_string()).unwrap();
    let tensors: Vec<(String, Tensor)> =
        expected.tensors.iter().map(|(name, it)| (name.clone(), weight(name, &it.shape))).collect();
    save(&tensors, &folder.path().join("model.safetensors")).unwrap();
    folder
}

fn batch(expected: &Expected) -> Input {
    let tokens = Input::tokens(Tensor::from_slice(&expected.ids), expected.lengths.clone());
    match &expected.token_types {
        Some(types) => tokens.with_token_types(Tensor::from_slice(types)),
        None => tokens,
    }
}

/// Logits, loss and gradients of one pass, compared.
fn check(case: &str) {
    let expected = expected(case);
    let mut built = open(folder(&expected).path()).build(&finished()).unwrap();
    assert!(built.report.surplus.is_empty() && built.report.missing.is_empty(), "{case}");
    built.model.set_trainable(&all_names(&built)).unwrap();
    let logits = built.model.logits(&batch(&expected), &Pass::training(0, 1, 0)).unwrap();
    assert!(apart(&logits, &expected.logits) < EXACT, "{case}");
    let labels = Tensor::from_slice(&expected.labels);
    let loss = logits.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, -100, 0.0);
    assert!((loss.double_value(&[]) - expected.loss).abs() < EXACT, "{case}");
    loss.backward();
    assert_eq!(built.tensors.len(), expected.tensors.len(), "{case}");
    for (name, tensor) in &built.tensors {
        let gradient = tensor.grad();
        let Some(theirs) = &expected.tensors[name].gradient else {
            assert!(!gradient.defined(), "{case}, {name}");
            continue;
        };
        let off = apart(&gradient, theirs);
        assert!(off < EXACT, "{case}, {name}: {off}");
    }
}

#[test]
fn masked_language_models_are_those_of_transformers() {
    for case in [
        "bert_vocabulary",
        "bert_vocabulary_untied",
        "roberta_vocabulary",
        "distilbert_vocabulary",
        "xlm_roberta_vocabulary",
        "electra_vocabulary",
        "electra_vocabulary_untied",
        "modernbert_vocabulary",
        "modernbert_vocabulary_untied",
        "mpnet_vocabulary",
        "deberta_vocabulary",
        "deberta_vocabulary_pretrained",
    ] {
        check(case);
    }
}

#[test]
fn classes_of_pairs_are_those_of_transformers() {
    check("bert_pairs");
}

#[test]
fn classes_of_the_mean_of_tokens_are_those_of_transformers() {
    check("modernbert_mean");
}

#[test]
fn tags_are_those_of_transformers() {
    for family in FAMILIES {
        check(&format!("{family}_tags"));
    }
}

#[test]
fn a_tagger_is_made_from_a_body_saved_and_opened_again() {
    let tags: Vec<String> = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"].map(String::from).to_vec();
    let head = HeadKind::PerToken(5);
    for (family, class) in [
        ("bert", "BertForTokenClassification"),
        ("roberta", "RobertaForTokenClassification"),
        ("distilbert", "DistilBertForTokenClassification"),
        ("xlm_roberta", "XLMRobertaForTokenClassification"),
        ("electra", "ElectraForTokenClassification"),
        ("modernbert", "ModernBertForTokenClassification"),
        ("mpnet", "MPNetForTokenClassification"),
        ("deberta", "DebertaV2ForTokenClassification"),
    ] {
        let built = build(family, &BuildOptions { head, ..finished() });
        // What stands below ModernBERT's was pretrained, and bends.
        let pretrained: &[&str] =
            if family == "modernbert" { &["head.dense.weight", "head.norm.weight"] } else { &[] };
        let head_names = [pretrained, &["classifier.weight", "classifier.bias"]].concat();
        assert_eq!(built.model.parts().head, head_names);
        assert!(pretrained.iter().all(|it| built.report.loaded.contains(&it.to_string())));
        assert!(built.report.loaded.iter().all(|it| !it.contains("pooler")), "{family}");
        let (input, _) = input(family);
        let logits = |it: &Built| it.model.logits(&input, &Pass::evaluation()).unwrap();
        assert_eq!(logits(&built).size(), [input.lengths.iter().sum::<i64>(), 5]);
        let config = open(&data(family)).export_config(head, &tags, None);
        assert_eq!(config["architectures"][0], class);
        assert_eq!(config["id2label"]["3"], "B-LOC");
        assert!(config.get("problem_type").is_none(), "{family}");
        let again = again(&data(family), head, &tags, &built);
        assert!(logits(&again).equal(&logits(&built)), "{family}");
        // A linear map learnt elsewhere can be the head.
        let weight = Tensor::randn([5, 24], tch::kind::FLOAT_CPU);
        let set = built.model.set_head(&weight, &weight.select(1, 0)).unwrap();
        assert_eq!(set, pretrained.is_empty(), "{family}");
    }
}

#[test]
fn token_types_are_those_of_transformers() {
    check("bert_token_types");
    let (input, _) = input("bert");
    let model = build("bert", &finished()).model;
    let logits = |it: &Input| model.logits(it, &Pass::evaluation()).unwrap();
    let zeros = input.shallow_clone().with_token_types(input.xs.zeros_like());
    assert!(logits(&zeros).equal(&logits(&input)), "none means 0");
    let ones = input.shallow_clone().with_token_types(input.xs.ones_like());
    assert!(1e-3 < distance(&logits(&ones), &logits(&input)));
    let few = input.shallow_clone().with_token_types(Tensor::from_slice(&[0_i64]));
    assert!(model.logits(&few, &Pass::evaluation()).is_err());
    let beyond = input.shallow_clone().with_token_types(input.xs.full_like(2));
    assert!(model.logits(&beyond, &Pass::evaluation()).is_err());
    let types = |family: &str| open(&data(family)).token_types();
    assert_eq!(FAMILIES.map(types), [2, 1, 1, 1, 2, 1, 1, 1]);
}

/// Saved, and opened again as the config says.
fn again(base: &Path, head: HeadKind, outputs: &[String], built: &Built) -> Built {
    let folder = tempfile::tempdir().unwrap();
    save(&built.tensors, &folder.path().join("model.safetensors")).unwrap();
    let config = open(base).export_config(head, outputs, None);
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    open(folder.path()).build(&finished()).unwrap()
}

#[test]
fn tied_weights_are_one_tensor_and_stand_in_a_file_once() {
    let owner = "bert.embeddings.word_embeddings.weight";
    let (weight, bias) = ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias");
    let expected = expected("bert_vocabulary");
    let base = folder(&expected);
    // As old checkpoints have it: the same numbers under both names.
    let path = base.path().join("model.safetensors");
    let mut tensors = read(&path).unwrap();
    let table = tensors.iter().find(|it| it.0 == owner).unwrap().1.shallow_clone();
    tensors.push((weight.into(), table));
    save(&tensors, &path).unwrap();

    let mut built = open(base.path()).build(&finished()).unwrap();
    assert!(built.report.surplus.is_empty());
    let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
    assert_eq!(built.model.parts().tied, [pair(owner, weight), pair("cls.predictions.bias", bias)]);
    assert!(built.tensors.iter().all(|it| it.0 != weight && it.0 != bias));
    // What moves the table moves the head.
    built.model.set_trainable(&Default::default()).unwrap();
    let logits = |it: &Built| it.model.logits(&batch(&expected), &Pass::evaluation()).unwrap();
    let before = logits(&built);
    let table = built.tensors.iter().find(|it| it.0 == owner).unwrap().1.shallow_clone();
    let _ = table.select(0, 5).fill_(0.0);
    let bias = &built.tensors.iter().find(|it| it.0 == "cls.predictions.bias").unwrap().1;
    let column = logits(&built).select(1, 5);
    assert!(column.equal(&bias.get(5).expand_as(&column)));
    assert!(!logits(&built).equal(&before));
    let again = again(base.path(), HeadKind::Vocabulary, &[], &built);
    assert!(logits(&again).equal(&logits(&built)));
}

#[test]
fn a_pretrained_vocabulary_head_is_taken_where_it_is_there() {
    let expected = expected("roberta_vocabulary");
    let base = folder(&expected);
    let options = BuildOptions { head: HeadKind::Vocabulary, ..finished() };
    let report = open(base.path()).build(&options).unwrap().report;
    assert!(report.missing.is_empty() && report.reinitialised.is_empty());
    let report = build("roberta", &options).report;
    assert_eq!(
        report.missing,
        [
            "lm_head.dense.weight",
            "lm_head.dense.bias",
            "lm_head.layer_norm.weight",
            "lm_head.layer_norm.bias",
            "lm_head.bias"
        ]
    );
    assert_eq!(report.surplus.len(), 4, "the head for texts");
}

#[test]
fn a_model_without_a_head_gives_features() {
    let (input, _) = input("bert");
    let every = build("bert", &headless());
    let first = BuildOptions { head: HeadKind::None(Rows::PerExample), ..finished() };
    let first = build("bert", &first);
    let pass = Pass::evaluation();
    let rows = |it: &Built| it.model.logits(&input, &pass).unwrap();
    let tokens: i64 = input.lengths.iter().sum();
    assert_eq!(rows(&every).size(), [tokens, 24]);
    assert_eq!(rows(&first).size(), [input.lengths.len() as i64, 24]);
    assert!(first.model.parts().head.is_empty());
    assert!(!first.model.set_head(&Tensor::new(), &Tensor::new()).unwrap());
    let config = open(&data("bert")).export_config(HeadKind::None(Rows::PerExample), &[], None);
    assert_eq!(config["architectures"][0], "BertModel");
}

#[test]
fn what_stages_give_is_known_without_running_texts_and_is_true() {
    let both = FAMILIES.into_iter().flat_map(|it| [(it, finished()), (it, headless())]);
    for (family, options) in both {
        let (input, _) = input(family);
        let model = build(family, &options).model;
        let outline = model.outline([0, 0]).unwrap();
        assert_eq!(outline.len(), model.stages() + 1);
        for (stage, outline) in outline.iter().enumerate() {
            let xs = model.run(&input, stage, &Pass::evaluation()).unwrap().xs;
            let rows = match outline.rows {
                Rows::PerExample => input.lengths.len() as i64,
                Rows::PerToken => input.lengths.iter().sum(),
            };
            assert_eq!(rows as u64 * outline.numbers(), xs.numel() as u64, "{family}, {stage}");
            assert_eq!(outline.worth_caching, 1 < stage);
        }
    }
}

#[test]
fn linear_maps_of_the_body_are_known_by_name() {
    for (family, name, count) in [
        ("bert", "bert.encoder.layer.1.attention.self.query", 12),
        ("roberta", "roberta.encoder.layer.0.intermediate.dense", 12),
        ("distilbert", "distilbert.transformer.layer.1.ffn.lin2", 12),
        ("electra", "electra.embeddings_project", 13),
        ("mpnet", "mpnet.encoder.layer.0.attention.attn.o", 12),
        ("deberta", "deberta.encoder.layer.1.attention.self.key_proj", 12),
    ] {
        let built = build(family, &finished());
        let linears = built.model.linears();
        assert_eq!(linears.len(), count, "{family}");
        let slot = &linears[name];
        let own = |end: &str| {
            let name = format!("{name}.{end}");
            &built.tensors.iter().find(|it| it.0 == name).unwrap().1
        };
        assert_eq!(slot.weight.data_ptr(), own("weight").data_ptr(), "{family}");
        assert_eq!(slot.bias.as_ref().unwrap().data_ptr(), own("bias").data_ptr(), "{family}");
        assert!(!built.model.parts().head.iter().any(|it| linears.contains_key(it)));
    }
    let modernbert = build("modernbert", &finished());
    let maps = ["attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"];
    let names: BTreeSet<String> = (0..2)
        .flat_map(|layer| maps.iter().map(move |it| format!("model.layers.{layer}.{it}")))
        .collect();
    assert!(modernbert.model.linears().keys().eq(&names));
}

#[test]
fn a_model_in_bf16_computes_nearly_the_same() {
    /// bf16 has eight bits: two layers of it are off by some hundredths.
    const ROUGH: f64 = 0.1;
    for family in crate::FAMILIES {
        let (input, _) = input(family);
        let logits = |dtype| {
            let options = BuildOptions { dtype, ..finished() };
            let built = build(family, &options);
            assert!(built.tensors.iter().all(|it| it.1.kind() == dtype), "{family}");
            let logits = built.model.logits(&input, &Pass::evaluation()).unwrap();
            assert_eq!(logits.kind(), dtype);
            logits.to_kind(Kind::Float)
        };
        let exact = logits(Kind::Float);
        let scale = exact.abs().max().double_value(&[]);
        let off = distance(&logits(Kind::BFloat16), &exact) / scale;
        assert!(0.0 < off && off < ROUGH, "{family}: {off}");
    }
    let options = BuildOptions { dtype: Kind::BFloat16, ..fresh() };
    let built = open(&data("vit").join("timm_vit")).build(&options).unwrap();
    let pixels = Tensor::zeros([1, 3, 12, 12], (Kind::BFloat16, tch::Device::Cpu));
    let logits = built.model.logits(&Input::pixels(pixels), &Pass::evaluation()).unwrap();
    assert_eq!((logits.kind(), logits.size()), (Kind::BFloat16, vec![1, 3]));
}
