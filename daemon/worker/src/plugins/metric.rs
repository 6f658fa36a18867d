//! A metric from a plugin.

use super::border::{Function, Handle, Subject, lend};
use super::problem;
use finetuned_answers::Target;
use finetuned_job::outcome::Failure;
use finetuned_job::task::Answer;
use finetuned_sdk::abi::{self, Bytes};

/// One metric that takes in examples, built by [`Plugins::metric`](super::Plugins::metric):
///
/// ```ignore
/// let metric = plugins.metric("ece", "{\"bins\": 15}", plan.data.problem, plan.data.outputs())?;
/// metric.update(&probabilities, &targets)?; // as often as there are batches
/// let score = metric.compute()?;
/// ```
pub(crate) struct MetricInstance {
    handle: Handle,
    functions: abi::MetricFunctions,
    problem: Answer,
    /// Numbers in a row of outputs.
    width: usize,
    updating: Function,
    merging: Function,
    computing: Function,
}

impl MetricInstance {
    pub(super) fn create(
        subject: Subject,
        functions: abi::MetricFunctions,
        settings: &str,
        problem: Answer,
        outputs: &[String],
    ) -> Result<MetricInstance, Failure> {
        let names: Vec<Bytes> = outputs.iter().map(|it| lend(it)).collect();
        let shape = abi::MetricShape {
            size: size_of::<abi::MetricShape>() as u32,
            reserved: 0,
            n_classes: names.len(),
            class_names: names.as_ptr(),
            problem: problem::number(problem),
        };
        let [updating, merging, computing] =
            ["update", "merge", "compute"].map(|it| subject.function(it));
        let (create, destroy) = (
            functions.create.expect("looked at when opened"),
            functions.destroy.expect("looked at when opened"),
        );
        // SAFETY: the arguments live until it returns.
        let handle = Handle::create(subject, destroy, |instance, error| unsafe {
            create(lend(settings), &raw const shape, instance, error)
        })?;
        Ok(MetricInstance {
            handle,
            functions,
            problem,
            width: names.len(),
            updating,
            merging,
            computing,
        })
    }

    pub(crate) fn higher_is_better(&self) -> bool {
        self.functions.higher_is_better != 0
    }

    /// Takes in examples: `outputs` has a row for each, of probabilities, or of numbers in the
    /// data's units; or a row for each class of a target, where an example has many.
    ///
    /// # Panics
    /// The rows are not as many as the targets have.
    pub(crate) fn update(&self, outputs: &[f32], targets: &[Target]) -> Result<(), Failure> {
        let (classes, rows) = problem::arrays(self.problem, targets, self.width);
        let n = if rows.is_empty() { classes.len() } else { targets.len() };
        assert_eq!(outputs.len(), n * self.width, "a row for each target");
        let (labels, targets) = match rows.is_empty() {
            true => (classes.as_ptr(), std::ptr::null()),
            false => (std::ptr::null(), rows.as_ptr()),
        };
        let update = self.functions.update.expect("looked at when opened");
        let batch = abi::MetricBatch {
            size: size_of::<abi::MetricBatch>() as u32,
            reserved: 0,
            n,
            n_classes: self.width,
            probabilities: outputs.as_ptr(),
            labels,
            targets,
        };
        // SAFETY: the batch lives until it returns.
        self.handle.call(self.updating, |instance, error| unsafe {
            update(instance, &raw const batch, error)
        })
    }

    /// Takes in what `other`, of the same settings and classes, has seen.
    pub(crate) fn merge(&self, other: &MetricInstance) -> Result<(), Failure> {
        let merge = self.functions.merge.expect("looked at when opened");
        // SAFETY: both instances live until it returns; they are two, since a call borrows `self`
        // on one thread.
        self.handle.call(self.merging, |instance, error| unsafe {
            merge(instance, other.handle.raw(), error)
        })
    }

    /// The score of all that was seen: a finite number.
    pub(crate) fn compute(&self) -> Result<f64, Failure> {
        let compute = self.functions.compute.expect("looked at when opened");
        let mut score = f64::NAN;
        // SAFETY: `score` lives until it returns.
        self.handle.call(self.computing, |instance, error| unsafe {
            compute(instance, &raw mut score, error)
        })?;
        if score.is_finite() {
            Ok(score)
        } else {
            Err(self.handle.bad_answer(self.computing, format!("the score {score}")))
        }
    }
}
