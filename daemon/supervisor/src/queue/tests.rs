//! The database as a caller sees it: which ways a job may go, what is kept, what an owner's wish
//! does.

use super::*;
use crate::limits::Load;

impl Queue {
    /// A table that can't be read, for tests of what follows.
    pub(crate) fn lose_attempts(&self) {
        self.db.execute_batch("ALTER TABLE attempts RENAME TO lost").unwrap();
    }
}

fn queue() -> (tempfile::TempDir, Queue) {
    let root = tempfile::tempdir().unwrap();
    let queue = Queue::open(&root.path().join("finetuned.db")).unwrap();
    (root, queue)
}

fn queued(queue: &mut Queue, name: &str) -> JobId {
    let source = Path::new("/inbox").join(name);
    let drop = NewDrop {
        name,
        source: &source,
        fingerprint: Fingerprint(u64::MAX),
        recipe: None,
        priority: 0,
        bytes: 0,
    };
    let id = queue.announce(&[drop]).unwrap()[0].id;
    queue.claimed(&[id]).unwrap();
    id
}

fn state(queue: &Queue, id: JobId) -> State {
    queue.job(id).unwrap().state
}

const STATES: [&str; 8] =
    ["claiming", "queued", "running", "paused", "done", "failed", "cancelled", "quarantined"];

/// The facts that go with a state, so that only the transition itself can be refused.
fn force(queue: &Queue, id: JobId, to: &str) -> rusqlite::Result<usize> {
    let running = to == "running";
    let reason = ["failed", "cancelled", "quarantined"].contains(&to).then_some("because");
    let sql = "UPDATE jobs SET state = ?2, phase = ?3, wanted = ?4, pid = NULL, waiting = NULL, reason = ?5 WHERE id = ?1";
    queue
        .db
        .execute(sql, params![id, to, running.then_some("train"), running.then_some("run"), reason])
}

/// By any legal way from a fresh claim.
fn bring_to(queue: &Queue, id: JobId, to: &str) {
    let way: &[&str] = match to {
        "claiming" => &[],
        "queued" => &["queued"],
        "running" => &["queued", "running"],
        "paused" => &["queued", "paused"],
        "cancelled" => &["cancelled"],
        other => &["queued", "running", other],
    };
    way.iter().for_each(|step| assert_eq!(force(queue, id, step), Ok(1), "{step}"));
}

#[test]
fn only_the_closed_list_of_transitions_can_be_written() {
    let (_root, mut queue) = queue();
    let mut legal = Vec::new();
    for from in STATES {
        for to in STATES.into_iter().filter(|to| *to != from) {
            let drop = NewDrop {
                name: "a",
                source: Path::new("/a"),
                fingerprint: Fingerprint(1),
                recipe: None,
                priority: 0,
                bytes: 0,
            };
            let id = queue.announce(&[drop]).unwrap()[0].id;
            bring_to(&queue, id, from);
            match force(&queue, id, to) {
                Ok(_) => legal.push(format!("{from} -> {to}")),
                Err(err) => {
                    assert!(err.to_string().contains("illegal transition"), "{from} -> {to}: {err}")
                }
            }
        }
    }
    expect_test::expect![[r#"
        claiming -> queued
        claiming -> cancelled
        queued -> running
        queued -> paused
        queued -> done
        queued -> failed
        queued -> cancelled
        running -> queued
        running -> paused
        running -> done
        running -> failed
        running -> cancelled
        running -> quarantined
        paused -> queued
        paused -> cancelled
        failed -> queued
        cancelled -> queued
        quarantined -> queued"#]]
    .assert_eq(&legal.join("\n"));
}

#[test]
fn a_state_cannot_be_written_without_its_facts() {
    let (_root, mut queue) = queue();
    let id = queued(&mut queue, "a.csv");
    for sql in [
        "UPDATE jobs SET state = 'running' WHERE id = ?1",
        "UPDATE jobs SET pid = 7 WHERE id = ?1",
        "UPDATE jobs SET state = 'cancelled' WHERE id = ?1",
        "UPDATE jobs SET reason = 'x' WHERE id = ?1",
        "UPDATE jobs SET state = 'sleeping' WHERE id = ?1",
        "DELETE FROM jobs WHERE id = ?1",
    ] {
        assert!(queue.db.execute(sql, [id]).is_err(), "{sql}");
    }
    assert!(
        queue
            .db
            .execute("INSERT INTO jobs (name, source, fingerprint, state, created_ms, changed_ms) VALUES ('', '', 0, 'queued', 0, 0)", [])
            .is_err()
    );
}

#[test]
fn a_job_goes_its_whole_way() {
    let (_root, mut queue) = queue();
    let id = queued(&mut queue, "tweets.csv");
    assert_eq!(queue.job(id).unwrap().run, "0001-tweets");
    assert_eq!(queue.job(id).unwrap().fingerprint, Fingerprint(u64::MAX));
    assert_eq!(queue.claim(id, Phase::Train).unwrap(), Some(1));
    assert_eq!(queue.claim(id, Phase::Train).unwrap(), None, "it runs already");
    queue.started(id, Phase::Train, 77).unwrap();
    assert_eq!(
        state(&queue, id),
        State::Running { phase: Phase::Train, pid: Some(77), wanted: Wanted::Run }
    );
    queue.started(id, Phase::Prove, 78).unwrap();
    queue.over(id, &Verdict::Done).unwrap();
    assert_eq!(state(&queue, id), State::Done);
    let attempts = queue.attempts(id).unwrap();
    assert_eq!((attempts.len(), attempts[0].outcome.as_deref()), (1, Some("done")));
}

#[test]
fn the_oldest_that_is_due_comes_first() {
    let (_root, mut queue) = queue();
    let first = queued(&mut queue, "a.csv");
    let second = queued(&mut queue, "b.csv");
    let due = |queue: &Queue| queue.due().unwrap().into_iter().map(|it| it.job).collect::<Vec<_>>();
    assert_eq!(due(&queue), [first, second]);
    queue.postpone(first, "no space left on the disk", 5_000).unwrap();
    assert_eq!(due(&queue), [second]);
    assert_eq!(queue.waits().unwrap(), [(first, 5_000)]);
    queue.end_wait(first).unwrap();
    assert_eq!((due(&queue), queue.waits().unwrap()), (vec![first, second], vec![]));
}

#[test]
fn a_priority_is_its_owners_word() {
    let (_root, mut queue) = queue();
    let first = queued(&mut queue, "a.csv");
    let source = Path::new("/inbox/b.csv");
    let drop = || NewDrop {
        name: "b.csv",
        source,
        fingerprint: Fingerprint(u64::MAX),
        recipe: None,
        priority: 3,
        bytes: 0,
    };
    queue.submit(source, Fingerprint(u64::MAX), 9).unwrap();
    queue.submit(source, Fingerprint(2), 50).unwrap();
    let ids: Vec<JobId> = (0..2).map(|_| queue.announce(&[drop()]).unwrap()[0].id).collect();
    let answer = queue.prioritise(ids[0], 1).unwrap_err().to_string();
    assert!(answer.ends_with("is just being taken from its inbox: try again in a moment"));
    queue.claimed(&ids).unwrap();
    let due = |queue: &Queue| {
        let due = queue.due().unwrap();
        assert!(due.iter().all(|it| it.inbox == Path::new("/inbox")));
        due.into_iter().map(|it| (it.job, it.priority)).collect::<Vec<_>>()
    };
    assert_eq!(due(&queue), [(ids[0], 9), (ids[1], 3), (first, 0)], "it is meant once");
    assert_eq!(queue.prioritise(first, 20).unwrap(), "job 1 has priority 20");
    queue.prioritise(ids[0], -1).unwrap();
    assert_eq!(due(&queue), [(first, 20), (ids[1], 3), (ids[0], -1)]);
    assert_eq!(queue.overview(1).unwrap()[0].id, first);
    queue.claim(first, Phase::Train).unwrap();
    queue.over(first, &Verdict::Failed("why".into())).unwrap();
    let answer = queue.prioritise(first, 2).unwrap();
    assert_eq!(answer, "job 1 has priority 2, which counts once it is queued again");
    queue.wish(first, Wish::Retry).unwrap();
    assert_eq!(queue.job(first).unwrap().priority, 2);
}

#[test]
fn what_waits_is_counted_by_inbox() {
    let (_root, mut queue) = queue();
    let source = Path::new("/other/a.csv");
    let fingerprint = Fingerprint(1);
    let drop = NewDrop { name: "a.csv", source, fingerprint, recipe: None, priority: 0, bytes: 7 };
    queue.announce(&[drop]).unwrap();
    let ids = ["a", "b", "c"].map(|it| queued(&mut queue, it));
    queue.wish(ids[0], Wish::Pause).unwrap();
    queue.claim(ids[1], Phase::Train).unwrap();
    let loads = queue.loads().unwrap();
    assert_eq!(loads[Path::new("/inbox")], Load { jobs: 2, bytes: 0 });
    assert_eq!(loads[Path::new("/other")], Load { jobs: 1, bytes: 7 });
}

#[test]
fn a_wish_for_a_running_job_is_obeyed_when_its_worker_has_left() {
    let (_root, mut queue) = queue();
    for (wish, expected) in [
        (Wish::Pause, State::Paused),
        (Wish::Cancel, State::Cancelled("cancelled by its owner".into())),
    ] {
        let id = queued(&mut queue, "a.csv");
        queue.claim(id, Phase::Train).unwrap();
        queue.wish(id, wish).unwrap();
        assert_eq!(queue.unwanted().unwrap(), [id]);
        queue.interrupted(id, &Interrupted::because("stopped", "")).unwrap();
        assert_eq!(state(&queue, id), expected);
        assert_eq!(queue.unwanted().unwrap(), []);
    }
}

#[test]
fn a_retry_forgives_the_crashes() {
    let (_root, mut queue) = queue();
    let id = queued(&mut queue, "a.csv");
    queue.claim(id, Phase::Train).unwrap();
    queue
        .interrupted(
            id,
            &Interrupted { crashed: true, ..Interrupted::because("crashed", "SIGSEGV") },
        )
        .unwrap();
    assert_eq!(queue.job(id).unwrap().crashes, 1);
    queue.claim(id, Phase::Train).unwrap();
    queue.over(id, &Verdict::Quarantined("it died three times".into())).unwrap();
    assert_eq!(queue.wish(id, Wish::Retry).unwrap(), format!("job {id} is queued again"));
    let job = queue.job(id).unwrap();
    assert_eq!((job.crashes, job.attempt), (0, 2));
}

#[test]
fn a_senseless_wish_says_what_to_do_instead() {
    let (_root, mut queue) = queue();
    let id = queued(&mut queue, "a.csv");
    let mut refused = |wish| queue.wish(id, wish).unwrap_err().to_string();
    assert_eq!(refused(Wish::Retry), "job 1 is queued: nothing to retry");
    queue.wish(id, Wish::Cancel).unwrap();
    let mut refused = |wish| queue.wish(id, wish).unwrap_err().to_string();
    assert_eq!(refused(Wish::Resume), "job 1 is cancelled: start it again with `finetuned retry`");
    assert_eq!(refused(Wish::Pause), "job 1 is cancelled already");
}

#[test]
fn numbers_are_never_used_again() {
    let (_root, mut queue) = queue();
    let drop = || NewDrop {
        name: "a",
        source: Path::new("/a"),
        fingerprint: Fingerprint(1),
        recipe: None,
        priority: 0,
        bytes: 0,
    };
    let first = queue.announce(&[drop()]).unwrap()[0].id;
    queue.unclaim(&[first]).unwrap();
    assert!(first < queue.announce(&[drop()]).unwrap()[0].id);
}

#[test]
fn a_reader_and_a_writer_work_at_the_same_time() {
    let (root, mut queue) = queue();
    let id = queued(&mut queue, "a.csv");
    let reader = Queue::open_to_read(&root.path().join("finetuned.db")).unwrap().unwrap();
    assert_eq!(reader.counts().unwrap(), [("queued".to_string(), 1)]);
    queue.claim(id, Phase::Train).unwrap();
    assert_eq!(reader.counts().unwrap(), [("running".to_string(), 1)]);
    assert!(reader.db.execute("DELETE FROM attempts", []).is_err());
    assert!(Queue::open_to_read(&root.path().join("none.db")).unwrap().is_none());
}

#[test]
fn a_database_of_the_first_version_is_brought_up_to_date_by_whoever_asks() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("finetuned.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(include_str!("schema_1.sql")).unwrap();
    db.execute_batch(
        "INSERT INTO jobs (name, source, run, fingerprint, state, created_ms, changed_ms) VALUES ('a', '/a', '0001-a', 7, 'claiming', 1, 1); \
         UPDATE jobs SET state = 'queued'; PRAGMA user_version = 1",
    )
    .unwrap();
    drop(db);
    let jobs = Queue::open_to_read(&path).unwrap().unwrap().all().unwrap();
    assert_eq!((jobs.len(), jobs[0].uuid.clone(), jobs[0].copied), (1, None, true));
}

#[test]
fn an_orphan_gets_its_number_and_the_next_job_a_higher_one() {
    let (_root, mut queue) = queue();
    let orphan = |verdict| Orphan {
        number: 7,
        uuid: None,
        run: "0007-a".into(),
        name: "a.csv".into(),
        source: "/in/a.csv".into(),
        fingerprint: Fingerprint(1),
        recipe: None,
        created_ms: 1,
        original: None,
        copied: true,
        verdict,
    };
    let failed = orphan(Some(Verdict::Failed("why".into())));
    let job = queue.adopt(&failed).unwrap();
    assert_eq!((job.id, job.state), (JobId(7), State::Failed("why".into())));
    let second = queue.adopt(&orphan(None)).unwrap();
    assert_eq!(second.id, JobId(8));
    queue.number_above(20).unwrap();
    queue.number_above(3).unwrap();
    assert_eq!(queued(&mut queue, "b.csv"), JobId(21));
}

#[test]
fn an_outage_takes_nothing_of_a_jobs_time() {
    const HOUR_MS: u64 = 3_600_000;
    let (_root, mut queue) = queue();
    let id = queued(&mut queue, "a.csv");
    let spent_after = |outcome| {
        queue.claim(id, Phase::Train).unwrap();
        queue
            .db
            .execute(
                "UPDATE attempts SET started_ms = started_ms - ?1 WHERE ended_ms IS NULL",
                [HOUR_MS],
            )
            .unwrap();
        queue.interrupted(id, &Interrupted::because(outcome, "")).unwrap();
        queue.spent_ms(id).unwrap() / HOUR_MS
    };
    assert_eq!(["stopped", "lost", "crashed"].map(spent_after), [1, 1, 2]);
}

#[test]
fn a_drop_that_was_left_is_its_jobs_while_it_waits_for_its_copy() {
    let (_root, mut queue) = queue();
    let source = Path::new("/inbox/a.csv");
    let drop = NewDrop {
        name: "a.csv",
        source,
        fingerprint: Fingerprint(1),
        recipe: None,
        priority: 0,
        bytes: 0,
    };
    let id = queue.announce(&[drop]).unwrap()[0].id;
    queue.claimed_in_place(id, Original::Left).unwrap();
    let left_at = |queue: &Queue| [1, 2].map(|it| queue.left_at(source, Fingerprint(it)).unwrap());
    assert_eq!(left_at(&queue), [Some(id), Some(id)]);
    queue.wish(id, Wish::Pause).unwrap();
    assert_eq!(left_at(&queue), [Some(id), Some(id)]);
    queue.wish(id, Wish::Resume).unwrap();
    queue.copied(id).unwrap();
    assert_eq!(left_at(&queue), [Some(id), None], "what its owner has made since is a new drop");
}

#[test]
fn what_is_asked_at_each_round_has_an_index() {
    use custody::{HIDDEN, LEFT_AT, TO_COPY};
    use order::{DUE, WAITING};
    let (_root, queue) = queue();
    for (condition, index) in [
        (TO_COPY, "jobs_due"),
        (HIDDEN, "jobs_by_original"),
        (LEFT_AT, "jobs_by_original"),
        (DUE, "jobs_due"),
        (WAITING, "jobs_by_"),
    ] {
        let sql = format!("EXPLAIN QUERY PLAN SELECT * FROM jobs WHERE {condition}");
        let plan: String = queue
            .db
            .prepare(&sql)
            .and_then(|mut it| it.raw_query().next().and_then(|row| row.unwrap().get("detail")))
            .unwrap();
        assert!(plan.contains(index), "{plan}");
    }
}
