//! Takes settled drops out of an inbox: rows first, then one rename each into `runs/<id>/drop/`.
//! A crash between the two is repaired by `recovery` in either direction. What can't be moved
//! there is hidden where it lies, or left, and copied by `copy`; its original goes when the job
//! is over.

use crate::config::InboxConfig;
use crate::home::Home;
use crate::inbox::Settled;
use crate::observe::observe;
use crate::queue::{Job, NewDrop, Original, Queue};
use crate::{copy, importance, ownership};
use anyhow::{Context, Result};
use finetuned_files::{rename_new, sync_folder};
use finetuned_job::run_folder;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Rows in one transaction, so that thousands of drops cost dozens of syncs and not thousands.
const BATCH_MAX: usize = 256;

/// What came of the drops of one scan.
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    pub jobs: Vec<Job>,
    /// (name in the inbox, why it stays there)
    pub refused: Vec<(String, String)>,
}

/// What moving one drop gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    Here,
    /// It is to be copied from its hidden name.
    Hidden,
    /// It is to be copied from where it lies.
    Left,
    /// Its owner took it back first.
    Vanished,
}

/// # Errors
/// Only those of the database; what stays in the inbox is told in the result.
pub(crate) fn claim(
    queue: &mut Queue,
    home: &Home,
    inbox: &InboxConfig,
    settled: &[Settled],
) -> Result<Claimed> {
    let recipe = inbox.recipe.as_ref();
    let mut claimed = Claimed::default();
    for batch in settled.chunks(BATCH_MAX) {
        let drops: Vec<NewDrop> = batch
            .iter()
            .map(|it| NewDrop {
                name: &it.name,
                source: &it.path,
                fingerprint: it.fingerprint,
                recipe,
                priority: importance::of_drop(&it.path, recipe, inbox.priority_max),
                bytes: it.bytes,
            })
            .collect();
        let jobs = queue.announce(&drops).context("writing new jobs into the database")?;
        let moved: Vec<Result<Moved>> = jobs.iter().map(|job| take(home, job)).collect();
        let renamed = |it: &Result<Moved>| matches!(it, Ok(Moved::Here | Moved::Hidden));
        let renamed: Vec<&Job> =
            jobs.iter().zip(&moved).filter(|it| renamed(it.1)).map(|it| it.0).collect();
        flush(home, &renamed)?;
        let (mut here, mut left) = (Vec::new(), Vec::new());
        for (job, moved) in jobs.into_iter().zip(moved) {
            match moved {
                Ok(Moved::Here) => here.push(job.id),
                Ok(Moved::Hidden) => queue.claimed_in_place(job.id, Original::Hidden)?,
                Ok(Moved::Left) => queue.claimed_in_place(job.id, Original::Left)?,
                Ok(Moved::Vanished) | Err(_) => left.push(job.id),
            }
            match moved {
                Ok(Moved::Vanished) => {}
                Ok(_) => claimed.jobs.push(job),
                Err(err) => {
                    claimed.refused.push((job.name, format!("it can't be taken: {err:#}")));
                }
            }
        }
        queue.claimed(&here).context("marking jobs as queued in the database")?;
        queue.unclaim(&left).context("giving up claims in the database")?;
    }
    Ok(claimed)
}

/// Where a job's drop lies once it has been taken.
pub(crate) fn drop_of(home: &Home, job: &Job) -> PathBuf {
    home.runs().join(&job.run).join(run_folder::DROP).join(&job.name)
}

/// Where what can't be moved waits for its job's end: hidden, beside where it lay.
pub(crate) fn hidden_of(job: &Job) -> PathBuf {
    hidden_at(&job.source, &job.run, job.uuid.as_deref().unwrap_or_default())
}

/// The same by what a run folder says of itself.
pub(crate) fn hidden_at(source: &Path, run: &str, uuid: &str) -> PathBuf {
    let short = uuid.get(..8).unwrap_or(uuid);
    source.with_file_name(format!(".finetuned-{run}-{short}"))
}

/// Its name while it is being removed, whole or in part: nothing else is made of it any more.
fn leaving(hidden: &Path) -> PathBuf {
    let mut name = hidden.as_os_str().to_owned();
    name.push("-removed");
    name.into()
}

/// Whether something waits there, or what a removal left of it.
pub(crate) fn is_hidden(hidden: &Path) -> bool {
    hidden.exists() || leaving(hidden).exists()
}

/// Where the drop is to be copied from.
pub(crate) fn original_of(job: &Job) -> PathBuf {
    match job.original {
        Some(Original::Left) => job.source.clone(),
        Some(Original::Hidden) | None => hidden_of(job),
    }
}

/// What of the drop remains in the inbox.
pub(crate) fn remains_of(job: &Job) -> PathBuf {
    let leaving = leaving(&hidden_of(job));
    if leaving.exists() { leaving } else { original_of(job) }
}

/// Moves a job's drop into its run folder; again if it was begun before.
pub(crate) fn take(home: &Home, job: &Job) -> Result<Moved> {
    let run = home.runs().join(&job.run);
    ownership::make(&home.runs(), job)?;
    let moved = match rename_new(&job.source, &drop_of(home, job)) {
        Ok(()) => Ok(Moved::Here),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Moved::Vanished),
        // Another file system; or a folder of another user, which can't be taken out of its folder.
        Err(err) if is_barred(&err) || err.kind() == io::ErrorKind::CrossesDevices => hide(job),
        Err(err) => Err(err).with_context(|| format!("moving {}", job.source.display())),
    };
    if matches!(moved, Ok(Moved::Vanished) | Err(_)) {
        ownership::unmake(&run, job);
    }
    moved
}

/// A rename that a power cut undid is made again. False where what it moved is not there.
pub(crate) fn take_again(home: &Home, job: &Job) -> Result<bool> {
    let again = || format!("taking {} again", job.source.display());
    let seen = match observe(&job.source) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(false),
        seen => seen.with_context(again)?,
    };
    if seen.fingerprint != job.fingerprint {
        return Ok(false);
    }
    ownership::make(&home.runs(), job).with_context(again)?;
    rename_new(&job.source, &drop_of(home, job)).with_context(again)?;
    Ok(true)
}

fn is_barred(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Under its hidden name nobody goes on writing into it, and no scan takes it twice.
fn hide(job: &Job) -> Result<Moved> {
    match rename_new(&job.source, &hidden_of(job)) {
        Ok(()) => Ok(Moved::Hidden),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Moved::Vanished),
        Err(err) if is_barred(&err) => Ok(Moved::Left),
        Err(err) => Err(err).with_context(|| format!("hiding {}", job.source.display())),
    }
}

/// Everything that was renamed here is so after a power cut too: before any row says so.
pub(crate) fn flush(home: &Home, moved: &[&Job]) -> Result<()> {
    /// More folders than this are flushed with their whole file system.
    const FOLDERS_MAX: usize = 8;
    let runs = home.runs();
    let flush = || -> io::Result<()> {
        if FOLDERS_MAX < moved.len() {
            rustix::fs::syncfs(File::open(&runs)?)?;
        } else {
            let mut drops = moved.iter().map(|job| runs.join(&job.run).join(run_folder::DROP));
            drops.try_for_each(|it| flush_folder(&it))?;
        }
        // Which may lie on another file system.
        let inboxes: BTreeSet<&Path> = moved.iter().map(|job| job.inbox()).collect();
        inboxes.into_iter().try_for_each(flush_folder)
    };
    flush().with_context(|| format!("flushing {}", runs.display()))
}

/// Removes what waits hidden in the inbox. Its name changes first: half of it, after a crash or an
/// error, would else look like an original that has changed.
pub(crate) fn discard(hidden: &Path) -> Result<()> {
    let leaving = leaving(hidden);
    let discard = || -> io::Result<()> {
        copy::remove(&leaving)?;
        match rename_new(hidden, &leaving) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.and_then(|()| copy::remove(&leaving))?,
        }
        // Else a power cut brings it back when no row knows of it any more.
        hidden.parent().map_or(Ok(()), flush_folder)
    };
    discard().with_context(|| {
        format!(
            "{} has been copied and can't be removed: remove it, and give the daemon's user write permission on folders in the inbox (a common group with setgid, or `setfacl -d`)",
            leaving.display()
        )
    })
}

/// Removes the hidden original of a job that is over: its copy is there, and neither has changed.
/// One that has is given back. Where the job is being removed, whoever does it removes the original
/// too: given back, it would be taken and trained once more.
pub(crate) fn release(home: &Home, job: &Job) -> Result<()> {
    let hidden = hidden_of(job);
    let is_copied =
        || observe(&drop_of(home, job)).is_ok_and(|it| it.fingerprint == job.fingerprint);
    match observe(&hidden) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => discard(&hidden),
        Err(err) => Err(err).with_context(|| format!("looking at {}", hidden.display())),
        Ok(seen) if seen.fingerprint == job.fingerprint && is_copied() => discard(&hidden),
        Ok(_) if ownership::removed(&home.runs(), &job.run).exists() => Ok(()),
        Ok(_) => {
            rename_new(&hidden, &job.source).and_then(|()| flush_folder(job.inbox())).with_context(
                || format!("giving {} back as {}", hidden.display(), job.source.display()),
            )
        }
    }
}

/// One that is gone has nothing to flush, and some file systems of other machines know no flush of
/// a folder.
fn flush_folder(folder: &Path) -> io::Result<()> {
    match sync_folder(folder) {
        Err(err)
            if [io::ErrorKind::NotFound, io::ErrorKind::InvalidInput].contains(&err.kind()) =>
        {
            Ok(())
        }
        flushed => flushed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::Carriage;
    use crate::queue::State;
    use crate::story::Story;
    use crate::wake::{Bell, Wake};
    use std::fs;

    impl Story {
        fn dropped(&self, name: &str) -> Settled {
            let path = self.root.path().join("inbox").join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("data.csv"), "text,label\n").unwrap();
            let seen = observe(&path).unwrap();
            let name = name.into();
            Settled { name, path, fingerprint: seen.fingerprint, bytes: seen.bytes }
        }

        fn claim(&mut self, settled: &[Settled]) -> Claimed {
            let inbox = InboxConfig::at(self.root.path().join("inbox"));
            claim(&mut self.queue, &self.home, &inbox, settled).unwrap()
        }
    }

    #[test]
    fn a_drop_moves_whole_into_its_run_folder() {
        let mut story = Story::new();
        let drop = story.dropped("tweets");
        let claimed = story.claim(std::slice::from_ref(&drop));
        let job = story.queue.job(claimed.jobs[0].id).unwrap();
        assert!(matches!(job.state, State::Queued { .. }));
        assert!(!drop.path.exists());
        let here = drop_of(&story.home, &job);
        assert_eq!(here, story.home.runs().join("0001-tweets/drop/tweets"));
        assert_eq!(observe(&here).unwrap().fingerprint, job.fingerprint);
    }

    #[test]
    fn a_drop_that_its_owner_took_back_leaves_nothing() {
        let mut story = Story::new();
        let (gone, there) = (story.dropped("gone"), story.dropped("there"));
        fs::remove_dir_all(&gone.path).unwrap();
        let claimed = story.claim(&[gone, there]);
        assert_eq!(claimed.jobs.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["there"]);
        assert!(claimed.refused.is_empty());
        assert_eq!(story.queue.counts().unwrap(), [("queued".to_string(), 1)]);
        assert_eq!(fs::read_dir(story.home.runs()).unwrap().count(), 1);
    }

    /// A job whose drop waits hidden in the inbox, copied.
    fn copied_from_hidden(story: &mut Story) -> Job {
        let drop = story.dropped("far");
        let job = story.claim(std::slice::from_ref(&drop)).jobs.remove(0);
        fs::rename(drop_of(&story.home, &job), hidden_of(&job)).unwrap();
        let (bell, wakes) = Bell::new();
        Carriage::start(&story.home, &job, hidden_of(&job), Some(0), bell).unwrap();
        assert!(matches!(wakes.recv().unwrap(), Wake::Copied(_, Ok(()))));
        job
    }

    fn in_inbox(story: &Story) -> Vec<String> {
        let names = fs::read_dir(story.root.path().join("inbox")).unwrap();
        names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_a_kill_left_of_an_original_goes_and_never_comes_back() {
        let mut story = Story::new();
        let job = copied_from_hidden(&mut story);
        let here = observe(&drop_of(&story.home, &job)).unwrap();
        let leaving = leaving(&hidden_of(&job));
        fs::rename(hidden_of(&job), &leaving).unwrap();
        fs::remove_file(leaving.join("data.csv")).unwrap();
        release(&story.home, &job).unwrap();
        assert_eq!(in_inbox(&story), [""; 0]);
        assert_eq!(observe(&drop_of(&story.home, &job)).unwrap(), here);
    }

    #[test]
    fn an_original_goes_when_it_is_copied_and_comes_back_when_it_is_not() {
        let mut story = Story::new();
        let job = copied_from_hidden(&mut story);
        release(&story.home, &job).unwrap();
        assert_eq!(in_inbox(&story), [""; 0]);

        let mut story = Story::new();
        let job = copied_from_hidden(&mut story);
        fs::write(hidden_of(&job).join("more.csv"), "text,label\n").unwrap();
        release(&story.home, &job).unwrap();
        assert_eq!(in_inbox(&story), ["far"]);

        let mut story = Story::new();
        let job = copied_from_hidden(&mut story);
        copy::remove(&drop_of(&story.home, &job)).unwrap();
        release(&story.home, &job).unwrap();
        assert_eq!(in_inbox(&story), ["far"]);
    }

    #[test]
    fn an_original_does_not_come_back_while_its_job_is_removed() {
        let mut story = Story::new();
        let job = copied_from_hidden(&mut story);
        let runs = story.home.runs();
        fs::rename(runs.join(&job.run), ownership::removed(&runs, &job.run)).unwrap();
        release(&story.home, &job).unwrap();
        assert!(hidden_of(&job).exists() && !job.source.exists());
    }
}
