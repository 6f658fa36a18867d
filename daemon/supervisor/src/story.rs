//! A home in an empty folder, with an inbox and a queue, for tests of what works on one.

use crate::home::Home;
use crate::queue::Queue;
use std::fs;
use tempfile::TempDir;

pub(crate) struct Story {
    /// Holds the home and the folder `inbox`.
    pub root: TempDir,
    pub home: Home,
    pub queue: Queue,
}

impl Story {
    pub fn new() -> Story {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path().join("home"));
        home.create().unwrap();
        fs::create_dir(root.path().join("inbox")).unwrap();
        let queue = Queue::open(&home.database()).unwrap();
        Story { root, home, queue }
    }
}
