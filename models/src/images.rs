//! Runs stem, blocks and head as one classifier of images, and decides what freezing means for
//! that: a frozen stage draws no noise and its batch norm stands still, and what lies below
//! everything trainable keeps no gradient graph.
//!
//! Dropout of the head is off unless [`BuildOptions::dropout`] asks for it; stochastic depth does
//! not exist here: both are 0 in timm's models too, unless a training script says otherwise.

use crate::error::ModelError;
use crate::image_config::ImageConfig;
use crate::load::Loader;
use crate::zoo::{BuildOptions, Model, Parts, Pass, check_stages};
use std::collections::BTreeSet;
use std::ops::Range;
use tch::{Kind, TchError, Tensor};

/// One family of image models.
pub(crate) struct ImageFamily {
    /// What it builds, by timm's names.
    pub timm: &'static [&'static str],
    /// And by transformers': `model_type`, with the class that a finished model is opened with.
    pub transformers: &'static [(&'static str, &'static str)],
    pub read: fn(&ImageConfig) -> Result<Box<dyn Architecture>, ModelError>,
}

/// One model of a family, known by its numbers: what stands in its config, checked.
pub(crate) trait Architecture {
    /// Of the features.
    fn width(&self) -> i64;

    /// Blocks, which are what a recipe's `last:N` counts.
    fn layers(&self) -> usize;

    /// What the names of the body begin with, and the first parts of the names in a checkpoint of
    /// the body alone; timm has no such prefix.
    fn body(&self) -> (&'static str, &'static [&'static str]) {
        ("", &[])
    }

    /// Whether the library wants to read in the config what size images have.
    fn names_size(&self) -> bool {
        false
    }

    fn build(&self, loader: &Loader, options: &BuildOptions) -> Result<Stages, ModelError>;
}

/// A stretch of a model that is frozen or trained as one.
pub(crate) trait Stage {
    /// `pass.train` is false where the stage is frozen.
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor, TchError>;

    /// Takes these for its linear map, where it is nothing but one: a head.
    fn set_linear(&self, _weight: &Tensor, _bias: &Tensor) -> Result<bool, TchError> {
        Ok(false)
    }
}

/// One after the other, frozen or trained as one.
pub(crate) struct Chain(pub Vec<Box<dyn Stage>>);

impl Stage for Chain {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor, TchError> {
        self.0.iter().try_fold(xs.shallow_clone(), |xs, stage| stage.forward(&xs, pass))
    }
}

/// A model from the bottom up, cut where it may be frozen.
pub(crate) struct Stages {
    /// (batch, 3, height, width) -> what the first layer takes
    pub stem: Box<dyn Stage>,
    /// One for each [`crate::load::Part::Layer`]. The last one also holds all that follows up to
    /// the features, which it returns: (batch, width).
    pub layers: Vec<Box<dyn Stage>>,
    /// (batch, width) -> (batch, classes)
    pub head: Box<dyn Stage>,
}

/// A classifier of images in memory.
pub type ImageModel = Model<dyn ImageClassifier>;

/// A model that says which class an image belongs to.
///
/// Below the head it is a row of stages from the bottom up: number 0 is what [`Parts::embeddings`]
/// lists (stem or patch embedding), number 1 + k what [`Parts::layers`] lists at k (a block,
/// together with what leads into it; the last one with all that follows up to the features).
pub trait ImageClassifier {
    /// Stages below the head: 1 + layers.
    fn stages(&self) -> usize;

    /// How many of them, from the bottom, lie below everything that trains. What they give for an
    /// image is the same in every pass, so it need be computed only once.
    fn frozen(&self) -> usize;

    /// What stage `stages.end - 1` gives when `stages.start` is given `xs`. Stage 0 takes pixels,
    /// (batch, 3, height, width) fp32, normalised as the model wants them; every other what the one
    /// before it gave, first axis batch. The last one gives features.
    ///
    /// Frozen stages run as in evaluation: without dropout, with the running statistics of batch
    /// norm, which stay as they are. Those with nothing trainable in or below them also run without
    /// a gradient graph, and so does everything in a pass that does not train. Batch norm of stages
    /// that train moves its statistics in every pass that trains.
    ///
    /// # Errors Images that are too small or of another size than the model takes, no memory.
    fn run(&self, xs: &Tensor, stages: Range<usize>, pass: &Pass) -> Result<Tensor, TchError>;

    /// (batch, 3, height, width) -> (batch, width): pooled features, which is what the head takes.
    ///
    /// # Errors
    /// As [`ImageClassifier::run`].
    fn features(&self, pixels: &Tensor, pass: &Pass) -> Result<Tensor, TchError> {
        self.run(pixels, 0..self.stages(), pass)
    }

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

    /// From now on exactly the parameters of these names train: they, and no others, require
    /// gradients.
    fn set_trainable(&mut self, names: &BTreeSet<String>);
}

impl Stages {
    /// `tail` follows the last of the layers and belongs to it.
    pub(crate) fn new(
        stem: Box<dyn Stage>,
        mut layers: Vec<Box<dyn Stage>>,
        tail: Vec<Box<dyn Stage>>,
        head: Box<dyn Stage>,
    ) -> Stages {
        let last: Vec<Box<dyn Stage>> = layers.pop().into_iter().chain(tail).collect();
        layers.push(Box::new(Chain(last)));
        Stages { stem, layers, head }
    }
}

pub(crate) struct Network {
    /// With the head.
    stages: Vec<Box<dyn Stage>>,
    tensors: Vec<(String, Tensor)>,
    parts: Parts,
    /// Of each stage: whether any of its tensors trains.
    trains: Vec<bool>,
}

impl Network {
    pub(crate) fn new(stages: Stages, tensors: &[(String, Tensor)], parts: Parts) -> Network {
        let stages: Vec<Box<dyn Stage>> =
            [stages.stem].into_iter().chain(stages.layers).chain([stages.head]).collect();
        let tensors = tensors.iter().map(|(name, it)| (name.clone(), it.shallow_clone())).collect();
        Network { trains: vec![false; stages.len()], stages, tensors, parts }
    }

    fn stage(&self, stage: usize, xs: &Tensor, pass: &Pass) -> Result<Tensor, TchError> {
        let graph = pass.train && self.trains[..=stage].contains(&true);
        let pass = Pass { train: pass.train && self.trains[stage], ..*pass };
        let run = || self.stages[stage].forward(xs, &pass);
        if graph { run() } else { tch::no_grad(run) }
    }
}

impl ImageClassifier for Network {
    fn stages(&self) -> usize {
        self.stages.len() - 1
    }

    fn frozen(&self) -> usize {
        self.trains[..self.stages()].iter().take_while(|&&it| !it).count()
    }

    fn run(&self, xs: &Tensor, stages: Range<usize>, pass: &Pass) -> Result<Tensor, TchError> {
        check_stages(&stages, self.stages())?;
        let mut xs = channels_last(xs)?;
        for stage in stages {
            xs = self.stage(stage, &xs, pass)?;
        }
        Ok(xs)
    }

    fn head(&self, features: &Tensor, pass: &Pass) -> Result<Tensor, TchError> {
        self.stage(self.stages(), features, pass)
    }

    fn set_head(&self, weight: &Tensor, bias: &Tensor) -> Result<bool, TchError> {
        self.stages[self.stages()].set_linear(weight, bias)
    }

    fn parts(&self) -> &Parts {
        &self.parts
    }

    fn set_trainable(&mut self, names: &BTreeSet<String>) {
        for (name, tensor) in self.tensors.iter_mut().filter(|it| it.1.kind() == Kind::Float) {
            let trains = names.contains(name.as_str())
                && !self.parts.buffers.iter().any(|it| it.contains(name));
            *tensor = tensor.set_requires_grad(trains);
        }
        let stages = [&self.parts.embeddings]
            .into_iter()
            .chain(&self.parts.layers)
            .chain([&self.parts.head]);
        self.trains = stages.map(|it| it.iter().any(|name| names.contains(name))).collect();
    }
}

/// The same values, (batch, channels, height, width), with the channels of a pixel side by side in
/// memory, as all later ones then are too; what has no four axes stays as it is. On a CPU,
/// convolutions over such memory are up to four times as fast as over planes: figures in
/// ARCHITECTURE.md.
fn channels_last(xs: &Tensor) -> Result<Tensor, TchError> {
    if xs.dim() != 4 {
        return Ok(xs.shallow_clone());
    }
    xs.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}
