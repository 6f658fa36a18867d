//! `include/finetuned_plugin.h` is what cbindgen makes of the Rust definitions, and C compilers lay
//! it out the same.

use finetuned_sdk::abi::*;
use std::fmt::Write;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

const FILES: &[&str] = &[
    "descriptor",
    "entry",
    "problem",
    "head",
    "loss",
    "metric",
    "reader",
    "hook",
    "pixels",
    "reward",
];
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
        "RewardFunctions",
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
    assert!(
        committed == made,
        "the header is old: FINETUNED_WRITE_HEADER=1 cargo test --release -p finetuned-sdk --test border"
    );
}

/// Constants as C names them, and comments without Rust's links.
fn spoken_in_c(made: &str) -> String {
    let mut text = made
        .replace("#define Finetuned", "#define FINETUNED_")
        .replace("[Finetuned", "[FINETUNED_")
        .replace("[`", "`")
        .replace("`]", "`");
    while let Some(link) = text.find("(super::") {
        let end = text[link..].find(')').expect("a link ends");
        text.replace_range(link..=link + end, "");
    }
    text
}

/// Structs with their fields, those that were appended after a `+`. Where some were, the struct was
/// released with the size at which they begin.
macro_rules! layout {
    ($released:ident, $appended:ident:
     $($type:ident { $($field:ident),* $(; + $first:ident $(, $later:ident)*)? })*) => {
        $(
            let size = size_of::<$type>();
            $(
                size_line(&mut $appended, stringify!($type), size);
                let size = offset_of!($type, $first);
                offset_line(&mut $appended, stringify!($type), stringify!($first), size);
                $(offset_line(
                    &mut $appended, stringify!($type), stringify!($later),
                    offset_of!($type, $later),
                );)*
            )?
            size_line(&mut $released, stringify!($type), size);
            $(offset_line(
                &mut $released, stringify!($type), stringify!($field), offset_of!($type, $field),
            );)*
        )*
    };
}

fn size_line(out: &mut String, of: &str, size: usize) {
    writeln!(out, "_Static_assert(sizeof(Finetuned{of}) == {size}, \"{of}\");").expect("text");
}

fn offset_line(out: &mut String, of: &str, field: &str, at: usize) {
    writeln!(out, "_Static_assert(offsetof(Finetuned{of}, {field}) == {at}, \"{of}.{field}\");")
        .expect("text");
}

/// The layout of version 1 as it was released, line by line: a line here that no longer holds
/// breaks every plugin that was ever built. Of a struct that has grown, its size is where the new
/// fields begin.
const RELEASED: &str = include_str!("layout_v1.c");
/// What was appended since: the structs that have grown, with their new sizes and fields.
const APPENDED: &str = include_str!("layout_v1_appended.c");

#[test]
fn c_has_every_field_where_rust_has_it() {
    let (mut released, mut appended) =
        (String::from("#include \"finetuned_plugin.h\"\n"), String::new());
    layout! { released, appended:
        Item { kind, name }
        Descriptor {
            magic, abi, size, tier, flags, made_with, n_items, tch, libtorch, name, reserved,
            version, items
        }
        Bytes { ptr, len }
        Sink { context, write }
        Host { abi, size, context, log }
        Export { kind, reserved, name, functions }
        Table { abi, size, exports, n_exports }
        HeadShape { size, device, width, outputs, seed; + problem }
        Pass { size, train, seed, step, micro }
        HeadInput { size, reserved, features, mask, labels }
        ParameterSink { context, put }
        HeadFunctions { size, input, create, destroy, parameters, forward; + problems }
        LossShape { size, device, outputs; + problem }
        LossInput { size, reserved, logits, labels, features }
        LossFunctions { size, reserved, create, destroy, forward; + problems }
        MetricShape { size, reserved, n_classes, class_names; + problem }
        MetricBatch { size, reserved, n, n_classes, probabilities, labels; + targets }
        MetricFunctions {
            size, higher_is_better, create, destroy, update, merge, compute; + problems
        }
        DropFiles { size, reserved, folder, files, n_files }
        Example { size, split, text, image, label, file, line }
        ExampleSink { context, example, bad }
        ReaderFunctions { size, reserved, create, destroy, recognise, read }
        Score { name, value, higher_is_better, reserved }
        Progress { size, event, step, steps, epoch, loss, lr, gradient_norm, scores, n_scores }
        HookFunctions { size, reserved, create, destroy, progress, save, load }
        Image { size, reserved, width, height, pixels }
        AugmentationFunctions { size, reserved, create, destroy, apply }
        Answer { size, reserved, prompt, messages, answer, fields }
        RewardFunctions { size, reserved, create, destroy, reward }
    }
    assert_eq!(released, RELEASED, "a released layout never changes");
    assert_eq!(appended, APPENDED, "what was appended never changes, too");
    // C has the structs as they are now: of those that grew, the new size.
    let grown = |line: &str| {
        line.contains("sizeof") && line.split(" == ").next().is_some_and(|it| appended.contains(it))
    };
    let mut source: String =
        released.lines().filter(|it| !grown(it)).map(|it| format!("{it}\n")).collect();
    source += &appended;
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
