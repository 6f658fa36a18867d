//! Adapters of linear maps: low-rank ones (LoRA, Hu et al. 2021), scaled by rank or by its root
//! (rsLoRA, Kalajdzievski 2023), their rows' lengths learnt apart where that is wished (DoRA, Liu
//! et al. 2024); or factors on what a map gives or is given ((IA)³, Liu et al. 2022).
//!
//! Decides what a linear map with an adapter computes, what it begins with, and what it is when
//! both have become one. Names are peft's, and so is every formula. Which maps have an adapter,
//! whoever builds the model says; what trains, its parts.

use crate::fill;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use tch::{Kind, TchError, Tensor};

/// What the tensors of an adapter are called, below the name of their linear map.
pub(crate) const A: &str = "lora_A.weight";
pub(crate) const B: &str = "lora_B.weight";
pub(crate) const MAGNITUDE: &str = "lora_magnitude_vector";
pub(crate) const FACTORS: &str = "ia3_l";

/// Whether a tensor is called as those of adapters are.
pub fn is_of_adapter(name: &str) -> bool {
    name.split('.').any(|it| it.starts_with("lora_") || it == FACTORS)
}

/// The same for all linear maps that have one.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// What stands beside a linear map.
    pub form: Form,
    /// Linear maps of the body, by the names of [`crate::Model::linears`].
    pub targets: BTreeSet<String>,
    /// Modules that train and are kept whole, or the last parts of their names; all else of the
    /// body stays as it is.
    pub modules_to_save: BTreeSet<String>,
    /// All biases of the body train too, by peft's rule: whatever has that word in its name.
    pub biases: bool,
}

/// What kind of adapter it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// Two factors of a matrix (LoRA).
    LowRank(Ranks),
    /// (IA)³: a number for each output of a map, or for each input of those that are of a
    /// feed-forward network.
    Factors {
        /// Those of the targets whose inputs have the numbers.
        feedforward: BTreeSet<String>,
    },
}

/// Numbers of a low-rank adapter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranks {
    /// Rows of the one factor and columns of the other.
    pub r: i64,
    /// What the product of the factors is multiplied by, over [`Ranks::r`] or its root.
    pub alpha: f64,
    /// Probability for what the adapter is given.
    pub dropout: f64,
    /// `alpha` is taken over the root of `r`.
    pub rslora: bool,
    /// The lengths of the rows of the sum of both weights are learnt apart.
    pub dora: bool,
}

impl Ranks {
    fn scale(&self) -> f64 {
        let rank = self.r as f64;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }
}

impl Adapter {
    /// Whether a tensor stands in one of the modules that are kept whole.
    pub fn saves(&self, tensor: &str) -> bool {
        self.saved_modules(tensor).next().is_some()
    }

    /// The modules that are kept whole and that a tensor stands in, by their whole names, the
    /// largest first.
    pub fn saved_modules<'a>(&'a self, tensor: &'a str) -> impl Iterator<Item = &'a str> {
        let ends = tensor.match_indices('.').map(move |it| &tensor[..it.0]);
        let is_named = move |path: &str| {
            let before = |module: &String| path.strip_suffix(module.as_str());
            let mut found = self.modules_to_save.iter().filter_map(before);
            found.any(|before| before.is_empty() || before.ends_with('.'))
        };
        ends.filter(move |it| is_named(it))
    }

    /// Whether a tensor of the body trains beside it.
    pub fn trains(&self, tensor: &str) -> bool {
        self.biases && tensor.contains("bias") || self.saves(tensor)
    }
}

/// What all adapters of a model do now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Control(Arc<Mutex<State>>);

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Of the pass that runs now: none where nothing trains.
    draw: Option<Draw>,
    /// They change nothing.
    off: bool,
}

/// What noise is a function of, besides the place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    pub seed: u64,
    pub stream: u64,
}

impl Control {
    pub(crate) fn set(&self, draw: Option<Draw>) -> Result<(), TchError> {
        lock(&self.0)?.draw = draw;
        Ok(())
    }

    pub(crate) fn switch(&self, off: bool) -> Result<(), TchError> {
        lock(&self.0)?.off = off;
        Ok(())
    }
}

/// Where a linear map keeps its adapter; copies are the same place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot(Arc<Mutex<Option<Fitted>>>);

impl Slot {
    pub(crate) fn get(&self) -> Result<Option<Fitted>, TchError> {
        Ok(lock(&self.0)?.as_ref().map(Fitted::shallow_clone))
    }

    pub(crate) fn set(&self, adapter: Option<Fitted>) -> Result<(), TchError> {
        *lock(&self.0)? = adapter;
        Ok(())
    }

    /// Of the `n` outputs from `start` on.
    pub(crate) fn narrow(&self, start: i64, n: i64) -> Result<Slot, TchError> {
        let narrowed = self.get()?.map(|it| it.narrow(start, n)).transpose()?;
        Ok(Slot(Arc::new(Mutex::new(narrowed))))
    }
}

fn lock<T>(cell: &Mutex<T>) -> Result<MutexGuard<'_, T>, TchError> {
    cell.lock().map_err(|_| TchError::Torch("an adapter of the model panicked before".into()))
}

/// The adapter of one linear map.
#[derive(Debug)]
pub(crate) enum Fitted {
    LowRank(LowRank),
    Factors(Factors),
}

impl Fitted {
    /// One that changes nothing, for the linear map called `name`.
    pub(crate) fn new(
        of: &Adapter,
        name: &str,
        weight: &Tensor,
        control: &Control,
        seed: u64,
    ) -> Result<Fitted, TchError> {
        match &of.form {
            Form::LowRank(ranks) => {
                LowRank::new(*ranks, name, weight, control, seed).map(Fitted::LowRank)
            }
            Form::Factors { feedforward } => {
                Factors::new(weight, control, feedforward.contains(name)).map(Fitted::Factors)
            }
        }
    }

    /// With the last parts of their names.
    pub(crate) fn tensors(&self) -> Vec<(&'static str, Tensor)> {
        match self {
            Fitted::LowRank(it) => it.tensors(),
            Fitted::Factors(it) => vec![(FACTORS, it.each.shallow_clone())],
        }
    }

    /// (any, inputs) -> (any, outputs), by this map and its adapter.
    pub(crate) fn forward(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        match self {
            Fitted::LowRank(it) => it.forward(xs, weight, bias),
            Fitted::Factors(it) => it.forward(xs, weight, bias),
        }
    }

    /// Makes `weight`, (outputs, inputs), and `bias` do by themselves what they do with it.
    pub(crate) fn merge_into(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<(), TchError> {
        let merged = match self {
            Fitted::LowRank(it) => it.merged(weight)?,
            Fitted::Factors(it) => it.merged(weight)?,
        };
        weight.shallow_clone().f_copy_(&merged)?;
        match (self, bias) {
            (Fitted::Factors(it), Some(bias)) if !it.of_inputs => {
                bias.shallow_clone().f_copy_(&it.times(bias)?)
            }
            _ => Ok(()),
        }
    }

    fn narrow(self, start: i64, n: i64) -> Result<Fitted, TchError> {
        match self {
            Fitted::LowRank(it) => it.narrow(start, n).map(Fitted::LowRank),
            Fitted::Factors(it) if it.of_inputs => Ok(Fitted::Factors(it)),
            Fitted::Factors(it) => {
                Ok(Fitted::Factors(Factors { each: it.each.f_narrow(0, start, n)?, ..it }))
            }
        }
    }

    fn shallow_clone(&self) -> Fitted {
        match self {
            Fitted::LowRank(it) => Fitted::LowRank(it.shallow_clone()),
            Fitted::Factors(it) => Fitted::Factors(Factors {
                each: it.each.shallow_clone(),
                control: it.control.clone(),
                ..*it
            }),
        }
    }
}

/// A factor on each output of a linear map, or on each input.
#[derive(Debug)]
pub(crate) struct Factors {
    /// (outputs, 1), or (1, inputs), as peft keeps them.
    each: Tensor,
    of_inputs: bool,
    control: Control,
}

impl Factors {
    fn new(weight: &Tensor, control: &Control, of_inputs: bool) -> Result<Factors, TchError> {
        let (outputs, inputs) = weight.size2()?;
        let shape = if of_inputs { [1, inputs] } else { [outputs, 1] };
        let each = Tensor::f_ones(shape, (weight.kind(), weight.device()))?;
        Ok(Factors { each, of_inputs, control: control.clone() })
    }

    /// (any, inputs) or (any, outputs) -> the same
    fn times(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        xs.f_mul(&self.each.f_flatten(0, -1)?)
    }

    fn forward(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        if lock(&self.control.0)?.off {
            linear(xs, weight, bias)
        } else if self.of_inputs {
            linear(&self.times(xs)?, weight, bias)
        } else {
            self.times(&linear(xs, weight, bias)?)
        }
    }

    fn merged(&self, weight: &Tensor) -> Result<Tensor, TchError> {
        weight.f_mul(&self.each)
    }
}

/// Two factors of what is added to one linear map.
#[derive(Debug)]
pub(crate) struct LowRank {
    /// (r, inputs)
    a: Tensor,
    /// (outputs, r)
    b: Tensor,
    /// (outputs): of DoRA.
    magnitude: Option<Tensor>,
    scale: f64,
    dropout: f64,
    /// Tells its noise from others'.
    place: u64,
    control: Control,
}

impl LowRank {
    fn new(
        of: Ranks,
        name: &str,
        weight: &Tensor,
        control: &Control,
        seed: u64,
    ) -> Result<LowRank, TchError> {
        let (outputs, inputs) = weight.size2()?;
        let kind = (weight.kind(), weight.device());
        // torch's kaiming_uniform_ with a = sqrt(5).
        let bound = 1.0 / (inputs as f64).sqrt();
        let a = fill::uniform(seed, &format!("{name}.{A}"), &[of.r, inputs], bound)?;
        let magnitude = of.dora.then(|| tch::no_grad(|| lengths(weight))).transpose()?;
        Ok(LowRank {
            a: a.f_to_kind(kind.0)?.f_to(kind.1)?,
            b: Tensor::f_zeros([outputs, of.r], kind)?,
            magnitude,
            scale: of.scale(),
            dropout: of.dropout,
            place: fill::stream(0, name),
            control: control.clone(),
        })
    }

    fn tensors(&self) -> Vec<(&'static str, Tensor)> {
        let magnitude = self.magnitude.iter().map(|it| (MAGNITUDE, it.shallow_clone()));
        [(A, self.a.shallow_clone()), (B, self.b.shallow_clone())]
            .into_iter()
            .chain(magnitude)
            .collect()
    }

    fn forward(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let own = linear(xs, weight, bias)?;
        let State { draw, off } = *lock(&self.control.0)?;
        if off {
            return Ok(own);
        }
        let draw = draw.filter(|_| 0.0 < self.dropout);
        let dropped = match draw {
            Some(Draw { seed, stream }) => {
                let seed = seed.wrapping_add(self.place);
                finetuned_libtorch::f_dropout(xs, self.dropout, seed, stream).map_err(torch)?
            }
            None => xs.shallow_clone(),
        };
        let change = linear(&linear(&dropped, &self.a, None)?, &self.b, None)?;
        let change = change.f_mul_scalar(self.scale)?;
        let Some(magnitude) = &self.magnitude else { return own.f_add(&change) };
        // The lengths count as constants, as in the paper (4.3).
        let now = tch::no_grad(|| lengths(&weight.f_add(&self.product()?)?))?;
        let factor = magnitude.f_div(&now)?;
        let base = match (draw, bias) {
            (Some(_), _) => linear(&dropped, weight, None)?,
            (None, Some(bias)) => own.f_sub(bias)?,
            (None, None) => own.shallow_clone(),
        };
        own.f_add(&base.f_mul(&factor.f_sub_scalar(1.0)?)?)?.f_add(&change.f_mul(&factor)?)
    }

    fn merged(&self, weight: &Tensor) -> Result<Tensor, TchError> {
        let exact = |it: &Tensor| it.f_to_kind(Kind::Double);
        let product = exact(&self.b)?.f_matmul(&exact(&self.a)?)?.f_mul_scalar(self.scale)?;
        let sum = exact(weight)?.f_add(&product)?;
        let whole = match &self.magnitude {
            None => sum,
            Some(magnitude) => {
                sum.f_mul(&exact(magnitude)?.f_div(&lengths(&sum)?)?.f_unsqueeze(1)?)?
            }
        };
        whole.f_to_kind(weight.kind())
    }

    fn product(&self) -> Result<Tensor, TchError> {
        self.b.f_matmul(&self.a)?.f_mul_scalar(self.scale)
    }

    fn narrow(self, start: i64, n: i64) -> Result<LowRank, TchError> {
        let narrow = |it: &Tensor| it.f_narrow(0, start, n);
        let magnitude = self.magnitude.as_ref().map(narrow).transpose()?;
        Ok(LowRank { b: narrow(&self.b)?, magnitude, ..self })
    }

    fn shallow_clone(&self) -> LowRank {
        LowRank {
            a: self.a.shallow_clone(),
            b: self.b.shallow_clone(),
            magnitude: self.magnitude.as_ref().map(Tensor::shallow_clone),
            control: self.control.clone(),
            ..*self
        }
    }
}

/// (outputs): of the rows of a weight.
fn lengths(weight: &Tensor) -> Result<Tensor, TchError> {
    weight.f_norm_scalaropt_dim(2.0, [1], false)
}

fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, TchError> {
    finetuned_libtorch::f_linear(xs, weight, bias).map_err(torch)
}

fn torch(err: finetuned_libtorch::Error) -> TchError {
    TchError::Torch(err.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_known_by_the_last_parts_of_their_names() {
        let adapter = |module: &str| Adapter {
            form: Form::Factors { feedforward: BTreeSet::new() },
            targets: BTreeSet::new(),
            modules_to_save: [module.to_string()].into(),
            biases: false,
        };
        let tensor = "bert.pooler.dense.weight";
        for module in ["pooler", "dense", "pooler.dense", "bert", "bert.pooler.dense"] {
            assert!(adapter(module).saves(tensor), "{module}");
        }
        let mut both = adapter("pooler");
        both.modules_to_save.insert("dense".into());
        assert_eq!(
            Vec::from_iter(both.saved_modules(tensor)),
            ["bert.pooler", "bert.pooler.dense"]
        );
        for module in ["weight", "ooler", "pool", "dense.weight", "bert.dense", ""] {
            assert!(!adapter(module).saves(tensor), "{module}");
        }
    }

    #[test]
    fn alpha_is_taken_over_the_rank_or_its_root() {
        let ranks = |rslora| Ranks { r: 16, alpha: 32.0, dropout: 0.0, rslora, dora: false };
        assert_eq!([false, true].map(|it| ranks(it).scale()), [2.0, 8.0]);
    }
}
