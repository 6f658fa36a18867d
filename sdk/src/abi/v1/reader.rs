//! Readers: from the files of a drop to examples. Plain tier.

use super::{Bytes, Instance, Sink, Status};
use std::ffi::c_void;

/// [`Example::split`]: the host decides.
pub const SPLIT_OPEN: u32 = 0;
/// [`Example::split`]
pub const SPLIT_TRAIN: u32 = 1;
/// [`Example::split`]
pub const SPLIT_VALIDATION: u32 = 2;
/// [`Example::split`]
pub const SPLIT_TEST: u32 = 3;

/// The files of a drop, unpacked.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DropFiles {
    /// `sizeof(DropFiles)`.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// Absolute path of the folder. Nothing in it may be changed.
    pub folder: Bytes,
    /// Paths below the folder with `/`, sorted by bytes; regular files only, the recipe left out.
    pub files: *const Bytes,
    /// Paths behind `files`.
    pub n_files: usize,
}

/// One example. Exactly one of `text` and `image` is there.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// `sizeof(Example)`.
    pub size: u32,
    /// `SPLIT_...`
    pub split: u32,
    /// UTF-8; a null pointer if it is an image.
    pub text: Bytes,
    /// Path of an image file below the folder; a null pointer if it is a text.
    pub image: Bytes,
    /// Name of its class, not empty.
    pub label: Bytes,
    /// Where it stands: index into [`DropFiles::files`], and line, from 1 (0: no line).
    pub file: usize,
    /// From 1; 0: no line.
    pub line: u64,
}

/// Receives what a reader finds.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ExampleSink {
    /// Handed back with each call; the host's.
    pub context: *mut c_void,
    /// Copies the example. `STOPPED`: no more is wanted.
    pub example:
        Option<unsafe extern "C" fn(context: *mut c_void, example: *const Example) -> Status>,
    /// An example that cannot be used: where, and why in a few words ("no label"). `STOPPED` as
    /// above.
    pub bad: Option<
        unsafe extern "C" fn(context: *mut c_void, file: usize, line: u64, reason: Bytes) -> Status,
    >,
}

/// Functions of a reader. Version 1 has them all, none may be null.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ReaderFunctions {
    /// `sizeof(ReaderFunctions)`.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// `settings` and `*instance` as [`HeadFunctions::create`](super::HeadFunctions::create).
    pub create: Option<
        unsafe extern "C" fn(
            settings: Bytes,
            instance: *mut *mut Instance,
            error: *const Sink,
        ) -> Status,
    >,
    /// Ends an instance of `create`, also a broken one.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut Instance)>,
    /// `*recognised` is 1 if these files are in this reader's format, else 0. May look into files.
    pub recognise: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            drop: *const DropFiles,
            recognised: *mut u32,
            error: *const Sink,
        ) -> Status,
    >,
    /// Passes every example, in an order that depends on nothing but the files.
    pub read: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            drop: *const DropFiles,
            sink: *const ExampleSink,
            error: *const Sink,
        ) -> Status,
    >,
}
