//! RandAugment's operations and how strength becomes their arguments: `_RAND_INCREASING_TRANSFORMS`
//! and the `_level_to_arg` functions of `timm/data/auto_augment.py`. Between pixels it is bilinear,
//! where timm draws bilinear or bicubic.

use super::{RandAugment, colour, geometry};
use crate::Pixels;
use crate::draws::Draws;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    AutoContrast,
    Equalize,
    Invert,
    Rotate,
    Posterize,
    Solarize,
    SolarizeAdd,
    Saturation,
    Contrast,
    Brightness,
    Sharpness,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
}

const OPS: [Op; 15] = [
    Op::AutoContrast,
    Op::Equalize,
    Op::Invert,
    Op::Rotate,
    Op::Posterize,
    Op::Solarize,
    Op::SolarizeAdd,
    Op::Saturation,
    Op::Contrast,
    Op::Brightness,
    Op::Sharpness,
    Op::ShearX,
    Op::ShearY,
    Op::TranslateX,
    Op::TranslateY,
];

/// Strength at which an operation goes as far as it may.
const MAGNITUDE_MAX: f64 = 10.0;

impl RandAugment {
    pub(super) fn apply(&self, draws: &mut Draws, mut image: Pixels, fill: [u8; 3]) -> Pixels {
        for _ in 0..self.ops {
            let op = OPS[draws.below(OPS.len() as u32) as usize];
            let strength = (self.magnitude + self.spread * draws.normal())
                .clamp(0.0, MAGNITUDE_MAX)
                / MAGNITUDE_MAX;
            let sign = if draws.chance(0.5) { -1.0 } else { 1.0 };
            if draws.chance(0.5) {
                image = op.apply(image, strength, sign, fill);
            }
        }
        image
    }
}

impl Op {
    /// `strength` from 0 to 1, `sign` one or minus one for operations with two directions.
    fn apply(self, mut image: Pixels, strength: f64, sign: f64, fill: [u8; 3]) -> Pixels {
        let factor = (1.0 + sign * strength * 0.9).max(0.1) as f32;
        let (width, height) = (image.width(), image.height());
        let moved = |affine| geometry::transform(&image, affine, fill);
        match self {
            Op::Rotate => return moved(geometry::rotate(sign * strength * 30.0, width, height)),
            Op::ShearX => return moved(geometry::shear_x(sign * strength * 0.3)),
            Op::ShearY => return moved(geometry::shear_y(sign * strength * 0.3)),
            Op::TranslateX => {
                return moved(geometry::translate(sign * strength * 0.45 * f64::from(width), 0.0));
            }
            Op::TranslateY => {
                return moved(geometry::translate(0.0, sign * strength * 0.45 * f64::from(height)));
            }
            Op::AutoContrast => colour::auto_contrast(&mut image),
            Op::Equalize => colour::equalize(&mut image),
            Op::Invert => colour::invert(&mut image),
            Op::Posterize => colour::posterize(&mut image, 4 - (strength * 4.0) as u32),
            Op::Solarize => colour::solarize(&mut image, 256 - (strength * 256.0) as u32),
            Op::SolarizeAdd => colour::solarize_add(&mut image, (strength * 110.0) as u8),
            Op::Saturation => colour::saturation(&mut image, factor),
            Op::Contrast => colour::contrast(&mut image, factor),
            Op::Brightness => colour::brightness(&mut image, factor),
            Op::Sharpness => colour::sharpness(&mut image, factor),
        }
        image
    }
}
