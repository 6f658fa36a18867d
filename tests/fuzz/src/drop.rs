//! A drop of one file of a stranger, read as a job reads it: whatever stands in it, there are
//! examples or a sentence. The file is called as `DROP` says, since names decide formats.

#![no_main]

mod panics;

use finetuned_data::{Request, ValidationDefault, open};
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::Recipe;
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// Where nothing has to wait for a disk.
const MEMORY: &str = "/dev/shm";

fn name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| std::env::var("DROP").expect("DROP names the file"))
}

fn a_tenth(_: u64) -> ValidationDefault {
    ValidationDefault { part: 0.1, of_each_class: 2 }
}

fn load(drop: &Path, run: &Path) -> Result<(), Failure> {
    let opened = open(drop, &run.join("staging"), &mut |_, _, _| {})?;
    let recipe = Recipe::default();
    let (choice, validation) = (&recipe.data, a_tenth);
    let request = Request { task: None, choice, validation, seed: 0, run, threads: 1 };
    opened.load(&request, &mut |_, _, _| {}).map(|_| ())
}

fuzz_target!(init: panics::hear_of_those_that_get_out(), |bytes: &[u8]| {
    let run = tempfile::tempdir_in(MEMORY).expect("a folder in memory");
    let drop = run.path().join(name());
    fs::write(&drop, bytes).expect("room for a file");
    if let Err(failure) = load(&drop, run.path()) {
        assert!(!failure.message.is_empty());
    }
});
