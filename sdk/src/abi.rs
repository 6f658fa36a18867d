//! The border between the worker and a plugin, in C: what both sides may rely on, and nothing else.
//!
//! A plugin is a shared library that exports two symbols: [`DESCRIPTOR_SYMBOL`], plain bytes in an
//! ELF section of their own ([`DESCRIPTOR_SECTION`]) which are read without opening the library,
//! and [`ENTRY_SYMBOL`], a function that gives its table of functions. A released version is never
//! edited: what comes later is appended, and the sizes that the structs carry say who knows of it.
//! `include/finetuned_plugin.h` is made from these files by a test.
//!
//! # Rules that hold for every function
//!
//! **Order.** The host reads the descriptor, opens the library, calls the entry once, then the
//! functions of the table. The library is never closed and there is no call for the end of the
//! process.
//!
//! **Threads.** The entry is called from one thread. Different instances may be used by different
//! threads at the same time; one instance is used by one thread at a time, not always the same one.
//! The host's functions may be called from any thread, at any time after the entry began. A sink
//! may be called from the thread that received it, until the call that brought it returns.
//!
//! **Pointers.** What either side passes as an argument belongs to the caller and is valid until
//! that call returns, unless it is said otherwise; who wants to keep it copies it. No text or array
//! ever changes owner: what a plugin gives back is passed to a sink, which copies it before it
//! returns. Only two things change owner: instances, from `create` to the host, which ends them by
//! `destroy` of the same functions; and tensors that are documented as new. A pointer with length 0
//! may be null.
//!
//! **Instances.** `destroy` is called once for each instance, after which no function is called
//! with it. An instance that answered [`PANICKED`] is broken: all that is called with it is
//! `destroy`.
//!
//! **Answers.** Every function answers a status. For each but [`OK`] the plugin passes a message to
//! the error sink first, in English, one sentence that a user can act on. Out-pointers are written
//! only with [`OK`]. No exception, no `longjmp` and no unwinding may leave a function. Nothing may
//! call `exit`.
//!
//! **Sizes.** `size` is `sizeof` of the struct as its writer knew it, and stands first or after the
//! version. Who reads must not look beyond it. A field that was appended after the first release
//! says so, and what its absence means; the host refuses what is smaller than it was at first.

pub mod v1;

/// Version of the tch that this SDK is made for, and which the worker must be made with.
pub const TCH_VERSION: &str = "0.26.0";
/// Version of the libtorch that this tch is for.
pub const LIBTORCH_VERSION: &str = "2.13.0";

pub use v1::*; // the newest
