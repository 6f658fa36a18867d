//! Metrics over arrays: streaming, and mergeable.

use crate::abi::{Bytes, Instance, MetricBatch, MetricFunctions, MetricShape, Sink, Status};
use crate::error::{Error, Result};
use crate::problem::{self, Problem};
use crate::{border, guard, settings};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// A number that says how good a model is. It sees the examples in parts, and parts may be merged.
pub trait Metric: Sized + Send + 'static {
    /// What recipes call it: lower-case letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// Whether a larger score is the better one, which the choice of the best step needs.
    const HIGHER_IS_BETTER: bool;
    /// What it is made for. A job with another problem is refused before it trains.
    const PROBLEMS: &'static [Problem] = &[Problem::SingleLabel];
    /// What a recipe may set. Give every field a default.
    type Settings: DeserializeOwned;

    /// A metric that has seen nothing. `classes` are their names in the order of the model's
    /// outputs.
    ///
    /// # Errors Settings that cannot be used.
    fn new(settings: Self::Settings, classes: &[&str]) -> Result<Self>;

    /// As [`Metric::new`], with the one of [`Metric::PROBLEMS`] that it will serve, for a metric
    /// that must know it before it sees examples; [`Predictions::problem`] says it too. Numbers
    /// have names as classes have.
    ///
    /// # Errors As [`Metric::new`].
    fn new_for(_problem: Problem, settings: Self::Settings, outputs: &[&str]) -> Result<Self> {
        Self::new(settings, outputs)
    }

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
    outputs: &'a [f32],
    targets: PlainTargets<'a>,
    width: usize,
}

#[derive(Debug, Clone, Copy)]
enum PlainTargets<'a> {
    Classes(&'a [u32]),
    /// As many rows as of outputs.
    Targets(Problem, &'a [f32]),
}

impl<'a> Predictions<'a> {
    /// `probabilities` are `labels.len()` rows of `n_classes`.
    ///
    /// # Errors
    /// Lengths that do not fit, no classes, labels beyond the classes.
    pub fn new(
        probabilities: &'a [f32],
        labels: &'a [u32],
        n_classes: usize,
    ) -> Result<Predictions<'a>> {
        if n_classes == 0 || labels.len().checked_mul(n_classes) != Some(probabilities.len()) {
            return Err(Error::failed(format!(
                "{} probabilities for {} examples of {n_classes} classes",
                probabilities.len(),
                labels.len()
            )));
        }
        if let Some(label) = labels.iter().find(|&&it| n_classes <= it as usize) {
            return Err(Error::failed(format!("label {label} of {n_classes} classes")));
        }
        Ok(Predictions {
            outputs: probabilities,
            targets: PlainTargets::Classes(labels),
            width: n_classes,
        })
    }

    /// Of several labels or of numbers: rows of `width`, as many of outputs as of targets.
    ///
    /// # Errors
    /// Lengths that do not fit, no outputs; one label, which [`Predictions::new`] is for.
    pub fn of_targets(
        problem: Problem,
        outputs: &'a [f32],
        targets: &'a [f32],
        width: usize,
    ) -> Result<Predictions<'a>> {
        if problem == Problem::SingleLabel
            || width == 0
            || outputs.len() != targets.len()
            || !outputs.len().is_multiple_of(width)
        {
            let (outputs, targets) = (outputs.len(), targets.len());
            return Err(Error::failed(format!(
                "{outputs} outputs and {targets} targets of {problem}, in rows of {width}"
            )));
        }
        Ok(Predictions { outputs, targets: PlainTargets::Targets(problem, targets), width })
    }

    /// What kind of examples these are.
    pub fn problem(&self) -> Problem {
        match self.targets {
            PlainTargets::Classes(_) => Problem::SingleLabel,
            PlainTargets::Targets(problem, _) => problem,
        }
    }

    /// Of each example, the probability of every class (they add up to 1), and the true class.
    ///
    /// # Panics
    /// They are examples of several labels or of numbers, which only a metric sees that says so.
    pub fn rows(&self) -> impl Iterator<Item = (&'a [f32], usize)> {
        let PlainTargets::Classes(labels) = self.targets else {
            panic!("these are examples of {}: `target_rows` has them", self.problem())
        };
        self.outputs.chunks_exact(self.width).zip(labels.iter().map(|&it| it as usize))
    }

    /// Of each example, what the model says and what is true: of every class its probability, and 1
    /// or 0; or every number, in the data's units.
    ///
    /// # Panics They are examples of one label.
    pub fn target_rows(&self) -> impl Iterator<Item = (&'a [f32], &'a [f32])> {
        let PlainTargets::Targets(_, targets) = self.targets else {
            panic!("these are examples of one label: `rows` has them")
        };
        self.outputs.chunks_exact(self.width).zip(targets.chunks_exact(self.width))
    }

    /// Examples.
    pub fn len(&self) -> usize {
        self.outputs.len() / self.width
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }
}

/// A metric, and what it serves.
struct Made<M> {
    metric: M,
    problem: Problem,
}

pub(crate) struct Functions<M>(PhantomData<M>);

impl<M: Metric> Functions<M> {
    pub(crate) const TABLE: &'static MetricFunctions = &MetricFunctions {
        size: size_of::<MetricFunctions>() as u32,
        higher_is_better: M::HIGHER_IS_BETTER as u32,
        create: Some(create::<M>),
        destroy: Some(guard::destroy::<Made<M>>),
        update: Some(update::<M>),
        merge: Some(merge::<M>),
        compute: Some(compute::<M>),
        problems: problem::claim(M::PROBLEMS),
    };
}

// The host keeps the promises of `abi` for each of these.

unsafe extern "C" fn create<M: Metric>(
    json: Bytes,
    shape: *const MetricShape,
    out: *mut *mut Instance,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::create(out, error, || {
            let shape = border::sized(shape)?;
            let problem = problem::served(shape.problem, M::NAME, M::PROBLEMS)?;
            let names = border::texts(shape.class_names, shape.n_classes)?;
            Ok(Made {
                metric: M::new_for(problem, settings::parse(border::text(json)?)?, &names)?,
                problem,
            })
        })
    }
}

unsafe extern "C" fn update<M: Metric>(
    instance: *mut Instance,
    batch: *const MetricBatch,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::with::<Made<M>>(instance, error, |made| {
            let batch = border::sized(batch)?;
            let (all, width) = (batch.n.saturating_mul(batch.n_classes), batch.n_classes);
            let outputs = border::slice(batch.probabilities, all);
            made.metric.update(&match made.problem {
                Problem::SingleLabel => {
                    Predictions::new(outputs, border::slice(batch.labels, batch.n), width)?
                }
                problem => Predictions::of_targets(
                    problem,
                    outputs,
                    border::slice(batch.targets, all),
                    width,
                )?,
            })
        })
    }
}

unsafe extern "C" fn merge<M: Metric>(
    instance: *mut Instance,
    other: *mut Instance,
    error: *const Sink,
) -> Status {
    // SAFETY: see above; `other` is not `instance`.
    unsafe {
        guard::with::<Made<M>>(instance, error, |made| {
            made.metric.merge(&guard::other::<Made<M>>(other)?.metric)
        })
    }
}

unsafe extern "C" fn compute<M: Metric>(
    instance: *mut Instance,
    score: *mut f64,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::with::<Made<M>>(instance, error, |made| {
            score.write(made.metric.compute()?);
            Ok(())
        })
    }
}
