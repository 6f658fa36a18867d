//! AdamW, Adam and SGD over libtorch's fused kernels, with state that can be saved, loaded and
//! added to. Which parameters train, with what rate and decay, is left to the caller.

use crate::{Error, ffi, gradients};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

/// The rule of an update. Formulas and defaults are those of `torch.optim` (without AMSGrad and
/// dampening).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Algorithm {
    /// Loshchilov and Hutter 2019: decay is taken from the weights directly.
    AdamW { betas: (f64, f64), eps: f64 },
    /// Kingma and Ba 2015: decay is added to the gradient.
    Adam { betas: (f64, f64), eps: f64 },
    /// Decay is added to the gradient. `nesterov` wants a `momentum` above 0.
    Sgd { momentum: f64, nesterov: bool },
}

const STEP: &str = "step";
const EXP_AVG: &str = "exp_avg";
const EXP_AVG_SQ: &str = "exp_avg_sq";
const MOMENTUM_BUFFER: &str = "momentum_buffer";

/// Parameters and what their updates remember.
///
/// A parameter may join at any time (unfreezing); it has no state before its first update.
/// Parameters without a gradient are skipped, their state stays.
pub struct Optimizer {
    algorithm: Algorithm,
    parameters: Vec<Parameter>,
}

struct Parameter {
    name: String,
    tensor: Tensor,
    lr_scale: f64,
    weight_decay: f64,
    /// One for each of [`Algorithm::fields`], or none before the first update.
    state: Vec<Tensor>,
}

impl Algorithm {
    /// Names of the tensors that are kept for each parameter: torch's own.
    fn fields(self) -> &'static [&'static str] {
        match self {
            Algorithm::AdamW { .. } | Algorithm::Adam { .. } => &[STEP, EXP_AVG, EXP_AVG_SQ],
            Algorithm::Sgd { momentum: 0.0, .. } => &[],
            Algorithm::Sgd { .. } => &[MOMENTUM_BUFFER],
        }
    }
}

impl Optimizer {
    pub fn new(algorithm: Algorithm) -> Optimizer {
        Optimizer { algorithm, parameters: Vec::new() }
    }

    /// Adds a parameter, whose learning rate is that of the step times `lr_scale`. One that is
    /// known by this name already keeps its state and takes the new numbers.
    pub fn add(&mut self, name: &str, tensor: &Tensor, lr_scale: f64, weight_decay: f64) {
        let state = self
            .parameters
            .iter()
            .position(|it| it.name == name)
            .map(|at| self.parameters.remove(at).state);
        let state = state.unwrap_or_default();
        // By name, whenever they joined: the norm of all gradients is a sum, and its last bits
        // depend on the order.
        let at = self.parameters.partition_point(|it| it.name.as_str() < name);
        self.parameters.insert(
            at,
            Parameter {
                name: name.into(),
                tensor: tensor.shallow_clone(),
                lr_scale,
                weight_decay,
                state,
            },
        );
    }

    /// One update with the gradients that the parameters have.
    ///
    /// # Errors What libtorch refuses: a gradient of another kind than its parameter, a sparse one,
    /// no memory. Some parameters may have been updated then.
    pub fn step(&mut self, lr: f64) -> Result<(), Error> {
        let fields = self.algorithm.fields();
        let mut groups: BTreeMap<_, Vec<&mut Parameter>> = BTreeMap::new();
        for it in &mut self.parameters {
            if !it.tensor.grad().defined() {
                continue;
            }
            if it.state.len() != fields.len() {
                it.state = fields.iter().map(|field| it.fresh(field)).collect();
            }
            groups.entry(it.group()).or_default().push(it);
        }
        groups.values().try_for_each(|group| update(self.algorithm, group, lr))
    }

    /// [`gradients::clip_grad_norm`] over all parameters.
    ///
    /// # Errors
    /// As there.
    pub fn clip_grad_norm(&self, max: Option<f64>) -> Result<f64, Error> {
        gradients::clip_grad_norm(self.parameters.iter().map(|it| &it.tensor), max)
    }

    /// [`gradients::zero_grad`] over all parameters.
    pub fn zero_grad(&mut self) {
        gradients::zero_grad(self.parameters.iter().map(|it| &it.tensor));
    }

    /// `NAME.exp_avg`, `NAME.exp_avg_sq` and `NAME.step` (a scalar), or `NAME.momentum_buffer`, for
    /// each parameter that was updated. They share memory with the optimizer: the next step changes
    /// them.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let fields = self.algorithm.fields();
        let named = |it: &Parameter| {
            let names: Vec<String> =
                fields.iter().map(|field| format!("{}.{field}", it.name)).collect();
            names.into_iter().zip(it.state.iter().map(Tensor::shallow_clone)).collect::<Vec<_>>()
        };
        self.parameters.iter().flat_map(named).collect()
    }

    /// Puts back what [`Optimizer::state`] gave; the values are copied. Parameters that it does not
    /// name start anew. Nothing changes where it fails.
    ///
    /// # Errors A tensor of a parameter that was not added, of another algorithm or shape, and an
    /// incomplete set.
    pub fn load_state(&mut self, saved: &[(String, Tensor)]) -> Result<(), Error> {
        let fields = self.algorithm.fields();
        let mut found: BTreeMap<&str, Vec<Option<Tensor>>> = BTreeMap::new();
        for (name, value) in saved {
            let wrong = |why: String| Error::State { name: name.clone(), why };
            let (owner, field) = name
                .rsplit_once('.')
                .ok_or_else(|| wrong("is not named PARAMETER.FIELD".into()))?;
            let at = fields
                .iter()
                .position(|it| *it == field)
                .ok_or_else(|| wrong(format!("belongs to no {:?}", self.algorithm)))?;
            let parameter = self
                .parameters
                .iter()
                .find(|it| it.name == owner)
                .ok_or_else(|| wrong("its parameter is not trained".into()))?;
            let mut fresh = parameter.fresh(field);
            if fresh.size() != value.size() {
                return Err(wrong(format!(
                    "has the shape {:?}, the parameter wants {:?}",
                    value.size(),
                    fresh.size()
                )));
            }
            tch::no_grad(|| fresh.f_copy_(value)).map_err(|err| wrong(err.to_string()))?;
            found.entry(owner).or_insert_with(|| fields.iter().map(|_| None).collect())[at] =
                Some(fresh);
        }
        let mut complete = BTreeMap::new();
        for (owner, tensors) in found {
            let missing = tensors.iter().position(Option::is_none).map(|at| fields[at]);
            if let Some(field) = missing {
                return Err(Error::State {
                    name: format!("{owner}.{field}"),
                    why: "is missing".into(),
                });
            }
            complete.insert(owner.to_owned(), tensors.into_iter().flatten().collect::<Vec<_>>());
        }
        for it in &mut self.parameters {
            it.state = complete.remove(&it.name).unwrap_or_default();
        }
        Ok(())
    }
}

impl Parameter {
    /// What a field holds before the first update.
    fn fresh(&self, field: &str) -> Tensor {
        match field {
            STEP => Tensor::zeros([0i64; 0], (Kind::Float, self.tensor.device())),
            _ => self.tensor.detach().zeros_like(),
        }
    }

    /// Parameters that are equal in this are updated in one call.
    fn group(&self) -> (u64, u64, i32, i32) {
        let device = match self.tensor.device() {
            Device::Cuda(index) => index as i32,
            _ => -1,
        };
        (self.lr_scale.to_bits(), self.weight_decay.to_bits(), device, self.tensor.kind() as i32)
    }
}

/// One fused call for parameters of one group, which is not empty.
fn update(algorithm: Algorithm, group: &[&mut Parameter], lr: f64) -> Result<(), Error> {
    let n = group.len();
    let (lr, weight_decay) = (lr * group[0].lr_scale, group[0].weight_decay);
    let parameters = ffi::pointers(group.iter().map(|it| &it.tensor));
    let state = |field| ffi::pointers(group.iter().filter_map(|it| it.state.get(field)));
    let decoupled = matches!(algorithm, Algorithm::AdamW { .. });
    let message = match algorithm {
        Algorithm::AdamW { betas: (beta1, beta2), eps }
        | Algorithm::Adam { betas: (beta1, beta2), eps } => {
            let (steps, exp_avgs, exp_avg_sqs) = (state(0), state(1), state(2));
            let (p, m, v, t) =
                (parameters.as_ptr(), exp_avgs.as_ptr(), exp_avg_sqs.as_ptr(), steps.as_ptr());
            // SAFETY: `step` gave each parameter all of its fields, so the lists have `n` tensors;
            // they are borrowed for longer than the call.
            unsafe {
                ffi::finetuned_adam(decoupled, p, m, v, t, n, lr, beta1, beta2, eps, weight_decay)
            }
        }
        Algorithm::Sgd { momentum, nesterov } => {
            let buffers = state(0);
            // SAFETY: as above; without momentum `buffers` is empty and not read.
            unsafe {
                ffi::finetuned_sgd(
                    parameters.as_ptr(),
                    buffers.as_ptr(),
                    n,
                    lr,
                    momentum,
                    nesterov,
                    weight_decay,
                )
            }
        }
    };
    // SAFETY: `message` comes from the call above and is looked at only here.
    unsafe { ffi::check(message) }
}
