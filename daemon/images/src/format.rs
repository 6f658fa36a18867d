//! Which kind of file some bytes are, by how they begin: names and extensions are never asked.

use std::fmt;

use crate::Broken;

/// The kinds that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Jpeg,
    Png,
    WebP,
    Gif,
    Bmp,
    Tiff,
}

impl Format {
    /// What [`Format::of`] looks at.
    pub const HEAD_BYTES: usize = 14;

    pub fn name(self) -> &'static str {
        match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::WebP => "WebP",
            Format::Gif => "GIF",
            Format::Bmp => "BMP",
            Format::Tiff => "TIFF",
        }
    }

    /// `None` where the bytes begin like none of these; why, says [`Format::recognise`].
    pub fn of(bytes: &[u8]) -> Option<Format> {
        match bytes {
            [0xFF, 0xD8, 0xFF, ..] => Some(Format::Jpeg),
            [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Some(Format::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
            // Eight bytes later stands the offset of the pixels, whose upper half is zero in any
            // real file: text may begin with "BM" too.
            [b'B', b'M', _, _, _, _, 0, 0, 0, 0, _, _, 0, 0, ..] => Some(Format::Bmp),
            [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some(Format::Tiff),
            _ => None,
        }
    }

    pub(crate) fn recognise(bytes: &[u8]) -> Result<Format, Broken> {
        if bytes.is_empty() {
            return Err(Broken::Empty);
        }
        if let Some(format) = Format::of(bytes) {
            return Ok(format);
        }
        Err(match other_kind(bytes) {
            Some(kind) => Broken::OtherKind { kind },
            None if looks_like_text(bytes) => Broken::Text,
            None => Broken::NotAImage,
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Images that people have and that no well-kept crate in safe Rust reads.
fn other_kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f' | b's', ..] => {
            Some("an AVIF image")
        }
        [_, _, _, _, b'f', b't', b'y', b'p', b'h', b'e', ..]
        | [_, _, _, _, b'f', b't', b'y', b'p', b'm', b'i', b'f', b'1', ..] => Some("a HEIC image"),
        [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => Some("a JPEG XL image"),
        [0, 0, 0, 0x0C, b'j', b'P', b' ', b' ', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => {
            Some("a JPEG 2000 image")
        }
        [b'I', b'I', 43, 0, ..] | [b'M', b'M', 0, 43, ..] => Some("a BigTIFF image"),
        [b'8', b'B', b'P', b'S', ..] => Some("a Photoshop file"),
        [b'%', b'P', b'D', b'F', ..] => Some("a PDF"),
        [0, 0, 1, 0, ..] => Some("an icon"),
        _ if bytes.len() > 132 && &bytes[128..132] == b"DICM" => Some("a DICOM file"),
        _ if starts_like_svg(bytes) => Some("an SVG drawing"),
        _ => None,
    }
}

fn starts_like_svg(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(SNIFFED_BYTES)];
    let start = start.trim_ascii_start();
    start.starts_with(b"<svg")
        || (start.starts_with(b"<?xml") && start.windows(4).any(|it| it == b"<svg"))
}

/// Enough to tell text from anything else.
const SNIFFED_BYTES: usize = 512;

fn looks_like_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(SNIFFED_BYTES)];
    let valid = match std::str::from_utf8(start) {
        Ok(text) => text,
        // Cut within its last character.
        Err(err) if start.len() < err.valid_up_to() + 4 => {
            std::str::from_utf8(&start[..err.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|it| !it.is_control() || it.is_ascii_whitespace())
}
