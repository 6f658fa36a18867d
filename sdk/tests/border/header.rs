//! `include/finetuned_plugin.h` is what cbindgen makes of the Rust definitions, and C compilers lay it out the same.

use finetuned_sdk::abi::*;
use std::fmt::Write;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

const FILES: &[&str] = &["descriptor", "entry", "head", "loss", "metric", "reader", "hook", "pixels"];
const PROLOGUE: &str = "/* The border between finetuned's worker and a plugin, version 1. Made from sdk/src/abi/v1 by a test of the SDK; the\n   rules that hold for all functions stand in sdk/src/abi.rs and docs/plugins.md. */";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Set FINETUNED_WRITE_HEADER to write the header instead of comparing it.
#[test]
fn the_header_is_made_from_the_rust_definitions() {
    let mut builder = cbindgen::Builder::new()
        .with_language(cbindgen::Language::C)
        .with_header(PROLOGUE)
        .with_include_guard("FINETUNED_PLUGIN_H")
        .with_cpp_compat(true)
        .with_no_includes()
        .with_sys_include("stddef.h")
        .with_sys_include("stdint.h")
        .with_style(cbindgen::Style::Both)
        .with_documentation(true)
        .with_item_prefix("Finetuned");
    for file in FILES {
        builder = builder.with_src(root().join(format!("src/abi/v1/{file}.rs")));
    }
    for item in [
        "Entry",
        "Descriptor",
        "Table",
        "HeadFunctions",
        "LossFunctions",
        "MetricFunctions",
        "ReaderFunctions",
        "HookFunctions",
        "AugmentationFunctions",
    ] {
        builder = builder.include_item(item);
    }
    let mut made = Vec::new();
    builder.generate().expect("the definitions are C").write(&mut made);
    let made = spoken_in_c(&String::from_utf8(made).expect("UTF-8"));
    let path = root().join("include/finetuned_plugin.h");
    if std::env::var_os("FINETUNED_WRITE_HEADER").is_some() {
        std::fs::write(&path, &made).expect("the header is written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "the header is old: FINETUNED_WRITE_HEADER=1 cargo test --release -p finetuned-sdk --test border");
}

/// Constants as C names them, and comments without Rust's links.
fn spoken_in_c(made: &str) -> String {
    let mut text = made.replace("#define Finetuned", "#define FINETUNED_").replace("[Finetuned", "[FINETUNED_").replace("[`", "`").replace("`]", "`");
    while let Some(link) = text.find("(super::") {
        let end = text[link..].find(')').expect("a link ends");
        text.replace_range(link..=link + end, "");
    }
    text
}

macro_rules! layout {
    ($out:ident: $($type:ident { $($field:ident),* })*) => {
        $(
            writeln!($out, "_Static_assert(sizeof(Finetuned{0}) == {1}, \"{0}\");", stringify!($type), size_of::<$type>()).expect("text");
            $(
                writeln!(
                    $out, "_Static_assert(offsetof(Finetuned{0}, {1}) == {2}, \"{0}.{1}\");",
                    stringify!($type), stringify!($field), offset_of!($type, $field)
                ).expect("text");
            )*
        )*
    };
}

/// The layout of version 1 as it was released, line by line. What comes later is appended to structs, in a file of
/// its own; a line here that no longer holds breaks every plugin that was ever built.
const RELEASED: &str = include_str!("layout_v1.c");

#[test]
fn c_has_every_field_where_rust_has_it() {
    let mut source = String::from("#include \"finetuned_plugin.h\"\n");
    layout! { source:
        Item { kind, name }
        Descriptor { magic, abi, size, tier, flags, made_with, n_items, tch, libtorch, name, reserved, version, items }
        Bytes { ptr, len }
        Sink { context, write }
        Host { abi, size, context, log }
        Export { kind, reserved, name, functions }
        Table { abi, size, exports, n_exports }
        HeadShape { size, device, width, outputs, seed }
        Pass { size, train, seed, step, micro }
        HeadInput { size, reserved, features, mask, labels }
        ParameterSink { context, put }
        HeadFunctions { size, input, create, destroy, parameters, forward }
        LossShape { size, device, outputs }
        LossInput { size, reserved, logits, labels, features }
        LossFunctions { size, reserved, create, destroy, forward }
        MetricShape { size, reserved, n_classes, class_names }
        MetricBatch { size, reserved, n, n_classes, probabilities, labels }
        MetricFunctions { size, higher_is_better, create, destroy, update, merge, compute }
        DropFiles { size, reserved, folder, files, n_files }
        Example { size, split, text, image, label, file, line }
        ExampleSink { context, example, bad }
        ReaderFunctions { size, reserved, create, destroy, recognise, read }
        Score { name, value, higher_is_better, reserved }
        Progress { size, event, step, steps, epoch, loss, lr, gradient_norm, scores, n_scores }
        HookFunctions { size, reserved, create, destroy, progress, save, load }
        Image { size, reserved, width, height, pixels }
        AugmentationFunctions { size, reserved, create, destroy, apply }
    }
    assert_eq!(source, RELEASED, "a released layout never changes");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("layout.c");
    std::fs::write(&file, source).expect("written");
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
        .arg(root().join("include"))
        .arg(&file)
        .output()
        .expect("cc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
