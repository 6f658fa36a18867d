//! A base model of a stranger: one file of a sound folder (`BASE`) is replaced (`FILE` names it),
//! and the model is built from what then lies there, or refused with a sentence.

#![no_main]

mod panics;

use finetuned_models::{BuildOptions, HeadKind, ModelError, open};
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn asked(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// The sound folder's copy in memory, and the file that is replaced.
fn folder() -> &'static (PathBuf, String) {
    static FOLDER: OnceLock<(PathBuf, String)> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory").keep();
        for file in fs::read_dir(asked("BASE")).expect("the sound folder").flatten() {
            fs::copy(file.path(), folder.join(file.file_name())).expect("room for a file");
        }
        (folder, asked("FILE"))
    })
}

fn build(folder: &Path) -> Result<(), ModelError> {
    open(folder)?.build(&BuildOptions::new(HeadKind::Classes(2))).map(|_| ())
}

fuzz_target!(init: panics::hear_of_those_that_get_out(), |bytes: &[u8]| {
    let (folder, file) = folder();
    fs::write(folder.join(file), bytes).expect("room for a file");
    if let Err(err) = build(folder) {
        assert!(!err.to_string().is_empty());
    }
});
