//! Numbers that new tensors begin with: a function of the seed, the name and the place alone.
//! libtorch's generator would depend on what else is drawn, and on the device.

use tch::{TchError, Tensor};

/// Normally distributed.
pub(crate) fn normal(
    seed: u64,
    name: &str,
    shape: &[i64],
    deviation: f64,
) -> Result<Tensor, TchError> {
    let draw = draws(seed, name);
    // Box and Muller 1958.
    drawn(shape, |it| {
        deviation
            * (-2.0 * draw(2 * it).ln()).sqrt()
            * (std::f64::consts::TAU * draw(2 * it + 1)).cos()
    })
}

/// Evenly distributed between `-bound` and `bound`.
pub(crate) fn uniform(
    seed: u64,
    name: &str,
    shape: &[i64],
    bound: f64,
) -> Result<Tensor, TchError> {
    let draw = draws(seed, name);
    drawn(shape, |it| bound * (2.0 * draw(it) - 1.0))
}

/// A number that tells names apart.
pub(crate) fn stream(seed: u64, name: &str) -> u64 {
    name.bytes().fold(mix(seed), |state, byte| mix(state ^ u64::from(byte)))
}

/// Index -> a number in (0, 1]: its logarithm is taken.
fn draws(seed: u64, name: &str) -> impl Fn(u64) -> f64 {
    let stream = stream(seed, name);
    move |index| ((mix(stream ^ mix(index)) >> 11) + 1) as f64 / (1u64 << 53) as f64
}

fn drawn(shape: &[i64], value: impl Fn(u64) -> f64) -> Result<Tensor, TchError> {
    let numel: i64 = shape.iter().product();
    let values: Vec<f32> = (0..numel as u64).map(|it| value(it) as f32).collect();
    Tensor::f_from_slice(&values)?.f_view(shape)
}

/// SplitMix64's step (Steele, Lea and Flood 2014).
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
