//! Brings what a plugin's reader finds into a form that `data` reads: JSON Lines of texts, or
//! images beside a metadata.jsonl, a folder for each split. Which reader is asked is left to
//! `extensions`.

use crate::durable;
use crate::plugins::{Content, Files, Place, Read, ReaderInstance};
use crate::stderr;
use anyhow::{Context, Result};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::scores::Split;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

/// Of each split that the reader names, and of those examples whose split it leaves open.
type BySplit<T> = BTreeMap<Option<&'static str>, Vec<T>>;

#[derive(Default)]
struct Found {
    /// Lines of JSON.
    texts: BySplit<String>,
    /// Path below the folder, label.
    images: BySplit<(String, String)>,
    bad: u64,
}

/// Writes all into `into`, which is empty; how many examples could not be read. Those go to stderr.
pub(crate) fn read(reader: &ReaderInstance, files: Files, into: &Path) -> Result<u64> {
    let mut found = Found::default();
    let place = |it: Place| {
        format!(
            "{}{}",
            files.files[it.file],
            it.line.map_or_else(String::new, |it| format!(":{it}"))
        )
    };
    reader.read(files, &mut |read| {
        match read {
            Read::Example { content: Content::Text(text), label, split, .. } => {
                let line = serde_json::json!({ "text": text, "label": label }).to_string();
                found.texts.entry(split.map(Split::name)).or_default().push(line);
            }
            Read::Example { content: Content::Image(path), label, split, .. } => {
                found.images.entry(split.map(Split::name)).or_default().push((path, label));
            }
            Read::Bad { place: at, reason } => {
                found.bad += 1;
                stderr::say(&format!("{}: {reason}", place(at)));
            }
        }
        ControlFlow::Continue(())
    })?;
    if !found.texts.is_empty() && !found.images.is_empty() {
        let message = "the reader gives texts and images, but a model looks at one of them";
        return Err(Failure::new(FailureKind::Plugin, message)
            .with_cure("drop them one by one")
            .into());
    }
    for (split, lines) in &found.texts {
        durable::write(
            &into.join(format!("{}.jsonl", split.unwrap_or("data"))),
            (lines.join("\n") + "\n").as_bytes(),
        )?;
    }
    lay_out(found.images, Path::new(files.folder), into)?;
    Ok(found.bad)
}

/// Images lie where they lay, below the folder of their split.
fn lay_out(mut images: BySplit<(String, String)>, from: &Path, into: &Path) -> Result<()> {
    // Beside named splits, the rest is for training.
    if images.keys().any(Option::is_some)
        && let Some(open) = images.remove(&None)
    {
        images.entry(Some(Split::Train.name())).or_default().extend(open);
    }
    for (split, images) in images {
        let folder = split.map_or(into.to_path_buf(), |it| into.join(it));
        let mut lines = String::new();
        for (path, label) in images {
            let target = folder.join(&path);
            fs::create_dir_all(target.parent().unwrap_or(&folder))
                .with_context(|| format!("creating the folder of {}", target.display()))?;
            if !target.exists() {
                link(&from.join(&path), &target)?;
            }
            lines += &format!("{}\n", serde_json::json!({ "file_name": path, "label": label }));
        }
        durable::write(&folder.join("metadata.jsonl"), lines.as_bytes())?;
    }
    Ok(())
}

/// A second name for the same bytes, or a copy where the folders are of two file systems.
fn link(from: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(from, to).is_err() {
        finetuned_files::open_strange(from)
            .and_then(|mut it| io::copy(&mut it, &mut fs::File::create_new(to)?))
            .with_context(|| format!("copying {}", from.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_below_their_split() {
        let home = tempfile::tempdir().unwrap();
        let (from, into) = (home.path().join("drop"), home.path().join("read"));
        fs::create_dir_all(from.join("scans")).unwrap();
        fs::create_dir(&into).unwrap();
        for name in ["scans/a.png", "scans/b.png"] {
            fs::write(from.join(name), name).unwrap();
        }
        let entry = |name: &str, label: &str| (name.to_string(), label.to_string());
        let open = vec![entry("scans/a.png", "cat"), entry("scans/a.png", "pet")];
        lay_out(BTreeMap::from([(None, open.clone())]), &from, &into).unwrap();
        assert_eq!(fs::read_to_string(into.join("scans/a.png")).unwrap(), "scans/a.png");
        let lines = "{\"file_name\":\"scans/a.png\",\"label\":\"cat\"}\n{\"file_name\":\"scans/a.png\",\"label\":\"pet\"}\n";
        assert_eq!(fs::read_to_string(into.join("metadata.jsonl")).unwrap(), lines);

        let into = home.path().join("split");
        fs::create_dir(&into).unwrap();
        lay_out(
            BTreeMap::from([(None, open), (Some("test"), vec![entry("scans/b.png", "dog")])]),
            &from,
            &into,
        )
        .unwrap();
        assert!(into.join("train/scans/a.png").exists() && into.join("test/scans/b.png").exists());
        assert!(fs::read_to_string(into.join("test/metadata.jsonl")).unwrap().contains("dog"));
    }
}
