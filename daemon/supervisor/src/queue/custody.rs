//! Rows of drops that could not be moved, and of run folders that the database had lost.

use super::{Fingerprint, Job, JobId, Original, Orphan, Queue, Verdict, list, now_ms, read};
use super::{Result, params};
use anyhow::anyhow;
use std::path::Path;

/// Asked at each round of the daemon, with the index of each.
pub(super) const TO_COPY: &str =
    "state = 'queued' AND copied = 0 AND not_before_ms = 0 ORDER BY priority DESC, id LIMIT 1";
pub(super) const HIDDEN: &str = "original = 'hidden' AND copied = 1 AND state IN ('done', 'failed', 'cancelled', 'quarantined') ORDER BY id";
pub(super) const LEFT_AT: &str = "original = 'left' AND source = ?1 AND (fingerprint = ?2 OR (copied = 0 AND state IN ('queued', 'paused'))) ORDER BY id DESC LIMIT 1";

impl Queue {
    /// The drop waits in the inbox for being copied.
    pub fn claimed_in_place(&mut self, id: JobId, original: Original) -> Result<()> {
        let sql = "UPDATE jobs SET state = 'queued', original = ?2, copied = 0, changed_ms = ?3 WHERE id = ?1 AND state = 'claiming'";
        self.db.execute(sql, params![id, original, now_ms()])?;
        Ok(())
    }

    pub fn next_to_copy(&self) -> Result<Option<Job>> {
        Ok(list(&self.db, TO_COPY, [])?.pop())
    }

    pub fn copied(&mut self, id: JobId) -> Result<()> {
        let sql = "UPDATE jobs SET copied = 1, waiting = CASE state WHEN 'queued' THEN NULL END, not_before_ms = 0 WHERE id = ?1";
        self.db.execute(sql, [id])?;
        Ok(())
    }

    /// It must be copied (again), and looks like this now.
    pub fn uncopied(&mut self, id: JobId, fingerprint: Fingerprint) -> Result<()> {
        let sql = "UPDATE jobs SET copied = 0, fingerprint = ?2 WHERE id = ?1";
        self.db.execute(sql, params![id, fingerprint.0.cast_signed()])?;
        Ok(())
    }

    /// Jobs that are over, whose originals wait under their hidden names.
    pub fn hidden_originals(&self) -> Result<Vec<Job>> {
        list(&self.db, HIDDEN, [])
    }

    /// Nothing of the drop is in the inbox any more.
    pub fn released(&mut self, id: JobId) -> Result<()> {
        self.db.execute("UPDATE jobs SET original = NULL WHERE id = ?1", [id])?;
        Ok(())
    }

    /// The job that has taken a copy of what lies there and can't be moved; or will, of whatever it
    /// is by then.
    pub fn left_at(&self, source: &Path, fingerprint: Fingerprint) -> Result<Option<JobId>> {
        let at = params![source.to_string_lossy(), fingerprint.0.cast_signed()];
        Ok(list(&self.db, LEFT_AT, at)?.first().map(|it| it.id))
    }

    /// The job that took this entry of an inbox.
    pub fn taken_from(&self, source: &Path, fingerprint: Fingerprint) -> Result<Option<Job>> {
        let found = list(
            &self.db,
            "source = ?1 AND fingerprint = ?2 ORDER BY id DESC LIMIT 1",
            params![source.to_string_lossy(), fingerprint.0.cast_signed()],
        )?;
        Ok(found.into_iter().next())
    }

    /// No number up to this one is given to a new job.
    pub fn number_above(&mut self, highest: u64) -> Result<()> {
        let tx = self.write()?;
        let highest = highest.cast_signed();
        let sql = "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'jobs'";
        if tx.execute(sql, [highest])? == 0 {
            tx.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?1)", [highest])?;
        }
        Ok(tx.commit()?)
    }

    /// A row for a run folder that has none; under its own number where that is free.
    pub fn adopt(&mut self, orphan: &Orphan) -> Result<Job> {
        let tx = self.write()?;
        let number = orphan.number.cast_signed();
        let taken: bool =
            tx.query_row("SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ?1)", [number], |row| {
                row.get(0)
            })?;
        let (file, text) =
            orphan.recipe.as_ref().map(|it| (it.file.to_string_lossy(), &it.text)).unzip();
        tx.execute(
            include_str!("adopt.sql"),
            params![
                (!taken).then_some(number),
                orphan.name,
                orphan.source,
                orphan.run,
                file,
                text,
                orphan.fingerprint.0.cast_signed(),
                orphan.uuid,
                orphan.original,
                orphan.copied,
                orphan.created_ms
            ],
        )?;
        let id = tx.last_insert_rowid();
        let step = |state: &str, reason: Option<&str>| {
            tx.execute(
                "UPDATE jobs SET state = ?2, reason = ?3, changed_ms = ?4 WHERE id = ?1",
                params![id, state, reason, now_ms()],
            )
        };
        step("queued", None)?;
        match &orphan.verdict {
            None => {}
            Some(Verdict::Done) => drop(step("done", None)?),
            Some(Verdict::Failed(why) | Verdict::Quarantined(why)) => {
                step("failed", Some(why))?;
            }
        }
        let job = read(&tx, JobId(id.cast_unsigned()))?;
        tx.commit()?;
        Ok(job)
    }

    /// Time that attempts have taken since the job last failed. Of those whose daemon was gone
    /// nobody knows when they ended: only when the next daemon came.
    pub fn spent_ms(&self, id: JobId) -> Result<u64> {
        let sql = "SELECT coalesce(sum(max(0, ended_ms - started_ms)), 0) FROM attempts WHERE job = ?1 AND ended_ms IS NOT NULL AND outcome <> 'lost' \
                   AND attempt > (SELECT coalesce(max(attempt), 0) FROM attempts WHERE job = ?1 AND outcome = 'failed')";
        Ok(self.db.query_row(sql, [id], |row| row.get(0))?)
    }

    /// A damaged page is found before anything is built on it.
    ///
    /// # Errors
    /// What SQLite found, and how to mend it.
    pub fn check(&self, database: &Path) -> Result<()> {
        let found: String = self
            .db
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .unwrap_or_else(|err| err.to_string());
        if found != "ok" {
            return Err(damaged(database, &found));
        }
        Ok(())
    }

    /// The whole database as one file, which must not exist.
    pub fn back_up(&self, to: &Path) -> Result<()> {
        self.db.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
        Ok(())
    }

    /// Forgets a job that is over.
    pub fn forget(&mut self, id: JobId) -> Result<()> {
        let tx = self.write()?;
        tx.execute("DELETE FROM attempts WHERE job = ?1", [id])?;
        tx.execute("DELETE FROM jobs WHERE id = ?1", [id])?;
        Ok(tx.commit()?)
    }
}

/// `found`: by SQLite, whose first line is enough.
pub(super) fn damaged(database: &Path, found: &str) -> anyhow::Error {
    anyhow!(
        "the database {} is damaged ({}): with no daemon at work, move it away with its -wal and -shm, and copy the newest file of {} to its name; jobs since then come back from their run folders",
        database.display(),
        found.lines().next().unwrap_or_default(),
        database.with_file_name("backups").display()
    )
}
