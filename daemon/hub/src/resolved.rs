//! What a caller gets, a base model on disk, and what it hears while that comes.

use std::path::PathBuf;

/// Told while files come: name of the file, bytes that are here, bytes in all where known. Also
/// told, with the bytes unchanged, while another process holds the same file, so that a caller may
/// give up.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64, Option<u64>);

/// A base model on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub folder: PathBuf,
    /// `OWNER/NAME` on the hub, or the folder's own name.
    pub name: String,
    /// The commit, for models of the hub.
    pub revision: Option<String>,
}
