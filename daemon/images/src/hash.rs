//! A number for how a picture looks, so that scaled, recompressed and slightly retouched copies are found.

use std::f64::consts::PI;

use fast_image_resize::pixels::U8;

use crate::Pixels;
use crate::resize::{Filter, Window, resize_values};

/// Two pictures whose hashes differ in at most this many bits are called near duplicates. Copies that were scaled,
/// recompressed, brightened or blurred stay within it (tested); hashes of unrelated pictures differ in about 32, and
/// independent bits in fewer than 12 not once in a million pairs. Pictures with little in them (a shape on black) may
/// come closer without being copies, so pairs are for a person to look at, not to be dropped.
pub const NEAR_DUPLICATE_BITS: u32 = 4;

/// Side of the small grey picture, and of the low frequencies that are kept of it.
const SIDE: usize = 32;
const KEPT: usize = 8;

/// `imagehash.phash` (ImageHash 4.3): grey, 32 x 32 by Lanczos, the cosine transform's 8 x 8 lowest frequencies, a bit
/// for each that is above their median; the first is the highest bit.
pub fn perceptual_hash(pixels: &Pixels) -> u64 {
    let small = small_grey(pixels);
    let low = low_frequencies(&small);
    let mut sorted = low;
    sorted.sort_by(f64::total_cmp);
    let median = f64::midpoint(sorted[KEPT * KEPT / 2 - 1], sorted[KEPT * KEPT / 2]);
    low.iter().fold(0, |hash, it| hash << 1 | u64::from(median < *it))
}

/// Bits that differ: 0 to 64.
pub fn hash_distance(one: u64, other: u64) -> u32 {
    (one ^ other).count_ones()
}

/// Grey before small, in that order, as ImageHash does it.
fn small_grey(pixels: &Pixels) -> [f64; SIDE * SIDE] {
    let size = (pixels.width(), pixels.height());
    let small = resize_values::<U8>(&pixels.grey(), size, Window::whole(pixels), (SIDE as u32, SIDE as u32), Filter::Lanczos);
    std::array::from_fn(|it| f64::from(small[it]))
}

/// The upper left corner of DCT-II over columns, then rows, unscaled.
fn low_frequencies(small: &[f64; SIDE * SIDE]) -> [f64; KEPT * KEPT] {
    let wave = |frequency: usize, at: usize| (PI * frequency as f64 * (2 * at + 1) as f64 / (2 * SIDE) as f64).cos();
    let waves: [[f64; SIDE]; KEPT] = std::array::from_fn(|frequency| std::array::from_fn(|at| wave(frequency, at)));
    let columns: [[f64; SIDE]; KEPT] =
        std::array::from_fn(|row| std::array::from_fn(|x| (0..SIDE).map(|y| small[y * SIDE + x] * waves[row][y]).sum()));
    std::array::from_fn(|it| (0..SIDE).map(|x| columns[it / KEPT][x] * waves[it % KEPT][x]).sum())
}
