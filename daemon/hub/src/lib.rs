//! Decides which folder on disk a recipe's base model is: a path as it stands, or
//! `hf:OWNER/NAME[@REVISION]` in the cache that the Hugging Face libraries share, filled over the
//! network where something is missing.
//!
//! What the files say (architecture, tensors, tokens) is left to `models` and the worker. No file
//! that a model's author could hide code in is ever fetched or accepted: safetensors, JSON and word
//! lists only.

mod base; // the recipe's words -> a path or a name on the hub
mod environment; // HF_HOME, HF_TOKEN, … read once
mod resolved; // a base model on disk
mod wanted; // which files of a repository or folder count
mod failures; // what went wrong, in words a person can act on
mod beneath; // an adapter's folder -> the words for the model that it stands beside
mod cache; // the layout on disk
mod hub; // requests and answers
mod transfer; // one file: resumed, verified, renamed

pub use beneath::beneath;
pub use cache::CachedModel;
pub use environment::{Environment, Patience};
pub use resolved::{Progress, Resolved};
pub use wanted::TOKENIZER_FILES;

use base::{Base, HubName};
use cache::{Repo, Snapshot};
use failures::Trouble;
use finetuned_job::outcome::Failure;
use hub::Hub;
use std::path::{Path, PathBuf};

/// Finds `base`, and fetches what the cache lacks. What lies complete in the cache is used without
/// a request, so a finished fetch works without network for ever; [`pull`] asks whether there is
/// something newer.
///
/// # Errors Kind `Model` (`Disk` where the disk is at fault), with the repository, the file and the
/// cure.
pub fn resolve(base: &str, relative_to: &Path, progress: Progress) -> Result<Resolved, Failure> {
    resolve_in(&Environment::of_process(), base, relative_to, progress)
}

/// Whether [`resolve`] would ask the hub nothing, nor for the model that an adapter stands beside.
pub fn is_here(base: &str, relative_to: &Path) -> bool {
    let env = Environment::of_process();
    let folder = match Base::parse(base, relative_to, env.home.as_deref()) {
        Ok(Base::Hub(name)) if !env.offline => {
            let held = env.cache().ok().and_then(|it| Repo::new(it, &name).held());
            match held.filter(|it| it.is_whole(&name)) {
                Some(held) => held.folder,
                None => return false,
            }
        }
        Ok(Base::Folder(folder)) if !env.offline => folder,
        _ => return true,
    };
    match beneath(&folder, relative_to) {
        // An adapter of an adapter is refused, so one step is all.
        Ok(Some(named)) => match Base::parse(&named, relative_to, env.home.as_deref()) {
            Ok(Base::Hub(name)) => {
                let held = env.cache().ok().and_then(|it| Repo::new(it, &name).held());
                held.is_some_and(|it| it.is_whole(&name))
            }
            _ => true,
        },
        _ => true,
    }
}

/// The folder that `base` names; none where it is a name on the hub, or none at all.
pub fn folder(base: &str, relative_to: &Path) -> Option<PathBuf> {
    match Base::parse(base, relative_to, Environment::of_process().home.as_deref()) {
        Ok(Base::Folder(folder)) => Some(folder),
        Ok(Base::Hub(_)) | Err(_) => None,
    }
}

/// [`resolve`] in a given environment.
pub fn resolve_in(
    env: &Environment,
    base: &str,
    relative_to: &Path,
    progress: Progress,
) -> Result<Resolved, Failure> {
    match Base::parse(base, relative_to, env.home.as_deref())? {
        Base::Folder(folder) => local(base, folder),
        Base::Hub(name) => {
            let repo = Repo::new(env.cache()?, &name);
            match repo.held() {
                Some(held) if held.is_whole(&name) => Ok(held.resolved(&name)),
                Some(held) if held.lack().is_none() => complete(env, &name, &repo, held, progress),
                _ => fetch(env, &name, &repo, name.revision(), progress),
            }
        }
    }
}

/// Asks the hub for the revision as it is now, fetches what has changed, and falls back to nothing.
///
/// # Errors
/// As [`resolve`]; offline, the cache must hold the model.
pub fn pull(base: &str, relative_to: &Path, progress: Progress) -> Result<Resolved, Failure> {
    pull_in(&Environment::of_process(), base, relative_to, progress)
}

/// [`pull`] in a given environment.
pub fn pull_in(
    env: &Environment,
    base: &str,
    relative_to: &Path,
    progress: Progress,
) -> Result<Resolved, Failure> {
    match Base::parse(base, relative_to, env.home.as_deref())? {
        Base::Hub(name) if !env.offline => {
            fetch(env, &name, &Repo::new(env.cache()?, &name), name.revision(), progress)
        }
        _ => resolve_in(env, base, relative_to, progress),
    }
}

/// What the cache holds, by name; empty where there is no cache.
pub fn list() -> Vec<CachedModel> {
    list_in(&Environment::of_process())
}

/// [`list`] in a given environment.
pub fn list_in(env: &Environment) -> Vec<CachedModel> {
    env.cache.as_deref().map(cache::list).unwrap_or_default()
}

fn local(base: &str, folder: PathBuf) -> Result<Resolved, Failure> {
    if !folder.is_dir() {
        return Err(failures::no_folder(base, &folder));
    }
    if let Some(lack) = wanted::lack(&folder) {
        return Err(failures::folder_lacks(&folder, &lack));
    }
    let folder = folder.canonicalize().unwrap_or(folder);
    let name =
        folder.file_name().map_or_else(|| "base".into(), |it| it.to_string_lossy().into_owned());
    Ok(Resolved { folder, name, revision: None })
}

/// A snapshot that another program left without tokenizer.json or modules.json: the hub may have
/// it, but its absence is no reason to fail. Asks for the very commit, so that a branch that moved
/// on changes nothing here.
fn complete(
    env: &Environment,
    name: &HubName,
    repo: &Repo,
    held: Snapshot,
    progress: Progress,
) -> Result<Resolved, Failure> {
    if env.offline {
        return Ok(held.resolved(name));
    }
    Ok(fetch(env, name, repo, &held.commit, progress).unwrap_or_else(|_| held.resolved(name)))
}

/// Brings what is wanted of `revision` into the cache. The reference is written last: it names only
/// snapshots that are whole.
fn fetch(
    env: &Environment,
    name: &HubName,
    repo: &Repo,
    revision: &str,
    progress: Progress,
) -> Result<Resolved, Failure> {
    if env.offline {
        return Err(failures::offline(name));
    }
    let hub = Hub::new(env, name);
    let listing = hub.listing(revision).map_err(|why| why.of_repository(env, name, revision))?;
    let mut files = wanted::of_listing(&listing.files)
        .map_err(|lack| failures::repository_lacks(name, &lack))?;
    let mut file_idx = 0;
    while let Some(file) = files.get(file_idx).cloned() {
        let path = file_into_cache(env, &hub, repo, &listing.commit, &file, progress)
            .map_err(|why| why.of_file(env, name, &file))?;
        if file == wanted::INDEX {
            files.extend(wanted::shards(&path).map_err(|why| failures::bad_index(&path, &why))?);
        }
        file_idx += 1;
    }
    let snapshot = Snapshot { folder: repo.snapshot(&listing.commit), commit: listing.commit };
    repo.refer(revision, &snapshot.commit).map_err(|why| why.of_file(env, name, "refs"))?;
    Ok(snapshot.resolved(name))
}

/// One file: known already, or there under another commit, or fetched; then linked into the
/// snapshot.
fn file_into_cache(
    env: &Environment,
    hub: &Hub,
    repo: &Repo,
    commit: &str,
    file: &str,
    progress: Progress,
) -> Result<PathBuf, Trouble> {
    let pointer = repo.snapshot(commit).join(file);
    if pointer.is_file() {
        return Ok(pointer);
    }
    let remote = hub.describe(commit, file)?;
    let lock = repo.lock(&remote.etag, &mut || progress(file, 0, remote.bytes))?;
    let blob = repo.blob(&remote.etag)?;
    if !blob.is_file() {
        transfer::bring(env.patience, hub, &remote, &blob, progress)?;
    }
    repo.point(&pointer, &blob)?;
    drop(lock);
    Ok(pointer)
}
