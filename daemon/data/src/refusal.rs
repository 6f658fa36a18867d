//! How this crate says no: every failure is a sentence with the file (and the line, where there is
//! one) and, where the user can do something, the cure. Nobody else words an I/O error.

use finetuned_job::outcome::{Failure, FailureKind};
use std::io;

/// The data can't be used as they are.
pub(crate) fn data(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Data, message)
}

/// `name` could not be read. Damaged content is the data's fault, the rest the machine's.
pub(crate) fn reading(name: &str, err: &io::Error) -> Failure {
    use io::ErrorKind::{
        FileTooLarge, InvalidData, InvalidInput, NotFound, PermissionDenied, UnexpectedEof,
    };
    match err.kind() {
        NotFound => data(format!("{name} is gone: it was removed before it was read"))
            .with_cure("drop it again"),
        PermissionDenied => data(format!("{name} can't be read: permission denied"))
            .with_cure("give the user that finetuned runs as the right to read it"),
        UnexpectedEof => {
            data(format!("{name} is cut off: it ends in the middle")).with_cure("copy it again")
        }
        // Our own limits.
        FileTooLarge => data(format!("{name}: {err}")),
        InvalidData | InvalidInput => data(format!("{name} is damaged: {err}")),
        _ => Failure::new(FailureKind::Disk, format!("reading {name}: {err}")),
    }
}

/// Something of ours could not be written.
pub(crate) fn writing(name: &str, err: &io::Error) -> Failure {
    Failure::new(FailureKind::Disk, format!("writing {name}: {err}"))
}

/// `a, b, c and 4 more`.
pub(crate) fn list<T: AsRef<str>>(names: &[T]) -> String {
    /// More names than this make a sentence unreadable.
    const NAMES_SHOWN: usize = 12;
    let shown: Vec<&str> = names.iter().take(NAMES_SHOWN).map(AsRef::as_ref).collect();
    let more = names.len().saturating_sub(NAMES_SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", shown.join(", "))
}
