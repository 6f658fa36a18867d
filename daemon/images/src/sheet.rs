//! Many images at one glance: thumbnails in a grid, as a PNG for the report.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use crate::Pixels;
use crate::resize::{Filter, Window, resize};

const GAP: u32 = 4;
const BACKGROUND: [u8; 3] = [255; 3];

/// PNG bytes of all images, row by row, each within `cell` x `cell` pixels with its proportions
/// kept; small ones are enlarged by whole pixels at most as far as they fit. At least one image,
/// one column and one pixel.
pub fn contact_sheet(images: &[Pixels], columns: u32, cell: u32) -> Vec<u8> {
    assert!(!images.is_empty() && columns != 0 && cell != 0, "a sheet shows something");
    let count = u32::try_from(images.len()).expect("fewer images than pixels");
    let columns = columns.min(count);
    let step = cell + GAP;
    let mut sheet =
        Pixels::filled(columns * step + GAP, count.div_ceil(columns) * step + GAP, BACKGROUND);
    for (place, image) in (0..).zip(images) {
        let thumbnail = thumbnail(image, cell);
        let left = GAP + place % columns * step + (cell - thumbnail.width()) / 2;
        let top = GAP + place / columns * step + (cell - thumbnail.height()) / 2;
        sheet.paste(&thumbnail, left.into(), top.into());
    }
    png(&sheet)
}

fn thumbnail(image: &Pixels, cell: u32) -> Pixels {
    let (width, height) = (image.width(), image.height());
    let longer = width.max(height);
    let whole = Window::whole(image);
    if longer <= cell {
        let times = cell / longer;
        return resize(image, whole, (width * times, height * times), Filter::Nearest);
    }
    let scaled = |side: u32| {
        ((f64::from(side) * f64::from(cell) / f64::from(longer)).round() as u32).clamp(1, cell)
    };
    resize(image, whole, (scaled(width), scaled(height)), Filter::Bicubic)
}

fn png(pixels: &Pixels) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(pixels.data(), pixels.width(), pixels.height(), ExtendedColorType::Rgb8)
        .expect("memory can be written to");
    bytes
}
