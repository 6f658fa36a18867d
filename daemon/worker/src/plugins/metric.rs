//! A metric from a plugin.

use super::border::{Function, Handle, Subject, lend};
use finetuned_job::outcome::Failure;
use finetuned_sdk::abi::{self, Bytes};

/// One metric that takes in examples, built by [`Plugins::metric`](super::Plugins::metric):
///
/// ```ignore
/// let metric = plugins.metric("ece", "{\"bins\": 15}", &plan.data.classes)?;
/// metric.update(&probabilities, &labels)?; // as often as there are batches
/// let score = metric.compute()?;
/// ```
pub(crate) struct MetricInstance {
    handle: Handle,
    functions: abi::MetricFunctions,
    n_classes: usize,
    updating: Function,
    merging: Function,
    computing: Function,
}

impl MetricInstance {
    pub(super) fn create(subject: Subject, functions: abi::MetricFunctions, settings: &str, classes: &[String]) -> Result<MetricInstance, Failure> {
        let names: Vec<Bytes> = classes.iter().map(|it| lend(it)).collect();
        let shape = abi::MetricShape { size: size_of::<abi::MetricShape>() as u32, reserved: 0, n_classes: names.len(), class_names: names.as_ptr() };
        let [updating, merging, computing] = ["update", "merge", "compute"].map(|it| subject.function(it));
        let (create, destroy) = (functions.create.expect("looked at when opened"), functions.destroy.expect("looked at when opened"));
        // SAFETY: the arguments live until it returns.
        let handle = Handle::create(subject, destroy, |instance, error| unsafe { create(lend(settings), &raw const shape, instance, error) })?;
        Ok(MetricInstance { handle, functions, n_classes: names.len(), updating, merging, computing })
    }

    pub(crate) fn higher_is_better(&self) -> bool {
        self.functions.higher_is_better != 0
    }

    /// Takes in examples: `probabilities` has a row of all classes for each label.
    ///
    /// # Panics
    /// The rows are not as many as the labels.
    pub(crate) fn update(&self, probabilities: &[f32], labels: &[u32]) -> Result<(), Failure> {
        assert_eq!(probabilities.len(), labels.len() * self.n_classes, "a row for each label");
        let update = self.functions.update.expect("looked at when opened");
        let batch = abi::MetricBatch {
            size: size_of::<abi::MetricBatch>() as u32,
            reserved: 0,
            n: labels.len(),
            n_classes: self.n_classes,
            probabilities: probabilities.as_ptr(),
            labels: labels.as_ptr(),
        };
        // SAFETY: the batch lives until it returns.
        self.handle.call(self.updating, |instance, error| unsafe { update(instance, &raw const batch, error) })
    }

    /// Takes in what `other`, of the same settings and classes, has seen.
    pub(crate) fn merge(&self, other: &MetricInstance) -> Result<(), Failure> {
        let merge = self.functions.merge.expect("looked at when opened");
        // SAFETY: both instances live until it returns; they are two, since a call borrows `self` on one thread.
        self.handle.call(self.merging, |instance, error| unsafe { merge(instance, other.handle.raw(), error) })
    }

    /// The score of all that was seen: a finite number.
    pub(crate) fn compute(&self) -> Result<f64, Failure> {
        let compute = self.functions.compute.expect("looked at when opened");
        let mut score = f64::NAN;
        // SAFETY: `score` lives until it returns.
        self.handle.call(self.computing, |instance, error| unsafe { compute(instance, &raw mut score, error) })?;
        if score.is_finite() { Ok(score) } else { Err(self.handle.bad_answer(self.computing, format!("the score {score}"))) }
    }
}
