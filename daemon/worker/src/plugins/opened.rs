//! A plugin that was opened and entered: its table, held against its descriptor before anything in
//! it is called.

use super::Log;
use super::border::{MESSAGE_BYTES_MAX, Subject, to_slice, to_text};
use super::call_page::CallPage;
use super::library::Library;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_plugins::{Export, Kind, Plugin};
use finetuned_sdk::abi::{self, Bytes, Host};
use std::ffi::c_void;
use std::mem::{MaybeUninit, offset_of};
use std::sync::Arc;

pub(super) struct Opened {
    pub name: String,
    pub version: String,
    pub hash: String,
    pub items: Vec<Item>,
    _library: Library,
}

/// An export with the functions of its kind, copied from the plugin's table.
pub(super) struct Item {
    pub export: Export,
    pub functions: Functions,
}

#[derive(Clone, Copy)]
pub(super) enum Functions {
    Head(abi::HeadFunctions),
    Loss(abi::LossFunctions),
    Metric(abi::MetricFunctions),
    Reader(abi::ReaderFunctions),
    Hook(abi::HookFunctions),
    Augmentation(abi::AugmentationFunctions),
    Reward(abi::RewardFunctions),
}

/// What a plugin's log lines go through. It lives as long as the process, as the plugin does.
struct Listener {
    plugin: String,
    log: Log,
}

impl Opened {
    /// Runs the plugin's initialisers and its entry.
    pub(super) fn open(
        plugin: &Plugin,
        page: &Arc<CallPage>,
        log: &Log,
    ) -> Result<Opened, Failure> {
        let name = &plugin.descriptor.name;
        let whole = Subject { words: format!("the plugin {name}"), page: Arc::clone(page) };
        let refuse = |what: String| {
            Failure::new(
                FailureKind::Plugin,
                format!("the plugin {name} ({}) {what}", plugin.path.display()),
            )
        };
        let opening = page.record(&format!("the plugin {name}, while it was opened"));
        let library = page
            .during(opening, || Library::open(name, &plugin.bytes))
            .map_err(|why| refuse(format!("can't be opened: {why}")))?;
        let address = library
            .address(abi::ENTRY_SYMBOL)
            .ok_or_else(|| refuse(format!("has no symbol {}", abi::ENTRY_SYMBOL)))?;
        // SAFETY: the ABI that the descriptor claims gives this symbol this type.
        let entry = unsafe { std::mem::transmute::<*mut c_void, abi::Entry>(address) };
        let host = host(name, log);
        let mut table = std::ptr::null();
        // SAFETY: called once, from one thread; the host is leaked, table and error live until it
        // returns.
        whole.call(whole.function("its entry"), |error| unsafe {
            entry(host, &raw mut table, error)
        })?;
        // SAFETY: a plugin that answers OK has written a table that is valid until the process
        // ends.
        let items = unsafe { items(table, &plugin.descriptor.exports) }
            .map_err(|what| refuse(format!("has an unusable table: {what}")))?;
        Ok(Opened {
            name: name.clone(),
            version: plugin.descriptor.version.clone(),
            hash: plugin.hash.clone(),
            items,
            _library: library,
        })
    }
}

/// # Safety
/// A non-null `table` must be one that a plugin's entry gave.
unsafe fn items(table: *const abi::Table, described: &[Export]) -> Result<Vec<Item>, String> {
    // Version and size stand first: they are read before anything behind them is trusted.
    if table.is_null() || !table.is_aligned() {
        return Err("the entry gave none".into());
    }
    // SAFETY: not null, aligned, and every version of the table begins with these two.
    let (version, size) = unsafe { ((*table).abi, (*table).size as usize) };
    if version != abi::ABI_VERSION || size < size_of::<abi::Table>() {
        return Err(format!(
            "ABI {version} with {size} bytes, but ABI {} has {}",
            abi::ABI_VERSION,
            size_of::<abi::Table>()
        ));
    }
    // SAFETY: it is large enough, by its own words.
    let table = unsafe { &*table };
    if table.n_exports != described.len() || table.exports.is_null() {
        return Err(format!(
            "it has {} exports, the descriptor {}",
            table.n_exports,
            described.len()
        ));
    }
    // SAFETY: the plugin says that so many are there.
    let exports = unsafe { std::slice::from_raw_parts(table.exports, table.n_exports) };
    let item = |(export, described): (&abi::Export, &Export)| {
        // SAFETY: names are valid until the process ends.
        let name = unsafe { to_slice(export.name) };
        if name != described.name.as_bytes() || export.functions.is_null() {
            return Err(format!(
                "where the descriptor has the {} {}, it has another thing or none",
                described.kind.name(),
                described.name
            ));
        }
        // SAFETY: the functions are of the kind that the descriptor names.
        let functions = unsafe { functions(described.kind, export.kind, export.functions) }
            .map_err(|what| format!("{} {}: {what}", described.kind.name(), described.name))?;
        Ok(Item { export: described.clone(), functions })
    };
    exports.iter().zip(described).map(item).collect()
}

/// # Safety
/// `at` must point to functions whose first field is their size.
unsafe fn functions(kind: Kind, number: u32, at: *const c_void) -> Result<Functions, String> {
    macro_rules! read {
        ($variant:ident, $number:ident, $functions:ident, [$($function:ident),+] $(,
            + $appended:ident)?) => {{
            if number != abi::$number {
                return Err(format!("it is of kind {number} there"));
            }
            // What was appended begins where the first release ended.
            let released = [$(offset_of!(abi::$functions,
                $appended),)? size_of::<abi::$functions>()][0];
            // SAFETY: as the caller promises; all zeros are no functions and no claims.
            let functions = unsafe { sized::<abi::$functions>(at, released) }?;
            $(if functions.$function.is_none() {
                return Err(concat!("the function ", stringify!($function), " is missing").into());
            })+
            Ok(Functions::$variant(functions))
        }};
    }
    match kind {
        Kind::Head => {
            read!(Head, KIND_HEAD, HeadFunctions, [create, destroy, parameters, forward],
                + problems)
        }
        Kind::Loss => read!(Loss, KIND_LOSS, LossFunctions, [create, destroy, forward], + problems),
        Kind::Metric => {
            read!(Metric, KIND_METRIC, MetricFunctions, [create, destroy, update, merge,
                compute], + problems)
        }
        Kind::Reader => {
            read!(Reader, KIND_READER, ReaderFunctions, [create, destroy, recognise, read])
        }
        Kind::Hook => {
            read!(Hook, KIND_HOOK, HookFunctions, [create, destroy, progress, save, load])
        }
        Kind::Augmentation => {
            read!(Augmentation, KIND_AUGMENTATION, AugmentationFunctions, [create, destroy, apply])
        }
        Kind::Reward => read!(Reward, KIND_REWARD, RewardFunctions, [create, destroy, reward]),
    }
}

/// A copy of a struct that begins with its size, of `released` bytes in its first release; zeros
/// where the plugin's ends. What a later version appended is left alone.
///
/// # Safety `at` must point to such a struct, and a `T` may be all zeros.
unsafe fn sized<T: Copy>(at: *const c_void, released: usize) -> Result<T, String> {
    if !at.cast::<T>().is_aligned() {
        return Err("its functions lie where no struct can".into());
    }
    // SAFETY: aligned, and the size comes first.
    let size = unsafe { *at.cast::<u32>() } as usize;
    if size < released {
        return Err(format!(
            "its functions have {size} bytes, ABI {} has {released}",
            abi::ABI_VERSION
        ));
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: no more is read than the plugin says that it has, nor written than there is room for.
    unsafe {
        std::ptr::copy_nonoverlapping(
            at.cast::<u8>(),
            copy.as_mut_ptr().cast::<u8>(),
            size.min(size_of::<T>()),
        );
        Ok(copy.assume_init())
    }
}

/// What we offer to this plugin, for the life of the process.
fn host(plugin: &str, log: &Log) -> *const Host {
    unsafe extern "C" fn line(context: *mut c_void, level: u32, text: Bytes) {
        // SAFETY: the context is a leaked listener.
        let listener = unsafe { &*context.cast::<Listener>() };
        // SAFETY: the caller's text is valid until we return.
        let text = unsafe { to_text(text, MESSAGE_BYTES_MAX) };
        let level = level.clamp(abi::LOG_ERROR, abi::LOG_DEBUG);
        // No panic may cross the border, in either direction.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (listener.log)(&listener.plugin, level, &text)
        }));
    }
    let listener = Box::leak(Box::new(Listener { plugin: plugin.into(), log: Arc::clone(log) }));
    let host = Host {
        abi: abi::ABI_VERSION,
        size: size_of::<Host>() as u32,
        context: std::ptr::from_mut(listener).cast(),
        log: Some(line),
    };
    Box::leak(Box::new(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use finetuned_job::task::Answer;
    use finetuned_sdk::abi::{CTensor, Instance, LossInput, LossShape, Pass, Sink, Status};

    /// A loss as the first release had it, and what lies behind it in some plugin's memory.
    #[repr(C)]
    struct Before {
        size: u32,
        reserved: u32,
        create: unsafe extern "C" fn(
            Bytes,
            *const LossShape,
            *mut *mut Instance,
            *const Sink,
        ) -> Status,
        destroy: unsafe extern "C" fn(*mut Instance),
        forward: unsafe extern "C" fn(
            *mut Instance,
            *const LossInput,
            *const Pass,
            *mut *mut CTensor,
            *const Sink,
        ) -> Status,
        behind: u64,
    }

    unsafe extern "C" fn create(
        _: Bytes,
        _: *const LossShape,
        _: *mut *mut Instance,
        _: *const Sink,
    ) -> Status {
        abi::OK
    }

    unsafe extern "C" fn destroy(_: *mut Instance) {}

    unsafe extern "C" fn forward(
        _: *mut Instance,
        _: *const LossInput,
        _: *const Pass,
        _: *mut *mut CTensor,
        _: *const Sink,
    ) -> Status {
        abi::OK
    }

    #[track_caller]
    fn check(size: usize, behind: u64, expected: Result<&[Answer], &str>) {
        let table = Before { size: size as u32, reserved: 0, create, destroy, forward, behind };
        // SAFETY: it begins with its size, and is as long as any size that is claimed below.
        let found = unsafe { functions(Kind::Loss, abi::KIND_LOSS, (&raw const table).cast()) };
        let found = found.map(|it| it.problems().expect("a loss serves problems"));
        assert_eq!(found, expected.map(<[_]>::to_vec).map_err(String::from));
    }

    #[test]
    fn what_lies_behind_a_shorter_table_is_not_its_claim() {
        check(32, u64::MAX, Ok(&[Answer::Class]));
        check(40, 0, Ok(&[Answer::Class]));
        check(
            40,
            abi::PROBLEM_MULTI_LABEL | abi::PROBLEM_REGRESSION,
            Ok(&[Answer::Classes, Answer::Numbers]),
        );
        // A later version's.
        check(40, abi::PROBLEM_REGRESSION | 1 << 40, Ok(&[Answer::Numbers]));
        check(31, 0, Err("its functions have 31 bytes, ABI 1 has 32"));
    }
}
