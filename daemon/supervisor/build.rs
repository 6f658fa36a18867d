fn main() {
    // A package may be linked for an older glibc than this machine's: packaging/old_glibc.py says
    // how.
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=FINETUNED_LINK");
    if let Some(folder) = std::env::var("FINETUNED_LINK").ok().filter(|it| !it.is_empty()) {
        println!("cargo:rustc-link-arg-bins=@{folder}/arguments");
    }
}
