//! Which base models a recipe that came with a drop may name, besides folders in the drop itself:
//! patterns of config.toml, in which `*` stands for any characters.

/// The hub; no folder of the server.
pub const DEFAULT: &str = "hf:*";

/// Of a name as it stands in a recipe. A path that climbs is never allowed.
pub fn allow(patterns: &[String], base: &str) -> bool {
    let climbs = base.split('/').any(|it| it == "..");
    !climbs && patterns.iter().any(|it| matches(it.as_bytes(), base.as_bytes()))
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Where the last star stands, and from where the text is tried again.
    let (mut at, mut pos, mut star) = (0, 0, None);
    while pos < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, pos));
            at += 1;
        } else if pattern.get(at) == Some(&text[pos]) {
            (at, pos) = (at + 1, pos + 1);
        } else if let Some((star_at, tried)) = star {
            (at, pos, star) = (star_at + 1, tried + 1, Some((star_at, tried + 1)));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|it| *it == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_allowed_by_patterns() {
        let allowed = |patterns: &[&str], base| {
            allow(&patterns.iter().map(|it| (*it).to_string()).collect::<Vec<_>>(), base)
        };
        assert!(allowed(&["hf:*"], "hf:google/bert"));
        assert!(!allowed(&["hf:*"], "/etc"));
        assert!(!allowed(&[], "hf:google/bert"));
        assert!(allowed(&["hf:a/*", "/srv/models/*"], "/srv/models/x"));
        assert!(!allowed(&["/srv/models/*"], "/srv/models/../../etc"));
        assert!(!allowed(&["hf:a/*"], "hf:b/a/x"));
        assert!(allowed(&["*b*d"], "abcbd") && !allowed(&["*b*d"], "abcb"));
        let stars = "*a".repeat(40);
        assert!(!allowed(&[&stars], &"a".repeat(39)));
    }
}
