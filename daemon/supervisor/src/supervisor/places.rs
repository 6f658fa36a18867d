//! Free places and running jobs that have to give theirs up: asks `schedule` and does what it says.

use super::Supervisor;
use crate::config::Config;
use crate::queue::JobId;
use crate::schedule::{self, Choice, Rules, Running, Why};
use anyhow::Result;
use std::path::Path;

impl Supervisor {
    /// Until nothing is left to be done. Each job that is started runs afterwards, is over, or
    /// waits for a time, and each is stopped once, so this ends.
    pub(super) fn fill_places(&mut self) -> Result<()> {
        while !self.bell.is_stopping() {
            match self.choose()? {
                Choice::Start(id, turns) => {
                    self.start(self.queue.job(id)?)?;
                    if self.members.contains_key(&id) {
                        self.turns = turns;
                    }
                }
                Choice::Stop(id, why) => self.stop_for(id, why),
                Choice::Nothing => break,
            }
        }
        Ok(())
    }

    fn choose(&self) -> Result<Choice> {
        let due = self.queue.due()?;
        let mut running: Vec<Running> = Vec::new();
        for (id, member) in &self.members {
            running.push(member.running(self.queue.job(*id)?.priority));
        }
        let places = self.config.workers as usize;
        let rules = |inbox: &Path| rules(&self.config, inbox);
        Ok(schedule::choose(&due, &running, places, &self.turns, rules))
    }

    fn stop_for(&mut self, id: JobId, why: Why) {
        let kill_at = self.now() + self.config.stop_timeout;
        if let Some(member) = self.members.get_mut(&id) {
            member.give_way(why, kill_at);
        }
    }
}

fn rules(config: &Config, inbox: &Path) -> Rules {
    let it = config.inbox(inbox);
    let is_quiet = it.quiet.is_some_and(|it| it.hold_now());
    Rules { weight: it.weight, jobs_max: it.jobs_max, is_quiet }
}
