//! Images -> tokens: patches with their positions, behind the tokens that stand for the whole
//! image.

use crate::error::ModelError;
use crate::layout::Layout;
use crate::load::{Fill, Names};
use crate::model::Pass;
use crate::stages::Stage;
use crate::vit::names::{Resampling, Scheme};
use crate::vit::shape::Shape;
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
    /// For images of this size, (height, width), where one is named: positions are then stored for
    /// it from now on, as the folder's library will want them.
    pub(crate) fn new(
        p: &Names,
        names: &Scheme,
        c: &Shape,
        image_size: Option<[i64; 2]>,
    ) -> Result<Embeddings, ModelError> {
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
            let _mask_token = p.buffer(names.mask_token, &[1, c.width], Fill::Zero)?;
        }
        let patches = p / names.patches;
        let weight = patches.tensor("weight", &[c.width, 3, c.patch, c.patch], Fill::Random)?;
        let bias = patches.tensor("bias", &[c.width], Fill::Zero)?;
        let stored =
            c.side.unwrap_or_else(|| stored_side(p.stored_shape(names.positions), c.placed));
        let side = wanted_side(p, names, c, image_size)?.unwrap_or(stored);
        let resized = |positions: Tensor| {
            let patches = resampled(
                &positions.f_narrow(1, c.placed, stored * stored)?,
                stored,
                [side; 2],
                names.resampling,
            )?;
            Tensor::f_cat(&[positions.f_narrow(1, 0, c.placed)?, patches], 1)
        };
        let positions =
            p.adapted_tensor(names.positions, &[1, c.placed + stored * stored, c.width], &resized)?;
        Ok(Embeddings {
            patches: (weight, bias),
            patch: c.patch,
            tokens,
            positions,
            placed: c.placed,
            side,
            resampling: names.resampling,
        })
    }
}

/// Of the grid that positions are to be stored for; none: as they are. timm resamples them itself
/// for images that are no squares.
fn wanted_side(
    p: &Names,
    names: &Scheme,
    c: &Shape,
    image_size: Option<[i64; 2]>,
) -> Result<Option<i64>, ModelError> {
    let Some([height, width]) = image_size.filter(|_| !names.any_size) else { return Ok(None) };
    if height == width && height % c.patch == 0 {
        return Ok(Some(height / c.patch));
    }
    if height % c.patch == 0 && width % c.patch == 0 && names.resampling == Resampling::Timm {
        return Ok(None);
    }
    Err(ModelError::ImageSize { folder: p.folder().to_path_buf(), height, width, patch: c.patch })
}

/// (1, side * side, width) -> (1, rows * columns, width): `resample_abs_pos_embed` of timm,
/// `interpolate_pos_encoding` of transformers.
fn resampled(
    stored: &Tensor,
    side: i64,
    [rows, columns]: [i64; 2],
    resampling: Resampling,
) -> Result<Tensor, TchError> {
    if [rows, columns] == [side, side] {
        return Ok(stored.shallow_clone());
    }
    let width = stored.size()[2];
    let plane = stored.f_reshape([1, side, side, width])?.f_permute([0, 3, 1, 2])?;
    let plane = match resampling {
        Resampling::Timm => {
            plane.f_internal_upsample_bicubic2d_aa([rows, columns], false, None, None)?
        }
        Resampling::Transformers => {
            plane.f_upsample_bicubic2d([rows, columns], false, None, None)?
        }
    };
    plane.f_permute([0, 2, 3, 1])?.f_reshape([1, rows * columns, width])
}

/// Of the grid that positions of this shape are for, where `placed` are other tokens'; a shape that
/// fits no square is reported as a difference to the nearest that does.
fn stored_side(shape: Option<Vec<i64>>, placed: i64) -> i64 {
    let rows = shape.and_then(|it| it.get(1).copied()).unwrap_or(0);
    (rows - placed).max(1).isqrt()
}

impl Stage for Embeddings {
    /// (batch, 3, height, width in pixels) -> (batch, tokens, width)
    fn forward(&self, images: &Tensor, _: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        let (batch, _, height, width) = images.size4()?;
        if height % self.patch != 0 || width % self.patch != 0 {
            let patch = self.patch;
            return Err(TchError::Shape(format!(
                "images of {height} x {width} pixels do not divide into patches of {patch} x {patch}"
            )));
        }
        let (weight, bias) = &self.patches;
        // (batch, width, rows, columns) -> (batch, patches, width)
        let patches = images
            .f_conv2d(weight, Some(bias), self.patch, 0, 1, 1)?
            .f_flatten(2, 3)?
            .f_transpose(1, 2)?;
        let positions = self.positions.f_narrow(1, self.placed, self.side * self.side)?;
        let grid = [height / self.patch, width / self.patch];
        let patches = patches.f_add(&resampled(&positions, self.side, grid, self.resampling)?)?;
        let tokens = Tensor::f_cat(&self.tokens, 1)?;
        let (placed, unplaced) = (
            tokens.f_narrow(1, 0, self.placed)?,
            tokens.f_narrow(1, self.placed, tokens.size()[1] - self.placed)?,
        );
        let placed = placed.f_add(&self.positions.f_narrow(1, 0, self.placed)?)?;
        let tokens = Tensor::f_cat(&[placed, unplaced], 1)?.f_expand([batch, -1, -1], false)?;
        Tensor::f_cat(&[tokens, patches], 1)
    }
}
