//! A plugin written in C against the header, built with cc, opened and used.

use crate::host::{Opened, RawMetric, logged};
use finetuned_sdk::abi::*;
use std::path::Path;
use std::process::Command;

#[test]
fn a_metric_in_c_is_opened_and_scores() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("libbrier.so");
    let output = Command::new("cc")
        .args([
            "-std=c11",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            "-fvisibility=hidden",
            "-I",
        ])
        .arg(root.join("include"))
        .arg(root.join("tests/border/brier.c"))
        .arg("-o")
        .arg(&library)
        .output()
        .expect("cc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = std::fs::read(&library).expect("the library");
    assert!(
        file.windows(MAGIC.len()).any(|it| it == MAGIC),
        "the descriptor lies in the file as it is"
    );

    // SAFETY: it is our own library, and stays open.
    let library =
        Box::leak(Box::new(unsafe { libloading::Library::new(&library) }.expect("opens")));
    // SAFETY: the symbols have these types by the ABI.
    let (descriptor, entry) = unsafe {
        let descriptor = library.get::<*const Descriptor>(DESCRIPTOR_SYMBOL).expect("exported");
        (**descriptor, *library.get::<Entry>(ENTRY_SYMBOL).expect("exported"))
    };
    assert_eq!(
        (descriptor.abi, descriptor.size as usize, descriptor.n_items),
        (ABI_VERSION, size_of::<Descriptor>(), 1)
    );
    assert_eq!(&descriptor.items[0].name[..6], b"brier\0");
    let opened = Opened::enter(entry);
    assert_eq!(logged(), ["3 brier is here"]);

    let functions = opened.find::<MetricFunctions>(KIND_METRIC, "brier");
    let refused = RawMetric::create(functions, r#"{"bins": 3}"#, &["no", "yes"]).err();
    assert_eq!(refused, Some((INVALID, "settings: brier has none".into())));
    let first = RawMetric::create(functions, "{}", &["no", "yes"]).expect("made");
    assert_eq!(first.compute(), Err((INVALID, "no examples were seen".into())));
    first.update(&[0.75, 0.25], &[0]).expect("taken in");
    let second = RawMetric::create(functions, "{}", &["no", "yes"]).expect("made");
    second.update(&[0.5, 0.5, 0.0, 1.0], &[1, 0]).expect("taken in");
    first.merge(&second).expect("merged");
    // (2/16 + 2/4 + 2) / 3
    assert_eq!(first.compute(), Ok(0.875));
    assert_eq!(second.compute(), Ok(1.25), "what was merged stays as it was");
}
