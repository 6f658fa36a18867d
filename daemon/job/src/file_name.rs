//! What a file's name says of its state: still under way, or litter of programs that show folders.
//! One list for inboxes and for data sets, at every depth.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileName {
    Ordinary,
    /// A copy, a download or a save that will get another name: what it lies in is not complete.
    UnderWay,
    /// Made by a file manager, an editor or a server beside the data; nobody's data.
    Litter,
}

/// In lower case.
const UNDER_WAY_SUFFIXES: &[&str] = &[
    ".part",       // Firefox, curl, KDE
    ".partial",    // Edge, wget2
    ".filepart",   // WinSCP
    ".crdownload", // Chrome
    ".download",   // Safari
    ".opdownload", // Opera
    ".tmp",
    ".temp",
    ".!ut", // torrents
    ".aria2",
    ".unfinished",
    ".incomplete",
];
const LITTER: &[&str] = &[
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "@eadir",
    ".ds_store",
    ".directory",
    "$recycle.bin",
    "#recycle",
];
const LITTER_SUFFIXES: &[&str] = &[".swp", ".swo", ".swx"];

impl FileName {
    /// Of a file or a folder.
    pub fn of(name: &str) -> FileName {
        let lower = name.to_lowercase();
        let litter = LITTER.contains(&&*lower)
            || lower.starts_with("~$")
            || lower.starts_with("._")
            || (lower.starts_with(".~lock.") && lower.ends_with('#'))
            || (lower.starts_with('.') && LITTER_SUFFIXES.iter().any(|it| lower.ends_with(it)));
        if litter {
            FileName::Litter
        } else if UNDER_WAY_SUFFIXES.iter().any(|it| lower.ends_with(it)) || is_of_rsync(name) {
            FileName::UnderWay
        } else {
            FileName::Ordinary
        }
    }
}

/// `.data.csv.aB3xYz`: rsync's copy of `data.csv` under way. Six letters without a digit or a
/// capital among them, one name in 200, could be a person's (`.config.backup`).
fn is_of_rsync(name: &str) -> bool {
    let Some((stem, end)) = name.strip_prefix('.').and_then(|it| it.rsplit_once('.')) else {
        return false;
    };
    !stem.is_empty()
        && end.len() == 6
        && end.bytes().all(|it| it.is_ascii_alphanumeric())
        && end.bytes().any(|it| !it.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_who_is_still_at_work() {
        for name in [
            "a.csv.part",
            "A.CSV.PART",
            "x.filepart",
            "x.partial",
            "big.zip.crdownload",
            "a.download",
            "a.opdownload",
            "x.tmp",
            ".a.csv.aB3xYz",
            ".syncthing.a.csv.tmp",
            "~syncthing~a.csv.tmp",
            ".part",
        ] {
            assert_eq!(FileName::of(name), FileName::UnderWay, "{name}");
        }
        for name in [
            "Thumbs.db",
            "desktop.ini",
            "@eaDir",
            ".DS_Store",
            "._a.csv",
            "~$table.xlsx",
            ".~lock.table.ods#",
            ".a.csv.swp",
        ] {
            assert_eq!(FileName::of(name), FileName::Litter, "{name}");
        }
        for name in
            ["a.csv", "part", "tmp", "a.part.csv", ".ready", ".config.backup", "swp", "thumbs.csv"]
        {
            assert_eq!(FileName::of(name), FileName::Ordinary, "{name}");
        }
    }
}
