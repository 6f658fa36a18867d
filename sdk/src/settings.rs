//! Settings: the table that a recipe has for a plugin -> the author's own type. No key is ignored.

use crate::error::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// For what has nothing to set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// # Errors A key that `T` does not have, also deep inside and also if `T` would ignore it; a value
/// that does not fit.
pub(crate) fn parse<T: DeserializeOwned>(json: &str) -> Result<T> {
    // By way of a value, since positions in a JSON text that nobody wrote would only confuse.
    let value: serde_json::Value = serde_json::from_str(json)?;
    let mut unknown = Vec::new();
    let settings = serde_ignored::deserialize(value, |path| unknown.push(path.to_string()));
    let settings = settings.map_err(|err| Error::invalid(format!("settings: {err}")))?;
    if unknown.is_empty() {
        Ok(settings)
    } else {
        Err(Error::invalid(format!("settings: unknown key {}", unknown.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(default)]
    struct Focal {
        gamma: f64,
    }

    impl Default for Focal {
        fn default() -> Focal {
            Focal { gamma: 2.0 }
        }
    }

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let found =
            parse::<Focal>(json).map_or_else(|err| err.to_string(), |it| it.gamma.to_string());
        assert_eq!(found, expected);
    }

    #[test]
    fn settings_are_checked() {
        check("{}", "2");
        check(r#"{"gamma": 3}"#, "3");
        check(r#"{"gama": 3}"#, "settings: unknown key gama");
        check(r#"{"gamma": "x"}"#, r#"settings: invalid type: string "x", expected f64"#);
        let none = parse::<NoSettings>(r#"{"gamma": 3}"#).expect_err("has no such key");
        assert!(none.to_string().starts_with("settings: unknown field `gamma`"), "{none}");
    }
}
