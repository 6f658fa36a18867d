//! Decides which names an archive may give its entries. A name is allowed when it is a plain
//! relative path on every system; it is then the same path in one spelling.

use crate::inventory::DEPTH_MAX;
use std::path::PathBuf;

/// Far above what data sets use, below what file systems take.
const PATH_BYTES_MAX: usize = 1024;
const PART_BYTES_MAX: usize = 255;

/// The path below the staging folder, empty for the folder itself; or what is wrong with the name.
pub(super) fn checked(name: &[u8]) -> Result<PathBuf, &'static str> {
    if PATH_BYTES_MAX < name.len() {
        return Err("a name of more than 1024 bytes");
    }
    let Ok(name) = std::str::from_utf8(name) else { return Err("a name that is not UTF-8") };
    if name.starts_with('/') {
        return Err("an absolute path");
    }
    if name.contains('\\') {
        return Err("a backslash in its name");
    }
    if name.chars().any(char::is_control) {
        return Err("a control character in its name");
    }
    let mut path = PathBuf::new();
    let mut depth = 0;
    for part in name.split('/') {
        match part {
            "" | "." => continue,
            ".." => return Err("a path that leaves the archive"),
            _ if PART_BYTES_MAX < part.len() => {
                return Err("a part of its name of more than 255 bytes");
            }
            _ if depth == 0 && has_drive(part) => return Err("a drive letter"),
            _ => path.push(part),
        }
        depth += 1;
        if DEPTH_MAX < depth {
            return Err("a path of more than 16 folders");
        }
    }
    Ok(path)
}

fn has_drive(part: &str) -> bool {
    matches!(part.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        let refused = |name: &str, why| assert_eq!(checked(name.as_bytes()), Err(why), "{name}");
        refused("/etc/passwd", "an absolute path");
        refused("../x", "a path that leaves the archive");
        refused("a/../../x", "a path that leaves the archive");
        refused("a/..", "a path that leaves the archive");
        refused("C:/x", "a drive letter");
        refused("c:x", "a drive letter");
        refused(".//c:x", "a drive letter");
        refused("a\\b", "a backslash in its name");
        refused("a\0b", "a control character in its name");
        refused(&"a/".repeat(17), "a path of more than 16 folders");
        refused(&"a".repeat(256), "a part of its name of more than 255 bytes");
        refused(&"a/".repeat(600), "a name of more than 1024 bytes");
        assert_eq!(checked(b"caf\xe9.csv"), Err("a name that is not UTF-8"));
        assert_eq!(checked("./a//b/./ç.csv".as_bytes()), Ok(PathBuf::from("a/b/ç.csv")));
        assert_eq!(checked(b"./"), Ok(PathBuf::new()));
    }

    proptest! {
        #[test]
        fn what_is_allowed_stays_below_the_folder(name in "[a-zA-Z:./\\\\ é\u{0}]{0,40}") {
            if let Ok(path) = checked(name.as_bytes()) {
                prop_assert!(path.components().all(|it| matches!(it, Component::Normal(_))), "{path:?}");
                prop_assert!(Path::new("/staging").join(&path).starts_with("/staging"));
                // One spelling: checking again changes nothing.
                prop_assert_eq!(checked(path.to_str().unwrap().as_bytes()), Ok(path));
            }
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(name in proptest::collection::vec(any::<u8>(),
            0..1200)) {
            let _ = checked(&name);
        }
    }
}
