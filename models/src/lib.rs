//! The zoo: text classifiers, built from Hugging Face folders and saved as such, one file per architecture.
//!
//! A model here is names, shapes and a forward pass. What it is trained on, by what optimizer, and what a job
//! is, is left to the worker.

mod bert; // the architectures, each along its checkpoint's own names
mod checkpoint; // a folder -> what it says and where its tensors lie
mod config; // config.json -> numbers that are usable; and the config of a finished model
mod distilbert;
mod encoder; // embeddings, blocks and head as one classifier; what freezing means for running it
mod error;
mod layers; // linear, norm, dropout, attention: what several architectures truly share
mod load; // names of a checkpoint x names of a model -> tensors and a report
mod roberta;
mod weights; // safetensors files in and out
mod zoo; // the table, and what every model can do

pub use checkpoint::{Checkpoint, open};
pub use error::{ModelError, ShapeDifference};
pub use load::LoadReport;
pub use weights::{read, save};
pub use zoo::{BuildOptions, Model, Parts, Pass, TextClassifier, Tokens};
