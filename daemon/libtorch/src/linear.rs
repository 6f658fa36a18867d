//! Linear maps, and how exactly they multiply. When that may be inexact is left to the worker.

use crate::{Error, ffi};
use tch::{Device, Kind, Tensor};

/// `x` (.., inputs) times `weight` (outputs, inputs), and `bias` (outputs): as
/// `torch.nn.functional.linear`. Made while a [`RoundedFactors`] lives, the product and those of
/// its gradients are rounded; these can't be differentiated once more.
///
/// For an `x` of fp32, a weight that never trains may be stored in bf16 or fp16: it is widened for
/// each product, and the result is that of the widened weight to the bit.
///
/// # Errors
/// What libtorch refuses: other shapes; a weight of half the bits that requires gradients.
pub fn f_linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, Error> {
    let bias = bias.map_or(std::ptr::null(), Tensor::as_ptr);
    // SAFETY: the tensors are borrowed for longer than the call, which stores a new tensor when it
    // returns null.
    unsafe { ffi::tensor(|out| ffi::finetuned_linear(out, x.as_ptr(), weight.as_ptr(), bias)) }
}

/// While it lives, linear maps of fp32 round what they multiply: to bf16 on the CPU, to TF32 on
/// CUDA, as PyTorch's `torch.set_float32_matmul_precision("medium")` has it for all products; those
/// of fewer than 32 outputs, such as heads, stay as they are.
/// Sums, results and all else stay fp32. On a processor that does not multiply in bf16 nothing
/// changes; see [`rounds_factors`]. It is one switch for the process: a second of them is not made
/// while the first lives.
#[derive(Debug)]
pub struct RoundedFactors(());

impl RoundedFactors {
    #[expect(clippy::new_without_default, reason = "it acts by living")]
    pub fn new() -> RoundedFactors {
        // SAFETY: writes an atomic; no arguments in memory.
        unsafe { ffi::finetuned_round_factors(true) };
        RoundedFactors(())
    }
}

impl Drop for RoundedFactors {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { ffi::finetuned_round_factors(false) };
    }
}

/// Whether this device rounds factors where it may.
///
/// # Errors
/// What libtorch refuses.
pub fn rounds_factors(device: Device) -> Result<bool, Error> {
    /// Smaller matrices are multiplied as they are.
    const SIZE: i64 = 64;
    /// Needs more bits than bf16 and TF32 have.
    const FINE: f64 = 1.0 + 1.0 / 4096.0;
    let _rounded = RoundedFactors::new();
    let fine = Tensor::full([SIZE, SIZE], FINE, (Kind::Float, device));
    let sums = f_linear(&fine, &Tensor::ones([SIZE, SIZE], (Kind::Float, device)), None)?;
    Ok(sums.double_value(&[0, 0]) == SIZE as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// The switch is the process's: one test has it at a time.
    fn alone() -> MutexGuard<'static, ()> {
        static SWITCH: Mutex<()> = Mutex::new(());
        SWITCH.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Output and gradients of x, weight and bias.
    fn all_of(seed: i64, map: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor) -> Vec<Tensor> {
        tch::manual_seed(seed);
        let leaf =
            |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let (x, weight, bias) = (leaf(&[3, 32, 64]), leaf(&[96, 64]), leaf(&[96]));
        let y = map(&x, &weight, &bias);
        (&y * Tensor::arange(96, (Kind::Float, Device::Cpu)).cos()).sum(Kind::Float).backward();
        vec![y.detach(), x.grad(), weight.grad(), bias.grad()]
    }

    fn ours(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
        f_linear(x, weight, Some(bias)).unwrap()
    }

    fn farthest(a: &[Tensor], b: &[Tensor]) -> f64 {
        let off =
            |(a, b): (&Tensor, &Tensor)| ((a - b).abs().max() / b.abs().max()).double_value(&[]);
        a.iter().zip(b).map(off).fold(0.0, f64::max)
    }

    #[test]
    fn factors_are_rounded_only_while_it_is_allowed() {
        let _alone = alone();
        let exact = all_of(1, |x, weight, bias| x.linear(weight, Some(bias)));
        let rounded = {
            let _rounded = RoundedFactors::new();
            all_of(1, ours)
        };
        assert!(rounded.iter().all(|it| it.kind() == Kind::Float));
        // bf16 has 8 bits.
        let off = farthest(&rounded, &exact);
        assert!(off < 1.0 / 128.0, "{off}");
        assert_eq!(rounds_factors(Device::Cpu).unwrap(), 0.0 < off);
        assert_eq!(farthest(&all_of(1, ours), &exact), 0.0, "afterwards all is exact");
    }

    #[test]
    fn a_weight_of_half_the_bits_is_widened_for_each_product() {
        let _alone = alone();
        tch::manual_seed(2);
        let bias = Tensor::randn([96], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let stored = Tensor::randn([96, 64], (Kind::BFloat16, Device::Cpu));
        for size in [&[1, 64][..], &[33, 64], &[3, 32, 64]] {
            let x = Tensor::randn(size, (Kind::Float, Device::Cpu)).set_requires_grad(true);
            let all = |weight: &Tensor| {
                let y = f_linear(&x, weight, Some(&bias)).unwrap();
                let sum =
                    (&y * Tensor::arange(96, (Kind::Float, Device::Cpu)).cos()).sum(Kind::Float);
                let grads = Tensor::run_backward(&[sum], &[&x, &bias], false, false);
                grads.into_iter().chain([y.detach()]).collect::<Vec<_>>()
            };
            let (packed, wide) = (all(&stored), all(&stored.to_kind(Kind::Float)));
            assert!(packed.iter().zip(&wide).all(|(a, b)| a.equal(b)), "{size:?}");
            let _rounded = RoundedFactors::new();
            assert!(farthest(&all(&stored), &wide) < 1.0 / 32.0, "{size:?}");
        }
        let trains = stored.set_requires_grad(true);
        assert!(
            f_linear(&Tensor::ones([2, 64], (Kind::Float, Device::Cpu)), &trains, None).is_err()
        );
    }

    /// Rows that are filled up to a number that was compiled for.
    #[test]
    fn any_number_of_rows_is_multiplied() {
        let _alone = alone();
        let _rounded = RoundedFactors::new();
        let weight = Tensor::randn([80, 64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        for rows in [1, 63, 64, 71, 333] {
            let x = Tensor::randn([rows, 64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
            let (ours, exact) =
                (f_linear(&x, &weight, None).unwrap(), x.linear(&weight, None::<&Tensor>));
            assert_eq!(ours.size(), [rows, 80]);
            assert!(ours.is_contiguous());
            let gradients = |y: &Tensor| {
                let slopes = Tensor::arange(80, (Kind::Float, Device::Cpu)).cos();
                let sum = (y * slopes).sum(Kind::Float);
                let all = Tensor::run_backward(&[sum], &[&x, &weight], false, false);
                all.into_iter().chain([y.detach()]).collect::<Vec<_>>()
            };
            let off = farthest(&gradients(&ours), &gradients(&exact));
            assert!(off < 1.0 / 32.0, "{rows} rows: {off}");
        }
    }

    #[test]
    fn what_needs_no_gradient_gets_none() {
        let _alone = alone();
        let _rounded = RoundedFactors::new();
        let x = Tensor::ones([64, 64], (Kind::Float, Device::Cpu));
        let weight = Tensor::ones([64, 64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        f_linear(&x, &weight, None).unwrap().sum(Kind::Float).backward();
        assert_eq!(weight.grad().double_value(&[5, 5]), 64.0);
        assert!(!tch::no_grad(|| f_linear(&x, &weight, None).unwrap()).requires_grad());
        assert!(f_linear(&x, &Tensor::ones([2, 3], (Kind::Float, Device::Cpu)), None).is_err());
    }
}
