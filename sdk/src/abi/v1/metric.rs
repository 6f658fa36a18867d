//! Metrics over arrays, streaming. Plain tier.

use super::{Bytes, Instance, Sink, Status};

/// What a metric is built for.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MetricShape {
    /// `sizeof(MetricShape)`.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// The classes, or the numbers that are learnt. At least 1; at least 2 where one label is true.
    pub n_classes: usize,
    /// Their names, in the order of the outputs: classes by number if all are integers, else by
    /// their letters.
    pub class_names: *const Bytes,
    /// `PROBLEM_...`: one of those that `problems` claims. Appended; 0:
    /// [`PROBLEM_SINGLE_LABEL`](super::PROBLEM_SINGLE_LABEL).
    pub problem: u64,
}

/// Some examples: what the model says, and what is true.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MetricBatch {
    /// `sizeof(MetricBatch)`.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// Examples; may be 0.
    pub n: usize,
    /// As [`MetricShape::n_classes`].
    pub n_classes: usize,
    /// n * n_classes: each row what the model says of one example, finite: the probabilities of the
    /// classes, with sum 1; for several labels each from 0 to 1; for numbers these, in the data's
    /// units.
    pub probabilities: *const f32,
    /// n: the true classes, each below n_classes. Null for several labels and for numbers.
    pub labels: *const u32,
    /// n * n_classes, for several labels: 1 where a class is true, 0 where it is not; for numbers:
    /// the true ones, in the data's units. Null for one label. Appended.
    pub targets: *const f32,
}

/// Functions of a metric. No function may be null.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MetricFunctions {
    /// `sizeof(MetricFunctions)`.
    pub size: u32,
    /// 1 if more is better, 0 if less is.
    pub higher_is_better: u32,
    /// A metric that has seen nothing. `settings` and `*instance` as
    /// [`HeadFunctions::create`](super::HeadFunctions::create).
    pub create: Option<
        unsafe extern "C" fn(
            settings: Bytes,
            shape: *const MetricShape,
            instance: *mut *mut Instance,
            error: *const Sink,
        ) -> Status,
    >,
    /// Ends an instance of `create`, also a broken one.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut Instance)>,
    /// Takes in more examples.
    pub update: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            batch: *const MetricBatch,
            error: *const Sink,
        ) -> Status,
    >,
    /// Takes in all that `other` has seen, after what `instance` has seen. `other` was created with
    /// the same settings and shape, is not `instance`, stays as it was and stays the host's.
    pub merge: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            other: *mut Instance,
            error: *const Sink,
        ) -> Status,
    >,
    /// The score of all that was seen. May be called at any time, and more may be taken in
    /// afterwards. A score that does not exist (nothing was seen) is `INVALID`; NaN is no score.
    pub compute: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            score: *mut f64,
            error: *const Sink,
        ) -> Status,
    >,
    /// `PROBLEM_...`, or-ed: what it can be created for. Appended; 0:
    /// [`PROBLEM_SINGLE_LABEL`](super::PROBLEM_SINGLE_LABEL).
    pub problems: u64,
}
