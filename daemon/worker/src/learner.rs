//! A model in training: loss, backward, optimizer. It knows what trains now; when that changes, and what comes
//! after what, is left to `trainer`.

use crate::batches;
use crate::checkpoint::Named;
use crate::network::{Examples, Network};
use crate::planning;
use anyhow::{Context, Result, bail};
use finetuned_job::plan::Plan;
use finetuned_job::recipe;
use finetuned_libtorch::{Algorithm, Optimizer};
use finetuned_models::{Model, Pass};
use std::collections::{BTreeMap, BTreeSet};
use tch::{Device, Kind, Reduction, Tensor};

/// Name of libtorch's generator state among the optimizer's tensors.
const GENERATOR: &str = "generator";

pub(crate) struct Learner {
    pub network: Network,
    tensors: BTreeMap<String, Tensor>,
    trainable: BTreeSet<String>,
    /// All that trains in any epoch of the plan.
    may_change: BTreeSet<String>,
    optimizer: Optimizer,
    /// (classes), where classes weigh differently; on the device, and to be read.
    class_weights: Option<(Tensor, Vec<f64>)>,
    label_smoothing: f64,
    seed: u64,
}

impl Learner {
    pub(crate) fn new(model: Model, device: Device, plan: &Plan) -> Result<Learner> {
        let names = model.tensors.iter().map(|(name, _)| name.clone()).collect();
        let may_change = planning::trainable(&plan.freeze, u32::MAX, model.classifier.parts(), &names)?;
        let weights = &plan.train.class_weight_values;
        let on_device = || Tensor::from_slice(weights).to_kind(Kind::Float).to(device);
        Ok(Learner {
            network: Network { classifier: model.classifier, classes: plan.data.classes.len(), device },
            tensors: model.tensors.into_iter().collect(),
            trainable: BTreeSet::new(),
            may_change,
            optimizer: Optimizer::new(algorithm(plan.train.optimizer)),
            class_weights: (!weights.is_empty()).then(|| (on_device(), weights.clone())),
            label_smoothing: plan.train.label_smoothing,
            seed: plan.train.seed,
        })
    }

    /// Makes train what the plan says for this epoch (counted from 1); true where that is a change.
    pub(crate) fn unfreeze(&mut self, plan: &Plan, epoch: u32) -> Result<bool> {
        let names: BTreeSet<String> = self.tensors.keys().cloned().collect();
        let selected = planning::trainable(&plan.freeze, epoch, self.network.classifier.parts(), &names)?;
        if selected == self.trainable {
            return Ok(false);
        }
        let planned: BTreeMap<&str, _> = plan.freeze.trainable.iter().chain(&plan.freeze.frozen).map(|it| (it.name.as_str(), it)).collect();
        for (name, tensor) in &self.tensors {
            if selected.contains(name) && !self.trainable.contains(name) {
                let planned = planned.get(name.as_str()).with_context(|| format!("the plan does not know {name}"))?;
                self.optimizer.add(name, tensor, planned.lr_scale, planned.weight_decay);
            }
        }
        self.network.classifier.set_trainable(&selected);
        self.trainable = selected;
        Ok(true)
    }

    /// Number of tensors and of their elements that train now.
    pub(crate) fn trainable_counts(&self) -> (u64, u64) {
        let parameters: usize = self.trainable.iter().filter_map(|it| self.tensors.get(it)).map(Tensor::numel).sum();
        (self.trainable.len() as u64, parameters as u64)
    }

    /// Only the head trains: the body gives the same for an example every time.
    pub(crate) fn body_is_frozen(&self) -> bool {
        let head = &self.network.classifier.parts().head;
        self.trainable.iter().all(|it| head.contains(it))
    }

    /// What a batch weighs in the mean: its examples, or the sum of their class weights.
    pub(crate) fn loss_weight(&self, examples: Examples, batch: &[u32]) -> f64 {
        match &self.class_weights {
            None => batch.len() as f64,
            Some((_, weights)) => batch.iter().map(|&it| weights[examples.tokens.label(it) as usize]).sum(),
        }
    }

    /// Adds the gradients of a batch's share in the mean over `weight`; gives that share of the loss.
    pub(crate) fn backward(&self, examples: Examples, batch: &[u32], weight: f64, step: u64, micro: u64) -> Result<f64> {
        /// torch's default for a label that does not count; ours all do.
        const IGNORE_INDEX: i64 = -100;
        let logits = self.network.logits(examples, batch, &Pass::training(self.seed, step, micro))?;
        let labels = batches::labels(examples.tokens, batch, self.network.device)?;
        let weights = self.class_weights.as_ref().map(|(it, _)| it);
        let sum = logits.f_cross_entropy_loss(&labels, weights, Reduction::Sum, IGNORE_INDEX, self.label_smoothing)?;
        let loss = sum.f_div_scalar(weight)?;
        loss.f_backward()?;
        Ok(loss.f_double_value(&[])?)
    }

    pub(crate) fn forget_gradients(&mut self) {
        self.optimizer.zero_grad();
    }

    /// L2 norm of all gradients, which are scaled down to `max` where they exceed it.
    pub(crate) fn clip(&self, max: Option<f64>) -> Result<f64> {
        Ok(self.optimizer.clip_grad_norm(max)?)
    }

    pub(crate) fn step(&mut self, lr: f64) -> Result<()> {
        self.optimizer.step(lr)?;
        self.forget_gradients();
        Ok(())
    }

    /// The tensors that may differ from the base model at any time of the run. What trains only later is among
    /// them: going back to a step before its time must take it back too.
    pub(crate) fn tensors(&self) -> Named {
        self.may_change.iter().filter_map(|it| Some((it.clone(), self.tensors.get(it)?.detach()))).collect()
    }

    /// All tensors, for the finished model.
    pub(crate) fn all_tensors(&self) -> Named {
        self.tensors.iter().map(|(name, it)| (name.clone(), it.detach())).collect()
    }

    pub(crate) fn load_tensors(&mut self, saved: &Named) -> Result<()> {
        for (name, value) in saved {
            let Some(tensor) = self.tensors.get_mut(name) else { bail!("the model has no tensor {name}") };
            tch::no_grad(|| tensor.f_copy_(value)).with_context(|| format!("loading {name}"))?;
        }
        Ok(())
    }

    /// Optimizer and random generator, for a checkpoint.
    pub(crate) fn state(&self) -> Result<Named> {
        let mut state = self.optimizer.state();
        state.push((GENERATOR.into(), finetuned_libtorch::generator_state()?));
        Ok(state)
    }

    pub(crate) fn load_state(&mut self, mut state: Named) -> Result<()> {
        let at = state.iter().position(|(name, _)| name == GENERATOR).context("the checkpoint has no generator state")?;
        finetuned_libtorch::set_generator_state(&state.swap_remove(at).1)?;
        Ok(self.optimizer.load_state(&state)?)
    }
}

fn algorithm(asked: recipe::Optimizer) -> Algorithm {
    match asked {
        recipe::Optimizer::AdamW { betas, eps } => Algorithm::AdamW { betas, eps },
        recipe::Optimizer::Adam { betas, eps } => Algorithm::Adam { betas, eps },
        recipe::Optimizer::Sgd { momentum, nesterov } => Algorithm::Sgd { momentum, nesterov },
    }
}
