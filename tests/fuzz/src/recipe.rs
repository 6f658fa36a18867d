//! A recipe as somebody typed it: usable, or refused with a sentence.

#![no_main]

use finetuned_job::recipe::Recipe;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(err) = Recipe::parse(text) {
        assert!(!err.to_string().is_empty());
    }
});
