//! Dropout whose noise is a function and not a stream: whether element i is kept depends on (seed,
//! stream, i) alone. So a resumed run draws what the first one drew, threads do not matter, and the
//! backward pass makes the mask again instead of keeping it. Which numbers name a place in a model
//! is left to the caller.

use crate::{Error, ffi};
use tch::Tensor;

/// `x` with each element zeroed with probability `p` and the others multiplied by `1 / (1 - p)`;
/// same shape.
///
/// `seed` and `stream` name the mask: two calls with other numbers have independent ones. i counts
/// elements in row-major order. The mask is the same on every device and in every kind; contiguous
/// fp32 on the CPU is one pass over memory, all else goes through about twenty tensor operations on
/// 64-bit integers. `p` = 0 gives `x` itself. Differentiable (any order); keeps no tensor for the
/// backward pass.
///
/// # Panics As [`f_dropout`] fails.
pub fn dropout(x: &Tensor, p: f64, seed: u64, stream: u64) -> Tensor {
    f_dropout(x, p, seed, stream).expect("dropout")
}

/// [`dropout`] for numbers that come from a file.
///
/// # Errors
/// `p` outside of 0 to 1, or `x` not of a floating-point kind.
pub fn f_dropout(x: &Tensor, p: f64, seed: u64, stream: u64) -> Result<Tensor, Error> {
    // SAFETY: `x` outlives the call; no residual is given; the function stores a tensor when it
    // returns null.
    unsafe {
        ffi::tensor(|out| {
            ffi::finetuned_dropout(out, x.as_ptr(), std::ptr::null(), p, seed, stream)
        })
    }
}

/// `dropout(x) + residual` in one pass; the mask is that of [`dropout`] with the same numbers.
///
/// # Panics
/// As [`f_dropout_add`] fails.
pub fn dropout_add(x: &Tensor, residual: &Tensor, p: f64, seed: u64, stream: u64) -> Tensor {
    f_dropout_add(x, residual, p, seed, stream).expect("dropout_add")
}

/// [`dropout_add`] for shapes and numbers that come from a file.
///
/// # Errors
/// As [`f_dropout`]; also when the two tensors differ in shape (nothing is broadcast) or kind.
pub fn f_dropout_add(
    x: &Tensor,
    residual: &Tensor,
    p: f64,
    seed: u64,
    stream: u64,
) -> Result<Tensor, Error> {
    // SAFETY: both tensors outlive the call; the function stores a tensor when it returns null.
    unsafe {
        ffi::tensor(|out| {
            ffi::finetuned_dropout(out, x.as_ptr(), residual.as_ptr(), p, seed, stream)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    /// 1 where an element of `n` is kept, else 0.
    fn mask(n: i64, p: f64, seed: u64, stream: u64) -> Tensor {
        dropout(&Tensor::ones([n], CPU), p, seed, stream).ne(0.0).to_kind(Kind::Double)
    }

    /// Values of both signs. Not from the generator: its state is another test's subject.
    fn wave(shape: &[i64]) -> Tensor {
        Tensor::arange(shape.iter().product::<i64>(), CPU)
            .g_mul_scalar(0.7)
            .sin()
            .view(shape)
            .detach()
    }

    /// Pearson's correlation of two masks, in units of its standard deviation under independence.
    fn correlation(a: &Tensor, b: &Tensor) -> f64 {
        let (da, db) = (a - a.mean(Kind::Double), b - b.mean(Kind::Double));
        let covariance = (&da * &db).mean(Kind::Double).double_value(&[]);
        let variance = da.square().mean(Kind::Double).double_value(&[])
            * db.square().mean(Kind::Double).double_value(&[]);
        covariance / variance.sqrt() * (a.numel() as f64).sqrt()
    }

    #[test]
    fn survivors_are_scaled_and_the_rate_is_right() {
        let n = 1 << 22;
        for p in [0.01, 0.1, 0.5, 0.9] {
            for stream in 0..8 {
                let y = dropout(&Tensor::ones([n], CPU), p, 7, stream);
                let survivors = y.ne(0.0);
                let rate = survivors.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
                let sigma = (p * (1.0 - p) / n as f64).sqrt();
                assert!(
                    (rate - (1.0 - p)).abs() < 5.0 * sigma,
                    "p {p}, stream {stream}: kept {rate}"
                );
                let scale = Tensor::full_like(&y, 1.0 / (1.0 - p));
                assert!(y.where_self(&survivors, &scale).equal(&scale));
            }
        }
    }

    #[test]
    fn neighbours_are_independent() {
        for (seed, stream) in [(0, 0), (0, 1), (1, 0), (123_456_789, 42)] {
            let m = mask(1 << 20, 0.1, seed, stream);
            for lag in [1, 2, 3, 4, 8, 16, 64, 150, 384, 1536, 1 << 16] {
                let (a, b) = (
                    m.narrow(0, 0, m.numel() as i64 - lag),
                    m.narrow(0, lag, m.numel() as i64 - lag),
                );
                let z = correlation(&a, &b);
                assert!(z.abs() < 5.0, "seed {seed}, stream {stream}, lag {lag}: {z} sigma");
            }
        }
    }

    #[test]
    fn streams_and_seeds_are_independent() {
        let masks: Vec<Tensor> = (0..6)
            .flat_map(|seed| (0..6).map(move |stream| mask(1 << 18, 0.3, seed, stream)))
            .collect();
        for (i, a) in masks.iter().enumerate() {
            for (j, b) in masks[..i].iter().enumerate() {
                let z = correlation(a, b);
                assert!(z.abs() < 5.5, "masks {i} and {j}: {z} sigma");
            }
        }
    }

    #[test]
    fn one_place_over_many_streams_is_a_fair_coin() {
        // What one unit of a model sees over its training: same index, stream after stream.
        let rows: Vec<Tensor> = (0..4096).map(|stream| mask(64, 0.25, 3, stream)).collect();
        let survivors = Tensor::stack(&rows, 0);
        let z =
            (survivors.mean_dim(0, false, Kind::Double) - 0.75) / (0.75f64 * 0.25 / 4096.0).sqrt();
        assert!(z.abs().max().double_value(&[]) < 5.0);
        let z = correlation(
            &survivors.narrow(0, 0, 4095).reshape([-1]),
            &survivors.narrow(0, 1, 4095).reshape([-1]),
        );
        assert!(z.abs() < 5.0, "a stream and the next: {z} sigma");
    }

    #[test]
    fn threads_do_not_matter() {
        let x = Tensor::ones([1_000_003], CPU);
        let threads = tch::get_num_threads();
        let several = dropout(&x, 0.1, 5, 6);
        tch::set_num_threads(1);
        let one = dropout(&x, 0.1, 5, 6);
        tch::set_num_threads(threads);
        assert!(one.equal(&several));
    }

    #[test]
    fn every_kind_has_the_same_mask() {
        let x = Tensor::ones([3, 1000, 7], CPU);
        let fast = dropout(&x, 0.2, 9, 1).ne(0.0);
        for kind in [Kind::Double, Kind::BFloat16, Kind::Half] {
            let plain = dropout(&x.to_kind(kind), 0.2, 9, 1);
            assert_eq!(plain.kind(), kind);
            assert!(plain.ne(0.0).equal(&fast), "{kind:?}");
        }
        let turned = x.permute([2, 0, 1]);
        assert!(dropout(&turned, 0.2, 9, 1).equal(&dropout(&turned.contiguous(), 0.2, 9, 1)));
    }

    #[test]
    fn the_gradient_is_the_mask_times_the_scale_times_what_comes_in() {
        let x = wave(&[50, 2000]).set_requires_grad(true);
        let (p, incoming) = (0.1, wave(&[50, 2000]));
        let y = dropout(&x, p, 11, 12);
        let grad = Tensor::run_backward(&[(&y * &incoming).sum(Kind::Float)], &[&x], false, false)
            .remove(0);
        let expected = tch::no_grad(|| {
            mask(100_000, p, 11, 12).to_kind(Kind::Float).view([50, 2000])
                * (1.0 / (1.0 - p) as f32 as f64)
                * &incoming
        });
        assert!(grad.allclose(&expected, 1e-6, 0.0, false));
        assert!(tch::no_grad(|| dropout(&incoming, p, 11, 12)).equal(&grad));
    }

    #[test]
    fn dropout_add_is_dropout_and_a_sum_in_both_directions() {
        let x = wave(&[32, 150, 64]).set_requires_grad(true);
        let r = wave(&[32, 150, 64]).set_requires_grad(true);
        let weight = wave(&[32, 150, 64]);
        let fused = dropout_add(&x, &r, 0.1, 1, 2);
        let plain = dropout(&x, 0.1, 1, 2) + &r;
        assert!(fused.equal(&plain));
        let grads = |y: Tensor| {
            Tensor::run_backward(&[(y * &weight).sum(Kind::Float)], &[&x, &r], false, false)
        };
        for (a, b) in grads(fused).iter().zip(grads(plain)) {
            assert!(a.equal(&b));
        }
        let only_residual = dropout_add(&x.detach(), &r, 0.1, 1, 2);
        assert!(
            Tensor::run_backward(&[only_residual.sum(Kind::Float)], &[&r], false, false)[0]
                .equal(&Tensor::ones_like(&r))
        );
    }

    #[test]
    fn the_ends_of_the_range_and_beyond() {
        let x = wave(&[100]);
        assert_eq!(dropout(&x, 0.0, 1, 1).data_ptr(), x.data_ptr());
        assert!(dropout(&x, 1.0, 1, 1).equal(&Tensor::zeros([100], CPU)));
        assert_eq!(dropout(&Tensor::zeros([0, 3], CPU), 0.1, 1, 1).size(), [0, 3]);
        let message = |it: Result<Tensor, Error>| it.unwrap_err().to_string();
        assert_eq!(
            message(f_dropout(&x, 1.5, 1, 1)),
            "libtorch: dropout probability has to be between 0 and 1, but got 1.5"
        );
        assert_eq!(
            message(f_dropout_add(&x, &x.narrow(0, 0, 9), 0.5, 1, 1)),
            "libtorch: dropout_add: x has the shape [100], the residual [9]"
        );
    }
}
