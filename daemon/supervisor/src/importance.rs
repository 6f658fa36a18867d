//! Decides the priority of a new job: what the `job.toml` in its drop asks for, as far as its inbox
//! allows strangers to, else what the recipe of the inbox says, else 0. What an owner submitted the
//! drop with wins over all of it, and stands in the database.

use crate::writers;
use anyhow::{Context, Result};
use finetuned_job::recipe::{self, Recipe};
use finetuned_job::spec::RecipeText;
use std::io::{self, Read};
use std::path::Path;

/// A recipe is a page of text.
const BYTES_MAX: u64 = 64 * 1024;

pub(crate) fn of_drop(entry: &Path, bound: Option<&RecipeText>, most: i32) -> i32 {
    // What can't be read is told by the worker, with its line.
    match asked(entry).unwrap_or_default() {
        Some(asked) if most < asked => {
            tracing::warn!(
                "{} asks for priority {asked}, its inbox allows drops {most} (priority_max)",
                entry.display()
            );
            most
        }
        Some(asked) => asked,
        None => bound.and_then(|it| Recipe::parse(&it.text).ok()?.priority).unwrap_or(0),
    }
}

/// Of an archive nothing is known before it is unpacked.
fn asked(entry: &Path) -> Result<Option<i32>> {
    let file = writers::resolved(entry).join(recipe::FILE);
    let mut text = String::new();
    match finetuned_files::open_strange(&file) {
        Ok(file) => file.take(BYTES_MAX).read_to_string(&mut text)?,
        Err(err)
            if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(err) => return Err(err).with_context(|| format!("reading {}", file.display())),
    };
    Ok(Recipe::parse(&text)?.priority)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_drop_may_ask_for_what_its_inbox_allows() {
        let root = tempfile::tempdir().unwrap();
        let drop = root.path().join("a");
        fs::create_dir(&drop).unwrap();
        let bound = RecipeText { file: "r.toml".into(), text: "job.priority = 7".into() };
        let of = |most| of_drop(&drop, Some(&bound), most);
        assert_eq!((of(0), of_drop(&drop, None, 0)), (7, 0), "the inbox's recipe is its owner's");
        fs::write(drop.join("job.toml"), "[job]\npriority = 5\n").unwrap();
        assert_eq!([-3, 0, 5, 9].map(of), [-3, 0, 5, 5]);
        fs::write(drop.join("job.toml"), "[job]\npriority = 500\n").unwrap();
        assert_eq!(of(9), 7, "what can't be used is told by the worker");
        fs::remove_file(drop.join("job.toml")).unwrap();
        fs::write(root.path().join("secret"), "job.priority = 5").unwrap();
        std::os::unix::fs::symlink(root.path().join("secret"), drop.join("job.toml")).unwrap();
        assert_eq!(of(9), 7, "links lead nowhere");
    }
}
