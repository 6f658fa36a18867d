//! What a process takes of the system, for `pool_memory` and `checkpoint`: so this is a program.

use tch::{Device, Kind, Tensor};

const MB: i64 = 1 << 20;

/// Bytes of physical memory in use, without those of files: how much of libtorch itself is mapped
/// by the first backward pass depends on what else the machine does.
fn resident() -> i64 {
    const PAGE: i64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: Vec<i64> = statm.split_whitespace().map(|it| it.parse().unwrap()).collect();
    (pages[1] - pages[2]) * PAGE
}

/// So many bytes, every one of them written.
fn tensor(bytes: i64) -> Tensor {
    Tensor::ones([bytes / 4], (Kind::Float, Device::Cpu))
}

fn address(it: &Tensor) -> usize {
    it.data_ptr() as usize
}

#[track_caller]
fn about(found: i64, expected: i64) {
    assert!((found - expected).abs() < 16 * MB, "{} MB in place of {}", found / MB, expected / MB);
}

/// Of a part whose graph keeps two tensors beside its result: only the result is kept, and the
/// input, which is there anyway; after the backward pass nothing is.
fn what_a_checkpoint_keeps() {
    let part = |xs: &Tensor, _: bool| xs.f_sin()?.f_tanh()?.f_sigmoid()?.f_square();
    let x = tensor(64 * MB).set_requires_grad(true);
    let start = resident();
    let plain = part(&x, false).unwrap();
    about(resident() - start, 3 * 64 * MB);
    drop(plain);
    about(resident() - start, 0);
    let y = finetuned_libtorch::checkpoint(&x, part).unwrap();
    about(resident() - start, 64 * MB);
    let loss = y.sum(Kind::Float);
    drop(y);
    loss.backward();
    about(resident() - start, 64 * MB); // the input's gradient
}

fn main() {
    let before = resident();
    drop(tensor(256 * MB));
    about(resident() - before, 0); // libtorch's own allocator gives it back

    what_a_checkpoint_keeps();

    finetuned_libtorch::pool_memory();
    let start = resident();
    let taken = || resident() - start;
    let whole = tensor(256 * MB);
    let place = address(&whole);
    drop(whole);
    about(taken(), 256 * MB);

    // In parts, which lie where the whole lay.
    let parts: Vec<Tensor> = (0..4).map(|_| tensor(64 * MB)).collect();
    assert!(parts.iter().all(|it| (place..place + 256 * MB as usize).contains(&address(it))));
    about(taken(), 256 * MB);

    // Freed in any order they are the whole again.
    let mut parts = parts;
    [2, 0, 1, 0].into_iter().for_each(|it| drop(parts.remove(it)));
    let again = tensor(256 * MB);
    assert_eq!(address(&again), place);
    about(taken(), 256 * MB);

    // What does not fit takes the place of what waits: the process grows by an eighth of what it
    // needs at most.
    drop(again);
    let larger = tensor(320 * MB);
    about(taken(), 360 * MB);
    drop(larger);
    about(taken(), 360 * MB);
    let holes: Vec<Tensor> = (0..10).map(|_| tensor(30 * MB)).collect();
    about(taken(), 360 * MB);
    drop(holes);
    let small: f64 = (0..1000).map(|_| tensor(4096).sum(Kind::Double).double_value(&[])).sum();
    assert_eq!(small, 1_024_000.0);
    about(taken(), 360 * MB);

    // More than any system has.
    assert!(!finetuned_libtorch::out_of_memory("not enough memory"));
    let refused = Tensor::f_empty([1 << 46], (Kind::Float, Device::Cpu)).unwrap_err();
    assert!(finetuned_libtorch::out_of_memory(&refused.to_string()));
    println!("memory that the system refuses is known ... ok");
    if tch::Cuda::is_available() {
        let refused = Tensor::f_empty([1 << 46], (Kind::Float, Device::Cuda(0))).unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains("CUDA out of memory. Tried to"), "{refused}");
        println!("memory that a CUDA device refuses is known ... ok");
    } else {
        println!("memory that a CUDA device refuses is known ... skipped: no CUDA device");
    }
    println!("freed memory is used again ... ok");
}
