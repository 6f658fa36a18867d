//! A shared library of a stranger, looked at without being opened: what it says of itself, or why
//! it can't be used.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let file = folder.path().join("libplugin.so");
    fs::write(&file, bytes).expect("room for a file");
    // Such as others could have written are refused before anybody looks inside.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("our own file");
    if let Err(refusal) = finetuned_plugins::open_anywhere(&file) {
        assert!(!refusal.to_string().is_empty());
    }
});
