//! Decides how a model is trained once more, on training and validation examples together: from the
//! beginning, for as many passes as validation had chosen, with a learning rate that falls to its
//! end in them. scikit-learn's searches call this `refit`, AutoGluon `refit_full`.

use crate::planning;
use finetuned_job::plan::{Plan, TrainPlan};

/// The plan of the second training. `best_step`: of the first.
pub(crate) fn plan(of: &Plan, best_step: u64) -> Plan {
    let train = &of.train;
    let examples = of.data.train + of.data.validation;
    let steps_per_epoch = planning::steps_per_epoch(examples, train.batch, train.accumulate);
    let passes = best_step as f64 / train.steps_per_epoch as f64;
    let steps = (passes * steps_per_epoch as f64).round() as u64;
    let rising = train.warmup_steps as f64 / train.steps.max(1) as f64;
    let again = TrainPlan {
        steps_per_epoch,
        steps,
        warmup_steps: (rising * steps as f64).ceil() as u64,
        ..train.clone()
    };
    Plan { train: again, ..of.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::tests::{plan_of, texts};

    #[test]
    fn as_many_passes_as_validation_chose() {
        // 1000 training examples in 63 batches of 16, 100 of validation.
        let first = plan_of("", &texts());
        assert_eq!((first.train.steps_per_epoch, first.train.steps), (63, 630));
        let again = plan(&first, 3 * 63);
        assert_eq!((again.train.steps_per_epoch, again.train.steps), (69, 3 * 69));
        assert_eq!((first.train.warmup_steps, again.train.warmup_steps), (38, 13));
        assert_eq!(Plan { train: first.train.clone(), ..again }, first);
    }

    #[test]
    fn a_probe_that_was_better_is_trained_for_no_step() {
        assert_eq!(plan(&plan_of("", &texts()), 0).train.steps, 0);
        assert_eq!(plan(&plan_of("train.method = 'probe'", &texts()), 0).train.steps, 0);
    }
}
