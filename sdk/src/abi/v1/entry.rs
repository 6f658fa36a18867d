//! What a plugin is given when it is opened, what it answers, and the few shapes that all functions
//! share.

use std::ffi::c_void;

/// Symbol of the [`Entry`].
pub const ENTRY_SYMBOL: &str = "finetuned_plugin_entry";

/// A status is one of these numbers.
pub type Status = i32;
/// It is done, and out-pointers are written.
pub const OK: Status = 0;
/// What the user gave cannot be used (a setting, a file); the message says which, and what to do.
pub const INVALID: Status = 1;
/// The plugin could not do it.
pub const FAILED: Status = 2;
/// The plugin's code panicked; the message says what and where. The instance is broken.
pub const PANICKED: Status = 3;
/// Called with an instance that is broken.
pub const BROKEN: Status = 4;
/// A sink wants no more: return soon, with this status and without a message.
pub const STOPPED: Status = 5;

/// Bytes of the caller. Texts are UTF-8 without a zero at the end; settings are one JSON object.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Bytes {
    /// May be null if `len` is 0.
    pub ptr: *const u8,
    /// Bytes behind `ptr`.
    pub len: usize,
}

/// A tensor of libtorch: what tch calls `C_tensor`, torch's `at::Tensor` on the heap.
#[repr(C)]
#[derive(Debug)]
pub struct CTensor {
    _private: [u8; 0],
}

/// What a plugin made by one of its `create` functions; only it knows what is inside.
#[repr(C)]
#[derive(Debug)]
pub struct Instance {
    _private: [u8; 0],
}

/// A place for bytes. Owned by the caller of the function that received it, valid until that
/// function returns.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Sink {
    /// Passed back in every call; nobody else looks at it.
    pub context: *mut c_void,
    /// Replaces what was written before by a copy of `text`. `text` belongs to whoever calls.
    pub write: Option<unsafe extern "C" fn(context: *mut c_void, text: Bytes)>,
}

/// [`Host::log`]: the user must act, or the result is wrong.
pub const LOG_ERROR: u32 = 1;
/// [`Host::log`]: something is odd.
pub const LOG_WARN: u32 = 2;
/// [`Host::log`]: worth a line in the job's log.
pub const LOG_INFO: u32 = 3;
/// [`Host::log`]: for the plugin's author.
pub const LOG_DEBUG: u32 = 4;

/// What the host offers. Owned by the host, valid and unchanged until the process ends.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// `ABI_VERSION` of the host; a plugin that needs more answers the entry with `FAILED`.
    pub abi: u32,
    /// `sizeof(Host)`.
    pub size: u32,
    /// Passed back in every call.
    pub context: *mut c_void,
    /// One line for the job's log, under the plugin's name. `level` is `LOG_...`; `text` is copied
    /// before it returns. From any thread. Never null.
    pub log: Option<unsafe extern "C" fn(context: *mut c_void, level: u32, text: Bytes)>,
}

/// One thing that a plugin exports, with its functions. Owned by the plugin, valid until the
/// process ends.
#[repr(C)]
#[derive(Debug)]
pub struct Export {
    /// `KIND_...`, as in the descriptor.
    pub kind: u32,
    /// 0
    pub reserved: u32,
    /// As in the descriptor.
    pub name: Bytes,
    /// `HeadFunctions`, `LossFunctions`, `MetricFunctions`, `ReaderFunctions`, `HookFunctions`,
    /// `AugmentationFunctions` or `RewardFunctions`, as `kind` says. Never null.
    pub functions: *const c_void,
}

/// All that a plugin exports. Owned by the plugin, valid and unchanged until the process ends.
#[repr(C)]
#[derive(Debug)]
pub struct Table {
    /// `ABI_VERSION` that the plugin was made for.
    pub abi: u32,
    /// `sizeof(Table)`.
    pub size: u32,
    /// `Descriptor::n_items` of them, in its order.
    pub exports: *const Export,
    /// Tables behind `exports`.
    pub n_exports: usize,
}

/// Type of the symbol [`ENTRY_SYMBOL`]. Called once, before all else, from one thread. `host` stays
/// valid until the process ends and may be kept. With `OK`, `*table` is written. With another
/// status the plugin is not used.
pub type Entry =
    unsafe extern "C" fn(host: *const Host, table: *mut *const Table, error: *const Sink) -> Status;

// SAFETY: tables are written before the program starts and never again, and their pointers lead to
// such data.
unsafe impl Sync for Export {}
// SAFETY: as above.
unsafe impl Sync for Table {}
// SAFETY: the host promises that its table stays as it is, and that its functions may be called
// from any thread.
unsafe impl Sync for Host {}
// SAFETY: as above.
unsafe impl Send for Host {}
