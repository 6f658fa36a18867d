//! The only file that talks to the database: jobs, their attempts, and what may follow what. Its
//! methods are named after what the business wants; which way a job goes is decided in `attempt`,
//! `claim` and `recovery`.
//!
//! What a job is stands in `job`, what its owner may wish in `wishes`; neither knows SQL.
//!
//! Commands write here too, while a daemon runs: every change is one immediate transaction that
//! names the state it starts from, and the table `transitions` refuses the rest.

mod custody;
mod job;
mod order;
mod wishes;

pub(crate) use job::{Attempt, Due, Job, JobId, Original, Phase, State, Wanted};
pub(crate) use wishes::Wish;

use crate::settle::Fingerprint;
use anyhow::{Context, Result, ensure};
use finetuned_job::run_folder;
use finetuned_job::spec::RecipeText;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Params, Row, Transaction,
    TransactionBehavior, params,
};
use rusqlite_migration::{M, Migrations};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wishes::Grant;

/// Older versions can lose a commit when a WAL is reset while another process writes.
const SQLITE_OLDEST: i32 = 3_051_003;
/// Steps of the schema, as `migrations` lists them.
const SCHEMA: u32 = 3;
/// A command and the daemon write for milliseconds each.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct Queue {
    db: Connection,
}

/// A drop that is about to be taken.
pub(crate) struct NewDrop<'a> {
    pub name: &'a str,
    pub source: &'a Path,
    pub fingerprint: Fingerprint,
    pub recipe: Option<&'a RecipeText>,
    /// Unless its owner has submitted it with another.
    pub priority: i32,
    pub bytes: u64,
}

/// A run folder without a row, as it describes itself.
pub(crate) struct Orphan {
    pub number: u64,
    /// Of folders since 0.2.
    pub uuid: Option<String>,
    pub run: String,
    pub name: String,
    pub source: String,
    pub fingerprint: Fingerprint,
    pub recipe: Option<RecipeText>,
    pub created_ms: u64,
    /// What waits of the drop in its inbox.
    pub original: Option<Original>,
    pub copied: bool,
    /// `None`: there is work left.
    pub verdict: Option<Verdict>,
}

/// How an attempt ended when the job is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interrupted {
    /// One of the schema's: `stopped`, `crashed`, `lost`, `postponed`.
    pub outcome: &'static str,
    pub detail: String,
    /// Shown as long as the job is queued.
    pub waiting: Option<String>,
    pub not_before_ms: u64,
    pub crashed: bool,
}

impl Interrupted {
    pub fn because(outcome: &'static str, detail: impl Into<String>) -> Interrupted {
        Interrupted {
            outcome,
            detail: detail.into(),
            waiting: None,
            not_before_ms: 0,
            crashed: false,
        }
    }
}

/// How a job is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Failed(String),
    Quarantined(String),
}

/// How often each state occurs, in the order of the list in the schema.
pub(crate) type Counts = Vec<(String, u64)>;

impl Queue {
    /// Opens for writing; makes and migrates the database.
    pub fn open(path: &Path) -> Result<Queue> {
        let open = || -> Result<Connection> {
            let mut db = Connection::open(path)?;
            settings(&db)?;
            let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
            ensure!(
                mode == "wal",
                "its file system does not allow a write-ahead log (mode {mode})"
            );
            migrations().to_latest(&mut db)?;
            Ok(db)
        };
        Ok(Queue { db: open().map_err(|why| unopened(path, &why))? })
    }

    /// Opens an existing database for questions only. `None` where there is none yet, or one whose
    /// maker was killed before its first table.
    pub fn open_to_read(path: &Path) -> Result<Option<Queue>> {
        // Not `exists`: what may not be looked at is not absent.
        if !path
            .try_exists()
            .with_context(|| format!("looking for the database {}", path.display()))?
        {
            return Ok(None);
        }
        let open = || -> Result<(Connection, u32)> {
            let db = Connection::open_with_flags(
                path,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?;
            settings(&db)?;
            let version = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            Ok((db, version))
        };
        let (db, version) = open().map_err(|why| unopened(path, &why))?;
        match version {
            0 => Ok(None),
            // What an earlier version left is brought up to date by whoever comes first.
            1..SCHEMA => Queue::open(path).map(Some),
            _ => Ok(Some(Queue { db })),
        }
    }

    /// Of SQLite.
    pub fn version() -> &'static str {
        rusqlite::version()
    }

    fn write(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.db.transaction_with_behavior(TransactionBehavior::Immediate)
    }

    /// Rows first: each drop gets its number and run folder before anything is moved.
    pub fn announce(&mut self, drops: &[NewDrop]) -> Result<Vec<Job>> {
        let now = now_ms();
        let tx = self.write()?;
        let mut ids = Vec::new();
        for it in drops {
            let (file, text) = it.recipe.map(|it| (it.file.to_string_lossy(), &it.text)).unzip();
            let source = it.source.to_string_lossy();
            let fingerprint = it.fingerprint.0.cast_signed();
            tx.prepare_cached(include_str!("queue/announce.sql"))?.execute(params![
                it.name,
                source,
                file,
                text,
                fingerprint,
                now,
                it.priority,
                it.bytes
            ])?;
            let id = tx.last_insert_rowid();
            tx.prepare_cached("DELETE FROM submitted WHERE source = ?1 AND fingerprint = ?2")?
                .execute(params![source, fingerprint])?;
            let run = run_folder::name(id.cast_unsigned(), it.name);
            tx.prepare_cached("UPDATE jobs SET run = ?2 WHERE id = ?1")?
                .execute(params![id, run])?;
            ids.push(id);
        }
        let jobs =
            ids.iter().map(|id| read(&tx, JobId(id.cast_unsigned()))).collect::<Result<_>>()?;
        tx.commit()?;
        Ok(jobs)
    }

    /// The drops lie in their run folders.
    pub fn claimed(&mut self, jobs: &[JobId]) -> Result<()> {
        self.for_each_claim(jobs, "UPDATE jobs SET state = 'queued', changed_ms = ?2 WHERE id = ?1 AND state = 'claiming'")
    }

    /// The drops could not be taken and lie where they were: no jobs came of them.
    pub fn unclaim(&mut self, jobs: &[JobId]) -> Result<()> {
        self.for_each_claim(jobs, "DELETE FROM jobs WHERE id = ?1 AND state = 'claiming' AND ?2")
    }

    fn for_each_claim(&mut self, jobs: &[JobId], sql: &str) -> Result<()> {
        let tx = self.write()?;
        for id in jobs {
            tx.prepare_cached(sql)?.execute(params![id, now_ms()])?;
        }
        Ok(tx.commit()?)
    }

    /// There is nothing left to work on.
    pub fn vanished(&mut self, id: JobId, reason: &str) -> Result<()> {
        let sql = "UPDATE jobs SET state = 'cancelled', waiting = NULL, reason = ?2, changed_ms = ?3 WHERE id = ?1 AND state IN ('claiming', 'queued')";
        self.db.execute(sql, params![id, reason, now_ms()])?;
        Ok(())
    }

    /// Queued jobs that wait for a time, and for which by the wall clock. Who measures it by
    /// another clock says when it has come.
    pub fn waits(&self) -> Result<Vec<(JobId, u64)>> {
        let sql =
            "SELECT id, not_before_ms FROM jobs WHERE state = 'queued' AND not_before_ms <> 0";
        let mut statement = self.db.prepare_cached(sql)?;
        let waits = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(waits.collect::<rusqlite::Result<_>>()?)
    }

    pub fn end_wait(&mut self, id: JobId) -> Result<()> {
        let sql = "UPDATE jobs SET not_before_ms = 0 WHERE id = ?1 AND state = 'queued'";
        self.db.execute(sql, [id])?;
        Ok(())
    }

    /// Marks a queued job running and counts the attempt, in one statement. `None`: its owner was
    /// faster.
    pub fn claim(&mut self, id: JobId, phase: Phase) -> Result<Option<u32>> {
        let now = now_ms();
        let tx = self.write()?;
        let attempt: Option<u32> = tx
            .query_row(include_str!("queue/claim.sql"), params![id, phase.name(), now], |row| {
                row.get(0)
            })
            .optional()?;
        if let Some(attempt) = attempt {
            tx.execute(
                "INSERT INTO attempts (job, attempt, started_ms) VALUES (?1, ?2, ?3)",
                params![id, attempt, now],
            )?;
        }
        tx.commit()?;
        Ok(attempt)
    }

    /// A process works on the running attempt.
    pub fn started(&mut self, id: JobId, phase: Phase, pid: u32) -> Result<()> {
        let tx = self.write()?;
        tx.execute(
            "UPDATE jobs SET phase = ?2, pid = ?3, changed_ms = ?4 WHERE id = ?1 AND state = 'running'",
            params![id, phase.name(), pid, now_ms()],
        )?;
        tx.execute(
            "UPDATE attempts SET pid = ?2 WHERE job = ?1 AND ended_ms IS NULL",
            params![id, pid],
        )?;
        Ok(tx.commit()?)
    }

    /// The attempt is over, the job is not: it goes where its owner wants it.
    pub fn interrupted(&mut self, id: JobId, how: &Interrupted) -> Result<()> {
        let now = now_ms();
        let tx = self.write()?;
        tx.execute(
            include_str!("queue/end_attempt.sql"),
            params![id, how.waiting, how.not_before_ms, how.crashed, now],
        )?;
        end_attempt(&tx, id, how.outcome, &how.detail, now)?;
        Ok(tx.commit()?)
    }

    /// The job is over.
    pub fn over(&mut self, id: JobId, verdict: &Verdict) -> Result<()> {
        let (state, outcome, reason) = match verdict {
            Verdict::Done => ("done", "done", None),
            Verdict::Failed(why) => ("failed", "failed", Some(why)),
            Verdict::Quarantined(why) => ("quarantined", "crashed", Some(why)),
        };
        let now = now_ms();
        let tx = self.write()?;
        let sql = "UPDATE jobs SET state = ?2, reason = ?3, phase = NULL, pid = NULL, wanted = NULL, waiting = NULL, changed_ms = ?4 \
                   WHERE id = ?1 AND state IN ('queued', 'running')";
        tx.execute(sql, params![id, state, reason, now])?;
        end_attempt(&tx, id, outcome, reason.map_or("", |it| it), now)?;
        Ok(tx.commit()?)
    }

    /// The job stays queued and is looked at again later.
    pub fn postpone(&mut self, id: JobId, waiting: &str, not_before_ms: u64) -> Result<()> {
        let sql = "UPDATE jobs SET waiting = ?2, not_before_ms = ?3, changed_ms = ?4 WHERE id = ?1 AND state = 'queued'";
        self.db.execute(sql, params![id, waiting, not_before_ms, now_ms()])?;
        Ok(())
    }

    /// The drop has changed since: this is what it looks like now.
    pub fn resettled(&mut self, id: JobId, fingerprint: Fingerprint) -> Result<()> {
        self.db.execute(
            "UPDATE jobs SET fingerprint = ?2 WHERE id = ?1",
            params![id, fingerprint.0.cast_signed()],
        )?;
        Ok(())
    }

    /// Jobs that a daemon which is gone left in the middle of something.
    pub fn left_behind(&self) -> Result<Vec<Job>> {
        list(&self.db, "state IN ('claiming', 'running') ORDER BY id", [])
    }

    /// Running jobs that their owners no longer want running.
    pub fn unwanted(&self) -> Result<Vec<JobId>> {
        let mut statement = self
            .db
            .prepare_cached("SELECT id FROM jobs WHERE state = 'running' AND wanted <> 'run'")?;
        let ids = statement.query_map([], |row| row.get(0))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }

    pub fn job(&self, id: JobId) -> Result<Job> {
        read(&self.db, id)
    }

    /// Every job, oldest first.
    pub fn all(&self) -> Result<Vec<Job>> {
        list(&self.db, "1 ORDER BY id", [])
    }

    /// Running jobs, the next queued ones, and those that changed last; at most `limit` of each.
    pub fn overview(&self, limit: usize) -> Result<Vec<Job>> {
        let mut jobs =
            list(&self.db, "state IN ('claiming', 'running') ORDER BY id LIMIT ?1", [limit])?;
        jobs.extend(list(
            &self.db,
            "state = 'queued' ORDER BY priority DESC, id LIMIT ?1",
            [limit],
        )?);
        let mut others = list(
            &self.db,
            "state IN ('paused', 'done', 'failed', 'cancelled', 'quarantined') ORDER BY changed_ms DESC, id DESC LIMIT ?1",
            [limit],
        )?;
        others.reverse();
        jobs.extend(others);
        Ok(jobs)
    }

    pub fn counts(&self) -> Result<Counts> {
        let mut statement = self
            .db
            .prepare_cached("SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state")?;
        let counts = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(counts.collect::<rusqlite::Result<_>>()?)
    }

    pub fn attempts(&self, id: JobId) -> Result<Vec<Attempt>> {
        let mut statement = self.db.prepare("SELECT attempt, started_ms, ended_ms, outcome, detail FROM attempts WHERE job = ?1 ORDER BY attempt")?;
        let attempts = statement.query_map([id], |row| {
            Ok(Attempt {
                attempt: row.get(0)?,
                started_ms: row.get(1)?,
                ended_ms: row.get(2)?,
                outcome: row.get(3)?,
                detail: row.get(4)?,
            })
        })?;
        Ok(attempts.collect::<rusqlite::Result<_>>()?)
    }

    /// Grants what an owner wants of a job. The answer is a sentence for the owner.
    ///
    /// # Errors
    /// A wish that has no meaning in the job's state says what has.
    pub fn wish(&mut self, id: JobId, wish: Wish) -> Result<String> {
        let tx = self.write()?;
        let state = read(&tx, id)?.state;
        let (grant, answer) =
            wishes::judge(&state, wish).map_err(|why| anyhow::anyhow!("job {id} {why}"))?;
        let (sql, word) = match grant {
            Grant::Nothing => return Ok(format!("job {id} {answer}")),
            Grant::Pause => (
                "UPDATE jobs SET state = 'paused', waiting = ?2, changed_ms = ?3 WHERE id = ?1",
                None,
            ),
            Grant::Cancel => (
                "UPDATE jobs SET state = 'cancelled', waiting = NULL, reason = ?2, changed_ms = ?3 WHERE id = ?1",
                Some("cancelled by its owner"),
            ),
            Grant::Queue => (
                "UPDATE jobs SET state = 'queued', reason = ?2, waiting = NULL, not_before_ms = 0, crashes = 0, changed_ms = ?3 WHERE id = ?1",
                None,
            ),
            Grant::Mark(wanted) => {
                ("UPDATE jobs SET wanted = ?2, changed_ms = ?3 WHERE id = ?1", Some(wanted.name()))
            }
        };
        tx.execute(sql, params![id, word, now_ms()])?;
        tx.commit()?;
        Ok(format!("job {id} {answer}"))
    }
}

fn read(db: &Connection, id: JobId) -> Result<Job> {
    list(db, "id = ?1", params![id])?.pop().context("there is no such job")
}

/// `condition` is our own SQL, with its order and limit.
fn list(db: &Connection, condition: &str, params: impl Params) -> Result<Vec<Job>> {
    let sql = format!(
        "SELECT id, name, source, run, recipe_file, recipe_text, fingerprint, attempt, crashes, created_ms, changed_ms, \
         uuid, original, copied, priority, state, phase, pid, wanted, waiting, not_before_ms, reason FROM jobs WHERE {condition}"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let jobs = statement.query_map(params, from_row)?;
    Ok(jobs.collect::<rusqlite::Result<_>>()?)
}

fn from_row(row: &Row) -> rusqlite::Result<Job> {
    let text = |column: &str| row.get::<_, String>(column);
    let recipe = match row.get::<_, Option<String>>("recipe_file")? {
        Some(file) => Some(RecipeText { file: file.into(), text: text("recipe_text")? }),
        None => None,
    };
    Ok(Job {
        id: row.get("id")?,
        name: text("name")?,
        source: text("source")?.into(),
        run: text("run")?,
        recipe,
        fingerprint: Fingerprint(row.get::<_, i64>("fingerprint")?.cast_unsigned()),
        attempt: row.get("attempt")?,
        crashes: row.get("crashes")?,
        created_ms: row.get("created_ms")?,
        changed_ms: row.get("changed_ms")?,
        uuid: row.get("uuid")?,
        original: match row.get::<_, Option<String>>("original")?.as_deref() {
            None => None,
            Some("hidden") => Some(Original::Hidden),
            Some(_) => Some(Original::Left),
        },
        copied: row.get("copied")?,
        priority: row.get("priority")?,
        state: state(row)?,
    })
}

fn state(row: &Row) -> rusqlite::Result<State> {
    Ok(match row.get::<_, String>("state")?.as_str() {
        "claiming" => State::Claiming,
        "queued" => {
            State::Queued { waiting: row.get("waiting")?, not_before_ms: row.get("not_before_ms")? }
        }
        "running" => State::Running {
            phase: word(row, "phase", Phase::parse)?,
            pid: row.get("pid")?,
            wanted: word(row, "wanted", Wanted::parse)?,
        },
        "paused" => State::Paused,
        "done" => State::Done,
        "failed" => State::Failed(row.get("reason")?),
        "cancelled" => State::Cancelled(row.get("reason")?),
        "quarantined" => State::Quarantined(row.get("reason")?),
        _ => return Err(rusqlite::Error::InvalidColumnType(0, "state".into(), Type::Text)),
    })
}

fn word<T>(row: &Row, column: &str, parse: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    parse(&row.get::<_, String>(column)?)
        .ok_or_else(|| rusqlite::Error::InvalidColumnType(0, column.into(), Type::Text))
}

impl ToSql for JobId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl ToSql for Original {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Original::Hidden => "hidden",
            Original::Left => "left",
        }))
    }
}

impl FromSql for JobId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<JobId> {
        u64::column_result(value).map(JobId)
    }
}

fn end_attempt(
    tx: &Transaction,
    id: JobId,
    outcome: &str,
    detail: &str,
    now_ms: u64,
) -> rusqlite::Result<()> {
    let sql = "UPDATE attempts SET ended_ms = ?2, outcome = ?3, detail = ?4 WHERE job = ?1 AND ended_ms IS NULL";
    tx.execute(sql, params![id, now_ms, outcome, detail]).map(drop)
}

/// Without SQLite's own chain of causes, which says the same three times.
fn unopened(path: &Path, why: &anyhow::Error) -> anyhow::Error {
    let cure = match why.downcast_ref().and_then(rusqlite::Error::sqlite_error_code) {
        // The schema itself may lie on a damaged page.
        Some(ErrorCode::DatabaseCorrupt) => return custody::damaged(path, &why.to_string()),
        Some(ErrorCode::NotADatabase) => {
            " (move it away to begin with an empty queue: run folders stay)"
        }
        _ => "",
    };
    anyhow::anyhow!("opening the database {}: {why}{cure}", path.display())
}

fn settings(db: &Connection) -> Result<()> {
    ensure!(
        SQLITE_OLDEST <= rusqlite::version_number(),
        "SQLite {} is too old: 3.51.3 or newer is needed",
        rusqlite::version()
    );
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    Ok(())
}

/// `user_version` counts them. A step that has been released is never edited.
fn migrations() -> Migrations<'static> {
    Migrations::new(vec![
        M::up(include_str!("queue/schema_1.sql")),
        M::up(include_str!("queue/schema_2.sql")),
        M::up(include_str!("queue/schema_3.sql")),
    ])
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_millis() as u64)
}

#[cfg(test)]
mod tests;
