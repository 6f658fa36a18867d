//! Decides how one file's content arrives: continued where an earlier try ended, checked against
//! its hash, and only then given its name.
//!
//! The caller holds the lock for this content.

use crate::environment::Patience;
use crate::failures::Trouble;
use crate::hub::{Hub, RemoteFile, Tries};
use crate::resolved::Progress;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Read and written at once; a caller hears of each.
const CHUNK_BYTES: usize = 256 * 1024;
const SHA256_HEX_LEN: usize = 64;
const SHA1_HEX_LEN: usize = 40;

/// Brings `remote` to `blob`.
///
/// What an interrupted fetch left is continued; should the whole then have a wrong hash, it is
/// fetched once more from the start, because the leftover may have been at fault.
pub(crate) fn bring(
    patience: Patience,
    hub: &Hub,
    remote: &RemoteFile,
    blob: &Path,
    progress: Progress,
) -> Result<(), Trouble> {
    let mut partial = blob.as_os_str().to_owned();
    partial.push(".incomplete");
    let partial = Path::new(&partial);
    let disk = |err| Trouble::disk(partial, err);
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(partial)
        .map_err(disk)?;
    let leftover = file.metadata().map_err(disk)?.len();
    room(partial, remote.bytes.unwrap_or(0).saturating_sub(leftover))?;
    receive(patience, hub, remote, &mut file, partial, progress)?;
    let mut verdict = verify(remote, &mut file, partial)?;
    if verdict.is_some() && 0 < leftover {
        file.set_len(0).map_err(disk)?;
        receive(patience, hub, remote, &mut file, partial, progress)?;
        verdict = verify(remote, &mut file, partial)?;
    }
    if let Some(found) = verdict {
        fs::remove_file(partial).map_err(disk)?;
        return Err(Trouble::Hash { wanted: remote.etag.clone(), found });
    }
    file.sync_all().map_err(disk)?;
    fs::rename(partial, blob).map_err(disk)
}

/// Repeats [`receive_once`] until all is there, patience ends, or the trouble is of a kind that
/// stays.
fn receive(
    patience: Patience,
    hub: &Hub,
    remote: &RemoteFile,
    file: &mut File,
    path: &Path,
    progress: Progress,
) -> Result<(), Trouble> {
    let mut tries = Tries::new(patience);
    loop {
        let mut gained = 0;
        match receive_once(hub, remote, file, path, progress, &mut gained) {
            Ok(()) => return Ok(()),
            Err(why) => tries.again(why, gained)?,
        }
    }
}

/// Appends what `file` lacks. `gained` counts the new bytes, also of a try that fails.
fn receive_once(
    hub: &Hub,
    remote: &RemoteFile,
    file: &mut File,
    path: &Path,
    progress: Progress,
    gained: &mut u64,
) -> Result<(), Trouble> {
    let disk = |err| Trouble::disk(path, err);
    let mut here = file.metadata().map_err(disk)?.len();
    if remote.bytes.is_some_and(|it| it < here) {
        here = 0;
    }
    if remote.bytes == Some(here) && 0 < here {
        return Ok(());
    }
    let (body, start) = match hub.open(remote, here) {
        // Nothing is left to send, or the leftover is of something else: the hash will tell from a
        // fresh start.
        Err(Trouble::Status { code: 416, .. }) => hub.open(remote, 0)?,
        other => other?,
    };
    here = start;
    file.set_len(here).map_err(disk)?;
    file.seek(SeekFrom::Start(here)).map_err(disk)?;
    let mut body = body.into_reader();
    let mut chunk = vec![0; CHUNK_BYTES];
    progress(&remote.file, here, remote.bytes);
    loop {
        let n = body.read(&mut chunk).map_err(|err| Trouble::Network(err.to_string()))?;
        if n == 0 {
            break;
        }
        file.write_all(&chunk[..n]).map_err(disk)?;
        here += n as u64;
        *gained += n as u64;
        progress(&remote.file, here, remote.bytes);
    }
    match remote.bytes {
        Some(bytes) if here < bytes => Err(Trouble::Cut { here, bytes }),
        Some(bytes) if bytes < here => {
            Err(Trouble::Strange(format!("it sends {here} bytes instead of {bytes}")))
        }
        _ => Ok(()),
    }
}

/// The hash that was found where it is not the one that was wanted. A mirror's etag that is no hash
/// of the content (neither sha256 nor git's) can't be checked; then the length alone vouches for
/// it.
fn verify(remote: &RemoteFile, file: &mut File, path: &Path) -> Result<Option<String>, Trouble> {
    let is_hex = remote.etag.bytes().all(|it| it.is_ascii_hexdigit());
    let found = match remote.etag.len() {
        SHA256_HEX_LEN if is_hex => digest(file, Sha256::new()),
        SHA1_HEX_LEN if is_hex => {
            // git hashes a header with the content's length first.
            let bytes = file.metadata().map_err(|err| Trouble::disk(path, err))?.len();
            digest(file, Sha1::new_with_prefix(format!("blob {bytes}\0")))
        }
        _ => return Ok(None),
    };
    let found = found.map_err(|err| Trouble::disk(path, err))?;
    Ok((!found.eq_ignore_ascii_case(&remote.etag)).then_some(found))
}

fn digest<D: Digest>(file: &mut File, mut digest: D) -> std::io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            n => digest.update(&chunk[..n]),
        }
    }
    Ok(digest.finalize().iter().map(|it| format!("{it:02x}")).collect())
}

/// Refuses early what can't fit. A file system that doesn't say how full it is gets the benefit of
/// the doubt.
fn room(path: &Path, wanted: u64) -> Result<(), Trouble> {
    match rustix::fs::statvfs(path) {
        Ok(facts) if facts.f_bavail.saturating_mul(facts.f_frsize) < wanted => Err(Trouble::Full {
            path: path.into(),
            wanted,
            free: facts.f_bavail.saturating_mul(facts.f_frsize),
        }),
        _ => Ok(()),
    }
}
