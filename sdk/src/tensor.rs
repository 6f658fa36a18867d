//! What heads and losses share: tensors over the border, the device, what is true, and what a pass
//! is for.

use crate::abi::{self, CTensor};
use crate::error::{Error, Result};
use crate::problem::Problem;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use tch::{Device, Tensor};

/// What a forward pass is for. Noise is drawn as a function of these numbers, or from torch's
/// generator, whose state is part of every checkpoint: so a run that was killed goes on bit for
/// bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// In evaluation nothing may be random.
    pub train: bool,
    /// The run's.
    pub seed: u64,
    /// Update, from 0.
    pub step: u64,
    /// Forward pass within the update, from 0.
    pub micro: u64,
}

impl From<&abi::Pass> for Pass {
    fn from(raw: &abi::Pass) -> Pass {
        Pass { train: raw.train != 0, seed: raw.seed, step: raw.step, micro: raw.micro }
    }
}

/// What is true of the examples of a batch.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a> {
    /// int64 (batch): the class of each.
    Classes(&'a Tensor),
    /// fp32 (batch, outputs): 1 where a class is true, 0 where it is not.
    Sets(&'a Tensor),
    /// fp32 (batch, outputs): numbers in the model's own units.
    Numbers(&'a Tensor),
}

impl<'a> Targets<'a> {
    pub(crate) fn of(problem: Problem, targets: &'a Tensor) -> Targets<'a> {
        match problem {
            Problem::SingleLabel => Targets::Classes(targets),
            Problem::MultiLabel => Targets::Sets(targets),
            Problem::Regression => Targets::Numbers(targets),
        }
    }
}

/// A tensor of the host, which is not freed here.
pub(crate) struct Borrowed(ManuallyDrop<Tensor>);

impl Deref for Borrowed {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}

/// # Safety
/// `ptr` is null, or a tensor of this process's libtorch that outlives what is returned.
pub(crate) unsafe fn maybe_borrow(ptr: *mut CTensor) -> Option<Borrowed> {
    // SAFETY: the caller's promise.
    (!ptr.is_null()).then(|| Borrowed(ManuallyDrop::new(unsafe { Tensor::from_ptr(ptr.cast()) })))
}

/// # Safety
/// As [`maybe_borrow`].
pub(crate) unsafe fn borrow(ptr: *mut CTensor) -> Result<Borrowed> {
    // SAFETY: the caller's promise.
    unsafe { maybe_borrow(ptr) }.ok_or_else(|| Error::failed("the host passed a null tensor"))
}

/// Gives a tensor to the host.
pub(crate) fn release(tensor: Tensor) -> *mut CTensor {
    ManuallyDrop::new(tensor).as_mut_ptr().cast()
}

pub(crate) fn device(number: i32) -> Device {
    usize::try_from(number).map_or(Device::Cpu, Device::Cuda)
}
