//! The zoo: models of texts and images, built from folders of transformers or timm and saved as
//! such, one file per architecture.
//!
//! A model here is names, shapes and a forward pass. What it is trained on, by what optimizer, and
//! what a job is, is left to the worker.

#![warn(missing_docs)]

mod error;
mod fill; // what new tensors begin with
mod storage; // in how many bits frozen matrices are stored
mod adapter; // what trains in the place of linear maps
mod cache; // what a decoder remembers of the texts that it goes on with
mod model; // what every model can do, and the words for it
mod config_json; // config.json read, and written for a finished model
mod pooling; // how a text's row is made of its tokens, where a file says so
mod layout; // where the texts of a batch lie
mod stages; // a row of stages as a model; what freezing means for running it
mod weights; // safetensors files in and out
mod gguf; // one file for llama.cpp out
mod peft; // an adapter's folder
mod load; // names of a checkpoint x names of a model -> tensors and a report
mod architecture; // a family of models, and one model of it before it is built
mod layers; // linear, norm, dropout, attention: what several architectures truly share
mod conv; // convolution, batch norm, and both as one
mod convnext;
mod rotary; // places of tokens as angles
mod causal; // attention to what stands before
mod decoder; // what all models have that go on with texts
mod relative; // attention to how far tokens stand from one another
mod classifier; // the head for a text that encoders share, and how it can be a linear map
mod encoder; // what encoders share that norm after each sum
mod bert; // the architectures, each along its checkpoint's own names
mod roberta; // also XLM-RoBERTa
mod distilbert;
mod electra;
mod modernbert;
mod mpnet;
mod deberta; // v2 and v3
mod gpt2;
mod llama; // also Mistral, Qwen2 and Qwen3
mod gemma3;
mod inverted; // the blocks that EfficientNet and MobileNet are rows of
mod efficientnet;
mod mobilenetv3;
mod resnet;
mod vit; // also what dinov2 is built from
mod dinov2;
mod zoo; // the table
mod checkpoint; // a folder -> what it says and where its tensors lie -> a model

pub use adapter::{Adapter, Form, Ranks, is_of_adapter};
pub use cache::Cache;
pub use checkpoint::{Built, Checkpoint, Kind, open, open_adapted};
pub use error::{ModelError, ShapeDifference};
pub use gguf::{GgufType, GgufValue};
pub use load::LoadReport;
pub use model::{
    BuildOptions, HeadKind, Input, LinearSlot, Model, Outline, Parts, Pass, Pooling, Rows, Then,
};
pub use peft::{ADAPTER_WEIGHTS, AdapterFolder, AdapterNames, is_adapter, save_adapter};
pub use storage::Storage;
pub use weights::{read, save, save_wide};
