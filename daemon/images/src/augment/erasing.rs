//! Random erasing as `timm/data/random_erasing.py` with its defaults: one rectangle of 2 % to a
//! third of the area, zero after normalising, which is the mean colour.

use crate::draws::Draws;

const AREA: (f64, f64) = (0.02, 1.0 / 3.0);
const ASPECT_MIN: f64 = 0.3;

/// `numbers` are (3, height, width). Where ten drawn rectangles don't fit, nothing is erased.
pub(super) fn erase(draws: &mut Draws, numbers: &mut [f32], height: u32, width: u32) {
    for _ in 0..10 {
        let area = draws.uniform(AREA.0, AREA.1) * f64::from(height) * f64::from(width);
        let aspect = draws.uniform(ASPECT_MIN.ln(), -ASPECT_MIN.ln()).exp();
        let (h, w) = (
            (area * aspect).sqrt().round_ties_even() as u32,
            (area / aspect).sqrt().round_ties_even() as u32,
        );
        if h < height && w < width {
            let (top, left) =
                (draws.below(height - h + 1) as usize, draws.below(width - w + 1) as usize);
            for plane in numbers.chunks_exact_mut(height as usize * width as usize) {
                for row in plane.chunks_exact_mut(width as usize).skip(top).take(h as usize) {
                    row[left..left + w as usize].fill(0.0);
                }
            }
            return;
        }
    }
}
