//! Runs the stages and the head of any model, and decides what freezing means for that: a frozen
//! stage draws no noise and its batch norm stands still, and what lies below everything trainable
//! keeps no gradient graph.
//!
//! Decides too which stages run again for their gradients (gradient checkpointing, Chen et al.
//! 2016). Gradients and statistics are the same bit for bit, since noise is a function of the pass
//! and batch norm's statistics move only once.

use crate::adapter::{Adapter, Control, Draw, Fitted};
use crate::cache::{Cache, KeyValues};
use crate::layout::Layout;
use crate::model::{Input, LinearSlot, Model, Outline, Parts, Pass, Rows, SITE_BITS, Then};
use crate::storage;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use tch::{Device, Kind, TchError, Tensor};

/// Stages that are given less than this part of what the largest is given keep their graph:
/// together they take about as much as the largest alone, which needs its own anyway when it runs
/// again.
const SMALL: usize = 8;

/// A stretch of a model that is frozen or trained as one.
pub(crate) trait Stage: Send {
    /// `pass.train` is false where the stage is frozen; `layout` is empty for images.
    fn forward(&self, xs: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError>;

    /// Of a decoder's layer: as `forward` in evaluation, of tokens that follow those in the cache.
    fn extend(&self, _: &Tensor, _: &Layout, _: &mut KeyValues) -> Result<Tensor, TchError> {
        Err(TchError::Shape("tokens that follow others, for a model that is no decoder".into()))
    }

    /// Takes numbers with which it computes this linear map, where there are any: of a head.
    fn set_linear(&self, _weight: &Tensor, _bias: &Tensor) -> Result<bool, TchError> {
        Ok(false)
    }

    /// Takes numbers with which it computes this linear map of what [`crate::classifier::Bend`]
    /// bends: of a head for texts.
    fn set_bent(&self, _weight: &Tensor, _bias: &Tensor) -> Result<(), TchError> {
        Err(TchError::Shape("a head that can be no linear map".into()))
    }
}

/// One after the other, frozen or trained as one.
pub(crate) struct Chain(pub Vec<Box<dyn Stage>>);

impl Stage for Chain {
    fn forward(&self, xs: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        self.0.iter().try_fold(xs.shallow_clone(), |xs, stage| stage.forward(&xs, layout, pass))
    }

    fn extend(&self, xs: &Tensor, at: &Layout, cache: &mut KeyValues) -> Result<Tensor, TchError> {
        let Some((layer, tail)) = self.0.split_first() else { return Ok(xs.shallow_clone()) };
        let first = layer.extend(xs, at, cache)?;
        tail.iter().try_fold(first, |xs, stage| stage.forward(&xs, at, &Pass::evaluation()))
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

/// A stage that a gradient graph may have a share in, wherever that runs it again.
type Shared = Arc<Mutex<Box<dyn Stage>>>;

/// A row of stages as a model.
pub(crate) struct Stack {
    /// Without the head. A gradient graph has a share in those that it will run again.
    stages: Vec<Shared>,
    head: Option<Shared>,
    tensors: Vec<(String, Tensor)>,
    parts: Parts,
    linears: BTreeMap<String, LinearSlot>,
    facts: StackFacts,
    /// Of each stage and the head: whether any of its tensors trains.
    trains: Vec<bool>,
    /// Of the adapters.
    control: Control,
}

/// What a row of stages can not say of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StackFacts {
    pub takes: Takes,
    /// What the last stage gives a row for.
    pub rows: Rows,
    /// Its outputs say which token follows.
    pub goes_on: bool,
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
        let stages: Vec<Shared> =
            [stem].into_iter().chain(layers).map(|it| Arc::new(Mutex::new(it))).collect();
        let tensors = tensors.iter().map(|(name, it)| (name.clone(), it.shallow_clone())).collect();
        let head = head.map(|it| Arc::new(Mutex::new(it)));
        let trains = vec![false; stages.len() + 1];
        let control = Control::default();
        Stack { stages, head, tensors, parts, linears, facts, trains, control }
    }

    fn check_features(&self, features: &Input) -> Result<(), TchError> {
        let (done, there) = (features.stage, self.stages());
        if done == there {
            return Ok(());
        }
        Err(TchError::Shape(format!("a head after {done} stages of {there}")))
    }

    /// Whether a stage, or the head, has a gradient graph.
    fn has_graph(&self, number: usize, pass: &Pass) -> bool {
        pass.train && self.trains[..=number].contains(&true)
    }

    /// The pass as a stage, or the head, sees it.
    fn pass_of(&self, number: usize, pass: &Pass) -> Pass {
        Pass { train: pass.train && self.trains[number], ..*pass }
    }

    /// Runs a stage as the pass and its freezing want it.
    fn stage(
        &self,
        number: usize,
        xs: &Tensor,
        layout: &Layout,
        pass: &Pass,
    ) -> Result<Tensor, TchError> {
        let stage = &self.stages[number];
        let run = || run(stage, xs, layout, &self.pass_of(number, pass), &self.control);
        if self.has_graph(number, pass) { run() } else { tch::no_grad(run) }
    }

    /// As [`Stack::stage`], of one with a graph, which keeps only what it is given.
    fn stage_twice(
        &self,
        number: usize,
        xs: &Tensor,
        layout: &Layout,
        pass: &Pass,
    ) -> Result<Tensor, TchError> {
        let (stage, layout) = (Arc::clone(&self.stages[number]), layout.shallow_clone());
        let (pass, control) = (self.pass_of(number, pass), self.control.clone());
        let run = move |xs: &Tensor, again: bool| {
            run(&stage, xs, &layout, &Pass { again: pass.again || again, ..pass }, &control)
        };
        finetuned_libtorch::checkpoint(xs, run).map_err(|err| TchError::Torch(err.to_string()))
    }
}

/// Place in a pass of the noise of all adapters, which tell their own apart.
const ADAPTER_SITE: u64 = (1 << SITE_BITS) - 1;

/// Runs a stage, and says to the adapters in it what for.
fn run(
    stage: &Shared,
    xs: &Tensor,
    layout: &Layout,
    pass: &Pass,
    control: &Control,
) -> Result<Tensor, TchError> {
    let stage = lock(stage)?;
    let draw = Draw { seed: pass.seed, stream: pass.stream(ADAPTER_SITE) };
    control.set(pass.train.then_some(draw))?;
    stage.forward(xs, layout, pass)
}

fn lock(stage: &Shared) -> Result<MutexGuard<'_, Box<dyn Stage>>, TchError> {
    stage.lock().map_err(|_| TchError::Torch("a stage of the model panicked before".into()))
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
        let (mut twice, mut largest) = (pass.gradient_checkpointing, 0);
        for number in from..to {
            if self.has_graph(number, pass) {
                largest = largest.max(xs.numel());
                // The last stage's graph would be wanted again at once.
                twice &= largest / SMALL <= xs.numel() && number + 1 < self.stages();
            }
            xs = if twice && self.has_graph(number, pass) {
                self.stage_twice(number, &xs, &layout, pass)?
            } else {
                self.stage(number, &xs, &layout, pass)?
            };
        }
        Ok(input.after(to, xs))
    }

    fn head(&self, features: &Input, pass: &Pass) -> Result<Tensor, TchError> {
        self.check_features(features)?;
        let Some(head) = &self.head else { return Ok(features.xs.shallow_clone()) };
        let (layout, number) = (Layout::of(features)?, self.stages());
        let run = || lock(head)?.forward(&features.xs, &layout, &self.pass_of(number, pass));
        if self.has_graph(number, pass) { run() } else { tch::no_grad(run) }
    }

    fn head_then(&self, features: &Input, pass: &Pass, then: Then) -> Result<Tensor, TchError> {
        self.check_features(features)?;
        let Some(head) = self.head.clone() else { return then(&features.xs) };
        let (layout, number) = (Layout::of(features)?, self.stages());
        let own = self.pass_of(number, pass);
        let run = move |xs: &Tensor, again: bool| {
            let own = Pass { again: own.again || again, ..own };
            then(&lock(&head)?.forward(xs, &layout, &own)?)
        };
        if !self.has_graph(number, pass) {
            return tch::no_grad(|| run(&features.xs, false));
        }
        finetuned_libtorch::checkpoint(&features.xs, run)
            .map_err(|err| TchError::Torch(err.to_string()))
    }

    fn set_head(&self, weight: &Tensor, bias: &Tensor) -> Result<bool, TchError> {
        self.head.as_ref().map_or(Ok(false), |it| lock(it)?.set_linear(weight, bias))
    }

    fn outline(&self, [height, width]: [i64; 2]) -> Result<Vec<Outline>, TchError> {
        let StackFacts { takes, rows, device, dtype, .. } = self.facts;
        let top = self.stages();
        if takes == Takes::Tokens {
            let outline = |stage| Outline {
                rows: if stage < top { Rows::PerToken } else { rows },
                shape: if stage == 0 { Vec::new() } else { vec![self.facts.width] },
                worth_caching: 1 < stage,
            };
            return Ok((0..=top).map(outline).collect());
        }
        let blank = Tensor::f_zeros([1, 3, height, width], (dtype, device))?;
        let mut input = Input::pixels(blank);
        (0..=top)
            .map(|stage| {
                input = tch::no_grad(|| self.run(&input, stage, &Pass::evaluation()))?;
                let shape = input.xs.size()[1..].to_vec();
                Ok(Outline { rows: Rows::PerExample, shape, worth_caching: 0 < stage })
            })
            .collect()
    }

    fn parts(&self) -> &Parts {
        &self.parts
    }

    fn set_trainable(&mut self, names: &BTreeSet<String>) -> Result<(), TchError> {
        let buffers: BTreeSet<&String> = self.parts.buffers.iter().flatten().collect();
        for (name, tensor) in self.tensors.iter_mut().filter(|it| !buffers.contains(&it.0)) {
            let trains = names.contains(name.as_str());
            if trains {
                storage::widen(tensor, self.facts.dtype)?;
            }
            *tensor = tensor.set_requires_grad(trains);
        }
        let trains = |stage: &Vec<String>| stage.iter().any(|it| names.contains(it));
        self.trains = self.parts.stages().map(trains).collect();
        Ok(())
    }

    fn linears(&self) -> &BTreeMap<String, LinearSlot> {
        &self.linears
    }

    fn adapt(&mut self, adapter: &Adapter, seed: u64) -> Result<Vec<(String, Tensor)>, TchError> {
        if !self.parts.held.is_empty() {
            return Err(TchError::Shape("a model that has an adapter can have no other".into()));
        }
        let body = [&self.parts.embeddings].into_iter().chain(&self.parts.layers).flatten();
        let held = body.filter(|it| !adapter.trains(it)).cloned().collect();
        let mut added = Vec::new();
        for name in &adapter.targets {
            let linear = self.linears.get(name);
            let slot = linear.ok_or_else(|| TchError::Shape(format!("{name} is no linear map")))?;
            let weight = format!("{name}.weight");
            let wide = storage::wide(&slot.weight, self.facts.dtype)?;
            let made = Fitted::new(adapter, name, &wide, &self.control, seed)?;
            let tensors: Vec<(String, Tensor)> =
                made.tensors().into_iter().map(|it| (format!("{name}.{}", it.0), it.1)).collect();
            let mut stages = [&mut self.parts.embeddings].into_iter().chain(&mut self.parts.layers);
            if let Some(stage) = stages.find(|it| it.contains(&weight)) {
                stage.extend(tensors.iter().map(|it| it.0.clone()));
            }
            added.extend(tensors);
            slot.adapter.set(Some(made))?;
        }
        self.parts.held = held;
        self.tensors.extend(added.iter().map(|(name, it)| (name.clone(), it.shallow_clone())));
        Ok(added)
    }

    fn merge(&mut self) -> Result<BTreeSet<String>, TchError> {
        let mut gone = BTreeSet::new();
        for (name, slot) in &self.linears {
            let Some(adapter) = slot.adapter.get()? else { continue };
            let mut weight = slot.weight.shallow_clone();
            storage::widen(&mut weight, self.facts.dtype)?;
            tch::no_grad(|| adapter.merge_into(&weight, slot.bias.as_ref()))?;
            gone.extend(adapter.tensors().into_iter().map(|it| format!("{name}.{}", it.0)));
            slot.adapter.set(None)?;
        }
        self.parts = std::mem::take(&mut self.parts).without(&gone);
        self.tensors.retain(|it| !gone.contains(&it.0));
        Ok(gone)
    }

    fn switch_adapters(&self, off: bool) -> Result<(), TchError> {
        self.control.switch(off)
    }

    fn extend(&self, input: &Input, cache: &mut Cache) -> Result<Tensor, TchError> {
        let head = self.head.as_ref().filter(|_| self.facts.goes_on);
        let (Some(head), 0) = (head, input.stage) else {
            let wanted = "token numbers, and a decoder with a head for the vocabulary";
            return Err(TchError::Shape(format!("to go on with a text takes {wanted}")));
        };
        if input.lengths.iter().any(|it| *it < 1) {
            return Err(TchError::Shape("a text goes on by no token".into()));
        }
        let layout = Layout::following(input, cache.lengths())?;
        let Some((stem, layers)) = self.stages.split_first() else {
            return Err(TchError::Shape("a model without stages".into()));
        };
        let still = Pass::evaluation();
        self.control.set(None)?;
        let logits = tch::no_grad(|| {
            let mut xs = lock(stem)?.forward(&input.xs, &layout, &still)?;
            for (layer, cache) in layers.iter().zip(cache.layers(layers.len())) {
                xs = lock(layer)?.extend(&xs, &layout, cache)?;
            }
            lock(head)?.forward(&layout.last_tokens(&xs)?, &layout, &still)
        })?;
        cache.grow(&input.lengths);
        Ok(logits)
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
