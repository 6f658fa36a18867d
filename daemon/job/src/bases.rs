//! Which base models a recipe that came with a drop may name, besides folders in the drop itself:
//! patterns of config.toml, as [`glob`] reads them.

use crate::glob;

/// The hub; no folder of the server.
pub const DEFAULT: &str = "hf:*";

/// Of a name as it stands in a recipe. A path that climbs is never allowed.
pub fn allow(patterns: &[String], base: &str) -> bool {
    let climbs = base.split('/').any(|it| it == "..");
    !climbs && patterns.iter().any(|it| glob::matches(it, base))
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
    }
}
