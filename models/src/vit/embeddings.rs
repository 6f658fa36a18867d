//! Images -> tokens: patches with their positions, behind the tokens that stand for the whole image.

use crate::error::ModelError;
use crate::images::Stage;
use crate::load::{Fill, Names};
use crate::vit::names::Resampling;
use crate::vit::{Scheme, Shape};
use crate::zoo::Pass;
use tch::{TchError, Tensor};

pub(crate) struct Embeddings {
    /// (width, 3, patch, patch) and (width)
    patches: (Tensor, Tensor),
    patch: i64,
    /// (1, any, width) each: the class token, the distillation token, and after them the registers.
    tokens: Vec<Tensor>,
    /// (1, placed + side * side, width)
    positions: Tensor,
    /// How many of the tokens before the patches have a position.
    placed: i64,
    /// The grid of patches that positions are stored for is side x side.
    side: i64,
    resampling: Resampling,
}

impl Embeddings {
    pub(crate) fn new(p: &Names, names: &Scheme, c: &Shape) -> Result<Embeddings, ModelError> {
        let token = |name, n| p.tensor(name, &[1, n, c.width], Fill::Zero);
        let mut tokens = vec![token(names.class_token, 1)?];
        if c.distilled {
            tokens.push(token(names.distillation_token, 1)?);
        }
        if 0 < c.registers {
            tokens.push(token(names.registers, c.registers)?);
        }
        if c.mask_token {
            // Nothing is computed from it, but the folder's library expects it.
            let _kept = p.buffer(names.mask_token, &[1, c.width], Fill::Zero)?;
        }
        let patches = p / names.patches;
        let weight = patches.tensor("weight", &[c.width, 3, c.patch, c.patch], Fill::Random)?;
        let bias = patches.tensor("bias", &[c.width], Fill::Zero)?;
        let side = c.side.unwrap_or_else(|| stored_side(p.stored_shape(names.positions), c.placed));
        let positions = token(names.positions, c.placed + side * side)?;
        Ok(Embeddings { patches: (weight, bias), patch: c.patch, tokens, positions, placed: c.placed, side, resampling: names.resampling })
    }

    /// (1, rows * columns, width): as stored, or resampled for another grid (`resample_abs_pos_embed` of timm,
    /// `interpolate_pos_encoding` of transformers).
    fn positions_of(&self, rows: i64, columns: i64) -> Result<Tensor, TchError> {
        let (side, width) = (self.side, self.positions.size()[2]);
        let stored = self.positions.f_narrow(1, self.placed, side * side)?;
        if (rows, columns) == (side, side) {
            return Ok(stored);
        }
        let plane = stored.f_view([1, side, side, width])?.f_permute([0, 3, 1, 2])?;
        let plane = match self.resampling {
            Resampling::Timm => plane.f_internal_upsample_bicubic2d_aa([rows, columns], false, None, None)?,
            Resampling::Transformers => plane.f_upsample_bicubic2d([rows, columns], false, None, None)?,
        };
        plane.f_permute([0, 2, 3, 1])?.f_reshape([1, rows * columns, width])
    }
}

/// Of the grid that positions of this shape are for, where `placed` are other tokens'; a shape that fits no square
/// is told as a difference to the nearest that does.
fn stored_side(shape: Option<Vec<i64>>, placed: i64) -> i64 {
    let rows = shape.and_then(|it| it.get(1).copied()).unwrap_or(0);
    (rows - placed).max(1).isqrt()
}

impl Stage for Embeddings {
    /// (batch, 3, height, width in pixels) -> (batch, tokens, width)
    fn forward(&self, images: &Tensor, _: &Pass) -> Result<Tensor, TchError> {
        let (batch, _, height, width) = images.size4()?;
        if height % self.patch != 0 || width % self.patch != 0 {
            let patch = self.patch;
            return Err(TchError::Shape(format!("images of {height} x {width} pixels do not divide into patches of {patch} x {patch}")));
        }
        let (weight, bias) = &self.patches;
        // (batch, width, rows, columns) -> (batch, patches, width)
        let patches = images.f_conv2d(weight, Some(bias), self.patch, 0, 1, 1)?.f_flatten(2, 3)?.f_transpose(1, 2)?;
        let patches = patches.f_add(&self.positions_of(height / self.patch, width / self.patch)?)?;
        let tokens = Tensor::f_cat(&self.tokens, 1)?;
        let (placed, unplaced) = (tokens.f_narrow(1, 0, self.placed)?, tokens.f_narrow(1, self.placed, tokens.size()[1] - self.placed)?);
        let placed = placed.f_add(&self.positions.f_narrow(1, 0, self.placed)?)?;
        let tokens = Tensor::f_cat(&[placed, unplaced], 1)?.f_expand([batch, -1, -1], false)?;
        Tensor::f_cat(&[tokens, patches], 1)
    }
}
