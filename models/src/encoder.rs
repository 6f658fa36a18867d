//! Runs embeddings, blocks and head as one classifier, and decides what freezing means for that: a frozen
//! stage draws no noise, and what lies below everything trainable keeps no gradient graph.

use crate::layers::{Block, Texts};
use crate::zoo::{Parts, Pass, TextClassifier, Tokens};
use std::collections::BTreeSet;
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
    pub(crate) fn new(embeddings: Box<dyn Embed>, layers: Vec<Block>, head: Box<dyn Head>, tensors: Vec<(String, Tensor)>, parts: Parts) -> Encoder {
        let trains = vec![false; layers.len() + 2];
        Encoder { embeddings, layers, head, tensors, parts, trains }
    }

    /// Runs a stage as the pass and its freezing want it.
    fn stage(&self, stage: usize, pass: &Pass, run: impl FnOnce(&Pass) -> Result<Tensor, TchError>) -> Result<Tensor, TchError> {
        let graph = pass.train && self.trains[..=stage].contains(&true);
        let pass = Pass { train: pass.train && self.trains[stage], ..*pass };
        if graph { run(&pass) } else { tch::no_grad(|| run(&pass)) }
    }

    /// What the last layer is given, (tokens, width), and where its texts lie.
    fn below_last(&self, input: &Tokens, pass: &Pass) -> Result<(Tensor, Texts), TchError> {
        let texts = Texts::new(&input.lengths, input.ids.device())?;
        let mut xs = self.stage(0, pass, |pass| self.embeddings.forward(&input.ids, &texts, pass))?;
        for (depth, layer) in self.layers.iter().enumerate().take(self.layers.len() - 1) {
            xs = self.stage(1 + depth, pass, |pass| layer.forward(&xs, &xs, &texts, pass))?;
        }
        Ok((xs, texts))
    }
}

impl TextClassifier for Encoder {
    fn features(&self, input: &Tokens, pass: &Pass) -> Result<Tensor, TchError> {
        let (xs, texts) = self.below_last(input, pass)?;
        let last = self.layers.len() - 1;
        self.stage(1 + last, pass, |pass| self.layers[last].forward(&texts.first_tokens(&xs)?, &xs, &texts, pass))
    }

    fn hidden_states(&self, input: &Tokens, pass: &Pass) -> Result<Tensor, TchError> {
        let (xs, texts) = self.below_last(input, pass)?;
        let last = self.layers.len() - 1;
        self.stage(1 + last, pass, |pass| self.layers[last].forward(&xs, &xs, &texts, pass))
    }

    fn head(&self, features: &Tensor, pass: &Pass) -> Result<Tensor, TchError> {
        self.stage(1 + self.layers.len(), pass, |pass| self.head.forward(features, pass))
    }

    fn parts(&self) -> &Parts {
        &self.parts
    }

    fn set_trainable(&mut self, names: &BTreeSet<String>) {
        for (name, tensor) in &mut self.tensors {
            let trains = names.contains(name.as_str());
            *tensor = tensor.set_requires_grad(trains);
        }
        let stages = [&self.parts.embeddings].into_iter().chain(&self.parts.layers).chain([&self.parts.head]);
        self.trains = stages.map(|it| it.iter().any(|name| names.contains(name))).collect();
    }
}
