//! Why the bytes of a file give no image, each in one sentence that says what to do where something
//! can be done.

use thiserror::Error;

use crate::Format;
use crate::decode::PIXELS_MAX;

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
