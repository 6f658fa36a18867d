//! How packages are linked: both binaries' build scripts have it. Whether a package is made, and
//! for which glibc, is said by the environment.

pub fn package() {
    println!("cargo:rerun-if-changed=../../packaging/link.rs");
    println!("cargo:rerun-if-env-changed=FINETUNED_RPATH");
    println!("cargo:rerun-if-env-changed=FINETUNED_LINK");
    if std::env::var_os("FINETUNED_RPATH").is_some() {
        // It is a hash of paths on this machine too: packages are the same wherever they are made.
        println!("cargo:rustc-link-arg-bins=-Wl,--build-id=none");
    }
    // For an older glibc than this machine's: packaging/old_glibc.py says how.
    if let Ok(folder) = std::env::var("FINETUNED_LINK") {
        println!("cargo:rustc-link-arg-bins=@{folder}/arguments");
    }
}
