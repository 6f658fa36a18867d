//! Decides how exactly matrices are multiplied in training, where the recipe leaves it open: by the
//! time that a step takes either way. Everything that is scored, cached or saved is fp32.

use crate::estimate::Sample;
use crate::learner::Learner;
use anyhow::Result;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::Plan;
use finetuned_job::recipe::Precision;
use std::time::Duration;

/// Each way is timed so often at most, in turn, and its shortest time counts.
const TIMES: usize = 3;
/// Steps longer than this are told apart at once.
const LONG: Duration = Duration::from_secs(1);
/// What is saved below this is not worth a choice that another machine might not repeat.
const GAIN: f64 = 1.2;
/// Steps shorter than this cannot be told apart, and end soon anyway.
const SHORTEST: Duration = Duration::from_millis(10);

/// Puts into plan and learner what the recipe asks for or, where it leaves that open, what is
/// faster. No tensor has changed when this returns.
///
/// # Errors
/// The recipe asks for bf16, and the device does not multiply in it.
pub(crate) fn settle(learner: &mut Learner, plan: &mut Plan, sample: &Sample) -> Result<()> {
    let rounds = finetuned_libtorch::rounds_factors(learner.network.device)?;
    // What runs once, before training, is exact.
    let nothing_to_gain = !rounds || sample.only_head(learner) || plan.train.steps == 0;
    plan.train.precision = match plan.train.precision {
        Precision::Bf16 if !rounds => {
            let message = "train.precision is `bf16`, but on this processor libtorch does not multiply in bf16, for which it wants AMX";
            let cure = "leave it out of the recipe: the faster precision is found by itself";
            return Err(Failure::new(FailureKind::Recipe, message).with_cure(cure).into());
        }
        Precision::Auto if nothing_to_gain => Precision::Fp32,
        Precision::Auto => faster(learner, sample)?,
        asked => asked,
    };
    learner.set_precision(plan.train.precision);
    Ok(())
}

fn faster(learner: &mut Learner, sample: &Sample) -> Result<Precision> {
    let examples = sample.ordinary();
    let mut step = |precision| -> Result<Duration> {
        learner.set_precision(precision);
        let [_, in_each_epoch] = sample.step(learner, &examples)?;
        Ok(in_each_epoch)
    };
    let ways = [Precision::Fp32, Precision::Bf16];
    for way in ways {
        step(way)?; // the first calls set up threads and kernels
    }
    let mut shortest = [Duration::MAX; 2];
    for _ in 0..TIMES {
        for (way, shortest) in ways.into_iter().zip(&mut shortest) {
            *shortest = step(way)?.min(*shortest);
        }
        if shortest.iter().all(|it| LONG < *it) {
            break;
        }
    }
    Ok(chosen(shortest))
}

/// Of the shortest steps in fp32 and in bf16.
fn chosen([fp32, bf16]: [Duration; 2]) -> Precision {
    if fp32 < SHORTEST || fp32.as_secs_f64() < GAIN * bf16.as_secs_f64() {
        Precision::Fp32
    } else {
        Precision::Bf16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_for_steps_that_are_clearly_faster() {
        let of = |fp32, bf16| chosen([fp32, bf16].map(Duration::from_millis));
        assert_eq!(of(100, 50), Precision::Bf16);
        assert_eq!(of(100, 90), Precision::Fp32);
        assert_eq!(of(100, 200), Precision::Fp32);
        assert_eq!(of(9, 1), Precision::Fp32, "too short to be told apart");
    }
}
