//! Decides when an entry of an inbox has settled and may become a job.
//!
//! Everything here is computed from observations passed in; looking at the disk happens in
//! `observe`, and every clock read in `event_loop`.

use finetuned_job::file_name::FileName;
use std::time::Duration;

/// One file or folder of an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    /// Relative to the entry, as bytes; empty for the entry itself.
    pub path: Vec<u8>,
    /// 0 for folders: file systems count them differently.
    pub bytes: u64,
    /// Nanoseconds since 1970.
    pub modified_ns: i128,
    pub is_file: bool,
}

/// The whole entry at one moment, as one number: equal numbers mean that nothing moved. Kept in the
/// database, so its meaning must not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub u64);

impl Fingerprint {
    /// The first 8 bytes of blake3 over the sorted set. Two states that differ and collide (1 in
    /// 2^64) would only start a job too early.
    pub fn of(mut seen: Vec<Seen>) -> Fingerprint {
        seen.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        for it in &seen {
            hasher.update(&(it.path.len() as u64).to_le_bytes()).update(&it.path);
            hasher
                .update(&it.bytes.to_le_bytes())
                .update(&it.modified_ns.to_le_bytes())
                .update(&[u8::from(it.is_file)]);
        }
        let mut first = [0; 8];
        hasher.finalize_xof().fill(&mut first);
        Fingerprint(u64::from_le_bytes(first))
    }
}

/// What one look at an entry gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observation {
    pub fingerprint: Fingerprint,
    /// Of all files together.
    pub bytes: u64,
    /// What holds no byte is not a data set yet: its owner has just made it, or a browser that
    /// holds its name.
    pub has_data: bool,
    /// A file `.ready` lies in it: its owner says that it is complete.
    pub ready: bool,
    /// A file in it whose name says that it is not whole yet.
    pub under_way: Option<String>,
    /// A folder in which nothing was added or removed since it got its name; or a file.
    pub came_whole: bool,
}

/// What is remembered of an entry between looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settling {
    /// The last fingerprint, and when it was first seen.
    still: Option<(Fingerprint, Duration)>,
    /// It came under this name by a rename, and whole: this is what came.
    moved_in: Option<Fingerprint>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Settled,
    /// Not before this time, if nothing moves until then.
    NotBefore(Duration),
    /// As long as it is empty.
    Empty,
    /// As long as this file in it is on its way.
    UnderWay(String),
}

impl Settling {
    /// It has just come by a rename. A folder that was renamed while it was empty, as file managers
    /// make new ones, has not come whole.
    pub fn moved_in(&mut self, seen: &Observation) {
        let whole = seen.has_data && seen.came_whole;
        self.moved_in = whole.then_some(seen.fingerprint);
    }

    /// `now` counts from any fixed moment.
    pub fn look(&mut self, now: Duration, quiet: Duration, seen: Observation) -> Verdict {
        if seen.ready {
            return Verdict::Settled;
        }
        if !seen.has_data {
            self.still = None;
            return Verdict::Empty;
        }
        if let Some(name) = seen.under_way {
            self.still = None;
            return Verdict::UnderWay(name);
        }
        if self.moved_in == Some(seen.fingerprint) {
            return Verdict::Settled;
        }
        self.moved_in = None;
        let since = match self.still {
            Some((before, since)) if before == seen.fingerprint => since,
            _ => now,
        };
        self.still = Some((seen.fingerprint, since));
        if since + quiet <= now { Verdict::Settled } else { Verdict::NotBefore(since + quiet) }
    }
}

/// Entries of an inbox that are no drops: hidden ones, copies and downloads under way, litter.
pub(crate) fn is_no_drop(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || FileName::of(name) != FileName::Ordinary
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_secs(5);

    fn at(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn seen(bytes: u64) -> Observation {
        let file = Seen { path: b"a.csv".to_vec(), bytes, modified_ns: 0, is_file: true };
        let fingerprint = Fingerprint::of(vec![file]);
        Observation {
            fingerprint,
            bytes,
            has_data: true,
            ready: false,
            under_way: None,
            came_whole: true,
        }
    }

    #[test]
    fn a_drop_settles_after_standing_still() {
        let mut drop = Settling::default();
        assert_eq!(drop.look(at(0), QUIET, seen(1)), Verdict::NotBefore(at(5)));
        assert_eq!(drop.look(at(3), QUIET, seen(2)), Verdict::NotBefore(at(8)), "it grew");
        assert_eq!(drop.look(at(5), QUIET, seen(2)), Verdict::NotBefore(at(8)));
        assert_eq!(drop.look(at(8), QUIET, seen(2)), Verdict::Settled);
    }

    #[test]
    fn a_drop_that_shrinks_back_has_moved() {
        let mut drop = Settling::default();
        drop.look(at(0), QUIET, seen(1));
        drop.look(at(2), QUIET, seen(2));
        assert_eq!(drop.look(at(6), QUIET, seen(1)), Verdict::NotBefore(at(11)));
    }

    #[test]
    fn ready_and_moved_in_settle_at_once() {
        let ready = Observation { ready: true, ..seen(1) };
        assert_eq!(Settling::default().look(at(0), QUIET, ready), Verdict::Settled);
        let mut moved = Settling::default();
        moved.moved_in(&seen(1));
        assert_eq!(moved.look(at(0), QUIET, seen(1)), Verdict::Settled);
    }

    #[test]
    fn what_changed_since_it_was_moved_in_must_stand_still() {
        let mut moved = Settling::default();
        moved.moved_in(&seen(1));
        assert_eq!(moved.look(at(0), QUIET, seen(2)), Verdict::NotBefore(at(5)));
        assert_eq!(moved.look(at(1), QUIET, seen(1)), Verdict::NotBefore(at(6)));
        for not_whole in [
            Observation { has_data: false, ..seen(1) },
            Observation { came_whole: false, ..seen(1) },
        ] {
            moved.moved_in(&not_whole);
            assert_eq!(moved.look(at(2), QUIET, seen(3)), Verdict::NotBefore(at(7)));
        }
    }

    #[test]
    fn a_file_under_way_holds_the_drop_back_unless_its_owner_says_ready() {
        let mut drop = Settling::default();
        let under_way = Observation { under_way: Some("x/a.part".into()), ..seen(1) };
        let waits = Verdict::UnderWay("x/a.part".into());
        assert_eq!(drop.look(at(0), QUIET, under_way.clone()), waits);
        assert_eq!(drop.look(at(9), QUIET, under_way.clone()), waits);
        assert_eq!(drop.look(at(10), QUIET, seen(1)), Verdict::NotBefore(at(15)));
        let ready = Observation { ready: true, ..under_way };
        assert_eq!(drop.look(at(10), QUIET, ready), Verdict::Settled);
    }

    #[test]
    fn an_empty_folder_waits_for_ever() {
        let empty = Observation { has_data: false, ..seen(0) };
        let mut drop = Settling::default();
        assert_eq!(drop.look(at(0), QUIET, empty.clone()), Verdict::Empty);
        assert_eq!(drop.look(at(100), QUIET, empty), Verdict::Empty);
        assert_eq!(drop.look(at(101), QUIET, seen(1)), Verdict::NotBefore(at(106)));
    }

    #[test]
    fn the_order_of_listing_does_not_matter_and_a_touch_does() {
        let file = |name: &str, modified_ns| Seen {
            path: name.into(),
            bytes: 1,
            modified_ns,
            is_file: true,
        };
        let print = |list: &[Seen]| Fingerprint::of(list.to_vec());
        assert_eq!(print(&[file("a", 1), file("b", 2)]), print(&[file("b", 2), file("a", 1)]));
        assert_ne!(print(&[file("a", 1)]), print(&[file("a", 2)]));
        assert_ne!(print(&[file("a", 1)]), print(&[file("b", 1)]));
    }

    #[test]
    fn unfinished_names_wait() {
        for name in [".hidden", "a.csv.part", "x.tmp", "notes~", "Thumbs.db", "@eaDir"] {
            assert!(is_no_drop(name), "{name}");
        }
        for name in ["a.csv", "part", "tmp", "a.part.csv"] {
            assert!(!is_no_drop(name), "{name}");
        }
    }
}
