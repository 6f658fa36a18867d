//! Brings batches to a model, in the order asked for: images are made ready by other threads while
//! the model is at work, texts take no time, and of kept features there is only the row to find, or
//! to compute when an example is wanted for the first time.

use crate::batches;
use crate::examples::{ExampleSet, Inputs};
use crate::images::{Changes, ImageSet};
use crate::kept::Kept;
use crate::network::Network;
use anyhow::{Context, Result};
use finetuned_images::{Mix, Preprocess};
use finetuned_models::{Input, Pass};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
use tch::{Device, Tensor};

/// Batches of images that wait to be used. One would do if each took the same time.
const READY: usize = 2;

/// A split as a network takes it: the examples, and what its frozen stages gave for them where that
/// was kept.
#[derive(Clone, Copy)]
pub(crate) struct Examples<'a> {
    pub set: &'a ExampleSet,
    pub kept: Option<&'a Kept>,
}

pub(crate) struct Batch {
    pub indices: Vec<u32>,
    pub input: Input,
    /// How its examples are mixed with each other.
    pub mix: Option<Mix>,
    /// What frozen stages took, that need not run again for these examples.
    pub once: Duration,
}

/// Batches one after the other.
pub(crate) struct Feed<'a> {
    examples: Examples<'a>,
    device: Device,
    changes: Option<Changes>,
    batches: std::vec::IntoIter<(u64, Vec<u32>)>,
    ahead: Option<Ahead>,
}

impl<'a> Feed<'a> {
    /// `batches`: each with its number in the epoch.
    pub(crate) fn new(
        examples: Examples<'a>,
        batches: Vec<(u64, Vec<u32>)>,
        changes: Option<Changes>,
        device: Device,
    ) -> Feed<'a> {
        let ahead = match &examples.set.inputs {
            Inputs::Images(set) => {
                Some(Ahead::begin(set, wanted(examples.kept, &batches), changes.clone()))
            }
            Inputs::Texts(_) => None,
        };
        Feed { examples, device, changes, batches: batches.into_iter(), ahead }
    }

    /// Batches of a split as it is.
    pub(crate) fn plain(
        examples: Examples<'a>,
        batches: Vec<Vec<u32>>,
        device: Device,
    ) -> Feed<'a> {
        Feed::new(
            examples,
            batches.into_iter().zip(0..).map(|(batch, number)| (number, batch)).collect(),
            None,
            device,
        )
    }

    /// `network`: whose frozen stages' features are kept.
    pub(crate) fn next(&mut self, network: &Network) -> Option<Result<Batch>> {
        let (number, indices) = self.batches.next()?;
        Some(match self.examples.kept {
            Some(kept) => self.kept(kept, network, indices),
            None => self.batch(number, indices),
        })
    }

    fn kept(&mut self, kept: &Kept, network: &Network, indices: Vec<u32>) -> Result<Batch> {
        let start = Instant::now();
        let mut once = Duration::ZERO;
        // Another group each time; where the disk refuses, those that were there are missing again.
        while let Some(group) = kept.missing(&indices).pop_first() {
            let input = self.input(kept.group(group))?;
            let rows = tch::no_grad(|| network.run(&input, kept.stages, &Pass::evaluation()))?;
            kept.put(group, &rows.xs)?;
            once = start.elapsed();
        }
        let lengths = match &self.examples.set.inputs {
            Inputs::Texts(set) => indices.iter().map(|&it| set.tokens(it).len() as i64).collect(),
            Inputs::Images(_) => Vec::new(),
        };
        let input = Input::at(kept.stages, kept.rows(&indices, self.device)?, lengths);
        Ok(Batch { indices, input, mix: None, once })
    }

    fn batch(&mut self, number: u64, indices: Vec<u32>) -> Result<Batch> {
        let mut input = self.input(&indices)?;
        let mut mix = None;
        if let (Inputs::Images(set), Some(it)) = (&self.examples.set.inputs, &self.changes) {
            mix = it.augment.mixing.mix(
                it.seed,
                it.epoch,
                number,
                indices.len(),
                (set.preprocess.height, set.preprocess.width),
            );
            if let Some(mix) = &mix {
                mixed(&mut input.xs, mix)?;
            }
        }
        Ok(Batch { indices, input, mix, once: Duration::ZERO })
    }

    /// What these examples are to a model.
    fn input(&mut self, indices: &[u32]) -> Result<Input> {
        Ok(match &self.examples.set.inputs {
            Inputs::Texts(set) => batches::tokens(set, indices, self.device)?,
            Inputs::Images(set) => {
                let numbers = self
                    .ahead
                    .as_mut()
                    .context("no thread decodes these images")?
                    .numbers(indices)?;
                let Preprocess { height, width, .. } = set.preprocess;
                let shape = [indices.len() as i64, 3, i64::from(height), i64::from(width)];
                Input::pixels(Tensor::f_from_slice(&numbers)?.f_view(shape)?.f_to(self.device)?)
            }
        })
    }
}

/// What is to be decoded for these batches, in order.
fn wanted(kept: Option<&Kept>, batches: &[(u64, Vec<u32>)]) -> Vec<Vec<u32>> {
    let batches = batches.iter().map(|it| &it.1);
    let Some(kept) = kept else { return batches.cloned().collect() };
    let mut seen = BTreeSet::new();
    let groups = batches.flat_map(|it| kept.missing(it)).filter(|it| seen.insert(*it));
    groups.map(|it| kept.group(it).to_vec()).collect()
}

/// Images that are made ready by other threads, in the order in which they are wanted.
struct Ahead {
    set: Arc<ImageSet>,
    wanted: VecDeque<Vec<u32>>,
    ready: Receiver<Result<Vec<f32>>>,
}

impl Ahead {
    /// The thread ends with the last batch, or when nobody wants the next one.
    fn begin(set: &Arc<ImageSet>, wanted: Vec<Vec<u32>>, changes: Option<Changes>) -> Ahead {
        let (decoded, ready) = sync_channel(READY);
        let ahead = Ahead { set: Arc::clone(set), wanted: wanted.clone().into(), ready };
        let set = Arc::clone(set);
        std::thread::spawn(move || {
            for batch in wanted {
                if decoded.send(set.numbers(&batch, changes.as_ref())).is_err() {
                    break;
                }
            }
        });
        ahead
    }

    /// (batch, 3, height, width), row by row.
    fn numbers(&mut self, batch: &[u32]) -> Result<Vec<f32>> {
        if self.wanted.front().is_none_or(|it| it != batch) {
            return self.set.numbers(batch, None); // features that are wanted again
        }
        self.wanted.pop_front();
        self.ready.recv().ok().context("the thread that decodes images is gone")?
    }
}

/// mixup blends each image with its partner's; CutMix takes an area of it.
fn mixed(pixels: &mut Tensor, mix: &Mix) -> Result<()> {
    let partners = pixels.f_index_select(0, &partners(mix)?.f_to(pixels.device())?)?;
    let Some(area) = &mix.area else {
        *pixels =
            pixels.f_mul_scalar(mix.lambda)?.f_add(&partners.f_mul_scalar(1.0 - mix.lambda)?)?;
        return Ok(());
    };
    let cut = |it: &Tensor| {
        let rows = it.f_narrow(2, i64::from(area.rows.start), area.rows.len() as i64)?;
        rows.f_narrow(3, i64::from(area.columns.start), area.columns.len() as i64)
    };
    cut(pixels)?.f_copy_(&cut(&partners)?)?;
    Ok(())
}

/// (batch) int64
pub(crate) fn partners(mix: &Mix) -> Result<Tensor> {
    let partners: Vec<i64> = mix.partners.iter().map(|&it| it as i64).collect();
    Ok(Tensor::f_from_slice(&partners)?)
}
