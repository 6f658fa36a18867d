//! The base model that a recipe in a drop names, or an adapter that it names: a stranger's wish,
//! which must not make the server read what is not the stranger's. A folder in the drop is copied
//! file by file, without links, into the staging area; anything else is what the configuration
//! allows, and the hub is asked without a token. The answer to what is not allowed is the same
//! whether it exists or not.

use crate::durable;
use crate::failures;
use anyhow::{Context, Result};
use finetuned_hub::{Environment, Progress, Resolved};
use finetuned_job::bases;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::run_folder;
use finetuned_job::spec::Spec;
use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};

const CONFIG: &str = "config.json";
/// A base model has weights, a config and word lists; more is no base model.
const FILES_MAX: usize = 1_000;

/// `near`: the folder of the recipe. `to`: the name of a copy below the staging area.
pub(crate) fn resolve(
    spec: &Spec,
    base: &str,
    (near, to): (&Path, &str),
    progress: Progress,
) -> Result<Resolved> {
    let env = Environment { token: None, ..Environment::of_process() };
    if bases::allow(&spec.bases, base) {
        return Ok(finetuned_hub::resolve_in(&env, base, near, progress)?);
    }
    let path = Path::new(base);
    let is_within =
        path.components().all(|it| matches!(it, Component::Normal(_) | Component::CurDir));
    if base.starts_with("hf:") || base.starts_with('~') || !is_within {
        let message = format!(
            "the drop's recipe names the base model `{base}`, which is neither in the drop nor among those that drops may name here"
        );
        let cure = "put the model's folder into the drop, or let whoever runs finetuned allow it by [recipes] bases in config.toml, or bind the recipe to the inbox";
        return Err(Failure::new(FailureKind::Recipe, message).with_cure(cure).into());
    }
    let staged = spec.run.join(run_folder::STAGING).join(to);
    durable::remove_tree(&staged)?;
    fs::create_dir_all(&staged).with_context(|| format!("creating {}", staged.display()))?;
    copy(&near.join(path), &staged, base)?;
    Ok(finetuned_hub::resolve_in(&env, &staged.to_string_lossy(), near, progress)?)
}

/// The files that lie in the folder itself, and of folders in it the config, which says how rows
/// are made of a text's tokens: a base model has no others.
fn copy(from: &Path, to: &Path, base: &str) -> Result<()> {
    let refused = |message: String| -> anyhow::Error {
        Failure::new(FailureKind::Model, message)
            .with_cure("a base model in a drop is a folder of ordinary files without links")
            .into()
    };
    let is_folder = fs::symlink_metadata(from).is_ok_and(|it| it.is_dir());
    if !is_folder {
        return Err(refused(format!("the drop has no folder {base} with a base model")));
    }
    let listing = fs::read_dir(from).with_context(|| format!("listing {base}"))?;
    for (idx, entry) in listing.enumerate() {
        let entry = entry.with_context(|| format!("listing {base}"))?;
        let mut name = PathBuf::from(entry.file_name());
        if FILES_MAX <= idx {
            return Err(refused(format!("{base} holds more than {FILES_MAX} files")));
        }
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            let config = name.join(CONFIG);
            if fs::symlink_metadata(from.join(&config)).is_err() {
                continue;
            }
            fs::create_dir(to.join(&name)).with_context(|| format!("copying {base}"))?;
            name = config;
        }
        let spoken = format!("{base}/{}", name.display());
        let mut source = finetuned_files::open_strange(&from.join(&name))
            .map_err(|_| refused(format!("{spoken} is a link or no ordinary file")))?;
        let copied = File::create_new(to.join(&name))
            .and_then(|mut target| std::io::copy(&mut source, &mut target));
        copied
            .map_err(|err| failures::of(err.into()))
            .with_context(|| format!("copying {spoken}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_the_configs_of_folders_are_copied_and_links_refused() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let (from, to) = (home.join("base"), home.join("staged"));
        for folder in ["1_Pooling", "onnx"] {
            fs::create_dir_all(from.join(folder)).unwrap();
        }
        for file in ["config.json", "1_Pooling/config.json", "onnx/model.onnx"] {
            fs::write(from.join(file), file).unwrap();
        }
        fs::create_dir(&to).unwrap();
        copy(&from, &to, "base").unwrap();
        for file in ["config.json", "1_Pooling/config.json"] {
            assert_eq!(fs::read_to_string(to.join(file)).unwrap(), file);
        }
        assert!(!to.join("onnx").exists());

        let pooling = from.join("1_Pooling/config.json");
        fs::remove_file(&pooling).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &pooling).unwrap();
        let again = home.join("again");
        fs::create_dir(&again).unwrap();
        let err = copy(&from, &again, "base").unwrap_err().to_string();
        assert!(err.starts_with("base/1_Pooling/config.json is a link"), "{err}");
    }
}
