//! Runs embeddings, blocks and head as one classifier, and decides what freezing means for that: a
//! frozen stage draws no noise, and what lies below everything trainable keeps no gradient graph.

use crate::layers::{Block, Texts};
use crate::zoo::{Parts, Pass, TextClassifier, check_stages};
use std::collections::BTreeSet;
use std::ops::Range;
use tch::{TchError, Tensor};

/// The first stage of a family.
pub(crate) trait Embed {
    /// (tokens) int64 -> (tokens, width)
    fn forward(&self, ids: &Tensor, texts: &Texts, pass: &Pass) -> Result<Tensor, TchError>;
}

/// The last stage of a family.
pub(crate) trait Head {
    /// (batch, width) -> (batch, classes)
    fn forward(&self, features: &Tensor, pass: &Pass) -> Result<Tensor, TchError>;

    /// Takes numbers with which it computes this linear map, where there are any.
    fn set_linear(&self, _weight: &Tensor, _bias: &Tensor) -> Result<bool, TchError> {
        Ok(false)
    }
}

pub(crate) struct Encoder {
    embeddings: Box<dyn Embed>,
    layers: Vec<Block>,
    head: Box<dyn Head>,
    pub tensors: Vec<(String, Tensor)>,
    parts: Parts,
    /// Embeddings, layers and head in turn: whether any of its tensors trains.
    trains: Vec<bool>,
}

impl Encoder {
    pub(crate) fn new(
        embeddings: Box<dyn Embed>,
        layers: Vec<Block>,
        head: Box<dyn Head>,
        tensors: Vec<(String, Tensor)>,
        parts: Parts,
    ) -> Encoder {
        let trains = vec![false; layers.len() + 2];
        Encoder { embeddings, layers, head, tensors, parts, trains }
    }

    /// Runs a stage as the pass and its freezing want it.
    fn stage(
        &self,
        stage: usize,
        pass: &Pass,
        run: impl FnOnce(&Pass) -> Result<Tensor, TchError>,
    ) -> Result<Tensor, TchError> {
        let graph = pass.train && self.trains[..=stage].contains(&true);
        let pass = Pass { train: pass.train && self.trains[stage], ..*pass };
        if graph { run(&pass) } else { tch::no_grad(|| run(&pass)) }
    }

    /// As [`TextClassifier::run`]; `whole`: the last layer too gives every token.
    fn through(
        &self,
        xs: &Tensor,
        lengths: &[i64],
        stages: Range<usize>,
        whole: bool,
        pass: &Pass,
    ) -> Result<Tensor, TchError> {
        check_stages(&stages, self.stages())?;
        let texts = Texts::new(lengths, xs.device())?;
        stages.into_iter().try_fold(xs.shallow_clone(), |xs, stage| {
            let first_only = !whole && stage == self.layers.len();
            self.stage(stage, pass, |pass| match stage.checked_sub(1) {
                None => self.embeddings.forward(&xs, &texts, pass),
                Some(depth) if first_only => {
                    self.layers[depth].forward(&texts.first_tokens(&xs)?, &xs, &texts, pass)
                }
                Some(depth) => self.layers[depth].forward(&xs, &xs, &texts, pass),
            })
        })
    }
}

impl TextClassifier for Encoder {
    fn stages(&self) -> usize {
        1 + self.layers.len()
    }

    fn run(
        &self,
        xs: &Tensor,
        lengths: &[i64],
        stages: Range<usize>,
        pass: &Pass,
    ) -> Result<Tensor, TchError> {
        self.through(xs, lengths, stages, false, pass)
    }

    fn hidden_states(
        &self,
        xs: &Tensor,
        lengths: &[i64],
        from: usize,
        pass: &Pass,
    ) -> Result<Tensor, TchError> {
        self.through(xs, lengths, from..self.stages(), true, pass)
    }

    fn head(&self, features: &Tensor, pass: &Pass) -> Result<Tensor, TchError> {
        self.stage(1 + self.layers.len(), pass, |pass| self.head.forward(features, pass))
    }

    fn set_head(&self, weight: &Tensor, bias: &Tensor) -> Result<bool, TchError> {
        self.head.set_linear(weight, bias)
    }

    fn parts(&self) -> &Parts {
        &self.parts
    }

    fn set_trainable(&mut self, names: &BTreeSet<String>) {
        for (name, tensor) in &mut self.tensors {
            let trains = names.contains(name.as_str());
            *tensor = tensor.set_requires_grad(trains);
        }
        let stages = [&self.parts.embeddings]
            .into_iter()
            .chain(&self.parts.layers)
            .chain([&self.parts.head]);
        self.trains = stages.map(|it| it.iter().any(|name| names.contains(name))).collect();
    }
}
