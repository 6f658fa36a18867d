//! The zoo: classifiers of texts and images, built from folders of transformers or timm and saved
//! as such, one file per architecture.
//!
//! A model here is names, shapes and a forward pass. What it is trained on, by what optimizer, and
//! what a job is, is left to the worker.

mod bert; // the architectures, each along its checkpoint's own names
mod checkpoint; // a folder -> what it says and where its tensors lie
mod config; // config.json -> numbers that are usable; and the config of a finished model
mod conv; // convolution, batch norm, and both as one
mod convnext;
mod dinov2;
mod distilbert;
mod efficientnet;
mod encoder; // embeddings, blocks and head as one classifier; what freezing means for running it
mod error;
mod image_config; // config.json of an image model, timm's or transformers', both ways
mod images; // stem, blocks and head as one image classifier; what freezing means for running it
mod inverted; // the blocks that EfficientNet and MobileNet are rows of
mod layers; // linear, norm, dropout, attention: what several architectures truly share
mod load; // names of a checkpoint x names of a model -> tensors and a report
mod mobilenetv3;
mod resnet;
mod roberta;
mod vit; // also what dinov2 is built from
mod weights; // safetensors files in and out
mod zoo; // the table, and what every model can do

pub use checkpoint::{Checkpoint, Kind, open};
pub use error::{ModelError, ShapeDifference};
pub use images::{ImageClassifier, ImageModel};
pub use load::LoadReport;
pub use weights::{read, save};
pub use zoo::{BuildOptions, Model, Parts, Pass, TextClassifier, Tokens};
