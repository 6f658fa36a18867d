//! What may be known of a plugin without opening it: who could have written its file, for which
//! machine and ABI it was made, what it says it holds. Both binaries judge by these rules; only the
//! worker then opens the very bytes that were judged.
//!
//! No tensor, no `dlopen`, no unsafe code.

#![forbid(unsafe_code)]

mod refusal; // why not
mod descriptor; // bytes -> what a plugin says of itself
mod elf; // bytes -> a section of them
mod trust; // path -> bytes that nobody else could have written
mod folder; // names -> plugins that may be opened

pub use descriptor::{Descriptor, Export, Kind, Tier};
pub use folder::{Listed, Plugin, find, list, open_anywhere};
pub use refusal::Refusal;
pub use trust::FILE_BYTES_MAX;
