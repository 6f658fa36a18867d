//! Decides which tokenizer a folder has: that of `tokenizer.json`, whatever it is made of. Other
//! forms are named, with what makes that file of them.

use anyhow::Result;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_models::Checkpoint;
use std::panic::catch_unwind;
use std::path::Path;
use tokenizers::Tokenizer;

/// What the file says of padding and of the length of texts is for others: here every text has its
/// own length, and the plan says where it is cut.
///
/// # Errors
/// There is no such file, or it is no tokenizer.
pub(super) fn open(folder: &Path) -> Result<Tokenizer> {
    let path = folder.join("tokenizer.json");
    let refused =
        |message: String, cure: &str| Failure::new(FailureKind::Model, message).with_cure(cure);
    if !path.exists() {
        let beside = other_form(folder).map_or(String::new(), |it| format!("{it} and "));
        let message = format!("{} has {beside}no tokenizer.json", folder.display());
        let cure = "save it with transformers, where sentencepiece, protobuf and tiktoken are installed too: AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER)";
        return Err(refused(message, cure).into());
    }
    let again = "fetch the model again";
    let mut tokenizer =
        finetuned_files::read(&path).map_err(Into::into).and_then(read).map_err(|err| {
            let what = "is no tokenizer that this version reads";
            refused(format!("{} {what}: {err}", path.display()), again)
        })?;
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|err| refused(format!("{}: {err}", path.display()), again))?;
    Ok(tokenizer)
}

/// The library panics at some parts that are damaged: when they are read, or when they are used for
/// the first time, as the template for what stands around a text.
fn read(bytes: Vec<u8>) -> tokenizers::Result<Tokenizer> {
    let tried = || {
        let tokenizer = Tokenizer::from_bytes(bytes)?;
        // Not every tokenizer has tokens for these.
        let _one = tokenizer.encode("a", true);
        let _two = tokenizer.encode(("a", "b"), true);
        Ok(tokenizer)
    };
    catch_unwind(tried).unwrap_or_else(|_| Err("a part of it is damaged".into()))
}

/// # Errors
/// A tokenizer with tokens that the model has no embedding for.
pub(super) fn check_size(tokenizer: &Tokenizer, model: &Checkpoint) -> Result<(), Failure> {
    let last = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
    let embeddings = model.config_json().get("vocab_size").and_then(serde_json::Value::as_u64);
    let Some(embeddings) = embeddings.filter(|it| *it <= last.into()) else { return Ok(()) };
    let token = tokenizer.id_to_token(last).unwrap_or_default();
    let message = format!(
        "the tokenizer in {} has tokens up to number {last} (`{}`), and the model embeddings of {embeddings}",
        model.companions().display(),
        token.escape_debug()
    );
    Err(Failure::new(FailureKind::Model, message)
        .with_cure("fetch tokenizer and weights of the same model, or take out of tokenizer.json what was added to it"))
}

/// In what form a folder without `tokenizer.json` has a tokenizer.
fn other_form(folder: &Path) -> Option<String> {
    const FORMS: &[(&str, &str)] = &[
        ("tokenizer.model", "of SentencePiece or tiktoken"),
        ("spiece.model", "of SentencePiece"),
        ("sentencepiece.bpe.model", "of SentencePiece"),
        ("spm.model", "of SentencePiece"),
        ("tekken.json", "of Mistral's tekken"),
        ("vocab.json", "a BPE vocabulary, with merges.txt"),
        ("vocab.txt", "a WordPiece vocabulary"),
    ];
    let known = FORMS.iter().find(|it| folder.join(it.0).exists());
    known.map(|(name, form)| format!("{name} ({form})")).or_else(|| {
        let names =
            folder.read_dir().ok()?.flatten().filter_map(|it| it.file_name().into_string().ok());
        let first = names.filter(|it| it.ends_with(".tiktoken")).min()?;
        Some(format!("{first} (of tiktoken)"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::literal;
    use super::*;
    use serde_json::Value;
    use std::fs;

    #[test]
    fn damage_that_the_library_panics_at_is_refused() {
        let json: Value =
            serde_json::from_str(include_str!("../../tests/data/tokenizer_parts.json")).unwrap();
        let is_mapped = |it: &&Value| it["kind"] == "normalizer Precompiled";
        let case = json["cases"].as_array().unwrap().iter().find(is_mapped).unwrap();
        let mut tokenizer = case["tokenizer"].clone();
        tokenizer["normalizer"]["precompiled_charsmap"] = "AAAAA".into();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
        let refused = open(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("is no tokenizer that this version reads"), "{refused}");
    }

    /// Each a kind of model, normalizer, pre-tokenizer, post-processor or decoder; and added
    /// tokens, truncation and padding. Made by tests/data/make_tokenizer_parts.py.
    #[test]
    fn every_kind_of_tokenizer_reads_as_its_library_does() {
        let json: Value =
            serde_json::from_str(include_str!("../../tests/data/tokenizer_parts.json")).unwrap();
        let texts: Vec<&str> =
            json["texts"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        let folder = tempfile::tempdir().unwrap();
        let cases = json["cases"].as_array().unwrap();
        assert!(60 < cases.len());
        for case in cases {
            let kind = &case["kind"];
            let text = serde_json::to_string(&case["tokenizer"]).unwrap();
            fs::write(folder.path().join("tokenizer.json"), text).unwrap();
            let tokenizer = literal::tokenizer(&open(folder.path()).unwrap());
            let controls = literal::controls(&tokenizer);
            for (nth, text) in texts.iter().enumerate() {
                let whole = tokenizer.encode(*text, true).unwrap();
                let ids: Vec<u64> = whole.get_ids().iter().map(|it| u64::from(*it)).collect();
                assert_eq!(Value::from(ids), case["ids"][nth], "{kind}: {text}");
                let bare = tokenizer.encode(*text, false).unwrap();
                let decoded = tokenizer.decode(bare.get_ids(), true).unwrap();
                assert_eq!(decoded, case["decoded"][nth].as_str().unwrap(), "{kind}: {text}");
                let of = (*text, bare);
                let found = literal::without_controls(&tokenizer, &controls, of).unwrap();
                assert!(found.get_ids().iter().all(|it| !controls.contains(it)), "{kind}");
            }
        }
    }

    #[test]
    fn a_tokenizer_in_another_form_is_named_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let refused = || open(folder.path()).err().unwrap().to_string();
        assert!(refused().contains(" has no tokenizer.json (save it with transformers"));
        for file in [
            "tokenizer.model",
            "spiece.model",
            "sentencepiece.bpe.model",
            "spm.model",
            "tekken.json",
            "vocab.json",
            "vocab.txt",
            "qwen.tiktoken",
        ] {
            fs::write(folder.path().join(file), "").unwrap();
            let message = refused();
            assert!(message.contains(&format!(" has {file} (")), "{message}");
            assert!(message.contains(") and no tokenizer.json (save it with transformers"));
            assert!(
                message.contains("AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER)")
            );
            fs::remove_file(folder.path().join(file)).unwrap();
        }
    }
}
