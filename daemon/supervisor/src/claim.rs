//! Takes settled drops out of an inbox: rows first, then one rename each into `runs/<id>/drop/`. A
//! crash between the two is repaired by `recovery` in either direction. Nobody's data is ever
//! deleted: from another file system a drop is copied, synced and compared before the original
//! goes.

use crate::home::Home;
use crate::inbox::Settled;
use crate::moves::rename_new;
use crate::observe::observe;
use crate::ownership;
use crate::queue::{Job, NewDrop, Queue};
use anyhow::{Context, Result, bail};
use finetuned_job::run_folder;
use finetuned_job::spec::RecipeText;
use std::fs::{self, File};
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
    /// Its owner took it back first.
    Vanished,
}

/// # Errors
/// Only those of the database; what stays in the inbox is told in the result.
pub(crate) fn claim(
    queue: &mut Queue,
    home: &Home,
    recipe: Option<&RecipeText>,
    settled: &[Settled],
) -> Result<Claimed> {
    let mut claimed = Claimed::default();
    for batch in settled.chunks(BATCH_MAX) {
        let drops: Vec<NewDrop> = batch
            .iter()
            .map(|it| NewDrop {
                name: &it.name,
                source: &it.path,
                fingerprint: it.fingerprint,
                recipe,
            })
            .collect();
        let jobs = queue.announce(&drops).context("writing new jobs into the database")?;
        let mut taken = Vec::new();
        let mut left = Vec::new();
        for job in jobs {
            match take(home, &job) {
                Ok(Moved::Here) => {
                    taken.push(job.id);
                    claimed.jobs.push(job);
                }
                Ok(Moved::Vanished) => left.push(job.id),
                Err(err) => {
                    left.push(job.id);
                    claimed.refused.push((job.name, format!("it can't be taken: {err:#}")));
                }
            }
        }
        queue.claimed(&taken).context("marking jobs as queued in the database")?;
        queue.unclaim(&left).context("giving up claims in the database")?;
    }
    Ok(claimed)
}

/// Where a job's drop lies once it has been taken.
pub(crate) fn drop_of(home: &Home, job: &Job) -> PathBuf {
    home.runs().join(&job.run).join(run_folder::DROP).join(&job.name)
}

/// Moves a job's drop into its run folder; again if it was begun before.
pub(crate) fn take(home: &Home, job: &Job) -> Result<Moved> {
    let target = drop_of(home, job);
    let run = home.runs().join(&job.run);
    let folder = run.join(run_folder::DROP);
    ownership::make(&home.runs(), job)?;
    let moved = match rename_new(&job.source, &target) {
        Ok(()) => Ok(Moved::Here),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Moved::Vanished),
        Err(err) if err.kind() == io::ErrorKind::CrossesDevices => copy_over(job, &folder, &target),
        Err(err) => Err(err).with_context(|| format!("moving {}", job.source.display())),
    };
    if !matches!(moved, Ok(Moved::Here)) {
        ownership::unmake(&run, job);
    }
    moved
}

/// A copy under another name, complete and compared, then renamed, then the original goes.
fn copy_over(job: &Job, folder: &Path, target: &Path) -> Result<Moved> {
    let partial = folder.join(format!(".{}.partial", job.name));
    let result = copy_whole(&job.source, &partial).and_then(|()| {
        let copied = (observe(&partial)?.fingerprint, observe(&job.source)?.fingerprint);
        if copied != (job.fingerprint, job.fingerprint) {
            bail!("it changed while it was copied from another file system");
        }
        rename_new(&partial, target)?;
        File::open(folder)?.sync_all()?;
        Ok(())
    });
    if let Err(err) = result {
        remove(&partial).context("removing an unfinished copy")?;
        return Err(err.context(format!("copying {}", job.source.display())));
    }
    remove_original(job, target)?;
    Ok(Moved::Here)
}

/// The copy is there; the original goes, unless it has become something else meanwhile.
pub(crate) fn remove_original(job: &Job, copy: &Path) -> Result<()> {
    let same = match observe(&job.source) {
        Ok(seen) => {
            seen.fingerprint == job.fingerprint && observe(copy)?.fingerprint == job.fingerprint
        }
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(err.into()),
    };
    if same {
        remove(&job.source)
            .with_context(|| format!("removing {}, which has been copied", job.source.display()))
    } else {
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(err) => Err(err),
    }
}

/// Contents and times, synced; links as links. What is neither file, folder nor link stops it.
fn copy_whole(from: &Path, to: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(from)?;
    if meta.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
        let times = rustix::fs::Timestamps {
            last_access: time(meta.accessed()?),
            last_modification: time(meta.modified()?),
        };
        rustix::fs::utimensat(rustix::fs::CWD, to, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
        return Ok(());
    }
    if meta.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_whole(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if meta.is_file() {
        fs::copy(from, to)?;
    } else {
        bail!("{} is neither a file nor a folder", from.display());
    }
    let copy = File::open(to)?;
    copy.set_modified(meta.modified()?)?;
    copy.sync_all()?;
    Ok(())
}

fn time(at: std::time::SystemTime) -> rustix::fs::Timespec {
    let since = at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    rustix::fs::Timespec {
        tv_sec: since.as_secs().cast_signed(),
        tv_nsec: since.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::State;

    struct Story {
        root: tempfile::TempDir,
        home: Home,
        queue: Queue,
    }

    impl Story {
        fn new() -> Story {
            let root = tempfile::tempdir().unwrap();
            let home = Home::new(root.path().join("home"));
            home.create().unwrap();
            fs::create_dir(root.path().join("inbox")).unwrap();
            let queue = Queue::open(&home.database()).unwrap();
            Story { root, home, queue }
        }

        fn dropped(&self, name: &str) -> Settled {
            let path = self.root.path().join("inbox").join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("data.csv"), "text,label\n").unwrap();
            Settled { name: name.into(), fingerprint: observe(&path).unwrap().fingerprint, path }
        }

        fn claim(&mut self, settled: &[Settled]) -> Claimed {
            claim(&mut self.queue, &self.home, None, settled).unwrap()
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

    #[test]
    fn a_copy_is_compared_before_the_original_goes() {
        let mut story = Story::new();
        let drop = story.dropped("far");
        std::os::unix::fs::symlink("data.csv", drop.path.join("link")).unwrap();
        let settled = Settled { fingerprint: observe(&drop.path).unwrap().fingerprint, ..drop };
        let new = NewDrop {
            name: "far",
            source: &settled.path,
            fingerprint: settled.fingerprint,
            recipe: None,
        };
        let job = story.queue.announce(&[new]).unwrap().remove(0);
        let target = drop_of(&story.home, &job);
        let folder = target.parent().unwrap();
        ownership::make(&story.home.runs(), &job).unwrap();

        let stale = Job { fingerprint: crate::settle::Fingerprint(1), ..job.clone() };
        let message = format!("{:#}", copy_over(&stale, folder, &target).unwrap_err());
        assert!(message.contains("it changed while it was copied"), "{message}");
        assert!(settled.path.exists() && !target.exists());
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);

        assert_eq!(copy_over(&job, folder, &target).unwrap(), Moved::Here);
        assert!(!settled.path.exists());
        assert_eq!(observe(&target).unwrap().fingerprint, job.fingerprint);
    }
}
