//! Sizes of transformers' vision transformers, as `ViTConfig` and `DeiTConfig` have them.

use crate::config_json::ConfigJson;
use crate::error::ModelError;
use crate::layers::Activation;
use crate::vit::shape::{Pool, Shape};
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

/// With the defaults of `ViTConfig`, which are those of `DeiTConfig`.
#[derive(Debug, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    pub hidden_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    pub intermediate_size: i64,
    pub hidden_act: String,
    pub layer_norm_eps: f64,
    pub image_size: Side,
    pub patch_size: Side,
    pub num_channels: i64,
    pub qkv_bias: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".into(),
            layer_norm_eps: 1e-12,
            image_size: Side(224),
            patch_size: Side(16),
            num_channels: 3,
            qkv_bias: true,
        }
    }
}

impl Config {
    /// A ViT's.
    ///
    /// # Errors
    /// Other inputs than RGB, patches of no size, an activation that is not known.
    pub(crate) fn shape(self, config: &ConfigJson) -> Result<Shape, ModelError> {
        if self.num_channels != 3 {
            return Err(config.wrong(
                "num_channels",
                self.num_channels,
                "3, for red, green and blue",
            ));
        }
        config.check_sizes("patch_size", [&self.patch_size.0])?;
        let activation = Activation::named(&self.hidden_act);
        let activation = activation.ok_or_else(|| {
            config.wrong("hidden_act", &self.hidden_act, format!("one of {}", Activation::names()))
        })?;
        Ok(Shape {
            side: Some(self.image_size.0 / self.patch_size.0),
            patch: self.patch_size.0,
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            inner: self.intermediate_size,
            activation,
            gated: false,
            qkv_bias: self.qkv_bias,
            layer_scale: false,
            norm_eps: self.layer_norm_eps,
            distilled: false,
            registers: 0,
            mask_token: false,
            placed: 1,
            pool: Pool::Tokens,
        })
    }
}

/// Of a square, pixels: a number, or the same number twice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side(pub i64);

impl<'de> Deserialize<'de> for Side {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Side, D::Error> {
        let value = Value::deserialize(from)?;
        let side = match value.as_array().map(Vec::as_slice) {
            Some([height, width]) if height == width => height.as_i64(),
            _ => value.as_i64(),
        };
        side.map(Side).ok_or_else(|| {
            D::Error::custom(format!("{value} is not the side of a square in pixels"))
        })
    }
}
