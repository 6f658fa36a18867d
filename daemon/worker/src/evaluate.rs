//! Decides how examples are scored: in batches by length, without gradients, every result back in
//! the order of the examples. What the numbers mean is left to finetuned-report.

use crate::batches;
use crate::examples::{ExampleSet, Inputs};
use crate::extensions::Extensions;
use crate::feed::{Examples, Feed};
use crate::network::Network;
use crate::objective::judged;
use anyhow::{Result, bail};
use finetuned_job::plan::Plan;
use finetuned_job::scores::{Scores, Split};

/// Examples in one forward pass without gradients. Larger ones are not faster; of images a
/// convolution's outputs would only leave the caches, and be most of a run's memory.
const TEXTS: usize = 64;
const IMAGES: usize = 16;

/// Every example of a split once, in the order that costs least.
pub(crate) fn batches_of(set: &ExampleSet) -> Vec<Vec<u32>> {
    let batch = if matches!(set.inputs, Inputs::Texts(_)) { TEXTS } else { IMAGES };
    batches::by_length(&set.lengths(), batch)
}

/// What a model says of a split.
pub(crate) struct Outputs {
    /// Probabilities, or numbers as people say them: examples x outputs, row by row.
    pub values: Vec<f32>,
    /// The mean over the examples.
    pub loss: f64,
}

pub(crate) fn evaluate(
    network: &Network,
    examples: Examples,
    mut progress: impl FnMut(u64) -> Result<()>,
) -> Result<Outputs> {
    let (n, width) = (examples.set.len(), network.outputs);
    let mut values = vec![0_f32; n * width];
    let mut losses = vec![0_f64; n];
    let mut done = 0;
    let mut feed = Feed::plain(examples, batches_of(examples.set), network.device);
    while let Some(batch) = feed.next(network) {
        let batch = batch?;
        let targets = examples.set.targets.tensor(&batch.indices, network.device)?;
        let (said, loss) = judged(network.problem, &network.answers(&batch.input)?, &targets)?;
        let said: Vec<f64> =
            Vec::try_from(said.f_to(tch::Device::Cpu)?.f_contiguous()?.f_view(-1)?)?;
        let loss: Vec<f64> = Vec::try_from(loss.f_to(tch::Device::Cpu)?)?;
        for ((row, loss), &index) in said.chunks(width).zip(loss).zip(&batch.indices) {
            let index = index as usize;
            values[index * width..][..width]
                .iter_mut()
                .zip(row)
                .for_each(|(to, from)| *to = *from as f32);
            losses[index] = loss;
        }
        done += batch.indices.len() as u64;
        progress(done)?;
    }
    let loss = losses.iter().sum::<f64>() / n.max(1) as f64;
    if !loss.is_finite() {
        bail!("the model gives NaN or infinite outputs");
    }
    Ok(Outputs { values, loss })
}

impl Outputs {
    /// Scores of these outputs, with intervals for the metrics that are shown and the one that
    /// chooses the best step.
    pub(crate) fn scores(
        &self,
        split: Split,
        set: &ExampleSet,
        plan: &Plan,
        extensions: &Extensions,
    ) -> Result<Scores> {
        // A plugin's metric has none: it would have to be asked a thousand times.
        let known = plan.task.metrics.known;
        let shown = plan.eval.metrics.iter().chain([&plan.eval.best]).map(String::as_str);
        let mut shown: Vec<&str> = shown.filter(|it| known.contains(it)).collect();
        shown.sort_unstable();
        shown.dedup();
        self.scored(split, set, plan, &shown, extensions)
    }

    /// The same without intervals, which cost more than they say while training goes on.
    pub(crate) fn scores_only(
        &self,
        split: Split,
        set: &ExampleSet,
        plan: &Plan,
        extensions: &Extensions,
    ) -> Result<Scores> {
        self.scored(split, set, plan, &[], extensions)
    }

    fn scored(
        &self,
        split: Split,
        set: &ExampleSet,
        plan: &Plan,
        intervals_for: &[&str],
        extensions: &Extensions,
    ) -> Result<Scores> {
        let names = plan.data.outputs();
        let truth = set.targets.truth();
        let mut scores = finetuned_report::scores(
            split,
            names,
            &self.values,
            truth,
            self.loss,
            intervals_for,
            plan.train.seed,
        )?;
        extensions.judge(&mut scores, plan, &self.values, truth)?;
        Ok(scores)
    }
}
