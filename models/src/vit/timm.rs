//! Sizes of timm's vision transformers: what an architecture's name says, and what `model_args`
//! change in it.

use crate::config_json::ConfigJson;
use crate::error::ModelError;
use crate::layers::Activation;
use crate::vit::names::{Scheme, TIMM, TIMM_DISTILLED, TIMM_MEAN};
use crate::vit::shape::{Pool, Shape};
use crate::vit::transformers::Side;
use serde::Deserialize;
use serde_json::Value;

/// Size in a name -> width, layers, heads.
const SIZES: &[(&str, [i64; 3])] = &[
    ("tiny", [192, 12, 3]),
    ("small", [384, 12, 6]),
    ("medium", [512, 12, 8]),
    ("base", [768, 12, 12]),
    ("large", [1024, 24, 16]),
    ("huge", [1280, 32, 16]),
    // DINOv2's, with gated networks.
    ("giant", [1536, 40, 24]),
];
/// `mlp_ratio` of `VisionTransformer`, and of that giant, whose network's first map also gives the
/// gate.
const MLP_RATIO: f64 = 4.0;
const MLP_RATIO_GATED: f64 = 2.66667 * 2.0;
/// Of `timm.layers.LayerNorm`.
const NORM_EPS: f64 = 1e-6;
/// Where a name says `reg4`.
const REGISTERS: i64 = 4;

/// Arguments of `create_model` for a vision transformer that are built. A key that is not here
/// would change what is computed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    patch_size: Option<Side>,
    in_chans: Option<i64>,
    embed_dim: Option<i64>,
    depth: Option<i64>,
    num_heads: Option<i64>,
    mlp_ratio: Option<f64>,
    qkv_bias: Option<bool>,
    init_values: Option<f64>,
    global_pool: Option<String>,
    no_embed_class: Option<bool>,
    reg_tokens: Option<i64>,
    /// Images of any size are taken anyway; timm too resamples stored positions for this size.
    #[serde(rename = "img_size")]
    _size: Option<Value>,
    #[serde(rename = "dynamic_img_size")]
    _any_size: Option<bool>,
}

/// # Errors
/// Arguments that are not built.
pub(crate) fn read(
    config: &ConfigJson,
    architecture: &str,
) -> Result<(Shape, &'static Scheme), ModelError> {
    let Some(named) = Named::of(architecture) else {
        return Err(config.wrong("architecture", architecture, "a vision transformer's name"));
    };
    let args: Args = config.model_args()?;
    if let Some(channels) = args.in_chans.filter(|&it| it != 3) {
        return Err(config.wrong("in_chans", channels, "3, for red, green and blue"));
    }
    let (pool, names) = match args.global_pool.as_deref() {
        None | Some("token") if named.distilled => (Pool::Tokens, &TIMM_DISTILLED),
        None | Some("token") => (Pool::Tokens, &TIMM),
        Some("avg") if !named.distilled => (Pool::Mean, &TIMM_MEAN),
        Some(other) => {
            return Err(config.wrong(
                "global_pool",
                other,
                "token, or without a distillation token avg",
            ));
        }
    };
    let patch = args.patch_size.map_or(named.patch, |it| it.0);
    config.check_sizes("the side of a patch", [&patch])?;
    let width = args.embed_dim.unwrap_or(named.width);
    let up = (width as f64
        * args.mlp_ratio.unwrap_or(if named.gated { MLP_RATIO_GATED } else { MLP_RATIO }))
        as i64;
    let placed = if args.no_embed_class.unwrap_or(named.only_patches_placed) {
        0
    } else {
        1 + i64::from(named.distilled)
    };
    let registers = args.reg_tokens.unwrap_or(named.registers);
    let shape = Shape {
        side: None,
        patch,
        width,
        layers: args.depth.unwrap_or(named.layers),
        heads: args.num_heads.unwrap_or(named.heads),
        inner: if named.gated { up / 2 } else { up },
        activation: if named.gated { Activation::Silu } else { Activation::Gelu },
        gated: named.gated,
        qkv_bias: args.qkv_bias.unwrap_or(true),
        layer_scale: args.init_values.map_or(named.layer_scale, |it| it != 0.0),
        norm_eps: NORM_EPS,
        distilled: named.distilled,
        registers,
        mask_token: false,
        placed: if placed == 0 { 0 } else { placed + registers },
        pool,
    };
    Ok((shape, names))
}

/// What the name of an architecture says.
#[derive(Debug, PartialEq)]
#[cfg_attr(test, derive(Deserialize))]
struct Named {
    width: i64,
    layers: i64,
    heads: i64,
    patch: i64,
    distilled: bool,
    registers: i64,
    /// `no_embed_class`.
    only_patches_placed: bool,
    layer_scale: bool,
    gated: bool,
}

impl Named {
    /// `FAMILY_SIZE_patchP_PIXELS`, where the size may end in `_distilled`, and
    /// `vit_SIZE_patchP_dinov2` or `_reg4_dinov2`. Other suffixes are other models.
    fn of(architecture: &str) -> Option<Named> {
        let (family, rest) = architecture.split_once('_')?;
        let (size, rest) = rest.split_once("_patch")?;
        let (patch, variant) = rest.split_once('_')?;
        let (size, distilled) =
            size.strip_suffix("_distilled").map_or((size, false), |it| (it, true));
        let (_, [width, layers, heads]) = *SIZES.iter().find(|it| it.0 == size)?;
        let (dinov2, registers) = (variant.ends_with("dinov2"), variant.starts_with("reg4_"));
        let deit3 = family == "deit3";
        Some(Named {
            width,
            layers,
            heads,
            patch: patch.parse().ok()?,
            distilled,
            registers: if registers { REGISTERS } else { 0 },
            only_patches_placed: deit3 || registers,
            layer_scale: deit3 || dinov2,
            gated: size == "giant",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Named;
    use std::collections::BTreeMap;

    #[test]
    fn names_say_what_timm_builds() {
        // Made by tests/data/make_vit.py with timm 1.0.31.
        let text = include_str!("../../tests/data/vit/architectures.json");
        let built: BTreeMap<String, Named> =
            serde_json::from_str(text).expect("written by make_vit.py");
        let names = crate::vit::FAMILY.timm.iter().chain(crate::dinov2::FAMILY.timm);
        assert_eq!(names.clone().count(), built.len());
        for name in names {
            assert_eq!(Named::of(name).as_ref(), built.get(*name), "{name}");
        }
    }
}
