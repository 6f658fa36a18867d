//! How an image looks, in few bytes, so that scaled, recompressed and slightly retouched copies are
//! found.

use std::f64::consts::PI;

use fast_image_resize::pixels::U8;

use crate::Pixels;
use crate::resize::{Filter, Window, resize_values};

/// Hashes of copies differ in at most this many bits: of copies that were scaled, recompressed,
/// brightened or blurred (tested). Those of unrelated images differ in about 32, but where images
/// have little in them (a shirt on black), those of thousands of others agree as well.
pub const NEAR_DUPLICATE_BITS: u32 = 4;
/// And nowhere in the small grey image are copies further apart than this, of 255, once one is as
/// bright as the other. Measured: of 166 pairs of close hashes among 2,500 images of Fashion-MNIST,
/// one is left. Of copies of them and of photographs, all that were recompressed, enlarged, blurred
/// or brightened stay, and photographs of half the size; 28 x 28 pixels made 14 x 14 stay in four
/// of five cases, and of photographs cut by 2 % at each side two of three.
pub const NEAR_DUPLICATE_GREY: u32 = 20;

/// Side of the image that the hash is taken of, and of the low frequencies that are kept of it.
const SIDE: usize = 32;
const LOW: usize = 8;
/// Side of the small grey image that is kept.
const GREY_SIDE: usize = 8;

/// What is kept of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// `imagehash.phash` (ImageHash 4.3): grey, 32 x 32 by Lanczos, the cosine transform's 8 x 8
    /// lowest frequencies, a bit for each that is above their median; the first is the highest bit.
    pub hash: u64,
    /// The same 32 x 32, averaged to 8 x 8; row by row.
    pub grey: [u8; GREY_SIDE * GREY_SIDE],
}

impl Look {
    pub fn of(pixels: &Pixels) -> Look {
        let small = small_grey(pixels);
        Look { hash: perceptual_hash(&small.map(f64::from)), grey: averaged(&small) }
    }

    /// Whether one may be a copy of the other, as far as their shades go.
    pub fn is_near(&self, other: &Look) -> bool {
        let mean =
            |it: &Look| it.grey.iter().map(|it| i32::from(*it)).sum::<i32>() / it.grey.len() as i32;
        let brighter = mean(self) - mean(other);
        let close = |(one, other): (&u8, &u8)| {
            (i32::from(*one) - i32::from(*other)).abs_diff(brighter) <= NEAR_DUPLICATE_GREY
        };
        hash_distance(self.hash, other.hash) <= NEAR_DUPLICATE_BITS
            && self.grey.iter().zip(&other.grey).all(close)
    }
}

fn perceptual_hash(small: &[f64; SIDE * SIDE]) -> u64 {
    let low = low_frequencies(small);
    let mut sorted = low;
    sorted.sort_by(f64::total_cmp);
    let median = f64::midpoint(sorted[LOW * LOW / 2 - 1], sorted[LOW * LOW / 2]);
    low.iter().fold(0, |hash, it| hash << 1 | u64::from(median < *it))
}

/// Bits that differ: 0 to 64.
pub fn hash_distance(one: u64, other: u64) -> u32 {
    (one ^ other).count_ones()
}

/// Grey before small, in that order, as ImageHash does it.
fn small_grey(pixels: &Pixels) -> [u8; SIDE * SIDE] {
    let size = (pixels.width(), pixels.height());
    let small = resize_values::<U8>(
        &pixels.grey(),
        size,
        Window::whole(pixels),
        (SIDE as u32, SIDE as u32),
        Filter::Lanczos,
    );
    std::array::from_fn(|it| small[it])
}

fn averaged(small: &[u8; SIDE * SIDE]) -> [u8; GREY_SIDE * GREY_SIDE] {
    const BLOCK: usize = SIDE / GREY_SIDE;
    let mut sums = [0_u32; GREY_SIDE * GREY_SIDE];
    for (at, value) in small.iter().enumerate() {
        sums[at / SIDE / BLOCK * GREY_SIDE + at % SIDE / BLOCK] += u32::from(*value);
    }
    sums.map(|it| (it / (BLOCK * BLOCK) as u32) as u8)
}

/// The upper left corner of DCT-II over columns, then rows, unscaled.
fn low_frequencies(small: &[f64; SIDE * SIDE]) -> [f64; LOW * LOW] {
    let wave = |frequency: usize, at: usize| {
        (PI * frequency as f64 * (2 * at + 1) as f64 / (2 * SIDE) as f64).cos()
    };
    let waves: [[f64; SIDE]; LOW] =
        std::array::from_fn(|frequency| std::array::from_fn(|at| wave(frequency, at)));
    let columns: [[f64; SIDE]; LOW] = std::array::from_fn(|row| {
        std::array::from_fn(|x| (0..SIDE).map(|y| small[y * SIDE + x] * waves[row][y]).sum())
    });
    std::array::from_fn(|it| (0..SIDE).map(|x| columns[it / LOW][x] * waves[it % LOW][x]).sum())
}
