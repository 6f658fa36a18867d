//! Resizing as Pillow does it: a convolution whose window grows with the reduction, one side after
//! the other, 8 bits in between. `fast_image_resize` is that algorithm with SIMD.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use crate::Pixels;

/// With Pillow's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    Nearest,
    Box,
    Bilinear,
    Hamming,
    Bicubic,
    Lanczos,
}

impl Filter {
    /// By Pillow's numbers, which preprocessor_config.json has as `resample`.
    pub(crate) fn from_pillow(number: u64) -> Option<Filter> {
        [
            Filter::Nearest,
            Filter::Lanczos,
            Filter::Bilinear,
            Filter::Bicubic,
            Filter::Box,
            Filter::Hamming,
        ]
        .get(usize::try_from(number).ok()?)
        .copied()
    }

    pub(crate) fn from_name(name: &str) -> Option<Filter> {
        Some(match name {
            "nearest" => Filter::Nearest,
            "box" => Filter::Box,
            "bilinear" => Filter::Bilinear,
            "hamming" => Filter::Hamming,
            "bicubic" => Filter::Bicubic,
            "lanczos" => Filter::Lanczos,
            _ => return None,
        })
    }

    fn algorithm(self) -> ResizeAlg {
        ResizeAlg::Convolution(match self {
            Filter::Nearest => return ResizeAlg::Nearest,
            Filter::Box => FilterType::Box,
            Filter::Bilinear => FilterType::Bilinear,
            Filter::Hamming => FilterType::Hamming,
            Filter::Bicubic => FilterType::CatmullRom, // Pillow's has a = -0.5, which is this one
            Filter::Lanczos => FilterType::Lanczos3,
        })
    }
}

/// A part of an image, in its pixels; fractions are allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Window {
    pub(crate) fn whole(pixels: &Pixels) -> Window {
        Window {
            left: 0.0,
            top: 0.0,
            width: f64::from(pixels.width()),
            height: f64::from(pixels.height()),
        }
    }
}

/// How far the widest filter (Lanczos) looks around a pixel of the result, in steps between such
/// pixels.
const SUPPORT_MAX: f64 = 3.0;

/// The window, at another size. The filter looks beyond the window's border where there are pixels,
/// so a part of the result is what the same part of a resized whole would be.
pub(crate) fn resize(
    pixels: &Pixels,
    window: Window,
    (width, height): (u32, u32),
    filter: Filter,
) -> Pixels {
    let data = resize_values::<U8x3>(
        pixels.data(),
        (pixels.width(), pixels.height()),
        window,
        (width, height),
        filter,
    );
    Pixels::new(width, height, data)
}

/// The same for any 8-bit pixel.
pub(crate) fn resize_values<P: PixelTrait>(
    values: &[u8],
    source: (u32, u32),
    window: Window,
    size: (u32, u32),
    filter: Filter,
) -> Vec<u8> {
    if height_first(source, window, size) {
        return pass::<P>(values, source, window, size, filter);
    }
    // In one call `fast_image_resize` changes the height first, and its rounding in between is
    // seen: 0.2/255 on average.
    let reach = SUPPORT_MAX * (window.height / f64::from(size.1)).max(1.0) + 1.0;
    let first = (window.top - reach).floor().max(0.0) as u32;
    let last = ((window.top + window.height + reach).ceil() as u32).min(source.1);
    let narrow_size = (size.0, last - first);
    let narrow = pass::<P>(
        values,
        source,
        Window { top: first.into(), height: narrow_size.1.into(), ..window },
        narrow_size,
        filter,
    );
    pass::<P>(
        &narrow,
        narrow_size,
        Window { left: 0.0, width: size.0.into(), top: window.top - f64::from(first), ..window },
        size,
        filter,
    )
}

/// Whether Pillow 13 changes the height before the width, found by comparing it with both orders on
/// 1,116 random sizes, all of which follow this: where rows are lost, and more than twice as many
/// as columns. (Pillow before it, and torchvision, always begin with the width.) The sizes are
/// those of whole images.
fn height_first((width, height): (u32, u32), window: Window, size: (u32, u32)) -> bool {
    let lost = |side: u32, shown: f64, to: u32| {
        i64::from(side) - (f64::from(side) * f64::from(to) / shown).round() as i64
    };
    let (columns, rows) = (lost(width, window.width, size.0), lost(height, window.height, size.1));
    0 < rows && 2 * columns < rows
}

fn pass<P: PixelTrait>(
    values: &[u8],
    (from_width, from_height): (u32, u32),
    window: Window,
    (width, height): (u32, u32),
    filter: Filter,
) -> Vec<u8> {
    let source: TypedImageRef<P> = TypedImageRef::from_buffer(from_width, from_height, values)
        .expect("all bytes of all pixels");
    let mut made = vec![0; width as usize * height as usize * size_of::<P>()];
    let mut target: TypedImage<P> =
        TypedImage::from_buffer(width, height, &mut made).expect("all bytes of all pixels");
    let options = ResizeOptions::new().resize_alg(filter.algorithm()).crop(
        window.left,
        window.top,
        window.width,
        window.height,
    );
    Resizer::new()
        .resize_typed(&source, &mut target, &options)
        .expect("the window lies within the image");
    made
}

#[cfg(test)]
mod tests {
    use std::fs;

    use safetensors::SafeTensors;

    use super::{Filter, Window, resize};
    use crate::Pixels;

    /// Made by tests/data/make_fixtures.py with Pillow 13.0.0. Pillow's weights have 22 bits, these
    /// 16 with their sign: up to 1 % of the values are one off.
    #[test]
    fn sizes_are_changed_as_pillow_does() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/resized.safetensors");
        let bytes = fs::read(path).expect("made by make_fixtures.py");
        let tensors = SafeTensors::deserialize(&bytes).expect("made by safetensors");
        let pixels = |name: &str| {
            let tensor = tensors.tensor(name).expect(name);
            Pixels::new(tensor.shape()[1] as u32, tensor.shape()[0] as u32, tensor.data().to_vec())
        };
        let source = pixels("source");
        for name in tensors.names().into_iter().filter(|it| *it != "source") {
            let (filter, _) = name.split_once('_').expect("filter_size");
            let expected = pixels(name);
            let size = (expected.width(), expected.height());
            let made = resize(
                &source,
                Window::whole(&source),
                size,
                Filter::from_name(filter).expect("a filter"),
            );
            let differences = made
                .data()
                .iter()
                .zip(expected.data())
                .map(|(one, other)| u32::from(one.abs_diff(*other)));
            let (sum, most) = differences.fold((0, 0), |(sum, most), it| (sum + it, most.max(it)));
            let mean = f64::from(sum) / made.data().len() as f64;
            // Where a pixel lies on the edge of a box, rounding decides whether it counts.
            let (most_allowed, mean_allowed) = if filter == "box" { (64, 1.0) } else { (1, 0.02) };
            assert!(
                most <= most_allowed && mean <= mean_allowed,
                "{name}: {mean} on average, {most} at most"
            );
        }
    }
}
