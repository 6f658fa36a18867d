//! Hands a drop over to an inbox: a copy under a hidden name, flushed, which gets its own name by
//! one rename when it is whole, and never the name of something else. Taking it is the daemon's.

use crate::copy::{self, Copy};
use crate::observe::observe;
use crate::settle::{Fingerprint, Observation, is_no_drop};
use crate::writers::{self, Use};
use anyhow::{Context, Result, bail};
use finetuned_files::{rename_new, sync_folder};
use finetuned_job::recipe;
use finetuned_job::spec::RecipeText;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Begins the names that copies under way have in an inbox; scans pass hidden names over.
const HIDDEN: &str = ".submit-";
/// Before the rename to come, by more than the clocks of file systems are coarse: a folder that is
/// older than its name has come whole.
const OLDER: Duration = Duration::from_secs(1);

/// A whole copy in the inbox that nobody takes yet.
pub(crate) struct Staged {
    folder: TempDir,
    copy: PathBuf,
    inbox: PathBuf,
    /// The name that it will have.
    pub entry: PathBuf,
    /// No other drop has it, since the copy has a time of its own.
    pub fingerprint: Fingerprint,
}

impl Staged {
    /// `recipe` goes along as the drop's job.toml; a single file then lies in a folder with it.
    ///
    /// # Errors
    /// The drop is not complete or not a drop, or the copy failed; nothing of it stays. Of kind
    /// `copy::STOPPED` when `stop` was set.
    pub fn copy(
        drop: &Path,
        inbox: &Path,
        recipe: Option<&RecipeText>,
        reserve: Option<u64>,
        stop: &AtomicBool,
    ) -> Result<Staged> {
        let name = drop.file_name().with_context(|| format!("{} has no name", drop.display()))?;
        let before = complete(drop)?;
        if inbox.starts_with(drop) || drop.parent() == Some(inbox) {
            bail!("{} lies in the inbox, or the inbox in it", drop.display());
        }
        let bytes = copy::size(drop).with_context(|| format!("reading {}", drop.display()))?;
        copy::room(inbox, bytes, reserve)?;
        let staging = tempfile::Builder::new().prefix(HIDDEN).tempdir_in(inbox);
        let folder = staging.with_context(|| {
            format!("making a folder in the inbox {}: it needs write permission", inbox.display())
        })?;
        let own_folder = recipe.is_some() && !drop.is_dir();
        let mut copy = folder.path().join(name);
        if own_folder {
            let stem = copy.with_extension("");
            // Of `a.part.csv` the stem is a name that inboxes pass over.
            if !stem.file_name().is_none_or(|it| is_no_drop(&it.to_string_lossy())) {
                copy = stem;
            }
            fs::create_dir(&copy)?;
        }
        let data = if own_folder { copy.join(name) } else { copy.clone() };
        Copy { stop, bytes: &AtomicU64::new(0), total: &AtomicU64::new(0) }
            .whole(drop, &data)
            .with_context(|| format!("copying {}", drop.display()))?;
        if complete(drop)?.fingerprint != before.fingerprint {
            bail!("{} changes while it is copied: submit it when it is complete", drop.display());
        }
        if let Some(recipe) = recipe {
            add(recipe, &copy).with_context(|| format!("adding job.toml to {}", drop.display()))?;
        }
        let top = File::open(&copy)?;
        top.set_modified(SystemTime::now() - OLDER)?;
        top.sync_all()?;
        let entry = inbox.join(copy.file_name().unwrap_or(name));
        let fingerprint = observe(&copy)?.fingerprint;
        Ok(Staged { folder, copy, inbox: inbox.to_path_buf(), entry, fingerprint })
    }

    /// From here on it is the daemon's.
    ///
    /// # Errors
    /// Kind `AlreadyExists` when something has the name; it may be tried again.
    pub fn place(&self) -> io::Result<()> {
        rename_new(&self.copy, &self.entry)?;
        // What stays of it means nothing.
        let _ = fs::remove_dir(self.folder.path());
        sync_folder(&self.inbox)
    }
}

/// Whether there is something that could be taken, and nobody is at work on it.
fn complete(drop: &Path) -> Result<Observation> {
    let name = drop.file_name().unwrap_or_default().to_string_lossy();
    if is_no_drop(&name) {
        bail!("{name} is a name that inboxes pass over (hidden, under way, litter): rename it");
    }
    let seen = observe(drop).with_context(|| format!("reading {}", drop.display()))?;
    if !seen.has_data {
        bail!("{} holds no data", drop.display());
    }
    if let Some(file) = seen.under_way {
        bail!("{}: {file} is still being written, by its name", drop.display());
    }
    match writers::examine(drop) {
        Use::Free => Ok(seen),
        Use::Written(file) => {
            bail!(
                "{} is open for writing: submit it when it is complete",
                drop.join(file).display()
            )
        }
        Use::Unreadable(file, why) => bail!("{} can't be read: {why}", drop.join(file).display()),
    }
}

fn add(recipe: &RecipeText, copy: &Path) -> Result<()> {
    let file = copy.join(recipe::FILE);
    let mut file = File::create_new(file).map_err(|err| match err.kind() {
        io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!("it has one, which wins over any other recipe: leave --recipe out")
        }
        _ => err.into(),
    })?;
    file.write_all(recipe.text.as_bytes())?;
    Ok(file.sync_all()?)
}
