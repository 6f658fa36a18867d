//! Images: their bytes, decoded and prepared as the model wants them, changed by chance where they
//! are trained on. On all threads, ahead of the model.

use super::{Changes, Encoded, Encoder, Inputs, Loader, Modal, Preparation, partners};
use crate::{batches, durable};
use anyhow::{Context, Result, bail};
use finetuned_images::{Mix, Pixels, Preprocess, contact_sheet, decode};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::Plan;
use finetuned_job::recipe::Recipe;
use finetuned_models::{Checkpoint, Input, Kind};
use rayon::prelude::*;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, PoisonError};
use tch::{Device, Tensor};

/// Batches that wait to be used. One would do if each took the same time.
const READY: usize = 2;
/// Images in one forward pass without gradients. The outputs of a convolution over more would leave
/// the caches, and be most of a run's memory.
const EVALUATION_BATCH: usize = 16;

pub(super) struct Images;

impl Modal for Images {
    fn models(&self) -> Kind {
        Kind::Image
    }

    fn encoder(&self, base: &Checkpoint, recipe: &Recipe) -> Result<Box<dyn Encoder>> {
        let size = recipe.model.image_size.map(|side| [side; 2]);
        let preprocess = Preprocess::read_at_size(base.companions(), size)
            .map_err(|err| Failure::new(FailureKind::Model, err.to_string()))?;
        Ok(Box::new(preprocess))
    }

    fn reopen(&self, _: &Path, plan: &Plan) -> Result<Box<dyn Encoder>> {
        let preprocess = plan.model.preprocess.clone();
        Ok(Box::new(preprocess.context("the plan does not say how images are prepared")?))
    }
}

impl Encoder for Preprocess {
    fn preparation(&self) -> Preparation {
        Preparation { max_tokens: 0, preprocess: Some(self.clone()) }
    }

    fn encode(
        &self,
        inputs: &Inputs,
        _: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Box<dyn Encoded>> {
        Ok(Box::new(Arc::new(ImageSet { inputs: inputs.clone(), preprocess: self.clone() })))
    }

    fn export(&self, base: &Path, to: &Path, config: &mut serde_json::Value) -> Result<()> {
        self.enter_in_config(config);
        match self.preprocessor_config(base)? {
            Some(beside) => durable::write_json(&to.join("preprocessor_config.json"), &beside),
            None => Ok(()),
        }
    }
}

struct ImageSet {
    inputs: Inputs,
    preprocess: Preprocess,
}

impl ImageSet {
    fn pixels(&self, index: u32) -> Result<Pixels> {
        let (_, pixels) = decode(&self.inputs.bytes(index)?).map_err(|broken| {
            let message = format!("{}: {broken}", self.inputs.origin(index));
            Failure::new(FailureKind::Data, message)
        })?;
        Ok(pixels)
    }

    /// (batch, 3, height, width), row by row.
    fn numbers(&self, batch: &[u32], changes: Option<&Changes>) -> Result<Vec<f32>> {
        let mut out = vec![0.0; batch.len() * self.preprocess.numbers()];
        out.par_chunks_mut(self.preprocess.numbers())
            .zip(batch)
            .try_for_each(|(out, &index)| self.one(index, changes, out))?;
        Ok(out)
    }

    fn one(&self, index: u32, changes: Option<&Changes>, out: &mut [f32]) -> Result<()> {
        let mut pixels = self.pixels(index)?;
        if let Some(Changes { plugin: Some(plugin), seed, epoch, .. }) = changes {
            let mut data = pixels.data().to_vec();
            let size = (pixels.width(), pixels.height());
            let own = rayon::current_thread_index().unwrap_or(0) % plugin.len();
            let plugin = plugin[own].lock().unwrap_or_else(PoisonError::into_inner);
            let draw = batches::mix(batches::mix(*seed, *epoch), u64::from(index));
            plugin.apply(&mut data, size, draw)?;
            pixels = Pixels::new(size.0, size.1, data);
        }
        match changes {
            Some(it) => {
                let draw = (it.seed, it.epoch, u64::from(index));
                it.augment.apply_into(&self.preprocess, &pixels, draw, out);
            }
            None => self.preprocess.prepare_into(&pixels, out),
        }
        Ok(())
    }
}

impl Encoded for Arc<ImageSet> {
    fn len(&self) -> usize {
        self.inputs.len()
    }

    fn lengths(&self) -> Vec<u32> {
        vec![1; self.len()]
    }

    fn unit(&self) -> &'static str {
        "images"
    }

    fn evaluation_batch(&self) -> usize {
        EVALUATION_BATCH
    }

    fn identify(&self, part: &mut dyn FnMut(&[u8])) -> Result<()> {
        let Inputs::Split { examples, .. } = &self.inputs else { bail!("only splits have names") };
        part(serde_json::to_string(&self.preprocess)?.as_bytes());
        examples.iter().for_each(|it| part(&it.key.to_le_bytes()));
        Ok(())
    }

    fn sequences(&self, _: &[u32]) -> Vec<i64> {
        Vec::new()
    }

    fn loader(&self, batches: Vec<Vec<u32>>, changes: Option<Changes>) -> Box<dyn Loader + '_> {
        Box::new(Ahead::begin(self, batches, changes))
    }

    fn thumbnail(&self, index: u32, side: u32) -> Option<Vec<u8>> {
        // An image that is gone since it was checked is no reason to fail.
        self.pixels(index).ok().map(|it| contact_sheet(&[it], 1, side))
    }

    fn strip(&self, shown: u32, side: u32, changes: &Changes) -> Result<Option<Vec<u8>>> {
        if changes.augment.leaves_images_alone() {
            return Ok(None);
        }
        let batch: Vec<u32> = (0..shown.min(self.len() as u32)).collect();
        let numbers = self.numbers(&batch, Some(changes))?;
        let changed = numbers.chunks(self.preprocess.numbers());
        let changed: Vec<Pixels> = changed.map(|it| self.preprocess.restore(it)).collect();
        Ok(Some(contact_sheet(&changed, batch.len() as u32, side)))
    }
}

/// Images that are made ready by another thread, in the order in which they are wanted.
struct Ahead {
    set: Arc<ImageSet>,
    changes: Option<Changes>,
    wanted: VecDeque<Vec<u32>>,
    ready: Receiver<Result<Vec<f32>>>,
}

impl Ahead {
    /// The thread ends with the last batch, or when nobody wants the next one.
    fn begin(set: &Arc<ImageSet>, wanted: Vec<Vec<u32>>, changes: Option<Changes>) -> Ahead {
        let (decoded, ready) = sync_channel(READY);
        let ahead = Ahead {
            set: Arc::clone(set),
            changes: changes.clone(),
            wanted: wanted.clone().into(),
            ready,
        };
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

    fn numbers(&mut self, batch: &[u32]) -> Result<Vec<f32>> {
        if self.wanted.front().is_none_or(|it| it != batch) {
            return self.set.numbers(batch, None); // features that are wanted again
        }
        self.wanted.pop_front();
        self.ready.recv().ok().context("the thread that decodes images is gone")?
    }
}

impl Loader for Ahead {
    fn input(&mut self, indices: &[u32], device: Device) -> Result<Input> {
        let numbers = self.numbers(indices)?;
        let Preprocess { height, width, .. } = self.set.preprocess;
        let shape = [indices.len() as i64, 3, i64::from(height), i64::from(width)];
        Ok(Input::pixels(Tensor::f_from_slice(&numbers)?.f_view(shape)?.f_to(device)?))
    }

    fn mix(&mut self, number: u64, input: &mut Input) -> Result<Option<Mix>> {
        let Some(Changes { augment, seed, epoch, .. }) = &self.changes else { return Ok(None) };
        let Preprocess { height, width, .. } = self.set.preprocess;
        let examples = input.xs.size()[0] as usize;
        let mix = augment.mixing.mix(*seed, *epoch, number, examples, (height, width));
        if let Some(mix) = &mix {
            mixed(&mut input.xs, mix)?;
        }
        Ok(mix)
    }
}

/// mixup blends each image with its partner's; CutMix takes an area of it.
fn mixed(pixels: &mut Tensor, mix: &Mix) -> Result<()> {
    let partners = pixels.f_index_select(0, &partners(mix)?.f_to(pixels.device())?)?;
    let Some(area) = &mix.area else {
        let own = pixels.f_mul_scalar(mix.lambda)?;
        *pixels = own.f_add(&partners.f_mul_scalar(1.0 - mix.lambda)?)?;
        return Ok(());
    };
    let cut = |it: &Tensor| {
        let rows = it.f_narrow(2, i64::from(area.rows.start), area.rows.len() as i64)?;
        rows.f_narrow(3, i64::from(area.columns.start), area.columns.len() as i64)
    };
    cut(pixels)?.f_copy_(&cut(&partners)?)?;
    Ok(())
}
