//! The measurable signs of a house going wrong, over the source as it stands.

use crate::source::{is_test, none, sources, without_tests};
use std::path::Path;

/// Lines of a file without its tests; a model file may be longer, since it is one subject.
const FILE_LINES_MAX: usize = 600;
/// Lines of a function.
const FUNCTION_LINES_MAX: usize = 70;
/// Drawers into which everything would go.
const DRAWERS: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "manager", "types"];

#[test]
fn every_file_says_what_it_decides() {
    let silent = sources()
        .into_iter()
        .filter(|(name, text)| !text.starts_with("//!") && !name.ends_with("build.rs"));
    none("no //! comment at the top", silent.map(|it| it.0).collect());
}

#[test]
fn files_are_of_one_subject() {
    let long = sources().into_iter().filter(|(name, text)| {
        !is_test(name) && FILE_LINES_MAX < without_tests(text).lines().count()
    });
    none("longer than a subject", long.map(|it| it.0).collect());
    let drawers = sources().into_iter().map(|it| it.0).filter(|name| {
        Path::new(name).components().any(|it| {
            it.as_os_str().to_str().is_some_and(|it| DRAWERS.contains(&it.trim_end_matches(".rs")))
        })
    });
    none("a drawer", drawers.collect());
}

#[test]
fn functions_fit_a_screen() {
    let mut long = Vec::new();
    for (name, text) in sources().iter().filter(|(name, _)| !is_test(name)) {
        let mut open: Option<(usize, usize, String)> = None;
        for (line_idx, line) in without_tests(text).lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start();
            let is_fn = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "unsafe fn ",
                "pub unsafe fn ",
            ]
            .iter()
            .any(|it| head.starts_with(it));
            if is_fn && open.is_none() && !head.ends_with(['}', ';']) {
                open = Some((line_idx, indent, head.to_string()));
            } else if let Some((start, depth, head)) = &open
                && line.starts_with(&format!("{}}}", " ".repeat(*depth)))
                && indent == *depth
            {
                if FUNCTION_LINES_MAX < line_idx - start {
                    long.push(format!("{name}:{}: {head} ({} lines)", start + 1, line_idx - start));
                }
                open = None;
            }
        }
    }
    none("longer than a screen", long);
}

#[test]
fn each_power_stands_in_one_place() {
    let only = |needle: &str, allowed: &[&str]| {
        let strays = sources().into_iter().filter(|(name, text)| {
            !is_test(name)
                && !name.ends_with("build.rs")
                && without_tests(text).contains(needle)
                && !allowed.iter().any(|it| name.ends_with(it))
        });
        none(needle, strays.map(|it| it.0).collect());
    };
    only("process::exit(", &["main.rs"]);
    only("Command::new(", &["supervisor/src/worker_process.rs", "sdk/src/testing/tensor.rs"]);
    only("rusqlite::", &["supervisor/src/queue.rs"]);
    only("libloading::", &["worker/src/plugins/library.rs"]);
    only("#[allow(", &[]);
    only("#[ignore", &[]);
    only("todo!(", &[]);
}

#[test]
fn unwrap_is_rare_outside_tests() {
    let (mut lines, mut unwraps) = (0, 0);
    for (_, text) in sources().iter().filter(|(name, _)| !is_test(name)) {
        lines += without_tests(text).lines().count();
        unwraps += without_tests(text).matches(".unwrap()").count();
    }
    assert!(unwraps * 1000 <= 2 * lines, "{unwraps} unwraps in {lines} lines");
}
