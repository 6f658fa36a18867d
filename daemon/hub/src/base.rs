//! Decides what a recipe's `model.base` means: a folder, or a name and a revision on the hub.
//!
//! Whether it exists is not asked here.

use finetuned_job::outcome::{Failure, FailureKind};
use std::path::{Path, PathBuf};

/// The hub's own limit for `OWNER/NAME`.
const NAME_CHARS_MAX: usize = 96;
const BRANCH_DEFAULT: &str = "main";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Folder(PathBuf),
    Hub(HubName),
}

/// A model on the hub. Safe to become part of a path and of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HubName {
    /// `OWNER/NAME`, or `NAME` alone for the oldest models.
    pub(crate) id: String,
    revision: Option<String>,
}

impl HubName {
    pub(crate) fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(BRANCH_DEFAULT)
    }
}

impl std::fmt::Display for HubName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "hf:{}", self.id)?;
        self.revision.as_ref().map_or(Ok(()), |it| write!(f, "@{it}"))
    }
}

impl Base {
    /// `~` stands for `home`; other relative paths start at `relative_to`.
    pub(crate) fn parse(
        text: &str,
        relative_to: &Path,
        home: Option<&Path>,
    ) -> Result<Base, Failure> {
        if let Some(name) = text.strip_prefix("hf:") {
            return hub_name(name).map(Base::Hub).map_err(|why| {
                Failure::new(FailureKind::Model, format!("the base model `{text}` {why}"))
                    .with_cure("write hf:OWNER/NAME or hf:OWNER/NAME@REVISION")
            });
        }
        if text.trim().is_empty() {
            let cure = "write a folder's path or hf:OWNER/NAME as model.base in the recipe";
            return Err(
                Failure::new(FailureKind::Model, "the recipe names no base model").with_cure(cure)
            );
        }
        match (text.strip_prefix('~'), home) {
            (Some(""), Some(home)) => Ok(Base::Folder(home.to_owned())),
            (Some(rest), Some(home)) if rest.starts_with('/') => {
                Ok(Base::Folder(home.join(&rest[1..])))
            }
            _ => Ok(Base::Folder(relative_to.join(text))),
        }
    }
}

fn hub_name(text: &str) -> Result<HubName, &'static str> {
    let (id, revision) = match text.split_once('@') {
        Some((id, revision)) => (id, Some(revision)),
        None => (text, None),
    };
    if NAME_CHARS_MAX < id.len() {
        return Err("is longer than any name on the hub");
    }
    if 2 < id.split('/').count() || !id.split('/').all(is_plain) || id.contains("--") {
        return Err("is no name of the form OWNER/NAME");
    }
    if revision.is_some_and(|it| !it.split('/').all(is_plain)) {
        return Err("has a revision that can't be a branch, a tag or a commit");
    }
    Ok(HubName { id: id.into(), revision: revision.map(Into::into) })
}

/// Letters, digits, `.`, `_` and `-`, as one part of a path that leads nowhere else.
pub(crate) fn is_plain(part: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !part.is_empty()
        && !part.starts_with(['.', '-'])
        && !part.contains("..")
        && part.chars().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Base, Failure> {
        Base::parse(text, Path::new("/recipes"), Some(Path::new("/home/ada")))
    }

    #[test]
    fn a_path_is_a_path() {
        for (text, path) in [
            ("models/tiny", "/recipes/models/tiny"),
            ("/srv/tiny", "/srv/tiny"),
            ("~", "/home/ada"),
            ("~/tiny", "/home/ada/tiny"),
            ("~eve", "/recipes/~eve"),
        ] {
            assert_eq!(parse(text).unwrap(), Base::Folder(path.into()), "{text}");
        }
    }

    #[test]
    fn a_name_may_carry_a_revision() {
        for (text, id, revision) in [
            ("hf:a/b", "a/b", "main"),
            ("hf:a/b.c-d_e@refs/pr/1", "a/b.c-d_e", "refs/pr/1"),
            ("hf:gpt2@v1.0", "gpt2", "v1.0"),
        ] {
            let Base::Hub(name) = parse(text).unwrap() else { panic!("{text} is no hub name") };
            assert_eq!(
                (name.id.as_str(), name.revision(), name.to_string().as_str()),
                (id, revision, text)
            );
        }
    }

    #[test]
    fn a_name_can_not_leave_the_cache() {
        for text in [
            "hf:",
            "hf:../x",
            "hf:a/../b",
            "hf:a/b/c",
            "hf:/etc",
            "hf:a/b@../../x",
            "hf:a/b@",
            "hf:a/b@/x",
            "hf:a--b/c",
            "hf:a/b c",
            "hf:.a/b",
            "",
            " ",
        ] {
            let failure = parse(text).unwrap_err();
            assert!(
                failure.kind == FailureKind::Model && failure.cure.is_some(),
                "{text}: {failure}"
            );
        }
        assert!(parse(&format!("hf:a/{}", "b".repeat(95))).is_err());
    }
}
