//! The measurable signs of a house going wrong, over the source as it stands.

use crate::source::{self, Part, is_test, none, parts, sources, tokens, without_tests};
use std::path::Path;

/// Lines of a file without its tests; a model file may be longer, since it is one subject.
const FILE_LINES_MAX: usize = 600;
/// Lines of a function.
const FUNCTION_LINES_MAX: usize = 70;
/// Drawers into which everything would go.
const DRAWERS: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "manager", "types"];
/// Characters of a line, string literals not counted; rustfmt.toml says the same.
const LINE_CHARS_MAX: usize = 100;
/// Words that are no part of an identifier, and those that the field has for them.
const WORDS: &[(&str, &str)] = &[
    ("truth", "target"),
    ("truths", "targets"),
    ("said", "predicted"),
    ("told", "reported"),
    ("kept", "cached"),
    ("twin", "near_duplicate"),
    ("twins", "near_duplicates"),
    ("judging", "preflight"),
    ("judged", "examined"),
    ("picture", "image"),
    ("pictures", "images"),
];
/// Where modalities and answers are known by name; all else asks these.
const KNOWS_TASKS: &[&str] = &[
    "daemon/job/src/task.rs",
    "daemon/answers/",
    "daemon/data/src/modality",
    "daemon/worker/src/modality",
    // The plugins' border has numbers of its own for what they claim to serve.
    "daemon/worker/src/plugins/",
];

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
            } else if open.as_ref().is_some_and(|it| indent == it.1 && head.ends_with(';')) {
                open = None; // a declaration over several lines has no body
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
    // It panics where stderr is a full disk.
    only("eprintln!(", &["sdk/src/testing/tensor.rs"]);
    only("eprint!(", &[]);
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

#[test]
fn lines_are_narrow_outside_literals() {
    let mut wide = Vec::new();
    for (name, text) in sources() {
        let (mut line, mut width) = (1, 0);
        for (char, part) in parts(&text).into_iter().chain([('\n', Part::Code)]) {
            width += usize::from(part != Part::Literal && char != '\n');
            if char == '\n' {
                if LINE_CHARS_MAX < width {
                    wide.push(format!("{name}:{line}: {width}"));
                }
                (line, width) = (line + 1, 0);
            }
        }
    }
    none("wider than a line", wide);
}

#[test]
fn names_are_the_words_of_the_field() {
    let mut strange = Vec::new();
    for (name, text) in sources() {
        for token in tokens(&text).into_iter().filter(|it| it.text.starts_with(source::is_word)) {
            for (word, better) in WORDS {
                if pieces(&token.text).iter().any(|it| it == word) {
                    strange.push(format!("{name}:{}: {} ({better})", token.line, token.text));
                }
            }
        }
    }
    none("no word of the field", strange);
}

/// The words that an identifier is made of, in lower case.
fn pieces(identifier: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut was_lower = false;
    for char in identifier.chars() {
        if char == '_' || (was_lower && char.is_uppercase()) {
            pieces.push(String::new());
        }
        if char != '_' {
            pieces.last_mut().expect("one is there").extend(char.to_lowercase());
        }
        was_lower = char.is_lowercase();
    }
    pieces
}

#[test]
fn an_identifier_is_divided_into_its_words() {
    assert_eq!(pieces("isKept_forEver"), ["is", "kept", "for", "ever"]);
    assert_eq!(pieces("KEPT_MAX"), ["kept", "max"]);
}

#[test]
fn what_a_task_is_stands_in_its_table() {
    let mut strays = Vec::new();
    for (name, text) in sources() {
        if is_test(&name) || KNOWS_TASKS.iter().any(|it| name.starts_with(it)) {
            continue;
        }
        let tokens = tokens(without_tests(&text));
        strays.extend(tokens.windows(3).filter_map(|it| {
            let of_task = ["Modality", "Answer"].contains(&it[0].text.as_str());
            let variant = it[2].text.starts_with(|c: char| c.is_uppercase() || "{*".contains(c));
            (of_task && it[1].text == "::" && variant)
                .then(|| format!("{name}:{}: {}::{}", it[0].line, it[0].text, it[2].text))
        }));
    }
    none("knows of modalities or answers", strays);
}
