//! A tokenizer.json of a stranger's base model: texts are cut into tokens, or it is refused with a
//! sentence.

#![no_main]

mod panics;
#[path = "../../../daemon/worker/src/modality/tokenizer_file.rs"]
#[allow(dead_code)]
mod tokenizer_file;

use libfuzzer_sys::fuzz_target;
use std::fs;

/// A word, letters of several scripts, a token that controls, blanks.
const TEXTS: &[&str] = &["the soup", "Größe 北京 \u{1F600}", "[CLS] a </s>", " \n\t", ""];

fuzz_target!(init: panics::hear_of_those_that_get_out(), |bytes: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    fs::write(folder.path().join("tokenizer.json"), bytes).expect("room for a file");
    match tokenizer_file::open(folder.path()) {
        Ok(tokenizer) => {
            for text in TEXTS {
                let Ok(found) = tokenizer.encode(*text, true) else { continue };
                let _ = tokenizer.decode(found.get_ids(), true);
            }
        }
        Err(err) => assert!(!err.to_string().is_empty()),
    }
});
