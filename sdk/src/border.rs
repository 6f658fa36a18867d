//! Raw arguments of the host -> what safe Rust can hold, for as long as the call lasts.

use crate::abi::{Bytes, Sink};
use crate::error::{Error, Result};
use std::mem::MaybeUninit;

/// # Safety
/// A non-null `ptr` leads to `len` values that stay as they are during `'a`.
pub(crate) unsafe fn slice<'a, T>(ptr: *const T, len: usize) -> &'a [T] {
    if ptr.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(ptr, len) }
}

/// # Safety
/// As [`slice()`].
pub(crate) unsafe fn text<'a>(bytes: Bytes) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { slice(bytes.ptr, bytes.len) };
    std::str::from_utf8(bytes)
        .map_err(|err| Error::failed(format!("the host passed a text that is not UTF-8: {err}")))
}

/// # Safety
/// `ptr` is null, or leads to `n` of [`Bytes`], which are as for [`slice()`].
pub(crate) unsafe fn texts<'a>(ptr: *const Bytes, n: usize) -> Result<Vec<&'a str>> {
    // SAFETY: the caller's promise.
    unsafe { slice(ptr, n).iter().map(|&it| text(it)).collect() }
}

pub(crate) const fn bytes(text: &str) -> Bytes {
    Bytes { ptr: text.as_ptr(), len: text.len() }
}

/// # Safety
/// `sink` is null or the host's, valid now.
pub(crate) unsafe fn write(sink: *const Sink, message: &str) {
    // SAFETY: the caller's promise; the host's function keeps nothing of what it is passed.
    unsafe {
        if let Some(sink) = sink.as_ref()
            && let Some(write) = sink.write
        {
            write(sink.context, bytes(message));
        }
    }
}

/// A copy of a struct that begins with its size and may have grown since the host was built: zeros
/// where the host's ends.
///
/// # Safety `ptr` is null, or leads to such a struct, as long as it says; a `T` may be all zeros.
pub(crate) unsafe fn sized<T: Copy>(ptr: *const T) -> Result<T> {
    if ptr.is_null() {
        return Err(Error::failed("the host passed a null pointer"));
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: the caller's promises; no more is read than the host has, nor written than there is
    // room for.
    unsafe {
        let size = ptr.cast::<u32>().read() as usize;
        std::ptr::copy_nonoverlapping(
            ptr.cast::<u8>(),
            copy.as_mut_ptr().cast::<u8>(),
            size.min(size_of::<T>()),
        );
        Ok(copy.assume_init())
    }
}

/// # Safety
/// `ptr` is null, or valid during `'a`.
pub(crate) unsafe fn given<'a, T>(ptr: *const T) -> Result<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { ptr.as_ref() }.ok_or_else(|| Error::failed("the host passed a null pointer"))
}
