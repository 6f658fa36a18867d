//! Rotary positions (Su et al. 2021): where a token stands turns its queries and keys, pair by pair
//! of numbers. Decides by which angles, from what a config of transformers says; whose queries and
//! keys they are is left to the families.
//!
//! Frequencies are computed as transformers does, operation by operation in fp32: at places in the
//! thousands another rounding of them would be seen.

use crate::config_json::ConfigJson;
use crate::error::ModelError;
use crate::gguf::{GgufValue, Outline};
use serde::Deserialize;
use std::collections::BTreeMap;
use tch::{Device, Kind, TchError, Tensor};

/// transformers' default.
const THETA: f64 = 10_000.0;

/// What stands in a config: `rope_theta` and `rope_scaling` of transformers 4, `rope_parameters` of
/// transformers 5.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Keys {
    rope_theta: Option<f64>,
    rope_scaling: Option<Parameters>,
    rope_parameters: Option<Parameters>,
    partial_rotary_factor: Option<f64>,
    original_max_position_embeddings: Option<i64>,
}

/// The same where kinds of layers have their own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KeysOfKinds {
    rope_scaling: Option<Parameters>,
    rope_parameters: Option<BTreeMap<String, Option<Parameters>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Parameters {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    /// The same, before transformers 4.43.
    r#type: Option<String>,
    factor: Option<f64>,
    partial_rotary_factor: Option<f64>,
    original_max_position_embeddings: Option<i64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    attention_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    truncate: Option<bool>,
}

/// How frequencies are made, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RotaryConfig {
    theta: f64,
    /// Numbers of a head.
    head: i64,
    scaling: Scaling,
}

#[derive(Debug, Clone, PartialEq)]
enum Scaling {
    Default,
    /// Positions are divided by a factor.
    Linear {
        factor: f64,
    },
    /// Low frequencies are divided by a factor, high ones stay, those between are mixed (Llama
    /// 3.1).
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    /// Peng et al. 2023.
    Yarn {
        factor: f64,
        fast: f64,
        slow: f64,
        original: f64,
        attention: f64,
        truncate: bool,
    },
}

impl RotaryConfig {
    /// For heads of so many numbers, and no more positions than a model was pretrained with.
    ///
    /// # Errors
    /// Numbers that are senseless.
    pub(crate) fn plain(
        json: &ConfigJson,
        head: i64,
        theta: f64,
    ) -> Result<RotaryConfig, ModelError> {
        if !(theta.is_finite() && 1.0 < theta) {
            return Err(json.wrong("rope_theta", theta, "above 1"));
        }
        if head % 2 != 0 {
            return Err(json.wrong("head_dim", head, "even, since numbers are turned in pairs"));
        }
        Ok(RotaryConfig { theta, head, scaling: Scaling::Default })
    }

    /// For heads of so many numbers.
    ///
    /// # Errors
    /// A kind of scaling that is not built, numbers that are missing or senseless.
    pub(crate) fn read(
        json: &ConfigJson,
        head: i64,
        max_positions: i64,
    ) -> Result<RotaryConfig, ModelError> {
        let mut keys: Keys = json.whole()?;
        let p = keys.rope_scaling.take().or(keys.rope_parameters.take()).unwrap_or_default();
        let theta = p.rope_theta.or(keys.rope_theta).unwrap_or(THETA);
        RotaryConfig::checked(json, (head, max_positions), (p, theta), &keys)
    }

    /// For layers of one kind, where each has its own: transformers 5 names them. `theta`: where it
    /// names none; `is_scaled`: what transformers 4 called `rope_scaling` is about this kind.
    ///
    /// # Errors
    /// As [`RotaryConfig::read`].
    pub(crate) fn of_layers(
        json: &ConfigJson,
        sizes: (i64, i64),
        kind: &str,
        (theta, is_scaled): (f64, bool),
    ) -> Result<RotaryConfig, ModelError> {
        let keys: KeysOfKinds = json.whole()?;
        let named = keys.rope_parameters.and_then(|mut it| it.remove(kind)).flatten();
        let own = named.as_ref().and_then(|it| it.rope_theta);
        let p = keys.rope_scaling.filter(|_| is_scaled).or(named).unwrap_or_default();
        let theta = own.or(p.rope_theta).unwrap_or(theta);
        RotaryConfig::checked(json, sizes, (p, theta), &Keys::default())
    }

    fn checked(
        json: &ConfigJson,
        (head, max_positions): (i64, i64),
        (p, theta): (Parameters, f64),
        keys: &Keys,
    ) -> Result<RotaryConfig, ModelError> {
        let plain = RotaryConfig::plain(json, head, theta)?;
        let part = p.partial_rotary_factor.or(keys.partial_rotary_factor).unwrap_or(1.0);
        if part != 1.0 {
            let built = "1, since only whole heads are turned";
            return Err(json.wrong("partial_rotary_factor", part, built));
        }
        let original = keys
            .original_max_position_embeddings
            .or(p.original_max_position_embeddings)
            .unwrap_or(max_positions);
        Ok(RotaryConfig { scaling: scaling(json, &p, original as f64)?, ..plain })
    }
}

impl RotaryConfig {
    pub(crate) fn is_llama3(&self) -> bool {
        matches!(self.scaling, Scaling::Llama3 { .. })
    }

    /// As llama.cpp reads it. What [`Scaling::Llama3`] divides frequencies by is a tensor there.
    ///
    /// # Errors
    /// Another YaRN than llama.cpp's.
    pub(crate) fn describe(&self, outline: &mut Outline) -> Result<(), String> {
        outline.size("rope.dimension_count", self.head);
        outline.number("rope.freq_base", self.theta);
        let mut scaled = |kind: &str, factor: f64| {
            outline.value("rope.scaling.type", GgufValue::Text(kind.into()));
            outline.number("rope.scaling.factor", factor);
        };
        match self.scaling {
            Scaling::Default => {}
            Scaling::Linear { factor } => scaled("linear", factor),
            Scaling::Llama3 { factor, low, high, original } => {
                let waves = waves(self).map_err(|it| it.to_string())?;
                let divisor = |wave: &f32| {
                    let plain = 1.0 / wave;
                    plain / llama3(plain, [factor, low, high, original])
                };
                outline.computed("rope_freqs.weight", waves.iter().map(divisor).collect());
            }
            Scaling::Yarn { factor, fast, slow, original, attention, truncate } => {
                let usual = (fast, slow, truncate) == (32.0, 1.0, true)
                    && (attention - magnitude(factor, 1.0)).abs() < 1e-6;
                if !usual {
                    return Err("its rope_type is yarn with other numbers than the usual ones, which llama.cpp has".into());
                }
                scaled("yarn", factor);
                outline.size("rope.scaling.original_context_length", original as i64);
            }
        }
        Ok(())
    }
}

fn scaling(json: &ConfigJson, p: &Parameters, original: f64) -> Result<Scaling, ModelError> {
    let needed = |key: &'static str, value: Option<f64>| match value {
        Some(it) if it.is_finite() && 0.0 < it => Ok(it),
        Some(it) => Err(json.wrong(key, it, "above 0")),
        None => Err(json.wrong(key, "absent", "a number, for this rope_type")),
    };
    let kind = p.rope_type.as_deref().or(p.r#type.as_deref()).unwrap_or("default");
    if kind != "default" && original < 1.0 {
        return Err(json.wrong("original_max_position_embeddings", original, "above 0"));
    }
    match kind {
        "default" => Ok(Scaling::Default),
        "linear" => Ok(Scaling::Linear { factor: needed("factor", p.factor)? }),
        "llama3" => {
            let low = needed("low_freq_factor", p.low_freq_factor)?;
            let high = needed("high_freq_factor", p.high_freq_factor)?;
            if high <= low {
                return Err(json.wrong("high_freq_factor", high, "above low_freq_factor"));
            }
            Ok(Scaling::Llama3 { factor: needed("factor", p.factor)?, low, high, original })
        }
        "yarn" => {
            let factor = needed("factor", p.factor)?;
            let attention = match (p.attention_factor, p.mscale, p.mscale_all_dim) {
                (Some(it), ..) => it,
                (None, Some(a), Some(b)) if a != 0.0 && b != 0.0 => {
                    magnitude(factor, a) / magnitude(factor, b)
                }
                _ => magnitude(factor, 1.0),
            };
            Ok(Scaling::Yarn {
                factor,
                fast: needed("beta_fast", p.beta_fast.or(Some(32.0)))?,
                slow: needed("beta_slow", p.beta_slow.or(Some(1.0)))?,
                original,
                attention: needed("attention_factor", Some(attention))?,
                truncate: p.truncate.unwrap_or(true),
            })
        }
        other => {
            let built = "default, linear, llama3 or yarn, which are built";
            Err(json.wrong("rope_type", format!("`{other}`"), built))
        }
    }
}

/// YaRN's factor on queries and keys for a context that is so much longer.
fn magnitude(factor: f64, scale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 }
}

/// The frequencies of one kind of layer.
#[derive(Debug)]
pub(crate) struct Rotary {
    /// (head / 2) fp32
    frequencies: Tensor,
    /// On cosine and sine.
    scale: f64,
}

impl Rotary {
    pub(crate) fn new(c: &RotaryConfig, device: Device) -> Result<Rotary, TchError> {
        let waves = waves(c)?;
        let plain = waves.iter().map(|it| 1.0 / it);
        let (all, scale): (Vec<f32>, f64) = match c.scaling {
            Scaling::Default => (plain.collect(), 1.0),
            Scaling::Linear { factor } => (plain.map(|it| it / factor as f32).collect(), 1.0),
            Scaling::Llama3 { factor, low, high, original } => {
                (plain.map(|it| llama3(it, [factor, low, high, original])).collect(), 1.0)
            }
            Scaling::Yarn { factor, attention, .. } => {
                let mixed = waves.iter().zip(yarn_shares(c)).map(|(wave, share)| {
                    1.0 / (factor as f32 * wave) * (1.0 - share) + 1.0 / wave * share
                });
                (mixed.collect(), attention)
            }
        };
        Ok(Rotary { frequencies: Tensor::f_from_slice(&all)?.f_to(device)?, scale })
    }

    /// The same tensor.
    pub(crate) fn shallow_clone(&self) -> Rotary {
        Rotary { frequencies: self.frequencies.shallow_clone(), scale: self.scale }
    }

    /// Of tokens at these places, (tokens) int64, for queries and keys of this kind of number.
    pub(crate) fn angles(&self, places: &Tensor, kind: Kind) -> Result<Angles, TchError> {
        let angles = places.f_to_kind(Kind::Float)?.f_outer(&self.frequencies)?;
        // (tokens, head / 2) -> (tokens, 1, 1, head / 2)
        let wide = |it: Tensor| {
            let it = if self.scale == 1.0 { it } else { it.f_mul_scalar(self.scale)? };
            it.f_to_kind(kind)?.f_unsqueeze(1)?.f_unsqueeze(1)
        };
        let (cosine, sine) = (wide(angles.f_cos()?)?, wide(angles.f_sin()?)?);
        // The first half of a head is turned by minus the second, and the second by the first.
        let sine = Tensor::f_cat(&[sine.f_neg()?, sine], 2)?;
        Ok(Angles { cosine, sine })
    }
}

/// By what the numbers of some tokens are turned.
#[derive(Debug)]
pub(crate) struct Angles {
    /// (tokens, 1, 1, head / 2)
    cosine: Tensor,
    /// (tokens, 1, 2, head / 2)
    sine: Tensor,
}

impl Angles {
    /// (tokens, heads, head) -> the same, each number of a head's first half turned with its
    /// neighbour in the second.
    pub(crate) fn turn(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        let (tokens, heads, head) = xs.size3()?;
        let halves = xs.f_view([tokens, heads, 2, head / 2])?;
        let swapped = halves.f_flip([2])?.f_mul(&self.sine)?;
        halves.f_mul(&self.cosine)?.f_add(&swapped)?.f_view([tokens, heads, head])
    }
}

/// theta^(2i / head), as libtorch's fp32 has it.
fn waves(c: &RotaryConfig) -> Result<Vec<f32>, TchError> {
    let steps = Tensor::f_arange_start_step(0, c.head, 2, (Kind::Float, Device::Cpu))?;
    Vec::try_from(Tensor::f_pow_scalar(c.theta, &steps.f_div_scalar(c.head)?)?)
}

/// `[factor, low, high, original]` as in [`Scaling::Llama3`].
fn llama3(plain: f32, [factor, low, high, original]: [f64; 4]) -> f32 {
    let length = std::f64::consts::TAU as f32 / plain;
    if ((original / low) as f32) < length {
        return plain / factor as f32;
    }
    if length < (original / high) as f32 {
        return plain;
    }
    let smooth = (original as f32 / length - low as f32) / (high - low) as f32;
    (1.0 - smooth) * plain / factor as f32 + smooth * plain
}

/// How much of each frequency stays as it is.
fn yarn_shares(c: &RotaryConfig) -> Vec<f32> {
    let Scaling::Yarn { fast, slow, original, truncate, .. } = c.scaling else {
        return Vec::new();
    };
    let pairs = c.head / 2;
    // Where a pair turns so often within the original length.
    let place = |turns: f64| {
        c.head as f64 * (original / (turns * std::f64::consts::TAU)).ln() / (2.0 * c.theta.ln())
    };
    let (low, high) = (place(fast), place(slow));
    let (low, high) = if truncate { (low.floor(), high.ceil()) } else { (low, high) };
    let (low, high) = (low.max(0.0), high.min((c.head - 1) as f64));
    let high = if low == high { high + 0.001 } else { high };
    let ramp = |it: i64| ((it as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
    (0..pairs).map(|it| 1.0 - ramp(it)).collect()
}
