fn main() {
    // The tests find libtorch where it was linked, with no environment variable.
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!(
        "cargo:rustc-link-arg=-Wl,-rpath,{}/lib",
        std::env::var("LIBTORCH").unwrap_or_default()
    );
}
