//! A host in a few lines: opens a plugin and calls it as the worker does.

use finetuned_sdk::abi::*;
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::{null, null_mut};

/// Lines that plugins logged on this thread.
pub(crate) fn logged() -> Vec<String> {
    LOG.take()
}

thread_local! { static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) }; }

unsafe extern "C" fn log(_: *mut c_void, level: u32, text: Bytes) {
    // SAFETY: the plugin's text is valid during the call.
    let text = unsafe { read(text) };
    LOG.with_borrow_mut(|it| it.push(format!("{level} {text}")));
}

static HOST: Host =
    Host { abi: ABI_VERSION, size: size_of::<Host>() as u32, context: null_mut(), log: Some(log) };

pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes { ptr: text.as_ptr(), len: text.len() }
}

/// # Safety
/// `bytes` are valid UTF-8 now.
pub(crate) unsafe fn read(bytes: Bytes) -> String {
    // SAFETY: the caller's promise.
    unsafe {
        String::from_utf8(std::slice::from_raw_parts(bytes.ptr, bytes.len).to_vec()).expect("UTF-8")
    }
}

unsafe extern "C" fn write(context: *mut c_void, text: Bytes) {
    // SAFETY: the context is the string of `answered`, and the text is valid during the call.
    unsafe { *context.cast::<String>() = read(text) };
}

/// Calls a function with an error sink: its status, and its message if there is one.
pub(crate) fn answered(call: impl FnOnce(*const Sink) -> Status) -> Result<(), (Status, String)> {
    let mut message = String::new();
    let sink = Sink { context: (&raw mut message).cast(), write: Some(write) };
    match call(&sink) {
        OK => Ok(()),
        status => Err((status, message)),
    }
}

pub(crate) struct Opened {
    table: *const Table,
}

impl Opened {
    pub(crate) fn enter(entry: Entry) -> Opened {
        let mut table = null();
        // SAFETY: the host is a static.
        answered(|error| unsafe { entry(&HOST, &mut table, error) }).expect("the entry");
        Opened { table }
    }

    /// The functions of an export.
    pub(crate) fn find<F>(&self, kind: u32, name: &str) -> &'static F {
        // SAFETY: tables and names stay, and the kind says what the functions are.
        unsafe {
            let table = &*self.table;
            assert_eq!((table.abi, table.size as usize), (ABI_VERSION, size_of::<Table>()));
            let exports = std::slice::from_raw_parts(table.exports, table.n_exports);
            let export = exports
                .iter()
                .find(|it| it.kind == kind && read(it.name) == name)
                .expect("exported");
            &*export.functions.cast::<F>()
        }
    }
}

/// A metric as the worker uses it.
pub(crate) struct RawMetric {
    functions: &'static MetricFunctions,
    pub(crate) instance: *mut Instance,
}

impl RawMetric {
    pub(crate) fn create(
        functions: &'static MetricFunctions,
        settings: &str,
        classes: &[&str],
    ) -> Result<RawMetric, (Status, String)> {
        RawMetric::create_for(
            PROBLEM_SINGLE_LABEL,
            size_of::<MetricShape>(),
            functions,
            settings,
            classes,
        )
    }

    /// As a host with a shape of that size: what lies behind it must not be read.
    pub(crate) fn create_for(
        problem: u64,
        size: usize,
        functions: &'static MetricFunctions,
        settings: &str,
        classes: &[&str],
    ) -> Result<RawMetric, (Status, String)> {
        let names: Vec<Bytes> = classes.iter().map(|it| bytes(it)).collect();
        let shape = MetricShape {
            size: size as u32,
            reserved: 0,
            n_classes: names.len(),
            class_names: names.as_ptr(),
            problem,
        };
        let mut instance = null_mut();
        let create = functions.create.expect("required");
        // SAFETY: all pointers are valid during the call.
        answered(|error| unsafe { create(bytes(settings), &shape, &mut instance, error) })?;
        Ok(RawMetric { functions, instance })
    }

    pub(crate) fn update(
        &self,
        probabilities: &[f32],
        labels: &[u32],
    ) -> Result<(), (Status, String)> {
        let (n, n_classes) = (labels.len(), probabilities.len() / labels.len().max(1));
        let size = size_of::<MetricBatch>() as u32;
        self.take_in(&MetricBatch {
            size,
            reserved: 0,
            n,
            n_classes,
            probabilities: probabilities.as_ptr(),
            labels: labels.as_ptr(),
            targets: null(),
        })
    }

    /// Rows of `width`.
    pub(crate) fn update_targets(
        &self,
        outputs: &[f32],
        targets: &[f32],
        width: usize,
    ) -> Result<(), (Status, String)> {
        let (size, n) = (size_of::<MetricBatch>() as u32, outputs.len() / width);
        self.take_in(&MetricBatch {
            size,
            reserved: 0,
            n,
            n_classes: width,
            probabilities: outputs.as_ptr(),
            labels: null(),
            targets: targets.as_ptr(),
        })
    }

    fn take_in(&self, batch: &MetricBatch) -> Result<(), (Status, String)> {
        let update = self.functions.update.expect("required");
        // SAFETY: as above.
        answered(|error| unsafe { update(self.instance, batch, error) })
    }

    pub(crate) fn merge(&self, other: &RawMetric) -> Result<(), (Status, String)> {
        let merge = self.functions.merge.expect("required");
        // SAFETY: as above, and they are two.
        answered(|error| unsafe { merge(self.instance, other.instance, error) })
    }

    pub(crate) fn compute(&self) -> Result<f64, (Status, String)> {
        let (mut score, compute) = (f64::NAN, self.functions.compute.expect("required"));
        // SAFETY: as above.
        answered(|error| unsafe { compute(self.instance, &mut score, error) })?;
        Ok(score)
    }
}

impl Drop for RawMetric {
    fn drop(&mut self) {
        // SAFETY: nothing uses it afterwards.
        unsafe { self.functions.destroy.expect("required")(self.instance) };
    }
}
