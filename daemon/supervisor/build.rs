fn main() {
    // A package may be linked for an older glibc than this machine's: packaging/old_glibc.py says
    // how.
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=FINETUNED_LINK");
    println!("cargo:rerun-if-env-changed=FINETUNED_RPATH");
    if std::env::var_os("FINETUNED_RPATH").is_some() {
        // It is a hash of paths on this machine too: packages are the same wherever they are made.
        println!("cargo:rustc-link-arg-bins=-Wl,--build-id=none");
    }
    if let Some(folder) = std::env::var("FINETUNED_LINK").ok().filter(|it| !it.is_empty()) {
        println!("cargo:rustc-link-arg-bins=@{folder}/arguments");
    }
}
