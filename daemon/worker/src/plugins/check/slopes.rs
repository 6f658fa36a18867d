//! Gradients held against finite differences: the slope of a scalar along random directions, by
//! central differences with two steps. Numbers are fp32, so the steps are large; where the two
//! slopes disagree, the function has a kink or bends too much there, and the direction says
//! nothing.

use super::teller::Fault;
use tch::{Kind, Tensor};

/// Directions tried for each tensor.
const DIRECTIONS: u32 = 8;
/// Steps along a direction of length 1. The error of a central difference goes with the square, the
/// rounding of fp32 with the inverse.
const STEPS: [f64; 2] = [2e-2, 1e-2];
/// Two slopes that differ by more, beside their size, were taken across a kink.
const AGREE: f64 = 0.02;
/// The gradient may differ from the slope by so much, beside their size.
const TOLERANCE: f64 = 0.05;

/// Largest difference seen, and how many directions said something; `f` gives the scalar for the
/// values that `at` has at the moment, `gradient` is what backward gave for it.
pub(super) fn compare(
    at: &Tensor,
    gradient: &Tensor,
    mut f: impl FnMut() -> Result<f64, Fault>,
) -> Result<(f64, u32), Fault> {
    let held = at.detach().copy();
    let mut measure = |direction: &Tensor, step: f64| -> Result<f64, Fault> {
        let moved = held.f_add(&direction.f_mul_scalar(step)?)?;
        tch::no_grad(|| at.shallow_clone().f_copy_(&moved))?;
        let value = f();
        tch::no_grad(|| at.shallow_clone().f_copy_(&held))?;
        value
    };
    let (mut worst, mut reported) = (0.0f64, 0);
    for _ in 0..DIRECTIONS {
        let direction = Tensor::f_randn_like(&held)?;
        let direction = direction.f_div(&direction.f_norm()?.f_clamp_min(1e-12)?)?;
        let slope = |a: f64, b: f64, step: f64| (a - b) / (2.0 * step);
        let mut slopes = [0.0; 2];
        for (found, step) in slopes.iter_mut().zip(STEPS) {
            *found = slope(measure(&direction, step)?, measure(&direction, -step)?, step);
        }
        let [coarse, fine] = slopes;
        let scale = 0.1 + coarse.abs().max(fine.abs());
        if AGREE * scale < (coarse - fine).abs() {
            continue;
        }
        let claimed = gradient.f_mul(&direction)?.f_sum(Kind::Double)?.f_double_value(&[])?;
        reported += 1;
        worst = worst.max((claimed - fine).abs() / (0.1 + claimed.abs().max(fine.abs())));
    }
    Ok((worst, reported))
}

/// The sentence about one tensor, or the figure.
pub(super) fn judge(
    of: &str,
    at: &Tensor,
    f: impl FnMut() -> Result<f64, Fault>,
) -> Result<Option<f64>, Fault> {
    let gradient = at.grad();
    if !gradient.defined() {
        return Err(format!("{of} gets no gradient").into());
    }
    let (worst, reported) = compare(at, &gradient.copy(), f)?;
    if TOLERANCE < worst {
        return Err(format!(
            "the gradient of {of} differs from finite differences by {:.0} %",
            worst * 100.0
        )
        .into());
    }
    Ok((reported != 0).then_some(worst))
}
