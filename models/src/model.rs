//! What every model of the zoo can do, and the words for it: what goes in, what a pass is for,
//! which head stands on top, which tensors stand where.
//!
//! How stages are run is `stages`'; what a model is made of, the families'.

use crate::adapter::{Adapter, Slot};
use crate::cache::Cache;
use crate::storage::Storage;
use std::collections::{BTreeMap, BTreeSet};
use tch::{Device, Kind, TchError, Tensor};

/// A model of texts or images: a row of stages from the bottom up, and a head on top.
///
/// Stage 0 is what [`Parts::embeddings`] lists (embeddings, stem, patches), stage 1 + k what
/// [`Parts::layers`] lists at k. The last stage gives features, which the head takes.
///
/// Frozen stages run as in evaluation: without dropout, with the running statistics of batch norm,
/// which stay as they are. Those with nothing trainable in or below them also run without a
/// gradient graph, and so does everything in a pass that does not train. Batch norm of stages that
/// train moves its statistics in every pass that trains.
pub trait Model {
    /// Stages below the head: 1 + layers.
    fn stages(&self) -> usize;

    /// How many of them, from the bottom, lie below everything that trains. What they give for an
    /// example is the same in every pass, so it need be computed only once.
    fn frozen_stages(&self) -> usize;

    /// What the first `to` stages give, from where `input` stands.
    ///
    /// # Errors
    /// Fewer stages than have run, or more than there are; token numbers beyond the vocabulary,
    /// texts longer than the model's positions, images that are too small or of another size than
    /// the model takes; no memory.
    fn run(&self, input: &Input, to: usize, pass: &Pass) -> Result<Input, TchError>;

    /// Features -> logits: (batch, classes), or (tokens, classes) of a head for every token. A
    /// model without a head gives the features themselves.
    ///
    /// # Errors
    /// An input that has not gone through all stages, features of another width.
    fn head(&self, features: &Input, pass: &Pass) -> Result<Tensor, TchError>;

    /// What `then` makes of the head's outputs, which are not kept: where gradients are wanted they
    /// are computed once more, and add up in the parameters by `backward` alone. For a vocabulary,
    /// whose logits take more memory than all else of a text.
    ///
    /// # Errors
    /// As [`Model::head`], and those of `then`.
    fn head_then(&self, features: &Input, pass: &Pass, then: Then) -> Result<Tensor, TchError>;

    /// Makes the head compute `features * weight^T + bias` in evaluation, from (classes, width) and
    /// (classes); false where a head of this family can't, and nothing has changed.
    ///
    /// # Errors
    /// Another width or number of classes.
    fn set_head(&self, weight: &Tensor, bias: &Tensor) -> Result<bool, TchError>;

    /// What the first k stages give, at k, up to all of them; `image_size` is the height and width
    /// of images, and says nothing to a model of texts.
    ///
    /// # Errors
    /// Images that the model can not take.
    fn outline(&self, image_size: [i64; 2]) -> Result<Vec<Outline>, TchError>;

    /// Which tensors stand where.
    fn parts(&self) -> &Parts;

    /// From now on exactly the parameters of these names train: they, and no others, require
    /// gradients, and they are stored as they are computed with.
    ///
    /// # Errors
    /// No memory.
    fn set_trainable(&mut self, names: &BTreeSet<String>) -> Result<(), TchError>;

    /// The linear maps of the body, by the names that they have in the checkpoint without `weight`
    /// and `bias`.
    fn linears(&self) -> &BTreeMap<String, LinearSlot>;

    /// Gives linear maps of the body an adapter, which at first changes nothing. Gives its tensors,
    /// which are the model's from now on; those of the body that are not saved whole never train.
    ///
    /// # Errors
    /// Targets that are no linear maps of the body; there is an adapter already.
    fn adapt(&mut self, adapter: &Adapter, seed: u64) -> Result<Vec<(String, Tensor)>, TchError>;

    /// Makes each linear map that has an adapter one map that does the same. Gives the names of
    /// the tensors that are no longer the model's.
    ///
    /// # Errors
    /// No memory.
    fn merge(&mut self) -> Result<BTreeSet<String>, TchError>;

    /// From now on adapters change nothing, where `off`, or act again: what the model gives without
    /// them is what it gave before there were any, as long as nothing else has trained.
    ///
    /// # Errors
    /// A pass that ran before panicked.
    fn switch_adapters(&self, off: bool) -> Result<(), TchError>;

    /// Of a decoder with a head for the vocabulary, (texts, vocabulary): logits of the token that
    /// follows the last one of each text. `input` are tokens that follow those in the cache, which
    /// is given theirs; a text must have one at least. Without dropout, without a gradient graph.
    ///
    /// # Errors
    /// A model that is no decoder or has another head, another number of texts than the cache has,
    /// and as [`Model::run`]; the cache is then as it was before.
    fn extend(&self, input: &Input, cache: &mut Cache) -> Result<Tensor, TchError>;

    /// (batch, width) or (tokens, width): what the head takes.
    ///
    /// # Errors
    /// As [`Model::run`].
    fn features(&self, input: &Input, pass: &Pass) -> Result<Input, TchError> {
        self.run(input, self.stages(), pass)
    }

    /// From an input, wherever it stands, to logits.
    ///
    /// # Errors
    /// As [`Model::run`].
    fn logits(&self, input: &Input, pass: &Pass) -> Result<Tensor, TchError> {
        self.head(&self.features(input, pass)?, pass)
    }
}

/// What is made of a head's outputs: a function of them alone.
pub type Then = Box<dyn Fn(&Tensor) -> Result<Tensor, TchError> + Send>;

/// A batch on its way through a model.
#[derive(Debug)]
pub struct Input {
    /// How many stages have run.
    pub stage: usize,
    /// (tokens) int64 or (batch, 3, height, width) before the first stage; then what the last one
    /// gave, its first axis tokens or examples.
    pub xs: Tensor,
    /// Of texts the tokens of each, none of which is empty; of images nothing.
    pub lengths: Vec<i64>,
    /// (tokens) int64, before the first stage: which part of its text a token belongs to, 0 or 1 of
    /// a pair. None: all are of part 0.
    pub token_types: Option<Tensor>,
}

impl Input {
    /// A batch of texts as token numbers, one text behind the other: nothing is filled up, so that
    /// nothing is computed for padding. Neighbours of one length are attended to together. `ids`:
    /// (tokens) int64, of which the `lengths` together are all.
    pub fn tokens(ids: Tensor, lengths: Vec<i64>) -> Input {
        Input::at(0, ids, lengths)
    }

    /// (batch, 3, height, width), normalised as the model wants it, in the kind that the model
    /// computes in.
    pub fn pixels(pixels: Tensor) -> Input {
        Input::at(0, pixels, Vec::new())
    }

    /// A batch of which the first `stage` stages gave `xs` earlier; `lengths` as in the fields.
    pub fn at(stage: usize, xs: Tensor, lengths: Vec<i64>) -> Input {
        Input { stage, xs, lengths, token_types: None }
    }

    /// The same texts, with the part that each token belongs to: (tokens) int64.
    pub fn with_token_types(self, token_types: Tensor) -> Input {
        Input { token_types: Some(token_types), ..self }
    }

    /// The same batch, once the first `stage` stages gave `xs` for it.
    pub fn after(&self, stage: usize, xs: Tensor) -> Input {
        Input::at(stage, xs, self.lengths.clone())
    }

    /// The same numbers.
    pub fn shallow_clone(&self) -> Input {
        Input {
            token_types: self.token_types.as_ref().map(Tensor::shallow_clone),
            ..self.after(self.stage, self.xs.shallow_clone())
        }
    }
}

/// What an example, or a token of it, has a row of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// One row.
    PerExample,
    /// A row for each token.
    PerToken,
}

/// What of a text's tokens makes the row that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The first of them.
    First,
    /// Their mean.
    Mean,
}

/// What stands on top of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// (batch, classes): a new head for so many classes, labels or numbers. Of a decoder it is a
    /// linear map, without a bias, of each text's last token.
    Classes(i64),
    /// (batch, classes): of texts, one linear map of a row that is made of the tokens so, to begin
    /// with a linear probe. No library has a class for it; [`crate::Checkpoint::in_family`] makes
    /// it one that has.
    Linear(i64, Pooling),
    /// (tokens, classes): a new head for each token.
    PerToken(i64),
    /// (tokens, vocabulary): language modelling, masked (which token stands here?) or, of a
    /// decoder, causal (which one follows?); the checkpoint's head where it has one. Its last map
    /// is the table of token embeddings, unless the config says otherwise.
    Vocabulary,
    /// No head: features.
    None(Rows),
    /// As the checkpoint's config says, and nothing may be missing: for a finished model.
    Keep,
}

impl HeadKind {
    /// What the head takes.
    pub(crate) fn rows(self) -> Rows {
        match self {
            HeadKind::PerToken(_) | HeadKind::Vocabulary => Rows::PerToken,
            HeadKind::None(rows) => rows,
            HeadKind::Classes(_) | HeadKind::Linear(..) | HeadKind::Keep => Rows::PerExample,
        }
    }
}

/// How a model is built from a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildOptions {
    /// What stands on the body.
    pub head: HeadKind,
    /// Probability for hidden states and the head; `None`: as the config says, for each.
    pub dropout: Option<f64>,
    /// Probability for attention weights. Above 0 it costs the fast attention kernel while
    /// training.
    pub attention_dropout: f64,
    /// Height and width that images will have, where that is known: positions are then stored for
    /// it. `None`: as the checkpoint has them, and other sizes cost a resampling in each pass.
    pub image_size: Option<[i64; 2]>,
    /// Where the model's tensors lie.
    pub device: Device,
    /// What the model's numbers are kept and computed in: `Float`, `BFloat16`, `Half` or `Double`.
    pub dtype: Kind,
    /// What matrices are stored in as long as they do not train.
    pub storage: Storage,
    /// Decides, alone, what a new head is filled with.
    pub seed: u64,
}

impl BuildOptions {
    /// On the CPU, in fp32, with dropout as the config says.
    pub fn new(head: HeadKind) -> BuildOptions {
        BuildOptions {
            head,
            dropout: None,
            attention_dropout: 0.0,
            image_size: None,
            device: Device::Cpu,
            dtype: Kind::Float,
            storage: Storage::Wide,
            seed: 0,
        }
    }
}

/// What a forward pass is for. Dropout's noise is a function of these numbers and of the place in
/// the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Whether gradients are wanted and dropout draws noise.
    pub train: bool,
    /// The run's.
    pub seed: u64,
    /// Update, from 0.
    pub step: u64,
    /// Forward pass within the update, from 0.
    pub micro: u64,
    /// It repeats a pass of the same numbers: the statistics of batch norm have moved by it
    /// already.
    pub again: bool,
    /// Batch norm goes by its running statistics in training too, and leaves them be.
    pub frozen_statistics: bool,
    /// Lower stages that train keep what they were given in place of all that they computed, and
    /// run once more when their gradients are wanted: less memory, more time, the same bits. Their
    /// gradients are added up in the parameters by `backward`; nothing else sees them.
    pub gradient_checkpointing: bool,
}

/// Bits of a noise's number that tell places in a model apart.
pub(crate) const SITE_BITS: u32 = 12;

impl Pass {
    /// A number of its own for each (step, micro, site), as long as an update has at most 2^16
    /// passes.
    pub(crate) fn stream(&self, site: u64) -> u64 {
        const MICRO_BITS: u32 = 16;
        (self.step << (MICRO_BITS + SITE_BITS)) ^ (self.micro << SITE_BITS) ^ site
    }

    /// Of update `step` and forward pass `micro` within it, both from 0.
    pub fn training(seed: u64, step: u64, micro: u64) -> Pass {
        Pass {
            train: true,
            seed,
            step,
            micro,
            again: false,
            frozen_statistics: false,
            gradient_checkpointing: false,
        }
    }

    /// Without noise; the numbers do not matter.
    pub fn evaluation() -> Pass {
        Pass { train: false, ..Pass::training(0, 0, 0) }
    }

    /// As the texts of one length at this place of the batch see it: each such run draws noise of
    /// its own (the golden ratio's odd multiple tells seeds apart).
    pub(crate) fn of_run(&self, place: usize) -> Pass {
        const RUN_SEED: u64 = 0x9E37_79B9_7F4A_7C15;
        Pass { seed: self.seed.wrapping_add((place as u64).wrapping_mul(RUN_SEED)), ..*self }
    }
}

/// Which tensors stand where; together they are all of a model's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// Below the first layer.
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
    /// Of the last layer what learns as fast as the head where lower layers learn slower.
    pub with_head: BTreeSet<String>,
    /// Weight and bias of each linear map that gives outputs: one, or several whose mean they are.
    /// They belong to the head.
    pub outputs: Vec<(String, String)>,
    /// Other names that a tensor has in the checkpoint: (the name that is listed above, the other
    /// one). A file holds such a tensor once, under the first.
    pub tied: Vec<(String, String)>,
    /// Parameters that an adapter stands in for: they never train.
    pub held: BTreeSet<String>,
}

impl Parts {
    /// Embeddings, layers and head in turn.
    pub fn stages(&self) -> impl Iterator<Item = &Vec<String>> {
        [&self.embeddings].into_iter().chain(&self.layers).chain([&self.head])
    }

    /// Tensors of the body that the head has under another name: embeddings as the map to the
    /// vocabulary.
    pub fn shared_with_body(&self) -> impl Iterator<Item = &(String, String)> {
        self.tied.iter().filter(|it| !self.head.contains(&it.0))
    }

    /// Factor on the learning rate of each tensor: 1 for the head, `decay` for the last layer,
    /// `decay`² for the one before, and so on down to the embeddings (Howard and Ruder 2018). As in
    /// timm's `param_groups_layer_decay`, a norm before pooling belongs to the last layer, and what
    /// follows pooling to the head; BEiT's and MAE's scripts put both with the head.
    pub fn learning_rate_scales(&self, decay: f64) -> BTreeMap<String, f64> {
        let top = self.layers.len() as i32 + 1;
        let scale = |depth: usize, name: &String| {
            let below = if self.with_head.contains(name) { 0 } else { top - depth as i32 };
            (name.clone(), decay.powi(below))
        };
        let stages = self.stages().enumerate();
        stages.flat_map(|(depth, names)| names.iter().map(move |it| scale(depth, it))).collect()
    }

    /// What is left when tensors of these names are gone, and what they stood in for may train.
    pub fn without(mut self, names: &BTreeSet<String>) -> Parts {
        let layers = self.layers.iter_mut();
        for stage in [&mut self.embeddings, &mut self.head].into_iter().chain(layers) {
            stage.retain(|it| !names.contains(it));
        }
        self.held.clear();
        self
    }

    /// Stages below everything of these names, not counting the head.
    pub fn stages_below(&self, names: &BTreeSet<String>) -> usize {
        let frozen = |stage: &&Vec<String>| !stage.iter().any(|it| names.contains(it));
        self.stages().take(1 + self.layers.len()).take_while(frozen).count()
    }
}

/// What some stages of a model give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// How many rows an example has.
    pub rows: Rows,
    /// Of one row; empty for a single number.
    pub shape: Vec<i64>,
    /// To compute them takes longer than to read them. Looking up embeddings does not.
    pub worth_caching: bool,
}

impl Outline {
    /// Numbers of one row.
    pub fn numbers(&self) -> u64 {
        self.shape.iter().product::<i64>() as u64
    }
}

/// A linear map of a model: weight (outputs, inputs) and, where it has one, bias (outputs). The
/// tensors are the model's own.
#[derive(Debug)]
pub struct LinearSlot {
    /// (outputs, inputs)
    pub weight: Tensor,
    /// (outputs)
    pub bias: Option<Tensor>,
    /// Where its adapter is, if it has one.
    pub(crate) adapter: Slot,
}

impl LinearSlot {
    /// The same tensors.
    pub(crate) fn shallow_clone(&self) -> LinearSlot {
        LinearSlot {
            weight: self.weight.shallow_clone(),
            bias: self.bias.as_ref().map(Tensor::shallow_clone),
            adapter: self.adapter.clone(),
        }
    }
}
