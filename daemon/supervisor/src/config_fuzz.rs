//! A config.toml as somebody typed it: usable, or refused with a sentence. The root of a program of
//! `make fuzz`, which stands here since the modules that it takes are the supervisor's own.

#![no_main]
#![allow(dead_code)]

mod config;
mod hours;
mod limits;
mod machine;
mod retention;
mod words;

use libfuzzer_sys::fuzz_target;
use std::fs;

fuzz_target!(|text: &str| {
    let home = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    fs::write(home.path().join("config.toml"), text).expect("room for a file");
    if let Err(err) = config::Config::load(home.path()) {
        assert!(!format!("{err:#}").is_empty());
    }
});
