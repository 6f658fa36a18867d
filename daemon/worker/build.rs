#[path = "../../packaging/link.rs"]
mod link;

fn main() {
    // The worker finds libtorch where it was linked, with no environment variable; a package's
    // beside itself.
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let linked = || format!("{}/lib", std::env::var("LIBTORCH").unwrap_or_default());
    let rpath = std::env::var("FINETUNED_RPATH").unwrap_or_else(|_| linked());
    println!("cargo:rustc-link-arg=-Wl,-rpath,{rpath}");
    // Plugins bring no libtorch: the functions of torch-sys that they leave undefined are ours.
    // These, whether we call them or not, and nothing else of the worker, so that no other library
    // of ours gets between theirs.
    println!("cargo:rerun-if-changed=build.rs");
    link::package();
    if let Ok(folder) = std::env::var("FINETUNED_LINK") {
        // What libtorch's headers make of a new libstdc++.
        println!("cargo:rustc-link-arg-bins={folder}/old_glibc.o");
    }
    for functions in ["at*", "get_and_reset_last_err"] {
        println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol={functions}");
    }
}
