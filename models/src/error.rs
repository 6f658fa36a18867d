//! What can be wrong with a model's folder. Every message names the file and, where there is one,
//! the cure.

use safetensors::{Dtype, SafeTensorError};
use std::path::PathBuf;
use tch::TchError;

/// Why a folder is no model, or not the one that is wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message of each says what it is, and shows its facts")]
pub enum ModelError {
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("writing {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{} has no config.json, so it is no model folder of Hugging Face's kind", folder.display())]
    NoConfig { folder: PathBuf },
    #[error("{} is not JSON as it should be: {source}", path.display())]
    Syntax { path: PathBuf, source: serde_json::Error },
    #[error("{}: {key} is {found}, but must be {wanted}", path.display())]
    Value { path: PathBuf, key: &'static str, found: String, wanted: String },
    #[error("{}: {key} is {found}, which this version can't follow", path.display())]
    Setting { path: PathBuf, key: String, found: String },
    #[error("{} is a {architecture}, which can have no head {wanted}: choose another base model", folder.display())]
    Head { folder: PathBuf, architecture: &'static str, wanted: &'static str },
    #[error("{} holds no model.safetensors and no model.safetensors.index.json", folder.display())]
    NoWeights { folder: PathBuf },
    #[error(
        "{0} has its weights in {file} only; reading a pickle can run foreign code, so it is not read. Convert it once where you trust it: \
         python -c \"from transformers import AutoModel as M; M.from_pretrained('{0}').save_pretrained('{0}', safe_serialization=True)\"",
        folder.display()
    )]
    PickleOnly { folder: PathBuf, file: &'static str },
    #[error("{} is damaged: {source}; fetch it again", path.display())]
    Damaged { path: PathBuf, source: SafeTensorError },
    #[error("{} is damaged: it has {found} bytes, but its header speaks of {wanted}; fetch it again", path.display())]
    Length { path: PathBuf, found: u64, wanted: u64 },
    #[error("{}: {name} should be in {file}, but is not; fetch the folder again", path.display())]
    NotInShard { path: PathBuf, name: String, file: String },
    #[error("{}: {name} stands in it twice, as {first} and as {second}", folder.display())]
    Twice { folder: PathBuf, name: String, first: String, second: String },
    #[error("{}: {name} is of type {found}; only F32, F16 and BF16 can be weights", path.display())]
    Type { path: PathBuf, name: String, found: Dtype },
    #[error("{} lacks {} of the model's tensors: {}", folder.display(), names.len(), first_few(names))]
    Missing { folder: PathBuf, names: Vec<String> },
    #[error("{}: the weights do not fit the config: {}", folder.display(), first_few(differences))]
    Shapes { folder: PathBuf, differences: Vec<ShapeDifference> },
    #[error(
        "{} takes images as squares of patches, {patch} x {patch} pixels each, which {width} x {height} pixels are not: set model.image_size to a multiple of {patch}",
        folder.display()
    )]
    ImageSize { folder: PathBuf, height: i64, width: i64, patch: i64 },
    #[error("{}: the adapter's {name} has no place: {why}", folder.display())]
    Adapter { folder: PathBuf, name: String, why: String },
    #[error("{} can be no GGUF: {why}", folder.display())]
    NoGguf { folder: PathBuf, why: String },
    #[error("{} is not what it was made of, in {what}: the memory or the disk of this machine is at fault, or a number is beyond what the type holds (f32 holds all)", path.display())]
    GgufDiffers { path: PathBuf, what: String },
    #[error("{name}: {source}")]
    Tensor { name: String, source: TchError },
}

/// A tensor whose shape in the checkpoint is not the model's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeDifference {
    /// As the model calls it.
    pub name: String,
    /// In the checkpoint.
    pub found: Vec<i64>,
    /// In the model.
    pub wanted: Vec<i64>,
}

impl std::fmt::Display for ShapeDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}: checkpoint has {:?}, model wants {:?}", self.name, self.found, self.wanted)
    }
}

fn first_few(list: &[impl ToString]) -> String {
    /// More would hide the message that they stand in.
    const SHOWN_MAX: usize = 8;
    let mut shown: Vec<String> = list.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    if SHOWN_MAX < list.len() {
        shown.push(format!("and {} more", list.len() - SHOWN_MAX));
    }
    shown.join(", ")
}
