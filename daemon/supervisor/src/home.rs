//! Names the places in a home folder, and holds the lock that makes a daemon the only one of its
//! home.

use crate::run_lock;
use anyhow::{Context, Result, bail};
use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

/// A daemon holds its lock for hours, whoever only asks for microseconds: so many looks tell them
/// apart.
const LOCK_LOOKS: u32 = 5;
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub root: PathBuf,
}

impl Home {
    pub fn new(root: PathBuf) -> Home {
        Home { root }
    }

    pub fn inbox(&self) -> PathBuf {
        self.root.join("inbox")
    }

    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    pub fn database(&self) -> PathBuf {
        self.root.join("finetuned.db")
    }

    /// Of the database, one a day.
    pub fn backups(&self) -> PathBuf {
        self.root.join("backups")
    }

    /// What the daemon last said about its inboxes; see `bulletin`.
    pub fn bulletin(&self) -> PathBuf {
        self.root.join("daemon.json")
    }

    /// Where a command that changed the database says so.
    pub fn socket(&self) -> PathBuf {
        self.root.join("poke.sock")
    }

    fn lock_file(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Makes the folders that are ours. Drops hold private data, so nobody else may look in.
    pub fn create(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for dir in [&self.root, &self.runs()] {
            builder.create(dir).with_context(|| format!("making the folder {}", dir.display()))?;
        }
        if self.root.to_str().is_none() {
            bail!("the home folder {} must have a name in UTF-8", self.root.display());
        }
        Ok(())
    }

    /// Held as long as the value lives, and given up by the kernel however we end.
    pub fn lock(&self) -> Result<File> {
        let path = self.lock_file();
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.with_context(|| format!("opening {}", path.display()))?;
        for look in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                // A `finetuned status` that asks for the daemon holds it for a moment too.
                Err(TryLockError::WouldBlock) if look < LOCK_LOOKS => {
                    std::thread::sleep(LOCK_LOOK_EVERY)
                }
                Err(TryLockError::WouldBlock) => {
                    bail!(
                        "another finetuned{} serves {}: stop it, or choose another --home",
                        self.holder(),
                        self.root.display()
                    )
                }
                Err(TryLockError::Error(err)) => {
                    return Err(err).with_context(|| format!("locking {}", path.display()));
                }
            }
        }
        // The number is for people only; a full disk is no reason not to serve.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(file)
    }

    /// Whether a daemon serves this home now.
    pub fn is_served(&self) -> bool {
        run_lock::is_held(&self.lock_file())
    }

    fn holder(&self) -> String {
        let mut text = String::new();
        let read = File::open(self.lock_file()).and_then(|mut file| file.read_to_string(&mut text));
        match read {
            Ok(_) if !text.trim().is_empty() => format!(" (process {})", text.trim()),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_has_one_daemon() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path().join("home"));
        home.create().unwrap();
        assert!(!home.is_served());
        let held = home.lock().unwrap();
        assert!(home.is_served());
        let message = home.lock().unwrap_err().to_string();
        assert!(message.contains(&format!("(process {})", std::process::id())), "{message}");
        drop(held);
        assert!(!home.is_served());
        home.lock().unwrap();
    }
}
