//! Brings batches to a model, in the order asked for: pictures are made ready by other threads while the model
//! is at work, texts take no time, and of kept features there is only the row to find.

use crate::batches;
use crate::examples::{ExampleSet, Inputs};
use crate::kept::Kept;
use crate::pictures::{Changes, PictureSet};
use anyhow::{Context, Result};
use finetuned_images::{Mix, Preprocess};
use finetuned_models::Tokens;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use tch::{Device, Tensor};

/// Batches of pictures that wait to be used. One would do if each took the same time.
const READY: usize = 2;

/// A split as a network takes it: the examples, and what its frozen stages gave for them where that was kept.
#[derive(Clone, Copy)]
pub(crate) struct Examples<'a> {
    pub set: &'a ExampleSet,
    pub kept: Option<&'a Kept>,
}

pub(crate) enum Input {
    Tokens(Tokens),
    /// (batch, 3, height, width)
    Pixels(Tensor),
    /// What the first `stages` gave, and of texts how many tokens each has.
    After {
        stages: usize,
        xs: Tensor,
        lengths: Vec<i64>,
    },
}

impl Input {
    /// What a network goes on with once its first `stages` gave `xs`.
    pub(crate) fn after(&self, stages: usize, xs: Tensor) -> Input {
        let lengths = match self {
            Input::Tokens(Tokens { lengths, .. }) | Input::After { lengths, .. } => lengths.clone(),
            Input::Pixels(_) => Vec::new(),
        };
        Input::After { stages, xs, lengths }
    }

    fn tensor(&self) -> &Tensor {
        match self {
            Input::Tokens(Tokens { ids: it, .. }) | Input::Pixels(it) | Input::After { xs: it, .. } => it,
        }
    }

    fn with(&self, tensor: Tensor) -> Input {
        match self {
            Input::Tokens(it) => Input::Tokens(Tokens { ids: tensor, lengths: it.lengths.clone() }),
            Input::Pixels(_) => Input::Pixels(tensor),
            Input::After { stages, lengths, .. } => Input::After { stages: *stages, xs: tensor, lengths: lengths.clone() },
        }
    }

    /// The same numbers.
    pub(crate) fn shallow_clone(&self) -> Input {
        self.with(self.tensor().shallow_clone())
    }

    /// The same numbers, where a gradient graph begins.
    pub(crate) fn leaf(&self) -> Input {
        self.with(self.tensor().detach().set_requires_grad(true))
    }

    /// Of a leaf, after the backward pass; undefined where that did not come here.
    pub(crate) fn gradient(&self) -> Result<Tensor> {
        Ok(self.tensor().f_grad()?)
    }

    pub(crate) fn numel(&self) -> usize {
        self.tensor().numel()
    }
}

pub(crate) struct Batch {
    pub indices: Vec<u32>,
    pub input: Input,
    /// How its examples are mixed with each other.
    pub mix: Option<Mix>,
}

/// Batches one after the other.
pub(crate) struct Feed<'a> {
    examples: Examples<'a>,
    device: Device,
    changes: Option<Changes>,
    batches: std::vec::IntoIter<(u64, Vec<u32>)>,
    ahead: Option<Receiver<Result<Vec<f32>>>>,
}

impl<'a> Feed<'a> {
    /// `batches`: each with its number in the epoch.
    pub(crate) fn new(examples: Examples<'a>, batches: Vec<(u64, Vec<u32>)>, changes: Option<Changes>, device: Device) -> Feed<'a> {
        let ahead = match (&examples.set.inputs, examples.kept) {
            (Inputs::Pictures(set), None) => Some(ahead(Arc::clone(set), batches.iter().map(|it| it.1.clone()).collect(), changes.clone())),
            _ => None,
        };
        Feed { examples, device, changes, batches: batches.into_iter(), ahead }
    }

    /// Batches of a split as it is.
    pub(crate) fn plain(examples: Examples<'a>, batches: Vec<Vec<u32>>, device: Device) -> Feed<'a> {
        Feed::new(examples, batches.into_iter().zip(0..).map(|(batch, number)| (number, batch)).collect(), None, device)
    }

    fn batch(&mut self, number: u64, indices: Vec<u32>) -> Result<Batch> {
        let mut mix = None;
        let input = match (&self.examples.set.inputs, self.examples.kept) {
            (inputs, Some(kept)) => {
                let lengths = match inputs {
                    Inputs::Texts(set) => indices.iter().map(|&it| set.tokens(it).len() as i64).collect(),
                    Inputs::Pictures(_) => Vec::new(),
                };
                Input::After { stages: kept.stages, xs: kept.rows(&indices, self.device)?, lengths }
            }
            (Inputs::Texts(set), None) => Input::Tokens(batches::tokens(set, &indices, self.device)?),
            (Inputs::Pictures(set), None) => {
                let numbers = self.ahead.as_ref().and_then(|it| it.recv().ok()).context("the thread that decodes pictures is gone")??;
                let Preprocess { height, width, .. } = set.preprocess;
                let shape = [indices.len() as i64, 3, i64::from(height), i64::from(width)];
                let pixels = Tensor::f_from_slice(&numbers)?.f_view(shape)?.f_to(self.device)?;
                mix = self.changes.as_ref().and_then(|it| it.augment.mixing.mix(it.seed, it.epoch, number, indices.len(), (height, width)));
                Input::Pixels(match &mix {
                    Some(mix) => mixed(pixels, mix)?,
                    None => pixels,
                })
            }
        };
        Ok(Batch { indices, input, mix })
    }
}

impl Iterator for Feed<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        let (number, indices) = self.batches.next()?;
        Some(self.batch(number, indices))
    }
}

/// The thread ends with the last batch, or when nobody wants the next one.
fn ahead(set: Arc<PictureSet>, batches: Vec<Vec<u32>>, changes: Option<Changes>) -> Receiver<Result<Vec<f32>>> {
    let (ready, receiver) = sync_channel(READY);
    std::thread::spawn(move || {
        for batch in batches {
            if ready.send(set.numbers(&batch, changes.as_ref())).is_err() {
                break;
            }
        }
    });
    receiver
}

/// mixup blends each picture with its partner's; CutMix takes an area of it.
fn mixed(pixels: Tensor, mix: &Mix) -> Result<Tensor> {
    let partners = pixels.f_index_select(0, &partners(mix)?.f_to(pixels.device())?)?;
    let Some(area) = &mix.area else {
        return Ok(pixels.f_mul_scalar(mix.lambda)?.f_add(&partners.f_mul_scalar(1.0 - mix.lambda)?)?);
    };
    let cut = |it: &Tensor| {
        let rows = it.f_narrow(2, i64::from(area.rows.start), area.rows.len() as i64)?;
        rows.f_narrow(3, i64::from(area.columns.start), area.columns.len() as i64)
    };
    cut(&pixels)?.f_copy_(&cut(&partners)?)?;
    Ok(pixels)
}

/// (batch) int64
pub(crate) fn partners(mix: &Mix) -> Result<Tensor> {
    let partners: Vec<i64> = mix.partners.iter().map(|&it| it as i64).collect();
    Ok(Tensor::f_from_slice(&partners)?)
}
