//! mixup (Zhang et al., arXiv:1710.09412) and CutMix (Yun et al., arXiv:1905.04899) for a batch, as
//! numbers: who is mixed with whom, how much, and where. The caller applies them to its tensors.
//! Formulas as in `timm/data/mixup.py`, mode "batch", with the area as it was after clipping;
//! partners are drawn, while timm reverses the batch.

use serde::{Deserialize, Serialize};

use crate::draws::{Draws, Use};

/// Zero switches either off; where both are on, each batch takes one of them, evenly drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixing {
    pub mixup_alpha: f64,
    pub cutmix_alpha: f64,
}

/// `inputs = lambda * inputs + (1 - lambda) * inputs[partners]`, or with an area: `inputs[area] =
/// inputs[partners][area]`. Either way `targets = lambda * targets + (1 - lambda) *
/// targets[partners]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// A permutation of the batch.
    pub partners: Vec<usize>,
    pub lambda: f64,
    /// Of CutMix.
    pub area: Option<Area>,
}

/// In pixels, ends exclusive; may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    pub rows: std::ops::Range<u32>,
    pub columns: std::ops::Range<u32>,
}

impl Mixing {
    /// A pure function of its arguments; `None` where mixing is off or has no partner.
    pub fn mix(
        &self,
        seed: u64,
        epoch: u64,
        batch: u64,
        examples: usize,
        (height, width): (u32, u32),
    ) -> Option<Mix> {
        let on = (0.0 < self.mixup_alpha, 0.0 < self.cutmix_alpha);
        if on == (false, false) || examples < 2 {
            return None;
        }
        let mut draws = Draws::at(seed, epoch, batch, Use::Mix);
        let cut = if on == (true, true) { draws.chance(0.5) } else { on.1 };
        let lambda = draws.beta(if cut { self.cutmix_alpha } else { self.mixup_alpha });
        let area = cut.then(|| area(&mut draws, lambda, height, width));
        let partners = permutation(&mut draws, examples);
        let Some(area) = area else { return Some(Mix { partners, lambda, area: None }) };
        let pixels = (area.rows.len() * area.columns.len()) as f64;
        let lambda = 1.0 - pixels / (f64::from(height) * f64::from(width));
        Some(Mix { partners, lambda, area: Some(area) })
    }
}

/// `rand_bbox` of timm.
fn area(draws: &mut Draws, lambda: f64, height: u32, width: u32) -> Area {
    let ratio = (1.0 - lambda).sqrt();
    let mut range = |side: u32| {
        let length = (f64::from(side) * ratio) as u32;
        let centre = draws.below(side);
        centre.saturating_sub(length / 2)..(centre + length.div_ceil(2)).min(side)
    };
    let rows = range(height);
    Area { rows, columns: range(width) }
}

/// Fisher and Yates.
fn permutation(draws: &mut Draws, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, draws.below(last as u32 + 1) as usize);
    }
    order
}
