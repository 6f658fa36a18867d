//! A head from a plugin.

use super::border::{Function, Handle, Subject, lend as lend_text, to_slice};
use super::problem;
use super::tensors::{
    device_number, fault, kind_fault, lend, lend_or_null, number_fault, share, take,
};
use finetuned_job::outcome::Failure;
use finetuned_job::task::Answer;
use finetuned_models::Pass;
use finetuned_sdk::abi::{self, Bytes, CTensor};
use std::ffi::c_void;
use tch::{Device, Tensor};

/// What a head is built for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadShape {
    pub device: Device,
    /// Numbers in one vector of features.
    pub width: i64,
    /// Classes, or numbers.
    pub outputs: i64,
    pub seed: u64,
    pub problem: Answer,
}

/// What a forward pass is for: see `abi::Pass`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PassNumbers {
    pub train: bool,
    pub seed: u64,
    /// From 0.
    pub step: u64,
    pub micro: u64,
}

impl PassNumbers {
    pub(crate) const EVALUATION: PassNumbers =
        PassNumbers { train: false, seed: 0, step: 0, micro: 0 };

    pub(crate) fn of(pass: &Pass) -> PassNumbers {
        PassNumbers { train: pass.train, seed: pass.seed, step: pass.step, micro: pass.micro }
    }

    pub(super) fn to_abi(self) -> abi::Pass {
        abi::Pass {
            size: size_of::<abi::Pass>() as u32,
            train: u32::from(self.train),
            seed: self.seed,
            step: self.step,
            micro: self.micro,
        }
    }
}

/// What a head wants of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadFeatures {
    /// (batch, width)
    Pooled,
    /// (batch, seq, width), with a mask (batch, seq)
    Sequence,
}

/// A named tensor of a head: the very one that the head computes with.
pub(crate) struct Parameter {
    /// Below the head's own prefix.
    pub name: String,
    pub tensor: Tensor,
    /// False for a buffer: saved and restored, never trained.
    pub trainable: bool,
}

/// One head. It is built by [`Plugins::head`](super::Plugins::head), its parameters are asked for
/// once and then trained, saved and restored in place (`tch::no_grad(||
/// it.tensor.f_copy_(saved))`):
///
/// ```ignore
/// let head = plugins.head("arcface", "{\"margin\": 0.5}", HeadShape { device, width, outputs,
/// seed, problem })?;
/// for it in head.parameters()? { register(format!("head.{}", it.name), it.tensor, it.trainable); }
/// let logits = head.forward(&features, None, Some(&labels), PassNumbers { train: true, seed,
/// step, micro })?;
/// ```
pub(crate) struct HeadInstance {
    handle: Handle,
    functions: abi::HeadFunctions,
    shape: HeadShape,
    naming: Function,
    passing: Function,
}

impl HeadInstance {
    pub(super) fn create(
        subject: Subject,
        functions: abi::HeadFunctions,
        settings: &str,
        shape: HeadShape,
    ) -> Result<HeadInstance, Failure> {
        let raw_shape = abi::HeadShape {
            size: size_of::<abi::HeadShape>() as u32,
            device: device_number(shape.device),
            width: shape.width,
            outputs: shape.outputs,
            seed: shape.seed,
            problem: problem::number(shape.problem),
        };
        let (naming, passing) = (subject.function("parameters"), subject.function("forward"));
        if functions.input != abi::INPUT_POOLED && functions.input != abi::INPUT_SEQUENCE {
            return Err(subject.bad_answer(
                subject.function("its table"),
                format!("the unknown kind of input {}", functions.input),
            ));
        }
        let (create, destroy) = (
            functions.create.expect("looked at when opened"),
            functions.destroy.expect("looked at when opened"),
        );
        // SAFETY: the arguments live until it returns.
        let handle = Handle::create(subject, destroy, |instance, error| unsafe {
            create(lend_text(settings), &raw const raw_shape, instance, error)
        })?;
        Ok(HeadInstance { handle, functions, shape, naming, passing })
    }

    pub(crate) fn features(&self) -> HeadFeatures {
        if self.functions.input == abi::INPUT_SEQUENCE {
            HeadFeatures::Sequence
        } else {
            HeadFeatures::Pooled
        }
    }

    pub(super) fn shape(&self) -> HeadShape {
        self.shape
    }

    /// Every parameter and buffer: fp32, finite, leaves, on the head's device, names unique.
    pub(crate) fn parameters(&self) -> Result<Vec<Parameter>, Failure> {
        let parameters = self.functions.parameters.expect("looked at when opened");
        let mut found: Vec<Result<Parameter, String>> = vec![];
        let sink = abi::ParameterSink { context: (&raw mut found).cast(), put: Some(put) };
        // SAFETY: sink and instance live until it returns.
        self.handle.call(self.naming, |instance, error| unsafe {
            parameters(instance, &raw const sink, error)
        })?;
        let mut named: Vec<Parameter> = vec![];
        for it in found {
            let it = it.map_err(|what| self.handle.bad_answer(self.naming, what))?;
            let fault = self.parameter_fault(&it).or_else(|| {
                named
                    .iter()
                    .any(|other| other.name == it.name)
                    .then(|| "the name of another one".into())
            });
            if let Some(what) = fault {
                return Err(self
                    .handle
                    .bad_answer(self.naming, format!("the parameter `{}`: {what}", it.name)));
            }
            named.push(it);
        }
        Ok(named)
    }

    fn parameter_fault(&self, it: &Parameter) -> Option<String> {
        let part = |it: &str| {
            !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_')
        };
        if !it.name.split('.').all(part) {
            return Some("a name that is not made of letters, digits and _ between dots".into());
        }
        kind_fault(&it.tensor, self.shape.device).or_else(|| number_fault(&it.tensor)).or_else(
            || (!it.tensor.is_leaf()).then(|| "a tensor that was computed, not a leaf".into()),
        )
    }

    /// Logits, or numbers in the model's own units, fp32 (batch, outputs), part of the gradient
    /// graph. `features`: fp32 (batch, width), or (batch, seq, width) with `mask` int64 (batch,
    /// seq); `labels`: what is true, as in [`LossInstance::forward`](super::LossInstance::forward),
    /// only while training.
    pub(crate) fn forward(
        &self,
        features: &Tensor,
        mask: Option<&Tensor>,
        labels: Option<&Tensor>,
        pass: PassNumbers,
    ) -> Result<Tensor, Failure> {
        let forward = self.functions.forward.expect("looked at when opened");
        let input = abi::HeadInput {
            size: size_of::<abi::HeadInput>() as u32,
            reserved: 0,
            features: lend(features),
            mask: lend_or_null(mask),
            labels: lend_or_null(labels),
        };
        let pass = pass.to_abi();
        let mut logits = std::ptr::null_mut();
        // SAFETY: the arguments live until it returns.
        self.handle.call(self.passing, |instance, error| unsafe {
            forward(instance, &raw const input, &raw const pass, &raw mut logits, error)
        })?;
        // SAFETY: with OK, the plugin has given a new tensor away.
        let logits =
            unsafe { take(logits) }.map_err(|what| self.handle.bad_answer(self.passing, what))?;
        let batch = features.size().first().copied().unwrap_or(0);
        match fault(&logits, &[batch, self.shape.outputs], self.shape.device) {
            Some(what) => Err(self.handle.bad_answer(self.passing, what)),
            None => Ok(logits),
        }
    }
}

/// Takes what a head names.
unsafe extern "C" fn put(context: *mut c_void, name: Bytes, tensor: *mut CTensor, trainable: u32) {
    /// More are a loop without end.
    const PARAMETERS_MAX: usize = 4096;
    // SAFETY: the context is the list of the call that this sink was made for.
    let found = unsafe { &mut *context.cast::<Vec<Result<Parameter, String>>>() };
    if PARAMETERS_MAX <= found.len() {
        return;
    }
    // SAFETY: the plugin's name and tensor are valid until we return.
    let (name, tensor) = unsafe { (to_slice(name), share(tensor)) };
    let name = std::str::from_utf8(name)
        .map(str::to_string)
        .map_err(|_| "a parameter whose name is no UTF-8".to_string());
    found.push(name.and_then(|name| {
        let tensor = tensor.map_err(|what| format!("the parameter `{name}`: {what}"))?;
        Ok(Parameter { name, tensor, trainable: trainable != 0 })
    }));
}
