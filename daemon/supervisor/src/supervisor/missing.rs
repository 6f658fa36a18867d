//! Decides what becomes of a job whose drop is not in its run folder: taken again, or gone. Where
//! drops lie, `claim` knows.

use super::Supervisor;
use super::ends::ENVIRONMENT_AFTER;
use crate::claim;
use crate::queue::Job;
use anyhow::Result;
use std::time::Duration;

/// What there is of a drop that is not in its run folder.
enum Found {
    Original,
    Again,
    Nothing,
}

impl Supervisor {
    /// A rename that a power cut undid is made again; else its owner has removed it.
    pub(super) fn find_drop(&mut self, job: &Job) -> Result<()> {
        // What can't be looked at is not gone.
        let find = || -> Result<Found> {
            if job.original.is_some() && claim::original_of(job).try_exists()? {
                return Ok(Found::Original);
            }
            let again = claim::take_again(&self.home, job)?;
            Ok(if again { Found::Again } else { Found::Nothing })
        };
        match find() {
            Ok(Found::Original) => self.queue.uncopied(job.id, job.fingerprint),
            Ok(Found::Again) => self.postpone(job, "its drop was taken again", Duration::ZERO),
            Ok(Found::Nothing) => {
                tracing::warn!("job {}: its drop is gone", job.id);
                self.queue.vanished(job.id, "its drop was removed before it could be read")
            }
            Err(err) => {
                let waiting = format!("its drop can't be looked for: {err:#}");
                self.postpone(job, &waiting, ENVIRONMENT_AFTER)
            }
        }
    }
}
