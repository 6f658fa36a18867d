//! The functions of `finetuned.cpp` and `memory.cpp`, and how their messages become errors.

use crate::Error;
use std::ffi::{CStr, c_char, c_void};
use tch::Tensor;
use torch_sys::C_tensor;

unsafe extern "C" {
    fn finetuned_free(message: *mut c_char);
    fn finetuned_message(text: *const c_char, length: usize) -> *mut c_char;
    pub(crate) fn finetuned_checkpoint(
        out: *mut *mut C_tensor,
        x: *const C_tensor,
        closure: *mut c_void,
        run: unsafe extern "C" fn(
            *mut c_void,
            bool,
            *const C_tensor,
            *mut *mut C_tensor,
        ) -> *mut c_char,
        drop: unsafe extern "C" fn(*mut c_void),
    ) -> *mut c_char;
    pub(crate) fn finetuned_dropout(
        out: *mut *mut C_tensor,
        x: *const C_tensor,
        residual: *const C_tensor,
        p: f64,
        seed: u64,
        stream: u64,
    ) -> *mut c_char;
    pub(crate) fn finetuned_adam(
        decoupled: bool,
        parameters: *const *const C_tensor,
        exp_avgs: *const *const C_tensor,
        exp_avg_sqs: *const *const C_tensor,
        steps: *const *const C_tensor,
        n: usize,
        lr: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        weight_decay: f64,
    ) -> *mut c_char;
    pub(crate) fn finetuned_sgd(
        parameters: *const *const C_tensor,
        buffers: *const *const C_tensor,
        n: usize,
        lr: f64,
        momentum: f64,
        nesterov: bool,
        weight_decay: f64,
    ) -> *mut c_char;
    pub(crate) fn finetuned_clip(
        norm: *mut f64,
        parameters: *const *const C_tensor,
        n: usize,
        max: *const f64,
    ) -> *mut c_char;
    pub(crate) fn finetuned_zero_grad(parameters: *const *const C_tensor, n: usize) -> *mut c_char;
    pub(crate) fn finetuned_generator_state(out: *mut *mut C_tensor) -> *mut c_char;
    pub(crate) fn finetuned_set_generator_state(state: *const C_tensor) -> *mut c_char;
    pub(crate) fn finetuned_version() -> u64;
    pub(crate) fn finetuned_pool_memory();
    pub(crate) fn finetuned_memory_refused() -> bool;
    pub(crate) fn finetuned_flush_denormal(on: bool) -> bool;
    pub(crate) fn finetuned_round_factors(on: bool);
    pub(crate) fn finetuned_linear(
        out: *mut *mut C_tensor,
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
    ) -> *mut c_char;
}

/// Turns a message into an error.
///
/// # Safety
/// `message` must be what a function of `finetuned.cpp` returned, seen for the first time.
pub(crate) unsafe fn check(message: *mut c_char) -> Result<(), Error> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: by the contract above it is a C string that nobody else has.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    // SAFETY: as above; it is not used afterwards.
    unsafe { finetuned_free(message) };
    Err(Error::Torch(text))
}

/// An error on its way to the other side, which takes it.
pub(crate) fn message(text: &str) -> *mut c_char {
    // SAFETY: the bytes are copied before the function returns.
    unsafe { finetuned_message(text.as_ptr().cast(), text.len()) }
}

/// Calls a function of `finetuned.cpp` that hands out one new tensor.
///
/// # Safety
/// `call` must either return a message, or null after storing a tensor that the caller owns.
pub(crate) unsafe fn tensor(
    call: impl FnOnce(*mut *mut C_tensor) -> *mut c_char,
) -> Result<Tensor, Error> {
    let mut out = std::ptr::null_mut();
    let message = call(&raw mut out);
    // SAFETY: `message` comes from the call and is looked at only here.
    unsafe { check(message)? };
    // SAFETY: without a message there is a tensor, and it is ours.
    Ok(unsafe { Tensor::from_ptr(out) })
}

/// Tensors as the C side takes a list of them; valid while the tensors live.
pub(crate) fn pointers<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<*const C_tensor> {
    tensors.into_iter().map(Tensor::as_ptr).collect()
}
