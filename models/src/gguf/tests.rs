//! Against what the `gguf` package and llama.cpp's converter make: tests/data/make_gguf.py.

use super::*;
use crate::checkpoint::{Checkpoint, open};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

fn fixture() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/gguf.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    let byte = |it: usize| u8::from_str_radix(&hex[it..it + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn numbers(of: &Value) -> Tensor {
    let all: Vec<f32> =
        of.as_array().unwrap().iter().map(|it| it.as_f64().unwrap() as f32).collect();
    Tensor::from_slice(&all)
}

#[test]
fn numbers_become_the_reference_s_bytes() {
    let fixture = fixture();
    let xs = numbers(&fixture["numbers"]).view([-1, 32]);
    assert_eq!(GgufType::F16.encode(&xs).unwrap(), bytes(&fixture["f16"]));
    let q8_0 = GgufType::Q8_0.encode(&xs).unwrap();
    assert_eq!(q8_0, bytes(&fixture["q8_0"]));
    let back = GgufType::Q8_0.decode(&q8_0, &xs.size()).unwrap();
    assert_eq!(back, numbers(&fixture["q8_0_back"]).view_as(&xs));
    for kind in [GgufType::F32, GgufType::F16, GgufType::Q8_0] {
        let encoded = kind.encode(&xs).unwrap();
        assert_eq!(encoded.len() as u64, kind.bytes(&xs.size()), "{kind:?}");
        let back = kind.decode(&encoded, &xs.size()).unwrap();
        assert!(kind.holds(&back, &xs).unwrap(), "{kind:?}");
        assert!(!kind.holds(&(&back * 1.02), &xs).unwrap(), "{kind:?}");
    }
    let beyond = Tensor::from_slice(&[1e6_f32; 32]);
    let infinite = GgufType::F16.decode(&GgufType::F16.encode(&beyond).unwrap(), &[32]).unwrap();
    assert!(!GgufType::F16.holds(&infinite, &beyond).unwrap(), "it is beyond half precision");
    assert_eq!(GgufType::Q8_0.for_width(48), GgufType::F16);
}

#[test]
fn the_rows_of_heads_are_laid_as_the_converter_lays_them() {
    let permuted = &fixture()["permuted"];
    let (rows, heads) = (permuted["rows"].as_i64().unwrap(), permuted["heads"].as_i64().unwrap());
    let order = numbers(&permuted["order"]);
    let xs = Tensor::arange(rows, (Kind::Float, tch::Device::Cpu));
    assert_eq!(Form::Heads(heads).of(&xs).unwrap(), order);
    let wide = xs.view([rows, 1]).expand([rows, 5], false);
    assert_eq!(Form::Heads(heads).of(&wide).unwrap().select(1, 3), order);
}

#[test]
fn the_reference_s_file_is_read_and_written_again() {
    let file = bytes(&fixture()["file"]);
    let header = Header::decode(&mut &file[..]).unwrap();
    assert_eq!(header.values[0], ("general.architecture".into(), GgufValue::Text("llama".into())));
    let kinds: Vec<GgufType> = header.tensors.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [GgufType::F32, GgufType::F16, GgufType::Q8_0]);
    assert_eq!(header.tensors[1].shape, [3, 2]);
    let encoded = header.encode();
    assert_eq!(encoded, file[..encoded.len()]);
    let last = header.offsets()[2] as usize + header.tensors[2].bytes() as usize;
    assert!(encoded.len() + last <= file.len());
    for cut in [0, 3, 30, 100, encoded.len() - 40] {
        assert!(Header::decode(&mut &file[..cut]).is_err(), "{cut}");
    }
}

/// Numbers of a tiny model.
fn config(family: &str) -> Value {
    let class = match family {
        "llama" => "LlamaForCausalLM",
        "mistral" => "MistralForCausalLM",
        "qwen2" => "Qwen2ForCausalLM",
        "qwen3" => "Qwen3ForCausalLM",
        _ => "GPT2LMHeadModel",
    };
    json!({
        "model_type": family, "architectures": [class], "vocab_size": 10, "hidden_size": 32,
        "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 64, "n_embd": 32,
        "n_layer": 2, "n_head": 2, "n_inner": 48, "n_positions": 64, "rope_theta": 500000.0,
        "tie_word_embeddings": false,
    })
}

/// Of a part of the model, its weight and, where it has one, its bias.
fn shapes(family: &str, part: &str) -> (Vec<i64>, Option<Vec<i64>>) {
    let last = part.rsplit('.').next().unwrap();
    let of_qwen2 = |rows: i64| (family == "qwen2").then(|| vec![rows]);
    match last {
        "embed_tokens" | "lm_head" | "wte" => (vec![10, 32], None),
        "wpe" => (vec![64, 32], None),
        "q_proj" => (vec![32, 32], of_qwen2(32)),
        "k_proj" | "v_proj" => (vec![16, 32], of_qwen2(16)),
        "o_proj" => (vec![32, 32], None),
        "gate_proj" | "up_proj" => (vec![48, 32], None),
        "down_proj" => (vec![32, 48], None),
        "q_norm" | "k_norm" => (vec![16], None),
        "c_attn" => (vec![32, 96], Some(vec![96])),
        "c_fc" => (vec![32, 48], Some(vec![48])),
        "c_proj" if part.contains("mlp") => (vec![48, 32], Some(vec![32])),
        "c_proj" => (vec![32, 32], Some(vec![32])),
        _ => (vec![32], (family == "gpt2").then(|| vec![32])),
    }
}

/// A folder of such a model, and what its tensors are called in a GGUF.
fn folder(family: &str, config: &Value) -> (tempfile::TempDir, Vec<(String, String)>) {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("config.json"), config.to_string()).unwrap();
    let names = fixture()["names"][family.replace("mistral", "llama")].clone();
    let (mut tensors, mut pairs) = (Vec::new(), Vec::new());
    for (stored, theirs) in names.as_object().unwrap() {
        let (weight, bias) = shapes(family, stored);
        let layers: &[&str] = if stored.contains(".1.") { &[".0.", ".1."] } else { &[".1."] };
        let parts = [("weight", Some(weight)), ("bias", bias)];
        for (layer, (part, shape)) in layers.iter().flat_map(|it| parts.clone().map(|p| (it, p))) {
            let name = |it: &str| format!("{}.{part}", it.replace(".1.", layer));
            let Some(shape) = shape else { continue };
            tensors.push((name(stored), Tensor::randn(&shape, (Kind::Float, tch::Device::Cpu))));
            pairs.push((name(stored), name(theirs.as_str().unwrap())));
        }
    }
    weights::save(&tensors, &home.path().join("model.safetensors")).unwrap();
    (home, pairs)
}

fn written(model: &Checkpoint, of: GgufType, to: &Path) -> (PathBuf, Header) {
    let path = to.join("a.gguf");
    let more = vec![("tokenizer.ggml.model".into(), GgufValue::Text("gpt2".into()))];
    model.write_gguf(&path, of, more).unwrap();
    let header = Header::decode(&mut File::open(&path).unwrap()).unwrap();
    (path, header)
}

#[test]
fn every_tensor_has_the_name_that_the_converter_gives_it() {
    for family in ["llama", "mistral", "qwen2", "qwen3", "gpt2"] {
        let (home, pairs) = folder(family, &config(family));
        let model = open(home.path()).unwrap();
        let outline = model.outline().unwrap();
        let found: BTreeSet<(String, String)> =
            outline.tensors.iter().filter_map(|it| Some((it.stored()?, it.name.clone()))).collect();
        assert_eq!(found, pairs.into_iter().collect(), "{family}");
        for of in [GgufType::F32, GgufType::F16, GgufType::Q8_0] {
            let (_, header) = written(&model, of, home.path());
            let kind = |name: &str| header.tensors.iter().find(|it| it.name == name).unwrap().kind;
            assert_eq!(kind("output_norm.weight"), GgufType::F32);
            assert_eq!(kind("token_embd.weight"), of);
            let narrow = if of == GgufType::Q8_0 { GgufType::F16 } else { of };
            assert_eq!(kind("blk.1.ffn_down.weight"), narrow, "48 is no multiple of 32");
            if family == "gpt2" {
                assert_eq!(kind("position_embd.weight"), GgufType::F32);
            }
        }
    }
}

#[test]
fn scaled_positions_are_written_as_the_converter_writes_them() {
    let fixture = fixture();
    let mut llama = config("llama");
    llama["head_dim"] = 64.into();
    let scaling = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    });
    llama["rope_scaling"] = scaling.clone();
    let model = open(folder("llama", &llama).0.path()).unwrap();
    let outline = model.outline().unwrap();
    let last = outline.tensors.iter().find(|it| it.name == "rope_freqs.weight").unwrap();
    let Source::Computed(found) = &last.source else { panic!("it is no tensor of the checkpoint") };
    let off = Tensor::from_slice(&found[..]) - numbers(&fixture["rope_freqs"]["factors"]);
    assert!(off.abs().max().double_value(&[]) < 1e-5, "{found:?}");
    let mut qwen = config("qwen2");
    qwen["rope_scaling"] = scaling;
    let refused = open(folder("qwen2", &qwen).0.path()).unwrap().outline().err().unwrap();
    assert!(refused.to_string().contains("llama3"), "{refused}");
    let mut linear = config("llama");
    linear["rope_scaling"] = json!({ "rope_type": "linear", "factor": 2.0 });
    let outline = open(folder("llama", &linear).0.path()).unwrap().outline().unwrap();
    let value = ("llama.rope.scaling.factor".into(), GgufValue::F32(2.0));
    assert!(outline.values.contains(&value), "{:?}", outline.values);
}

#[test]
fn what_llama_cpp_has_not_is_refused() {
    let refused = |family: &str, key: &str, value: Value, part: &str| {
        let mut config = config(family);
        config[key] = value;
        let (home, _) = folder(family, &config);
        let model = open(home.path()).unwrap();
        let err = model.write_gguf(&home.path().join("a"), GgufType::F32, Vec::new()).unwrap_err();
        assert!(err.to_string().contains(part), "{err}");
    };
    refused("llama", "hidden_act", "gelu".into(), "hidden_act");
    refused("gpt2", "activation_function", "relu".into(), "activation_function");
    refused("qwen3", "attention_bias", true.into(), "biases");
    refused("llama", "architectures", json!(["LlamaForSequenceClassification"]), "classes");
    refused("llama", "tie_word_embeddings", true.into(), "no place for its lm_head.weight");
    refused("llama", "attention_bias", true.into(), "lacks");
    let mut windowed = config("mistral");
    windowed["sliding_window"] = 16.into();
    let outline = open(folder("mistral", &windowed).0.path()).unwrap().outline().unwrap();
    let value = ("llama.context_length".into(), GgufValue::U32(16));
    assert!(outline.values.contains(&value), "{:?}", outline.values);
}

#[test]
fn a_file_that_is_not_its_source_is_found_out() {
    let (home, _) = folder("llama", &config("llama"));
    let model = open(home.path()).unwrap();
    let (path, header) = written(&model, GgufType::Q8_0, home.path());
    let whole = fs::read(&path).unwrap();
    let outline = model.outline().unwrap();
    let files = [WeightsFile::open(&home.path().join("model.safetensors")).unwrap()];
    let proven = || prove(&path, &header, &outline.tensors, &files);
    assert!(proven().is_ok());
    for (place, part) in [(50, ""), (header.encode().len() + 40, "token_embd.weight")] {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x40;
        fs::write(&path, &bytes).unwrap();
        let err = proven().unwrap_err().to_string();
        assert!(err.contains(part), "{err}");
    }
}
