//! Many pictures at one glance: thumbnails in a grid, as a PNG for the report.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use crate::Pixels;
use crate::resize::{Filter, Window, resize};

const GAP: u32 = 4;
const BACKGROUND: [u8; 3] = [255; 3];

/// PNG bytes of all pictures, row by row, each within `cell` x `cell` pixels with its proportions kept; small ones are
/// enlarged by whole pixels at most as far as they fit. At least one picture, one column and one pixel.
pub fn contact_sheet(pictures: &[Pixels], columns: u32, cell: u32) -> Vec<u8> {
    assert!(!pictures.is_empty() && columns != 0 && cell != 0, "a sheet shows something");
    let count = u32::try_from(pictures.len()).expect("fewer pictures than pixels");
    let columns = columns.min(count);
    let step = cell + GAP;
    let mut sheet = Pixels::filled(columns * step + GAP, count.div_ceil(columns) * step + GAP, BACKGROUND);
    for (place, picture) in (0..).zip(pictures) {
        let thumbnail = thumbnail(picture, cell);
        let left = GAP + place % columns * step + (cell - thumbnail.width()) / 2;
        let top = GAP + place / columns * step + (cell - thumbnail.height()) / 2;
        sheet.paste(&thumbnail, left.into(), top.into());
    }
    png(&sheet)
}

fn thumbnail(picture: &Pixels, cell: u32) -> Pixels {
    let (width, height) = (picture.width(), picture.height());
    let longer = width.max(height);
    let whole = Window::whole(picture);
    if longer <= cell {
        let times = cell / longer;
        return resize(picture, whole, (width * times, height * times), Filter::Nearest);
    }
    let scaled = |side: u32| ((f64::from(side) * f64::from(cell) / f64::from(longer)).round() as u32).clamp(1, cell);
    resize(picture, whole, (scaled(width), scaled(height)), Filter::Bicubic)
}

fn png(pixels: &Pixels) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(pixels.data(), pixels.width(), pixels.height(), ExtendedColorType::Rgb8)
        .expect("memory can be written to");
    bytes
}
