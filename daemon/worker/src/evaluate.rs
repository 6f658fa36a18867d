//! Decides how examples are scored: in batches by length, without gradients, every result back in the order
//! of the examples. What the numbers mean is left to finetuned-report.

use crate::batches;
use crate::network::{Examples, Network};
use crate::tokens::TokenSet;
use anyhow::{Result, bail};
use finetuned_job::plan::Plan;
use finetuned_job::scores::{Scores, Split};
use finetuned_models::Pass;
use tch::{Kind, Tensor};

/// Examples in one forward pass; without gradients memory is no concern, and larger ones are not faster.
const BATCH: usize = 64;

/// Class probabilities (examples x classes, row by row) and the mean cross-entropy.
pub(crate) struct Outputs {
    pub probabilities: Vec<f32>,
    pub loss: f64,
}

pub(crate) fn evaluate(network: &Network, examples: Examples, mut progress: impl FnMut(u64) -> Result<()>) -> Result<Outputs> {
    let n = examples.tokens.len();
    let classes = network.classes;
    let mut probabilities = vec![0_f32; n * classes];
    let mut losses = vec![0_f64; n];
    let mut done = 0;
    for batch in batches::by_length(&examples.tokens.lengths(), BATCH) {
        let logits = tch::no_grad(|| network.logits(examples, &batch, &Pass::evaluation()))?;
        // In f64, so that the mean over many examples does not depend on rounding.
        let log_p = logits.f_to_kind(Kind::Double)?.f_log_softmax(-1, Kind::Double)?.f_to(tch::Device::Cpu)?;
        let rows: Vec<f64> = Vec::try_from(log_p.f_contiguous()?.f_view(-1)?)?;
        for (row, &index) in rows.chunks(classes).zip(&batch) {
            let index = index as usize;
            for (class, log_p) in row.iter().enumerate() {
                probabilities[index * classes + class] = log_p.exp() as f32;
            }
            losses[index] = -row[examples.tokens.label(index as u32) as usize];
        }
        done += batch.len() as u64;
        progress(done)?;
    }
    let loss = losses.iter().sum::<f64>() / n.max(1) as f64;
    if !loss.is_finite() {
        bail!("the model gives NaN or infinite outputs");
    }
    Ok(Outputs { probabilities, loss })
}

impl Outputs {
    /// Scores of these outputs, with intervals for accuracy, macro F1 and the metric that chooses the best step.
    pub(crate) fn scores(&self, split: Split, tokens: &TokenSet, plan: &Plan) -> Result<Scores> {
        self.scored(split, tokens, plan, &["accuracy", "macro_f1", &plan.eval.best])
    }

    /// The same without intervals, which cost more than they say while training goes on.
    pub(crate) fn scores_only(&self, split: Split, tokens: &TokenSet, plan: &Plan) -> Result<Scores> {
        self.scored(split, tokens, plan, &[])
    }

    fn scored(&self, split: Split, tokens: &TokenSet, plan: &Plan, intervals_for: &[&str]) -> Result<Scores> {
        let labels = tokens.labels();
        Ok(finetuned_report::scores(split, &plan.data.classes, &self.probabilities, labels, self.loss, intervals_for, plan.train.seed)?)
    }
}

/// What the frozen body gives for every example, (examples, width), in their order.
pub(crate) fn features(network: &Network, examples: Examples, mut progress: impl FnMut(u64) -> Result<()>) -> Result<Tensor> {
    let n = examples.tokens.len();
    let order = batches::by_length(&examples.tokens.lengths(), BATCH);
    let mut rows = Vec::with_capacity(order.len());
    let mut done = 0;
    for batch in &order {
        rows.push(tch::no_grad(|| network.features(examples, batch, &Pass::evaluation()))?);
        done += batch.len() as u64;
        progress(done)?;
    }
    let places: Vec<i64> = order.concat().iter().map(|&it| i64::from(it)).collect();
    let found = Tensor::f_cat(&rows, 0)?;
    drop(rows);
    let mut kept = found.f_empty_like()?;
    let places = Tensor::f_from_slice(&places)?.f_to(found.device())?;
    let _ = kept.f_index_copy_(0, &places, &found)?;
    debug_assert_eq!(kept.size()[0], n as i64);
    Ok(kept)
}
