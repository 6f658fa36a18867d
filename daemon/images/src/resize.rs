//! Resizing as Pillow does it: a convolution whose window grows with the reduction, first to the new width, then to the
//! new height, 8 bits in between. `fast_image_resize` is that algorithm with SIMD.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
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
        [Filter::Nearest, Filter::Lanczos, Filter::Bilinear, Filter::Bicubic, Filter::Box, Filter::Hamming]
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

/// A part of a picture, in its pixels; fractions are allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Window {
    pub(crate) fn whole(pixels: &Pixels) -> Window {
        Window { left: 0.0, top: 0.0, width: f64::from(pixels.width()), height: f64::from(pixels.height()) }
    }
}

/// How far the widest filter (Lanczos) looks around a pixel of the result, in steps between such pixels.
const SUPPORT_MAX: f64 = 3.0;

/// The window, at another size. The filter looks beyond the window's border where there are pixels, so a part of
/// the result is what the same part of a resized whole would be.
pub(crate) fn resize(pixels: &Pixels, window: Window, (width, height): (u32, u32), filter: Filter) -> Pixels {
    // In one call `fast_image_resize` would change the height first, and its rounding in between is seen: 0.2/255 on average.
    let reach = SUPPORT_MAX * (window.height / f64::from(height)).max(1.0) + 1.0;
    let first = (window.top - reach).floor().max(0.0) as u32;
    let last = ((window.top + window.height + reach).ceil() as u32).min(pixels.height());
    let rows = last - first;
    let narrow = pass(pixels, Window { top: first.into(), height: rows.into(), ..window }, (width, rows), filter);
    pass(&narrow, Window { left: 0.0, width: width.into(), top: window.top - f64::from(first), ..window }, (width, height), filter)
}

fn pass(pixels: &Pixels, window: Window, (width, height): (u32, u32), filter: Filter) -> Pixels {
    let source: TypedImageRef<U8x3> = TypedImageRef::from_buffer(pixels.width(), pixels.height(), pixels.data()).expect("three bytes for each pixel");
    let mut data = vec![0; width as usize * height as usize * 3];
    let mut target: TypedImage<U8x3> = TypedImage::from_buffer(width, height, &mut data).expect("three bytes for each pixel");
    let options = ResizeOptions::new().resize_alg(filter.algorithm()).crop(window.left, window.top, window.width, window.height);
    Resizer::new().resize_typed(&source, &mut target, &options).expect("the window lies within the picture");
    Pixels::new(width, height, data)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use safetensors::SafeTensors;

    use super::{Filter, Window, resize};
    use crate::Pixels;

    /// Made by tests/data/make_fixtures.py with Pillow 13.0.0.
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
            let made = resize(&source, Window::whole(&source), size, Filter::from_name(filter).expect("a filter"));
            let differences = made.data().iter().zip(expected.data()).map(|(one, other)| u32::from(one.abs_diff(*other)));
            let (sum, most) = differences.fold((0, 0), |(sum, most), it| (sum + it, most.max(it)));
            println!("{name}: {} on average, {most} at most", f64::from(sum) / made.data().len() as f64);
            assert!(most <= 1 && sum * 50 <= made.data().len() as u32, "{name}: {sum} in {}, {most} at most", made.data().len());
        }
    }
}
