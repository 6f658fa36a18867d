//! Decides which files of a model count, and what a folder or a repository lacks to be a base
//! model.
//!
//! Only files that are data: no pickle (`pytorch_model.bin`), no code, no other framework's
//! weights.

use std::collections::BTreeSet;
use std::path::Path;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
/// Names the shards of weights that are too large for one file.
pub(crate) const INDEX: &str = "model.safetensors.index.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
/// What a tokenizer may be made of, for the families of models that exist.
pub const TOKENIZER_FILES: &[&str] = &[
    TOKENIZER,
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
];
/// How images must look for a model that sees.
const PREPROCESSOR: &str = "preprocessor_config.json";
/// What of a text's tokens makes a sentence's embedding, in models of sentence-transformers.
pub(crate) const MODULES: &str = "modules.json";
const POOLING: &[&str] = &[MODULES, "1_Pooling/config.json"];
/// What an adapter of peft is; beside the weights of a whole model it is of no use.
pub(crate) const ADAPTER_CONFIG: &str = "adapter_config.json";
const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
const ADAPTER_PICKLE: &str = "adapter_model.bin";
const PICKLES: &[&str] = &["pytorch_model.bin", "pytorch_model.bin.index.json"];
/// A larger index was not written by a model's author.
const INDEX_BYTES_MAX: u64 = 64 << 20;

/// Why something is no base model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lack {
    Config,
    Weights,
    /// Weights are there, but only in a format that can run code when it is read.
    OnlyPickle,
    /// `adapter_config.json` is there, and no `adapter_model.safetensors`.
    AdapterWeights,
    /// The same, but for a pickle.
    OnlyAdapterPickle,
    /// The index names this file.
    Shard(String),
    /// The index itself is unusable.
    Index(String),
}

/// The names to fetch of a repository's; the index stands before its shards, which only it knows.
pub(crate) fn of_listing(names: &[String]) -> Result<Vec<String>, Lack> {
    let has = |name: &str| names.iter().any(|it| it == name);
    let parts = TOKENIZER_FILES.iter().chain([&PREPROCESSOR]).copied().filter(|it| has(it));
    if is_adapter(&has) {
        check_adapter(&has)?;
        let own = [CONFIG].into_iter().filter(|it| has(it)).chain([ADAPTER_CONFIG]);
        return Ok(own.chain(parts).chain([ADAPTER_WEIGHTS]).map(Into::into).collect());
    }
    if !has(CONFIG) {
        return Err(Lack::Config);
    }
    let weights = weights_file(&has)?;
    let parts = parts.chain(POOLING.iter().copied().filter(|it| has(it)));
    Ok([CONFIG].into_iter().chain(parts).chain([weights]).map(Into::into).collect())
}

/// Whether a folder holds an adapter and no whole model.
pub(crate) fn is_adapter_folder(folder: &Path) -> bool {
    is_adapter(&|name| folder.join(name).is_file())
}

fn is_adapter(has: &dyn Fn(&str) -> bool) -> bool {
    has(ADAPTER_CONFIG) && !has(WEIGHTS) && !has(INDEX)
}

fn check_adapter(has: &dyn Fn(&str) -> bool) -> Result<(), Lack> {
    match (has(ADAPTER_WEIGHTS), has(ADAPTER_PICKLE)) {
        (true, _) => Ok(()),
        (false, true) => Err(Lack::OnlyAdapterPickle),
        (false, false) => Err(Lack::AdapterWeights),
    }
}

/// What `folder` lacks; `None`: a model may be loaded from it.
pub(crate) fn lack(folder: &Path) -> Option<Lack> {
    let has = |name: &str| folder.join(name).is_file();
    if is_adapter(&has) {
        return check_adapter(&has).err();
    }
    if !has(CONFIG) {
        return Some(Lack::Config);
    }
    match weights_file(&has) {
        Err(lack) => Some(lack),
        Ok(INDEX) => match shards(&folder.join(INDEX)) {
            Ok(shards) => shards.into_iter().find(|it| !has(it)).map(Lack::Shard),
            Err(why) => Some(Lack::Index(why)),
        },
        Ok(_) => None,
    }
}

fn weights_file(has: &dyn Fn(&str) -> bool) -> Result<&'static str, Lack> {
    match () {
        () if has(WEIGHTS) => Ok(WEIGHTS),
        () if has(INDEX) => Ok(INDEX),
        () if PICKLES.iter().any(|it| has(it)) => Err(Lack::OnlyPickle),
        () => Err(Lack::Weights),
    }
}

/// The files that an index names, each once, checked to be plain names of safetensors files.
pub(crate) fn shards(index: &Path) -> Result<Vec<String>, String> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let bytes = std::fs::metadata(index).map_err(|err| err.to_string())?.len();
    if INDEX_BYTES_MAX < bytes {
        return Err(format!("it has {bytes} bytes, more than {INDEX_BYTES_MAX}"));
    }
    let text = finetuned_files::read(index).map_err(|err| err.to_string())?;
    let index: Index = serde_json::from_slice(&text).map_err(|err| err.to_string())?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    match names.iter().find(|it| !crate::base::is_plain(it) || !it.ends_with(".safetensors")) {
        Some(bad) => Err(format!("it names `{bad}`, which is no safetensors file beside it")),
        None => Ok(names.into_iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str]) -> Result<Vec<String>, Lack> {
        of_listing(&names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn only_data_is_wanted() {
        let all = [
            "README.md",
            "config.json",
            "evil.py",
            "model.safetensors",
            "onnx/model.onnx",
            "pytorch_model.bin",
            "tokenizer.json",
            "vocab.txt",
        ];
        assert_eq!(
            listing(&all).unwrap(),
            ["config.json", "tokenizer.json", "vocab.txt", "model.safetensors"]
        );
        let sentences = [
            "1_Pooling/config.json",
            "2_Dense/config.json",
            "modules.json",
            "config.json",
            WEIGHTS,
        ];
        assert_eq!(
            listing(&sentences).unwrap(),
            ["config.json", "modules.json", "1_Pooling/config.json", WEIGHTS]
        );
        assert_eq!(listing(&["config.json", INDEX]).unwrap(), ["config.json", INDEX]);
        assert_eq!(listing(&["config.json", "pytorch_model.bin"]), Err(Lack::OnlyPickle));
        assert_eq!(listing(&["config.json", "tf_model.h5"]), Err(Lack::Weights));
        assert_eq!(listing(&["model.safetensors"]), Err(Lack::Config));
    }

    #[test]
    fn an_adapter_needs_no_config_of_a_model() {
        let adapter = ["README.md", ADAPTER_CONFIG, ADAPTER_WEIGHTS, "tokenizer.json"];
        let wanted = ["adapter_config.json", "tokenizer.json", "adapter_model.safetensors"];
        assert_eq!(listing(&adapter).unwrap(), wanted);
        let beside = listing(&[ADAPTER_CONFIG, ADAPTER_WEIGHTS, CONFIG, WEIGHTS]).unwrap();
        assert_eq!(beside, [CONFIG, WEIGHTS], "a whole model needs none");
        assert_eq!(listing(&[ADAPTER_CONFIG, ADAPTER_PICKLE]), Err(Lack::OnlyAdapterPickle));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(ADAPTER_CONFIG), "{}").unwrap();
        assert_eq!(lack(dir.path()), Some(Lack::AdapterWeights));
        std::fs::write(dir.path().join(ADAPTER_WEIGHTS), "").unwrap();
        assert_eq!(lack(dir.path()), None);
        assert!(is_adapter_folder(dir.path()));
    }

    #[test]
    fn a_folder_says_what_it_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        assert_eq!(lack(dir.path()), Some(Lack::Config));
        put("config.json", "{}");
        assert_eq!(lack(dir.path()), Some(Lack::Weights));
        put("pytorch_model.bin", "");
        assert_eq!(lack(dir.path()), Some(Lack::OnlyPickle));
        put(
            INDEX,
            r#"{"metadata":{},"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-1.safetensors"}}"#,
        );
        put("m-1.safetensors", "");
        assert_eq!(lack(dir.path()), Some(Lack::Shard("m-2.safetensors".into())));
        put("m-2.safetensors", "");
        assert_eq!(lack(dir.path()), None);
        for bad in ["../m.safetensors", "/etc/passwd", "m.bin"] {
            put(INDEX, &format!(r#"{{"weight_map":{{"a":"{bad}"}}}}"#));
            assert!(
                matches!(lack(dir.path()), Some(Lack::Index(why)) if why.contains(bad)),
                "{bad}"
            );
        }
    }
}
