//! Gradient checkpointing (Chen et al. 2016): a part of a model keeps what it was given in place of
//! all that it computed, and runs once more when its gradients are wanted. Which parts do so is
//! left to the caller.

use crate::{Error, ffi};
use std::any::Any;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::Mutex;
use tch::{TchError, Tensor};
use torch_sys::C_tensor;

type Part = dyn FnMut(&Tensor, bool) -> Result<Tensor, TchError> + Send;
/// Graphs may be shared by threads, so a part is run by one at a time.
type Shared = Mutex<Box<Part>>;

/// What `part` gives for `input`, computed without a gradient graph. The backward pass computes it
/// once more, with a graph, and adds to the gradients of all parameters that it finds there;
/// `part`'s second argument is true then. Where `part` is a function of its input, the gradients
/// are those of `part(input)` bit for bit. What it owns is dropped with the graph.
///
/// It works where gradients are added up in leaves (`backward`); `Tensor::run_backward` for chosen
/// parameters of the part does not see them. While gradients are off, `part` just runs.
///
/// # Errors
/// Those of `part`; in the backward pass they come back from it. A panic is an error too.
pub fn checkpoint(
    input: &Tensor,
    part: impl FnMut(&Tensor, bool) -> Result<Tensor, TchError> + Send + 'static,
) -> Result<Tensor, Error> {
    let shared: Box<Shared> = Box::new(Mutex::new(Box::new(part)));
    let closure = Box::into_raw(shared).cast::<c_void>();
    // SAFETY: `input` outlives the call, and the node keeps a reference of its own; `closure` goes
    // to `release` once; the function stores a tensor when it returns null.
    unsafe {
        ffi::tensor(|out| ffi::finetuned_checkpoint(out, input.as_ptr(), closure, run, release))
    }
}

/// # Safety
/// `closure` is what [`checkpoint`] made, and not yet released; `x` points to a tensor; `out` can
/// be written to.
unsafe extern "C" fn run(
    closure: *mut c_void,
    again: bool,
    x: *const C_tensor,
    out: *mut *mut C_tensor,
) -> *mut c_char {
    // SAFETY: by the contract above it is a `Shared`, and only shared references to it exist.
    let shared = unsafe { &*closure.cast::<Shared>() };
    // SAFETY: by the contract above; the clone has a reference of its own.
    let x = unsafe { Tensor::clone_from_ptr(x.cast_mut()) };
    let done = catch_unwind(AssertUnwindSafe(|| {
        let mut part = shared.lock().map_err(|_| "it panicked before".to_string())?;
        part(&x, again).map_err(|err| err.to_string())
    }));
    match done {
        Ok(Ok(y)) => {
            let mut y = std::mem::ManuallyDrop::new(y);
            // SAFETY: by the contract above; the other side owns the tensor from now on.
            unsafe { *out = y.as_mut_ptr() };
            null_mut()
        }
        Ok(Err(text)) => ffi::message(&text),
        Err(panic) => ffi::message(&format!("a part of a model panicked: {}", words(&*panic))),
    }
}

/// # Safety
/// `closure` is what [`checkpoint`] made, and nobody uses it afterwards.
unsafe extern "C" fn release(closure: *mut c_void) {
    // SAFETY: by the contract above it is a `Shared` in a box.
    let shared = unsafe { Box::from_raw(closure.cast::<Shared>()) };
    // A destructor that panics must not unwind into C++.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(shared)));
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tch::{Device, Kind};

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn wave(shape: &[i64], slope: f64) -> Tensor {
        let numel = shape.iter().product::<i64>();
        Tensor::arange(numel, CPU).g_mul_scalar(slope).sin().view(shape).detach()
    }

    fn leaf(shape: &[i64], slope: f64) -> Tensor {
        wave(shape, slope).set_requires_grad(true)
    }

    /// A layer of a network, with what it computes on the way.
    fn layer(
        weight: &Tensor,
    ) -> impl FnMut(&Tensor, bool) -> Result<Tensor, TchError> + Send + use<> {
        let weight = weight.shallow_clone();
        move |xs, _| xs.f_matmul(&weight)?.f_tanh()?.f_gelu("none")
    }

    /// Gradients of input and weights through two layers and a loss, `passes` forward passes.
    fn gradients(checkpointed: bool, passes: usize) -> Vec<Tensor> {
        let (x, a, b) = (leaf(&[5, 7], 0.7), leaf(&[7, 11], 0.3), leaf(&[11, 3], 0.9));
        let mut loss = Tensor::zeros([], CPU);
        for _ in 0..passes {
            let ys = [&a, &b].into_iter().fold(x.shallow_clone(), |xs, weight| {
                if checkpointed {
                    checkpoint(&xs, layer(weight)).unwrap()
                } else {
                    layer(weight)(&xs, false).unwrap()
                }
            });
            loss += ys.square().sum(Kind::Float);
        }
        loss.backward();
        [x, a, b].iter().map(Tensor::grad).collect()
    }

    #[test]
    fn gradients_are_the_same_bit_for_bit() {
        // A forward pass may be made twice before its one backward pass.
        for passes in [1, 2] {
            let (with, without) = (gradients(true, passes), gradients(false, passes));
            assert!(with.iter().zip(&without).all(|(a, b)| a.equal(b)), "{passes}");
        }
    }

    #[test]
    fn parameters_learn_where_the_input_does_not() {
        let table = leaf(&[9, 4], 0.7);
        let ids = Tensor::from_slice(&[3_i64, 1, 3]);
        let look_up = |table: &Tensor| {
            let table = table.shallow_clone();
            move |ids: &Tensor, _: bool| Tensor::f_embedding(&table, ids, -1, false, false)
        };
        let rows = checkpoint(&ids, look_up(&table)).unwrap();
        assert!(rows.requires_grad());
        rows.square().sum(Kind::Float).backward();
        let once = table.grad().copy();
        let mut table = table;
        table.zero_grad();
        look_up(&table)(&ids, false).unwrap().square().sum(Kind::Float).backward();
        assert!(once.equal(&table.grad()));
    }

    #[test]
    fn a_part_runs_once_forward_and_once_again_and_is_dropped_with_the_graph() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = || {
            let (runs, mut layer) = (Arc::clone(&runs), layer(&leaf(&[4, 4], 0.7)));
            move |xs: &Tensor, again: bool| {
                runs.fetch_add(if again { 100 } else { 1 }, Ordering::SeqCst);
                layer(xs, again)
            }
        };
        let x = leaf(&[2, 4], 0.3);
        let y = checkpoint(&x, counted()).unwrap();
        assert_eq!((runs.load(Ordering::SeqCst), Arc::strong_count(&runs)), (1, 2));
        let loss = y.sum(Kind::Float);
        loss.backward();
        assert_eq!((runs.load(Ordering::SeqCst), Arc::strong_count(&runs)), (101, 1));
        let twice = loss.f_backward().unwrap_err().to_string();
        assert!(twice.contains("freed") || twice.contains("second time"), "{twice}");

        // Without a backward pass it is dropped with what it gave.
        drop(checkpoint(&x, counted()).unwrap());
        assert_eq!(Arc::strong_count(&runs), 1);
        let plain = tch::no_grad(|| checkpoint(&x, counted()).unwrap());
        assert!(!plain.requires_grad());
        assert_eq!(Arc::strong_count(&runs), 1);
    }

    #[test]
    fn errors_and_panics_come_back_as_errors() {
        let x = leaf(&[2, 4], 0.3);
        let refused = || TchError::Shape("no room".into());
        let at_once = checkpoint(&x, move |_, _| Err(refused())).unwrap_err();
        assert!(at_once.to_string().contains("no room"), "{at_once}");
        let panicked = checkpoint(&x, |_, _| panic!("out of paper")).unwrap_err();
        assert!(panicked.to_string().contains("out of paper"), "{panicked}");

        let later = |fail: fn() -> TchError| {
            let y = checkpoint(
                &x,
                move |xs: &Tensor, again: bool| {
                    if again { Err(fail()) } else { xs.f_tanh() }
                },
            );
            y.unwrap().sum(Kind::Float).f_backward().unwrap_err().to_string()
        };
        let shape = later(|| TchError::Shape("no room".into()));
        assert!(shape.contains("no room"), "{shape}");
        let panicked = later(|| panic!("out of paper"));
        assert!(panicked.contains("out of paper"), "{panicked}");
        // Nothing is left behind that a later pass would fall over.
        assert_eq!(gradients(true, 1).len(), 3);
    }
}
