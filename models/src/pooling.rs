//! Decides how a text's row of numbers is made of its tokens where a linear head stands on it: as
//! sentence-transformers' files beside the model say, else of the first token. What is computed
//! with it is `encoder`'s.

use crate::error::ModelError;
use crate::model::Pooling;
use serde::Deserialize;
use std::path::{Component, Path};

/// sentence-transformers' list of what stands on the encoder.
const MODULES: &str = "modules.json";
const CONFIG: &str = "config.json";

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

/// Its config; the versions have either the one or the other key.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    pooling_mode: Option<serde_json::Value>,
}

/// What is neither the first token's nor the mean (the maximum, say) is taken as the mean, which
/// knows all tokens too.
///
/// # Errors
/// Files that are there and no such files; a config that lies elsewhere.
pub(crate) fn of(folder: &Path) -> Result<Pooling, ModelError> {
    let Some(modules) = read::<Vec<Module>>(&folder.join(MODULES))? else {
        return Ok(Pooling::First);
    };
    let Some(module) = modules.into_iter().find(|it| it.class.ends_with("Pooling")) else {
        return Ok(Pooling::First);
    };
    let mut parts = Path::new(&module.path).components();
    if module.path.is_empty() || !parts.all(|it| matches!(it, Component::Normal(_))) {
        return Err(ModelError::Value {
            path: folder.join(MODULES),
            key: "path",
            found: format!("{:?}", module.path),
            wanted: "a folder in the model's own".into(),
        });
    }
    let Some(config) = read::<Config>(&folder.join(module.path).join(CONFIG))? else {
        return Ok(Pooling::First);
    };
    let named_first = config.pooling_mode.is_some_and(|it| it == "cls");
    let first = config.pooling_mode_cls_token || named_first;
    Ok(if first { Pooling::First } else { Pooling::Mean })
}

/// None: there is no such file.
fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, ModelError> {
    if !path.exists() {
        return Ok(None);
    }
    let failed = |source| ModelError::Read { path: path.to_path_buf(), source };
    let text = finetuned_files::read(path).map_err(failed)?;
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|source| ModelError::Syntax { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[track_caller]
    fn check(modules: Option<&str>, config: &str, expected: Result<Pooling, ()>) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        fs::write(folder.path().join("1_Pooling/config.json"), config).unwrap();
        if let Some(it) = modules {
            fs::write(folder.path().join(MODULES), it).unwrap();
        }
        assert_eq!(of(folder.path()).map_err(drop), expected, "{config}");
    }

    #[test]
    fn a_row_is_made_as_the_files_of_sentence_transformers_say() {
        let modules = Some(
            r#"[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#,
        );
        let mean = r#"{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}"#;
        check(modules, mean, Ok(Pooling::Mean));
        check(modules, r#"{"pooling_mode_cls_token": true}"#, Ok(Pooling::First));
        check(modules, r#"{"pooling_mode": "cls"}"#, Ok(Pooling::First));
        check(modules, r#"{"pooling_mode": "mean"}"#, Ok(Pooling::Mean));
        check(modules, r#"{"pooling_mode_max_tokens": true}"#, Ok(Pooling::Mean));
        check(None, mean, Ok(Pooling::First));
        check(Some("[]"), mean, Ok(Pooling::First));
        check(Some("{"), mean, Err(()));
        check(modules, "?", Err(()));
    }

    #[test]
    fn nothing_is_read_outside_of_the_models_folder() {
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join(CONFIG), r#"{"pooling_mode": "mean"}"#).unwrap();
        let name = elsewhere.path().file_name().unwrap().to_str().unwrap();
        let above = format!("../{name}");
        for path in [elsewhere.path().to_str().unwrap(), &above, "1_Pooling/../..", ""] {
            let modules = serde_json::json!([{ "path": path, "type": "x.Pooling" }]);
            let folder = tempfile::tempdir_in(elsewhere.path().parent().unwrap()).unwrap();
            fs::write(folder.path().join(MODULES), modules.to_string()).unwrap();
            let err = of(folder.path()).unwrap_err().to_string();
            assert!(err.ends_with("but must be a folder in the model's own"), "{err}");
        }
    }

    #[test]
    fn only_ordinary_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(MODULES)).unwrap();
        let err = of(folder.path()).unwrap_err().to_string();
        assert!(err.ends_with("it is not an ordinary file"), "{err}");
    }
}
