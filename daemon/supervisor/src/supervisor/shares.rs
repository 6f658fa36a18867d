//! Cgroups of workers: what each, and all of them together, may have, by the configuration.

use super::Supervisor;
use crate::cgroup::{Allowance, Group, Groups};
use crate::config::InboxConfig;
use crate::queue::Job;

impl Supervisor {
    /// Once, at the start: a worker would be in the way.
    pub(super) fn divide_unit(&mut self) {
        self.groups = Groups::of_process();
        self.limit_workers();
        self.bulletin.limits = match &self.groups {
            Ok(it) if it.controllers.is_empty() => {
                "a cgroup for each worker: it counts, but the machine limits nothing by it".into()
            }
            Ok(it) => format!("a cgroup for each worker: {}", it.controllers.join(", ")),
            Err(why) => format!("of processes, for {why}"),
        };
        tracing::info!("limits of workers: {}", self.bulletin.limits);
    }

    /// Without one the worker has the limits of a process.
    pub(super) fn group_for(&self, job: &Job) -> Option<Group> {
        let groups = self.groups.as_ref().ok()?;
        let inbox = self.config.inbox(job.inbox());
        let InboxConfig { memory_bytes, cpus, cpu_weight, io_weight, .. } = *inbox;
        let group = groups.make(job.id.0, Allowance { memory_bytes, cpus, cpu_weight, io_weight });
        group.map_err(|err| tracing::warn!("job {}: it gets no cgroup: {err}", job.id)).ok()
    }

    /// What all workers together may have; it holds at once.
    pub(super) fn limit_workers(&self) {
        let Ok(groups) = &self.groups else { return };
        let memory_bytes = self.config.memory_bytes.map(|it| it * u64::from(self.config.workers));
        let all = Allowance { memory_bytes, cpus: self.config.cpus, ..Allowance::default() };
        groups
            .limit_all(all)
            .unwrap_or_else(|err| tracing::warn!("the cgroup of all workers: {err}"));
    }
}
