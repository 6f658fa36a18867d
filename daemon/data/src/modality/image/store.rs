//! Where the bytes of images lie: in files of the drop, or one behind the other in a file of ours,
//! into which what a table or an IDX file holds is written once.

use crate::example::{At, Example, key_of};
use crate::quarantine::{Reason, Usable};
use crate::refusal;
use crate::source::Source;
use finetuned_job::outcome::Failure;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files of photographs have 20 MiB at most, scans and raw TIFFs perhaps 200.
pub(super) const IMAGE_BYTES_MAX: u64 = 256 << 20;
/// Name in the staging folder.
const SPILL: &str = "images";

/// Gives the bytes of images, to any number of threads.
#[derive(Debug, Clone)]
pub struct Images {
    root: Arc<Path>,
    spill: Option<Arc<File>>,
}

impl Images {
    /// The bytes that were looked at when the data set was loaded.
    ///
    /// # Errors
    /// Kind `Data`: the file is gone or has changed since. Kind `Disk`: the machine failed.
    pub fn bytes(&self, example: &Example) -> Result<Vec<u8>, Failure> {
        let at = example.record.image.as_ref();
        let at = at.ok_or_else(|| refusal::data("an example without an image is asked for it"))?;
        let name = match at {
            At::File(path) => path.to_string_lossy(),
            At::Part { .. } => SPILL.into(),
        };
        let bytes = self.read(at)?.map_err(|why| refusal::data(format!("{name}: {why}")))?;
        if key_of(&bytes) != example.key {
            return Err(refusal::data(format!("{name} changed after it was checked"))
                .with_cure("drop the data again, and leave them alone"));
        }
        Ok(bytes)
    }

    /// Whatever lies there now.
    pub(super) fn read(&self, at: &At) -> Usable<Vec<u8>> {
        match (at, &self.spill) {
            (At::File(path), _) => whole(&self.root.join(path), &path.to_string_lossy()),
            (At::Part { offset, bytes }, Some(spill)) => {
                let mut part = vec![0; *bytes as usize];
                spill
                    .read_exact_at(&mut part, *offset)
                    .map_err(|err| refusal::reading(SPILL, &err))?;
                Ok(Ok(part))
            }
            (At::Part { .. }, None) => Ok(Err(Reason::NoImage)),
        }
    }

    pub(super) fn len(&self, at: &At) -> u64 {
        match at {
            // What can't be asked now is told when it is read.
            At::File(path) => {
                std::fs::symlink_metadata(self.root.join(path)).map_or(0, |it| it.len())
            }
            At::Part { bytes, .. } => *bytes,
        }
    }
}

/// Of a file that a person names.
pub(in crate::modality) fn bytes(path: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    whole(path, name)?.map_err(|why| refusal::data(format!("{name}: {why}")))
}

/// A whole file, as it lies on disk.
fn whole(path: &Path, name: &str) -> Usable<Vec<u8>> {
    let source = Source::open(path, name)?;
    if IMAGE_BYTES_MAX < source.bytes() {
        return Ok(Err(Reason::ImageTooLong(source.bytes())));
    }
    let failed = |err| refusal::reading(name, &err);
    let mut bytes = Vec::with_capacity(source.bytes() as usize);
    source.stored()?.take(IMAGE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    source.check_unchanged()?;
    Ok(Ok(bytes))
}

/// Takes the bytes of images that are no files.
pub(super) struct Writer {
    root: PathBuf,
    folder: PathBuf,
    /// Made for the first of them.
    spill: Option<BufWriter<File>>,
    offset: u64,
}

impl Writer {
    pub(super) fn open(root: &Path, staging: &Path) -> Writer {
        Writer { root: root.into(), folder: staging.into(), spill: None, offset: 0 }
    }

    /// The file of the drop.
    pub(super) fn file(&self, path: &Path) -> At {
        At::File(path.strip_prefix(&self.root).unwrap_or(path).into())
    }

    pub(super) fn add(&mut self, image: &[u8]) -> Usable<At> {
        let bytes = image.len() as u64;
        if IMAGE_BYTES_MAX < bytes {
            return Ok(Err(Reason::ImageTooLong(bytes)));
        }
        let failed = |err| refusal::writing("the staging folder", &err);
        let file = match &mut self.spill {
            Some(file) => file,
            None => {
                std::fs::create_dir_all(&self.folder).map_err(failed)?;
                let path = self.folder.join(SPILL);
                // An earlier attempt may still have it open: it keeps its own.
                let _ = std::fs::remove_file(&path);
                let file = File::options()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(path)
                    .map_err(failed)?;
                self.spill.insert(BufWriter::with_capacity(1 << 20, file))
            }
        };
        file.write_all(image).map_err(failed)?;
        let offset = self.offset;
        self.offset += bytes;
        Ok(Ok(At::Part { offset, bytes }))
    }

    pub(super) fn close(self) -> Result<Images, Failure> {
        let failed =
            |err: std::io::IntoInnerError<_>| refusal::writing("the staging folder", err.error());
        let spill = self.spill.map(|it| it.into_inner().map_err(failed)).transpose()?;
        Ok(Images { root: self.root.into(), spill: spill.map(Arc::new) })
    }
}
