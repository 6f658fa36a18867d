//! Unpacks archives of strangers: recognised by content, written below one folder and nowhere else,
//! bounded in entries, bytes and ratio by what really comes out, never by what a header says. All
//! or nothing: a refused or interrupted archive leaves nothing that a later attempt could take for
//! whole.

mod entry_names; // bytes of names -> text
mod entry_path; // which names are allowed
mod tarball;
mod unpacker; // the one place that writes
mod zipfile;

use crate::inflate::Count;
use crate::inventory;
use crate::progress::Progress;
use crate::refusal;
use crate::source::Source;
use entry_names::EntryNames;
use finetuned_job::outcome::Failure;
use std::io::Read;
use std::path::{Path, PathBuf};
use unpacker::Unpacker;

pub(crate) struct Archive {
    source: Source,
    kind: ArchiveKind,
}

impl Archive {
    /// How its names are to be read.
    fn names(&self) -> Result<EntryNames, Failure> {
        match self.kind {
            ArchiveKind::Zip => {
                let name = &self.source.name;
                let file = self.source.file().map_err(|err| refusal::reading(name, &err))?;
                Ok(zipfile::names(file))
            }
            ArchiveKind::Tar => Ok(EntryNames::Utf8),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ArchiveKind {
    Zip,
    /// Plain or compressed.
    Tar,
}

/// Nothing where the file is no archive: a compressed table, for example.
pub(crate) fn recognise(source: Source) -> Result<Option<Archive>, Failure> {
    let mut head = Vec::new();
    if source.compression().is_none() {
        let raw = source.stream(&Count::default())?;
        raw.take(4).read_to_end(&mut head).map_err(|err| refusal::reading(&source.name, &err))?;
        if matches!(head.as_slice(), b"PK\x03\x04" | b"PK\x05\x06" | b"PK\x07\x08") {
            return Ok(Some(Archive { source, kind: ArchiveKind::Zip }));
        }
    }
    let claims_tar = {
        let name = source.name.to_ascii_lowercase();
        [".tar", ".tgz", ".tzst", ".tar.gz", ".tar.zst"].iter().any(|it| name.ends_with(it))
    };
    let mut block = Vec::new();
    let read = source.stream(&Count::default())?.take(tarball::BLOCK_BYTES).read_to_end(&mut block);
    match read {
        Ok(_) if tarball::is_header(&block) => Ok(Some(Archive { source, kind: ArchiveKind::Tar })),
        Ok(_) if claims_tar => Err(refusal::data(format!("{} is no tar archive", source.name))
            .with_cure("make it again with tar or zip")),
        Ok(_) => Ok(None),
        Err(err) => Err(refusal::reading(&source.name, &err)),
    }
}

/// What was begun, or was unpacked before the machine was started again, has a name with this
/// beginning.
const FOLDER: &str = "unpacked";

/// Archives in a drop, or in an archive.
const ARCHIVES_MAX: usize = 1000;

/// Unpacks into a folder of `staging`, unless an earlier attempt has: one archive into the folder
/// itself, several into a folder for each. With what a person should know of it.
pub(crate) fn unpack(
    archives: &[Archive],
    staging: &Path,
    progress: &mut Progress<'_>,
) -> Result<(PathBuf, Vec<String>), Failure> {
    let whole = staging.join(format!("{FOLDER}-{}", boot()));
    let warnings = archives.iter().map(|it| it.names().map(|names| names.warning(&it.source.name)));
    let warnings = warnings.collect::<Result<Vec<_>, Failure>>()?.into_iter().flatten().collect();
    if whole.is_dir() {
        return Ok((whole, warnings));
    }
    let made_staging = !staging.exists();
    let partial = staging.join(format!("{FOLDER}.partial"));
    let unpacked = clear(staging)
        .and_then(|()| match archives {
            [only] => {
                unpack_into(&partial, only, progress)?;
                let inner = inner_archives(&partial, &only.source.name)?;
                unpack_each(&partial, &inner, progress)?;
                remove(&partial, &inner)
            }
            several => unpack_each(&partial, several, progress),
        })
        .and_then(|()| {
            std::fs::rename(&partial, &whole)
                .map_err(|err| refusal::writing("the staging folder", &err))
        });
    if let Err(failure) = unpacked {
        // What can't be removed now is removed by the next attempt.
        let _ = clear(staging);
        if made_staging {
            let _ = std::fs::remove_dir(staging);
        }
        return Err(failure);
    }
    Ok((whole, warnings))
}

/// Each into a folder that is called like it.
fn unpack_each(
    folder: &Path,
    archives: &[Archive],
    progress: &mut Progress<'_>,
) -> Result<(), Failure> {
    for archive in archives {
        let stem = stem(&archive.source.name);
        let into = folder.join(stem);
        if into.exists() {
            return Err(refusal::data(format!(
                "{} would unpack to {stem}, which is there already",
                archive.source.name
            ))
            .with_cure("give each archive a name of its own"));
        }
        unpack_into(&into, archive, progress)?;
    }
    Ok(())
}

/// Without the extension of an archive, as `train` of `set/train.tar.gz`.
fn stem(name: &str) -> &str {
    let lower = name.to_ascii_lowercase();
    let extensions = [".tar.gz", ".tar.zst", ".zip", ".tar", ".tgz", ".tzst"];
    let extension = extensions.iter().find(|it| lower.ends_with(**it)).map_or(0, |it| it.len());
    &name[..name.len() - extension]
}

/// Archives in an unpacked one that holds nothing else, one level deep.
fn inner_archives(folder: &Path, outer: &str) -> Result<Vec<Archive>, Failure> {
    let found = inventory::take(folder)?;
    let others = [found.texts.len(), found.images.len(), found.idx.len(), found.tables.len()];
    if others.iter().sum::<usize>() != 0 {
        return Ok(Vec::new());
    }
    if ARCHIVES_MAX < found.archives.len() {
        return Err(refusal::data(format!("{outer} holds more than {ARCHIVES_MAX} archives"))
            .with_cure("unpack it and drop the folder"));
    }
    let mut archives = Vec::new();
    for path in found.archives {
        let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
        archives.extend(recognise(Source::open(&path, &name)?)?);
    }
    Ok(archives)
}

/// Those that were unpacked.
fn remove(folder: &Path, archives: &[Archive]) -> Result<(), Failure> {
    for archive in archives {
        std::fs::remove_file(folder.join(&archive.source.name))
            .map_err(|err| refusal::writing("the staging folder", &err))?;
    }
    Ok(())
}

/// Names the time since the machine was started. Files that were never synced are whole until then,
/// and may be empty afterwards: the name of a folder unpacked before a power cut is not believed,
/// and nobody waits for the disk.
fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let id: String = id.chars().filter(char::is_ascii_hexdigit).take(12).collect();
    // Without a name for this start of the machine, only this process may use the folder again.
    if id.is_empty() { format!("process-{}", std::process::id()) } else { id }
}

/// Removes whatever an attempt left.
fn clear(staging: &Path) -> Result<(), Failure> {
    let failed = |err| refusal::writing("the staging folder", &err);
    let entries = match std::fs::read_dir(staging) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(FOLDER) {
            std::fs::remove_dir_all(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

fn unpack_into(
    partial: &Path,
    archive: &Archive,
    progress: &mut Progress<'_>,
) -> Result<(), Failure> {
    let name = &archive.source.name;
    std::fs::create_dir_all(partial).map_err(|err| refusal::writing("the staging folder", &err))?;
    let raw = Count::default();
    let mut unpacker = Unpacker::new(partial, name, archive.source.bytes(), raw.clone(), progress)?;
    match archive.kind {
        ArchiveKind::Zip => {
            let file = archive.source.file().map_err(|err| refusal::reading(name, &err))?;
            zipfile::unpack(file, archive.names()?, &raw, &mut unpacker)?;
        }
        ArchiveKind::Tar => tarball::unpack(archive.source.stream(&raw)?, &mut unpacker)?,
    }
    if unpacker.is_empty() {
        return Err(refusal::data(format!("{name} holds no files")));
    }
    archive.source.check_unchanged()
}
