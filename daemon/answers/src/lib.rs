//! What a model may answer, a folder for each kind: cells -> targets, predictions x targets ->
//! scores, rows and sentences.
//!
//! Invariant: safe Rust without a tensor, a model, a file or a clock. What is minimised is left to
//! the worker's objectives, which files and columns hold the targets to the data crate, how a page
//! looks to the report.

#![forbid(unsafe_code)]

mod target; // what is right for one example
mod predictions; // what a model gives for many

pub use predictions::Predictions;
pub use target::Target;
