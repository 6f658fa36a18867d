//! ModernBERT (Warner et al. 2024): norms before attention and network, rotary positions, gated
//! networks, and layers most of which look at neighbours only; names as in
//! `ModernBertForSequenceClassification`.

use crate::architecture::{Architecture, Family, TextFacts};
use crate::causal::each_run;
use crate::config_json::{ClassNames, ConfigJson, LAYERS_MAX};
use crate::encoder::LINEAR_CLASSIFIER;
use crate::error::ModelError;
use crate::layers::{self, Activation, Classifier, Dropout, Embedding, LayerNorm, Linear};
use crate::layout::Layout;
use crate::load::{Fill, Loader, Names, Part};
use crate::model::{BuildOptions, HeadKind, Pass, Pooling, Rows};
use crate::rotary::{Rotary, RotaryConfig};
use crate::stages::{Stage, Stages};
use serde::Deserialize;
use std::collections::BTreeMap;
use tch::{Kind, TchError, Tensor};

pub(crate) const FAMILY: Family = Family {
    timm: &[],
    transformers: &[(
        "modernbert",
        ClassNames {
            body: "ModernBertModel",
            classes: "ModernBertForSequenceClassification",
            per_token: Some("ModernBertForTokenClassification"),
            vocabulary: Some("ModernBertForMaskedLM"),
        },
    )],
    read,
};

/// `ModernBertConfig` with its defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
struct Config {
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    hidden_activation: String,
    max_position_embeddings: i64,
    initializer_range: f64,
    norm_eps: f64,
    norm_bias: bool,
    pad_token_id: Option<i64>,
    attention_bias: bool,
    attention_dropout: f64,
    layer_types: Option<Vec<String>>,
    global_attn_every_n_layers: usize,
    rope_parameters: Option<BTreeMap<String, Option<Rope>>>,
    rope_scaling: Option<serde_json::Value>,
    global_rope_theta: f64,
    local_rope_theta: f64,
    local_attention: i64,
    embedding_dropout: f64,
    mlp_bias: bool,
    mlp_dropout: f64,
    decoder_bias: bool,
    classifier_pooling: String,
    classifier_dropout: f64,
    classifier_bias: bool,
    classifier_activation: String,
    tie_word_embeddings: bool,
}

/// What transformers 5 writes for either kind of layer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rope {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            vocab_size: 50368,
            hidden_size: 768,
            intermediate_size: 1152,
            num_hidden_layers: 22,
            num_attention_heads: 12,
            hidden_activation: "gelu".into(),
            max_position_embeddings: 8192,
            initializer_range: 0.02,
            norm_eps: 1e-5,
            norm_bias: false,
            pad_token_id: Some(50283),
            attention_bias: false,
            attention_dropout: 0.0,
            layer_types: None,
            global_attn_every_n_layers: 3,
            rope_parameters: None,
            rope_scaling: None,
            global_rope_theta: 160_000.0,
            local_rope_theta: 10_000.0,
            local_attention: 128,
            embedding_dropout: 0.0,
            mlp_bias: false,
            mlp_dropout: 0.0,
            decoder_bias: true,
            classifier_pooling: "cls".into(),
            classifier_dropout: 0.0,
            classifier_bias: false,
            classifier_activation: "gelu".into(),
            tie_word_embeddings: true,
        }
    }
}

const LOCAL: &str = "sliding_attention";
const GLOBAL: &str = "full_attention";

struct ModernBert {
    c: Config,
    activation: Activation,
    classifier_activation: Activation,
    pooling: Pooling,
    /// Of layers that look at all tokens, and at neighbours.
    rotary: [RotaryConfig; 2],
    /// Of each layer: whether it looks at neighbours only.
    local: Vec<bool>,
}

fn read(json: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let c: Config = json.whole()?;
    check(json, &c)?;
    let activation = |key, name: &str| {
        let known = || format!("one of {}", Activation::names());
        Activation::named(name).ok_or_else(|| json.wrong(key, name, known()))
    };
    let pooling = match c.classifier_pooling.as_str() {
        "cls" => Pooling::First,
        "mean" => Pooling::Mean,
        other => return Err(json.wrong("classifier_pooling", other, "cls or mean")),
    };
    let rotary = |kind: &str, theta: f64| {
        let all = c.rope_parameters.as_ref();
        let own = all.and_then(|it| it.get(kind)).cloned().flatten().unwrap_or_default();
        let scaled = own.rope_type.as_deref().is_some_and(|it| it != "default");
        if scaled || c.rope_scaling.is_some() {
            let found = own.rope_type.unwrap_or("rope_scaling".into());
            return Err(json.wrong("rope_type", found, "default, the only one that is built"));
        }
        let head = c.hidden_size / c.num_attention_heads;
        RotaryConfig::plain(json, head, own.rope_theta.unwrap_or(theta))
    };
    Ok(Box::new(ModernBert {
        activation: activation("hidden_activation", &c.hidden_activation)?,
        classifier_activation: activation("classifier_activation", &c.classifier_activation)?,
        pooling,
        rotary: [rotary(GLOBAL, c.global_rope_theta)?, rotary(LOCAL, c.local_rope_theta)?],
        local: local(json, &c)?,
        c,
    }))
}

/// Of each layer: whether it looks at neighbours only.
fn local(json: &ConfigJson, c: &Config) -> Result<Vec<bool>, ModelError> {
    let layers = c.num_hidden_layers as usize;
    let Some(types) = &c.layer_types else {
        if c.global_attn_every_n_layers == 0 {
            return Err(json.wrong("global_attn_every_n_layers", 0, "at least 1"));
        }
        return Ok((0..layers).map(|it| it % c.global_attn_every_n_layers != 0).collect());
    };
    if types.len() != layers {
        return Err(json.wrong(
            "layer_types",
            types.len(),
            format!("{layers}, one for each layer"),
        ));
    }
    let known = |it: &&String| ![LOCAL, GLOBAL].contains(&it.as_str());
    if let Some(other) = types.iter().find(known) {
        return Err(json.wrong("layer_types", other, format!("{LOCAL} or {GLOBAL}")));
    }
    Ok(types.iter().map(|it| it == LOCAL).collect())
}

/// # Errors
/// A number that no model can have, named with its key.
fn check(json: &ConfigJson, c: &Config) -> Result<(), ModelError> {
    json.check_sizes("vocab_size", [&c.vocab_size])?;
    json.check_sizes("hidden_size", [&c.hidden_size])?;
    json.check_sizes("intermediate_size", [&c.intermediate_size])?;
    json.check_sizes("num_attention_heads", [&c.num_attention_heads])?;
    json.check_sizes("max_position_embeddings", [&c.max_position_embeddings])?;
    json.check_sizes("local_attention", [&c.local_attention])?;
    if !(1..=LAYERS_MAX).contains(&c.num_hidden_layers) {
        let wanted = format!("between 1 and {LAYERS_MAX}");
        return Err(json.wrong("num_hidden_layers", c.num_hidden_layers, wanted));
    }
    if c.hidden_size % c.num_attention_heads != 0 {
        let divisor = format!("a divisor of the hidden size {}", c.hidden_size);
        return Err(json.wrong("num_attention_heads", c.num_attention_heads, divisor));
    }
    if let Some(pad) = c.pad_token_id.filter(|it| !(0..c.vocab_size).contains(it)) {
        let below = format!("below the vocabulary's size {}", c.vocab_size);
        return Err(json.wrong("pad_token_id", pad, below));
    }
    for (key, p) in [
        ("embedding_dropout", c.embedding_dropout),
        ("attention_dropout", c.attention_dropout),
        ("mlp_dropout", c.mlp_dropout),
        ("classifier_dropout", c.classifier_dropout),
    ] {
        if !(0.0..1.0).contains(&p) {
            return Err(json.wrong(key, p, "at least 0 and below 1"));
        }
    }
    for (key, size) in [("norm_eps", c.norm_eps), ("initializer_range", c.initializer_range)] {
        if !(size.is_finite() && 0.0 < size) {
            return Err(json.wrong(key, size, "above 0"));
        }
    }
    Ok(())
}

const PREFIX: &str = "model";
const TABLE: &str = "embeddings.tok_embeddings";

impl Architecture for ModernBert {
    fn width(&self) -> i64 {
        self.c.hidden_size
    }

    fn layers(&self) -> usize {
        self.local.len()
    }

    fn body(&self) -> (&'static str, &'static [&'static str]) {
        (PREFIX, &["embeddings", "layers", "final_norm"])
    }

    fn text(&self) -> Option<TextFacts> {
        Some(TextFacts {
            max_positions: self.c.max_position_embeddings as u32,
            pad_token_id: self.c.pad_token_id.map(|it| it as u32),
            token_types: 1,
            dropout: self.c.mlp_dropout,
            layers_key: "num_hidden_layers",
            pooling: Some(self.pooling),
            causal: false,
        })
    }

    fn has_head(&self, head: HeadKind) -> bool {
        !matches!(head, HeadKind::Linear(_, wanted) if wanted != self.pooling)
    }

    /// What it was pretrained with stands between the last layer and every head.
    fn with_body(&self) -> &'static [&'static str] {
        &["head"]
    }

    fn head_deviation(&self) -> f64 {
        self.c.initializer_range
    }

    fn build(&self, loader: &Loader, options: &BuildOptions) -> Result<Stages, ModelError> {
        let mut c = self.c.clone();
        if let Some(p) = options.dropout {
            (c.embedding_dropout, c.attention_dropout) = (p, p);
            (c.mlp_dropout, c.classifier_dropout) = (p, p);
        }
        let body = |part| loader.part(part) / PREFIX;
        let p = body(Part::Embeddings);
        let stem = Embeddings {
            words: Embedding::new(&p / TABLE, c.vocab_size, c.hidden_size, c.pad_token_id)?,
            norm: self.norm(&p / "embeddings.norm")?,
            dropout: Dropout::of_embeddings(c.embedding_dropout),
            max_positions: c.max_position_embeddings,
        };
        let (top, per_example) = (self.layers() - 1, options.head.rows() == Rows::PerExample);
        let layers = (0..=top)
            .map(|depth| {
                let p = body(Part::Layer(depth)) / "layers" / depth;
                let layer = self.layer(&p, depth, &c, options)?;
                let first = depth == top && per_example && self.pooling == Pooling::First;
                Ok(Box::new(Layer { first_only: first, ..layer }) as Box<dyn Stage>)
            })
            .collect::<Result<Vec<Box<dyn Stage>>, ModelError>>()?;
        let bent = matches!(options.head, HeadKind::Linear(..));
        let tail = Tail {
            norm: self.norm(body(Part::Layer(top)) / "final_norm")?,
            mean: per_example && self.pooling == Pooling::Mean,
            bent: bent.then_some((self.classifier_activation, c.norm_eps)),
        };
        let head = self.head(&loader.part(Part::Head), options.head, c.classifier_dropout)?;
        Ok(Stages::new(Box::new(stem), layers, vec![Box::new(tail)], head))
    }
}

impl ModernBert {
    fn norm(&self, p: Names) -> Result<LayerNorm, ModelError> {
        LayerNorm::with_bias(p, self.c.hidden_size, self.c.norm_eps, self.c.norm_bias)
    }

    fn layer(
        &self,
        p: &Names,
        depth: usize,
        c: &Config,
        options: &BuildOptions,
    ) -> Result<Layer, ModelError> {
        let (width, inner, local) = (c.hidden_size, c.intermediate_size, self.local[depth]);
        let map = Linear::with_bias;
        let rotary = Rotary::new(&self.rotary[usize::from(local)], options.device)
            .map_err(|source| ModelError::Tensor { name: "rotary positions".into(), source })?;
        Ok(Layer {
            // The embeddings are normed already.
            attention_norm: (0 < depth).then(|| self.norm(p / "attn_norm")).transpose()?,
            maps: map(p / "attn.Wqkv", width, 3 * width, c.attention_bias)?,
            output: map(p / "attn.Wo", width, width, c.attention_bias)?,
            network_norm: self.norm(p / "mlp_norm")?,
            up: map(p / "mlp.Wi", width, 2 * inner, c.mlp_bias)?,
            down: map(p / "mlp.Wo", inner, width, c.mlp_bias)?,
            activation: self.activation,
            heads: c.num_attention_heads,
            reach: local.then_some(c.local_attention / 2),
            rotary,
            weights_dropout: Dropout::of_layer(options.attention_dropout, depth, 0),
            attention_dropout: Dropout::of_layer(c.attention_dropout, depth, 1),
            network_dropout: Dropout::of_layer(c.mlp_dropout, depth, 2),
            first_only: false,
        })
    }

    fn head(
        &self,
        p: &Names,
        head: HeadKind,
        dropout: f64,
    ) -> Result<Option<Box<dyn Stage>>, ModelError> {
        let (c, width) = (&self.c, self.c.hidden_size);
        let transform = || -> Result<Transform, ModelError> {
            Ok(Transform {
                dense: Linear::with_bias(p / "head.dense", width, width, c.classifier_bias)?,
                activation: self.classifier_activation,
                norm: self.norm(p / "head.norm")?,
            })
        };
        Ok(match head {
            HeadKind::Classes(classes) | HeadKind::PerToken(classes) => Some(Box::new(Head {
                transform: transform()?,
                dropout: Dropout::of_head(dropout, 0),
                output: Linear::of_outputs(p / "classifier", width, classes)?,
            })),
            HeadKind::Linear(classes, _) => {
                let p = p / LINEAR_CLASSIFIER;
                Some(Box::new(Classifier::new(p, width, classes, dropout)?))
            }
            HeadKind::Vocabulary => {
                let (transform, p) = (transform()?, p / "decoder");
                let weight = if c.tie_word_embeddings {
                    p.tied(&format!("{PREFIX}.{TABLE}.weight"), "weight")?
                } else {
                    p.tensor("weight", &[c.vocab_size, width], Fill::Random)?
                };
                let bias = || p.tensor("bias", &[c.vocab_size], Fill::Zero);
                let bias = c.decoder_bias.then(bias).transpose()?;
                Some(Box::new(Vocabulary { transform, weight, bias }))
            }
            HeadKind::None(_) | HeadKind::Keep => None,
        })
    }
}

struct Embeddings {
    words: Embedding,
    norm: LayerNorm,
    dropout: Dropout,
    max_positions: i64,
}

impl Stage for Embeddings {
    fn forward(&self, ids: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        layout.check_longest(self.max_positions)?;
        self.dropout.forward(self.norm.forward(&self.words.forward(ids)?)?, pass)
    }
}

struct Layer {
    attention_norm: Option<LayerNorm>,
    /// To queries, keys and values.
    maps: Linear,
    output: Linear,
    network_norm: LayerNorm,
    /// To what the activation is given, and to what multiplies it.
    up: Linear,
    down: Linear,
    activation: Activation,
    heads: i64,
    /// How many tokens before and behind itself a token sees; all of its text where there is no
    /// number.
    reach: Option<i64>,
    rotary: Rotary,
    /// Of attention's weights.
    weights_dropout: Dropout,
    attention_dropout: Dropout,
    network_dropout: Dropout,
    /// Only each text's first token is wanted of it.
    first_only: bool,
}

impl Layer {
    /// (tokens, width), normed -> the same shape, or (texts, width)
    fn attend(&self, xs: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        let parts = self.maps.forward(xs)?.f_unflatten(1, [3, self.heads, -1])?.f_unbind(1)?;
        let [query, key, value] = <[Tensor; 3]>::try_from(parts)
            .map_err(|it| TchError::Shape(format!("{} of queries, keys and values", it.len())))?;
        let angles = self.rotary.angles(layout.places(), xs.kind())?;
        let (query, key) =
            (angles.turn(&query.f_contiguous()?)?, angles.turn(&key.f_contiguous()?)?);
        let query = if self.first_only { layout.first_tokens(&query)? } else { query };
        let scale = 1.0 / (query.size3()?.2 as f64).sqrt();
        let mixed = each_run(&[query, key, value], layout, |at, qkv| {
            let sizes = [qkv[0].size()[2], qkv[1].size()[2]];
            let seen = self.seen(sizes, &qkv[0])?;
            layers::attend(&qkv, seen, scale, &self.weights_dropout, &pass.of_run(at.place))
        })?;
        self.output.forward(&mixed)
    }

    /// (n, tokens): nothing added to what each of the first n tokens sees, and minus infinity to
    /// what it does not; none where each sees all.
    fn seen(&self, [n, tokens]: [i64; 2], like: &Tensor) -> Result<Option<Tensor>, TchError> {
        let Some(reach) = self.reach.filter(|it| *it + 1 < tokens) else { return Ok(None) };
        let far = Tensor::f_ones([n, tokens], (Kind::Bool, like.device()))?;
        let far = far.f_triu(reach + 1)?.f_logical_or(&far.f_tril(-reach - 1)?)?;
        let nothing = Tensor::f_zeros([n, tokens], (like.kind(), like.device()))?;
        nothing.f_masked_fill(&far, f64::NEG_INFINITY).map(Some)
    }
}

impl Stage for Layer {
    /// (tokens, width) -> the same, or (texts, width)
    fn forward(&self, xs: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        let normed = match &self.attention_norm {
            Some(norm) => norm.forward(xs)?,
            None => xs.shallow_clone(),
        };
        let mixed = self.attend(&normed, layout, pass)?;
        let own = if self.first_only { layout.first_tokens(xs)? } else { xs.shallow_clone() };
        let xs = self.attention_dropout.add(&mixed, &own, pass)?;
        let ys = self.up.forward(&self.network_norm.forward(&xs)?)?;
        let inner = ys.size2()?.1 / 2;
        let gated = self.activation.forward(&ys.f_narrow(1, 0, inner)?)?;
        let gated = gated.f_mul(&ys.f_narrow(1, inner, inner)?)?;
        self.down.forward(&self.network_dropout.forward(gated, pass)?)?.f_add(&xs)
    }
}

/// What features are multiplied by before the head's activation, so that it is nearly a line: a
/// power of two, which no product rounds, whose square is well above the norm's own epsilon.
const SHRINK: f64 = 1.0 / 32.0;

/// What follows the last layer.
struct Tail {
    norm: LayerNorm,
    /// A text's row is the mean of its tokens.
    mean: bool,
    /// What a row goes through before a linear map, so that the head can be that map of it: see
    /// [`Head::set_bent`].
    bent: Option<(Activation, f64)>,
}

impl Stage for Tail {
    fn forward(&self, xs: &Tensor, layout: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        let mut xs = self.norm.forward(xs)?;
        if self.mean {
            xs = layout.means(&xs)?;
        }
        let Some((activation, eps)) = self.bent else { return Ok(xs) };
        let bent = activation.forward(&xs.f_mul_scalar(SHRINK)?)?;
        bent.f_layer_norm::<Tensor>([bent.size2()?.1], None, None, eps, true)
    }
}

/// What stands below every head: `ModernBertPredictionHead`.
struct Transform {
    dense: Linear,
    activation: Activation,
    norm: LayerNorm,
}

impl Transform {
    fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        self.norm.forward(&self.activation.forward(&self.dense.forward(xs)?)?)
    }
}

/// Of texts and of tokens.
struct Head {
    transform: Transform,
    dropout: Dropout,
    output: Linear,
}

impl Stage for Head {
    fn forward(&self, xs: &Tensor, _: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        self.output.forward(&self.dropout.forward(self.transform.forward(xs)?, pass)?)
    }

    /// A linear map of what [`Tail`] makes of a row.
    fn set_bent(&self, weight: &Tensor, bias: &Tensor) -> Result<(), TchError> {
        self.transform.dense.set_identity(SHRINK, 0.0)?;
        self.transform.norm.set_plain()?;
        self.output.set(weight, bias)
    }
}

struct Vocabulary {
    transform: Transform,
    /// (vocabulary, width)
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Stage for Vocabulary {
    /// (tokens, width) -> (tokens, vocabulary)
    fn forward(&self, xs: &Tensor, _: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        layers::linear(&self.transform.forward(xs)?, &self.weight, self.bias.as_ref())
    }
}
