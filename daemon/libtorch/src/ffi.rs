//! The functions of `finetuned.cpp`, and how their messages become errors.

use crate::Error;
use std::ffi::{CStr, c_char};
use tch::Tensor;
use torch_sys::C_tensor;

unsafe extern "C" {
    fn finetuned_free(message: *mut c_char);
    pub(crate) fn finetuned_dropout(
        out: *mut *mut C_tensor,
        x: *const C_tensor,
        residual: *const C_tensor,
        p: f64,
        seed: u64,
        stream: u64,
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

/// Calls a function of `finetuned.cpp` that hands out one new tensor.
///
/// # Safety
/// `call` must either return a message, or null after storing a tensor that the caller owns.
pub(crate) unsafe fn tensor(call: impl FnOnce(*mut *mut C_tensor) -> *mut c_char) -> Result<Tensor, Error> {
    let mut out = std::ptr::null_mut();
    let message = call(&raw mut out);
    // SAFETY: `message` comes from the call and is looked at only here.
    unsafe { check(message)? };
    // SAFETY: without a message there is a tensor, and it is ours.
    Ok(unsafe { Tensor::from_ptr(out) })
}
