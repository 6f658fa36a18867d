//! What a model may answer, a folder for each kind: cells -> targets, predictions x targets ->
//! scores, rows and sentences.
//!
//! Invariant: safe Rust without a tensor, a model, a file or a clock. What is minimised is left to
//! the worker's objectives, which files and columns hold the targets to the data crate, how a page
//! looks to the report.

#![forbid(unsafe_code)]

mod cell; // what stands in a table
mod target; // what is right for one example
mod predictions; // what a model gives for many
mod error; // why no score can be given
mod scored; // what is to be scored
mod metric; // values by name, which way is better, digits
mod bootstrap; // examples -> intervals
mod means; // values of examples -> their means
mod ranking; // average precision, top k
mod tally; // counts -> precision, recall, F1
mod classified; // one class or several: what both count
mod threshold; // probabilities x classes -> from where on a class is predicted
mod reading; // cells -> targets: what every kind must know
mod columnless; // answers that no column holds
mod labels; // spellings of labels -> classes
mod kind; // what every kind of answer can do
mod numbers; // one or more numbers
mod class; // one of several classes
mod classes; // any number of classes
mod tags; // a tag for each word
mod tokens; // the tokens of the input itself
mod reward; // how much an answer is wanted
mod completion; // what the model says, which rewards score
mod kinds; // all of them

pub use cell::{Cell, Embedded};
pub use error::ScoresError;
pub use kind::{AnswerKind, Input, Mark, Segment, Words};
pub use kinds::{folder_kind, infer, of, target_kind, unnamed, with_thresholds};
pub use labels::CLASSES_MAX;
pub use metric::{higher_is_better, short, value};
pub use predictions::Predictions;
pub use reading::{Columns, Look, Outputs, Reason, Refused, TargetKind, TargetReader};
pub use scored::Scored;
pub use tags::is_marked;
pub use target::Target;
pub use tokens::chrf::chrf;
pub use tokens::rouge::rouge_l;

#[cfg(test)]
mod tests;
