//! Hints that something moved in an inbox. They may be late, lost or absent: `inbox` scans by time
//! as well, more often where no hints can come.

use crate::wake::{Bell, Wake};
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// How changes in an inbox are noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Watch {
    Events,
    /// By looking again and again, for this reason.
    Polled {
        why: String,
    },
}

pub(crate) struct Watches {
    bell: Bell,
    watcher: Result<RecommendedWatcher, String>,
}

impl Watches {
    pub fn new(bell: Bell) -> Watches {
        Watches { watcher: watcher(bell.clone()), bell }
    }

    /// Only the inbox's own folder: what moves inside an entry is found by looking while it
    /// settles.
    pub fn add(&mut self, inbox: &Path) -> Watch {
        if let Some(kind) = network_kind(inbox) {
            return Watch::Polled {
                why: format!("{kind} sends no events for changes made elsewhere"),
            };
        }
        // Where there was none to be had before, there may be one now.
        if self.watcher.is_err() {
            self.watcher = watcher(self.bell.clone());
        }
        match self.ask(|it| it.watch(inbox, RecursiveMode::NonRecursive)) {
            Ok(()) => Watch::Events,
            Err(why) => Watch::Polled {
                why: format!(
                    "no events: {why} (see fs.inotify.max_user_watches and max_user_instances)"
                ),
            },
        }
    }

    pub fn remove(&mut self, inbox: &Path) {
        // One that is not watched is no worse off.
        let _ = self.ask(|it| it.unwatch(inbox));
    }

    /// A watcher whose thread could not be started, or is gone, panics when it is asked, and again
    /// when it is dropped: it is forgotten, and the next look makes another.
    fn ask(
        &mut self,
        ask: impl FnOnce(&mut RecommendedWatcher) -> notify::Result<()>,
    ) -> Result<(), String> {
        let watcher = self.watcher.as_mut().map_err(|why| why.clone())?;
        if let Ok(answer) = catch_unwind(AssertUnwindSafe(|| ask(watcher))) {
            return answer.map_err(|err| err.to_string());
        }
        let why = "the thread that hears them could not be started";
        if let Ok(watcher) = mem::replace(&mut self.watcher, Err(why.into())) {
            mem::forget(watcher);
        }
        Err(why.into())
    }
}

fn watcher(bell: Bell) -> Result<RecommendedWatcher, String> {
    let hear = move |event: notify::Result<notify::Event>| tell(&bell, event);
    notify::recommended_watcher(hear).map_err(|err| err.to_string())
}

fn tell(bell: &Bell, event: notify::Result<notify::Event>) {
    let Ok(event) = event else { return bell.hint(true) };
    match event.kind {
        // Our own listings open the folder: answering them would never end.
        EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write) => {}
        // `Both` repeats what `From` and `To` have said.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {}
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
            event.paths.into_iter().for_each(|path| bell.try_ring(Wake::MovedIn(path)));
        }
        _ => bell.hint(event.need_rescan()),
    }
}

/// The name of a file system whose changes may be made on another machine or by another program.
fn network_kind(path: &Path) -> Option<&'static str> {
    /// `f_type` of statfs(2), from linux/magic.h and the file systems' own sources.
    const KINDS: &[(u64, &str)] = &[
        (0x6969, "NFS"),
        (0x517B, "SMB"),
        (0xFF53_4D42, "CIFS"),
        (0xFE53_4D42, "SMB2"),
        (0x6573_5546, "FUSE"),
        (0x0102_1997, "9P"),
        (0x00C3_6400, "Ceph"),
        (0x0BD0_0BD0, "Lustre"),
        (0x5346_414F, "AFS"),
    ];
    // The field's width differs between machines; a magic number has 32 bits.
    let kind = rustix::fs::statfs(path).ok()?.f_type as u64 & 0xFFFF_FFFF;
    KINDS.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name)
}
