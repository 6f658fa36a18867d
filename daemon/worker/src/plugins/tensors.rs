//! Tensors across the border: lent as pointers, taken back only after a look at what they are.

use finetuned_sdk::abi::CTensor;
use tch::{Device, Kind, Tensor};

/// Lent: the plugin may read it, or take a shallow clone.
pub(super) fn lend(tensor: &Tensor) -> *mut CTensor {
    tensor.as_ptr().cast_mut().cast()
}

pub(super) fn lend_or_null(tensor: Option<&Tensor>) -> *mut CTensor {
    tensor.map_or(std::ptr::null_mut(), lend)
}

/// -1 for the CPU, else the number of the CUDA device.
pub(super) fn device_number(device: Device) -> i32 {
    match device {
        Device::Cuda(number) => number as i32,
        _ => -1,
    }
}

/// A new tensor that a plugin gave away.
///
/// # Safety
/// A non-null `raw` must be an owned tensor of libtorch.
pub(super) unsafe fn take(raw: *mut CTensor) -> Result<Tensor, String> {
    if raw.is_null() {
        return Err("no tensor".into());
    }
    // SAFETY: as the caller promises; it is ours now, and freed when it is dropped.
    Ok(unsafe { Tensor::from_ptr(raw.cast()) })
}

/// Another handle on a tensor that stays the plugin's.
///
/// # Safety
/// A non-null `raw` must be a tensor of libtorch.
pub(super) unsafe fn share(raw: *mut CTensor) -> Result<Tensor, String> {
    if raw.is_null() {
        return Err("no tensor".into());
    }
    // SAFETY: as the caller promises.
    Ok(unsafe { Tensor::clone_from_ptr(raw.cast()) })
}

/// What is wrong with a tensor that shall be fp32 of this shape on this device, and finite.
pub(super) fn fault(tensor: &Tensor, shape: &[i64], device: Device) -> Option<String> {
    kind_fault(tensor, device).or_else(|| {
        let found = tensor.size();
        if found != shape {
            return Some(format!("a tensor of shape {found:?} instead of {shape:?}"));
        }
        number_fault(tensor)
    })
}

pub(super) fn kind_fault(tensor: &Tensor, device: Device) -> Option<String> {
    if !tensor.defined() {
        return Some("an undefined tensor".into());
    }
    if tensor.device() != device {
        return Some(format!("a tensor on {:?} instead of {device:?}", tensor.device()));
    }
    match tensor.f_kind() {
        Ok(Kind::Float) => None,
        Ok(other) => Some(format!("a tensor of {other:?} instead of Float (fp32)")),
        Err(_) => Some("a tensor of a type that tch does not know".into()),
    }
}

/// NaN or infinite numbers of an fp32 tensor. On the CPU only, where the numbers are at hand: on a
/// GPU each look would stop the queue, and a loss that is no number is found by the trainer.
pub(super) fn number_fault(tensor: &Tensor) -> Option<String> {
    if tensor.device() != Device::Cpu {
        return None;
    }
    let flat = if tensor.is_contiguous() { None } else { tensor.detach().f_contiguous().ok() };
    let tensor = flat.as_ref().unwrap_or(tensor);
    let start: *const f32 = tensor.data_ptr().cast();
    if start.is_null() {
        return None; // no elements
    }
    // SAFETY: a contiguous fp32 tensor on the CPU has its numbers one after the other, and lives
    // until we return.
    let numbers = unsafe { std::slice::from_raw_parts(start, tensor.numel()) };
    // Exponent bits all set: NaN or infinite. Summed without a branch, so that the compiler uses
    // wide registers.
    const EXPONENT: u32 = 0x7f80_0000;
    let odd =
        numbers.iter().fold(0u32, |odd, it| odd + u32::from(it.to_bits() & EXPONENT == EXPONENT));
    (odd != 0).then(|| format!("{odd} of {} numbers that are NaN or infinite", numbers.len()))
}
