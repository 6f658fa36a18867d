//! The learning rate at a step: the formulas of transformers' `get_*_schedule_with_warmup`, but
//! for the rise, which begins above 0. There the first step has the rate 0 and trains nothing,
//! which is all of a run of one update.

use finetuned_job::recipe::Schedule;

/// Where the recipe says nothing: this part of all steps, and none where there are few of them,
/// of which a rise would cost a large part.
const WARMUP_DEFAULT: f64 = 0.06;
const STEPS_WARMED_UP_MIN: u64 = 20;

/// How many steps of the run rise to the highest learning rate; `asked` is the part of all steps
/// that the recipe says. Rounded up, as transformers does.
pub(crate) fn warmup_steps(asked: Option<f64>, steps: u64) -> u64 {
    let default = if steps < STEPS_WARMED_UP_MIN { 0.0 } else { WARMUP_DEFAULT };
    (asked.unwrap_or(default) * steps as f64).ceil() as u64
}

/// Learning rate of update `step`, counted from 0, out of `steps`; `lr` is the highest one. Above
/// 0 at every step.
pub(crate) fn learning_rate(
    schedule: Schedule,
    lr: f64,
    warmup_steps: u64,
    steps: u64,
    step: u64,
) -> f64 {
    let (step, warmup, steps) = (step as f64, warmup_steps as f64, steps as f64);
    if step < warmup {
        return lr * (step + 1.0) / (warmup + 1.0);
    }
    let left = (steps - step).max(0.0);
    let all = (steps - warmup).max(1.0);
    lr * match schedule {
        Schedule::Constant => 1.0,
        Schedule::Linear => left / all,
        Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * (step - warmup) / all).cos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with transformers 5.23.0: `get_scheduler(name, SGD(lr=1.0), num_warmup_steps=3,
    /// num_training_steps=10)`, the last seven.
    #[test]
    fn rates_after_the_rise_are_those_of_transformers() {
        check(
            Schedule::Linear,
            [
                0.857142857143,
                0.714285714286,
                0.571428571429,
                0.428571428571,
                0.285714285714,
                0.142857142857,
            ],
        );
        check(
            Schedule::Cosine,
            [
                0.950484433951,
                0.811744900929,
                0.611260466978,
                0.388739533022,
                0.188255099071,
                0.049515566049,
            ],
        );
        check(Schedule::Constant, [1.0; 6]);
    }

    #[test]
    fn no_step_has_rate_0() {
        for schedule in [Schedule::Constant, Schedule::Linear, Schedule::Cosine] {
            for (steps, warmup) in [(1, 0), (1, 1), (2, 1), (2, 2), (30, 0), (30, 2), (30, 30)] {
                for step in 0..steps {
                    let rate = learning_rate(schedule, 1.0, warmup, steps, step);
                    assert!(
                        0.0 < rate && rate <= 1.0,
                        "{schedule:?}, {warmup} of {steps}, at {step}: {rate}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_short_run_has_no_warmup_unless_the_recipe_says_so() {
        assert_eq!([1, 19, 20, 1000].map(|it| warmup_steps(None, it)), [0, 0, 2, 60]);
        assert_eq!([1, 19, 1000].map(|it| warmup_steps(Some(0.1), it)), [1, 2, 100]);
        assert_eq!(warmup_steps(Some(0.0), 1000), 0);
    }

    #[track_caller]
    fn check(schedule: Schedule, after_warmup: [f64; 6]) {
        let expected = [0.25, 0.5, 0.75, 1.0].into_iter().chain(after_warmup);
        for (step, expected) in expected.enumerate() {
            let actual = learning_rate(schedule, 1.0, 3, 10, step as u64);
            assert!(
                (actual - expected).abs() < 1e-11,
                "{schedule:?} at {step}: {actual}, not {expected}"
            );
        }
    }
}
