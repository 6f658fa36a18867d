//! Decides how a model is trained once more, on training and validation examples together: from the
//! beginning, for so many steps that the learning rate, which falls to its end in them, adds up to
//! what it had added up to where validation chose. scikit-learn's searches call this `refit`,
//! AutoGluon `refit_full`.

use crate::planning;
use crate::schedule::learning_rate;
use finetuned_job::plan::{Plan, TrainPlan};

/// Of a sum of rates.
const ROUNDING: f64 = 1e-9;

/// The plan of the second training. `best_step`: of the first.
pub(crate) fn plan(of: &Plan, best_step: u64) -> Plan {
    let train = &of.train;
    let examples = of.data.train + of.data.validation;
    let steps_per_epoch = planning::steps_per_epoch(examples, train.batch, train.accumulate);
    let longer = steps_per_epoch as f64 / train.steps_per_epoch as f64;
    let wanted = longer * rates(train, best_step);
    let (mut enough, mut too_few) = ((longer * train.steps as f64).round() as u64, 0);
    while too_few + 1 < enough {
        let steps = too_few.midpoint(enough);
        let reached = wanted <= rates(&of_steps(train, steps), steps) + ROUNDING;
        *(if reached { &mut enough } else { &mut too_few }) = steps;
    }
    let steps = if best_step == 0 { 0 } else { enough };
    let again = TrainPlan { steps_per_epoch, ..of_steps(train, steps) };
    Plan { train: again, ..of.clone() }
}

/// The same training in another number of steps.
fn of_steps(train: &TrainPlan, steps: u64) -> TrainPlan {
    let rising = train.warmup_steps as f64 / train.steps.max(1) as f64;
    let warmup_steps = (rising * steps as f64).ceil() as u64;
    TrainPlan { steps, warmup_steps, ..train.clone() }
}

/// What the learning rates of the first `steps` add up to, of a highest rate of 1.
fn rates(of: &TrainPlan, steps: u64) -> f64 {
    let rate = |step| learning_rate(of.schedule, 1.0, of.warmup_steps, of.steps, step);
    (0..steps).map(rate).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::tests::{plan_of, texts};

    #[test]
    fn as_much_learning_rate_as_validation_chose() {
        // 1000 training examples in 63 batches of 16, 100 of validation.
        let first = plan_of("", &texts());
        assert_eq!((first.train.steps_per_epoch, first.train.steps), (63, 630));
        let again = |best_step| plan(&first, best_step).train;
        let whole = again(630);
        assert_eq!((whole.steps_per_epoch, whole.steps, whole.warmup_steps), (69, 690, 42));
        // Where three passes of ten were chosen, the rate had not fallen by much.
        assert_eq!((again(3 * 63).steps, again(3 * 63).warmup_steps), (330, 20));
        assert_eq!(Plan { train: first.train.clone(), ..plan(&first, 630) }, first);
    }

    #[test]
    fn rates_of_every_schedule_add_up_to_what_they_had() {
        for schedule in ["constant", "linear", "cosine"] {
            let first = plan_of(&format!("train.schedule = '{schedule}'"), &texts());
            for best_step in [1, 63, 200, 567, 630] {
                let again = plan(&first, best_step).train;
                let wanted = 69.0 / 63.0 * rates(&first.train, best_step);
                let found = rates(&again, again.steps);
                assert!(
                    (found - wanted).abs() <= 1.0,
                    "{schedule}, {best_step}: {found}, {wanted}"
                );
            }
        }
    }

    #[test]
    fn a_probe_that_was_better_is_trained_for_no_step() {
        assert_eq!(plan(&plan_of("", &texts()), 0).train.steps, 0);
        assert_eq!(plan(&plan_of("train.method = 'probe'", &texts()), 0).train.steps, 0);
    }
}
