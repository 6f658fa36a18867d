//! What belongs to the whole process: random generators, elementary functions, denormal numbers,
//! the memory of tensors, the version.

use crate::{Error, ffi};
use tch::{Kind, Tensor};

/// State of the default generators: the CPU's, then those of the CUDA devices if there are any.
/// (bytes) of u8.
///
/// # Errors What libtorch refuses.
pub fn generator_state() -> Result<Tensor, Error> {
    // SAFETY: the function stores a new tensor when it returns null.
    unsafe { ffi::tensor(|out| ffi::finetuned_generator_state(out)) }
}

/// Puts back what [`generator_state`] gave. Devices that it knows nothing of keep their state.
///
/// # Errors
/// A tensor that is no generator state of this libtorch.
pub fn set_generator_state(state: &Tensor) -> Result<(), Error> {
    // SAFETY: the tensor is borrowed for longer than the call.
    unsafe { ffi::check(ffi::finetuned_set_generator_state(state.as_ptr())) }
}

/// Whether numbers too small for their exponent become 0, in this thread and in the threads of
/// libtorch's pool. Arithmetic with such numbers takes a hundred times as long on many processors.
/// False: this processor has no such switch.
pub fn flush_denormal(on: bool) -> bool {
    // SAFETY: no arguments in memory; the function throws nothing.
    unsafe { ffi::finetuned_flush_denormal(on) }
}

/// Elementary functions (exp, log, erf, ...) that two threads call at once before anything called
/// them are wrong in the fourth digit in one of the threads: MKL chooses the code of each at its
/// first call, and a thread that comes meanwhile gets that of its coarsest mode. Of 240 processes
/// of two threads on a busy machine it happened to one, of 240 proofs of a small model to four.
/// After this each was called, by one thread.
///
/// # Errors
/// What libtorch refuses.
pub fn begin_functions() -> Result<(), Error> {
    type Function = fn(&Tensor) -> Result<Tensor, tch::TchError>;
    // Those that libtorch takes from MKL (ATen/cpu/vml.h).
    let all: [Function; 20] = [
        Tensor::f_acos,
        Tensor::f_asin,
        Tensor::f_atan,
        Tensor::f_cos,
        Tensor::f_cosh,
        Tensor::f_erf,
        Tensor::f_erfc,
        Tensor::f_erfinv,
        Tensor::f_exp,
        Tensor::f_expm1,
        Tensor::f_lgamma,
        Tensor::f_log,
        Tensor::f_log10,
        Tensor::f_log1p,
        Tensor::f_log2,
        Tensor::f_sin,
        Tensor::f_sinh,
        Tensor::f_sqrt,
        Tensor::f_tan,
        Tensor::f_tanh,
    ];
    for kind in [Kind::Float, Kind::Double] {
        // A single number is never divided between threads.
        let half = Tensor::from_slice(&[0.5]).to_kind(kind);
        for function in all {
            let _value = function(&half).map_err(|err| Error::Torch(err.to_string()))?;
        }
    }
    Ok(())
}

/// Tensors of a megabyte or more on the CPU, made from now on, have their memory from a pool. What
/// they free is not returned to the system, to be faulted in anew by every step, but used again, in
/// parts and joined with its neighbours; yet never more is kept than makes the process an eighth
/// larger than its tensors were at most.
///
/// A run of EfficientNet-Lite0 (batch 32, 224 pixels, 3 steps, gradient checkpointing): 11.3 s and
/// 1.36 GB; with all freed memory kept in glibc's heap 11.6 s and 2.60 GB; with glibc as it is 13 %
/// longer and 2.0 GB.
pub fn pool_memory() {
    // SAFETY: no arguments; blocks that libtorch's own allocator gave out know how they are freed.
    unsafe { ffi::finetuned_pool_memory() }
}

/// Whether a failure with this message is for want of memory. On the CPU the pool of
/// [`pool_memory`] knows: it is what was refused, and a refusal ends a run. Of CUDA's
/// `c10::OutOfMemoryError` tch passes on the text alone, so that one is known by how libtorch
/// begins it; the observer of its allocator is in a library that a libtorch for the CPU lacks. What
/// libraries below libtorch are refused by `new` is `std::bad_alloc`, whose text is its name.
pub fn out_of_memory(message: &str) -> bool {
    // SAFETY: reads an atomic; no arguments.
    let refused = unsafe { ffi::finetuned_memory_refused() };
    let by_text = ["CUDA out of memory. Tried to", "std::bad_alloc"];
    refused || by_text.iter().any(|it| message.contains(it))
}

/// Version of the libtorch that is loaded: `2.13.0`.
pub fn version() -> String {
    // SAFETY: a constant of the library.
    let packed = unsafe { ffi::finetuned_version() };
    let [major, minor, patch, ..] = packed.to_be_bytes();
    format!("{major}.{minor}.{patch}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn a_generator_continues_where_it_was_saved() {
        let saved = generator_state().unwrap();
        assert_eq!(saved.kind(), Kind::Uint8);
        let draw = || Tensor::randn([100], (Kind::Float, Device::Cpu));
        let first = draw();
        assert!(!draw().equal(&first));
        set_generator_state(&saved).unwrap();
        assert!(draw().equal(&first));
    }

    #[test]
    fn what_is_no_generator_state_is_refused() {
        let message = |it: &Tensor| set_generator_state(it).unwrap_err().to_string();
        assert_eq!(
            message(&Tensor::from_slice(&[1.0f32])),
            "libtorch: a generator state is a row of bytes"
        );
        let length = generator_state().unwrap().numel();
        assert_eq!(
            message(&Tensor::from_slice(&[1u8, 2])),
            format!("libtorch: a generator state ends after 2 of {length} bytes")
        );
    }

    #[test]
    fn denormal_numbers_are_flushed_on_request() {
        // Larger than what one thread takes alone, so that the pool's threads work too.
        let halves = || {
            (Tensor::full([1 << 20], 1.5e-38, (Kind::Float, Device::Cpu)) * 0.25)
                .count_nonzero(None)
                .int64_value(&[])
        };
        assert!(flush_denormal(true));
        assert_eq!(halves(), 0);
        assert!(flush_denormal(false));
        assert_eq!(halves(), 1 << 20);
    }

    #[test]
    fn the_version_is_the_one_that_tch_expects() {
        assert_eq!(version(), "2.13.0");
    }
}
