//! Why a plugin could not do something: a sentence for whoever runs the job, and whose turn it is.

use crate::abi;

/// What a plugin's function answers.
pub type Result<T> = std::result::Result<T, Error>;

/// Made from any error by `?`, which means that the plugin failed; [`Error::invalid`] means that
/// the user gave something that cannot be used.
pub struct Error {
    pub(crate) status: abi::Status,
    pub(crate) message: String,
}

impl Error {
    /// A setting, a file or an example cannot be used. The message says which, and what to do about
    /// it.
    pub fn invalid(message: impl Into<String>) -> Error {
        Error { status: abi::INVALID, message: message.into() }
    }

    /// The plugin cannot go on.
    pub fn failed(message: impl Into<String>) -> Error {
        Error { status: abi::FAILED, message: message.into() }
    }

    /// The host wants no more. Passed on by `?`, it ends a reader quietly.
    pub(crate) fn stopped() -> Error {
        Error { status: abi::STOPPED, message: String::new() }
    }

    /// The same with words before it: what was tried, or where.
    #[must_use]
    pub fn context(self, what: impl std::fmt::Display) -> Error {
        Error { message: format!("{what}: {}", self.message), ..self }
    }
}

/// Not an error of std itself, which would forbid this.
impl<E: std::error::Error> From<E> for Error {
    fn from(err: E) -> Error {
        let mut message = err.to_string();
        let mut source = err.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        // libtorch appends its C++ stack, which helps nobody who reads a job's log.
        let end = message.find("\nException raised from").unwrap_or(message.len());
        message.truncate(end);
        Error::failed(message)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
