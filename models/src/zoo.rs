//! The table of architectures, and what every one of them can do.

use crate::encoder::Encoder;
use crate::error::ModelError;
use crate::images::ImageFamily;
use crate::load::{Catalogue, LoadReport};
use crate::{
    bert, config::Config, convnext, dinov2, distilbert, efficientnet, mobilenetv3, resnet, roberta,
    vit,
};
use std::collections::BTreeSet;
use std::ops::Range;
use tch::{Device, TchError, Tensor};

/// One family of models.
pub(crate) struct Family {
    /// `model_type` in config.json.
    pub model_type: &'static str,
    /// The class of transformers that a finished model is opened with.
    pub class: &'static str,
    /// What the names of the body begin with in that class.
    pub prefix: &'static str,
    /// First parts of the names in a checkpoint without that prefix.
    pub body: &'static [&'static str],
    pub read: fn(&serde_json::Value) -> Result<Config, serde_json::Error>,
    pub build: Build,
}

pub(crate) type Build =
    fn(&Config, Catalogue, &BuildOptions) -> Result<(Encoder, LoadReport), ModelError>;

/// Every architecture. A new one is a file, and its line here.
pub(crate) const ZOO: &[Family] = &[bert::FAMILY, roberta::FAMILY, distilbert::FAMILY];

/// Those that look at images.
pub(crate) const IMAGES: &[ImageFamily] = &[
    resnet::FAMILY,
    efficientnet::FAMILY,
    mobilenetv3::FAMILY,
    convnext::FAMILY,
    vit::FAMILY,
    dinov2::FAMILY,
];

/// How a model is built from a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildOptions {
    /// Outputs of the head.
    pub classes: i64,
    /// Probability for hidden states and the head; `None`: as the config says, for each.
    pub dropout: Option<f64>,
    /// Probability for attention weights. Above 0 it costs the fast attention kernel while
    /// training.
    pub attention_dropout: f64,
    /// Height and width that images will have, where that is known: positions are then stored for
    /// it. `None`: as the checkpoint has them, and other sizes cost a resampling in each pass.
    pub image_size: Option<[i64; 2]>,
    pub device: Device,
    /// Decides, alone, what a new head is filled with.
    pub seed: u64,
    /// The head is the checkpoint's too, and nothing may be missing: for a finished model.
    pub keep_head: bool,
}

/// A model in memory. All is frozen until its `set_trainable`.
pub struct Model<C: ?Sized = dyn TextClassifier> {
    pub classifier: Box<C>,
    /// The model's own tensors (fp32, one storage with those it computes with), in the order of the
    /// data's way.
    pub tensors: Vec<(String, Tensor)>,
    pub report: LoadReport,
}

/// A batch of texts as token numbers, one text behind the other: nothing is filled up, so that
/// nothing is computed for padding. Neighbours of one length are attended to together.
#[derive(Debug)]
pub struct Tokens {
    /// (tokens) int64
    pub ids: Tensor,
    /// Tokens of each text, none of which is empty; together they are all of `ids`.
    pub lengths: Vec<i64>,
}

/// What a forward pass is for. Dropout's noise is a function of these numbers and of the place in
/// the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    pub train: bool,
    pub seed: u64,
    /// Update, and forward pass within it.
    pub step: u64,
    pub micro: u64,
    /// It repeats a pass of the same numbers: the statistics of batch norm have moved by it
    /// already.
    pub again: bool,
}

impl Pass {
    pub fn training(seed: u64, step: u64, micro: u64) -> Pass {
        Pass { train: true, seed, step, micro, again: false }
    }

    pub fn evaluation() -> Pass {
        Pass { train: false, seed: 0, step: 0, micro: 0, again: false }
    }
}

/// Which tensors stand where; together they are all of a model's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    pub embeddings: Vec<String>,
    /// From the embeddings upwards.
    pub layers: Vec<Vec<String>>,
    /// All that stands between the last hidden state and the logits.
    pub head: Vec<String>,
    /// Weights and biases of all norms; each also belongs to one of the above.
    pub norms: Vec<String>,
    /// Statistics that no gradient moves (batch norm's), of embeddings, layers and head in turn;
    /// they belong to none of the above. Those of a stage change only while something in it trains.
    pub buffers: Vec<Vec<String>>,
}

/// Some stages, that a model of so many has.
pub(crate) fn check_stages(stages: &Range<usize>, there: usize) -> Result<(), TchError> {
    if stages.start < stages.end && stages.end <= there {
        return Ok(());
    }
    Err(TchError::Shape(format!("stages {stages:?} of a model that has {there}")))
}

/// A model that says which class a text belongs to.
///
/// Below the head it is a row of stages from the bottom up: number 0 is what [`Parts::embeddings`]
/// lists, number 1 + k what [`Parts::layers`] lists at k.
pub trait TextClassifier {
    /// Stages below the head: 1 + layers.
    fn stages(&self) -> usize;

    /// What stage `stages.end - 1` gives when `stages.start` is given `xs`, of texts that have so
    /// many tokens each and lie one behind the other. Stage 0 takes token numbers, (tokens) int64,
    /// every other the hidden states that the one before it gave, (tokens, width). The last one
    /// gives features: those of each text's first token, (batch, width).
    ///
    /// Frozen stages run without dropout; those with nothing trainable in or below them also
    /// without a gradient graph, and so does everything in a pass that does not train.
    ///
    /// # Errors Token numbers beyond the vocabulary, texts longer than the model's positions, no
    /// memory.
    fn run(
        &self,
        xs: &Tensor,
        lengths: &[i64],
        stages: Range<usize>,
        pass: &Pass,
    ) -> Result<Tensor, TchError>;

    /// (batch, width): the last hidden state of each text's first token, which is what the head
    /// takes.
    ///
    /// # Errors As [`TextClassifier::run`].
    fn features(&self, input: &Tokens, pass: &Pass) -> Result<Tensor, TchError> {
        self.run(&input.ids, &input.lengths, 0..self.stages(), pass)
    }

    /// (tokens, width): the last hidden state of every token, from what stage `from` is given. Of
    /// the first tokens alone, as [`TextClassifier::run`] has it, it costs less.
    ///
    /// # Errors As [`TextClassifier::run`].
    fn hidden_states(
        &self,
        xs: &Tensor,
        lengths: &[i64],
        from: usize,
        pass: &Pass,
    ) -> Result<Tensor, TchError>;

    /// (batch, width) -> (batch, classes): logits.
    ///
    /// # Errors
    /// Features of another width.
    fn head(&self, features: &Tensor, pass: &Pass) -> Result<Tensor, TchError>;

    /// Makes the head compute `features * weight^T + bias` in evaluation, from (classes, width) and
    /// (classes); false where a head of this family can't, and nothing has changed.
    ///
    /// # Errors Another width or number of classes.
    fn set_head(&self, weight: &Tensor, bias: &Tensor) -> Result<bool, TchError>;

    fn parts(&self) -> &Parts;

    /// From now on exactly the tensors of these names train: they, and no others, require
    /// gradients.
    fn set_trainable(&mut self, names: &BTreeSet<String>);
}
