//! Why a file is not loaded as a plugin: a kind with its facts. Whoever shows it adds the path.

use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    #[error("no plugin `{name}` is in {}{}", folder.display(), known(present))]
    Absent { name: String, folder: PathBuf, present: Vec<String> },
    #[error("{} is refused: {why}", file.display())]
    File { file: PathBuf, why: Box<Refusal> },
    #[error("it is a link: a plugin must lie in the plugin folder itself")]
    Link,
    #[error("{} can be written by others (mode {mode:03o}): `chmod go-w` it", path.display())]
    WritableByOthers { path: PathBuf, mode: u32 },
    #[error("{} belongs to user {owner}: it must belong to root or to the user that runs finetuned", path.display())]
    ForeignOwner { path: PathBuf, owner: u32 },
    #[error("{} can't be read: {why}", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("it is no regular file")]
    NoFile,
    #[error("it has {bytes} bytes, more than any plugin needs ({max})")]
    TooLarge { bytes: u64, max: u64 },
    #[error("it is no ELF file, so no shared library of this system")]
    NoElf,
    #[error("it is cut off: {what} lies beyond its end")]
    Truncated { what: &'static str },
    #[error("it was built for {found}, this is {wanted}")]
    Architecture { found: String, wanted: &'static str },
    #[error("it is an ELF file of another kind, not a shared library")]
    NoLibrary,
    #[error("it is a shared library, but no finetuned plugin: it has no section `{section}`")]
    NoDescriptor { section: &'static str },
    #[error("its descriptor is damaged: {what}")]
    Damaged { what: String },
    #[error(
        "it was built with panic = \"abort\", so that a panic would end the worker: take that line out of its Cargo.toml"
    )]
    PanicAborts,
    #[error("it was made for plugin ABI {found}, this finetuned has {wanted}: {}", cure(*found, *wanted))]
    Abi { found: u32, wanted: u32 },
    #[error(
        "it was made with {what} {found}, this finetuned has {wanted}: build it again with the SDK of this release"
    )]
    OtherLibtorch { what: &'static str, found: String, wanted: String },
    #[error("the name `{name}` is taken by {}", by.display())]
    NameTaken { name: String, by: PathBuf },
    #[error("its hash is {found}, but the configuration pins `{name}` to {pinned}")]
    Hash { name: String, found: String, pinned: String },
}

fn known(present: &[String]) -> String {
    if present.is_empty() { String::new() } else { format!("; it has {}", present.join(", ")) }
}

fn cure(found: u32, wanted: u32) -> &'static str {
    if found < wanted {
        "build it again with the SDK of this release"
    } else {
        "update finetuned, or build it with the SDK of this release"
    }
}
