//! Decides how examples are scored: in batches by length, without gradients, every result back in
//! the order of the examples. What the numbers mean is left to finetuned-answers.

use crate::examples::ExampleSet;
use crate::extensions::Extensions;
use crate::network::Network;
use crate::objective::{Evaluated, Objective};
use crate::source::Source;
use crate::stored::{Examples, Stored};
use anyhow::{Result, bail};
use finetuned_answers::{Predictions, Scored};
use finetuned_job::plan::Plan;
use finetuned_job::scores::{Scores, Split};
use tch::{Device, Tensor};

/// What a model gives for a split.
pub(crate) struct Evaluation {
    pub predictions: Predictions,
    /// Of each example, so that their mean is the mean of all losses.
    losses: Vec<f64>,
}

pub(crate) fn evaluate(
    network: &Network,
    objective: &dyn Objective,
    examples: Examples,
    mut progress: impl FnMut(u64) -> Result<()>,
) -> Result<Evaluation> {
    let mut rows: Vec<Vec<f32>> = vec![Vec::new(); examples.set.len()];
    let mut losses = vec![0_f64; examples.set.len()];
    let mut weights = vec![1_f64; examples.set.len()];
    let mut done = 0;
    let batches = examples.set.evaluation_batches();
    let mut source = Stored::plain(examples, batches, network.device);
    while let Some(batch) = source.next(network) {
        let batch = batch?;
        let found = objective.evaluate(network, &batch)?;
        let values = row_by_row(&found, network.outputs, batch.indices.len())?;
        let loss: Vec<f64> = Vec::try_from(found.losses.f_to(Device::Cpu)?)?;
        for ((values, loss), &index) in values.into_iter().zip(loss).zip(&batch.indices) {
            rows[index as usize] = values;
            losses[index as usize] = loss;
        }
        for (weight, &index) in found.weights.into_iter().flatten().zip(&batch.indices) {
            weights[index as usize] = weight;
        }
        done += batch.indices.len() as u64;
        progress(done)?;
    }
    if losses.iter().any(|it| !it.is_finite()) {
        bail!("the model gives NaN or infinite outputs");
    }
    let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
    if 0.0 < mean {
        losses.iter_mut().for_each(|it| *it /= mean);
    }
    let counts: Vec<usize> = rows.iter().map(|it| it.len() / network.outputs).collect();
    let predictions = Predictions::ragged(network.outputs, rows.concat(), counts);
    Ok(Evaluation { predictions, losses })
}

/// The values of each example of a batch.
fn row_by_row(found: &Evaluated, width: usize, examples: usize) -> Result<Vec<Vec<f32>>> {
    let flat = |it: &Tensor| it.f_to(Device::Cpu)?.f_contiguous()?.f_view(-1);
    let values: Vec<f64> = Vec::try_from(flat(&found.values)?)?;
    let mut values = values.into_iter().map(|it| it as f32);
    let counts = found.rows.clone().unwrap_or_else(|| vec![1; examples]);
    Ok(counts.into_iter().map(|it| values.by_ref().take(it * width).collect()).collect())
}

impl Evaluation {
    /// Of (examples, outputs) of a split, f64, in the units of the data.
    pub(crate) fn of_outputs(
        outputs: &Tensor,
        objective: &dyn Objective,
        set: &ExampleSet,
    ) -> Result<Evaluation> {
        let found = objective.evaluate_outputs(outputs, &set.targets.iter().collect::<Vec<_>>())?;
        let width = outputs.size2()?.1 as usize;
        let rows = row_by_row(&found, width, set.len())?;
        Ok(Evaluation {
            predictions: Predictions::ragged(width, rows.concat(), vec![1; set.len()]),
            losses: Vec::try_from(found.losses.f_to(Device::Cpu)?)?,
        })
    }

    /// Scores, with intervals for the metrics that are shown and the one that chooses the best
    /// step.
    pub(crate) fn scores(
        &self,
        split: Split,
        set: &ExampleSet,
        plan: &Plan,
        extensions: &Extensions,
        thresholds: &[f32],
    ) -> Result<Scores> {
        // A plugin's metric has none: it would have to be asked a thousand times.
        let known = finetuned_answers::of(plan.task.answer, plan.data.outputs()).metrics().known;
        let shown = plan.eval.metrics.iter().chain([&plan.eval.best]).map(String::as_str);
        let mut shown: Vec<&str> = shown.filter(|it| known.contains(it)).collect();
        shown.sort_unstable();
        shown.dedup();
        self.scored(split, set, plan, (&shown, thresholds), extensions)
    }

    /// The same without intervals, which cost more than they are worth while training goes on.
    pub(crate) fn scores_only(
        &self,
        split: Split,
        set: &ExampleSet,
        plan: &Plan,
        extensions: &Extensions,
    ) -> Result<Scores> {
        self.scored(split, set, plan, (&[], &[]), extensions)
    }

    fn scored(
        &self,
        split: Split,
        set: &ExampleSet,
        plan: &Plan,
        (intervals_for, thresholds): (&[&str], &[f32]),
        extensions: &Extensions,
    ) -> Result<Scores> {
        let (answer, outputs) = (plan.task.answer, plan.data.outputs());
        let answer = finetuned_answers::with_thresholds(answer, outputs, thresholds);
        let (predictions, targets) = (&self.predictions, &set.targets[..]);
        let of = Scored { split, predictions, targets, losses: &self.losses };
        let mut scores = answer.scores(&of, intervals_for, plan.train.seed)?;
        extensions.score(&mut scores, plan, predictions, targets)?;
        Ok(scores)
    }
}
