//! Asks cargo who depends on whom: the invariants of ARCHITECTURE.md, held by a command.

use std::process::Command;

/// Whether `dependency` stands in the tree of `package`, build and test dependencies left out.
fn depends(package: &str, dependency: &str) -> bool {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--package",
            package,
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    assert!(
        output.status.success() && tree.starts_with(package),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    tree.lines().any(|line| line.split(' ').next() == Some(dependency))
}

#[test]
fn the_supervisor_has_no_libtorch_and_the_worker_no_tokio() {
    assert!(!depends("finetuned", "tch"));
    assert!(!depends("finetuned", "finetuned-models"));
    assert!(!depends("finetuned", "finetuned-data"), "the supervisor opens no data set");
    assert!(!depends("finetuned-worker", "tokio"));
    assert!(!depends("finetuned-worker", "rusqlite"));
    assert!(depends("finetuned-worker", "tch"), "and the name is spelt right");
    assert!(depends("finetuned", "rusqlite"), "and the name is spelt right");
    assert!(!depends("finetuned", "libloading"), "the supervisor opens no library");
    assert!(depends("finetuned-worker", "libloading"), "and the name is spelt right");
}

#[test]
fn what_needs_no_tensor_has_none() {
    for package in [
        "finetuned-job",
        "finetuned-files",
        "finetuned-plugins",
        "finetuned-data",
        "finetuned-images",
        "finetuned-hub",
        "finetuned-report",
        "finetuned-sdk",
    ] {
        assert!(!depends(package, "tch"), "{package}");
        assert!(!depends(package, "finetuned-libtorch"), "{package}");
    }
    assert!(!depends("finetuned-models", "finetuned-job"), "the zoo does not know what a job is");
}

#[test]
fn the_vocabulary_is_small() {
    for dependency in ["tokio", "anyhow", "tempfile", "rustix", "tracing"] {
        assert!(!depends("finetuned-job", dependency), "{dependency}");
    }
}
