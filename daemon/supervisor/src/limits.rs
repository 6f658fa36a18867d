//! Decides whether a drop may be taken now: queues have lengths and sizes, of each inbox and of all
//! together. What may not lies where it is, with its reason, until there is room.

use crate::words;

/// Absent: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub jobs: Option<u64>,
    pub bytes: Option<u64>,
}

/// What has been taken and waits, for a place or its owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub jobs: u64,
    pub bytes: u64,
}

impl Load {
    pub fn with(self, other: Load) -> Load {
        Load { jobs: self.jobs + other.jobs, bytes: self.bytes + other.bytes }
    }
}

impl Limits {
    /// `whose`: as `this inbox`.
    ///
    /// # Errors
    /// Why it is not taken now, in a sentence for its owner.
    pub fn admit(self, load: Load, bytes: u64, whose: &str) -> Result<(), String> {
        let size = words::bytes;
        if let Some(most) = self.bytes
            && most < bytes
        {
            return Err(format!(
                "it has {}, and the queue of {whose} takes {} at most: make it smaller, or raise queue_bytes in config.toml",
                size(bytes),
                size(most)
            ));
        }
        if let Some(most) = self.jobs
            && most <= load.jobs
        {
            let (n, most) = (words::count(load.jobs), words::count(most));
            return Err(format!(
                "it is taken when there is room: {n} jobs of {whose} wait already, and {most} may (queue_jobs)"
            ));
        }
        if let Some(most) = self.bytes
            && most < load.bytes.saturating_add(bytes)
        {
            return Err(format!(
                "it is taken when there is room: it has {}, and drops of {whose} with {} wait already, and {} may (queue_bytes)",
                size(bytes),
                size(load.bytes),
                size(most)
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_over_a_limit_waits_and_one_that_can_never_be_taken_says_so() {
        let limits = Limits { jobs: Some(2), bytes: Some(1000) };
        let admit = |jobs, load, bytes| {
            limits.admit(Load { jobs, bytes: load }, bytes, "this inbox").err().unwrap_or_default()
        };
        assert_eq!([admit(0, 0, 1000), admit(1, 400, 600)], ["", ""]);
        assert_eq!(
            admit(2, 0, 1),
            "it is taken when there is room: 2 jobs of this inbox wait already, and 2 may (queue_jobs)"
        );
        assert_eq!(
            admit(1, 401, 600),
            "it is taken when there is room: it has 600 B, and drops of this inbox with 401 B wait already, and 1.0 kB may (queue_bytes)"
        );
        assert_eq!(
            admit(0, 0, 1001),
            "it has 1.0 kB, and the queue of this inbox takes 1.0 kB at most: make it smaller, or raise queue_bytes in config.toml"
        );
        assert_eq!(Limits::default().admit(Load { jobs: 9, bytes: 9 }, u64::MAX, ""), Ok(()));
    }
}
