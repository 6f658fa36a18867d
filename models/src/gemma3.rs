//! Gemma 3 without eyes (Gemma Team 2025): `gemma3_text`, names as in `Gemma3ForCausalLM`. Blocks
//! with a norm before and after each part, norms of queries and keys, and layers that look at
//! neighbours or at all of a text, each kind with rotary positions of its own.
//!
//! The model that sees images too is another (`gemma3`), which the table refuses by name.

use crate::architecture::{Architecture, Family, TextFacts};
use crate::causal::Projected;
use crate::config_json::{ClassNames, ConfigJson};
use crate::decoder::{self, Gated, HeadFacts, Limits, Maps};
use crate::error::ModelError;
use crate::layers::{Activation, Embedding, Linear};
use crate::layout::Layout;
use crate::load::{Fill, Loader, Names, Part};
use crate::model::{BuildOptions, HeadKind, Pass};
use crate::rotary::{Angles, Rotary, RotaryConfig};
use crate::stages::{Stage, Stages};
use serde::Deserialize;
use tch::{Kind, TchError, Tensor};

pub(crate) const FAMILY: Family = Family {
    timm: &[],
    transformers: &[(
        "gemma3_text",
        ClassNames {
            body: "Gemma3TextModel",
            classes: "Gemma3TextForSequenceClassification",
            per_token: None,
            vocabulary: Some("Gemma3ForCausalLM"),
        },
    )],
    read,
};

const LOCAL: &str = "sliding_attention";
const GLOBAL: &str = "full_attention";
/// transformers' defaults.
const LOCAL_THETA: f64 = 10_000.0;
const GLOBAL_THETA: f64 = 1_000_000.0;
const WINDOW: i64 = 4096;
const PATTERN: usize = 6;

/// `Gemma3TextConfig`: what has no default here must be said.
#[derive(Debug, Deserialize)]
struct Config {
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    num_key_value_heads: i64,
    head_dim: i64,
    #[serde(default = "gelu_tanh")]
    hidden_activation: String,
    max_position_embeddings: i64,
    #[serde(default = "initializer_range")]
    initializer_range: f64,
    #[serde(default = "rms_norm_eps")]
    rms_norm_eps: f64,
    #[serde(default = "pad_token_id")]
    pad_token_id: Option<i64>,
    #[serde(default = "yes")]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    query_pre_attn_scalar: f64,
    #[serde(default = "window")]
    sliding_window: Option<i64>,
    layer_types: Option<Vec<String>>,
    /// Before there were `layer_types`: so many layers, the last of which sees all.
    sliding_window_pattern: Option<usize>,
    rope_theta: Option<f64>,
    rope_local_base_freq: Option<f64>,
    final_logit_softcapping: Option<f64>,
    attn_logit_softcapping: Option<f64>,
    use_bidirectional_attention: Option<bool>,
}

fn gelu_tanh() -> String {
    "gelu_pytorch_tanh".into()
}

fn initializer_range() -> f64 {
    0.02
}

fn rms_norm_eps() -> f64 {
    1e-6
}

fn pad_token_id() -> Option<i64> {
    Some(0)
}

fn yes() -> bool {
    true
}

fn window() -> Option<i64> {
    Some(WINDOW)
}

fn read(json: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let c: Config = json.whole()?;
    check(json, &c)?;
    let Some(activation) = Activation::named(&c.hidden_activation) else {
        let known = format!("one of {}", Activation::names());
        return Err(json.wrong("hidden_activation", &c.hidden_activation, known));
    };
    let rotary = |kind, theta, is_scaled| {
        let positions = c.max_position_embeddings;
        RotaryConfig::of_layers(json, (c.head_dim, positions), kind, (theta, is_scaled))
    };
    Ok(Box::new(Gemma3 {
        activation,
        windows: windows(json, &c)?,
        local: rotary(LOCAL, c.rope_local_base_freq.unwrap_or(LOCAL_THETA), false)?,
        global: rotary(GLOBAL, c.rope_theta.unwrap_or(GLOBAL_THETA), true)?,
        c,
    }))
}

/// # Errors
/// A number that no model can have, and what is not built, named with its key.
fn check(json: &ConfigJson, c: &Config) -> Result<(), ModelError> {
    json.check_sizes("vocab_size", [&c.vocab_size])?;
    json.check_sizes("hidden_size", [&c.hidden_size])?;
    json.check_sizes("intermediate_size", [&c.intermediate_size])?;
    json.check_sizes("num_attention_heads", [&c.num_attention_heads])?;
    json.check_sizes("num_key_value_heads", [&c.num_key_value_heads])?;
    json.check_sizes("head_dim", [&c.head_dim])?;
    json.check_depths([usize::try_from(c.num_hidden_layers).unwrap_or(0)])?;
    if !(1..=i64::from(i32::MAX)).contains(&c.max_position_embeddings) {
        let wanted = "a positive number of 31 bits";
        return Err(json.wrong("max_position_embeddings", c.max_position_embeddings, wanted));
    }
    if c.num_attention_heads % c.num_key_value_heads != 0 {
        let divisor = format!("a divisor of the {} heads", c.num_attention_heads);
        return Err(json.wrong("num_key_value_heads", c.num_key_value_heads, divisor));
    }
    for (key, size) in [
        ("rms_norm_eps", c.rms_norm_eps),
        ("initializer_range", c.initializer_range),
        ("query_pre_attn_scalar", c.query_pre_attn_scalar),
    ] {
        if !(size.is_finite() && 0.0 < size) {
            return Err(json.wrong(key, size, "above 0"));
        }
    }
    for (key, cap) in [
        ("final_logit_softcapping", c.final_logit_softcapping),
        ("attn_logit_softcapping", c.attn_logit_softcapping),
    ] {
        if let Some(cap) = cap {
            return Err(json.wrong(key, cap, "null: Gemma 3 has none, and it is not built"));
        }
    }
    if c.use_bidirectional_attention == Some(true) {
        let built = "false: a token sees what stands before it, and nothing else is built";
        return Err(json.wrong("use_bidirectional_attention", true, built));
    }
    decoder::check_padding(json, c.pad_token_id, c.vocab_size)
}

/// Of each layer: how many tokens a token sees.
fn windows(json: &ConfigJson, c: &Config) -> Result<Vec<Option<i64>>, ModelError> {
    let layers = c.num_hidden_layers as usize;
    let slides: Vec<bool> = match &c.layer_types {
        Some(types) => {
            if types.len() != layers {
                let wanted = format!("{layers}, one for each layer");
                return Err(json.wrong("layer_types", types.len(), wanted));
            }
            if let Some(other) = types.iter().find(|it| ![LOCAL, GLOBAL].contains(&it.as_str())) {
                let built = format!("{LOCAL} or {GLOBAL}");
                return Err(json.wrong("layer_types", format!("`{other}`"), built));
            }
            types.iter().map(|it| it == LOCAL).collect()
        }
        None => {
            let pattern = c.sliding_window_pattern.unwrap_or(PATTERN);
            if pattern == 0 {
                return Err(json.wrong("sliding_window_pattern", 0, "at least 1"));
            }
            (1..=layers).map(|it| it % pattern != 0).collect()
        }
    };
    match c.sliding_window {
        Some(window) if 1 <= window => {
            Ok(slides.into_iter().map(|it| it.then_some(window)).collect())
        }
        found if slides.contains(&true) => {
            let found = found.map_or("null".into(), |it| it.to_string());
            Err(json.wrong("sliding_window", found, "at least 1"))
        }
        _ => Ok(vec![None; layers]),
    }
}

/// One model of the family.
struct Gemma3 {
    c: Config,
    activation: Activation,
    /// Of each layer; none where it sees all.
    windows: Vec<Option<i64>>,
    local: RotaryConfig,
    global: RotaryConfig,
}

const PREFIX: &str = "model";
const TABLE: &str = "embed_tokens";

impl Architecture for Gemma3 {
    fn width(&self) -> i64 {
        self.c.hidden_size
    }

    fn layers(&self) -> usize {
        self.windows.len()
    }

    fn body(&self) -> (&'static str, &'static [&'static str]) {
        (PREFIX, &[TABLE, "layers", "norm"])
    }

    fn text(&self) -> Option<TextFacts> {
        let c = &self.c;
        Some(decoder::facts(c.max_position_embeddings, c.pad_token_id, 0.0, "num_hidden_layers"))
    }

    fn has_head(&self, head: HeadKind) -> bool {
        // transformers has no class with a head for each token.
        decoder::has_head(head) && !matches!(head, HeadKind::PerToken(_))
    }

    fn head_deviation(&self) -> f64 {
        self.c.initializer_range
    }

    fn gguf(&self) -> Result<crate::gguf::Outline, String> {
        Err("Gemma 3 is not among the models that are written for llama.cpp here; llama.cpp's own convert_hf_to_gguf.py takes the finished model's folder".into())
    }

    fn build(&self, loader: &Loader, options: &BuildOptions) -> Result<Stages, ModelError> {
        let c = &self.c;
        let body = |part| loader.part(part) / PREFIX;
        let table = body(Part::Embeddings) / TABLE;
        let stem = Embeddings {
            words: Embedding::new(table, c.vocab_size, c.hidden_size, c.pad_token_id)?,
            factor: (c.hidden_size as f64).sqrt(),
            limits: Limits::new(c.max_position_embeddings, c.pad_token_id, options.head),
        };
        let rotary = |config| {
            Rotary::new(config, options.device)
                .map_err(|source| ModelError::Tensor { name: "rotary positions".into(), source })
        };
        let (local, global) = (rotary(&self.local)?, rotary(&self.global)?);
        // It was not pretrained with dropout of hidden states.
        let dropout = options.dropout.unwrap_or(0.0);
        let layers = decoder::blocks(self.layers(), (options, dropout), |depth| {
            let p = body(Part::Layer(depth)) / "layers" / depth;
            let rotary = if self.windows[depth].is_some() { &local } else { &global };
            Ok((Box::new(GemmaMaps::new(&p, self, rotary)?), self.windows[depth]))
        })?;
        let top = body(Part::Layer(self.layers() - 1));
        let norm = Norm::new(&(top / "norm"), c.hidden_size, c.rms_norm_eps)?;
        let head = decoder::head(
            loader.part(Part::Head),
            options.head,
            &HeadFacts {
                width: c.hidden_size,
                vocabulary: c.vocab_size,
                shared: c.tie_word_embeddings.then(|| format!("{PREFIX}.{TABLE}.weight")),
                per_token: "score",
                dropout,
                token_dropout: dropout,
            },
        )?;
        Ok(Stages::new(Box::new(stem), layers, vec![Box::new(norm)], head))
    }
}

struct Embeddings {
    words: Embedding,
    factor: f64,
    limits: Limits,
}

impl Stage for Embeddings {
    fn forward(&self, ids: &Tensor, layout: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        self.limits.check(ids, layout)?;
        self.words.forward(ids)?.f_mul_scalar(self.factor)
    }
}

/// Root mean square norm, whose weight is what is added to 1.
struct Norm {
    weight: Tensor,
    eps: f64,
}

impl Norm {
    fn new(p: &Names, width: i64, eps: f64) -> Result<Norm, ModelError> {
        Ok(Norm { weight: p.norm_tensor("weight", &[width], Fill::Zero)?, eps })
    }

    fn norm(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        // In fp32 at least: what is added to 1 would be lost in bf16.
        let kind = xs.kind();
        let wide = if kind == Kind::Double { kind } else { Kind::Float };
        let weight = self.weight.f_to_kind(wide)?.f_add_scalar(1.0)?;
        xs.f_to_kind(wide)?.f_rms_norm(weight.size(), Some(&weight), self.eps)?.f_to_kind(kind)
    }
}

impl Stage for Norm {
    fn forward(&self, xs: &Tensor, _: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        self.norm(xs)
    }
}

struct GemmaMaps {
    /// Before and behind attention, before and behind the network.
    norms: [Norm; 4],
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    query_norm: Norm,
    key_norm: Norm,
    rotary: Rotary,
    network: Gated,
    head: i64,
    /// On queries: products are divided by the root of another number than that of a head's.
    factor: f64,
}

impl GemmaMaps {
    fn new(p: &Names, of: &Gemma3, rotary: &Rotary) -> Result<GemmaMaps, ModelError> {
        let c = &of.c;
        let attention = p / "self_attn";
        let (width, head) = (c.hidden_size, c.head_dim);
        let (queries, keys) = (c.num_attention_heads * head, c.num_key_value_heads * head);
        let norm = |p: Names, width| Norm::new(&p, width, c.rms_norm_eps);
        let map = |name, inputs, outputs| {
            Linear::with_bias(&attention / name, inputs, outputs, c.attention_bias)
        };
        Ok(GemmaMaps {
            norms: [
                norm(p / "input_layernorm", width)?,
                norm(p / "post_attention_layernorm", width)?,
                norm(p / "pre_feedforward_layernorm", width)?,
                norm(p / "post_feedforward_layernorm", width)?,
            ],
            query: map("q_proj", width, queries)?,
            key: map("k_proj", width, keys)?,
            value: map("v_proj", width, keys)?,
            output: map("o_proj", queries, width)?,
            query_norm: norm(&attention / "q_norm", head)?,
            key_norm: norm(&attention / "k_norm", head)?,
            rotary: rotary.shallow_clone(),
            network: Gated::new(&(p / "mlp"), (width, c.intermediate_size), false, of.activation)?,
            head,
            factor: (head as f64 / c.query_pre_attn_scalar).sqrt(),
        })
    }

    /// (rows, heads * head) -> (rows, heads, head), normed and turned.
    fn placed(&self, xs: &Tensor, norm: &Norm, angles: &Angles) -> Result<Tensor, TchError> {
        angles.turn(&norm.norm(&xs.f_unflatten(1, [-1, self.head])?)?)
    }

    /// The same of queries.
    fn queries(&self, xs: &Tensor, angles: &Angles) -> Result<Tensor, TchError> {
        let placed = self.placed(&self.query.forward(xs)?, &self.query_norm, angles)?;
        if self.factor == 1.0 { Ok(placed) } else { placed.f_mul_scalar(self.factor) }
    }
}

impl Maps for GemmaMaps {
    fn project(
        &self,
        xs: &Tensor,
        layout: &Layout,
        last_only: bool,
    ) -> Result<Projected, TchError> {
        decoder::turned(
            &self.rotary,
            (xs, layout, last_only),
            |xs, angles| self.queries(xs, angles),
            |xs, angles| self.placed(&self.key.forward(xs)?, &self.key_norm, angles),
            |xs| self.value.forward(xs)?.f_unflatten(1, [-1, self.head]),
        )
    }

    fn output(&self, mixed: &Tensor) -> Result<Tensor, TchError> {
        self.norms[1].norm(&self.output.forward(mixed)?)
    }

    fn network(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        self.norms[3].norm(&self.network.forward(xs)?)
    }

    fn norm(&self, which: usize, xs: &Tensor) -> Result<Tensor, TchError> {
        self.norms[2 * which].norm(xs)
    }
}
