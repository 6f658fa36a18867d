//! The learning rate at a step: the formulas of transformers' `get_*_schedule_with_warmup`.

use finetuned_job::recipe::Schedule;

/// Learning rate of update `step`, counted from 0, out of `steps`; `lr` is the highest one.
pub(crate) fn learning_rate(
    schedule: Schedule,
    lr: f64,
    warmup_steps: u64,
    steps: u64,
    step: u64,
) -> f64 {
    let (step, warmup, steps) = (step as f64, warmup_steps as f64, steps as f64);
    if step < warmup {
        return lr * step / warmup;
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
    /// num_training_steps=10)`.
    #[test]
    fn rates_are_those_of_transformers() {
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

    #[track_caller]
    fn check(schedule: Schedule, after_warmup: [f64; 6]) {
        let expected = [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0].into_iter().chain(after_warmup);
        for (step, expected) in expected.enumerate() {
            let actual = learning_rate(schedule, 1.0, 3, 10, step as u64);
            assert!(
                (actual - expected).abs() < 1e-11,
                "{schedule:?} at {step}: {actual}, not {expected}"
            );
        }
    }
}
