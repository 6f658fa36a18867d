//! What llama.cpp wants to know of a tokenizer, from the files that Hugging Face's libraries have
//! it in. Decides which tokenizers it can be: one that llama.cpp would split texts for in another
//! way than the model has learnt is refused, never guessed.

mod byte_level; // how texts are split before merges, by llama.cpp's names
mod sentencepiece; // merges -> scores

use crate::modality;
use anyhow::{Context, Result};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_models::{Checkpoint, GgufValue};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use tokenizers::{AddedToken, Tokenizer};

/// llama.cpp's kinds of tokens.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;
/// Where Hugging Face's files name a special token, and how llama.cpp calls it.
const SPECIALS: [(&str, &str); 4] =
    [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")];

/// `tokenizer.json`, as far as it decides how texts are split.
#[derive(Deserialize)]
struct Definition {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    added_tokens: Vec<Added>,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    content: String,
    #[serde(default)]
    normalized: bool,
}

#[derive(Deserialize)]
struct Model {
    /// Old files have none.
    r#type: Option<String>,
    unk_token: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    merges: Vec<Merge>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Text(String),
}

impl Merge {
    fn pair(&self) -> Option<(&str, &str)> {
        match self {
            Merge::Pair(left, right) => Some((left, right)),
            Merge::Text(text) => text.split_once(' '),
        }
    }
}

/// What is said of a tokenizer, by the keys of the file.
type Values = Vec<(String, GgufValue)>;

/// Of the tokenizer in the folder of `model`, which has a row for each token.
///
/// # Errors
/// llama.cpp has no such tokenizer, or the files are damaged.
pub(super) fn values(model: &Checkpoint) -> Result<Values> {
    let folder = model.folder();
    let path = folder.join("tokenizer.json");
    let refused = |why: String| {
        let message = format!("{} can't stand in a GGUF file: {why}", path.display());
        Failure::new(FailureKind::Model, message)
            .with_cure("leave save.gguf out, or choose a base model with another tokenizer")
    };
    let tokenizer = modality::tokenizer(folder)?;
    let text =
        finetuned_files::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let definition: Definition =
        serde_json::from_slice(&text).map_err(|err| refused(err.to_string()))?;
    let rows = model.config_json()["vocab_size"].as_u64().unwrap_or(0) as u32;
    let tokens = Tokens::of(&tokenizer, &definition, rows).map_err(refused)?;
    let mut values = definition.kind(&tokens).map_err(refused)?;
    values.push(("tokenizer.ggml.tokens".into(), GgufValue::Texts(tokens.texts)));
    values.push(("tokenizer.ggml.token_type".into(), GgufValue::I32s(tokens.kinds)));
    let named = named(folder, model.config_json(), &tokenizer)?;
    if !named.contains_key("eos") {
        // llama.cpp would take one that it has a number for.
        return Err(refused("no file names the token that ends a text".into()).into());
    }
    let added = added(&tokenizer, &named).map_err(refused)?;
    let key =
        |(name, id): (&str, u32)| (format!("tokenizer.ggml.{name}_token_id"), GgufValue::U32(id));
    values.extend(named.into_iter().map(key));
    values.extend(added);
    Ok(values)
}

/// Every row of the embeddings.
struct Tokens {
    texts: Vec<String>,
    kinds: Vec<i32>,
}

impl Tokens {
    fn of(tokenizer: &Tokenizer, of: &Definition, rows: u32) -> Result<Tokens, String> {
        let added = tokenizer.get_added_tokens_decoder();
        let known = tokenizer.get_vocab(true).into_values().max().map_or(0, |it| it + 1);
        if rows < known {
            return Err(format!("it has {known} tokens, and the model {rows} embeddings"));
        }
        let strips = |it: &&AddedToken| it.lstrip || it.rstrip || it.single_word;
        if let Some(it) = added.values().find(strips) {
            let why = "takes blanks beside it along, or whole words only, which llama.cpp does not";
            return Err(format!("its token `{}` {why}", it.content));
        }
        let unknown = of.model.unk_token.as_deref();
        let (texts, kinds) = (0..rows)
            .map(|id| match (tokenizer.id_to_token(id), added.get(&id)) {
                (None, _) => (format!("[PAD{id}]"), UNUSED),
                (Some(text), _) if unknown == Some(text.as_str()) => (text, UNKNOWN),
                (Some(text), Some(it)) if it.special => (text, CONTROL),
                (Some(text), Some(_)) => (text, USER_DEFINED),
                (Some(text), None) if of.model.byte_fallback && is_byte(&text) => (text, BYTE),
                (Some(text), None) => (text, NORMAL),
            })
            .unzip();
        Ok(Tokens { texts, kinds })
    }
}

/// `<0x0A>`
fn is_byte(text: &str) -> bool {
    let digits = text.strip_prefix("<0x").and_then(|it| it.strip_suffix('>'));
    digits.is_some_and(|it| it.len() == 2 && it.bytes().all(|it| it.is_ascii_hexdigit()))
}

impl Definition {
    /// What depends on how the tokenizer works.
    ///
    /// # Errors
    /// llama.cpp has no tokenizer that works like this.
    fn kind(&self, tokens: &Tokens) -> Result<Values, String> {
        let Model { r#type, byte_fallback, merges, .. } = &self.model;
        let affixes = [&self.model.continuing_subword_prefix, &self.model.end_of_word_suffix];
        if r#type.as_deref().is_some_and(|it| it != "BPE") || merges.is_empty() {
            let found = r#type.as_deref().unwrap_or("without merges");
            return Err(format!("its model is {found}, and only BPE is written"));
        }
        if affixes.into_iter().flatten().any(|it| !it.is_empty()) {
            return Err("its tokens differ within a word and at its ends".into());
        }
        let pairs: Vec<(&str, &str)> = merges.iter().filter_map(Merge::pair).collect();
        let clean = |it: &(&str, &str)| !it.0.contains(' ') && !it.1.contains(' ');
        if pairs.len() < merges.len() || !pairs.iter().all(clean) {
            return Err("its merges are no pairs of tokens without blanks".into());
        }
        let text = |key: &str, text: &str| (key.to_string(), GgufValue::Text(text.into()));
        let (model, pre) = ("tokenizer.ggml.model", "tokenizer.ggml.pre");
        if *byte_fallback {
            let space = sentencepiece::adds_space(&self.normalizer, &self.pre_tokenizer)?;
            self.falls_back(tokens, space)?;
            let scores = sentencepiece::scores(tokens, &pairs)?;
            return Ok(vec![
                text(model, "llama"),
                text(pre, "default"),
                ("tokenizer.ggml.add_space_prefix".into(), GgufValue::Bool(space)),
                ("tokenizer.ggml.scores".into(), GgufValue::F32s(scores)),
            ]);
        }
        let name = byte_level::name(self)?;
        let merges = pairs.iter().map(|(left, right)| format!("{left} {right}")).collect();
        Ok(vec![
            text(model, "gpt2"),
            text(pre, name),
            ("tokenizer.ggml.merges".into(), GgufValue::Texts(merges)),
        ])
    }
}

impl Definition {
    /// # Errors
    /// What llama.cpp does otherwise where SentencePiece's BPE falls back on bytes.
    fn falls_back(&self, tokens: &Tokens, adds_space: bool) -> Result<(), String> {
        const BYTES: usize = 256;
        if self.model.ignore_merges {
            return Err("it has ignore_merges, which llama.cpp has of bytes only".into());
        }
        let bytes = tokens.kinds.iter().filter(|it| **it == BYTE).count();
        if bytes < BYTES {
            return Err(format!(
                "it falls back on bytes, and has {bytes} tokens of {BYTES} for them"
            ));
        }
        let normalized = self.added_tokens.iter().find(|it| adds_space && it.normalized);
        normalized.map_or(Ok(()), |it| {
            let why = "is looked for behind the blank that is put before a text";
            Err(format!("its token `{}` is normalized: it {why}", it.content))
        })
    }
}

/// Special tokens by llama.cpp's names.
fn named(
    folder: &Path,
    config: &Value,
    tokenizer: &Tokenizer,
) -> Result<BTreeMap<&'static str, u32>> {
    let of_tokenizer = read(&folder.join("tokenizer_config.json"))?;
    let generation = read(&folder.join("generation_config.json"))?;
    let number = |it: &Value| it.as_u64().and_then(|it| u32::try_from(it).ok());
    let all = |it: &Value| match it {
        Value::Array(all) => all.iter().filter_map(number).collect(),
        one => number(one).into_iter().collect::<Vec<u32>>(),
    };
    let of = |(theirs, ours): (&str, &'static str)| {
        let token = &of_tokenizer[format!("{theirs}_token")];
        let text = token.as_str().or_else(|| token["content"].as_str());
        let id = text.and_then(|it| tokenizer.token_to_id(it));
        id.or_else(|| all(&config[format!("{theirs}_token_id")]).first().copied())
            .map(|it| (ours, it))
    };
    let mut named: BTreeMap<&'static str, u32> = SPECIALS.into_iter().filter_map(of).collect();
    let ends = [&generation, config].map(|it| all(&it["eos_token_id"])).concat();
    let eos = named.get("eos").copied().or(ends.first().copied());
    named.extend(eos.map(|it| ("eos", it)));
    // What ends an answer, where that is not what ends a text.
    named.extend(ends.into_iter().find(|it| Some(*it) != eos).map(|it| ("eot", it)));
    Ok(named)
}

/// Null where there is none.
fn read(path: &Path) -> Result<Value> {
    match finetuned_files::read(path) {
        Ok(text) => {
            serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
        }
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Value::Null),
        Err(err) => Err(err).with_context(|| format!("reading {}", path.display())),
    }
}

/// Whether texts get special tokens at their ends, as the tokenizer itself does it.
fn added(tokenizer: &Tokenizer, named: &BTreeMap<&'static str, u32>) -> Result<Values, String> {
    let ids = |special: bool| {
        let encoding = tokenizer.encode("a", special).map_err(|err| err.to_string())?;
        Ok::<_, String>(encoding.get_ids().to_vec())
    };
    let (bare, whole) = (ids(false)?, ids(true)?);
    let start = whole.windows(bare.len().max(1)).position(|it| it == bare);
    let start = start.ok_or("it has no token for the letter a")?;
    let sides = [("bos", &whole[..start]), ("eos", &whole[start + bare.len()..])];
    let flag = |(name, side): (&str, &[u32])| match (side, named.get(name)) {
        ([], _) => Ok(false),
        ([one], Some(known)) if one == known => Ok(true),
        _ => Err(format!("it puts other tokens beside a text than its {name}_token")),
    };
    let value = |side: (&str, &[u32])| {
        Ok::<_, String>((
            format!("tokenizer.ggml.add_{}_token", side.0),
            GgufValue::Bool(flag(side)?),
        ))
    };
    sides.into_iter().map(value).collect()
}

/// What a message shows of a definition.
fn shown(part: &Value) -> String {
    /// More would hide the message that it stands in.
    const CHARS_MAX: usize = 160;
    let text = part.to_string();
    let cut = if text.chars().count() <= CHARS_MAX { None } else { Some('…') };
    text.chars().take(CHARS_MAX).chain(cut).collect()
}

#[cfg(test)]
mod tests;
