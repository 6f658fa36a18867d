//! Metrics over arrays: streaming, and mergeable.

use crate::abi::{Bytes, Instance, MetricBatch, MetricFunctions, MetricShape, Sink, Status};
use crate::error::{Error, Result};
use crate::{border, guard, settings};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// A number that says how good a model is. It sees the examples in parts, and parts may be merged.
pub trait Metric: Sized + Send + 'static {
    /// What recipes call it: lower-case letters, digits, `-` and `_`.
    const NAME: &'static str;
    const HIGHER_IS_BETTER: bool;
    /// What a recipe may set. Give every field a default.
    type Settings: DeserializeOwned;

    /// A metric that has seen nothing. `classes` are their names in the order of the model's outputs.
    ///
    /// # Errors
    /// Settings that cannot be used.
    fn new(settings: Self::Settings, classes: &[&str]) -> Result<Self>;

    /// Takes in more examples.
    ///
    /// # Errors
    /// Examples that the metric cannot score.
    fn update(&mut self, batch: &Predictions) -> Result<()>;

    /// Takes in all that `other`, of the same settings, has seen: as if it had been seen here.
    ///
    /// # Errors
    /// As [`Metric::update`].
    fn merge(&mut self, other: &Self) -> Result<()>;

    /// The score of all that was seen so far.
    ///
    /// # Errors
    /// There is no score, because nothing was seen.
    fn compute(&self) -> Result<f64>;
}

/// What a model says of some examples, and what is true.
#[derive(Debug, Clone, Copy)]
pub struct Predictions<'a> {
    probabilities: &'a [f32],
    labels: &'a [u32],
    n_classes: usize,
}

impl<'a> Predictions<'a> {
    /// `probabilities` are `labels.len()` rows of `n_classes`.
    ///
    /// # Errors
    /// Lengths that do not fit, no classes, labels beyond the classes.
    pub fn new(probabilities: &'a [f32], labels: &'a [u32], n_classes: usize) -> Result<Predictions<'a>> {
        if n_classes == 0 || labels.len().checked_mul(n_classes) != Some(probabilities.len()) {
            return Err(Error::failed(format!("{} probabilities for {} examples of {n_classes} classes", probabilities.len(), labels.len())));
        }
        if let Some(label) = labels.iter().find(|&&it| n_classes <= it as usize) {
            return Err(Error::failed(format!("label {label} of {n_classes} classes")));
        }
        Ok(Predictions { probabilities, labels, n_classes })
    }

    /// Of each example, the probability of every class (they add up to 1), and the true class.
    pub fn rows(&self) -> impl Iterator<Item = (&'a [f32], usize)> {
        self.probabilities.chunks_exact(self.n_classes).zip(self.labels.iter().map(|&it| it as usize))
    }

    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

pub(crate) struct Functions<M>(PhantomData<M>);

impl<M: Metric> Functions<M> {
    pub(crate) const TABLE: &'static MetricFunctions = &MetricFunctions {
        size: size_of::<MetricFunctions>() as u32,
        higher_is_better: M::HIGHER_IS_BETTER as u32,
        create: Some(create::<M>),
        destroy: Some(guard::destroy::<M>),
        update: Some(update::<M>),
        merge: Some(merge::<M>),
        compute: Some(compute::<M>),
    };
}

// The host keeps the promises of `abi` for each of these.

unsafe extern "C" fn create<M: Metric>(json: Bytes, shape: *const MetricShape, out: *mut *mut Instance, error: *const Sink) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::create(out, error, || {
            let shape = border::given(shape)?;
            M::new(settings::parse(border::text(json)?)?, &border::texts(shape.class_names, shape.n_classes)?)
        })
    }
}

unsafe extern "C" fn update<M: Metric>(instance: *mut Instance, batch: *const MetricBatch, error: *const Sink) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::with::<M>(instance, error, |metric| {
            let batch = border::given(batch)?;
            let probabilities = border::slice(batch.probabilities, batch.n.saturating_mul(batch.n_classes));
            metric.update(&Predictions::new(probabilities, border::slice(batch.labels, batch.n), batch.n_classes)?)
        })
    }
}

unsafe extern "C" fn merge<M: Metric>(instance: *mut Instance, other: *mut Instance, error: *const Sink) -> Status {
    // SAFETY: see above; `other` is not `instance`.
    unsafe { guard::with::<M>(instance, error, |metric| metric.merge(guard::other::<M>(other)?)) }
}

unsafe extern "C" fn compute<M: Metric>(instance: *mut Instance, score: *mut f64, error: *const Sink) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::with::<M>(instance, error, |metric| {
            score.write(metric.compute()?);
            Ok(())
        })
    }
}
