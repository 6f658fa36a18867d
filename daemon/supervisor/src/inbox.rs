//! One inbox: what lies in it, what waits and why, and what has settled. It only looks; taking a
//! drop away is left to `claim`. The scan is the truth, hints only bring it forward.

use crate::config::InboxConfig;
use crate::observe::observe;
use crate::settle::{Fingerprint, Settling, Verdict, is_no_drop};
use crate::watch::{Watch, Watches};
use crate::writers::{self, Use};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// While something settles, somebody may say `.ready` at any moment.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Where no events come, a new drop is found after this time.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// A flood of hints causes no more scans than this.
const HINT_EVERY: Duration = Duration::from_millis(100);
/// Between two tries of a claim that came to nothing.
const CLAIM_AGAIN_FIRST: Duration = Duration::from_secs(5);
const CLAIM_AGAIN_LAST: Duration = Duration::from_secs(600);
/// Looking takes at most one part in so many of our time, however much lies there.
const IDLE_PER_LOOK: u32 = 10;

pub(crate) struct Inbox {
    pub config: InboxConfig,
    pub watch: Watch,
    pub standing: Standing,
    /// Entries that will never become jobs as they are, with the reason.
    pub refused: BTreeMap<String, String>,
    settling: BTreeMap<String, Settling>,
    held_back: BTreeMap<String, HeldBack>,
    /// What the last scan gave.
    settled: BTreeMap<String, Fingerprint>,
    next_scan: Duration,
    last_scan: Duration,
    last_cost: Duration,
    /// The folder that is watched: another one under the same name needs a new watch.
    folder: Option<Folder>,
    /// A file system of its own was mounted there.
    was_mount: bool,
}

/// Numbers of inodes are given again, the time of birth is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Folder {
    device: u64,
    inode: u64,
    born: Option<SystemTime>,
}

/// Whether drops can be taken out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    Open,
    /// The sentence says what to do.
    Unclaimable(String),
}

/// An entry that may be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    pub name: String,
    pub path: PathBuf,
    pub fingerprint: Fingerprint,
    pub bytes: u64,
}

/// What an entry is, as far as its job is concerned.
#[derive(Clone, Copy)]
struct Extent {
    fingerprint: Fingerprint,
    bytes: u64,
}

/// An entry whose claim came to nothing: tried again after a while, or when it has changed.
struct HeldBack {
    fingerprint: Fingerprint,
    why: String,
    pause: Duration,
    until: Duration,
}

/// How often to look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub quiet: Duration,
    pub rescan: Duration,
}

impl Inbox {
    pub fn new(config: InboxConfig) -> Inbox {
        Inbox {
            config,
            watch: Watch::Polled { why: "not yet looked at".into() },
            standing: Standing::Open,
            refused: BTreeMap::new(),
            settling: BTreeMap::new(),
            held_back: BTreeMap::new(),
            settled: BTreeMap::new(),
            next_scan: Duration::ZERO,
            last_scan: Duration::ZERO,
            last_cost: Duration::ZERO,
            folder: None,
            was_mount: false,
        }
    }

    pub fn next_scan(&self) -> Duration {
        self.next_scan
    }

    /// Names that may still change, or wait for the inbox to become claimable.
    pub fn waiting(&self) -> impl Iterator<Item = &str> {
        self.settling.keys().map(String::as_str)
    }

    pub fn hinted(&mut self, now: Duration) {
        let pause = HINT_EVERY.max(self.last_cost * IDLE_PER_LOOK);
        self.next_scan = self.next_scan.min(now.max(self.last_scan + pause));
    }

    /// The entry came by a rename. True if it is one of ours.
    pub fn moved_in(&mut self, entry: &Path, now: Duration) -> bool {
        if entry.parent() != Some(&*self.config.path) {
            return false;
        }
        if let Some(name) = entry.file_name().and_then(|it| it.to_str())
            && !is_no_drop(name)
            && let Ok(seen) = observe(entry)
        {
            self.settling.entry(name.to_string()).or_default().moved_in(&seen);
        }
        self.hinted(now);
        true
    }

    /// It is a job's now.
    pub fn taken(&mut self, name: &str) {
        self.settling.remove(name);
    }

    /// It was not taken; it is tried again after a pause, twice as long each time.
    pub fn hold_back(&mut self, name: &str, why: String, now: Duration) {
        let Some(fingerprint) = self.settled.get(name).copied() else { return };
        let before = self.held_back.get(name).filter(|it| it.fingerprint == fingerprint);
        let pause = before.map_or(CLAIM_AGAIN_FIRST, |it| (it.pause * 2).min(CLAIM_AGAIN_LAST));
        let held = HeldBack { fingerprint, why: why.clone(), pause, until: now + pause };
        self.held_back.insert(name.to_string(), held);
        self.refuse(name, why);
    }

    /// It stays where it is for now, with the reason.
    pub fn refuse(&mut self, name: &str, why: String) {
        self.refused.insert(name.to_string(), why);
    }

    /// Looks at everything, and gives what has settled. The next scan's time is decided here too.
    pub fn scan(&mut self, watches: &mut Watches, now: Duration, pace: Pace) -> Vec<Settled> {
        let began = Instant::now();
        let mut settled = Vec::new();
        self.refused.clear();
        let listed = self.list(watches);
        let mut look_at = now
            + if self.watch == Watch::Events { pace.rescan } else { POLL_EVERY.min(pace.rescan) };
        match listed {
            Ok(entries) => {
                self.settling.retain(|name, _| entries.contains_key(name));
                self.held_back.retain(|name, _| entries.contains_key(name));
                self.standing = standing(&self.config.path);
                for (name, entry) in entries {
                    match self.judge(&name, &entry, now, pace.quiet) {
                        Some((Verdict::Settled, Extent { fingerprint, bytes })) => {
                            settled.push(Settled { path: entry.path(), name, fingerprint, bytes })
                        }
                        Some((Verdict::NotBefore(at), _)) => {
                            look_at = look_at.min(at).min(now + LOOK_EVERY)
                        }
                        Some((Verdict::Empty, _)) => {
                            look_at = look_at.min(now + POLL_EVERY);
                            self.refuse(&name, "it holds nothing yet".into());
                        }
                        Some((Verdict::UnderWay(file), _)) => {
                            look_at = look_at.min(now + LOOK_EVERY);
                            self.refuse(&name, format!("it waits for {file}, which is still being written by its name: let that end, remove it, or put an empty file .ready beside the data"));
                        }
                        None => {}
                    }
                }
                let tries = self.held_back.values().map(|it| it.until).filter(|it| now < *it);
                look_at = tries.fold(look_at, Duration::min);
            }
            Err(why) => {
                // Whatever lies there next is another folder, even by the same number.
                watches.remove(&self.config.path);
                self.folder = None;
                self.settling.clear();
                self.standing = Standing::Unclaimable(why);
            }
        }
        if matches!(self.standing, Standing::Unclaimable(_)) {
            settled.clear();
            look_at = now + POLL_EVERY.min(pace.rescan);
        }
        self.settled = settled.iter().map(|it| (it.name.clone(), it.fingerprint)).collect();
        self.last_cost = began.elapsed();
        self.last_scan = now;
        self.next_scan = look_at.max(now + self.last_cost * IDLE_PER_LOOK);
        settled
    }

    /// The entries by name; sets up the watch when the folder is new.
    fn list(&mut self, watches: &mut Watches) -> Result<BTreeMap<String, DirEntry>, String> {
        let path = self.config.path.clone();
        let cure = |err: io::Error| match err.kind() {
            io::ErrorKind::NotFound => {
                format!("the folder does not exist: make it with `mkdir -p '{}'`", path.display())
            }
            _ => format!("it can't be read: {err}"),
        };
        let meta = fs::metadata(&path).map_err(cure)?;
        let is_mount = path
            .parent()
            .and_then(|it| fs::metadata(it).ok())
            .is_some_and(|it| it.dev() != meta.dev());
        if self.was_mount && !is_mount {
            return Err("nothing is mounted there any more: mount it again; if drops shall lie in the bare folder from now on, let the daemon read its configuration again (SIGHUP)".into());
        }
        self.was_mount = is_mount;
        let (device, inode, born) = (meta.dev(), meta.ino(), meta.created().ok());
        self.look_after(Folder { device, inode, born }, watches);
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(&path).map_err(cure)? {
            let entry = entry.map_err(cure)?;
            match entry.file_name().into_string() {
                Ok(name) => drop(entries.insert(name, entry)),
                Err(name) => self.refuse_name(name),
            }
        }
        Ok(entries)
    }

    /// Sees to it that the folder is watched; where that can't be, it is tried again.
    fn look_after(&mut self, folder: Folder, watches: &mut Watches) {
        let is_new = self.folder != Some(folder);
        if !is_new && self.watch == Watch::Events {
            return;
        }
        let path = &self.config.path;
        if is_new {
            watches.remove(path);
        }
        let watch = watches.add(path);
        match &watch {
            Watch::Polled { why } if watch != self.watch => {
                tracing::warn!("inbox {} is looked at every few seconds: {why}", path.display());
            }
            Watch::Events if !is_new => tracing::info!("inbox {} is watched again", path.display()),
            _ => {}
        }
        (self.watch, self.folder) = (watch, Some(folder));
    }

    /// Its owner says that it is as it should be.
    pub fn accept(&mut self, config: InboxConfig) {
        (self.config, self.was_mount) = (config, false);
    }

    fn refuse_name(&mut self, name: OsString) {
        self.refused
            .insert(name.to_string_lossy().into_owned(), "its name is not UTF-8: rename it".into());
    }

    /// It stands still: can it be read, and does nobody write? Asked before a job number is given.
    fn last_questions(
        &mut self,
        name: &str,
        entry: &DirEntry,
        now: Duration,
        extent: Extent,
    ) -> Option<(Verdict, Extent)> {
        if let Some(held) = self.held_back.get(name)
            && held.fingerprint == extent.fingerprint
            && now < held.until
        {
            let why = held.why.clone();
            self.refuse(name, why);
            return None;
        }
        match writers::examine(&entry.path()) {
            Use::Free => Some((Verdict::Settled, extent)),
            Use::Written(file) => {
                let file = below(name, &file);
                self.refuse(name, format!("it waits: {} is open for writing", file.display()));
                Some((Verdict::NotBefore(now + LOOK_EVERY), extent))
            }
            Use::Unreadable(file, why) => {
                let file = below(name, &file);
                self.refuse(name, format!("{} can't be read ({why}): give the daemon's user read permission, by a common group with setgid on the inbox, or `setfacl -d -m u:USER:rX`", file.display()));
                None
            }
        }
    }

    /// `None`: it is not to be taken now, and nothing follows from that.
    fn judge(
        &mut self,
        name: &str,
        entry: &DirEntry,
        now: Duration,
        quiet: Duration,
    ) -> Option<(Verdict, Extent)> {
        if is_no_drop(name) {
            self.settling.remove(name);
            return None;
        }
        let kind = entry.file_type().ok()?;
        if !kind.is_dir() && !kind.is_file() {
            let what =
                if kind.is_symlink() { "a symbolic link" } else { "neither a file nor a folder" };
            self.refuse(name, format!("it is {what}: drop the data itself"));
            self.settling.remove(name);
            return None;
        }
        match observe(&entry.path()) {
            Ok(seen) => {
                let settling = self.settling.entry(name.to_string()).or_default();
                let extent = Extent { fingerprint: seen.fingerprint, bytes: seen.bytes };
                match settling.look(now, quiet, seen) {
                    // What can't be taken yet is not asked.
                    Verdict::Settled if self.standing == Standing::Open => {
                        self.last_questions(name, entry, now, extent)
                    }
                    verdict => Some((verdict, extent)),
                }
            }
            // Its owner took it back while we looked.
            Err(err) if err.kind() == io::ErrorKind::NotFound => None,
            Err(err) => {
                self.refuse(name, format!("it can't be looked at: {err}"));
                None
            }
        }
    }
}

/// A file of an entry, or the entry itself.
fn below(name: &str, file: &Path) -> PathBuf {
    let entry = PathBuf::from(name);
    if file.as_os_str().is_empty() { entry } else { entry.join(file) }
}

/// Asks before anything is written about a drop: a read-only inbox must not use up job numbers.
fn standing(path: &Path) -> Standing {
    use rustix::fs::{Access, access};
    match access(path, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Standing::Open,
        Err(rustix::io::Errno::ROFS) => {
            Standing::Unclaimable("it lies on a read-only file system: mount it read-write, so that drops can be moved out".into())
        }
        Err(err) => Standing::Unclaimable(format!("drops can't be moved out of it ({err}): give the daemon's user write permission")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wake::Bell;
    use std::io::Write;

    const PACE: Pace = Pace { quiet: Duration::from_secs(5), rescan: Duration::from_secs(30) };

    fn at(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    struct Story {
        _root: tempfile::TempDir,
        path: PathBuf,
        inbox: Inbox,
        watches: Watches,
    }

    impl Story {
        fn new() -> Story {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().to_path_buf();
            let (bell, _) = Bell::new();
            let inbox = Inbox::new(InboxConfig::at(path.clone()));
            Story { _root: root, path, inbox, watches: Watches::new(bell) }
        }

        fn scan(&mut self, s: u64) -> Vec<String> {
            self.inbox.scan(&mut self.watches, at(s), PACE).into_iter().map(|it| it.name).collect()
        }
    }

    #[test]
    fn a_file_settles_and_the_scan_comes_back_for_it() {
        let mut story = Story::new();
        assert_eq!(story.scan(0), [""; 0]);
        assert_eq!(story.inbox.next_scan(), at(30));
        fs::write(story.path.join("a.csv"), "text,label\n").unwrap();
        story.inbox.hinted(at(10));
        assert_eq!(story.inbox.next_scan(), at(10));
        assert_eq!(story.scan(10), [""; 0]);
        assert_eq!(story.inbox.next_scan(), at(11), "`.ready` may come at any moment");
        assert_eq!(story.scan(15), ["a.csv"]);
    }

    #[test]
    fn what_was_moved_in_settles_at_once() {
        let mut story = Story::new();
        fs::write(story.path.join("a.csv"), "x").unwrap();
        assert!(story.inbox.moved_in(&story.path.join("a.csv"), at(1)));
        assert!(!story.inbox.moved_in(Path::new("/elsewhere/a.csv"), at(1)));
        assert_eq!(story.scan(1), ["a.csv"]);
    }

    #[test]
    fn unfinished_names_and_links_are_left_alone() {
        let mut story = Story::new();
        fs::write(story.path.join("a.csv.part"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", story.path.join("link")).unwrap();
        assert_eq!(story.scan(0), [""; 0]);
        assert_eq!(story.scan(60), [""; 0]);
        assert_eq!(story.inbox.refused["link"], "it is a symbolic link: drop the data itself");
        fs::rename(story.path.join("a.csv.part"), story.path.join("a.csv")).unwrap();
        assert_eq!(story.scan(61), [""; 0]);
        assert_eq!(story.scan(66), ["a.csv"]);
    }

    #[test]
    fn a_missing_inbox_says_how_to_make_it() {
        let mut story = Story::new();
        fs::remove_dir(&story.path).unwrap();
        story.scan(0);
        let Standing::Unclaimable(why) = &story.inbox.standing else { panic!("it is missing") };
        assert!(why.contains("mkdir -p"), "{why}");
        assert_eq!(story.inbox.next_scan(), at(5));
        fs::create_dir(&story.path).unwrap();
        story.scan(5);
        assert_eq!(story.inbox.standing, Standing::Open);
    }

    #[test]
    fn what_is_held_back_is_not_looked_at_before_its_time() {
        let mut story = Story::new();
        fs::write(story.path.join("a.csv"), "x").unwrap();
        story.scan(0);
        assert_eq!(story.scan(10), ["a.csv"]);
        story.inbox.hold_back("a.csv", "its folder can't be made".into(), at(10));
        assert_eq!(story.scan(11), [""; 0]);
        assert_eq!(story.inbox.next_scan(), at(15));
        assert_eq!(story.inbox.refused["a.csv"], "its folder can't be made");
        assert_eq!(story.scan(15), ["a.csv"]);
    }

    #[test]
    fn files_of_a_closed_inbox_are_not_asked_for() {
        let mut story = Story::new();
        let file = story.path.join("a.csv");
        let _open_for_writing = fs::File::create(&file).and_then(|mut it| {
            it.write_all(b"x")?;
            Ok(it)
        });
        let mut judge = |standing| {
            story.inbox.standing = standing;
            story.inbox.refused.clear();
            let entry = fs::read_dir(&story.path).unwrap().next().unwrap().unwrap();
            let _ = story.inbox.judge("a.csv", &entry, at(0), PACE.quiet);
            let verdict = story.inbox.judge("a.csv", &entry, at(10), PACE.quiet).unwrap().0;
            (verdict == Verdict::Settled, story.inbox.refused.len())
        };
        assert_eq!(judge(Standing::Open), (false, 1));
        assert_eq!(judge(Standing::Unclaimable("read-only".into())), (true, 0));
    }

    #[test]
    fn what_we_hid_ourselves_is_not_looked_at() {
        let mut story = Story::new();
        let hidden = story.path.join(".finetuned-0001-a-abcdef");
        fs::write(&hidden, "x").unwrap();
        assert!(story.inbox.moved_in(&hidden, at(1)));
        assert_eq!(story.inbox.waiting().count(), 0);
    }

    #[test]
    fn a_flood_of_hints_is_paced() {
        let mut story = Story::new();
        story.scan(10);
        story.inbox.hinted(at(10));
        assert!(at(10) < story.inbox.next_scan());
    }
}
