//! Decides which base model an adapter's own config names, in a recipe's words: peft writes a
//! folder or `OWNER/NAME` there, and a revision beside it.
//!
//! Whether it may be had is asked of whoever reads the recipe.

use crate::failures;
use crate::wanted;
use finetuned_job::outcome::Failure;
use std::fs;
use std::path::Path;

/// A larger config was not written by peft.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

#[derive(serde::Deserialize)]
struct Config {
    base_model_name_or_path: Option<String>,
    revision: Option<String>,
}

/// What the adapter in `folder` stands beside, as `model.base` would name it; nothing where the
/// folder holds no adapter, or a whole model. A name that could be both is a folder where there is
/// one of that path, from `near` on, as Hugging Face's libraries have it.
///
/// # Errors
/// The config can't be read, or names nothing.
pub fn beneath(folder: &Path, near: &Path) -> Result<Option<String>, Failure> {
    if !wanted::is_adapter_folder(folder) {
        return Ok(None);
    }
    let path = folder.join(wanted::ADAPTER_CONFIG);
    let shown = path.display();
    let refused = |why: String| failures::no_beneath(folder, &why);
    let unreadable = |err: std::io::Error| refused(format!("{shown} can't be read: {err}"));
    if CONFIG_BYTES_MAX < fs::metadata(&path).map_err(unreadable)?.len() {
        return Err(refused(format!("{shown} is longer than {CONFIG_BYTES_MAX} bytes")));
    }
    let text = finetuned_files::read(&path).map_err(unreadable)?;
    let config: Config = serde_json::from_slice(&text)
        .map_err(|err| refused(format!("{shown} is not JSON as peft writes it: {err}")))?;
    match config.base_model_name_or_path.filter(|it| !it.trim().is_empty()) {
        Some(name) => Ok(Some(in_words(name, config.revision.as_deref(), near))),
        None => Err(refused(format!("{shown} names no base_model_name_or_path"))),
    }
}

fn in_words(name: String, revision: Option<&str>, near: &Path) -> String {
    let is_path = name.starts_with(['/', '.', '~']) || name.contains("..");
    if is_path || name.starts_with("hf:") || is_folder(near, &name) {
        return name;
    }
    match revision.filter(|it| !it.is_empty()) {
        Some(revision) => format!("hf:{name}@{revision}"),
        None => format!("hf:{name}"),
    }
}

/// No part of the way from `near` on is a link: whoever wrote the name must not find out what
/// stands elsewhere.
fn is_folder(near: &Path, name: &str) -> bool {
    let mut at = near.to_path_buf();
    name.split('/').filter(|it| !it.is_empty()).all(|part| {
        at.push(part);
        fs::symlink_metadata(&at).is_ok_and(|it| it.is_dir())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_names_a_folder_or_a_model_of_the_hub() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("adapter");
        fs::create_dir_all(home.path().join("ada/here")).unwrap();
        fs::create_dir(&folder).unwrap();
        let of = |config: &str| {
            fs::write(folder.join(wanted::ADAPTER_CONFIG), config).unwrap();
            beneath(&folder, home.path())
        };
        let named = |name: &str| {
            of(&format!(r#"{{"base_model_name_or_path": "{name}"}}"#)).unwrap().unwrap()
        };
        assert_eq!(named("ada/x"), "hf:ada/x");
        assert_eq!(named("gpt2"), "hf:gpt2");
        assert_eq!(named("ada/here"), "ada/here", "a folder beside the recipe");
        for path in ["/srv/x", "./x", "../x", "~/x", "a/../../x"] {
            assert_eq!(named(path), path);
        }
        let pinned = r#"{"base_model_name_or_path": "ada/x", "revision": "v1", "r": 8}"#;
        assert_eq!(of(pinned).unwrap().unwrap(), "hf:ada/x@v1");
        for bad in ["{}", r#"{"base_model_name_or_path": null}"#, "[", "3"] {
            let failure = of(bad).unwrap_err();
            assert!(failure.cure.unwrap().contains("base_model_name_or_path"), "{bad}");
        }
        fs::write(folder.join("model.safetensors"), "").unwrap();
        assert_eq!(of("[").unwrap(), None, "a whole model");
    }
}
