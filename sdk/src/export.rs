//! One macro line -> descriptor, entry and table. Only [`export!`](crate::export!) uses what stands
//! here.

use crate::abi::{
    self, Export, Host, ITEMS_MAX, Item, NAME_BYTES_MAX, Sink, Status, Table, VERSION_BYTES_MAX,
};
use crate::error::Error;
use crate::{Augmentation, Hook, Metric, Reader, Reward};
use crate::{augmentation, border, guard, hook, metric, reader, reward};
use std::ffi::c_void;

/// Exports a plugin: lists of types by what they are (`heads`, `losses`, `metrics`, `readers`,
/// `hooks`, `augmentations`, `rewards`). Once in a crate, whose name and version are the plugin's.
///
/// `finetuned_sdk::export! { heads: [ArcFace], metrics: [Kappa, Ece] }`
#[macro_export]
macro_rules! export {
    ($($kind:ident: [$($item:ty),* $(,)?]),* $(,)?) => {
        $crate::linked! { const _: () = {
            const EXPORTED: &[$crate::export::Exported] =
                &[$($($crate::export::$kind::<$item>(),)*)*];
            static EXPORTS: [$crate::abi::Export; EXPORTED.len()] =
                $crate::export::exports(EXPORTED);
            static TABLE: $crate::abi::Table = $crate::export::table(&EXPORTS);

            #[used]
            #[unsafe(no_mangle)]
            #[unsafe(link_section = ".finetuned")]
            pub static finetuned_plugin_descriptor: $crate::abi::Descriptor =
                $crate::export::descriptor(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), EXPORTED);

            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn finetuned_plugin_entry(
                host: *const $crate::abi::Host,
                table: *mut *const $crate::abi::Table,
                error: *const $crate::abi::Sink,
            ) -> $crate::abi::Status {
                // SAFETY: the host's promises, passed on.
                unsafe { $crate::export::enter(host, table, error, &TABLE) }
            }
        }; }
    };
}

/// What needs the functions of libtorch when it is linked: not in a test that has none.
#[cfg(feature = "doc-only")]
#[doc(hidden)]
#[macro_export]
macro_rules! linked {
    ($item:item) => {
        #[cfg(not(test))]
        $item
    };
}

#[cfg(not(feature = "doc-only"))]
#[doc(hidden)]
#[macro_export]
macro_rules! linked {
    ($item:item) => {
        $item
    };
}

/// A type with its kind, while the compiler runs.
#[derive(Clone, Copy)]
pub struct Exported {
    kind: u32,
    name: &'static str,
    functions: *const c_void,
}

#[cfg(feature = "tensor")]
pub const fn heads<T: crate::Head>() -> Exported {
    Exported {
        kind: abi::KIND_HEAD,
        name: T::NAME,
        functions: std::ptr::from_ref(crate::head::Functions::<T>::TABLE).cast(),
    }
}

#[cfg(feature = "tensor")]
pub const fn losses<T: crate::Loss>() -> Exported {
    Exported {
        kind: abi::KIND_LOSS,
        name: T::NAME,
        functions: std::ptr::from_ref(crate::loss::Functions::<T>::TABLE).cast(),
    }
}

#[cfg(not(feature = "tensor"))]
pub const fn heads<T>() -> Exported {
    panic!("heads need the feature `tensor` of finetuned-sdk")
}

#[cfg(not(feature = "tensor"))]
pub const fn losses<T>() -> Exported {
    panic!("losses need the feature `tensor` of finetuned-sdk")
}

pub const fn metrics<T: Metric>() -> Exported {
    Exported {
        kind: abi::KIND_METRIC,
        name: T::NAME,
        functions: std::ptr::from_ref(metric::Functions::<T>::TABLE).cast(),
    }
}

pub const fn readers<T: Reader>() -> Exported {
    Exported {
        kind: abi::KIND_READER,
        name: T::NAME,
        functions: std::ptr::from_ref(reader::Functions::<T>::TABLE).cast(),
    }
}

pub const fn hooks<T: Hook>() -> Exported {
    Exported {
        kind: abi::KIND_HOOK,
        name: T::NAME,
        functions: std::ptr::from_ref(hook::Functions::<T>::TABLE).cast(),
    }
}

pub const fn augmentations<T: Augmentation>() -> Exported {
    Exported {
        kind: abi::KIND_AUGMENTATION,
        name: T::NAME,
        functions: std::ptr::from_ref(augmentation::Functions::<T>::TABLE).cast(),
    }
}

pub const fn rewards<T: Reward>() -> Exported {
    Exported {
        kind: abi::KIND_REWARD,
        name: T::NAME,
        functions: std::ptr::from_ref(reward::Functions::<T>::TABLE).cast(),
    }
}

pub const fn exports<const N: usize>(exported: &[Exported]) -> [Export; N] {
    assert!(0 < N, "a plugin exports something");
    assert!(N <= ITEMS_MAX, "a plugin exports at most 32 things");
    let mut all = [const {
        Export { kind: 0, reserved: 0, name: border::bytes(""), functions: std::ptr::null() }
    }; N];
    let mut i = 0;
    while i < N {
        let it = exported[i];
        all[i] = Export {
            kind: it.kind,
            reserved: 0,
            name: border::bytes(it.name),
            functions: it.functions,
        };
        i += 1;
    }
    all
}

pub const fn table(exports: &'static [Export]) -> Table {
    Table {
        abi: abi::ABI_VERSION,
        size: size_of::<Table>() as u32,
        exports: exports.as_ptr(),
        n_exports: exports.len(),
    }
}

pub const fn descriptor(name: &str, version: &str, exported: &[Exported]) -> abi::Descriptor {
    let mut items = [Item { kind: 0, name: [0; NAME_BYTES_MAX + 1] }; ITEMS_MAX];
    let mut tensor = false;
    let mut i = 0;
    while i < exported.len() {
        let it = exported[i];
        items[i] = Item { kind: it.kind, name: checked_name(it.name) };
        tensor |= it.kind == abi::KIND_HEAD || it.kind == abi::KIND_LOSS;
        i += 1;
    }
    const NONE: [u8; VERSION_BYTES_MAX + 1] = [0; VERSION_BYTES_MAX + 1];
    abi::Descriptor {
        magic: abi::MAGIC,
        abi: abi::ABI_VERSION,
        size: size_of::<abi::Descriptor>() as u32,
        tier: if tensor { abi::TIER_TENSOR } else { abi::TIER_PLAIN },
        flags: if cfg!(panic = "abort") { abi::FLAG_PANIC_ABORTS } else { 0 },
        made_with: padded(concat!("finetuned-sdk ", env!("CARGO_PKG_VERSION"))),
        n_items: exported.len() as u32,
        tch: if tensor { padded(abi::TCH_VERSION) } else { NONE },
        libtorch: if tensor { padded(abi::LIBTORCH_VERSION) } else { NONE },
        name: checked_name(name),
        reserved: 0,
        version: padded(version),
        items,
    }
}

const fn checked_name(name: &str) -> [u8; NAME_BYTES_MAX + 1] {
    assert!(!name.is_empty(), "a name is empty");
    let bytes = name.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        assert!(
            matches!(bytes[i], b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'),
            "names are lower-case letters, digits, `-` and `_`"
        );
        i += 1;
    }
    padded(name)
}

/// `text`, filled up with zeros, at least one.
const fn padded<const N: usize>(text: &str) -> [u8; N] {
    assert!(text.len() < N, "a name (at most 59 bytes) or a version (at most 31) is too long");
    let mut all = [0; N];
    let mut i = 0;
    while i < text.len() {
        all[i] = text.as_bytes()[i];
        i += 1;
    }
    all
}

/// The entry of every plugin.
///
/// # Safety
/// The host's promises, see [`abi`].
pub unsafe fn enter(
    host: *const Host,
    out: *mut *const Table,
    error: *const Sink,
    table: &'static Table,
) -> Status {
    // SAFETY: the caller's promise; the host stays until the process ends.
    unsafe {
        guard::answer(out, error, || {
            let host: &'static Host = border::given(host)?;
            if host.abi < abi::ABI_VERSION {
                return Err(Error::failed(format!(
                    "made for version {} of the plugin ABI, and the worker has {}",
                    abi::ABI_VERSION,
                    host.abi
                )));
            }
            crate::log::connect(host);
            guard::hear_panics();
            Ok(std::ptr::from_ref(table))
        })
    }
}
