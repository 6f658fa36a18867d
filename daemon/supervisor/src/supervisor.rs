//! The daemon: waits for a wake-up or a time, then tends to everything that is due. One thread owns
//! all state; the others only ring its bell.

mod carrying; // drops that can't be moved -> copies
mod shares; // cgroups of workers
mod hearing; // a worker's words -> what the daemon acts on
mod ends; // ends of attempts -> database, failed.json
mod crew; // jobs -> live workers -> what follows
mod missing; // jobs without their drops -> what follows
mod places; // due jobs and live workers -> who runs
mod waits; // rows that wait -> whose time has come
mod intake; // inboxes -> queued jobs
mod service; // the line for the service manager

use crate::bulletin::{Bulletin, CopyNews, InboxNews};
use crate::cgroup::Groups;
use crate::config::Config;
use crate::copy::Carriage;
use crate::home::Home;
use crate::inbox::Inbox;
use crate::limits::Load;
use crate::poke;
use crate::queue::{Job, JobId, Queue, now_ms};
use crate::schedule::Turns;
use crate::systemd::{self, Systemd};
use crate::wake::{Bell, Wake};
use crate::watch::Watches;
use crate::{access, housekeeping, recovery, signals};
use anyhow::Result;
use crew::Member;
use ends::End;
use finetuned_job::outcome::Failure;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use waits::Waits;

/// After an error of disk or database everything is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Backups are of a day, retention in days: an hour is soon enough.
const HOUSE_EVERY: Duration = Duration::from_secs(3600);
/// How far a copy has come is published so often.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Left of the stop timeout for writing down how the last workers ended.
const STOP_RESERVE: Duration = Duration::from_secs(1);

pub(crate) struct Supervisor {
    home: Home,
    config: Config,
    queue: Queue,
    bell: Bell,
    watches: Watches,
    inboxes: Vec<Inbox>,
    members: BTreeMap<JobId, Member>,
    /// Ends of attempts that the database did not take yet.
    unwritten: Vec<(JobId, End)>,
    /// The same of `failed.json`.
    unwritten_failures: Vec<(Job, Failure)>,
    /// Since when a job's run folder is held by the worker of an earlier daemon.
    locked_since: BTreeMap<JobId, Duration>,
    house: House,
    course: Course,
    waits: Waits,
    turns: Turns,
    /// What waited when a drop was left in its inbox for want of room.
    crowded: Option<Load>,
    /// When the kernel dropped file events last, by our clock and the wall's.
    lost_at: Option<(Duration, u64)>,
    carriage: Option<Carriage>,
    /// How long the next try of a copy that failed waits.
    copy_pauses: BTreeMap<JobId, Duration>,
    releasing: bool,
    release_at: Duration,
    /// Originals that can't be removed, of this round of tries and of the one before.
    stuck: BTreeMap<JobId, String>,
    stuck_before: Vec<String>,
    /// When what went wrong is tried again.
    retry_at: Option<Duration>,
    /// Why the configuration was not read again.
    stale_config: Option<String>,
    /// A cgroup for each worker, or why there is none.
    groups: Result<Groups, String>,
    systemd: Systemd,
    bulletin: Bulletin,
    began: Instant,
}

#[derive(Default)]
struct House {
    next_at: Duration,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Serving,
    /// No new work; workers that still live then are killed.
    Stopping {
        kill_at: Duration,
    },
}

/// Serves a home until SIGTERM.
pub(crate) fn serve(home: Home, config: Config) -> Result<()> {
    home.create()?;
    let _lock = home.lock()?;
    let (bell, wakes) = Bell::new();
    // Before anything else may take time: a stop signal must not kill us half-way.
    hear_signals(bell.clone())?;
    let mut queue = Queue::open(&home.database())?;
    queue.check(&home.database())?;
    access::tighten(&home, config.group)?;
    recovery::recover(&mut queue, &home, config.group)?;
    poke::listen(&home, bell.clone())?;
    let mut supervisor = Supervisor::new(home, config, queue, bell);
    supervisor.divide_unit();
    supervisor.open_inboxes();
    systemd::ready();
    tracing::info!(
        workers = supervisor.config.workers,
        threads = supervisor.config.threads,
        "serving {}",
        supervisor.home.root.display()
    );
    supervisor.run(&wakes);
    tracing::info!("stopped");
    Ok(())
}

impl Supervisor {
    fn new(home: Home, config: Config, queue: Queue, bell: Bell) -> Supervisor {
        let bulletin = Bulletin {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").into(),
            since_ms: now_ms(),
            inboxes: vec![],
            copying: None,
            remarks: vec![],
            limits: String::new(),
            trouble: None,
        };
        Supervisor {
            watches: Watches::new(bell.clone()),
            inboxes: vec![],
            members: BTreeMap::new(),
            unwritten: vec![],
            unwritten_failures: vec![],
            locked_since: BTreeMap::new(),
            house: House::default(),
            course: Course::Serving,
            waits: Waits::default(),
            turns: Turns::default(),
            crowded: None,
            lost_at: None,
            carriage: None,
            copy_pauses: BTreeMap::new(),
            releasing: false,
            release_at: Duration::ZERO,
            stuck: BTreeMap::new(),
            stuck_before: vec![],
            retry_at: None,
            stale_config: None,
            groups: Err("not asked for".into()),
            systemd: Systemd::new(),
            began: Instant::now(),
            home,
            config,
            queue,
            bell,
            bulletin,
        }
    }

    fn run(&mut self, wakes: &Receiver<Wake>) {
        loop {
            self.tend();
            self.report_to_manager(self.now());
            if self.is_over() {
                return;
            }
            // The bell is ours too, so the channel never closes; after a time-out there is nothing
            // to take.
            let first = wakes.recv_timeout(self.pause()).ok();
            first.into_iter().chain(wakes.try_iter()).for_each(|wake| self.take(wake));
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Only notes what is new; `tend` acts on it.
    fn take(&mut self, wake: Wake) {
        let now = self.now();
        match wake {
            Wake::MovedIn(entry) => {
                // An entry belongs to at most one inbox.
                let _ = self.inboxes.iter_mut().any(|it| it.moved_in(&entry, now));
            }
            Wake::Hint | Wake::Poke => {}
            Wake::Worker(id, news) => self.heard(id, news),
            Wake::Copied(id, copied) => self.copied(id, copied),
            Wake::Released(id, released) => self.released(id, released),
            Wake::Stop => self.stop(),
            Wake::Reload => self.reload(),
        }
    }

    fn hear_hints(&mut self, now: Duration) {
        let lost = self.bell.take_loss();
        if lost {
            tracing::warn!("the kernel dropped file events: looking at all inboxes");
            self.lost_at = Some((now, now_ms()));
        }
        if self.bell.take_hint() || lost {
            self.inboxes.iter_mut().for_each(|it| it.hinted(now));
        }
    }

    /// Everything that is due now. An error leaves the rest for the next round.
    fn tend(&mut self) {
        let now = self.now();
        self.hear_hints(now);
        self.watch_time(now);
        self.kill_overdue(now);
        let result = match self.course {
            Course::Serving => self.serve_round(now),
            Course::Stopping { .. } => self.write_ends(),
        };
        let trouble = result.err().map(|err| format!("{err:#}"));
        self.retry_at = trouble.is_some().then_some(now + RETRY_AFTER);
        if let Some(trouble) =
            trouble.as_ref().filter(|it| self.bulletin.trouble.as_ref() != Some(it))
        {
            tracing::error!("{trouble}; trying again every {} s", RETRY_AFTER.as_secs());
        }
        self.publish(trouble);
    }

    fn serve_round(&mut self, now: Duration) -> Result<()> {
        self.write_ends()?;
        if self.bulletin.trouble.is_some() {
            recovery::finish_claims(&mut self.queue, &self.home)?;
        }
        self.look_for_room(now)?;
        self.intake(now)?;
        self.obey_wishes()?;
        for id in self.waits.over(&self.queue.waits()?, now_ms(), now) {
            self.queue.end_wait(id)?;
        }
        self.keep_house(now);
        self.copy_next()?;
        self.release_next(now)?;
        self.fill_places()
    }

    /// In a thread with a connection of its own: it may take as long as it takes.
    fn keep_house(&mut self, now: Duration) {
        let is_at_it = self.house.thread.as_ref().is_some_and(|it| !it.is_finished());
        if now < self.house.next_at || is_at_it || self.bell.is_stopping() {
            return;
        }
        let (home, rules) = (self.home.clone(), self.config.retention);
        let work = move || {
            housekeeping::keep_house(&home, rules)
                .unwrap_or_else(|err| tracing::warn!("housekeeping: {err:#}"));
        };
        self.house.thread = thread::Builder::new().name("house".into()).spawn(work).ok();
        self.house.next_at = now + HOUSE_EVERY;
    }

    fn publish(&mut self, trouble: Option<String>) {
        let news = Bulletin {
            inboxes: self.inboxes.iter().map(InboxNews::of).collect(),
            copying: self.carriage.as_ref().map(CopyNews::of),
            remarks: self.remarks(),
            trouble,
            ..self.bulletin.clone()
        };
        if news != self.bulletin {
            news.publish(&self.home).unwrap_or_else(|err| tracing::warn!("{err:#}"));
            self.bulletin = news;
        }
    }

    /// Until the next thing is due. Wishes whose poke was lost are found after `rescan_s`.
    fn pause(&self) -> Duration {
        let now = self.now();
        let mut until = now + self.config.rescan;
        if self.course == Course::Serving {
            until = self.inboxes.iter().map(Inbox::next_scan).fold(until, Duration::min);
            until = self.waits.next().map_or(until, |it| until.min(it));
            let looks = self.members.values().map(|it| it.next_look(self.config.silence));
            until = looks.flatten().fold(until, Duration::min);
        }
        if self.carriage.is_some() {
            until = until.min(now + PROGRESS_EVERY);
        }
        until = self.members.values().filter_map(Member::kill_at).fold(until, Duration::min);
        let report = self.next_report();
        // Trouble has its own pace: what is overdue because of it must not make us spin.
        let until = match self.retry_at {
            Some(at) => until.max(now + Duration::from_secs(1)).min(at.max(now)),
            None => until,
        };
        report.map_or(until, |it| until.min(it)).saturating_sub(now)
    }

    fn is_over(&self) -> bool {
        match self.course {
            Course::Serving => false,
            Course::Stopping { kill_at } => {
                let is_copying = self.carriage.is_some() && self.now() < kill_at;
                self.members.is_empty()
                    && !is_copying
                    && (self.unwritten.is_empty() || kill_at <= self.now())
            }
        }
    }

    /// Workers write checkpoints and leave. Asked twice: at once.
    fn stop(&mut self) {
        systemd::stopping();
        let now = self.now();
        let patience = if self.course == Course::Serving {
            self.config.stop_timeout.saturating_sub(STOP_RESERVE)
        } else {
            Duration::ZERO
        };
        tracing::info!("stopping: {} workers write their checkpoints", self.members.len());
        let kill_at = now + patience;
        self.course = Course::Stopping { kill_at };
        self.carriage.iter().for_each(Carriage::stop);
        self.members.values_mut().for_each(|it| it.ask_to_stop(kill_at));
    }

    /// A configuration that can't be used changes nothing.
    /// The configuration as it stands now; who may look into the home follows it.
    fn read_again(&self) -> Result<Config> {
        let config = Config::load(&self.home.root)?;
        if config.group != self.config.group
            && let Err(err) = access::tighten(&self.home, config.group)
        {
            access::tighten(&self.home, self.config.group)?;
            return Err(err);
        }
        Ok(config)
    }

    fn reload(&mut self) {
        systemd::reloading();
        self.stale_config = match self.read_again() {
            Ok(config) => {
                self.config = config;
                self.limit_workers();
                self.open_inboxes();
                // Limits may have changed.
                let now = self.now();
                self.inboxes.iter_mut().for_each(|it| it.hinted(now));
                tracing::info!("configuration read again");
                None
            }
            Err(err) => {
                let stale = format!("{err:#}; the old configuration stays in force");
                tracing::error!("{stale}");
                Some(stale)
            }
        };
        systemd::ready();
    }
}

fn hear_signals(bell: Bell) -> Result<()> {
    signals::hear(&[SIGTERM, SIGINT, SIGHUP], move |signal| {
        if signal == SIGHUP {
            return bell.ring(Wake::Reload);
        }
        bell.announce_stop();
        bell.ring(Wake::Stop)
    })
}

#[cfg(test)]
mod tests;
