//! `keep_freed_memory` is about the main thread, where a test harness runs no test: so this is a program.

use tch::{Device, Kind, Tensor};

const BYTES: i64 = 256 << 20;

/// Bytes of physical memory in use.
fn resident() -> i64 {
    const PAGE: i64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<i64>().unwrap() * PAGE
}

/// What comes back to the system when a large tensor goes.
fn returned() -> i64 {
    let large = Tensor::ones([BYTES / 4], (Kind::Float, Device::Cpu));
    let before = resident();
    drop(large);
    before - resident()
}

fn main() {
    assert!(BYTES / 2 < returned(), "the allocator keeps memory without being told: nothing is tested");
    if finetuned_libtorch::keep_freed_memory() {
        let returned = returned();
        assert!(returned < BYTES / 16, "{returned} bytes went back to the system");
        println!("freed memory stays ... ok");
    }
}
