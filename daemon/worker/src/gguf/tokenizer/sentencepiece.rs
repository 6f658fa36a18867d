//! Tokenizers of SentencePiece's BPE, whose files of Hugging Face's have merges in an order and
//! llama.cpp scores of tokens. Decides when the two say the same.

use super::{NORMAL, Tokens, shown};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// What SentencePiece writes for a blank.
const BLANK: &str = "\u{2581}";

/// Whether a blank is put before each part of a text between special tokens.
///
/// # Errors
/// Texts are prepared in another way.
pub(super) fn adds_space(normalizer: &Value, pre_tokenizer: &Value) -> Result<bool, String> {
    let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": BLANK });
    let prepend = json!({ "type": "Prepend", "prepend": BLANK });
    let steps = match normalizer["normalizers"].as_array() {
        Some(all) => all.clone(),
        None => vec![normalizer.clone()],
    };
    if pre_tokenizer.is_null() && steps == [prepend, replace.clone()] {
        return Ok(true);
    }
    if pre_tokenizer.is_null() && steps == [replace] {
        return Ok(false);
    }
    let whole = pre_tokenizer["type"] == "Metaspace"
        && pre_tokenizer["replacement"] == BLANK
        && pre_tokenizer["split"] == json!(false);
    match pre_tokenizer["prepend_scheme"].as_str() {
        // The others put none where one stands, or only at the beginning; llama.cpp always does.
        Some("never") if whole && normalizer.is_null() => Ok(false),
        _ => Err(format!(
            "its normalizer {} with its pre_tokenizer {} is no way in which llama.cpp is known to prepare texts",
            shown(normalizer),
            shown(pre_tokenizer)
        )),
    }
}

/// llama.cpp joins first what makes the token with the highest score, whichever two parts make it.
///
/// # Errors
/// The merges are in no order of tokens, or some ways to make a token are missing from them.
pub(super) fn scores(tokens: &Tokens, merges: &[(&str, &str)]) -> Result<Vec<f32>, String> {
    let other =
        || "its merges are not those of a SentencePiece model, which llama.cpp has".to_string();
    let mut ranks: HashMap<String, usize> = HashMap::new();
    let mut last = String::new();
    for (left, right) in merges {
        let token = format!("{left}{right}");
        if token != last {
            let rank = ranks.len();
            if ranks.insert(token.clone(), rank).is_some() {
                return Err(other());
            }
            last = token;
        }
    }
    let normal = || tokens.texts.iter().zip(&tokens.kinds).filter(|it| *it.1 == NORMAL);
    let known: HashSet<&str> = normal().map(|it| it.0.as_str()).collect();
    let merges: HashSet<(&str, &str)> = merges.iter().copied().collect();
    let complete = |token: &&str| {
        let cuts = token.char_indices().skip(1).map(|it| token.split_at(it.0));
        let made = |it: &(&str, &str)| known.contains(it.0) && known.contains(it.1);
        cuts.filter(made).all(|it| merges.contains(&it))
    };
    if !known.iter().all(complete) {
        return Err(other());
    }
    let score = |(text, kind): (&String, &i32)| match (ranks.get(text), *kind) {
        (Some(rank), NORMAL) => -(*rank as f32),
        (None, NORMAL) => -(ranks.len() as f32),
        _ => 0.0,
    };
    Ok(tokens.texts.iter().zip(&tokens.kinds).map(score).collect())
}
