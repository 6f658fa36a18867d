//! Copies a drop that can't be moved into its run folder, in a thread of its own: room is made sure
//! of first, nobody may be writing, and the copy counts only when it and its original look as the
//! job's drop did. The original is never touched here.

use crate::home::Home;
use crate::observe::observe;
use crate::queue::{Job, JobId};
use crate::wake::{Bell, NotCopied, Wake};
use crate::words;
use crate::writers::{self, Use};
use anyhow::{Context, Result, bail};
use finetuned_files::{rename_new, sync_folder};
use finetuned_job::run_folder;
use rustix::fs::AtFlags;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

/// The copy's name until it is whole: short, for the drop's own may have all 255 bytes.
pub(crate) const PARTIAL: &str = ".partial";
/// Between two looks at whether to stop.
const CHUNK_BYTES: usize = 1 << 20;
/// A stopped copy ends with this error.
pub(crate) const STOPPED: io::ErrorKind = io::ErrorKind::Interrupted;

/// A copy under way.
pub(crate) struct Carriage {
    pub job: JobId,
    pub name: String,
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    total: Arc<AtomicU64>,
}

impl Carriage {
    pub fn start(
        home: &Home,
        job: &Job,
        from: PathBuf,
        reserve: Option<u64>,
        bell: Bell,
    ) -> Result<Carriage> {
        let stop = Arc::<AtomicBool>::default();
        let (bytes, total) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (home, job) = (home.clone(), job.clone());
        let carriage = Carriage {
            job: job.id,
            name: job.name.clone(),
            stop: stop.clone(),
            bytes: bytes.clone(),
            total: total.clone(),
        };
        let work = move || {
            let mut copy = Copy { stop: &stop, bytes: &bytes, total: &total };
            let copied = copy.carry(&home, &job, &from, reserve);
            bell.ring(Wake::Copied(job.id, copied));
        };
        thread::Builder::new().name("copy".into()).spawn(work).context("starting a thread")?;
        Ok(carriage)
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// 0 until the copy has looked.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// A copy of files and folders that may be stopped.
pub(crate) struct Copy<'a> {
    pub stop: &'a AtomicBool,
    pub bytes: &'a AtomicU64,
    pub total: &'a AtomicU64,
}

impl Copy<'_> {
    fn carry(
        &mut self,
        home: &Home,
        job: &Job,
        from: &Path,
        reserve: Option<u64>,
    ) -> Result<(), NotCopied> {
        let failed = |err: anyhow::Error| NotCopied::Failed(format!("{err:#}"));
        let folder = home.runs().join(&job.run).join(run_folder::DROP);
        let target = folder.join(&job.name);
        // Placed before a crash, and not yet in the database.
        if observe(&target).is_ok_and(|it| it.fingerprint == job.fingerprint) {
            return sync_folder(&folder).map_err(|err| failed(err.into()));
        }
        match writers::examine(from) {
            Use::Free => {}
            Use::Written(file) => return Err(NotCopied::Written(file.display().to_string())),
            Use::Unreadable(file, why) => {
                let what = from.join(file);
                return Err(NotCopied::Failed(format!("{}: {why}", what.display())));
            }
        }
        let unchanged = |path: &Path| match observe(path) {
            Ok(seen) if seen.fingerprint == job.fingerprint => Ok(()),
            Ok(seen) => Err(NotCopied::Changed(seen.fingerprint)),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Err(NotCopied::Gone),
            Err(err) => Err(failed(err.into())),
        };
        unchanged(from)?;
        // Of what the original was before.
        remove(&target).map_err(|err| failed(err.into()))?;
        let total = size(from).map_err(|err| failed(err.into()))?;
        self.total.store(total, Ordering::Relaxed);
        room(&folder, total, reserve).map_err(failed)?;
        let partial = folder.join(PARTIAL);
        remove(&partial).map_err(|err| failed(err.into()))?;
        let copied = self.whole(&writers::resolved(from), &partial).map_err(|err| {
            match err.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(STOPPED) => NotCopied::Stopped,
                Some(io::ErrorKind::NotFound) => NotCopied::Changed(job.fingerprint),
                _ => failed(err.context(format!("copying {}", from.display()))),
            }
        });
        let placed = copied.and_then(|()| unchanged(from)).and_then(|()| {
            let same = observe(&partial).is_ok_and(|it| it.fingerprint == job.fingerprint);
            let place = || -> Result<()> {
                if !same {
                    bail!("the copy of {} does not look like it", from.display());
                }
                rename_new(&partial, &target)?;
                Ok(sync_folder(&folder)?)
            };
            place().map_err(failed)
        });
        if placed.is_err() {
            // The next attempt removes it too.
            let _ = remove(&partial);
        }
        placed
    }

    /// Contents and times, flushed; links as links. What is neither file, folder nor link stops it.
    pub fn whole(&mut self, from: &Path, to: &Path) -> Result<()> {
        let meta = fs::symlink_metadata(from)?;
        if meta.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
            let times = rustix::fs::Timestamps {
                last_access: time(meta.accessed()?),
                last_modification: time(meta.modified()?),
            };
            rustix::fs::utimensat(rustix::fs::CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?;
            return Ok(());
        }
        if meta.is_dir() {
            fs::create_dir(to)?;
            for entry in fs::read_dir(from)? {
                let entry = entry?;
                self.whole(&entry.path(), &to.join(entry.file_name()))?;
            }
        } else if meta.is_file() {
            self.file(from, to)?;
        } else {
            bail!("{} is neither a file nor a folder: remove it", from.display());
        }
        let copy = File::open(to)?;
        copy.set_modified(meta.modified()?)?;
        copy.sync_all()?;
        Ok(())
    }

    fn file(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mut source = finetuned_files::open_strange(from)?;
        let mut target = File::create_new(to)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(STOPPED.into());
            }
            match source.read(&mut chunk)? {
                0 => return Ok(()),
                n => {
                    target.write_all(&chunk[..n])?;
                    self.bytes.fetch_add(n as u64, Ordering::Relaxed);
                }
            }
        }
    }
}

/// What must stay free: the setting, else a gigabyte, and of small disks a twentieth.
pub(crate) fn reserve_of(stat: &rustix::fs::StatVfs, setting: Option<u64>) -> u64 {
    const RESERVE_MAX: u64 = 1_000_000_000;
    setting.unwrap_or_else(|| RESERVE_MAX.min(stat.f_blocks * stat.f_frsize / 20))
}

/// # Errors
/// So many bytes would not leave the reserve.
pub(crate) fn room(folder: &Path, bytes: u64, reserve: Option<u64>) -> Result<()> {
    let stat = rustix::fs::statvfs(folder)
        .with_context(|| format!("asking for the space of {}", folder.display()))?;
    let (free, reserve) = (stat.f_bavail * stat.f_frsize, reserve_of(&stat, reserve));
    if free < bytes.saturating_add(reserve) {
        bail!(
            "it needs {}, and of the {} that are free {} are kept in reserve: free some space, or set `reserve` in config.toml",
            words::bytes(bytes),
            words::bytes(free),
            words::bytes(reserve)
        );
    }
    Ok(())
}

/// Of the files, without what folders take.
pub(crate) fn size(entry: &Path) -> io::Result<u64> {
    let meta = fs::symlink_metadata(entry)?;
    if !meta.is_dir() {
        return Ok(meta.size());
    }
    fs::read_dir(entry)?.map(|it| size(&it?.path())).sum()
}

pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(err) => Err(err),
    }
}

fn time(at: SystemTime) -> rustix::fs::Timespec {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    rustix::fs::Timespec {
        tv_sec: since.as_secs().cast_signed(),
        tv_nsec: since.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership;
    use crate::queue::{NewDrop, Queue};
    use crate::wake::Bell;

    /// A job whose original lies at `from`, uncopied.
    fn uncopied(root: &Path) -> (Home, Job, PathBuf) {
        let home = Home::new(root.join("home"));
        home.create().unwrap();
        let from = root.join("far.csv");
        fs::write(&from, "text,label\n").unwrap();
        let fingerprint = observe(&from).unwrap().fingerprint;
        let drop = NewDrop {
            name: "far.csv",
            source: &from,
            fingerprint,
            recipe: None,
            priority: 0,
            bytes: 0,
        };
        let mut queue = Queue::open(&home.database()).unwrap();
        let job = queue.announce(&[drop]).unwrap().remove(0);
        ownership::make(&home.runs(), &job).unwrap();
        (home, job, from)
    }

    fn carried(home: &Home, job: &Job, from: &Path) -> Result<(), NotCopied> {
        let (bell, wakes) = Bell::new();
        Carriage::start(home, job, from.to_path_buf(), Some(0), bell).unwrap();
        match wakes.recv().unwrap() {
            Wake::Copied(_, copied) => copied,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_copy_says_how_much_it_is() {
        let root = tempfile::tempdir().unwrap();
        let (home, job, from) = uncopied(root.path());
        let (bell, wakes) = Bell::new();
        let carriage = Carriage::start(&home, &job, from, Some(0), bell).unwrap();
        assert!(matches!(wakes.recv().unwrap(), Wake::Copied(_, Ok(()))));
        assert_eq!((carriage.bytes(), carriage.total()), (11, 11));
    }

    #[test]
    fn a_copy_whose_row_was_never_written_counts() {
        let root = tempfile::tempdir().unwrap();
        let (home, job, from) = uncopied(root.path());
        assert_eq!(carried(&home, &job, &from), Ok(()));
        assert_eq!(carried(&home, &job, &from), Ok(()));
        // It needs no original any more.
        fs::remove_file(&from).unwrap();
        assert_eq!(carried(&home, &job, &from), Ok(()));
    }

    #[test]
    fn a_copy_of_what_the_original_was_before_makes_room() {
        let root = tempfile::tempdir().unwrap();
        let (home, job, from) = uncopied(root.path());
        assert_eq!(carried(&home, &job, &from), Ok(()));
        fs::write(&from, "text,label\na,b\n").unwrap();
        let fingerprint = observe(&from).unwrap().fingerprint;
        let job = Job { fingerprint, ..job };
        assert_eq!(carried(&home, &job, &from), Ok(()));
        let target = home.runs().join(&job.run).join("drop/far.csv");
        assert_eq!(fs::read_to_string(target).unwrap(), "text,label\na,b\n");
    }
}
