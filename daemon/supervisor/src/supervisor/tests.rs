//! The daemon's state without its loop: what must hold when disk or database let it down.

use super::*;
use crate::attempt::Ending;
use crate::claim;
use crate::inbox::Pace;
use crate::observe::observe;
use crate::ownership;
use crate::queue::{NewDrop, Original, Phase, State, Verdict};
use crate::settle::Fingerprint;
use crate::wake::{NotCopied, WorkerNews};
use finetuned_job::outcome::FailureKind;
use finetuned_job::run_folder;
use std::fs;
use std::path::Path;

struct Story {
    _root: tempfile::TempDir,
    supervisor: Supervisor,
}

impl Story {
    fn new() -> Story {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path().join("home"));
        home.create().unwrap();
        let queue = Queue::open(&home.database()).unwrap();
        let mut config = Config::load(&home.root).unwrap();
        config.worker = "/bin/true".into();
        let supervisor = Supervisor::new(home, config, queue, Bell::new().0);
        Story { _root: root, supervisor }
    }

    /// A job that is marked as running; it has no worker.
    fn running(&mut self) -> Job {
        let it = &mut self.supervisor;
        let source = Path::new("/in/a.csv");
        let drop = NewDrop {
            name: "a.csv",
            source,
            fingerprint: Fingerprint(1),
            recipe: None,
            priority: 0,
            bytes: 0,
        };
        let job = it.queue.announce(&[drop]).unwrap().remove(0);
        ownership::make(&it.home.runs(), &job).unwrap();
        it.queue.claimed(&[job.id]).unwrap();
        it.queue.claim(job.id, Phase::Train).unwrap();
        job
    }

    fn fail(&mut self, job: &Job) -> Result<()> {
        let failure = Failure::new(FailureKind::Data, "one class only");
        self.supervisor.unwritten_failures.push((job.clone(), failure));
        let verdict = Verdict::Failed("one class only".into());
        self.supervisor.unwritten.push((job.id, End::Over(verdict)));
        self.supervisor.write_ends()
    }

    fn state(&self, job: &Job) -> State {
        self.supervisor.queue.job(job.id).unwrap().state
    }
}

#[test]
fn a_run_folder_that_is_gone_keeps_no_end_from_the_database() {
    let mut story = Story::new();
    let (gone, there) = (story.running(), story.running());
    fs::remove_dir_all(story.supervisor.run_of(&gone)).unwrap();
    story.fail(&gone).unwrap();
    story.fail(&there).unwrap();
    for job in [&gone, &there] {
        assert_eq!(story.state(job), State::Failed("one class only".into()));
    }
    assert!(story.supervisor.run_of(&there).join(run_folder::FAILED).exists());
}

#[test]
fn a_full_disk_is_waited_for() {
    let mut story = Story::new();
    let job = story.running();
    let file = story.supervisor.run_of(&job).join("failed.json.tmp");
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();
    assert!(story.fail(&job).is_err());
    assert!(matches!(story.state(&job), State::Running { .. }));
    assert!(fs::symlink_metadata(&file).is_err(), "a full disk gets its space back");
    story.supervisor.write_ends().unwrap();
    assert_eq!(story.state(&job), State::Failed("one class only".into()));
    assert!(story.supervisor.run_of(&job).join(run_folder::FAILED).exists());
}

#[test]
fn a_job_that_is_marked_as_running_gets_its_worker_whatever_the_database_says() {
    let mut story = Story::new();
    let job = story.running();
    story.supervisor.config.unlisted.job_time = Some(Duration::from_secs(3600));
    story.supervisor.queue.lose_attempts();
    assert!(story.supervisor.launch(job.clone(), Phase::Train).is_err());
    assert!(story.supervisor.members.contains_key(&job.id));
}

/// Else a proven job would fail for a moment without descriptors.
#[test]
fn an_end_whose_run_folder_can_not_be_read_is_looked_at_again() {
    let mut story = Story::new();
    let job = story.running();
    story.supervisor.launch(job.clone(), Phase::Prove).unwrap();
    let identity = story.supervisor.run_of(&job).join(run_folder::JOB);
    // Reading a folder as a file fails whoever asks, root too.
    fs::remove_file(&identity).unwrap();
    fs::create_dir(&identity).unwrap();
    story.supervisor.heard(job.id, WorkerNews::Ended(Ending::Exited(0), None));
    let State::Queued { waiting, .. } = story.state(&job) else {
        panic!("{:?}", story.state(&job))
    };
    assert!(waiting.is_some_and(|it| it.contains("job.json")));
}

#[test]
fn a_drop_that_was_left_is_asked_for_no_lease_at_each_scan() {
    let mut story = Story::new();
    let it = &mut story.supervisor;
    it.open_inboxes();
    let source = it.inboxes[0].config.path.join("a");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("a.csv"), "text,label\n").unwrap();
    fs::write(source.join(".ready"), "").unwrap();
    let fingerprint = observe(&source).unwrap().fingerprint;
    let drop =
        NewDrop { name: "a", source: &source, fingerprint, recipe: None, priority: 0, bytes: 0 };
    let id = it.queue.announce(&[drop]).unwrap()[0].id;
    it.queue.claimed_in_place(id, Original::Left).unwrap();
    it.intake(Duration::from_secs(1)).unwrap();
    let pace = Pace { quiet: Duration::from_secs(5), rescan: Duration::from_secs(30) };
    let settled = it.inboxes[0].scan(&mut it.watches, Duration::from_secs(2), pace);
    assert_eq!((settled, it.queue.all().unwrap().len()), (vec![], 1));
    assert!(it.inboxes[0].refused["a"].starts_with("job 1 has a copy of it"));
}

#[test]
fn a_drop_that_is_written_for_long_is_looked_at_less_and_less() {
    let mut story = Story::new();
    let it = &mut story.supervisor;
    let source = Path::new("/in/a.csv");
    let drop = NewDrop {
        name: "a.csv",
        source,
        fingerprint: Fingerprint(1),
        recipe: None,
        priority: 0,
        bytes: 0,
    };
    let id = it.queue.announce(&[drop]).unwrap()[0].id;
    it.queue.claimed_in_place(id, Original::Left).unwrap();
    let pauses = [(); 7].map(|()| {
        let before = now_ms();
        it.copied(id, Err(NotCopied::Written("a.csv".into())));
        (it.queue.waits().unwrap()[0].1 - before + 500) / 1000
    });
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    it.queue.end_wait(id).unwrap();
    it.copied(id, Ok(()));
    assert!(it.copy_pauses.is_empty() && it.queue.waits().unwrap().is_empty());
}

#[test]
fn a_finished_job_needs_no_room() {
    let mut story = Story::new();
    let it = &mut story.supervisor;
    it.config.reserve = Some(u64::MAX);
    let source = it.home.root.join("a.csv");
    fs::write(&source, "text,label\n").unwrap();
    let fingerprint = observe(&source).unwrap().fingerprint;
    let drop = NewDrop {
        name: "a.csv",
        source: &source,
        fingerprint,
        recipe: None,
        priority: 0,
        bytes: 0,
    };
    let job = it.queue.announce(&[drop]).unwrap().remove(0);
    claim::take(&it.home, &job).unwrap();
    it.queue.claimed(&[job.id]).unwrap();
    fs::write(it.run_of(&job).join(run_folder::DONE), "{}").unwrap();
    it.fill_places().unwrap();
    assert_eq!(story.state(&job), State::Done);
}
