//! DINOv2 (Oquab et al. 2023): a vision transformer with layer scale, its largest with gated
//! networks, and with registers (Darcet et al. 2023) in timm; names as in timm, or in
//! `Dinov2ForImageClassification`.

use crate::architecture::{Architecture, Family};
use crate::config_json::{ClassNames, ConfigJson, Origin};
use crate::error::ModelError;
use crate::vit::{self, Config, Pool, Shape, Side, VisionTransformer};
use serde::Deserialize;

pub(crate) const FAMILY: Family = Family {
    timm: &[
        "vit_small_patch14_dinov2",
        "vit_base_patch14_dinov2",
        "vit_large_patch14_dinov2",
        "vit_giant_patch14_dinov2",
        "vit_small_patch14_reg4_dinov2",
        "vit_base_patch14_reg4_dinov2",
        "vit_large_patch14_reg4_dinov2",
        "vit_giant_patch14_reg4_dinov2",
    ],
    transformers: &[(
        "dinov2",
        ClassNames::of_images("Dinov2Model", "Dinov2ForImageClassification"),
    )],
    read,
};

fn read(config: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let (shape, names) = match config.origin {
        Origin::Timm { architecture } => vit::of_timm(config, architecture)?,
        Origin::Transformers { .. } => {
            let shape = config.whole::<Dinov2Config>()?.shape(config)?;
            let names = if shape.gated { &vit::DINOV2_GATED } else { &vit::DINOV2 };
            (shape, names)
        }
    };
    VisionTransformer::checked(shape, names, config)
}

/// `Dinov2Config` with its defaults.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Dinov2Config {
    hidden_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    mlp_ratio: f64,
    hidden_act: String,
    layer_norm_eps: f64,
    image_size: Side,
    patch_size: Side,
    num_channels: i64,
    qkv_bias: bool,
    use_swiglu_ffn: bool,
    use_mask_token: bool,
}

impl Default for Dinov2Config {
    fn default() -> Dinov2Config {
        Dinov2Config {
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            mlp_ratio: 4.0,
            hidden_act: "gelu".into(),
            layer_norm_eps: 1e-6,
            image_size: Side(224),
            patch_size: Side(14),
            num_channels: 3,
            qkv_bias: true,
            use_swiglu_ffn: false,
            use_mask_token: true,
        }
    }
}

impl Dinov2Config {
    fn shape(self, config: &ConfigJson) -> Result<Shape, ModelError> {
        let gated = self.use_swiglu_ffn;
        let inner = (self.hidden_size as f64 * self.mlp_ratio) as i64;
        let shape = Config {
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            // Two thirds, since there are three maps in place of two, and a multiple of 8:
            // `Dinov2SwiGLUFFN`.
            intermediate_size: if gated {
                ((inner as f64 * 2.0 / 3.0) as i64 + 7) / 8 * 8
            } else {
                inner
            },
            // The gate's is not the config's.
            hidden_act: if gated { "silu".into() } else { self.hidden_act },
            layer_norm_eps: self.layer_norm_eps,
            image_size: self.image_size,
            patch_size: self.patch_size,
            num_channels: self.num_channels,
            qkv_bias: self.qkv_bias,
        };
        Ok(Shape {
            gated,
            layer_scale: true,
            mask_token: self.use_mask_token,
            pool: Pool::TokenAndMean,
            ..shape.shape(config)?
        })
    }
}
