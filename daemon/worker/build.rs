fn main() {
    // The worker finds libtorch where it was linked, with no environment variable.
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!(
        "cargo:rustc-link-arg=-Wl,-rpath,{}/lib",
        std::env::var("LIBTORCH").unwrap_or_default()
    );
    // Plugins bring no libtorch: the functions of torch-sys that they leave undefined are ours.
    // These, whether we call them or not, and nothing else of the worker, so that no other library
    // of ours gets between theirs.
    println!("cargo:rerun-if-changed=build.rs");
    for functions in ["at*", "get_and_reset_last_err"] {
        println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol={functions}");
    }
}
