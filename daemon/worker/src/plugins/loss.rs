//! A loss from a plugin.

use super::PassNumbers;
use super::border::{Function, Handle, Subject, lend as lend_text};
use super::problem;
use super::tensors::{device_number, fault, lend, lend_or_null, take};
use finetuned_job::outcome::Failure;
use finetuned_job::task::Answer;
use finetuned_sdk::abi;
use tch::{Device, Tensor};

/// What a loss is built for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LossShape {
    pub device: Device,
    /// Classes, or numbers.
    pub outputs: i64,
    pub problem: Answer,
}

/// One loss, built by [`Plugins::loss`](super::Plugins::loss):
///
/// ```ignore
/// let loss = plugins.loss("focal", "{\"gamma\": 2.0}", LossShape { device, outputs, problem })?;
/// let losses = loss.forward(&logits, &labels, Some(&features), pass)?; // (batch): weight,
/// add up, divide, backward
/// ```
pub(crate) struct LossInstance {
    handle: Handle,
    functions: abi::LossFunctions,
    shape: LossShape,
    passing: Function,
}

impl LossInstance {
    pub(super) fn create(
        subject: Subject,
        functions: abi::LossFunctions,
        settings: &str,
        shape: LossShape,
    ) -> Result<LossInstance, Failure> {
        let raw_shape = abi::LossShape {
            size: size_of::<abi::LossShape>() as u32,
            device: device_number(shape.device),
            outputs: shape.outputs,
            problem: problem::number(shape.problem),
        };
        let passing = subject.function("forward");
        let (create, destroy) = (
            functions.create.expect("looked at when opened"),
            functions.destroy.expect("looked at when opened"),
        );
        // SAFETY: the arguments live until it returns.
        let handle = Handle::create(subject, destroy, |instance, error| unsafe {
            create(lend_text(settings), &raw const raw_shape, instance, error)
        })?;
        Ok(LossInstance { handle, functions, shape, passing })
    }

    pub(super) fn shape(&self) -> LossShape {
        self.shape
    }

    /// The loss of every example, fp32 (batch), part of the gradient graph. `logits`: fp32 (batch,
    /// outputs); `labels`: int64 (batch), or, for several labels and for numbers in the model's own
    /// units, fp32 (batch, outputs); `features`: what the head was given, (batch, width), if that
    /// is pooled.
    pub(crate) fn forward(
        &self,
        logits: &Tensor,
        labels: &Tensor,
        features: Option<&Tensor>,
        pass: PassNumbers,
    ) -> Result<Tensor, Failure> {
        let forward = self.functions.forward.expect("looked at when opened");
        let input = abi::LossInput {
            size: size_of::<abi::LossInput>() as u32,
            reserved: 0,
            logits: lend(logits),
            labels: lend(labels),
            features: lend_or_null(features),
        };
        let pass = pass.to_abi();
        let mut losses = std::ptr::null_mut();
        // SAFETY: the arguments live until it returns.
        self.handle.call(self.passing, |instance, error| unsafe {
            forward(instance, &raw const input, &raw const pass, &raw mut losses, error)
        })?;
        // SAFETY: with OK, the plugin has given a new tensor away.
        let losses =
            unsafe { take(losses) }.map_err(|what| self.handle.bad_answer(self.passing, what))?;
        let batch = labels.size().first().copied().unwrap_or(0);
        match fault(&losses, &[batch], self.shape.device) {
            Some(what) => Err(self.handle.bad_answer(self.passing, what)),
            None => Ok(losses),
        }
    }
}
