//! What `finetuned plugin new` writes builds as it is, far from this repository, and its tests
//! pass.

use std::fs;
use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const KINDS: &[(&str, &str)] = &[
    ("head", "tensor"),
    ("loss", "tensor"),
    ("metric", "plain"),
    ("reader", "plain"),
    ("hook", "plain"),
    ("augmentation", "plain"),
    ("reward", "plain"),
];

/// As `finetuned plugin new my-KIND --kind KIND` writes it.
fn write(folder: &Path, kind: &str, tier: &str) {
    let filled = |file: &str| {
        let text =
            fs::read_to_string(Path::new(ROOT).join("templates").join(file)).expect("a template");
        let text = text.replace("{{name}}", &format!("my-{kind}")).replace("{{Type}}", "Mine");
        text.replace("{{sdk}}", &format!("path = {ROOT:?}"))
    };
    fs::create_dir_all(folder.join("src")).expect("a folder");
    fs::write(folder.join("Cargo.toml"), filled(&format!("{tier}.Cargo.toml"))).expect("written");
    fs::write(folder.join("src/lib.rs"), filled(&format!("{kind}.rs"))).expect("written");
}

/// Cargo in that folder, as its author has it: without libtorch, and with a target folder of all
/// templates.
#[track_caller]
fn cargo(folder: &Path, args: &[&str]) {
    let target = Path::new(ROOT).join("../target/templates");
    let output = Command::new(env!("CARGO"))
        .args(args)
        .arg("--offline")
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env("RUSTFLAGS", "-Dwarnings")
        .env_remove("LIBTORCH")
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{args:?} in {}:\n{}",
        folder.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_template_builds_and_its_tests_pass() {
    let folder = tempfile::tempdir().expect("a folder");
    for (kind, tier) in KINDS {
        let at = folder.path().join(kind);
        write(&at, kind, tier);
        // The versions that this repository was built with, so that no registry is asked.
        fs::copy(Path::new(ROOT).join("../Cargo.lock"), at.join("Cargo.lock"))
            .expect("the lock file");
        cargo(&at, &["build", "--release"]);
        cargo(&at, &["test", "--release"]);
    }
}

/// The guide shows these very files, so what it shows is tested here.
#[test]
fn the_guide_shows_what_is_tested() {
    let guide = fs::read_to_string(Path::new(ROOT).join("../docs/plugins.md")).expect("the guide");
    for (kind, name) in [("head", "Mlp"), ("metric", "TopK")] {
        let template = fs::read_to_string(Path::new(ROOT).join(format!("templates/{kind}.rs")))
            .expect("a template");
        let whole = template.replace("{{Type}}", name).replace("{{name}}", &format!("my-{kind}"));
        assert!(
            guide.contains(&whole),
            "docs/plugins.md does not have templates/{kind}.rs as it is now"
        );
    }
}
