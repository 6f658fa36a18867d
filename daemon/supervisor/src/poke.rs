//! How a command tells a running daemon that the database has changed: an empty datagram. It may
//! get lost; the daemon looks by time as well.

use crate::home::Home;
use crate::wake::{Bell, Wake};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread;

/// Listens until the process ends. The home's lock is held, so an old socket is nobody's.
pub(crate) fn listen(home: &Home, bell: Bell) -> Result<()> {
    let path = home.socket();
    match fs::remove_file(&path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => {
            return Err(err).with_context(|| format!("removing {}", path.display()));
        }
        _ => {}
    }
    let folder =
        File::open(&home.root).with_context(|| format!("opening {}", home.root.display()))?;
    let socket = UnixDatagram::bind(short(&folder, &path))
        .with_context(|| format!("making the socket {}", path.display()))?;
    let hear = move || while socket.recv(&mut [0; 1]).is_ok() && bell.ring(Wake::Poke) {};
    thread::Builder::new().name("poke".into()).spawn(hear).context("starting a thread")?;
    Ok(())
}

/// Nobody listens, nobody is told.
pub(crate) fn poke(home: &Home) {
    let path = home.socket();
    let send = || UnixDatagram::unbound()?.send_to(&[], short(&File::open(&home.root)?, &path));
    let _: io::Result<usize> = send();
}

/// A socket's path has at most 107 bytes, a home's may be longer: this one is short whatever the
/// home's.
fn short(folder: &File, path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poke_arrives_however_deep_the_home() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path().join("deep".repeat(40)));
        home.create().unwrap();
        poke(&home);
        let (bell, wakes) = Bell::new();
        listen(&home, bell.clone()).unwrap();
        poke(&home);
        assert!(matches!(wakes.recv(), Ok(Wake::Poke)));
    }
}
