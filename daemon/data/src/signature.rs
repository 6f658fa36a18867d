//! Decides what a file is that is not read: by its name, or by its content where that is not what
//! the name says (an image called `.csv`, a page instead of a download). Only for the sentence of
//! the refusal.

/// First bytes, and what such a file is called in a sentence.
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "a RIFF file (sound, video or WebP)"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip file (perhaps an Excel or Word document)"),
    (b"PK\x05\x06", "an empty zip file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word document"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"Obj\x01", "an Avro file"),
    (b"\x80\x02", PICKLE.what),
    (b"\x80\x03", PICKLE.what),
    (b"\x80\x04", PICKLE.what),
    (b"\x80\x05", PICKLE.what),
];

/// What is known and not read: extensions in lower case, what it is, and the cure.
#[derive(Debug)]
pub(crate) struct NotRead {
    extensions: &'static [&'static str],
    pub(crate) what: &'static str,
    pub(crate) cure: &'static str,
}

const UNPACK: &str = "unpack it, or make a .zip or .tar.gz of it";
const TO_TABLE: &str = "write the rows to CSV, JSON Lines or Parquet";
const FROM_MAIL: &str = "write what was said in each mail to a table with a column for its folder, or to a .txt file in a folder for each class";
const FROM_PAGE: &str =
    "write what each page says to a .txt file in a folder for each class, or to a table";
const TO_FILES: &str = "write the images to a folder for each class, and texts to a table";
const PICKLE: NotRead = NotRead {
    extensions: &["pkl", "pickle", "joblib"],
    what: "a Python pickle",
    cure: "a pickle may run any program, and is never opened: write images to a folder for each class, and texts to CSV, JSON Lines or Parquet; CIFAR lies on the hub as Parquet too",
};

pub(crate) const NOT_READ: &[NotRead] = &[
    NotRead { extensions: &["7z"], what: "a 7z archive", cure: UNPACK },
    NotRead { extensions: &["rar"], what: "a RAR archive", cure: UNPACK },
    NotRead {
        extensions: &["bz2", "tbz2", "xz", "txz", "lzma", "lz4", "br", "z", "cab", "iso"],
        what: "an archive of a kind",
        cure: UNPACK,
    },
    NotRead {
        extensions: &["doc", "docx", "odt", "rtf"],
        what: "a word processor's document",
        cure: TO_TABLE,
    },
    NotRead { extensions: &["ppt", "pptx", "odp"], what: "a presentation", cure: TO_TABLE },
    NotRead { extensions: &["pdf"], what: "a PDF document", cure: TO_TABLE },
    NotRead { extensions: &["html", "htm", "xhtml", "mhtml"], what: "a web page", cure: FROM_PAGE },
    NotRead { extensions: &["epub"], what: "an e-book", cure: TO_TABLE },
    NotRead { extensions: &["eml", "msg", "mbox", "pst"], what: "e-mail", cure: FROM_MAIL },
    PICKLE,
    NotRead { extensions: &["npy", "npz"], what: "a NumPy array", cure: TO_FILES },
    NotRead { extensions: &["pt", "pth"], what: "a PyTorch file", cure: TO_FILES },
    NotRead { extensions: &["mat"], what: "a MATLAB file", cure: TO_FILES },
    NotRead { extensions: &["tfrecord", "tfrecords"], what: "a TFRecord", cure: TO_FILES },
    NotRead { extensions: &["h5", "hdf5", "hdf"], what: "an HDF5 file", cure: TO_FILES },
    NotRead { extensions: &["mdb", "lmdb"], what: "a database", cure: TO_FILES },
    NotRead {
        extensions: &["db", "sqlite", "sqlite3"],
        what: "an SQLite database",
        cure: TO_TABLE,
    },
    NotRead { extensions: &["sql"], what: "a dump of a database", cure: TO_TABLE },
    NotRead { extensions: &["xml"], what: "an XML file", cure: TO_TABLE },
    NotRead { extensions: &["arff"], what: "a table of Weka", cure: TO_TABLE },
    NotRead { extensions: &["orc"], what: "an ORC file", cure: TO_TABLE },
    NotRead { extensions: &["avro"], what: "an Avro file", cure: TO_TABLE },
    NotRead { extensions: &["rds", "rda", "rdata"], what: "an R file", cure: TO_TABLE },
    NotRead {
        extensions: &["sav", "dta", "sas7bdat"],
        what: "a statistics program's file",
        cure: TO_TABLE,
    },
];

/// `name`: a file's own, in lower case.
pub(crate) fn not_read(name: &str) -> Option<&'static NotRead> {
    let (_, extension) = name.rsplit_once('.')?;
    NOT_READ.iter().find(|it| it.extensions.contains(&extension))
}

/// Of a file whose name says nothing, as the batches of CIFAR have them.
pub(crate) fn nameless_not_read(head: &[u8]) -> Option<&'static NotRead> {
    let known = SIGNATURES.iter().find(|it| head.starts_with(it.0))?;
    (known.1 == PICKLE.what).then_some(&PICKLE)
}

/// Control characters in more than one byte of this many: not text.
const CONTROL_SHARE_MAX: usize = 50;

/// `head`: the first kilobytes, in whatever encoding but not UTF-16. Nothing for text.
pub(crate) fn foreign(head: &[u8]) -> Option<&'static str> {
    if let Some((_, what)) = SIGNATURES.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(what);
    }
    let start = head.trim_ascii_start();
    let page = |tag: &[u8]| start.get(..tag.len()).is_some_and(|it| it.eq_ignore_ascii_case(tag));
    if page(b"<!doctype html") || page(b"<html") {
        return Some("a web page");
    }
    let control = head
        .iter()
        .filter(|it| it.is_ascii_control() && !matches!(it, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b))
        .count();
    (head.len() / CONTROL_SHARE_MAX < control).then_some("binary data")
}

/// Whether it begins with a row between bars, and below it one of nothing but lines, as a text
/// may well do and a table not.
pub(crate) fn is_markdown_table(head: &[u8]) -> bool {
    let lines = head.split(|it| *it == b'\n').map(<[u8]>::trim_ascii);
    let mut lines = lines.filter(|it| !it.is_empty());
    let (Some(header), Some(below)) = (lines.next(), lines.next()) else { return false };
    let is_line = |it: &u8| matches!(it, b'|' | b'-' | b':' | b' ');
    header.starts_with(b"|")
        && below.starts_with(b"|")
        && below.contains(&b'-')
        && below.iter().all(is_line)
}

#[cfg(test)]
mod tests {
    use super::{foreign, is_markdown_table};

    #[test]
    fn images_pages_and_noise_are_named_and_texts_are_not() {
        assert_eq!(foreign(b"\x89PNG\r\n\x1a\n...."), Some("a PNG image"));
        assert_eq!(foreign(b"\n <!DOCTYPE HTML><html>"), Some("a web page"));
        assert_eq!(foreign(&[0, 1, 2, 3, 200, 7]), Some("binary data"));
        assert_eq!(foreign(b"text,label\ncaf\xe9,1\n"), None);
        assert_eq!(foreign(&[b"text,label\n".repeat(60).as_slice(), b"a\0b,1\n"].concat()), None);
        let table = b"| text | label |\n| --- | :-: |\n| a | b |\n";
        assert!(is_markdown_table(table) && foreign(table).is_none());
        assert!(!is_markdown_table(b"|text|label|\n|a|b|\n"));
        assert_eq!(foreign(b""), None);
    }
}
