//! Rows as the scheduler sees them: which jobs are due, and how important each is.

use super::{Due, Fingerprint, JobId, Queue, State, now_ms, read};
use super::{Result, params};
use crate::limits::Load;
use anyhow::bail;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Asked whenever a place is free or could be made free.
pub(super) const DUE: &str =
    "state = 'queued' AND copied = 1 AND not_before_ms = 0 ORDER BY priority DESC, id";
/// What has a drop here and no place.
pub(super) const WAITING: &str = "state IN ('claiming', 'queued', 'paused')";
/// A drop that is not taken within this time was removed by its owner.
const SUBMITTED_FOR_MS: u64 = 90 * 86_400_000;

impl Queue {
    /// Queued jobs that wait for nothing but their turn.
    pub fn due(&self) -> Result<Vec<Due>> {
        let sql = format!("SELECT id, inbox, priority FROM jobs WHERE {DUE}");
        let mut statement = self.db.prepare_cached(&sql)?;
        let due = statement.query_map([], |row| {
            let inbox = row.get::<_, String>(1)?.into();
            Ok(Due { job: row.get(0)?, inbox, priority: row.get(2)? })
        })?;
        Ok(due.collect::<Result<_, _>>()?)
    }

    /// What has been taken of each inbox and waits.
    pub fn loads(&self) -> Result<BTreeMap<PathBuf, Load>> {
        let sql =
            format!("SELECT inbox, count(*), sum(bytes) FROM jobs WHERE {WAITING} GROUP BY inbox");
        let mut statement = self.db.prepare_cached(&sql)?;
        let loads = statement.query_map([], |row| {
            let load = Load { jobs: row.get(1)?, bytes: row.get(2)? };
            Ok((row.get::<_, String>(0)?.into(), load))
        })?;
        Ok(loads.collect::<Result<_, _>>()?)
    }

    /// From now on. The answer is a sentence for the owner.
    ///
    /// # Errors
    /// A job that is done or just being taken says so.
    pub fn prioritise(&mut self, id: JobId, priority: i32) -> Result<String> {
        let tx = self.write()?;
        let answer = match read(&tx, id)?.state {
            State::Done => bail!("job {id} is done: drop its data again to train anew"),
            State::Claiming => {
                bail!("job {id} is just being taken from its inbox: try again in a moment")
            }
            State::Queued { .. } | State::Running { .. } => "",
            _ => ", which counts once it is queued again",
        };
        tx.execute("UPDATE jobs SET priority = ?2 WHERE id = ?1", params![id, priority])?;
        tx.commit()?;
        Ok(format!("job {id} has priority {priority}{answer}"))
    }

    /// The priority that a drop shall have when it is taken.
    pub fn submit(&mut self, entry: &Path, drop: Fingerprint, priority: i32) -> Result<()> {
        let now = now_ms();
        let tx = self.write()?;
        let old = now.saturating_sub(SUBMITTED_FOR_MS);
        tx.execute("DELETE FROM submitted WHERE submitted_ms < ?1", [old])?;
        tx.execute(
            "INSERT OR REPLACE INTO submitted VALUES (?1, ?2, ?3, ?4)",
            params![entry.to_string_lossy(), drop.0.cast_signed(), priority, now],
        )?;
        Ok(tx.commit()?)
    }
}
