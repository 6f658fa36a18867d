fn main() {
    // The worker finds libtorch where it was linked, with no environment variable; a package's
    // beside itself.
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=FINETUNED_RPATH");
    let linked = || format!("{}/lib", std::env::var("LIBTORCH").unwrap_or_default());
    let rpath = std::env::var("FINETUNED_RPATH").unwrap_or_else(|_| linked());
    println!("cargo:rustc-link-arg=-Wl,-rpath,{rpath}");
    // Plugins bring no libtorch: the functions of torch-sys that they leave undefined are ours.
    // These, whether we call them or not, and nothing else of the worker, so that no other library
    // of ours gets between theirs.
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("FINETUNED_RPATH").is_some() {
        // It is a hash of paths on this machine too: packages are the same wherever they are made.
        println!("cargo:rustc-link-arg-bins=-Wl,--build-id=none");
    }
    older_glibc();
    for functions in ["at*", "get_and_reset_last_err"] {
        println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol={functions}");
    }
}

/// A package may be linked for an older glibc than this machine's: packaging/old_glibc.py says how.
fn older_glibc() {
    println!("cargo:rerun-if-env-changed=FINETUNED_LINK");
    if let Some(folder) = std::env::var("FINETUNED_LINK").ok().filter(|it| !it.is_empty()) {
        println!("cargo:rustc-link-arg-bins=@{folder}/arguments");
        println!("cargo:rustc-link-arg-bins={folder}/old_glibc.o");
    }
}
