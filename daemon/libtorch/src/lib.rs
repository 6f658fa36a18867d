//! What tch leaves out of libtorch and a training run needs. The C++ side is `finetuned.cpp`, and
//! `memory.cpp` for where large tensors lie; here it becomes safe Rust: tensors go in and out as
//! [`tch::Tensor`], exceptions come back as [`Error`].
//!
//! What is trained, and when, is left to the worker.

mod ffi; // the border: declarations, and exceptions -> Error
mod checkpoint; // a part of a model that runs again for its gradients
mod dropout; // noise as a function of (seed, stream, element)
mod gradients; // norm, clipping, forgetting
mod optimizer; // AdamW, Adam, SGD with state that is ours to save
mod linear; // linear maps, and what they round
mod process; // generators, elementary functions, denormal numbers, memory, version

pub use checkpoint::checkpoint;
pub use dropout::{dropout, dropout_add, f_dropout, f_dropout_add};
pub use gradients::{clip_grad_norm, zero_grad};
pub use linear::{RoundedFactors, f_linear, rounds_factors};
pub use optimizer::{Algorithm, Optimizer};
pub use process::{
    begin_functions, flush_denormal, generator_state, out_of_memory, pool_memory,
    set_generator_state, version,
};

/// What went wrong beyond the border or on the way to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An exception of libtorch, in its own words.
    #[error("libtorch: {0}")]
    Torch(String),
    #[error("optimizer state {name}: {why}")]
    State { name: String, why: String },
}
