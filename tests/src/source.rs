//! The source of this house as its rules read it: which files there are, which characters of a
//! file are code, comment or literal, and the words of its code. What is wrong with them, the rules
//! decide.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file of ours: path below the root, and text.
pub(crate) fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for top in ["daemon", "models", "plugins", "sdk", "tests"] {
        walk(&root().join(top), &mut found);
    }
    assert!(20 < found.len(), "the walk finds the sources");
    found
}

pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).expect("folder").map(|it| it.expect("entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let name = path.strip_prefix(root()).expect("below the root").display().to_string();
            found.push((name, fs::read_to_string(&path).expect("UTF-8")));
        }
    }
}

/// The part of a file before its unit tests.
pub(crate) fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

pub(crate) fn is_test(name: &str) -> bool {
    name.contains("/tests/")
        || name.starts_with("tests/")
        || name.contains("/examples/")
        || name.ends_with("tests.rs")
}

#[track_caller]
pub(crate) fn none(what: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{what}:\n  {}", offenders.join("\n  "));
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Code,
    Comment,
    /// In a string or a character, its quotes included.
    Literal,
}

/// What each character of a file is part of.
pub(crate) fn parts(text: &str) -> Vec<(char, Part)> {
    let chars: Vec<char> = text.chars().collect();
    let mut parts = Vec::with_capacity(chars.len());
    while parts.len() < chars.len() {
        let (end, part) = next_part(&chars, parts.len());
        while parts.len() < end {
            parts.push((chars[parts.len()], part));
        }
    }
    parts
}

/// Where the part that begins at `start` ends, and what it is.
fn next_part(chars: &[char], start: usize) -> (usize, Part) {
    let at = |idx: usize| chars.get(idx).copied().unwrap_or('\n');
    let until = |idx: usize, ends: &dyn Fn(usize) -> Option<usize>| {
        (idx..chars.len()).find_map(ends).unwrap_or(chars.len())
    };
    let in_word = 0 < start && is_word(at(start - 1));
    match (at(start), at(start + 1)) {
        ('/', '/') => (until(start, &|it| (at(it) == '\n').then_some(it)), Part::Comment),
        ('/', '*') => {
            let close = |it: usize| ((at(it), at(it + 1)) == ('*', '/')).then_some(it + 2);
            (until(start + 2, &close), Part::Comment)
        }
        ('r', '"' | '#') if !in_word || at(start - 1) == 'b' => {
            let hashes = (start + 1..).take_while(|it| at(*it) == '#').count();
            if at(start + 1 + hashes) != '"' {
                return (start + 1, Part::Code); // r#word
            }
            let close = |it: usize| {
                let closes = at(it) == '"' && (1..=hashes).all(|idx| at(it + idx) == '#');
                closes.then_some(it + 1 + hashes)
            };
            (until(start + 2 + hashes, &close), Part::Literal)
        }
        ('"', _) => (quoted(chars, start + 1, '"'), Part::Literal),
        ('\'', '\\') => (quoted(chars, start + 1, '\''), Part::Literal),
        ('\'', _) if at(start + 2) == '\'' => (start + 3, Part::Literal),
        _ => (start + 1, Part::Code),
    }
}

/// Behind the closing quote of a literal whose text begins at `start`.
fn quoted(chars: &[char], start: usize, quote: char) -> usize {
    let mut idx = start;
    while idx < chars.len() && chars[idx] != quote {
        idx += if chars[idx] == '\\' { 2 } else { 1 };
    }
    (idx + 1).min(chars.len())
}

pub(crate) fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// A word of code, `::`, or one other character that is no white space.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// Counted from 1.
    pub(crate) line: usize,
}

pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut line, mut joins) = (1, false);
    for (char, part) in parts(text) {
        let code = part == Part::Code && !char.is_whitespace();
        if code {
            match tokens.last_mut() {
                Some(last) if joins && continues(&last.text, char) => last.text.push(char),
                _ => tokens.push(Token { text: char.to_string(), line }),
            }
        }
        joins = code;
        line += usize::from(char == '\n');
    }
    tokens
}

fn continues(word: &str, char: char) -> bool {
    (word.ends_with(is_word) && is_word(char)) || (word == ":" && char == ':')
}

#[test]
fn a_file_is_divided_into_code_comments_and_literals() {
    let text = "let a = r#\"x \" // \"#; // 'b\nlet c: &'d str = \"e\\\"f\"; let g = '\"'; h::i";
    let words: Vec<String> = tokens(text).into_iter().map(|it| it.text).collect();
    assert_eq!(
        words.join(" "),
        "let a = ; let c : & ' d str = ; let g = ; h :: i",
        "literals and comments are no words"
    );
    assert_eq!(tokens(text).last().expect("a word").line, 2);
}
