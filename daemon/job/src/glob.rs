//! Patterns of names, in recipes and in config.toml: `*` stands for any run of characters, `?` for
//! one. A pattern of many stars takes no longer than its length times the name's.

pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // After the last star, and how much of the name it has taken.
    let (mut at, mut pos, mut star) = (0, 0, None);
    while pos < name.len() {
        match pattern.get(at) {
            Some('*') => {
                at += 1;
                star = Some((at, pos));
            }
            Some(&c) if c == '?' || c == name[pos] => (at, pos) = (at + 1, pos + 1),
            _ => match star {
                Some((after, taken)) => {
                    (at, pos) = (after, taken + 1);
                    star = Some((after, taken + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|it| *it == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name) in
            [("*b*d", "abcbd"), ("*", ""), ("a?c", "abc"), ("?", "\u{e9}"), ("*.1?.*", "x.11.y")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*b*d", "abcb"), ("", "a"), ("?", ""), ("a?", "a"), ("a", "ab")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!matches(&"*a".repeat(40), &"a".repeat(39)));
    }
}
