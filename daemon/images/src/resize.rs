//! Resizing as Pillow does it: a convolution whose window grows with the reduction, columns first, 8 bits in between.
//! `fast_image_resize` is that algorithm with SIMD.

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

/// The window, at another size. The filter looks beyond the window's border where there are pixels, so a part of
/// the result is what the same part of a resized whole would be.
pub(crate) fn resize(pixels: &Pixels, window: Window, (width, height): (u32, u32), filter: Filter) -> Pixels {
    let source: TypedImageRef<U8x3> = TypedImageRef::from_buffer(pixels.width(), pixels.height(), pixels.data()).expect("three bytes for each pixel");
    let mut data = vec![0; width as usize * height as usize * 3];
    let mut target: TypedImage<U8x3> = TypedImage::from_buffer(width, height, &mut data).expect("three bytes for each pixel");
    let options = ResizeOptions::new().resize_alg(filter.algorithm()).crop(window.left, window.top, window.width, window.height);
    Resizer::new().resize_typed(&source, &mut target, &options).expect("the window lies within the picture");
    Pixels::new(width, height, data)
}
