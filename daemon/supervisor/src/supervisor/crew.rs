//! From queued jobs to live workers, and what follows when one has left. What a worker's end means
//! is decided in `attempt`; here it is carried out.

use super::ends::{ENVIRONMENT_AFTER, End, in_future, stopped};
use super::hearing::Ear;
use super::{RETRY_AFTER, Supervisor};
use crate::assignment::Assignment;
use crate::attempt::{self, Ending, Next};
use crate::claim::drop_of;
use crate::config;
use crate::observe::observe;
use crate::queue::{Interrupted, Job, JobId, Phase, Verdict};
use crate::schedule::{Place, Running, Why};
use crate::wake::{Wake, WorkerNews};
use crate::worker_process::{Room, WorkerProcess};
use crate::{copy, ownership, removal, run_facts, run_lock, usage, words};
use anyhow::Result;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::run_folder;
use finetuned_job::spec::{Action, Spec};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A worker that crashed at once would else crash three times in a moment of bad luck.
const CRASH_PAUSE: Duration = Duration::from_secs(2);
/// Between two looks at a run folder that an old worker still holds, or at a drop that still
/// changes.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A live worker.
pub(super) struct Member {
    job: Job,
    phase: Phase,
    process: WorkerProcess,
    /// What it said on stdout about its failure.
    reported: Option<Failure>,
    /// It reads the drop, so that the drop must not change.
    is_reading: bool,
    course: MemberCourse,
    /// When it said something last, in milliseconds since the daemon began.
    heard_ms: Arc<AtomicU64>,
    since: Duration,
    /// When the job has had its time.
    over_at: Option<Duration>,
    /// Why it was stopped or killed by `watch_time`.
    out_of_time: Option<OutOfTime>,
    /// Why it was asked to write a checkpoint and wait.
    gives_way: Option<Why>,
}

#[derive(Debug, Clone)]
enum OutOfTime {
    /// The job is over.
    Job(Failure),
    /// The worker hung: a death like others.
    Silence(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MemberCourse {
    Working,
    /// It was asked to leave, and is killed at this time.
    Leaving {
        kill_at: Duration,
    },
}

impl OutOfTime {
    /// What follows an end that we have brought about.
    fn instead_of(self, next: Next) -> Next {
        match (next, self) {
            (Next::Again { .. } | Next::Prove, OutOfTime::Job(failure)) => Next::Failed(failure),
            (Next::Again { crash: Some(_) }, OutOfTime::Silence(how)) => {
                Next::Again { crash: Some(how) }
            }
            (Next::Quarantine(failure), OutOfTime::Silence(how)) => {
                let message = format!("{}, {how}", failure.message);
                Next::Quarantine(Failure { message, ..failure })
            }
            (next, _) => next,
        }
    }
}

impl Member {
    pub(super) fn ask_to_stop(&mut self, kill_at: Duration) {
        let kill_at = match self.course {
            MemberCourse::Working => {
                self.process.stop();
                kill_at
            }
            MemberCourse::Leaving { kill_at: before } => before.min(kill_at),
        };
        self.course = MemberCourse::Leaving { kill_at };
    }

    pub(super) fn give_way(&mut self, why: Why, kill_at: Duration) {
        let _named = self.job.span().entered();
        tracing::info!("job {}: it writes a checkpoint and waits: {why}", self.job.id);
        self.gives_way = Some(why);
        self.ask_to_stop(kill_at);
    }

    /// As the scheduler sees it; its priority may have changed since it began.
    pub(super) fn running(&self, priority: i32) -> Running {
        let place = match (self.course, self.phase) {
            (MemberCourse::Leaving { .. }, _) => Place::Leaving,
            (MemberCourse::Working, Phase::Train) => Place::Training,
            (MemberCourse::Working, Phase::Prove) => Place::Proving,
        };
        let (job, inbox) = (self.job.id, self.job.inbox().to_path_buf());
        Running { job, inbox, priority, since: self.since, place }
    }

    fn heard_at(&self) -> Duration {
        Duration::from_millis(self.heard_ms.load(Ordering::Relaxed))
    }

    /// When its time may be up.
    pub(super) fn next_look(&self, silence: Option<Duration>) -> Option<Duration> {
        let quiet = silence.map(|it| self.heard_at() + it);
        let looks = [quiet, self.over_at].into_iter().flatten().min();
        looks.filter(|_| self.out_of_time.is_none())
    }

    pub(super) fn kill_at(&self) -> Option<Duration> {
        match self.course {
            MemberCourse::Working => None,
            MemberCourse::Leaving { kill_at } => Some(kill_at),
        }
    }
}

impl Supervisor {
    pub(super) fn start(&mut self, job: Job) -> Result<()> {
        let _named = job.span().entered();
        let run = self.run_of(&job);
        if run_lock::is_worked_on(&run) {
            return self.wait_for_old_worker(&job);
        }
        self.locked_since.remove(&job.id);
        let is_its = match ownership::owns(&run, &job) {
            Ok(is_its) => is_its,
            Err(err) => return self.postpone(&job, &format!("{err:#}"), ENVIRONMENT_AFTER),
        };
        if run.exists() && !is_its {
            let why = format!(
                "{} is another job's: both stay as they are; drop the data again",
                run.display()
            );
            return self.queue.over(job.id, &Verdict::Failed(why));
        }
        let seen = match observe(&drop_of(&self.home, &job)) {
            Ok(seen) => seen,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return self.find_drop(&job),
            Err(err) => {
                return self.postpone(
                    &job,
                    &format!("its drop can't be looked at: {err}"),
                    ENVIRONMENT_AFTER,
                );
            }
        };
        if seen.fingerprint != job.fingerprint {
            return self.read_anew(Job { fingerprint: seen.fingerprint, ..job });
        }
        if self.original_changed(&job) {
            return self.copy_anew(&job);
        }
        let facts = run_facts::step_back(&run).map_err(Into::into);
        let facts = match facts.and_then(|()| ownership::facts(&run, &job)) {
            Ok(facts) => facts,
            Err(err) => return self.postpone(&job, &format!("{err:#}"), ENVIRONMENT_AFTER),
        };
        if facts.done {
            removal::tidy_up(&self.home, self.config.group, &job);
            self.release_at = Duration::ZERO;
            return self.queue.over(job.id, &Verdict::Done);
        }
        if let Err(err) = copy::room(&run, 0, self.config.reserve) {
            return self.postpone(&job, &format!("{err:#}"), ENVIRONMENT_AFTER);
        }
        let phase = if facts.trained { Phase::Prove } else { Phase::Train };
        match self.queue.claim(job.id, phase)? {
            Some(attempt) => self.launch(Job { attempt, ..job }, phase),
            // Its owner was faster.
            None => Ok(()),
        }
    }

    pub(super) fn run_of(&self, job: &Job) -> PathBuf {
        self.home.runs().join(&job.run)
    }

    pub(super) fn postpone(&mut self, job: &Job, waiting: &str, pause: Duration) -> Result<()> {
        self.queue.postpone(job.id, waiting, in_future(pause))
    }

    /// The worker of a daemon that was killed stops by itself; one that does not is killed after
    /// the time that ours get too.
    fn wait_for_old_worker(&mut self, job: &Job) -> Result<()> {
        let now = self.now();
        let since = *self.locked_since.entry(job.id).or_insert(now);
        if since + self.config.stop_timeout <= now {
            run_lock::kill_holder(&self.run_of(job), &self.config.worker);
        }
        self.postpone(job, "the worker of an earlier daemon is still stopping", LOOK_AGAIN)
    }

    /// The drop has changed since it settled: it must stand still again, and what came of its old
    /// contents goes first: a crash at any point does the same again.
    fn read_anew(&mut self, job: Job) -> Result<()> {
        tracing::warn!("job {}: its drop still changes", job.id);
        let run = self.run_of(&job);
        // One folder that can't be removed is no reason to stop all jobs.
        let anew = run_facts::start_over(&run).map_err(Into::into);
        if let Err(err) = anew.and_then(|()| ownership::write(&run, &job)) {
            return self.postpone(
                &job,
                &format!("it can't begin anew: {err:#}"),
                ENVIRONMENT_AFTER,
            );
        }
        self.queue.resettled(job.id, job.fingerprint)?;
        self.postpone(&job, "its drop still changes", self.config.settle.max(LOOK_AGAIN))
    }

    /// Whoever wrote into the original still did: the copy is worth nothing. The row comes last, so
    /// that a crash at any point does the same again.
    fn copy_anew(&mut self, job: &Job) -> Result<()> {
        tracing::warn!("job {}: its drop changed after it had been copied", job.id);
        let anew = run_facts::start_over(&self.run_of(job));
        if let Err(err) = anew.and_then(|()| copy::remove(&drop_of(&self.home, job))) {
            return self.postpone(job, &format!("it can't begin anew: {err}"), ENVIRONMENT_AFTER);
        }
        self.queue.uncopied(job.id, job.fingerprint)
    }

    /// The job is marked running already.
    pub(super) fn launch(&mut self, job: Job, phase: Phase) -> Result<()> {
        let _named = job.span().entered();
        let id = job.id;
        let since = self.now();
        let heard_ms = Arc::new(AtomicU64::new(since.as_millis() as u64));
        let over_at = self.config.inbox(job.inbox()).job_time.map(|limit| {
            // The row says that it runs: from here on it must have its worker.
            let spent = self.queue.spent_ms(id).unwrap_or_else(|err| {
                tracing::error!("job {id}: the time it has had is not known: {err:#}");
                0
            });
            since + limit.saturating_sub(Duration::from_millis(spent))
        });
        match self.make_process(&job, phase, heard_ms.clone()) {
            Ok(process) => {
                tracing::info!(
                    "job {id}: attempt {}, {} in process {}",
                    job.attempt,
                    phase.name(),
                    process.pid
                );
                let written = self.queue.started(id, phase, process.pid);
                let member = Member {
                    job,
                    phase,
                    process,
                    reported: None,
                    is_reading: phase == Phase::Train,
                    course: MemberCourse::Working,
                    heard_ms,
                    over_at,
                    out_of_time: None,
                    since,
                    gives_way: None,
                };
                self.members.insert(id, member);
                written
            }
            Err(err) => {
                let why = format!("{err:#}");
                tracing::error!("job {id}: {why}");
                let later = Interrupted {
                    waiting: Some(why.clone()),
                    not_before_ms: in_future(ENVIRONMENT_AFTER),
                    ..Interrupted::because("postponed", why)
                };
                self.record(id, End::Interrupted(later));
                Ok(())
            }
        }
    }

    fn make_process(
        &self,
        job: &Job,
        phase: Phase,
        heard_ms: Arc<AtomicU64>,
    ) -> Result<WorkerProcess> {
        let run = self.run_of(job);
        let action = match phase {
            Phase::Train => Action::Train,
            Phase::Prove => Action::Prove,
        };
        let drop = Some(drop_of(&self.home, job));
        let assignment = Assignment {
            action,
            job: job.id.0,
            attempt: job.attempt,
            drop,
            run: &run,
            recipe: job.recipe.clone(),
        };
        let inbox = self.config.inbox(job.inbox());
        let threads = config::threads_for(inbox.cpus, self.config.threads);
        let memory_bytes = inbox.memory_bytes;
        let spec = Spec { memory_bytes, threads, ..assignment.spec(&self.config) };
        let spec_file = run.join(run_folder::SPEC);
        run_facts::forget_failure(&run)?;
        run_facts::write_json(&spec_file, &spec)?;
        let (bell, id, began) = (self.bell.clone(), job.id, self.began);
        let mut ear = Ear::new();
        let hear = move |heard| {
            heard_ms.store(began.elapsed().as_millis() as u64, Ordering::Relaxed);
            if let Some(news) = ear.news(heard) {
                bell.ring(Wake::Worker(id, news));
            }
        };
        let room = Room { alone: self.config.workers == 1, group: self.group_for(job) };
        WorkerProcess::start(&self.config.worker, &spec_file, &run, room, hear)
    }

    pub(super) fn heard(&mut self, id: JobId, news: WorkerNews) {
        let kill_at = self.now() + self.config.stop_timeout;
        let Some(member) = self.members.get_mut(&id) else { return };
        let _named = member.job.span().entered();
        match news {
            WorkerNews::Warning(message) => tracing::warn!("job {id}: {message}"),
            WorkerNews::Failed(failure) => member.reported = Some(failure),
            WorkerNews::DropRead if member.is_reading => {
                if has_changed(&self.home, &member.job) {
                    // Still reading, as far as the end of this attempt is concerned.
                    member.ask_to_stop(kill_at);
                } else {
                    member.is_reading = false;
                }
            }
            WorkerNews::DropRead => {}
            WorkerNews::Ended(ending, usage) => {
                if let Some(member) = self.members.remove(&id) {
                    let run = self.run_of(&member.job);
                    if let Some(it) = usage
                        && let Err(err) = usage::add(&run, member.job.attempt, member.phase, it)
                    {
                        tracing::warn!("job {id}: {err:#}");
                    }
                    self.ended(member, &ending);
                }
            }
        }
    }

    fn ended(&mut self, member: Member, ending: &Ending) {
        let Member { job, phase, reported, is_reading, course, .. } = member;
        let _named = job.span().entered();
        let run = self.run_of(&job);
        if is_reading && has_changed(&self.home, &job) {
            return self.changed_while_read(&job);
        }
        let asked = course != MemberCourse::Working;
        let facts = match ownership::facts(&run, &job) {
            Ok(facts) => facts,
            Err(err) => return self.end_unseen(&job, &err),
        };
        let next = attempt::next(phase, ending, facts, reported, asked, job.crashes);
        // Once more, before anything counts: its owner may have written all the time.
        if matches!(next, Next::Prove | Next::Done)
            && (has_changed(&self.home, &job) || self.original_changed(&job))
        {
            return self.changed_while_read(&job);
        }
        let next = match member.out_of_time {
            Some(why) => why.instead_of(next),
            None => next,
        };
        let stop = asked.then_some(member.gives_way);
        self.carry_out(job, stop, next);
    }

    /// `stop`: it was asked to leave, and perhaps to give way.
    fn carry_out(&mut self, job: Job, stop: Option<Option<Why>>, next: Next) {
        match next {
            Next::Prove if stop.is_some() => {
                self.record(job.id, stopped("trained, not yet proven", stop.flatten()))
            }
            Next::Prove => {
                let id = job.id;
                self.launch(job, Phase::Prove)
                    .unwrap_or_else(|err| tracing::error!("job {id}: {err:#}"));
            }
            Next::Done => {
                removal::tidy_up(&self.home, self.config.group, &job);
                self.record(job.id, End::Over(Verdict::Done));
            }
            Next::Failed(failure) => {
                tracing::warn!("job {}: failed: {failure}", job.id);
                self.put_down(&job, &failure);
                self.record(job.id, End::Over(Verdict::Failed(failure.to_string())));
            }
            Next::Quarantine(failure) => {
                tracing::error!("job {}: quarantined: {failure}", job.id);
                self.put_down(&job, &failure);
                self.record(job.id, End::Over(Verdict::Quarantined(failure.to_string())));
            }
            Next::Again { crash: None } => {
                tracing::info!("job {}: stopped", job.id);
                self.record(job.id, stopped("a checkpoint was written", stop.flatten()));
            }
            Next::Again { crash: Some(how) } => {
                tracing::error!(
                    "job {}: its worker died {how}; it goes on from its last checkpoint",
                    job.id
                );
                let waiting = Some(format!("its worker died {how}"));
                let crash = Interrupted {
                    waiting,
                    not_before_ms: in_future(CRASH_PAUSE),
                    crashed: true,
                    ..Interrupted::because("crashed", how)
                };
                self.record(job.id, End::Interrupted(crash));
            }
        }
    }

    /// Its owner still wrote when it was taken: what was made of the first half is worth nothing.
    fn changed_while_read(&mut self, job: &Job) {
        let why = "its drop changed while it was read";
        tracing::warn!("job {}: {why}; it is read again when it stands still", job.id);
        let pause = in_future(self.config.settle.max(LOOK_AGAIN));
        // Its fingerprint in the database is the old one, so `start` lets it settle and throws away
        // the rest.
        let again = Interrupted {
            waiting: Some(why.into()),
            not_before_ms: pause,
            ..Interrupted::because("stopped", why)
        };
        self.record(job.id, End::Interrupted(again));
    }

    /// Pauses and cancellations that commands have written into the database.
    pub(super) fn obey_wishes(&mut self) -> Result<()> {
        if self.members.is_empty() {
            return Ok(());
        }
        let kill_at = self.now() + self.config.stop_timeout;
        for id in self.queue.unwanted()? {
            if let Some(member) = self.members.get_mut(&id) {
                member.ask_to_stop(kill_at);
            }
        }
        Ok(())
    }

    /// Workers that have said nothing for too long, and jobs that take too long.
    pub(super) fn watch_time(&mut self, now: Duration) {
        let silence = self.config.silence;
        let kill_at = now + self.config.stop_timeout;
        for (id, member) in &mut self.members {
            if member.out_of_time.is_some() || member.course != MemberCourse::Working {
                continue;
            }
            let limit = self.config.inbox(member.job.inbox()).job_time;
            if let (Some(at), Some(limit)) = (member.over_at, limit)
                && at <= now
            {
                let message =
                    format!("it took longer than {}", words::seconds(limit.as_secs_f64()));
                let failure = Failure::new(FailureKind::Training, message)
                    .with_cure("fewer epochs in the recipe, or a larger job_hours in config.toml; then `finetuned retry` goes on from its last checkpoint");
                let _named = member.job.span().entered();
                tracing::warn!("job {id}: {failure}");
                member.out_of_time = Some(OutOfTime::Job(failure));
                member.ask_to_stop(kill_at);
            } else if let Some(limit) = silence
                && member.heard_at() + limit <= now
            {
                let limit = words::seconds(limit.as_secs_f64());
                let how = format!("as it had said nothing for {limit} and was killed");
                let _named = member.job.span().entered();
                tracing::warn!("job {id}: its worker has said nothing for {limit} and is killed");
                member.out_of_time = Some(OutOfTime::Silence(how));
                member.process.kill();
            }
        }
    }

    pub(super) fn kill_overdue(&mut self, now: Duration) {
        for (id, member) in &mut self.members {
            if member.kill_at().is_some_and(|at| at <= now) {
                let _named = member.job.span().entered();
                tracing::warn!("job {id}: its worker did not stop in time and is killed");
                member.process.kill();
                // Its end is heard soon; asking again changes nothing.
                member.course = MemberCourse::Leaving { kill_at: now + RETRY_AFTER };
            }
        }
    }
}

fn has_changed(home: &crate::home::Home, job: &Job) -> bool {
    observe(&drop_of(home, job)).map_or(true, |seen| seen.fingerprint != job.fingerprint)
}
