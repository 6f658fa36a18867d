//! Strings of strangers (names of files, classes, columns, messages about them) as they may be
//! printed: nothing in them moves a cursor, begins a line or turns the direction of writing.

use std::borrow::Cow;
use std::fmt::Write;

/// On one line: controls, line and paragraph separators and the marks of bidirectional text are
/// written as `\n` or `\u{1b}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_harmful, |char, out| out.extend(char.escape_default()))
}

/// The same with the lines that it has.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    let harmful = |it: char| it != '\n' && is_harmful(it);
    escaped(text, harmful, |char, out| out.extend(char.escape_default()))
}

/// JSON that means what it meant. Encoders escape the first 32 characters themselves.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    let harmful = |it: char| '\u{7f}' <= it && is_harmful(it);
    escaped(json, harmful, |char, out| {
        // All of them lie in the first plane.
        let _ = write!(out, "\\u{:04x}", u32::from(char));
    })
}

fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

fn escaped(
    text: &str,
    harmful: impl Fn(char) -> bool,
    escape: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    if !text.contains(&harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if harmful(char) { escape(char, &mut out) } else { out.push(char) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_a_cursor_or_begins_a_line() {
        assert_eq!(printable("écoute 日本 😀"), "écoute 日本 😀");
        assert_eq!(printable("a\u{1b}[2J\n\u{9b}0m\r\t"), "a\\u{1b}[2J\\n\\u{9b}0m\\r\\t");
        assert_eq!(printable("gpj.\u{202e}exe\u{2066}"), "gpj.\\u{202e}exe\\u{2066}");
        assert_eq!(printable_lines("a\nb\u{7}"), "a\nb\\u{7}");
        assert_eq!(printable_json("{\"a\":\"\u{9b}\u{202e}é\"}"), "{\"a\":\"\\u009b\\u202eé\"}");
    }
}
