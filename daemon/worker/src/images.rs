//! Decides how images become numbers: their bytes, decoded and prepared as the model wants them,
//! changed by chance where they are trained on. On all threads; what comes when is `feed`'s
//! business.

use crate::batches;
use crate::plugins::AugmentationInstance;
use anyhow::Result;
use finetuned_data::{ImageExample, ImageInput, Images};
use finetuned_images::{Augment, Pixels, Preprocess, contact_sheet, decode};
use finetuned_job::data::FileReport;
use finetuned_job::outcome::{Failure, FailureKind};
use rayon::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) struct ImageSet {
    pub source: Source,
    pub preprocess: Preprocess,
}

pub(crate) enum Source {
    /// A split of a data set.
    Split { images: Images, examples: Vec<ImageExample>, files: Arc<Vec<FileReport>> },
    /// What a person names.
    Named(Vec<ImageInput>),
}

/// How the images of an epoch are changed.
#[derive(Clone)]
pub(crate) struct Changes {
    pub augment: Augment,
    /// A plugin's, before all else: one for each thread.
    pub plugin: Option<Arc<[Mutex<AugmentationInstance>]>>,
    pub seed: u64,
    /// Counts from 0.
    pub epoch: u64,
}

impl ImageSet {
    pub(crate) fn len(&self) -> usize {
        match &self.source {
            Source::Split { examples, .. } => examples.len(),
            Source::Named(inputs) => inputs.len(),
        }
    }

    pub(crate) fn origin(&self, index: u32) -> String {
        match &self.source {
            Source::Split { examples, files, .. } => examples[index as usize].origin(files),
            Source::Named(inputs) => inputs[index as usize].origin.clone(),
        }
    }

    fn pixels(&self, index: u32) -> Result<Pixels> {
        let bytes = match &self.source {
            Source::Split { images, examples, .. } => images.bytes(&examples[index as usize])?,
            Source::Named(inputs) => inputs[index as usize].bytes()?,
        };
        let (_, pixels) = decode(&bytes).map_err(|broken| {
            Failure::new(FailureKind::Data, format!("{}: {broken}", self.origin(index)))
        })?;
        Ok(pixels)
    }

    /// (batch, 3, height, width), row by row.
    pub(crate) fn numbers(&self, batch: &[u32], changes: Option<&Changes>) -> Result<Vec<f32>> {
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
            let (width, height) = (pixels.width(), pixels.height());
            let own = rayon::current_thread_index().unwrap_or(0) % plugin.len();
            let plugin = plugin[own].lock().unwrap_or_else(PoisonError::into_inner);
            plugin.apply(
                &mut data,
                (width, height),
                batches::mix(batches::mix(*seed, *epoch), u64::from(index)),
            )?;
            pixels = Pixels::new(width, height, data);
        }
        match changes {
            Some(it) => it.augment.apply_into(
                &self.preprocess,
                &pixels,
                (it.seed, it.epoch, u64::from(index)),
                out,
            ),
            None => self.preprocess.prepare_into(&pixels, out),
        }
        Ok(())
    }

    /// PNG of one image, `side` pixels at most.
    pub(crate) fn thumbnail(&self, index: u32, side: u32) -> Result<Vec<u8>> {
        Ok(contact_sheet(&[self.pixels(index)?], 1, side))
    }

    /// PNG of the first images side by side, changed as they are for training.
    pub(crate) fn strip(&self, shown: u32, side: u32, changes: &Changes) -> Result<Vec<u8>> {
        let batch: Vec<u32> = (0..shown).collect();
        let numbers = self.numbers(&batch, Some(changes))?;
        let changed: Vec<Pixels> = numbers
            .chunks(self.preprocess.numbers())
            .map(|it| self.preprocess.restore(it))
            .collect();
        Ok(contact_sheet(&changed, shown, side))
    }
}
