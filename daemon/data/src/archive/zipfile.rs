//! Reads .zip through its central directory, entry by entry: the directory is never held as a
//! whole, so that its length costs no memory.

use super::entry_names::{EntryNames, NamesSeen};
use super::unpacker::Unpacker;
use crate::inflate::Count;
use finetuned_job::outcome::Failure;
use rawzip::{
    CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder,
};
use std::fs::File;
use std::io::{BufReader, Read};

/// File type in the upper bits of a Unix mode.
const TYPE_MASK: u32 = 0o170_000;
const TYPE_LINK: u32 = 0o120_000;
const TYPE_FOLDER: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;

/// By all names that don't say themselves that they are UTF-8. An archive that can't be listed is
/// refused when it is unpacked.
pub(super) fn names(file: File) -> EntryNames {
    let mut names = NamesSeen::default();
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    if let Ok(archive) = ZipArchive::from_file(file, &mut buffer) {
        let mut directory_buffer = vec![0; rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
        let mut entries = archive.entries(&mut directory_buffer);
        while let Ok(Some(entry)) = entries.next_entry() {
            if !entry.flags().is_utf8() {
                names.take(entry.file_path().as_bytes());
            }
        }
    }
    names.decide()
}

pub(super) fn unpack(
    file: File,
    names: EntryNames,
    raw: &Count,
    unpacker: &mut Unpacker<'_, '_>,
) -> Result<(), Failure> {
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(|err| unpacker.damaged(&err))?;
    let mut directory_buffer = vec![0; rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let mut entries = archive.entries(&mut directory_buffer);
    while let Some(entry) = entries.next_entry().map_err(|err| unpacker.damaged(&err))? {
        unpacker.count()?;
        let path = entry.file_path();
        let decoded;
        let name = match entry.flags().is_utf8() {
            true => path.as_bytes(),
            false => {
                decoded = names.decode(path.as_bytes());
                decoded.as_bytes()
            }
        };
        if entry.flags().is_encrypted() || entry.flags().has_strong_encryption() {
            return Err(unpacker.refuse(name, "encrypted"));
        }
        match entry.mode().value() & TYPE_MASK {
            TYPE_LINK => return Err(unpacker.refuse(name, "a symbolic link")),
            0 | TYPE_FILE | TYPE_FOLDER => {}
            _ => return Err(unpacker.refuse(name, "neither file nor folder")),
        }
        if entry.is_dir() {
            unpacker.folder(name)?;
        } else {
            extract(&archive, entry.wayfinder(), entry.compression_method(), name, raw, unpacker)?;
        }
    }
    Ok(())
}

fn extract(
    archive: &ZipArchive<FileReader>,
    wayfinder: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    name: &[u8],
    raw: &Count,
    unpacker: &mut Unpacker<'_, '_>,
) -> Result<(), Failure> {
    let entry = archive.get_entry(wayfinder).map_err(|err| unpacker.damaged(&err))?;
    raw.set(raw.get() + wayfinder.compressed_size_hint());
    // Reading to the end also checks length and checksum.
    let mut content: Box<dyn Read + '_> = match method {
        CompressionMethod::STORE => Box::new(entry.verifying_reader(entry.reader())),
        CompressionMethod::DEFLATE => {
            let inflated = flate2::bufread::DeflateDecoder::new(BufReader::with_capacity(
                1 << 16,
                entry.reader(),
            ));
            Box::new(entry.verifying_reader(inflated))
        }
        other => {
            let method = other
                .name()
                .map_or_else(|| format!("method {}", other.as_u16()), str::to_lowercase);
            return Err(
                unpacker.refuse(name, &format!("compressed with {method}, which is not supported"))
            );
        }
    };
    unpacker.file(name, &mut content)?;
    Ok(())
}
