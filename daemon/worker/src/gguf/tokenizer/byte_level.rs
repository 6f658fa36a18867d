//! How a tokenizer of bytes splits texts before it merges, by the names that llama.cpp has for it.
//! Recognised by the definition in `tokenizer.json`, part by part: llama.cpp's converter knows
//! tokenizers by what they make of one text, which only says something of those that it has seen.

use super::{Definition, shown};
use serde_json::{Value, json};

/// Llama 3's expression for what stays together; Qwen2's has numbers of one digit.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// # Errors
/// A way to split that llama.cpp has no name for, or none that is known here.
pub(super) fn name(of: &Definition) -> Result<&'static str, String> {
    let parts: Vec<&Value> = match of.pre_tokenizer["pretokenizers"].as_array() {
        Some(all) => all.iter().collect(),
        None => vec![&of.pre_tokenizer],
    };
    let splits = match parts[..] {
        [bytes] if is_byte_level(bytes, true) => Some("gpt-2"),
        [first, bytes] if is_byte_level(bytes, true) => is_digits(first).then_some("smollm"),
        [first, bytes] if is_byte_level(bytes, false) => [(LLAMA3, "llama-bpe"), (QWEN2, "qwen2")]
            .into_iter()
            .find(|it| is_split(first, it.0))
            .map(|it| it.1),
        _ => None,
    };
    // Qwen's own brings letters and their accents together first, which llama.cpp leaves out.
    let normalizes = match splits {
        Some("qwen2") => of.normalizer["type"] != "NFC" && !of.normalizer.is_null(),
        _ => !of.normalizer.is_null(),
    };
    match (splits, of.model.ignore_merges) {
        _ if normalizes => {
            let part = shown(&of.normalizer);
            Err(format!("its normalizer {part} is none that llama.cpp is known to have"))
        }
        (Some("llama-bpe"), false) => Ok("dbrx"), // the same, without words that need no merge
        (Some("llama-bpe"), true) => Ok("llama-bpe"),
        (Some(_), true) => {
            Err("its ignore_merges is true, which llama.cpp has of Llama 3 only".into())
        }
        (Some(name), false) => Ok(name),
        (None, _) => Err(format!(
            "its pre_tokenizer {} is none of those that llama.cpp is known to have: gpt-2, smollm, llama-bpe, dbrx, qwen2",
            shown(&of.pre_tokenizer)
        )),
    }
}

/// `splits`: by GPT-2's expression, which older files do not say.
fn is_byte_level(part: &Value, splits: bool) -> bool {
    part["type"] == "ByteLevel"
        && part["add_prefix_space"] == json!(false)
        && part["use_regex"].as_bool().unwrap_or(true) == splits
}

fn is_digits(part: &Value) -> bool {
    part["type"] == "Digits" && part["individual_digits"] == json!(true)
}

fn is_split(part: &Value, by: &str) -> bool {
    part["type"] == "Split"
        && part["pattern"]["Regex"] == by
        && part["behavior"] == "Isolated"
        && part["invert"] == json!(false)
}
