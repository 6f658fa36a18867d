//! What tch leaves out of libtorch and a training run needs. The C++ side is one file, `finetuned.cpp`; here
//! it becomes safe Rust: tensors go in and out as [`tch::Tensor`], exceptions come back as [`Error`].
//!
//! What is trained, and when, is left to the worker.

mod dropout;
mod ffi; // the border: declarations, and exceptions -> Error

pub use dropout::{dropout, dropout_add, f_dropout, f_dropout_add};

/// What went wrong beyond the border or on the way to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An exception of libtorch, in its own words.
    #[error("libtorch: {0}")]
    Torch(String),
}
