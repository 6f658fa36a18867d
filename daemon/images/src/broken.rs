//! Why the bytes of a file give no image, each in one sentence that says what to do where something
//! can be done.

use thiserror::Error;

use crate::Format;

/// The largest image that is decoded. Cameras of today stay below it, and while decoding it takes
/// 0.3 to 0.9 GB, which a small machine has once. Pillow warns from 89 million pixels on and
/// refuses from 179 on.
pub const PIXELS_MAX: u64 = 100_000_000;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Broken {
    #[error("the file is empty")]
    Empty,
    #[error("this is text, not an image")]
    Text,
    #[error("this is not an image: its bytes do not begin like JPEG, PNG, WebP, GIF, BMP or TIFF")]
    NotAImage,
    #[error("this is {kind}, which is not read; save it as JPEG or PNG")]
    OtherKind { kind: &'static str },
    #[error("the {format} ends too early; copy the file again")]
    Truncated { format: Format },
    #[error("the image has {width} x {height} pixels, more than the {} million that are read; make it smaller", PIXELS_MAX / 1_000_000)]
    TooLarge { width: u32, height: u32 },
    #[error("the image has no pixels: it is {width} x {height}")]
    NoPixels { width: u32, height: u32 },
    /// A rare kind of its format.
    #[error("this kind of {format} is not read; save it as PNG with 8 bits")]
    Unsupported { format: Format },
    #[error("the {format} is damaged; copy the file again or leave it out")]
    Damaged { format: Format },
}

impl Format {
    /// [`Format::of`], and where that finds none, why.
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
