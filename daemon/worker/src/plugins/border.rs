//! What every call across the border shares: the note of who is at work, the error sink, and the
//! one sentence that an answer other than OK becomes.

use super::call_page::{CallPage, Record};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_sdk::abi::{self, Bytes, Sink, Status};
use std::cell::Cell;
use std::ffi::c_void;
use std::sync::Arc;

/// Longest message of a plugin that is passed on; a longer one is cut.
pub(super) const MESSAGE_BYTES_MAX: usize = 4096;

/// One thing that a plugin exports, as sentences name it.
#[derive(Clone)]
pub(super) struct Subject {
    /// `the head arcface of the plugin margins`
    pub words: String,
    pub page: Arc<CallPage>,
}

/// A function of it.
#[derive(Clone, Copy)]
pub(super) struct Function {
    name: &'static str,
    record: Record,
}

impl Subject {
    pub(super) fn new(item: &str, plugin: &str, page: &Arc<CallPage>) -> Subject {
        Subject { words: format!("{item} of the plugin {plugin}"), page: Arc::clone(page) }
    }

    /// Known to the page from now on, so that a death in it is laid at its door.
    pub(super) fn function(&self, name: &'static str) -> Function {
        Function { name, record: self.page.record(&format!("{}, in {name}", self.words)) }
    }

    /// Calls `f` with an error sink.
    pub(super) fn call(
        &self,
        function: Function,
        f: impl FnOnce(*const Sink) -> Status,
    ) -> Result<(), Refused> {
        let mut message = String::new();
        let sink = sink(&mut message);
        let status = self.page.during(function.record, || f(&raw const sink));
        if status == abi::OK {
            Ok(())
        } else {
            Err(Refused { status, failure: self.explain(function, status, &message) })
        }
    }

    /// The answer was OK and what was answered is not as agreed.
    pub(super) fn bad_answer(&self, function: Function, what: impl std::fmt::Display) -> Failure {
        Failure::new(
            FailureKind::Plugin,
            format!("{} gave {what} in {}", self.words, function.name),
        )
    }

    #[cold]
    fn explain(&self, function: Function, status: Status, message: &str) -> Failure {
        let verb = match status {
            abi::INVALID => "can't go on",
            abi::FAILED => "failed",
            abi::PANICKED => "panicked",
            abi::BROKEN => "was called after a panic",
            abi::STOPPED => "stopped unasked",
            _ => "gave an answer that the ABI does not know",
        };
        let why = match (status, message) {
            (abi::OK..=abi::STOPPED, "") => "it does not say why".to_string(),
            (abi::OK..=abi::STOPPED, why) => why.to_string(),
            _ => status.to_string(),
        };
        let place = match why.strip_prefix("panicked at ") {
            // The SDK's words, with the place in the author's source.
            Some(place) if status == abi::PANICKED => format!(" at {place}"),
            _ => format!(": {why}"),
        };
        Failure::new(
            FailureKind::Plugin,
            format!("{} {verb} in {}{place}", self.words, function.name),
        )
    }
}

/// Not OK.
pub(super) struct Refused {
    pub status: Status,
    pub failure: Failure,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        refused.failure
    }
}

type Create = unsafe extern "C" fn(abi::Bytes, *mut *mut abi::Instance, *const Sink) -> Status;
type Destroy = unsafe extern "C" fn(*mut abi::Instance);

/// What `create` made, ended when it is dropped. Used by one thread at a time, not always the same.
pub(super) struct Handle {
    pub subject: Subject,
    raw: *mut abi::Instance,
    destroy: Destroy,
    destroying: Function,
    broken: Cell<bool>,
}

// SAFETY: the ABI allows an instance to be used by different threads one after the other; `Cell`
// and the pointer keep it from being used by two at once.
unsafe impl Send for Handle {}

impl Handle {
    /// Calls `create` with a place for the instance.
    pub(super) fn create(
        subject: Subject,
        destroy: Destroy,
        create: impl FnOnce(*mut *mut abi::Instance, *const Sink) -> Status,
    ) -> Result<Handle, Failure> {
        let creating = subject.function("create");
        let mut raw = std::ptr::null_mut();
        subject.call(creating, |error| create(&raw mut raw, error))?;
        if raw.is_null() {
            return Err(subject.bad_answer(creating, "no instance"));
        }
        let destroying = subject.function("destroy");
        Ok(Handle { subject, raw, destroy, destroying, broken: Cell::new(false) })
    }

    /// Of an item that settings alone make.
    pub(super) fn of_settings(
        subject: Subject,
        (create, destroy): (Option<Create>, Option<Destroy>),
        settings: &str,
    ) -> Result<Handle, Failure> {
        let create = create.expect("looked at when opened");
        let destroy = destroy.expect("looked at when opened");
        // SAFETY: the arguments live until it returns.
        Handle::create(subject, destroy, |instance, error| unsafe {
            create(lend(settings), instance, error)
        })
    }

    pub(super) fn raw(&self) -> *mut abi::Instance {
        self.raw
    }

    /// Calls a function of the instance, unless it broke before.
    pub(super) fn call(
        &self,
        function: Function,
        f: impl FnOnce(*mut abi::Instance, *const Sink) -> Status,
    ) -> Result<(), Failure> {
        if self.broken.get() {
            let message = format!("{} panicked before and is not used again", self.subject.words);
            return Err(Failure::new(FailureKind::Plugin, message));
        }
        self.subject.call(function, |error| f(self.raw, error)).map_err(|refused| {
            self.broken.set(matches!(refused.status, abi::PANICKED | abi::BROKEN));
            refused.failure
        })
    }

    pub(super) fn bad_answer(&self, function: Function, what: impl std::fmt::Display) -> Failure {
        self.subject.bad_answer(function, what)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: `raw` came from `create` of the same functions, and nothing is called with it
        // afterwards.
        self.subject.page.during(self.destroying.record, || unsafe { (self.destroy)(self.raw) });
    }
}

/// A sink that replaces `place` by what is written.
pub(super) fn sink(place: &mut String) -> Sink {
    unsafe extern "C" fn write(context: *mut c_void, text: Bytes) {
        // SAFETY: `context` is the `place` of the sink, which outlives the call that the sink was
        // made for.
        let place = unsafe { &mut *context.cast::<String>() };
        // SAFETY: the caller's bytes are valid until we return.
        *place = unsafe { to_text(text, MESSAGE_BYTES_MAX) };
    }
    Sink { context: std::ptr::from_mut(place).cast(), write: Some(write) }
}

/// A copy of a caller's text, whatever it is, up to `max` bytes; control characters become spaces.
///
/// # Safety
/// A non-null `bytes.ptr` must point to `bytes.len` bytes.
pub(super) unsafe fn to_text(bytes: Bytes, max: usize) -> String {
    // SAFETY: as the caller promises.
    let bytes = unsafe { to_slice(bytes) };
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(max)]);
    text.trim().chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

/// # Safety
/// A non-null `bytes.ptr` must point to `bytes.len` bytes that outlive `'a`.
pub(super) unsafe fn to_slice<'a>(bytes: Bytes) -> &'a [u8] {
    if bytes.ptr.is_null() || isize::try_from(bytes.len).is_err() {
        return &[]; // C callers send (null, 0) for "empty"
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(bytes.ptr, bytes.len) }
}

/// Lent until the call that it is passed to returns.
pub(super) fn lend(text: &str) -> Bytes {
    Bytes { ptr: text.as_ptr(), len: text.len() }
}
