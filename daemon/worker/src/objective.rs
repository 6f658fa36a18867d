//! What is minimised: one file for each objective, and a table. An objective owns its forward
//! passes, so that it may make two of them, and says what a model's outputs mean.

mod binary_cross_entropy; // each class by itself
mod cross_entropy; // one class of several
mod squared_error; // numbers
mod supervised; // a criterion over outputs and targets
mod tokens; // a tag for each word
mod vocabulary; // rows that a vocabulary is predicted for
mod masked; // tokens that were hidden
mod next_tokens; // tokens that follow
mod preferences; // likelihoods of answers
mod rewards; // numbers for answers
mod group_relative; // the model's own answers

use crate::examples::ExampleSet;
use crate::network::Network;
use crate::plugins::LossInstance;
use crate::rewards::Rewards;
use crate::source::Batch;
use anyhow::Result;
use finetuned_answers::Target;
use finetuned_job::data::NumberReport;
use finetuned_job::event::Sampled;
use finetuned_job::plan::Plan;
use finetuned_job::task;
use finetuned_models::Pass;
use group_relative::GroupRelative;
use preferences::Preferences;
use std::rc::Rc;
use supervised::{Criterion, Supervised};
use tch::{Device, Kind, Tensor};

pub(crate) trait Objective {
    /// What has to be found out with the model as it is, before it is updated by these batches.
    /// What is to be reported of it, where it was found out anew.
    ///
    /// # Errors
    /// Whatever the model refuses; a plugin that fails; those of `check`, which is called often: it
    /// is then as if nothing had been begun.
    fn begin_update(
        &self,
        _: &Network,
        _: &ExampleSet,
        (_update, _step): (&[Vec<u32>], u64),
        _check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<Sampled>> {
        Ok(None)
    }

    /// What these examples of a set weigh in the mean over an update, in a pass of these numbers.
    fn weight(&self, set: &ExampleSet, batch: &[u32], pass: &Pass) -> f64;

    /// The sum of a batch's losses, to be divided by the weight of the whole update.
    ///
    /// # Errors
    /// Whatever the model refuses; a plugin's loss that fails.
    fn loss(&self, network: &Network, batch: &Batch, pass: &Pass) -> Result<Tensor>;

    /// What the network predicts for a batch, and how far off that is.
    ///
    /// # Errors
    /// Whatever the model refuses.
    fn evaluate(&self, network: &Network, batch: &Batch) -> Result<Evaluated> {
        // In f64, so that the mean over many examples does not depend on rounding.
        let outputs = network.outputs_of(&batch.input, None)?.f_to_kind(Kind::Double)?;
        self.evaluate_outputs(&outputs, &batch.set.targets(&batch.indices))
    }

    /// From now on the model is the base itself, beside which it is looked at.
    fn be_base(&mut self) {}

    /// The same of (batch, outputs), in f64: logits, or numbers in the units of the data.
    ///
    /// # Errors
    /// Outputs of another width.
    fn evaluate_outputs(&self, outputs: &Tensor, targets: &[&Target]) -> Result<Evaluated>;
}

/// In f64.
pub(crate) struct Evaluated {
    /// (rows, outputs): probabilities, or numbers in the units of the data.
    pub values: Tensor,
    /// (batch): the loss of each example, the sum of all where it has several.
    pub losses: Tensor,
    /// How many losses each example has, where it has not just one.
    pub weights: Option<Vec<f64>>,
    /// Rows of each example, where it has not just one.
    pub rows: Option<Vec<usize>>,
}

/// What the model finds of the answers of a batch: the log-probability of each, as
/// [`crate::modality::Encoded::answers`] has them.
///
/// # Errors
/// Whatever the model refuses.
pub(crate) fn log_probabilities(network: &Network, batch: &Batch) -> Result<Vec<f64>> {
    preferences::log_probabilities(network, batch)
}

/// `numbers`: those that are learnt, over the training examples; empty where only predictions are
/// wanted. `loss`: a plugin's, in the place
/// of the objective's own. `rewards`: where the model's own answers are learnt from.
///
/// # Errors
/// A plugin's loss where there can be none.
pub(crate) fn of(
    plan: &Plan,
    numbers: &[NumberReport],
    (loss, rewards): (Option<LossInstance>, Option<Rc<Rewards>>),
    device: Device,
) -> Result<Box<dyn Objective>> {
    let criterion: Box<dyn Criterion> = match plan.task.objective {
        task::Objective::CrossEntropy => Box::new(cross_entropy::CrossEntropy::new(plan, device)?),
        task::Objective::BinaryCrossEntropy => {
            Box::new(binary_cross_entropy::BinaryCrossEntropy::new(plan, device)?)
        }
        task::Objective::SquaredError => {
            let outputs = plan.data.outputs().len();
            Box::new(squared_error::SquaredError::new(numbers, outputs))
        }
        task::Objective::TokenCrossEntropy => {
            return Ok(Box::new(tokens::Tokens::new(plan, loss, device)?));
        }
        task::Objective::MaskedTokens => {
            return Ok(Box::new(masked::MaskedTokens::new(plan, loss, device)?));
        }
        task::Objective::NextTokens => {
            return Ok(Box::new(next_tokens::NextTokens::new(plan, loss, device)?));
        }
        task::Objective::Preferences => return Ok(Box::new(Preferences::new(plan)?)),
        task::Objective::Rewards => return Ok(Box::new(rewards::Rewards)),
        task::Objective::GroupRelative => {
            return Ok(Box::new(GroupRelative::new(plan, rewards)?));
        }
    };
    Ok(Box::new(Supervised { criterion, plugin: loss }))
}
