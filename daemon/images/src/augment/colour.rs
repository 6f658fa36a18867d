//! Operations that change values and not places, as Pillow computes them: `ImageEnhance`,
//! `ImageOps`, and the shift of hue in torchvision's `_functional_pil.py`.

use crate::Pixels;
use crate::pixels::luma;

/// A new value for each value, the same for all channels.
pub(super) fn map(image: &mut Pixels, new: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|it| new(it as u8));
    for value in image.data_mut() {
        *value = table[usize::from(*value)];
    }
}

/// `Image.blend`: from `base` (0) by `value` (1) and beyond. Cut to a byte, not rounded; in 32
/// bits.
fn blend(base: u8, value: u8, factor: f32) -> u8 {
    // `as` cuts fractions off and holds to 0..=255.
    (f32::from(base) + factor * (f32::from(value) - f32::from(base))) as u8
}

pub(super) fn brightness(image: &mut Pixels, factor: f32) {
    map(image, |it| blend(0, it, factor));
}

/// Away from the mean of the luma, rounded.
pub(super) fn contrast(image: &mut Pixels, factor: f32) {
    let grey = image.grey();
    let sum: u64 = grey.iter().map(|&it| u64::from(it)).sum();
    let mean = (sum as f64 / grey.len() as f64 + 0.5) as u8;
    map(image, |it| blend(mean, it, factor));
}

pub(super) fn saturation(image: &mut Pixels, factor: f32) {
    for rgb in image.data_mut().as_chunks_mut::<3>().0 {
        let grey = luma(*rgb);
        *rgb = rgb.map(|it| blend(grey, it, factor));
    }
}

/// Away from `ImageFilter.SMOOTH`: each pixel five times and its eight neighbours once. The
/// outermost pixels stay.
pub(super) fn sharpness(image: &mut Pixels, factor: f32) {
    let (width, height) = (image.width() as usize, image.height() as usize);
    if width < 3 || height < 3 {
        return;
    }
    let original = image.data().to_vec();
    let stride = width * 3;
    for y in 1..height - 1 {
        for at in y * stride + 3..(y + 1) * stride - 3 {
            let row = |at: usize| {
                u32::from(original[at - 3]) + u32::from(original[at]) + u32::from(original[at + 3])
            };
            let sum = row(at - stride) + row(at) + row(at + stride) + 4 * u32::from(original[at]);
            let smooth = (sum as f32 / 13.0 + 0.5) as u8;
            image.data_mut()[at] = blend(smooth, original[at], factor);
        }
    }
}

pub(super) fn invert(image: &mut Pixels) {
    map(image, |it| 255 - it);
}

pub(super) fn posterize(image: &mut Pixels, bits: u32) {
    let mask = !(0xFF_u32 >> bits) as u8;
    map(image, |it| it & mask);
}

/// Inverts values from `threshold` on.
pub(super) fn solarize(image: &mut Pixels, threshold: u32) {
    map(image, |it| if u32::from(it) < threshold { it } else { 255 - it });
}

/// Brightens values below 128.
pub(super) fn solarize_add(image: &mut Pixels, add: u8) {
    map(image, |it| if it < 128 { it.saturating_add(add) } else { it });
}

/// Each channel stretched to 0..=255.
pub(super) fn auto_contrast(image: &mut Pixels) {
    map_channels(image, |histogram| {
        let low = histogram.iter().position(|&it| it != 0).unwrap_or(0);
        let high = histogram.iter().rposition(|&it| it != 0).unwrap_or(0);
        if high <= low {
            return std::array::from_fn(|it| it as u8);
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        std::array::from_fn(|it| (it as f64 * scale + offset) as u8)
    });
}

/// Each channel to an even histogram.
pub(super) fn equalize(image: &mut Pixels) {
    map_channels(image, |histogram| {
        let sum: u32 = histogram.iter().sum();
        let last = histogram.iter().rev().find(|it| **it != 0).copied().unwrap_or(0);
        let step = (sum - last) / 255;
        if step == 0 {
            return std::array::from_fn(|it| it as u8);
        }
        let mut below = step / 2;
        std::array::from_fn(|it| {
            let level = below / step;
            below += histogram[it];
            level.min(255) as u8
        })
    });
}

fn map_channels(image: &mut Pixels, table: impl Fn(&[u32; 256]) -> [u8; 256]) {
    let mut histograms = [[0; 256]; 3];
    for rgb in image.data().as_chunks::<3>().0 {
        for (histogram, value) in histograms.iter_mut().zip(rgb) {
            histogram[usize::from(*value)] += 1;
        }
    }
    let tables = histograms.map(|it| table(&it));
    for rgb in image.data_mut().as_chunks_mut::<3>().0 {
        *rgb = std::array::from_fn(|channel| tables[channel][usize::from(rgb[channel])]);
    }
}

/// `turns` of the colour wheel, in steps of 1/255 as torchvision has them.
pub(super) fn hue(image: &mut Pixels, turns: f64) {
    let shift = (turns * 255.0) as i32 as u8;
    for rgb in image.data_mut().as_chunks_mut::<3>().0 {
        let [hue, saturation, value] = to_hsv(*rgb);
        *rgb = from_hsv([hue.wrapping_add(shift), saturation, value]);
    }
}

/// `rgb2hsv_row` of Pillow's Convert.c.
fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    if high == low {
        return [0, 0, high];
    }
    let range = f32::from(high - low);
    let saturation = range / f32::from(high);
    let distance = |it: u8| f32::from(high - it) / range;
    let sixths = if r == high {
        distance(b) - distance(g)
    } else if g == high {
        2.0 + distance(r) - distance(b)
    } else {
        4.0 + distance(g) - distance(r)
    };
    let hue = (f64::from(sixths) / 6.0 + 1.0).rem_euclid(1.0) as f32;
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, high]
}

/// `hsv2rgb` of Pillow's Convert.c.
fn from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let sixths = (f64::from(hue) * 6.0 / 255.0) as f32;
    let sector = sixths.floor();
    let part = sixths - sector;
    let share = (f64::from(saturation) / 255.0) as f32;
    let scaled = |factor: f32| (f32::from(value) * factor).round() as u8;
    let (p, q, t) =
        (scaled(1.0 - share), scaled(1.0 - share * part), scaled(1.0 - share * (1.0 - part)));
    match sector as u8 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}
