//! From inboxes to queued jobs: which inboxes there are, when each is looked at, and what is taken.

use super::Supervisor;
use crate::claim::claim;
use crate::config::{Config, InboxConfig};
use crate::inbox::{Inbox, Pace, Settled, Standing};
use crate::limits::Load;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

impl Supervisor {
    /// Brings the inboxes in line with the configuration; what is known of those that stay is kept.
    pub(super) fn open_inboxes(&mut self) {
        let mut before = std::mem::take(&mut self.inboxes);
        for config in self.config.inboxes.clone() {
            // The home's own inbox is ours to make; a missing other one may be a disk that is not
            // mounted.
            if config.path == self.home.inbox()
                && let Err(err) = fs::create_dir_all(&config.path)
            {
                tracing::warn!("making the inbox {}: {err}", config.path.display());
            }
            let known = before.iter().position(|it| it.config.path == config.path);
            let mut inbox =
                known.map_or_else(|| Inbox::new(config.clone()), |at| before.swap_remove(at));
            inbox.accept(config);
            self.inboxes.push(inbox);
        }
        before.iter().for_each(|it| self.watches.remove(&it.config.path));
    }

    pub(super) fn intake(&mut self, now: Duration) -> Result<()> {
        let pace = Pace { quiet: self.config.settle, rescan: self.config.rescan };
        for inbox_idx in 0..self.inboxes.len() {
            let inbox = &mut self.inboxes[inbox_idx];
            if now < inbox.next_scan() {
                continue;
            }
            let _named = inbox.config.span().entered();
            let before = inbox.standing.clone();
            let settled = inbox.scan(&mut self.watches, now, pace);
            if before != inbox.standing {
                let path = inbox.config.path.display();
                match &inbox.standing {
                    Standing::Open => tracing::info!("inbox {path}: drops are taken again"),
                    Standing::Unclaimable(why) => {
                        tracing::warn!("inbox {path}: no drop can be taken: {why}")
                    }
                }
            }
            if !settled.is_empty() {
                self.take_settled(inbox_idx, &settled)?;
            }
        }
        Ok(())
    }

    fn take_settled(&mut self, inbox_idx: usize, settled: &[Settled]) -> Result<()> {
        let now = self.now();
        let inbox = &mut self.inboxes[inbox_idx];
        let mut new = Vec::new();
        let mut loads = self.queue.loads()?;
        let mut no_room = None;
        for it in settled {
            match self.queue.left_at(&it.path, it.fingerprint)? {
                Some(job) => inbox.hold_back(&it.name, format!("job {job} has a copy of it, and it can't be moved away: remove it, or give the daemon's user write permission here (a common group with setgid, or `setfacl -d`)"), now),
                None => match admit(&self.config, &inbox.config, &mut loads, it.bytes) {
                    Ok(()) => new.push(it.clone()),
                    Err(why) => {
                        inbox.refuse(&it.name, why.clone());
                        no_room.get_or_insert(format!("{}: {why}", it.name));
                    }
                },
            }
        }
        if self.bell.is_stopping() {
            return Ok(());
        }
        let claimed = claim(&mut self.queue, &self.home, &inbox.config, &new)?;
        for job in &claimed.jobs {
            let _named = job.span().entered();
            tracing::info!(
                "job {}: took {} from {}",
                job.id,
                job.name,
                inbox.config.path.display()
            );
            inbox.taken(&job.name);
        }
        for (name, why) in claimed.refused {
            tracing::warn!("inbox {}: {name}: {why}", inbox.config.path.display());
            inbox.hold_back(&name, why, now);
        }
        let path = inbox.config.path.display();
        if let Some(why) = no_room {
            if self.crowded.is_none() {
                tracing::info!("inbox {path}: {why}");
            }
            self.crowded = Some(total(&self.queue.loads()?));
        }
        Ok(())
    }

    /// Drops that were left for want of room are looked at again when there may be some.
    pub(super) fn look_for_room(&mut self, now: Duration) -> Result<()> {
        if let Some(before) = self.crowded
            && total(&self.queue.loads()?) != before
        {
            self.crowded = None;
            self.inboxes.iter_mut().for_each(|it| it.hinted(now));
        }
        Ok(())
    }
}

/// Whether one more drop may be taken; if so it is counted.
fn admit(
    config: &Config,
    inbox: &InboxConfig,
    loads: &mut BTreeMap<PathBuf, Load>,
    bytes: u64,
) -> Result<(), String> {
    let own = loads.get(&inbox.path).copied().unwrap_or_default();
    inbox.limits.admit(own, bytes, "this inbox")?;
    config.limits.admit(total(loads), bytes, "all inboxes")?;
    loads.insert(inbox.path.clone(), own.with(Load { jobs: 1, bytes }));
    Ok(())
}

fn total(loads: &BTreeMap<PathBuf, Load>) -> Load {
    loads.values().fold(Load::default(), |sum, it| sum.with(*it))
}
