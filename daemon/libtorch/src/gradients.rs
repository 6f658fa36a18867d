//! Gradients between the backward pass and the optimizer: their norm, clipping, forgetting.

use crate::{Error, ffi};
use tch::Tensor;

/// The L2 norm over the gradients of all parameters that have one (0 if none has), before clipping.
/// Where it exceeds `max`, they are scaled by `max / (norm + 1e-6)`:
/// `torch.nn.utils.clip_grad_norm_`, to the bit.
///
/// # Errors Sparse gradients, and gradients in different kinds.
pub fn clip_grad_norm<'a>(
    parameters: impl IntoIterator<Item = &'a Tensor>,
    max: Option<f64>,
) -> Result<f64, Error> {
    let parameters = ffi::pointers(parameters);
    let mut norm = 0.0;
    let max = max.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the tensors are borrowed for longer than the call; `norm` and `max` live in this
    // frame.
    unsafe {
        ffi::check(ffi::finetuned_clip(&raw mut norm, parameters.as_ptr(), parameters.len(), max))?
    };
    Ok(norm)
}

/// Makes the gradients undefined: their memory is freed, and a parameter that the next backward
/// pass does not reach is skipped by the optimizer.
///
/// # Panics For an undefined tensor.
pub fn zero_grad<'a>(parameters: impl IntoIterator<Item = &'a Tensor>) {
    let parameters = ffi::pointers(parameters);
    // SAFETY: the tensors are borrowed for longer than the call.
    let done =
        unsafe { ffi::check(ffi::finetuned_zero_grad(parameters.as_ptr(), parameters.len())) };
    done.expect("zero_grad");
}
