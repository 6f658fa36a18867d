//! What a model may answer, a folder for each kind: cells -> targets, predictions x targets ->
//! scores, rows and sentences.
//!
//! Invariant: safe Rust without a tensor, a model, a file or a clock. What is minimised is left to
//! the worker's objectives, which files and columns hold the targets to the data crate, how a page
//! looks to the report.

#![forbid(unsafe_code)]

mod cell; // what stands in a table
mod class; // one of several classes
mod classes; // any number of classes
mod labels; // spellings of labels -> classes
mod numbers; // one or more numbers
mod predictions; // what a model gives for many
mod reading; // cells -> targets, and which kind they are
mod target; // what is right for one example

pub use cell::{Cell, Embedded};
pub use predictions::Predictions;
pub use reading::{
    Columns, Look, Outputs, Reason, Refused, TargetKind, TargetReader, folder_kind, infer,
    target_kind, unnamed,
};
pub use target::Target;
