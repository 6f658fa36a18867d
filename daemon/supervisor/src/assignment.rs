//! Decides what a worker is told: the spec for each kind of work, from the configuration and the
//! job.

use crate::config::Config;
use finetuned_job::spec::{Action, RecipeText, SPEC_VERSION, Spec};
use std::path::{Path, PathBuf};

/// What the configuration does not know.
pub(crate) struct Assignment<'a> {
    pub action: Action,
    /// 0 for work outside the queue.
    pub job: u64,
    pub attempt: u32,
    pub drop: Option<PathBuf>,
    pub run: &'a Path,
    pub recipe: Option<RecipeText>,
}

impl Assignment<'_> {
    pub fn spec(self, config: &Config) -> Spec {
        Spec {
            version: SPEC_VERSION,
            job: self.job,
            attempt: self.attempt,
            action: self.action,
            drop: self.drop,
            run: self.run.to_path_buf(),
            recipe: self.recipe,
            bases: config.bases.clone(),
            supervisor: Some(std::process::id()),
            threads: config.threads,
            memory_bytes: config.memory_bytes,
            device: config.device,
            plugins: Some(config.plugins.clone()),
            features: config.features.clone(),
            sandbox: config.sandbox,
        }
    }
}
