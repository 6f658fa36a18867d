//! Heads: from the last hidden states to the outputs. Tensor tier.

use super::{Bytes, CTensor, Instance, Sink, Status};
use std::ffi::c_void;

/// [`HeadFunctions::input`]: (batch, width), the one vector that the model's family gives for each
/// example.
pub const INPUT_POOLED: u32 = 0;
/// [`HeadFunctions::input`]: (batch, seq, width), a vector for each token or patch, with a mask.
pub const INPUT_SEQUENCE: u32 = 1;

/// What a head is built for.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct HeadShape {
    /// `sizeof(HeadShape)`.
    pub size: u32,
    /// Where the parameters must lie: -1 for the CPU, else the number of the CUDA device.
    pub device: i32,
    /// Numbers in one vector of features.
    pub width: i64,
    /// Numbers in one row of outputs: the classes, or the numbers that are learnt.
    pub outputs: i64,
    /// The run's. The host also seeds torch's generator of random numbers before `create`.
    pub seed: u64,
    /// `PROBLEM_...`: one of those that `problems` claims. Appended; 0:
    /// [`PROBLEM_SINGLE_LABEL`](super::PROBLEM_SINGLE_LABEL).
    pub problem: u64,
}

/// What a forward pass is for. Whoever draws noise draws it as a function of these numbers, or from
/// torch's generator, whose state is part of every checkpoint: a killed run goes on bit for bit.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// `sizeof(Pass)`.
    pub size: u32,
    /// 1 while training, 0 in evaluation, where gradients are off and nothing may be random.
    pub train: u32,
    /// Of the run.
    pub seed: u64,
    /// Update, from 0.
    pub step: u64,
    /// Forward pass within the update, from 0.
    pub micro: u64,
}

/// Input of a head. The tensors are the host's, fp32 or int64 on the head's device; the plugin must
/// not change their values, and takes a shallow clone of one that it keeps.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct HeadInput {
    /// `sizeof(HeadInput)`.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// fp32: (batch, width) or (batch, seq, width), as [`HeadFunctions::input`] says. Never null.
    pub features: *mut CTensor,
    /// int64 (batch, seq): 1 where there is a token, 0 where the row is filled up; each row has a
    /// 1. Null for pooled input.
    pub mask: *mut CTensor,
    /// What is true, as in [`LossInput::labels`](super::LossInput::labels). Null in evaluation: a
    /// head may use it to train, never to answer.
    pub labels: *mut CTensor,
}

/// Receives the parameters of a head.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ParameterSink {
    /// Handed back with each call; the host's.
    pub context: *mut c_void,
    /// `name`: dotted, as in a state dict ("weight", "norm.bias"), unique; the host puts the head's
    /// own prefix before it. `tensor`: fp32, on the head's device, a leaf. The host takes a shallow
    /// clone, so it is the very tensor that the head computes with, which the host then fills (from
    /// a checkpoint), trains and saves. `trainable`: 0 for a buffer, which is saved and restored
    /// but never trained by the optimizer.
    pub put: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            name: Bytes,
            tensor: *mut CTensor,
            trainable: u32,
        ),
    >,
}

/// Functions of a head. No function may be null.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct HeadFunctions {
    /// `sizeof(HeadFunctions)`.
    pub size: u32,
    /// `INPUT_...`
    pub input: u32,
    /// Builds a head with new parameters. `settings` is a JSON object: what the recipe says, `{}`
    /// for nothing. An unknown key is `INVALID`. `*instance` is new and the host's.
    pub create: Option<
        unsafe extern "C" fn(
            settings: Bytes,
            shape: *const HeadShape,
            instance: *mut *mut Instance,
            error: *const Sink,
        ) -> Status,
    >,
    /// Ends an instance of `create`, also a broken one.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut Instance)>,
    /// Names every parameter and buffer, in the same order each time.
    pub parameters: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            sink: *const ParameterSink,
            error: *const Sink,
        ) -> Status,
    >,
    /// Features -> fp32 (batch, outputs), the logits, or numbers in the model's own units.
    /// `*logits` is a new tensor and the host's, which frees it as tch does (`at_free`). It is part
    /// of the gradient graph of the features and the parameters.
    pub forward: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            input: *const HeadInput,
            pass: *const Pass,
            logits: *mut *mut CTensor,
            error: *const Sink,
        ) -> Status,
    >,
    /// `PROBLEM_...`, or-ed: what it can be created for. Appended; 0:
    /// [`PROBLEM_SINGLE_LABEL`](super::PROBLEM_SINGLE_LABEL).
    pub problems: u64,
}
