//! Vision transformers: ViT (Dosovitskiy et al. 2020) and DeiT (Touvron et al. 2020, 2022), and the
//! form that they share with DINOv2; names as in timm, or in `ViTForImageClassification` and
//! `DeiTForImageClassification`.
//!
//! Dropout inside of the body does not exist here: it is 0 in all of these configs.

mod block;
mod embeddings; // images -> tokens
mod names; // what each library calls what
mod shape; // the numbers of one model
mod timm; // sizes from timm's names
mod transformers; // sizes from transformers' configs

pub(crate) use names::{DINOV2, DINOV2_GATED, Scheme};
pub(crate) use shape::{Pool, Shape};
pub(crate) use timm::read as of_timm;
pub(crate) use transformers::{Config, Side};

use crate::architecture::{Architecture, Family};
use crate::config_json::LAYERS_MAX;
use crate::config_json::{ClassNames, ConfigJson, Origin};
use crate::error::ModelError;
use crate::layers::{Dropout, LayerNorm, Linear};
use crate::layout::Layout;
use crate::load::{Loader, Part};
use crate::model::{BuildOptions, HeadKind, Pass};
use crate::stages::{Stage, Stages};
use block::Block;
use embeddings::Embeddings;
use tch::{TchError, Tensor};

pub(crate) const FAMILY: Family = Family {
    timm: &[
        "vit_tiny_patch16_224",
        "vit_tiny_patch16_384",
        "vit_small_patch32_224",
        "vit_small_patch32_384",
        "vit_small_patch16_224",
        "vit_small_patch16_384",
        "vit_small_patch8_224",
        "vit_base_patch32_224",
        "vit_base_patch32_384",
        "vit_base_patch16_224",
        "vit_base_patch16_384",
        "vit_base_patch8_224",
        "vit_large_patch32_224",
        "vit_large_patch32_384",
        "vit_large_patch16_224",
        "vit_large_patch16_384",
        "vit_large_patch14_224",
        "vit_huge_patch14_224",
        "deit_tiny_patch16_224",
        "deit_small_patch16_224",
        "deit_base_patch16_224",
        "deit_base_patch16_384",
        "deit_tiny_distilled_patch16_224",
        "deit_small_distilled_patch16_224",
        "deit_base_distilled_patch16_224",
        "deit_base_distilled_patch16_384",
        "deit3_small_patch16_224",
        "deit3_small_patch16_384",
        "deit3_medium_patch16_224",
        "deit3_base_patch16_224",
        "deit3_base_patch16_384",
        "deit3_large_patch16_224",
        "deit3_large_patch16_384",
        "deit3_huge_patch14_224",
    ],
    transformers: &[
        ("vit", ClassNames::of_images("ViTModel", "ViTForImageClassification")),
        ("deit", ClassNames::of_images("DeiTModel", "DeiTForImageClassification")),
    ],
    read,
};

fn read(config: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let (shape, names) = match config.origin {
        Origin::Timm { architecture } => of_timm(config, architecture)?,
        Origin::Transformers { model_type, .. } => {
            let distilled = model_type == "deit";
            let shape = config.whole::<Config>()?.shape(config)?;
            let placed = if distilled { 2 } else { 1 };
            (
                Shape { distilled, placed, ..shape },
                if distilled { &names::DEIT } else { &names::VIT },
            )
        }
    };
    VisionTransformer::checked(shape, names, config)
}

pub(crate) struct VisionTransformer {
    shape: Shape,
    names: &'static Scheme,
}

impl VisionTransformer {
    /// # Errors
    /// Numbers that no model can have.
    pub(crate) fn checked(
        shape: Shape,
        names: &'static Scheme,
        config: &ConfigJson,
    ) -> Result<Box<dyn Architecture>, ModelError> {
        config.check_sizes("the image's side in patches", &shape.side)?;
        config.check_sizes(
            "the width, or the number of layers or heads",
            [&shape.width, &shape.layers, &shape.heads],
        )?;
        config.check_sizes("the width of the network in a layer", [&shape.inner])?;
        if LAYERS_MAX < shape.layers {
            return Err(config.wrong(
                "the number of layers",
                shape.layers,
                format!("at most {LAYERS_MAX}"),
            ));
        }
        if shape.width % shape.heads != 0 {
            return Err(config.wrong(
                "the number of heads",
                shape.heads,
                format!("a divisor of the width {}", shape.width),
            ));
        }
        Ok(Box::new(VisionTransformer { shape, names }))
    }
}

impl Architecture for VisionTransformer {
    fn width(&self) -> i64 {
        self.shape.width
            * if self.shape.pool == Pool::TokenAndMean { 2 } else { self.names.heads.len() as i64 }
    }

    fn layers(&self) -> usize {
        self.shape.layers as usize
    }

    fn body(&self) -> (&'static str, &'static [&'static str]) {
        (
            self.names.body,
            if self.names.body.is_empty() {
                &[]
            } else {
                &["embeddings", "encoder", "layernorm", "pooler"]
            },
        )
    }

    fn names_size(&self) -> bool {
        !self.names.any_size
    }

    fn build(&self, loader: &Loader, options: &BuildOptions) -> Result<Stages, ModelError> {
        let (names, c) = (self.names, &self.shape);
        let body = |part| loader.part(part) / names.body;
        let stem = Embeddings::new(&body(Part::Embeddings), names, c, options.image_size)?;
        let dropout = |depth| {
            (0.0 < options.attention_dropout)
                .then(|| Dropout::of_layer(options.attention_dropout, depth, 0))
        };
        let block = |depth| {
            Block::new(&(body(Part::Layer(depth)) / names.layers / depth), names, c, dropout(depth))
        };
        let below = self.layers() - 1;
        let mut layers: Vec<Box<dyn Stage>> = Vec::with_capacity(below + 1);
        for depth in 0..below {
            layers.push(Box::new(block(depth)?));
        }
        let last = body(Part::Layer(below));
        let last_block = block(below)?;
        let norm = LayerNorm::new(&last / names.norm, c.width, c.norm_eps)?;
        if c.pool == Pool::Mean {
            last.list_with_head(names.norm);
        }
        layers.push(Box::new(Last {
            block: last_block,
            norm,
            pool: c.pool,
            heads: names.heads.len() as i64,
            prefix: 1 + i64::from(c.distilled) + c.registers,
        }));
        Ok(Stages { stem: Box::new(stem), layers, head: self.head(loader, options)? })
    }
}

impl VisionTransformer {
    fn head(
        &self,
        loader: &Loader,
        options: &BuildOptions,
    ) -> Result<Option<Box<dyn Stage>>, ModelError> {
        let HeadKind::Classes(classes) = options.head else { return Ok(None) };
        let names = self.names.heads;
        let features = self.width() / names.len() as i64;
        let heads = names
            .iter()
            .map(|it| Linear::of_outputs(loader.part(Part::Head) / it, features, classes))
            .collect::<Result<Vec<Linear>, ModelError>>()?;
        let dropout = Dropout::of_head(options.dropout.unwrap_or(0.0), 0);
        Ok(Some(Box::new(Heads { heads, dropout })))
    }
}

/// The last block, norm and pooling: only those tokens are computed that the head takes, which is
/// exact.
struct Last {
    block: Block,
    norm: LayerNorm,
    pool: Pool,
    heads: i64,
    /// Tokens before the patches.
    prefix: i64,
}

impl Stage for Last {
    /// (batch, tokens, width) -> (batch, features)
    fn forward(&self, xs: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        let tokens = xs.size3()?.1;
        let mean = |xs: &Tensor| {
            xs.f_narrow(1, self.prefix, tokens - self.prefix)?.f_mean_dim(1, false, None)
        };
        match self.pool {
            Pool::Tokens => {
                self.norm.forward(&self.block.first(xs, self.heads, pass)?)?.f_flatten(1, 2)
            }
            Pool::Mean => self.norm.forward(&mean(&self.block.forward(xs, layout, pass)?)?),
            Pool::TokenAndMean => {
                let xs = self.norm.forward(&self.block.forward(xs, layout, pass)?)?;
                Tensor::f_cat(&[xs.f_select(1, 0)?, mean(&xs)?], 1)
            }
        }
    }
}

/// One linear map for each part of the features; the logits are their mean.
struct Heads {
    heads: Vec<Linear>,
    dropout: Dropout,
}

impl Stage for Heads {
    fn forward(&self, features: &Tensor, _: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        let parts = self
            .dropout
            .forward(features.shallow_clone(), pass)?
            .f_chunk(self.heads.len() as i64, 1)?;
        let logits = self
            .heads
            .iter()
            .zip(&parts)
            .map(|(head, xs)| head.forward(xs))
            .collect::<Result<Vec<Tensor>, TchError>>()?;
        Tensor::f_stack(&logits, 0)?.f_mean_dim(0, false, None)
    }

    /// Each head is the map's part for its features, as often as there are heads to be averaged.
    fn set_linear(&self, weight: &Tensor, bias: &Tensor) -> Result<bool, TchError> {
        let n = self.heads.len() as i64;
        let parts = weight.f_mul_scalar(n)?.f_chunk(n, 1)?;
        self.heads.iter().zip(&parts).try_for_each(|(head, part)| head.set(part, bias))?;
        Ok(true)
    }
}
