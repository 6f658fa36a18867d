//! A model in training: loss, backward, optimizer. It knows what trains now; when that changes, and
//! what comes after what, is left to `trainer`.

use crate::checkpoint::Named;
use crate::examples::ExampleSet;
use crate::extensions::{self, Extensions};
use crate::failures::model_failure;
use crate::freeze;
use crate::linear_head::linear_map;
use crate::network::{self, Built, Network};
use crate::objective::{self, Objective};
use crate::rewards::Rewards;
use crate::source::Batch;
use crate::units::Units;
use anyhow::{Context, Result, bail};
use finetuned_job::data::NumberReport;
use finetuned_job::plan::Plan;
use finetuned_job::recipe::{self, Method, Precision};
use finetuned_libtorch::{Algorithm, Optimizer, RoundedFactors};
use finetuned_models::{BuildOptions, Checkpoint, HeadKind, Pass};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use tch::{Device, Tensor};

/// Name of libtorch's generator state among the optimizer's tensors.
const GENERATOR: &str = "generator";

pub(crate) struct Learner {
    pub network: Network,
    tensors: BTreeMap<String, Tensor>,
    /// The model's own head, where a plugin's stands in its place.
    own_head: Vec<(String, Tensor)>,
    trainable: BTreeSet<String>,
    /// All that trains in any epoch of the plan.
    may_change: BTreeSet<String>,
    optimizer: Optimizer,
    pub objective: Box<dyn Objective>,
    gradient_checkpointing: bool,
    frozen_statistics: bool,
    /// Matrices are multiplied as bf16 in training.
    rounded: bool,
    /// See [`Learner::takes_rows`].
    in_rows: bool,
    seed: u64,
}

impl Learner {
    /// `numbers`: those that are learnt, over the training examples. `rewards`: of answers that the
    /// model makes itself.
    pub(crate) fn new(
        built: Built,
        device: Device,
        plan: &Plan,
        numbers: &[NumberReport],
        (extensions, rewards): (&Extensions, Option<Rc<Rewards>>),
    ) -> Result<Learner> {
        let Built { model, head, tensors, own_head, parts, .. } = built;
        let tensors: BTreeMap<String, Tensor> = tensors.into_iter().collect();
        let names = freeze::parameters(tensors.keys(), &parts);
        let mut may_change = freeze::trainable(&plan.freeze, u32::MAX, &parts, &names)?;
        // The running statistics of a stage move while anything in it trains, if they do at all.
        let frozen_statistics = plan.freeze.statistics.unwrap_or(false);
        let stages = [&parts.embeddings].into_iter().chain(&parts.layers).chain([&parts.head]);
        let moving = stages.zip(&parts.buffers).filter(|(stage, _)| {
            !frozen_statistics && stage.iter().any(|it| may_change.contains(it))
        });
        let moving: Vec<String> = moving.flat_map(|(_, buffers)| buffers).cloned().collect();
        may_change.extend(moving);
        if plan.train.method != Method::Full {
            may_change.extend(parts.head.iter().cloned()); // it begins with a probe
        }
        Ok(Learner {
            network: Network {
                model,
                head,
                parts,
                outputs: finetuned_answers::of(plan.task.answer, plan.data.outputs()).width(),
                device,
                units: Units::of(numbers, device)?,
            },
            tensors,
            own_head,
            trainable: BTreeSet::new(),
            may_change,
            optimizer: Optimizer::new(algorithm(plan.train.optimizer)),
            objective: objective::of(
                plan,
                numbers,
                (extensions.loss(plan, device)?, rewards),
                device,
            )?,
            gradient_checkpointing: plan.train.gradient_checkpointing,
            frozen_statistics,
            rounded: plan.train.precision == Precision::Bf16,
            in_rows: plan.model.pooling.is_some(),
            seed: plan.train.seed,
        })
    }

    /// Makes train what the plan says for this epoch (counted from 1); true where that is a change.
    pub(crate) fn unfreeze(&mut self, plan: &Plan, epoch: u32) -> Result<bool> {
        let parts = &self.network.parts;
        let selected = freeze::trainable(
            &plan.freeze,
            epoch,
            parts,
            &freeze::parameters(self.tensors.keys(), parts),
        )?;
        if selected == self.trainable {
            return Ok(false);
        }
        let planned: BTreeMap<&str, _> = plan
            .freeze
            .trainable
            .iter()
            .chain(&plan.freeze.frozen)
            .map(|it| (it.name.as_str(), it))
            .collect();
        self.network.set_trainable(&selected, &self.tensors)?;
        for (name, tensor) in &self.tensors {
            if selected.contains(name) && !self.trainable.contains(name) {
                let planned = planned
                    .get(name.as_str())
                    .with_context(|| format!("the plan does not know {name}"))?;
                self.optimizer.add(name, tensor, planned.lr_scale, planned.weight_decay);
            }
        }
        self.trainable = selected;
        Ok(true)
    }

    /// Number of tensors and of their elements that train now.
    pub(crate) fn trainable_counts(&self) -> (u64, u64) {
        let parameters: usize =
            self.trainable.iter().filter_map(|it| self.tensors.get(it)).map(Tensor::numel).sum();
        (self.trainable.len() as u64, parameters as u64)
    }

    pub(crate) fn set_precision(&mut self, precision: Precision) {
        self.rounded = precision == Precision::Bf16;
    }

    /// Stages below everything that trains now: they give for an example the same every time.
    pub(crate) fn frozen_stages(&self) -> usize {
        self.network.model.frozen_stages()
    }

    /// What these examples weigh in the mean over update `step`.
    pub(crate) fn loss_weight(&self, set: &ExampleSet, batch: &[u32], step: u64) -> f64 {
        self.objective.weight(set, batch, &Pass::training(self.seed, step, 0))
    }

    /// Adds the gradients of a batch's share in the mean over `weight`; gives that share of the
    /// loss.
    pub(crate) fn backward(
        &self,
        batch: &Batch,
        weight: f64,
        step: u64,
        micro: u64,
    ) -> Result<f64> {
        let pass = Pass {
            gradient_checkpointing: self.gradient_checkpointing,
            frozen_statistics: self.frozen_statistics,
            ..Pass::training(self.seed, step, micro)
        };
        let _rounded = self.rounded.then(RoundedFactors::new);
        let loss = self.objective.loss(&self.network, batch, &pass)?.f_div_scalar(weight)?;
        loss.f_backward()?;
        Ok(loss.f_double_value(&[])?)
    }

    /// Where a plugin's head has learnt a linear map, and the model's own can be that map too, it
    /// becomes it; true then. `examples`: some of any split.
    pub(crate) fn take_own_head(&mut self, examples: &Batch) -> Result<bool> {
        let Some(head) = self.network.head.as_ref().filter(|_| !self.network.wants_sequence())
        else {
            return Ok(false);
        };
        let model = &self.network.model;
        let features = tch::no_grad(|| model.features(&examples.input, &Pass::evaluation()))?;
        let Some((weight, bias)) = linear_map(head, &features.xs)? else { return Ok(false) };
        if !model.set_head(&weight, &bias)? {
            return Ok(false);
        }
        self.network.head = None;
        self.tensors.retain(|name, _| !extensions::is_of_plugin(name));
        self.network.parts.head = self.own_head.iter().map(|it| it.0.clone()).collect();
        self.tensors.extend(std::mem::take(&mut self.own_head));
        Ok(true)
    }

    /// Whether what the head takes is a row of each example, made as the base model says.
    pub(crate) fn takes_rows(&self) -> bool {
        self.in_rows
    }

    /// Makes the head this linear map: (outputs, width) and (outputs).
    pub(crate) fn begin_with(&mut self, weight: &Tensor, bias: &Tensor) -> Result<()> {
        if !self.network.model.set_head(weight, bias)? {
            bail!("the head of this model can't begin with a linear probe");
        }
        Ok(())
    }

    /// Makes each linear map that has an adapter one map that does the same.
    pub(crate) fn merge(&mut self) -> Result<()> {
        let gone = self.network.model.merge()?;
        self.network.parts = std::mem::take(&mut self.network.parts).without(&gone);
        self.tensors.retain(|name, _| !gone.contains(name));
        Ok(())
    }

    /// Where the head takes a row of each text, the model becomes one of its family's own class.
    /// Gives the stages that gave such rows: no number of stages gives them now.
    pub(crate) fn take_family_form(
        &mut self,
        base: &Checkpoint,
        plan: &Plan,
    ) -> Result<Option<usize>> {
        let Some(pooling) = plan.model.pooling else { return Ok(None) };
        let rows = self.network.model.stages();
        let head = HeadKind::Linear(self.network.outputs as i64, network::pooling(pooling));
        let options = BuildOptions { device: self.network.device, ..BuildOptions::new(head) };
        let own = base.in_family(&options, &self.tensors).map_err(model_failure)?;
        self.network.parts = own.model.parts().clone();
        self.network.model = own.model;
        self.tensors = own.tensors.into_iter().collect();
        Ok(Some(rows))
    }

    /// Makes a model that learnt numbers in units of its own give them in those of the data. What a
    /// plugin's head ends with is not known: there the units stay beside the model.
    pub(crate) fn fold_units(&mut self) -> Result<()> {
        if self.network.head.is_some() {
            return Ok(());
        }
        let Some(units) = self.network.units.take() else { return Ok(()) };
        fold(&units, &self.network.model.parts().outputs, &self.tensors)
    }

    /// As [`Learner::backward`], to see what it costs: afterwards everything is as it was.
    pub(crate) fn try_backward(&mut self, batch: &Batch, weight: f64) -> Result<()> {
        let statistics: Vec<&Tensor> = self
            .network
            .parts
            .buffers
            .iter()
            .flatten()
            .filter_map(|it| self.tensors.get(it))
            .collect();
        let before: Vec<Tensor> = statistics.iter().map(|it| it.copy()).collect();
        self.backward(batch, weight, 0, 0)?;
        for (tensor, before) in statistics.into_iter().zip(&before) {
            tensor.shallow_clone().f_copy_(before)?;
        }
        self.forget_gradients();
        Ok(())
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

    /// The tensors that may differ from the base model at any time of the run. What trains only
    /// later is among them: going back to a step before its time must take it back too.
    pub(crate) fn tensors(&self) -> Named {
        self.may_change
            .iter()
            .filter_map(|it| Some((it.clone(), self.tensors.get(it)?.detach())))
            .collect()
    }

    /// All tensors, for the finished model, with the units that it needs to be understood.
    pub(crate) fn all_tensors(&self) -> Named {
        let units = self.network.units.iter().flat_map(Units::tensors);
        self.tensors.iter().map(|(name, it)| (name.clone(), it.detach())).chain(units).collect()
    }

    pub(crate) fn load_tensors(&mut self, saved: &Named) -> Result<()> {
        for (name, value) in saved {
            let Some(tensor) = self.tensors.get_mut(name) else {
                bail!("the model has no tensor {name}")
            };
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
        let at = state
            .iter()
            .position(|(name, _)| name == GENERATOR)
            .context("the checkpoint has no generator state")?;
        finetuned_libtorch::set_generator_state(&state.swap_remove(at).1)?;
        Ok(self.optimizer.load_state(&state)?)
    }
}

/// Folds the units into every linear map that gives outputs: the outputs are their mean.
fn fold(
    units: &Units,
    outputs: &[(String, String)],
    tensors: &BTreeMap<String, Tensor>,
) -> Result<()> {
    if outputs.is_empty() {
        bail!("the head ends with no linear map");
    }
    for (weight, bias) in outputs {
        let tensor = |name: &String| {
            tensors.get(name).with_context(|| format!("the model has no tensor {name}"))
        };
        units.fold(tensor(weight)?, tensor(bias)?)?;
    }
    Ok(())
}

fn algorithm(asked: recipe::Optimizer) -> Algorithm {
    match asked {
        recipe::Optimizer::AdamW { betas, eps } => Algorithm::AdamW { betas, eps },
        recipe::Optimizer::Adam { betas, eps } => Algorithm::Adam { betas, eps },
        recipe::Optimizer::Sgd { momentum, nesterov } => Algorithm::Sgd { momentum, nesterov },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use finetuned_models::{BuildOptions, HeadKind, Input};
    use std::path::Path;

    /// Roundings of fp32 at the size of these numbers.
    const EXACT: f64 = 1e-4;

    /// A model of the zoo's tests, with its logits before and after its units were folded in.
    fn folded(model: &str, input: &Input) -> (Tensor, Tensor) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tests/data");
        let checkpoint = finetuned_models::open(&folder.join(model)).unwrap();
        let built = checkpoint.build(&BuildOptions::new(HeadKind::Keep)).unwrap();
        let logits = || built.model.logits(input, &Pass::evaluation()).unwrap();
        let number = |mean, deviation| NumberReport { mean, deviation, ..NumberReport::default() };
        let numbers = [number(250.0, 17.0), number(-3.0, 0.1), number(0.5, 4.0)];
        let units = Units::of(&numbers, Device::Cpu).unwrap().unwrap();
        let outputs = units.up(&logits()).unwrap();
        let tensors = built.tensors.iter().map(|(name, it)| (name.clone(), it.shallow_clone()));
        fold(&units, &built.model.parts().outputs, &tensors.collect()).unwrap();
        (outputs, logits())
    }

    #[test]
    fn units_are_folded_into_every_map_that_gives_outputs() {
        let pixels = Tensor::arange(2 * 3 * 12 * 12, tch::kind::FLOAT_CPU).sin();
        let pixels = Input::pixels(pixels.view([2, 3, 12, 12]));
        let tokens = Input::tokens(Tensor::from_slice(&[5_i64, 9, 7, 30, 2]), vec![3, 2]);
        for (model, input) in [
            // Two heads, whose mean the outputs are.
            ("vit/timm_deit", &pixels),
            ("vit/hf_deit", &pixels),
            ("vit/hf_dinov2", &pixels),
            ("bert", &tokens),
            ("roberta", &tokens),
            ("distilbert", &tokens),
            ("electra", &tokens),
            ("modernbert", &tokens),
            ("mpnet", &tokens),
            ("deberta", &tokens),
        ] {
            let (before, after) = folded(model, input);
            let off = (before - after).abs().max().double_value(&[]);
            assert!(off < EXACT, "{model}: {off}");
        }
    }
}
