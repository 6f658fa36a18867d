//! Holds the border: whatever the author's code does, a status leaves, and never a panic.
//!
//! An instance lies in a slot from which it is taken for each call and to which it returns only
//! from one that did not panic: who knows what half-done state a panic left.

use crate::abi::{self, Instance, Sink, Status};
use crate::border;
use crate::error::{Error, Result};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

thread_local! {
    /// Whether this thread is inside [`catch`], which will tell of the panic itself.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The hook belongs to this library alone: a cdylib has a standard library of its own.
pub(crate) fn hear_panics() {
    std::panic::set_hook(Box::new(|info| {
        let what = describe(info);
        if cfg!(panic = "abort") || !GUARDED.get() {
            crate::log::error(format_args!("{what}"));
        }
        LAST_PANIC.set(Some(what));
    }));
}

fn describe(info: &PanicHookInfo) -> String {
    let message = info.payload_as_str().unwrap_or("a value that is no text");
    match info.location() {
        Some(at) => format!("panicked at {}:{}: {message}", at.file(), at.line()),
        None => format!("panicked: {message}"),
    }
}

struct Slot<T> {
    plugin: Option<T>,
}

/// What the author's code did.
enum Outcome<R> {
    Returned(Result<R>),
    Panicked(String),
}

fn catch<R>(f: impl FnOnce() -> Result<R>) -> Outcome<R> {
    let outside = GUARDED.replace(true);
    let outcome = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Outcome::Returned(result),
        Err(payload) => {
            let what = LAST_PANIC.take().unwrap_or_else(|| "panicked".into());
            // What was thrown may panic when it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(payload)));
            Outcome::Panicked(what)
        }
    };
    GUARDED.set(outside);
    outcome
}

/// # Safety
/// `error` is null or the host's, valid now.
unsafe fn refuse(error: *const Sink, status: Status, message: &str) -> Status {
    if status != abi::STOPPED {
        // SAFETY: the caller's promise.
        unsafe { border::write(error, message) };
    }
    status
}

/// Runs `f` where there is no instance to protect, and writes what it gives.
///
/// # Safety
/// `out` may be written; `error` is null or the host's, valid now.
pub(crate) unsafe fn answer<R>(
    out: *mut R,
    error: *const Sink,
    f: impl FnOnce() -> Result<R>,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        match catch(f) {
            Outcome::Returned(Ok(value)) => {
                out.write(value);
                abi::OK
            }
            Outcome::Returned(Err(err)) => refuse(error, err.status, &err.message),
            Outcome::Panicked(what) => refuse(error, abi::PANICKED, &what),
        }
    }
}

/// Makes an instance of what `f` gives.
///
/// # Safety
/// As [`answer`].
pub(crate) unsafe fn create<T>(
    out: *mut *mut Instance,
    error: *const Sink,
    f: impl FnOnce() -> Result<T>,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        answer(out, error, || Ok(Box::into_raw(Box::new(Slot { plugin: Some(f()?) })).cast()))
    }
}

/// Runs `f` on an instance.
///
/// # Safety `instance` was made by [`create`] of the same `T`, and nothing else uses it now;
/// `error` as for [`answer`].
pub(crate) unsafe fn with<T>(
    instance: *mut Instance,
    error: *const Sink,
    f: impl FnOnce(&mut T) -> Result<()>,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(slot) = instance.cast::<Slot<T>>().as_mut() else {
            return refuse(error, abi::FAILED, "the host passed a null instance");
        };
        let Some(mut plugin) = slot.plugin.take() else {
            return refuse(error, abi::BROKEN, "broken by an earlier panic");
        };
        match catch(|| f(&mut plugin)) {
            Outcome::Returned(result) => {
                slot.plugin = Some(plugin);
                result.map_or_else(|err| refuse(error, err.status, &err.message), |()| abi::OK)
            }
            Outcome::Panicked(what) => {
                end(plugin);
                refuse(error, abi::PANICKED, &what)
            }
        }
    }
}

/// The plugin in another instance than the one of [`with`].
///
/// # Safety
/// As [`with`], for as long as `'a`.
pub(crate) unsafe fn other<'a, T>(instance: *mut Instance) -> Result<&'a T> {
    // SAFETY: the caller's promise.
    let slot = unsafe { instance.cast::<Slot<T>>().as_ref() };
    slot.and_then(|it| it.plugin.as_ref())
        .ok_or_else(|| Error::failed("the other instance is broken"))
}

/// The function `destroy` of every kind.
///
/// # Safety
/// `instance` is null, or was made by [`create`] of the same `T`, and is never used again.
pub(crate) unsafe extern "C" fn destroy<T>(instance: *mut Instance) {
    if !instance.is_null() {
        // SAFETY: the caller's promise.
        let slot = unsafe { Box::from_raw(instance.cast::<Slot<T>>()) };
        end(slot.plugin);
    }
}

/// A destructor is the author's code too.
fn end<T>(plugin: T) {
    let dropped = || {
        drop(plugin);
        Ok(())
    };
    if let Outcome::Panicked(what) = catch(dropped) {
        crate::log::error(format_args!("while it was dropped: {what}"));
    }
}
