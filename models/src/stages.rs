//! Runs the stages and the head of any model, and decides what freezing means for that: a frozen
//! stage draws no noise and its batch norm stands still, and what lies below everything trainable
//! keeps no gradient graph.

use crate::layout::Layout;
use crate::model::{Input, LinearSlot, Model, Outline, Parts, Pass, Rows};
use std::collections::{BTreeMap, BTreeSet};
use tch::{Device, Kind, TchError, Tensor};

/// A stretch of a model that is frozen or trained as one.
pub(crate) trait Stage: Send {
    /// `pass.train` is false where the stage is frozen; `layout` is empty for images.
    fn forward(&self, xs: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError>;

    /// Takes numbers with which it computes this linear map, where there are any: of a head.
    fn set_linear(&self, _weight: &Tensor, _bias: &Tensor) -> Result<bool, TchError> {
        Ok(false)
    }
}

/// One after the other, frozen or trained as one.
pub(crate) struct Chain(pub Vec<Box<dyn Stage>>);

impl Stage for Chain {
    fn forward(&self, xs: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        self.0.iter().try_fold(xs.shallow_clone(), |xs, stage| stage.forward(&xs, layout, pass))
    }
}

/// A model from the bottom up, cut where it may be frozen.
pub(crate) struct Stages {
    /// Token numbers or pixels -> what the first layer takes
    pub stem: Box<dyn Stage>,
    /// One for each [`crate::load::Part::Layer`]. The last one also holds all that follows up to
    /// the features, which it returns: (batch, width) or (tokens, width).
    pub layers: Vec<Box<dyn Stage>>,
    /// Features -> logits
    pub head: Option<Box<dyn Stage>>,
}

impl Stages {
    /// `tail` follows the last of the layers and belongs to it.
    pub(crate) fn new(
        stem: Box<dyn Stage>,
        mut layers: Vec<Box<dyn Stage>>,
        tail: Vec<Box<dyn Stage>>,
        head: Option<Box<dyn Stage>>,
    ) -> Stages {
        let last: Vec<Box<dyn Stage>> = layers.pop().into_iter().chain(tail).collect();
        layers.push(Box::new(Chain(last)));
        Stages { stem, layers, head }
    }
}

/// What a model's inputs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Tokens,
    Pixels,
}

/// A row of stages as a model.
pub(crate) struct Stack {
    /// Without the head.
    stages: Vec<Box<dyn Stage>>,
    head: Option<Box<dyn Stage>>,
    tensors: Vec<(String, Tensor)>,
    parts: Parts,
    linears: BTreeMap<String, LinearSlot>,
    facts: StackFacts,
    /// Of each stage and the head: whether any of its tensors trains.
    trains: Vec<bool>,
}

/// What a row of stages can not say of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StackFacts {
    pub takes: Takes,
    /// What the last stage gives a row for.
    pub rows: Rows,
    /// Of the features.
    pub width: i64,
    pub device: Device,
    pub dtype: Kind,
}

impl Stack {
    pub(crate) fn new(
        stages: Stages,
        tensors: &[(String, Tensor)],
        parts: Parts,
        linears: BTreeMap<String, LinearSlot>,
        facts: StackFacts,
    ) -> Stack {
        let Stages { stem, layers, head } = stages;
        let stages: Vec<Box<dyn Stage>> = [stem].into_iter().chain(layers).collect();
        let tensors = tensors.iter().map(|(name, it)| (name.clone(), it.shallow_clone())).collect();
        let trains = vec![false; stages.len() + 1];
        Stack { stages, head, tensors, parts, linears, facts, trains }
    }

    /// Runs a stage, or the head, as the pass and its freezing want it.
    fn stage(
        &self,
        number: usize,
        stage: &dyn Stage,
        xs: &Tensor,
        layout: &Layout,
        pass: &Pass,
    ) -> Result<Tensor, TchError> {
        let graph = pass.train && self.trains[..=number].contains(&true);
        let pass = Pass { train: pass.train && self.trains[number], ..*pass };
        let run = || stage.forward(xs, layout, &pass);
        if graph { run() } else { tch::no_grad(run) }
    }
}

impl Model for Stack {
    fn stages(&self) -> usize {
        self.stages.len()
    }

    fn frozen_stages(&self) -> usize {
        self.trains[..self.stages()].iter().take_while(|&&it| !it).count()
    }

    fn run(&self, input: &Input, to: usize, pass: &Pass) -> Result<Input, TchError> {
        let from = input.stage;
        if to < from || self.stages() < to {
            let there = self.stages();
            return Err(TchError::Shape(format!(
                "stages {from}..{to} of a model that has {there}"
            )));
        }
        if from == to {
            return Ok(input.shallow_clone());
        }
        let layout = Layout::of(input)?;
        let mut xs = channels_last(&input.xs)?;
        for number in from..to {
            xs = self.stage(number, self.stages[number].as_ref(), &xs, &layout, pass)?;
        }
        Ok(input.after(to, xs))
    }

    fn head(&self, features: &Input, pass: &Pass) -> Result<Tensor, TchError> {
        if features.stage != self.stages() {
            let (done, there) = (features.stage, self.stages());
            return Err(TchError::Shape(format!("a head after {done} stages of {there}")));
        }
        let Some(head) = &self.head else { return Ok(features.xs.shallow_clone()) };
        let layout = Layout::of(features)?;
        self.stage(self.stages(), head.as_ref(), &features.xs, &layout, pass)
    }

    fn set_head(&self, weight: &Tensor, bias: &Tensor) -> Result<bool, TchError> {
        self.head.as_ref().map_or(Ok(false), |it| it.set_linear(weight, bias))
    }

    fn outline(&self, [height, width]: [i64; 2]) -> Result<Vec<Outline>, TchError> {
        let StackFacts { takes, rows, device, dtype, .. } = self.facts;
        let top = self.stages();
        if takes == Takes::Tokens {
            let outline = |stage| Outline {
                rows: if stage < top { Rows::PerToken } else { rows },
                numbers: if stage == 0 { 1 } else { self.facts.width as u64 },
                worth_caching: 1 < stage,
            };
            return Ok((0..=top).map(outline).collect());
        }
        let blank = Tensor::f_zeros([1, 3, height, width], (dtype, device))?;
        let mut input = Input::pixels(blank);
        (0..=top)
            .map(|stage| {
                input = tch::no_grad(|| self.run(&input, stage, &Pass::evaluation()))?;
                let numbers = input.xs.numel() as u64;
                Ok(Outline { rows: Rows::PerExample, numbers, worth_caching: 0 < stage })
            })
            .collect()
    }

    fn parts(&self) -> &Parts {
        &self.parts
    }

    fn set_trainable(&mut self, names: &BTreeSet<String>) {
        let buffers: BTreeSet<&String> = self.parts.buffers.iter().flatten().collect();
        for (name, tensor) in self.tensors.iter_mut().filter(|it| !buffers.contains(&it.0)) {
            *tensor = tensor.set_requires_grad(names.contains(name.as_str()));
        }
        let trains = |stage: &Vec<String>| stage.iter().any(|it| names.contains(it));
        self.trains = self.parts.stages().map(trains).collect();
    }

    fn linears(&self) -> &BTreeMap<String, LinearSlot> {
        &self.linears
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
