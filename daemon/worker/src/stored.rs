//! Batches of stored data, in the order asked for: images are made ready by other threads while the
//! model is at work, texts take no time, and of cached features there is only the row to find,
//! or to
//! compute when an example is wanted for the first time.

use crate::examples::ExampleSet;
use crate::feature_cache::FeatureCache;
use crate::modality::{Changes, Loader};
use crate::network::Network;
use crate::source::{Batch, Source};
use anyhow::Result;
use finetuned_models::{Input, Pass};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tch::Device;

/// A split as a network takes it: the examples, and what its frozen stages gave for them where that
/// is cached.
#[derive(Clone, Copy)]
pub(crate) struct Examples<'a> {
    pub set: &'a ExampleSet,
    pub cache: Option<&'a FeatureCache>,
}

pub(crate) struct Stored<'a> {
    examples: Examples<'a>,
    device: Device,
    batches: std::vec::IntoIter<(u64, Vec<u32>)>,
    loader: Box<dyn Loader + 'a>,
}

impl<'a> Stored<'a> {
    /// `batches`: each with its number in the epoch.
    pub(crate) fn new(
        examples: Examples<'a>,
        batches: Vec<(u64, Vec<u32>)>,
        changes: Option<Changes>,
        device: Device,
    ) -> Stored<'a> {
        let loader = examples.set.encoded.loader(wanted(examples.cache, &batches), changes);
        Stored { examples, device, batches: batches.into_iter(), loader }
    }

    /// Batches of a split as it is.
    pub(crate) fn plain(
        examples: Examples<'a>,
        batches: Vec<Vec<u32>>,
        device: Device,
    ) -> Stored<'a> {
        Stored::new(examples, (0..).zip(batches).collect(), None, device)
    }

    fn batch(&mut self, number: u64, indices: Vec<u32>, network: &Network) -> Result<Batch<'a>> {
        let (mut mix, mut once) = (None, Duration::ZERO);
        let input = match self.examples.cache {
            Some(cache) => self.cached(cache, network, &indices, &mut once)?,
            None => {
                let mut input = self.loader.input(&indices, self.device)?;
                mix = self.loader.mix(number, &mut input)?;
                input
            }
        };
        Ok(Batch { set: self.examples.set, indices, input, mix, once })
    }

    fn cached(
        &mut self,
        cache: &FeatureCache,
        network: &Network,
        indices: &[u32],
        once: &mut Duration,
    ) -> Result<Input> {
        let start = Instant::now();
        // Another group each time; where the disk refuses, those that were there are missing again.
        while let Some(group) = cache.missing(indices).pop_first() {
            let input = self.loader.input(cache.group(group), self.device)?;
            let rows = tch::no_grad(|| network.run(&input, cache.stages, &Pass::evaluation()))?;
            cache.put(group, &rows.xs)?;
            *once = start.elapsed();
        }
        let rows = cache.rows(indices, self.device)?;
        Ok(Input::at(cache.stages, rows, self.examples.set.encoded.sequences(indices)))
    }
}

impl<'a> Source<'a> for Stored<'a> {
    fn next(&mut self, network: &Network) -> Option<Result<Batch<'a>>> {
        let (number, indices) = self.batches.next()?;
        Some(self.batch(number, indices, network))
    }
}

/// Of which examples the inputs are to be made ready for these batches, in order.
fn wanted(cache: Option<&FeatureCache>, batches: &[(u64, Vec<u32>)]) -> Vec<Vec<u32>> {
    let batches = batches.iter().map(|it| &it.1);
    let Some(cache) = cache else { return batches.cloned().collect() };
    let mut seen = BTreeSet::new();
    let groups = batches.flat_map(|it| cache.missing(it)).filter(|it| seen.insert(*it));
    groups.map(|it| cache.group(it).to_vec()).collect()
}
