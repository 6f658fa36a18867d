//! Tokenizers as Hugging Face's files have them, and what llama.cpp is to know of each.

use super::*;
use serde_json::json;

const DIGITS: &str = r"\p{N}{1,3}";

fn definition(pre_tokenizer: Value, normalizer: Value, ignore_merges: bool) -> Definition {
    let model = json!({
        "type": "BPE", "vocab": { "a": 0, "b": 1, "ab": 2 }, "merges": [["a", "b"]],
        "ignore_merges": ignore_merges, "unk_token": null, "byte_fallback": false,
    });
    let whole = json!({ "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "model": model });
    serde_json::from_value(whole).unwrap()
}

fn bytes(use_regex: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex })
}

fn sequence(first: Value, use_regex: bool) -> Value {
    json!({ "type": "Sequence", "pretokenizers": [first, bytes(use_regex)] })
}

/// Llama 3's, or with other numbers.
fn split(digits: &str) -> Value {
    let llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    json!({
        "type": "Split", "pattern": { "Regex": llama3.replace(DIGITS, digits) },
        "behavior": "Isolated", "invert": false,
    })
}

#[test]
fn ways_to_split_have_llama_cpp_s_names() {
    let digits = json!({ "type": "Digits", "individual_digits": true });
    let nfc = json!({ "type": "NFC" });
    for (pre_tokenizer, normalizer, ignores, name) in [
        (bytes(true), Value::Null, false, "gpt-2"),
        (sequence(digits.clone(), true), Value::Null, false, "smollm"),
        (sequence(split(DIGITS), false), Value::Null, true, "llama-bpe"),
        (sequence(split(DIGITS), false), Value::Null, false, "dbrx"),
        (sequence(split(r"\p{N}"), false), nfc.clone(), false, "qwen2"),
    ] {
        let found = byte_level::name(&definition(pre_tokenizer, normalizer, ignores));
        assert_eq!(found.as_deref(), Ok(name));
    }
    let mut spaced = bytes(true);
    spaced["add_prefix_space"] = true.into();
    for (pre_tokenizer, normalizer, ignores, part) in [
        (spaced, Value::Null, false, "its pre_tokenizer {"),
        (sequence(split(r"\p{N}{1,2}"), false), Value::Null, false, "its pre_tokenizer {"),
        (sequence(digits, false), Value::Null, false, "its pre_tokenizer {"),
        (Value::Null, Value::Null, false, "its pre_tokenizer null"),
        (bytes(true), nfc, false, "its normalizer"),
        (bytes(true), Value::Null, true, "ignore_merges"),
    ] {
        let refused = byte_level::name(&definition(pre_tokenizer, normalizer, ignores));
        assert!(refused.as_ref().is_err_and(|it| it.contains(part)), "{refused:?}");
    }
}

#[test]
fn rows_without_a_token_are_unused_and_special_tokens_are_known() {
    let text = json!({
        "version": "1.0",
        "added_tokens": [
            { "id": 3, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true },
            { "id": 4, "content": "<tool>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false },
        ],
        "pre_tokenizer": bytes(true),
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "<end>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "<end>": { "id": "<end>", "ids": [3], "tokens": ["<end>"] } },
        },
        "model": { "type": "BPE", "vocab": { "a": 0, "b": 1, "ab": 2 }, "merges": ["a b"] },
    })
    .to_string();
    let tokenizer = Tokenizer::from_bytes(text.as_bytes()).unwrap();
    let definition: Definition = serde_json::from_str(&text).unwrap();
    let tokens = Tokens::of(&tokenizer, &definition, 6).unwrap();
    assert_eq!(tokens.texts, ["a", "b", "ab", "<end>", "<tool>", "[PAD5]"]);
    assert_eq!(tokens.kinds, [NORMAL, NORMAL, NORMAL, CONTROL, USER_DEFINED, UNUSED]);
    let few = Tokens::of(&tokenizer, &definition, 4).err().unwrap();
    assert!(few.contains("5 tokens"), "{few}");
    let values: BTreeMap<_, _> = definition.kind(&tokens).unwrap().into_iter().collect();
    assert_eq!(values["tokenizer.ggml.pre"], GgufValue::Text("gpt-2".into()));
    assert_eq!(values["tokenizer.ggml.merges"], GgufValue::Texts(vec!["a b".into()]));
    let flags = |named: &[(&'static str, u32)]| added(&tokenizer, &named.iter().copied().collect());
    let [bos, eos] = [true, false].map(GgufValue::Bool);
    let expected = [
        ("tokenizer.ggml.add_bos_token".into(), bos),
        ("tokenizer.ggml.add_eos_token".into(), eos),
    ];
    assert_eq!(flags(&[("bos", 3)]).unwrap(), expected);
    assert!(flags(&[("eos", 3)]).unwrap_err().contains("bos_token"));
}

#[test]
fn of_a_text_s_ends_the_tokenizer_s_is_first_and_the_turn_s_has_a_name_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, value: Value| {
        std::fs::write(home.path().join(name), value.to_string()).unwrap();
    };
    write("tokenizer_config.json", json!({ "eos_token": { "content": "b" }, "unk_token": "a" }));
    write("generation_config.json", json!({ "eos_token_id": [2, 1] }));
    let text = json!({ "version": "1.0", "model": { "type": "BPE", "vocab": { "a": 0, "b": 1, "ab": 2 }, "merges": [["a", "b"]] } });
    let tokenizer = Tokenizer::from_bytes(text.to_string().as_bytes()).unwrap();
    let config = json!({ "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": null });
    let named = named(home.path(), &config, &tokenizer).unwrap();
    assert_eq!(named, [("bos", 2), ("eos", 1), ("eot", 2), ("unknown", 0)].into());
}

#[test]
fn merges_of_sentencepiece_become_scores() {
    let tokens = |texts: &[&str]| Tokens {
        texts: texts.iter().map(|it| it.to_string()).collect(),
        kinds: texts.iter().map(|it| if is_byte(it) { BYTE } else { NORMAL }).collect(),
    };
    let all = tokens(&["<0x0A>", "a", "b", "c", "ab", "bc", "abc"]);
    let merges = [("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc")];
    let scores = sentencepiece::scores(&all, &merges).unwrap();
    assert_eq!(scores, [0.0, -3.0, -3.0, -3.0, 0.0, -1.0, -2.0]);
    let missing = sentencepiece::scores(&all, &merges[..3]);
    assert!(missing.is_err(), "llama.cpp would join a and bc");
    let apart = [merges[0], merges[2], merges[1], merges[3]];
    assert!(sentencepiece::scores(&all, &apart).is_err(), "abc has no one score");

    let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
    let prepend = json!({ "type": "Prepend", "prepend": "▁" });
    let legacy = json!({ "type": "Sequence", "normalizers": [prepend, replace] });
    let scheme = |it: &str| json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": it, "split": false });
    assert_eq!(sentencepiece::adds_space(&legacy, &Value::Null), Ok(true));
    assert_eq!(sentencepiece::adds_space(&replace, &Value::Null), Ok(false));
    assert_eq!(sentencepiece::adds_space(&Value::Null, &scheme("never")), Ok(false));
    for other in ["always", "first"] {
        let refused = sentencepiece::adds_space(&Value::Null, &scheme(other)).unwrap_err();
        assert!(refused.contains(other), "{refused}");
    }
}

#[test]
fn falling_back_on_bytes_wants_all_of_them_and_plain_added_tokens() {
    let all: Vec<String> = (0..256).map(|it| format!("<0x{it:02X}>")).collect();
    let tokens = |few: usize| Tokens { texts: all[..few].to_vec(), kinds: vec![BYTE; few] };
    let definition = |normalized: bool, ignores: bool| {
        let added = json!([{ "content": "</s>", "normalized": normalized }]);
        let model = json!({ "type": "BPE", "vocab": {}, "merges": [], "ignore_merges": ignores });
        let whole = json!({ "added_tokens": added, "model": model });
        serde_json::from_value::<Definition>(whole).unwrap()
    };
    assert_eq!(definition(false, false).falls_back(&tokens(256), true), Ok(()));
    assert_eq!(definition(true, false).falls_back(&tokens(256), false), Ok(()));
    for (normalized, ignores, few, part) in [
        (true, false, 256, "`</s>` is normalized"),
        (false, true, 256, "ignore_merges"),
        (false, false, 255, "255 tokens of 256"),
    ] {
        let refused = definition(normalized, ignores).falls_back(&tokens(few), true);
        assert!(refused.as_ref().is_err_and(|it| it.contains(part)), "{refused:?}");
    }
}
