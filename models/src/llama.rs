//! Llama (Touvron et al. 2023) and what is built like it: Llama 2 and 3, TinyLlama, SmolLM2,
//! Mistral, Qwen2 and 2.5, Qwen3; names as in `LlamaForCausalLM`. Where they differ (biases,
//! windows, norms of queries and keys) their configs say so.

use crate::architecture::{Architecture, Family, TextFacts};
use crate::causal::Projected;
use crate::config_json::{ClassNames, ConfigJson};
use crate::decoder::{self, Gated, HeadFacts, Limits, Maps, TOKEN_DROPOUT};
use crate::error::ModelError;
use crate::gguf::{Form, Outline};
use crate::layers::{Activation, Embedding, Linear};
use crate::layout::Layout;
use crate::load::{Fill, Loader, Names, Part};
use crate::model::{BuildOptions, HeadKind, Pass};
use crate::rotary::{Angles, Rotary, RotaryConfig};
use crate::stages::{Stage, Stages};
use serde::Deserialize;
use tch::{TchError, Tensor};

macro_rules! classes {
    ($family:literal) => {
        ClassNames {
            body: concat!($family, "Model"),
            classes: concat!($family, "ForSequenceClassification"),
            per_token: Some(concat!($family, "ForTokenClassification")),
            vocabulary: Some(concat!($family, "ForCausalLM")),
        }
    };
}

pub(crate) const FAMILY: Family = Family {
    timm: &[],
    transformers: &[
        (LLAMA, classes!("Llama")),
        (MISTRAL, classes!("Mistral")),
        (QWEN2, classes!("Qwen2")),
        (QWEN3, classes!("Qwen3")),
    ],
    read,
};

const LLAMA: &str = "llama";
const MISTRAL: &str = "mistral";
const QWEN2: &str = "qwen2";
const QWEN3: &str = "qwen3";

/// `LlamaConfig` and its relatives: what has no default here must be said, since transformers'
/// defaults differ from one to the other.
#[derive(Debug, Deserialize)]
struct LlamaConfig {
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    /// None: as many as there are heads.
    num_key_value_heads: Option<i64>,
    head_dim: Option<i64>,
    #[serde(default = "silu")]
    hidden_act: String,
    max_position_embeddings: i64,
    #[serde(default = "initializer_range")]
    initializer_range: f64,
    #[serde(default = "rms_norm_eps")]
    rms_norm_eps: f64,
    pad_token_id: Option<i64>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    sliding_window: Option<i64>,
    #[serde(default)]
    use_sliding_window: bool,
    max_window_layers: Option<i64>,
    layer_types: Option<Vec<String>>,
    classifier_dropout: Option<f64>,
    hidden_dropout: Option<f64>,
}

fn silu() -> String {
    "silu".into()
}

fn initializer_range() -> f64 {
    0.02
}

fn rms_norm_eps() -> f64 {
    1e-6
}

/// What a model of the family is made of, checked.
#[derive(Debug, Clone)]
struct Config {
    /// `model_type`.
    family: &'static str,
    vocab_size: i64,
    width: i64,
    inner: i64,
    heads: i64,
    /// Heads of keys and values.
    groups: i64,
    /// Numbers of a head.
    head: i64,
    activation: Activation,
    max_positions: i64,
    deviation: f64,
    eps: f64,
    pad_token_id: Option<i64>,
    shares_table: bool,
    /// Of queries, keys and values.
    input_bias: bool,
    /// Of attention's output.
    output_bias: bool,
    network_bias: bool,
    norms_heads: bool,
    /// Of each layer: how many tokens a token sees.
    windows: Vec<Option<i64>>,
    rotary: RotaryConfig,
    token_dropout: f64,
}

fn read(json: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let c: LlamaConfig = json.whole()?;
    let family = json.architecture();
    let groups = groups(json, &c)?;
    check(json, &c, groups)?;
    let head = match (c.head_dim, family) {
        (Some(it), _) => it,
        (None, QWEN3) => 128, // transformers' default
        (None, _) => c.hidden_size / c.num_attention_heads,
    };
    json.check_sizes("head_dim", [&head])?;
    let Some(activation) = Activation::named(&c.hidden_act) else {
        let known = format!("one of {}", Activation::names());
        return Err(json.wrong("hidden_act", &c.hidden_act, known));
    };
    let biased = c.attention_bias && family != MISTRAL;
    Ok(Box::new(Llama(Config {
        family,
        vocab_size: c.vocab_size,
        width: c.hidden_size,
        inner: c.intermediate_size,
        heads: c.num_attention_heads,
        groups,
        head,
        activation,
        max_positions: c.max_position_embeddings,
        deviation: c.initializer_range,
        eps: c.rms_norm_eps,
        pad_token_id: c.pad_token_id,
        shares_table: c.tie_word_embeddings,
        input_bias: biased || family == QWEN2,
        output_bias: biased && family != QWEN2,
        network_bias: c.mlp_bias && family == LLAMA,
        norms_heads: family == QWEN3,
        windows: windows(json, &c)?,
        rotary: RotaryConfig::read(json, head, c.max_position_embeddings)?,
        token_dropout: c.classifier_dropout.or(c.hidden_dropout).unwrap_or(TOKEN_DROPOUT),
    })))
}

/// Heads of keys and values. Only Llama's config may leave it out: its relatives have defaults of
/// their own, which fit no other model.
fn groups(json: &ConfigJson, c: &LlamaConfig) -> Result<i64, ModelError> {
    if json.architecture() != LLAMA && json.json().get("num_key_value_heads").is_none() {
        return Err(json.wrong("num_key_value_heads", "absent", "a number"));
    }
    Ok(c.num_key_value_heads.unwrap_or(c.num_attention_heads))
}

/// # Errors
/// A number that no model can have, named with its key.
fn check(json: &ConfigJson, c: &LlamaConfig, groups: i64) -> Result<(), ModelError> {
    json.check_sizes("vocab_size", [&c.vocab_size])?;
    json.check_sizes("hidden_size", [&c.hidden_size])?;
    json.check_sizes("intermediate_size", [&c.intermediate_size])?;
    json.check_sizes("num_attention_heads", [&c.num_attention_heads])?;
    json.check_sizes("num_key_value_heads", [&groups])?;
    json.check_depths([usize::try_from(c.num_hidden_layers).unwrap_or(0)])?;
    if !(1..=i64::from(i32::MAX)).contains(&c.max_position_embeddings) {
        let wanted = "a positive number of 31 bits";
        return Err(json.wrong("max_position_embeddings", c.max_position_embeddings, wanted));
    }
    if c.num_attention_heads % groups != 0 {
        let divisor = format!("a divisor of the {} heads", c.num_attention_heads);
        return Err(json.wrong("num_key_value_heads", groups, divisor));
    }
    for (key, size) in
        [("rms_norm_eps", c.rms_norm_eps), ("initializer_range", c.initializer_range)]
    {
        if !(size.is_finite() && 0.0 < size) {
            return Err(json.wrong(key, size, "above 0"));
        }
    }
    for p in [c.classifier_dropout, c.hidden_dropout].into_iter().flatten() {
        if !(0.0..1.0).contains(&p) {
            return Err(json.wrong("the classifier's dropout", p, "at least 0 and below 1"));
        }
    }
    decoder::check_padding(json, c.pad_token_id, c.vocab_size)
}

/// Of each layer, as the families' configs say it.
fn windows(json: &ConfigJson, c: &LlamaConfig) -> Result<Vec<Option<i64>>, ModelError> {
    /// transformers' default for Mistral, Qwen2 and Qwen3.
    const WINDOW: i64 = 4096;
    /// For Qwen2 and Qwen3: lower layers have none.
    const FIRST: i64 = 28;
    let layers = c.num_hidden_layers as usize;
    let absent = json.json().get("sliding_window").is_none();
    let window = if absent { Some(WINDOW) } else { c.sliding_window };
    if let Some(it) = window.filter(|it| *it < 1) {
        return Err(json.wrong("sliding_window", it, "at least 1"));
    }
    match json.architecture() {
        MISTRAL => Ok(vec![window; layers]),
        QWEN2 | QWEN3 => {
            let window = window.filter(|_| c.use_sliding_window);
            let first = c.max_window_layers.unwrap_or(FIRST);
            let slides = |layer: usize| match &c.layer_types {
                Some(types) => types.get(layer).is_some_and(|it| it == "sliding_attention"),
                None => first <= layer as i64,
            };
            let known =
                |it: &&String| !["sliding_attention", "full_attention"].contains(&it.as_str());
            if let Some(other) = c.layer_types.iter().flatten().find(known) {
                let built = "sliding_attention or full_attention";
                return Err(json.wrong("layer_types", format!("`{other}`"), built));
            }
            Ok((0..layers).map(|it| window.filter(|_| slides(it))).collect())
        }
        _ => Ok(vec![None; layers]),
    }
}

struct Llama(Config);

impl Config {
    /// The tensors of a layer, by llama.cpp's names. Its model of Llama turns a head's numbers with
    /// their neighbours; its models of Qwen as transformers does.
    fn describe(&self, depth: usize, outline: &mut Outline) {
        let heads = |count| match self.family {
            LLAMA | MISTRAL => Form::Heads(count),
            _ => Form::AsStored,
        };
        let plain = Form::AsStored;
        let norms = if self.norms_heads { 2 } else { 0 };
        let maps = [
            ("attn_q", "self_attn.q_proj", heads(self.heads), self.input_bias),
            ("attn_k", "self_attn.k_proj", heads(self.groups), self.input_bias),
            ("attn_v", "self_attn.v_proj", plain, self.input_bias),
            ("attn_output", "self_attn.o_proj", plain, self.output_bias),
            ("ffn_gate", "mlp.gate_proj", plain, self.network_bias),
            ("ffn_up", "mlp.up_proj", plain, self.network_bias),
            ("ffn_down", "mlp.down_proj", plain, self.network_bias),
            ("attn_norm", "input_layernorm", plain, false),
            ("ffn_norm", "post_attention_layernorm", plain, false),
        ];
        let head_norms = [
            ("attn_q_norm", "self_attn.q_norm", plain, false),
            ("attn_k_norm", "self_attn.k_norm", plain, false),
        ];
        for (name, stored, form, bias) in maps.iter().chain(&head_norms[..norms]) {
            for part in ["weight", "bias"].iter().take(1 + usize::from(*bias)) {
                let stored = format!("{PREFIX}.layers.{depth}.{stored}.{part}");
                outline.tensor(format!("blk.{depth}.{name}.{part}"), stored, *form);
            }
        }
    }
}

const PREFIX: &str = "model";
const TABLE: &str = "embed_tokens";

impl Architecture for Llama {
    fn width(&self) -> i64 {
        self.0.width
    }

    fn layers(&self) -> usize {
        self.0.windows.len()
    }

    fn body(&self) -> (&'static str, &'static [&'static str]) {
        (PREFIX, &[TABLE, "layers", "norm"])
    }

    fn text(&self) -> Option<TextFacts> {
        let c = &self.0;
        Some(decoder::facts(c.max_positions, c.pad_token_id, 0.0, "num_hidden_layers"))
    }

    fn has_head(&self, head: HeadKind) -> bool {
        decoder::has_head(head)
    }

    fn head_deviation(&self) -> f64 {
        self.0.deviation
    }

    fn gguf(&self) -> Result<Outline, String> {
        let c = &self.0;
        if c.activation != Activation::Silu {
            return Err("its hidden_act is another than silu, which is what llama.cpp has".into());
        }
        if c.family == QWEN3 && c.input_bias {
            return Err("it is a Qwen3 with biases, which llama.cpp has none of".into());
        }
        if c.family != LLAMA && c.family != MISTRAL && c.rotary.is_llama3() {
            return Err(
                "its rope_type is llama3, which llama.cpp has of Llama and Mistral only".into()
            );
        }
        if c.family == QWEN2 && c.heads * c.head != c.width {
            return Err("it is a Qwen2 whose heads are not as wide together as the model".into());
        }
        let mut outline = Outline::new(if c.family == MISTRAL { LLAMA } else { c.family });
        // Within the window all tokens are seen, with it and without.
        let context = c.windows.iter().flatten().copied().fold(c.max_positions, i64::min);
        outline.size("context_length", context);
        outline.size("embedding_length", c.width);
        outline.size("block_count", c.windows.len() as i64);
        outline.size("feed_forward_length", c.inner);
        outline.size("attention.head_count", c.heads);
        outline.size("attention.head_count_kv", c.groups);
        outline.size("attention.key_length", c.head);
        outline.size("attention.value_length", c.head);
        outline.number("attention.layer_norm_rms_epsilon", c.eps);
        outline.size("vocab_size", c.vocab_size);
        c.rotary.describe(&mut outline)?;
        let plain = [
            ("token_embd", format!("{PREFIX}.{TABLE}")),
            ("output_norm", format!("{PREFIX}.norm")),
        ];
        for (name, stored) in plain {
            outline.tensor(format!("{name}.weight"), format!("{stored}.weight"), Form::AsStored);
        }
        if !c.shares_table {
            outline.tensor("output.weight".into(), "lm_head.weight".into(), Form::AsStored);
        }
        (0..c.windows.len()).for_each(|depth| c.describe(depth, &mut outline));
        Ok(outline)
    }

    fn build(&self, loader: &Loader, options: &BuildOptions) -> Result<Stages, ModelError> {
        let c = &self.0;
        let body = |part| loader.part(part) / PREFIX;
        let stem = Embeddings {
            words: Embedding::new(
                body(Part::Embeddings) / TABLE,
                c.vocab_size,
                c.width,
                c.pad_token_id,
            )?,
            limits: Limits::new(c.max_positions, c.pad_token_id, options.head),
        };
        let rotary = Rotary::new(&c.rotary, options.device)
            .map_err(|source| ModelError::Tensor { name: "rotary positions".into(), source })?;
        // None of these models was pretrained with dropout of hidden states.
        let hidden = options.dropout.unwrap_or(0.0);
        let layers = decoder::blocks(self.layers(), (options, hidden), |depth| {
            let p = body(Part::Layer(depth)) / "layers" / depth;
            Ok((Box::new(LlamaMaps::new(&p, c, &rotary)?), c.windows[depth]))
        })?;
        let top = body(Part::Layer(self.layers() - 1));
        let norm = RmsNorm::new(&(top / "norm"), c.width, c.eps)?;
        let head = decoder::head(
            loader.part(Part::Head),
            options.head,
            &HeadFacts {
                width: c.width,
                vocabulary: c.vocab_size,
                shared: c.shares_table.then(|| format!("{PREFIX}.{TABLE}.weight")),
                per_token: "score",
                dropout: hidden,
                token_dropout: options.dropout.unwrap_or(c.token_dropout),
            },
        )?;
        Ok(Stages::new(Box::new(stem), layers, vec![Box::new(norm)], head))
    }
}

struct Embeddings {
    words: Embedding,
    limits: Limits,
}

impl Stage for Embeddings {
    fn forward(&self, ids: &Tensor, layout: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        self.limits.check(ids, layout)?;
        self.words.forward(ids)
    }
}

/// Root mean square norm (Zhang and Sennrich 2019) of what the last axis holds.
struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    fn new(p: &Names, width: i64, eps: f64) -> Result<RmsNorm, ModelError> {
        Ok(RmsNorm { weight: p.norm_tensor("weight", &[width], Fill::One)?, eps })
    }

    fn norm(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        xs.f_rms_norm(self.weight.size(), Some(&self.weight), self.eps)
    }
}

impl Stage for RmsNorm {
    fn forward(&self, xs: &Tensor, _: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        self.norm(xs)
    }
}

struct LlamaMaps {
    norms: [RmsNorm; 2],
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    /// Of each head of queries and of keys (Qwen3).
    head_norms: Option<[RmsNorm; 2]>,
    rotary: Rotary,
    network: Gated,
    head: i64,
}

impl LlamaMaps {
    fn new(p: &Names, c: &Config, rotary: &Rotary) -> Result<LlamaMaps, ModelError> {
        let attention = p / "self_attn";
        let (queries, keys) = (c.heads * c.head, c.groups * c.head);
        let norm = |p: Names, width| RmsNorm::new(&p, width, c.eps);
        let projection =
            |name, outputs| Linear::with_bias(&attention / name, c.width, outputs, c.input_bias);
        let head_norms = c
            .norms_heads
            .then(|| {
                Ok([norm(&attention / "q_norm", c.head)?, norm(&attention / "k_norm", c.head)?])
            })
            .transpose()?;
        Ok(LlamaMaps {
            norms: [
                norm(p / "input_layernorm", c.width)?,
                norm(p / "post_attention_layernorm", c.width)?,
            ],
            query: projection("q_proj", queries)?,
            key: projection("k_proj", keys)?,
            value: projection("v_proj", keys)?,
            output: Linear::with_bias(&attention / "o_proj", queries, c.width, c.output_bias)?,
            head_norms,
            rotary: rotary.shallow_clone(),
            network: Gated::new(&(p / "mlp"), (c.width, c.inner), c.network_bias, c.activation)?,
            head: c.head,
        })
    }

    /// (rows, heads * head) -> (rows, heads, head), normed (by the norm of queries, 0, or of keys,
    /// 1) and turned.
    fn placed(&self, xs: &Tensor, which: usize, angles: &Angles) -> Result<Tensor, TchError> {
        let xs = xs.f_unflatten(1, [-1, self.head])?;
        match &self.head_norms {
            Some(norms) => angles.turn(&norms[which].norm(&xs)?),
            None => angles.turn(&xs),
        }
    }
}

impl Maps for LlamaMaps {
    fn project(
        &self,
        xs: &Tensor,
        layout: &Layout,
        last_only: bool,
    ) -> Result<Projected, TchError> {
        decoder::turned(
            &self.rotary,
            (xs, layout, last_only),
            |xs, angles| self.placed(&self.query.forward(xs)?, 0, angles),
            |xs, angles| self.placed(&self.key.forward(xs)?, 1, angles),
            |xs| self.value.forward(xs)?.f_unflatten(1, [-1, self.head]),
        )
    }

    fn output(&self, mixed: &Tensor) -> Result<Tensor, TchError> {
        self.output.forward(mixed)
    }

    fn network(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        self.network.forward(xs)
    }

    fn norm(&self, which: usize, xs: &Tensor) -> Result<Tensor, TchError> {
        self.norms[which].norm(xs)
    }
}
