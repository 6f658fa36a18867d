//! Compiles the two C++ files over the headers of the libtorch that torch-sys is linked to.

use std::env;
use std::path::PathBuf;

fn main() {
    const FILES: [&str; 2] = ["src/finetuned.cpp", "src/memory.cpp"];
    FILES.iter().for_each(|it| println!("cargo:rerun-if-changed={it}"));
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(libtorch) = env::var_os("LIBTORCH").map(PathBuf::from) else {
        println!(
            "cargo:error=LIBTORCH is not set: run `make libtorch`, or set it to an unpacked libtorch"
        );
        std::process::exit(1);
    };
    let include = libtorch.join("include");
    cc::Build::new()
        .cpp(true)
        .pic(true)
        .warnings(false) // those of libtorch's own headers
        .opt_level(3)
        .flag("-std=c++20")
        .flag("-fopenmp") // at::parallel_for is a template over OpenMP; torch-sys links libgomp
        .flag("-D_GLIBCXX_USE_CXX11_ABI=1")
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        .files(FILES)
        .compile("finetuned");
    // This package's own tests find libtorch where it was linked.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}/lib", libtorch.display());
}
