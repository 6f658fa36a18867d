//! Images that show the same and look different, for training only. What is drawn is a pure
//! function of (seed, epoch, index), so that a resumed run sees what it would have seen. Order and
//! formulas as in timm 1.0 (`timm/data/transforms_factory.py`, `transforms_imagenet_train`): crop,
//! flips, RandAugment, colour jitter, erasing.

use serde::{Deserialize, Serialize};

use crate::draws::{Draws, Use};
use crate::mixing::Mixing;
use crate::resize::{Window, resize};
use crate::{Pixels, Preprocess};

mod colour; // values change, places don't
mod erasing;
mod geometry; // places change, values don't
mod rand_augment;
#[cfg(test)]
mod tests;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Random resized crop; without it images are fitted as for evaluation.
    pub crop: Option<Crop>,
    /// Probabilities.
    pub horizontal_flip: f64,
    pub vertical_flip: f64,
    pub jitter: Jitter,
    pub rand_augment: Option<RandAugment>,
    /// Probability that a rectangle becomes the mean colour: Zhong et al., arXiv:1708.04896.
    pub erasing: f64,
    /// Applies to batches, by the caller.
    pub mixing: Mixing,
}

/// Ranges that the crop's share of the area and its width : height are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    pub area: [f64; 2],
    pub ratio: [f64; 2],
}

/// torchvision's ColorJitter: each factor is drawn from 1 - x to 1 + x (never below 0), hue is
/// shifted by -x to x turns (at most 0.5), in an order that is drawn too.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jitter {
    pub brightness: f64,
    pub contrast: f64,
    pub saturation: f64,
    pub hue: f64,
}

/// Cubuk et al., arXiv:1909.13719, as timm's `rand-mM-nN-mstdS-inc1`: each of `ops` operations is
/// drawn, then left out with probability one half; its strength is normal around `magnitude`, cut
/// to 0 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandAugment {
    pub ops: u32,
    pub magnitude: f64,
    pub spread: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Every epoch sees the images of the evaluation; features of frozen layers can be kept.
    None,
    /// For few epochs or few images: moderate crops, left and right, a little colour.
    Light,
    /// For long runs of large models: timm's recipe for training from ImageNet weights on.
    Strong,
}

const NO_JITTER: Jitter = Jitter { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.0 };
const NO_MIXING: Mixing = Mixing { mixup_alpha: 0.0, cutmix_alpha: 0.0 };

impl Augment {
    pub fn preset(preset: Preset) -> Augment {
        let none = Augment {
            crop: None,
            horizontal_flip: 0.0,
            vertical_flip: 0.0,
            jitter: NO_JITTER,
            rand_augment: None,
            erasing: 0.0,
            mixing: NO_MIXING,
        };
        let ratio = [3.0 / 4.0, 4.0 / 3.0];
        match preset {
            Preset::None => none,
            Preset::Light => Augment {
                crop: Some(Crop { area: [0.5, 1.0], ratio }),
                horizontal_flip: 0.5,
                jitter: Jitter { brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.0 },
                ..none
            },
            Preset::Strong => Augment {
                crop: Some(Crop { area: [0.2, 1.0], ratio }),
                horizontal_flip: 0.5,
                rand_augment: Some(RandAugment { ops: 2, magnitude: 9.0, spread: 0.5 }),
                erasing: 0.25,
                mixing: Mixing { mixup_alpha: 0.2, cutmix_alpha: 1.0 },
                ..none
            },
        }
    }

    /// Nothing in an image depends on the epoch: what is computed from it may be kept.
    pub fn leaves_images_alone(&self) -> bool {
        *self == Augment { mixing: self.mixing, ..Augment::preset(Preset::None) }
    }

    /// `(3, height, width)` of `preprocess`, normalised.
    pub fn apply(
        &self,
        preprocess: &Preprocess,
        pixels: &Pixels,
        seed: u64,
        epoch: u64,
        index: u64,
    ) -> Vec<f32> {
        let mut out = vec![0.0; preprocess.numbers()];
        self.apply_into(preprocess, pixels, (seed, epoch, index), &mut out);
        out
    }

    /// # Panics
    /// If `out` is not [`Preprocess::numbers`] long.
    pub fn apply_into(
        &self,
        preprocess: &Preprocess,
        pixels: &Pixels,
        (seed, epoch, index): (u64, u64, u64),
        out: &mut [f32],
    ) {
        let mut draws = Draws::at(seed, epoch, index, Use::Augment);
        let mut image = match self.crop {
            Some(crop) => crop.apply(&mut draws, preprocess, pixels),
            None => preprocess.fit(pixels),
        };
        if draws.chance(self.horizontal_flip) {
            image = image.flipped_horizontally();
        }
        if draws.chance(self.vertical_flip) {
            image = image.flipped_vertically();
        }
        if let Some(rand_augment) = self.rand_augment {
            image = rand_augment.apply(&mut draws, image, preprocess.mean_colour());
        }
        self.jitter.apply(&mut draws, &mut image);
        preprocess.normalize_into(&image, out);
        if draws.chance(self.erasing) {
            erasing::erase(&mut draws, out, preprocess.height, preprocess.width);
        }
    }
}

impl Crop {
    /// torchvision's `RandomResizedCrop`.
    fn apply(&self, draws: &mut Draws, preprocess: &Preprocess, pixels: &Pixels) -> Pixels {
        let (left, top, width, height) = self.draw(draws, pixels.width(), pixels.height());
        let part = pixels.cut(left, top, width, height);
        resize(
            &part,
            Window::whole(&part),
            (preprocess.width, preprocess.height),
            preprocess.filter,
        )
    }

    /// left, top, width, height.
    fn draw(&self, draws: &mut Draws, width: u32, height: u32) -> (u32, u32, u32, u32) {
        for _ in 0..10 {
            let area =
                draws.uniform(self.area[0], self.area[1]) * f64::from(width) * f64::from(height);
            let ratio = draws.uniform(self.ratio[0].ln(), self.ratio[1].ln()).exp();
            let (w, h) = (
                (area * ratio).sqrt().round_ties_even() as u32,
                (area / ratio).sqrt().round_ties_even() as u32,
            );
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let top = draws.below(height - h + 1);
                return (draws.below(width - w + 1), top, w, h);
            }
        }
        self.central(width, height)
    }

    /// Where no drawn shape fits: the largest part from the centre with a ratio that is allowed.
    fn central(&self, width: u32, height: u32) -> (u32, u32, u32, u32) {
        let ratio = f64::from(width) / f64::from(height);
        let (w, h) = if ratio < self.ratio[0] {
            (width, (f64::from(width) / self.ratio[0]).round_ties_even() as u32)
        } else if self.ratio[1] < ratio {
            ((f64::from(height) * self.ratio[1]).round_ties_even() as u32, height)
        } else {
            (width, height)
        };
        let (w, h) = (w.clamp(1, width), h.clamp(1, height));
        ((width - w) / 2, (height - h) / 2, w, h)
    }
}

impl Jitter {
    fn apply(&self, draws: &mut Draws, image: &mut Pixels) {
        // All is drawn whatever is switched on, so that one setting does not change what another
        // draws.
        let mut order = [0, 1, 2, 3];
        for last in (1..order.len()).rev() {
            order.swap(last, draws.below(last as u32 + 1) as usize);
        }
        let mut factor = |spread: f64| draws.uniform((1.0 - spread).max(0.0), 1.0 + spread) as f32;
        let (brightness, contrast, saturation) =
            (factor(self.brightness), factor(self.contrast), factor(self.saturation));
        let hue = draws.uniform(-self.hue, self.hue);
        for step in order {
            match step {
                0 if self.brightness != 0.0 => colour::brightness(image, brightness),
                1 if self.contrast != 0.0 => colour::contrast(image, contrast),
                2 if self.saturation != 0.0 => colour::saturation(image, saturation),
                3 if self.hue != 0.0 => colour::hue(image, hue),
                _ => {}
            }
        }
    }
}
