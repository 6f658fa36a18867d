//! GPT-2 (Radford et al. 2019), DistilGPT-2 too; names as in `GPT2LMHeadModel`. Its linear maps
//! are stored (inputs, outputs), those of queries, keys and values as one.

use crate::architecture::{Architecture, Family, TextFacts};
use crate::causal::Projected;
use crate::config_json::{ClassNames, ConfigJson};
use crate::decoder::{self, HeadFacts, Limits, Maps, TOKEN_DROPOUT};
use crate::error::ModelError;
use crate::gguf::{Form, Outline};
use crate::layers::{self, Activation, Dropout, Embedding, LayerNorm};
use crate::layout::Layout;
use crate::load::{Fill, Loader, Names, Part};
use crate::model::{BuildOptions, HeadKind, Pass};
use crate::stages::{Stage, Stages};
use serde::Deserialize;
use tch::{TchError, Tensor};

pub(crate) const FAMILY: Family = Family {
    timm: &[],
    transformers: &[(
        "gpt2",
        ClassNames {
            body: "GPT2Model",
            classes: "GPT2ForSequenceClassification",
            per_token: Some("GPT2ForTokenClassification"),
            vocabulary: Some("GPT2LMHeadModel"),
        },
    )],
    read,
};

/// `GPT2Config` with its defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
struct Config {
    vocab_size: i64,
    n_positions: i64,
    n_embd: i64,
    n_layer: i64,
    n_head: i64,
    n_inner: Option<i64>,
    activation_function: String,
    resid_pdrop: f64,
    embd_pdrop: f64,
    layer_norm_epsilon: f64,
    initializer_range: f64,
    scale_attn_weights: bool,
    scale_attn_by_inverse_layer_idx: bool,
    add_cross_attention: bool,
    pad_token_id: Option<i64>,
    tie_word_embeddings: bool,
    classifier_dropout: Option<f64>,
    hidden_dropout: Option<f64>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            vocab_size: 50257,
            n_positions: 1024,
            n_embd: 768,
            n_layer: 12,
            n_head: 12,
            n_inner: None,
            activation_function: "gelu_new".into(),
            resid_pdrop: 0.1,
            embd_pdrop: 0.1,
            layer_norm_epsilon: 1e-5,
            initializer_range: 0.02,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
            add_cross_attention: false,
            pad_token_id: None,
            tie_word_embeddings: true,
            classifier_dropout: None,
            hidden_dropout: None,
        }
    }
}

fn read(json: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let c: Config = json.whole()?;
    let inner = c.n_inner.unwrap_or(4 * c.n_embd);
    json.check_sizes("vocab_size", [&c.vocab_size])?;
    json.check_sizes("n_positions", [&c.n_positions])?;
    json.check_sizes("n_embd", [&c.n_embd])?;
    json.check_sizes("n_inner", [&inner])?;
    json.check_sizes("n_head", [&c.n_head])?;
    json.check_depths([usize::try_from(c.n_layer).unwrap_or(0)])?;
    if c.n_embd % c.n_head != 0 {
        return Err(json.wrong("n_head", c.n_head, format!("a divisor of n_embd {}", c.n_embd)));
    }
    let Some(activation) = Activation::named(&c.activation_function) else {
        let known = format!("one of {}", Activation::names());
        return Err(json.wrong("activation_function", &c.activation_function, known));
    };
    for (key, found, built) in [
        ("scale_attn_weights", c.scale_attn_weights, true),
        ("scale_attn_by_inverse_layer_idx", c.scale_attn_by_inverse_layer_idx, false),
        ("add_cross_attention", c.add_cross_attention, false),
    ] {
        if found != built {
            return Err(json.wrong(key, found, format!("{built}, which is what is built")));
        }
    }
    for (key, size) in
        [("layer_norm_epsilon", c.layer_norm_epsilon), ("initializer_range", c.initializer_range)]
    {
        if !(size.is_finite() && 0.0 < size) {
            return Err(json.wrong(key, size, "above 0"));
        }
    }
    let optional = [c.classifier_dropout, c.hidden_dropout].into_iter().flatten();
    for p in [c.resid_pdrop, c.embd_pdrop].into_iter().chain(optional) {
        if !(0.0..1.0).contains(&p) {
            return Err(json.wrong("a dropout", p, "at least 0 and below 1"));
        }
    }
    decoder::check_padding(json, c.pad_token_id, c.vocab_size)?;
    Ok(Box::new(Gpt2 { config: c, inner, activation }))
}

struct Gpt2 {
    config: Config,
    inner: i64,
    activation: Activation,
}

const PREFIX: &str = "transformer";
const TABLE: &str = "wte";

impl Architecture for Gpt2 {
    fn width(&self) -> i64 {
        self.config.n_embd
    }

    fn layers(&self) -> usize {
        self.config.n_layer as usize
    }

    fn body(&self) -> (&'static str, &'static [&'static str]) {
        (PREFIX, &[TABLE, "wpe", "h", "ln_f"])
    }

    fn text(&self) -> Option<TextFacts> {
        let c = &self.config;
        Some(decoder::facts(c.n_positions, c.pad_token_id, c.resid_pdrop, "n_layer"))
    }

    fn has_head(&self, head: HeadKind) -> bool {
        decoder::has_head(head)
    }

    fn head_deviation(&self) -> f64 {
        self.config.initializer_range
    }

    fn gguf(&self) -> Result<Outline, String> {
        let c = &self.config;
        if self.activation != Activation::GeluTanh {
            return Err(
                "its activation_function is another than gelu_new, which is what llama.cpp has"
                    .into(),
            );
        }
        let mut outline = Outline::new("gpt2");
        outline.size("context_length", c.n_positions);
        outline.size("embedding_length", c.n_embd);
        outline.size("block_count", c.n_layer);
        outline.size("feed_forward_length", self.inner);
        outline.size("attention.head_count", c.n_head);
        outline.number("attention.layer_norm_epsilon", c.layer_norm_epsilon);
        outline.size("vocab_size", c.vocab_size);
        let mut both = |name: String, stored: String, turned: bool| {
            let form = if turned { Form::Turned } else { Form::AsStored };
            outline.tensor(format!("{name}.weight"), format!("{stored}.weight"), form);
            outline.tensor(format!("{name}.bias"), format!("{stored}.bias"), Form::AsStored);
        };
        for depth in 0..c.n_layer {
            for (name, stored, turned) in [
                ("attn_norm", "ln_1", false),
                ("attn_qkv", "attn.c_attn", true),
                ("attn_output", "attn.c_proj", true),
                ("ffn_norm", "ln_2", false),
                ("ffn_up", "mlp.c_fc", true),
                ("ffn_down", "mlp.c_proj", true),
            ] {
                let stored = format!("{PREFIX}.h.{depth}.{stored}");
                both(format!("blk.{depth}.{name}"), stored, turned);
            }
        }
        both("output_norm".into(), format!("{PREFIX}.ln_f"), false);
        let tables = [
            ("token_embd", format!("{PREFIX}.{TABLE}"), true),
            ("position_embd", format!("{PREFIX}.wpe"), true),
            ("output", "lm_head".into(), !c.tie_word_embeddings),
        ];
        for (name, stored, _) in tables.into_iter().filter(|it| it.2) {
            outline.tensor(format!("{name}.weight"), format!("{stored}.weight"), Form::AsStored);
        }
        Ok(outline)
    }

    fn build(&self, loader: &Loader, options: &BuildOptions) -> Result<Stages, ModelError> {
        let c = &self.config;
        let body = |part| loader.part(part) / PREFIX;
        let p = body(Part::Embeddings);
        let stem = Embeddings {
            words: Embedding::new(&p / TABLE, c.vocab_size, c.n_embd, None)?,
            positions: Embedding::new(&p / "wpe", c.n_positions, c.n_embd, None)?,
            dropout: Dropout::of_embeddings(options.dropout.unwrap_or(c.embd_pdrop)),
            limits: Limits::new(c.n_positions, c.pad_token_id, options.head),
        };
        let hidden = options.dropout.unwrap_or(c.resid_pdrop);
        let layers = decoder::blocks(self.layers(), (options, hidden), |depth| {
            let p = body(Part::Layer(depth)) / "h" / depth;
            Ok((Box::new(self.maps(&p)?), None))
        })?;
        let p = body(Part::Layer(self.layers() - 1)) / "ln_f";
        let norm = Norm(LayerNorm::new(p, c.n_embd, c.layer_norm_epsilon)?);
        let token_dropout = c.classifier_dropout.or(c.hidden_dropout).unwrap_or(TOKEN_DROPOUT);
        let head = decoder::head(
            loader.part(Part::Head),
            options.head,
            &HeadFacts {
                width: c.n_embd,
                vocabulary: c.vocab_size,
                shared: c.tie_word_embeddings.then(|| format!("{PREFIX}.{TABLE}.weight")),
                per_token: "classifier",
                dropout: options.dropout.unwrap_or(0.0),
                token_dropout: options.dropout.unwrap_or(token_dropout),
            },
        )?;
        Ok(Stages::new(Box::new(stem), layers, vec![Box::new(norm)], head))
    }
}

impl Gpt2 {
    fn maps(&self, p: &Names) -> Result<Gpt2Maps, ModelError> {
        let c = &self.config;
        let (width, attention, network) = (c.n_embd, p / "attn", p / "mlp");
        let norm = |name| LayerNorm::new(p / name, width, c.layer_norm_epsilon);
        Ok(Gpt2Maps {
            norms: [norm("ln_1")?, norm("ln_2")?],
            joined: Turned::new(&attention / "c_attn", width, 3 * width)?,
            output: Turned::new(&attention / "c_proj", width, width)?,
            up: Turned::new(&network / "c_fc", width, self.inner)?,
            activation: self.activation,
            down: Turned::new(&network / "c_proj", self.inner, width)?,
            heads: c.n_head,
        })
    }
}

struct Embeddings {
    words: Embedding,
    positions: Embedding,
    dropout: Dropout,
    limits: Limits,
}

impl Stage for Embeddings {
    fn forward(&self, ids: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        self.limits.check(ids, layout)?;
        let places = self.positions.forward(layout.places())?;
        self.dropout.forward(self.words.forward(ids)?.f_add(&places)?, pass)
    }
}

struct Norm(LayerNorm);

impl Stage for Norm {
    fn forward(&self, xs: &Tensor, _: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        self.0.forward(xs)
    }
}

/// A linear map whose weight is stored (inputs, outputs): transformers' `Conv1D`.
struct Turned {
    weight: Tensor,
    bias: Tensor,
}

impl Turned {
    fn new(p: Names, inputs: i64, outputs: i64) -> Result<Turned, ModelError> {
        Ok(Turned {
            weight: p.tensor("weight", &[inputs, outputs], Fill::Random)?,
            bias: p.tensor("bias", &[outputs], Fill::Zero)?,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        layers::linear(xs, &self.weight.f_transpose(0, 1)?, Some(&self.bias))
    }
}

struct Gpt2Maps {
    norms: [LayerNorm; 2],
    /// Queries, keys and values.
    joined: Turned,
    output: Turned,
    up: Turned,
    activation: Activation,
    down: Turned,
    heads: i64,
}

impl Maps for Gpt2Maps {
    fn project(
        &self,
        xs: &Tensor,
        layout: &Layout,
        last_only: bool,
    ) -> Result<Projected, TchError> {
        let (tokens, width) = xs.size2()?;
        // (tokens, 3 * width) -> (tokens, 3, heads, head)
        let joined =
            self.joined.forward(xs)?.f_view([tokens, 3, self.heads, width / self.heads])?;
        let [queries, keys, values] = [0, 1, 2].map(|it| joined.f_select(1, it));
        let queries = if last_only { layout.last_tokens(&queries?)? } else { queries? };
        Ok([queries, keys?, values?])
    }

    fn output(&self, mixed: &Tensor) -> Result<Tensor, TchError> {
        self.output.forward(mixed)
    }

    fn network(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        self.down.forward(&self.activation.forward(&self.up.forward(xs)?)?)
    }

    fn norm(&self, which: usize, xs: &Tensor) -> Result<Tensor, TchError> {
        self.norms[which].forward(xs)
    }
}
