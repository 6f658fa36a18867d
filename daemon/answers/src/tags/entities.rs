//! Decides which entities a sentence of tags has, as seqeval's default mode does: also where an
//! entity begins with I or ends without E. Which scheme the tags are of is left to `schemes`.

/// Words `start..end` of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entity<'a> {
    /// Without the prefix; "_" for a tag that is a prefix alone.
    pub kind: &'a str,
    pub start: usize,
    pub end: usize,
}

/// The entities of one sentence, from left to right.
pub(crate) fn entities<T: AsRef<str>>(tags: &[T]) -> Vec<Entity<'_>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut before = ('O', "_");
    for (word, tag) in tags.iter().map(AsRef::as_ref).chain(["O"]).enumerate() {
        let now = parts(tag);
        if ends(before, now) {
            found.push(Entity { kind: before.1, start, end: word });
        }
        if starts(before, now) {
            start = word;
        }
        before = now;
    }
    found
}

/// The letter of a tag and its type, which may have hyphens of its own.
fn parts(tag: &str) -> (char, &str) {
    let mut rest = tag.chars();
    let letter = rest.next().unwrap_or('O');
    let rest = rest.as_str();
    let kind = rest.split_once('-').map_or(rest, |it| it.1);
    (letter, if kind.is_empty() { "_" } else { kind })
}

fn ends(before: (char, &str), now: (char, &str)) -> bool {
    match before.0 {
        'O' | '.' => false,
        'E' | 'S' => true,
        'B' | 'I' if matches!(now.0, 'B' | 'S' | 'O') => true,
        _ => before.1 != now.1,
    }
}

fn starts(before: (char, &str), now: (char, &str)) -> bool {
    match now.0 {
        'O' | '.' => false,
        'B' | 'S' => true,
        'E' | 'I' if matches!(before.0, 'E' | 'S' | 'O') => true,
        _ => before.1 != now.1,
    }
}
