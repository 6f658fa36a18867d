//! Losses: what training makes small. Tensor tier.

use super::{Bytes, CTensor, Instance, Pass, Sink, Status};

/// What a loss is built for.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LossShape {
    /// `sizeof(LossShape)`.
    pub size: u32,
    /// -1 for the CPU, else the number of the CUDA device.
    pub device: i32,
    /// Numbers in one row of logits: the classes, or the numbers that are learnt.
    pub outputs: i64,
    /// `PROBLEM_...`: one of those that `problems` claims. Appended; 0:
    /// [`PROBLEM_SINGLE_LABEL`](super::PROBLEM_SINGLE_LABEL).
    pub problem: u64,
}

/// Input of a loss. The tensors are the host's; the plugin must not change their values.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LossInput {
    /// `sizeof(LossInput)`.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// fp32 (batch, outputs): what the head gave. Never null.
    pub logits: *mut CTensor,
    /// What is true, by the problem: the classes, int64 (batch); for several labels fp32 (batch,
    /// outputs), 1 where a class is true and 0 where it is not; for numbers fp32 (batch, outputs),
    /// in the model's own units. Never null.
    pub labels: *mut CTensor,
    /// fp32 (batch, width): what the head was given. Null if the head takes sequences.
    pub features: *mut CTensor,
}

/// Functions of a loss. No function may be null.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LossFunctions {
    /// `sizeof(LossFunctions)`.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// `settings` and `*instance` as [`HeadFunctions::create`](super::HeadFunctions::create).
    pub create: Option<
        unsafe extern "C" fn(
            settings: Bytes,
            shape: *const LossShape,
            instance: *mut *mut Instance,
            error: *const Sink,
        ) -> Status,
    >,
    /// Ends an instance of `create`, also a broken one.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut Instance)>,
    /// -> fp32 (batch): the loss of every example, finite. The host weights the examples, adds them
    /// up and divides, so that the gradients of parts of a batch add up to those of the whole.
    /// `*losses` is a new tensor and the host's, part of the gradient graph of the logits and the
    /// features.
    pub forward: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            input: *const LossInput,
            pass: *const Pass,
            losses: *mut *mut CTensor,
            error: *const Sink,
        ) -> Status,
    >,
    /// `PROBLEM_...`, or-ed: what it can be created for. Appended; 0:
    /// [`PROBLEM_SINGLE_LABEL`](super::PROBLEM_SINGLE_LABEL).
    pub problems: u64,
}
