//! Decides where things lie in the cache: the layout that Python's huggingface_hub, hf-hub and this
//! crate share.
//!
//! `models--OWNER--NAME/blobs/HASH` holds content, `snapshots/COMMIT/FILE` links to it,
//! `refs/BRANCH` names a commit, `.locks/models--OWNER--NAME/HASH.lock` is held (flock) by whoever
//! fetches that content. What to fetch and from where is not known here.

use crate::base::{HubName, is_plain};
use crate::failures::Trouble;
use crate::resolved::Resolved;
use crate::wanted;
use hf_hub::{CacheRepo, RepoType};
use serde::Serialize;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks at a lock that another process holds.
const LOCK_LOOK: Duration = Duration::from_millis(200);
/// Deepest folder of a snapshot that is listed; models of the hub have two or three.
const DEPTH_MAX: usize = 8;

/// Whoever makes models whose rows of a text are means, mostly.
const SENTENCES: &str = "sentence-transformers/";

/// One model at one revision, in the cache.
pub(crate) struct Repo {
    layout: CacheRepo,
    revision: String,
    folder: PathBuf,
    locks: PathBuf,
}

/// A commit of a model, as far as it is in the cache.
pub(crate) struct Snapshot {
    pub(crate) folder: PathBuf,
    pub(crate) commit: String,
}

impl Snapshot {
    /// What keeps it from being a base model.
    pub(crate) fn lack(&self) -> Option<wanted::Lack> {
        wanted::lack(&self.folder)
    }

    /// Nothing that a base model may have is missing. (A model without tokenizer.json is never sure
    /// of it, nor is one of sentence-transformers without modules.json, which transformers' own
    /// classes leave out. An adapter needs neither.)
    pub(crate) fn is_whole(&self, name: &HubName) -> bool {
        let has = |file| self.folder.join(file).is_file();
        let of_sentences = name.id.starts_with(SENTENCES);
        if wanted::is_adapter_folder(&self.folder) {
            return self.lack().is_none();
        }
        self.lack().is_none() && has(wanted::TOKENIZER) && (!of_sentences || has(wanted::MODULES))
    }

    pub(crate) fn resolved(self, name: &HubName) -> Resolved {
        Resolved { folder: self.folder, name: name.id.clone(), revision: Some(self.commit) }
    }
}

impl Repo {
    pub(crate) fn new(cache: &Path, name: &HubName) -> Repo {
        let repo =
            hf_hub::Repo::with_revision(name.id.clone(), RepoType::Model, name.revision().into());
        let folder = cache.join(repo.folder_name());
        let locks = cache.join(".locks").join(repo.folder_name());
        Repo {
            layout: hf_hub::Cache::new(cache.into()).repo(repo),
            revision: name.revision().into(),
            folder,
            locks,
        }
    }

    /// The snapshot that the revision names here, whole or not.
    pub(crate) fn held(&self) -> Option<Snapshot> {
        let by_commit = self.snapshot(&self.revision);
        let folder = if by_commit.is_dir() {
            by_commit
        } else {
            let named = ["config.json", wanted::ADAPTER_CONFIG];
            named.iter().find_map(|it| self.layout.get(it))?.parent()?.to_owned()
        };
        let commit = folder.file_name()?.to_str()?.to_owned();
        Some(Snapshot { folder, commit })
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.layout.pointer_path(commit)
    }

    /// Where the content with this hash belongs; its folder exists afterwards.
    pub(crate) fn blob(&self, etag: &str) -> Result<PathBuf, Trouble> {
        let folder = self.folder.join("blobs");
        fs::create_dir_all(&folder).map_err(|err| Trouble::disk(&folder, err))?;
        Ok(folder.join(etag))
    }

    /// Waits until no other process fetches this content; calls `waiting` while it does. Held until
    /// dropped. Where the file system knows no locks there is none: the hash still guards the
    /// content.
    pub(crate) fn lock(&self, etag: &str, waiting: &mut dyn FnMut()) -> Result<File, Trouble> {
        let path = self.locks.join(format!("{etag}.lock"));
        fs::create_dir_all(&self.locks).map_err(|err| Trouble::disk(&self.locks, err))?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|err| Trouble::disk(&path, err))?;
        while let Err(TryLockError::WouldBlock) = file.try_lock() {
            waiting();
            std::thread::sleep(LOCK_LOOK);
        }
        Ok(file)
    }

    /// Makes `pointer`, a file of a snapshot, a relative link to `blob`.
    pub(crate) fn point(&self, pointer: &Path, blob: &Path) -> Result<(), Trouble> {
        // Up to the snapshot, and out of it: `1_Pooling/config.json` lies one folder deeper.
        let snapshots = self.folder.join("snapshots");
        let depth = pointer.strip_prefix(&snapshots).map_or(2, |it| it.components().count());
        let up: PathBuf = std::iter::repeat_n("..", depth).collect();
        let target = up.join("blobs").join(blob.file_name().unwrap_or_default());
        let link = || {
            fs::create_dir_all(pointer.parent().unwrap_or(pointer))?;
            match std::os::unix::fs::symlink(&target, pointer) {
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists && pointer.is_file() => {
                    Ok(())
                }
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                    fs::remove_file(pointer)?;
                    std::os::unix::fs::symlink(&target, pointer)
                }
                other => other,
            }
        };
        link().map_err(|err| Trouble::disk(pointer, err))
    }

    /// Notes that the revision, where it is a branch or a tag and was what was `asked`, is `commit`
    /// now.
    pub(crate) fn refer(&self, asked: &str, commit: &str) -> Result<(), Trouble> {
        if asked != self.revision || asked == commit {
            return Ok(());
        }
        self.layout
            .create_ref(commit)
            .map_err(|err| Trouble::disk(&self.folder.join("refs").join(asked), err))
    }
}

/// A model in the cache, for `model list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CachedModel {
    /// `OWNER/NAME`.
    pub name: String,
    /// The commit.
    pub revision: String,
    /// Branches and tags that name it here.
    pub refs: Vec<String>,
    pub folder: PathBuf,
    /// Relative to `folder`, sorted.
    pub files: Vec<String>,
    pub bytes: u64,
    /// Whether it can be a base model: config.json and safetensors weights are all there.
    pub usable: bool,
}

pub(crate) fn list(cache: &Path) -> Vec<CachedModel> {
    let mut models = Vec::new();
    for repo in names(cache) {
        let Some(name) = repo.strip_prefix("models--").map(|it| it.replace("--", "/")) else {
            continue;
        };
        let refs = refs(&cache.join(&repo).join("refs"));
        let snapshots = cache.join(&repo).join("snapshots");
        for revision in names(&snapshots) {
            let folder = snapshots.join(&revision);
            let mut files = Vec::new();
            walk(&folder, "", 0, &mut files);
            files.sort();
            models.push(CachedModel {
                name: name.clone(),
                refs: refs.iter().filter(|it| it.1 == revision).map(|it| it.0.clone()).collect(),
                bytes: files.iter().map(|it| it.1).sum(),
                files: files.into_iter().map(|it| it.0).collect(),
                usable: wanted::lack(&folder).is_none(),
                revision,
                folder,
            });
        }
    }
    models.sort_by(|a, b| (&a.name, &a.revision).cmp(&(&b.name, &b.revision)));
    models
}

/// (branch or tag, commit).
fn refs(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    walk(folder, "", 0, &mut files);
    let read = |name: String| {
        fs::read_to_string(folder.join(&name)).ok().map(|commit| (name, commit.trim().to_owned()))
    };
    files.into_iter().filter_map(|it| read(it.0)).collect()
}

/// Plain names in a folder; nothing where it can't be read.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|it| it.file_name().into_string().ok()).filter(|it| is_plain(it)).collect()
}

/// Files below `folder` with their sizes; links to folders are not followed, broken links are left
/// out.
fn walk(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<(String, u64)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{name}");
        match (entry.file_type(), fs::metadata(entry.path())) {
            (Ok(kind), _) if kind.is_dir() && depth < DEPTH_MAX => {
                walk(&entry.path(), &format!("{name}/"), depth + 1, files)
            }
            (_, Ok(facts)) if facts.is_file() => files.push((name, facts.len())),
            _ => (),
        }
    }
}
