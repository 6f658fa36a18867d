//! What the architectures truly share: linear maps, norms, dropout, and the transformer block with the norm
//! after each sum (Vaswani et al. 2017, as in BERT, Devlin et al. 2018). Names and sizes are the families'.

use crate::config::LAYERS_MAX;
use crate::error::ModelError;
use crate::load::{Fill, Names};
use crate::zoo::Pass;
use tch::{Kind, TchError, Tensor};

pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    pub(crate) fn new(p: Names, inputs: i64, outputs: i64) -> Result<Linear, ModelError> {
        Ok(Linear { weight: p.tensor("weight", &[outputs, inputs], Fill::Random)?, bias: p.tensor("bias", &[outputs], Fill::Zero)? })
    }

    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        xs.f_linear(&self.weight, Some(&self.bias))
    }
}

pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn new(p: Names, width: i64, eps: f64) -> Result<LayerNorm, ModelError> {
        Ok(LayerNorm { weight: p.norm_tensor("weight", &[width], Fill::One)?, bias: p.norm_tensor("bias", &[width], Fill::Zero)?, eps })
    }

    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        xs.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.eps, true)
    }
}

/// A table of vectors; the row of the padding token gets no gradient, as in torch.nn.Embedding.
pub(crate) struct Embedding {
    weight: Tensor,
    padding_idx: i64,
}

impl Embedding {
    pub(crate) fn new(p: Names, rows: i64, width: i64, padding: Option<i64>) -> Result<Embedding, ModelError> {
        /// torch's number for "no padding row".
        const NO_PADDING: i64 = -1;
        Ok(Embedding { weight: p.tensor("weight", &[rows, width], Fill::Random)?, padding_idx: padding.unwrap_or(NO_PADDING) })
    }

    pub(crate) fn forward(&self, ids: &Tensor) -> Result<Tensor, TchError> {
        Tensor::f_embedding(&self.weight, ids, self.padding_idx, false, false)
    }

    /// The first `n` rows: (n, width).
    pub(crate) fn first(&self, n: i64) -> Result<Tensor, TchError> {
        self.weight.f_narrow(0, 0, n)
    }
}

/// A place in a model where dropout acts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropout {
    p: f64,
    site: u64,
}

/// Bits of a noise's number that tell sites apart.
const SITE_BITS: u32 = 12;
/// Places of dropout in one layer.
const LAYER_SITES: u64 = 3;
/// The head's places come after those of the deepest model.
const HEAD_SITE: u64 = 1 + LAYER_SITES * LAYERS_MAX as u64;
const _: () = assert!(HEAD_SITE + 16 < 1 << SITE_BITS);

impl Dropout {
    pub(crate) fn of_embeddings(p: f64) -> Dropout {
        Dropout { p, site: 0 }
    }

    /// The `nth` of a layer, below [`LAYER_SITES`].
    pub(crate) fn of_layer(p: f64, depth: usize, nth: u64) -> Dropout {
        Dropout { p, site: 1 + LAYER_SITES * depth as u64 + nth }
    }

    pub(crate) fn of_head(p: f64, nth: u64) -> Dropout {
        Dropout { p, site: HEAD_SITE + nth }
    }

    pub(crate) fn forward(&self, xs: Tensor, pass: &Pass) -> Result<Tensor, TchError> {
        if !pass.train || self.p == 0.0 {
            return Ok(xs);
        }
        finetuned_libtorch::f_dropout(&xs, self.p, pass.seed, self.stream(pass)).map_err(torch)
    }

    /// `dropout(xs) + residual` in one pass over memory.
    pub(crate) fn add(&self, xs: &Tensor, residual: &Tensor, pass: &Pass) -> Result<Tensor, TchError> {
        if !pass.train || self.p == 0.0 {
            return xs.f_add(residual);
        }
        finetuned_libtorch::f_dropout_add(xs, residual, self.p, pass.seed, self.stream(pass)).map_err(torch)
    }

    /// A number of its own for each (step, micro, site), as long as an update has at most 2^16 passes.
    fn stream(&self, pass: &Pass) -> u64 {
        const MICRO_BITS: u32 = 16;
        (pass.step << (MICRO_BITS + SITE_BITS)) ^ (pass.micro << SITE_BITS) ^ self.site
    }
}

fn torch(err: finetuned_libtorch::Error) -> TchError {
    TchError::Torch(err.to_string())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    Gelu,
    /// The approximation by tanh.
    GeluTanh,
    Relu,
    Silu,
}

impl Activation {
    const KNOWN: &[(&str, Activation)] = &[
        ("gelu", Activation::Gelu),
        ("gelu_python", Activation::Gelu),
        ("gelu_new", Activation::GeluTanh),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
        ("relu", Activation::Relu),
        ("silu", Activation::Silu),
        ("swish", Activation::Silu),
    ];

    /// By its name in transformers' configs.
    pub(crate) fn named(name: &str) -> Option<Activation> {
        Activation::KNOWN.iter().find(|it| it.0 == name).map(|it| it.1)
    }

    pub(crate) fn names() -> String {
        Activation::KNOWN.iter().map(|it| it.0).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn forward(self, xs: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Activation::Gelu => xs.f_gelu("none"),
            Activation::GeluTanh => xs.f_gelu("tanh"),
            Activation::Relu => xs.f_relu(),
            Activation::Silu => xs.f_silu(),
        }
    }
}

/// What attention may look at: (batch, 1, 1, seq), 0 or minus infinity, to be added to its scores; `None`
/// where no text is filled up. Made once for all layers, since the kernel wants floats.
pub(crate) fn attention_mask(mask: &Tensor) -> Result<Option<Tensor>, TchError> {
    let hidden = mask.f_eq(0)?;
    if !bool::try_from(hidden.f_any()?)? {
        return Ok(None);
    }
    let (batch, seq) = mask.size2()?;
    let mask = Tensor::f_zeros([batch, seq], (Kind::Float, mask.device()))?.f_masked_fill(&hidden, f64::NEG_INFINITY)?;
    Ok(Some(mask.f_view([batch, 1, 1, seq])?))
}

/// Query, key and value are three products: one over their joined weights took 4 to 6 % longer with its
/// gradients (libtorch 2.13, CPU), since what it gives and gets back must be taken apart and put together.
pub(crate) struct Attention {
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    pub output: Linear,
    pub heads: i64,
    /// Of the weights.
    pub dropout: Dropout,
}

impl Attention {
    /// `to` (batch, queries, width) looks at `from` (batch, seq, width) -> (batch, queries, width)
    fn forward(&self, to: &Tensor, from: &Tensor, mask: Option<&Tensor>, pass: &Pass) -> Result<Tensor, TchError> {
        let (batch, queries, width) = to.size3()?;
        // (batch, any, width) -> (batch, heads, any, head)
        let split = |xs: Tensor| xs.f_view([batch, -1, self.heads, width / self.heads])?.f_transpose(1, 2);
        let (query, key, value) = (split(self.query.forward(to)?)?, split(self.key.forward(from)?)?, split(self.value.forward(from)?)?);
        let mixed = if pass.train && 0.0 < self.dropout.p {
            self.with_dropout(&query, &key, &value, mask, pass)?
        } else {
            Tensor::f_scaled_dot_product_attention(&query, &key, &value, mask, 0.0, false, None, false)?
        };
        // (batch, heads, queries, head) -> (batch, queries, width)
        self.output.forward(&mixed.f_transpose(1, 2)?.f_reshape([batch, queries, width])?)
    }

    /// The formula written out: libtorch's kernels would draw the noise from a generator with a state.
    fn with_dropout(&self, query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>, pass: &Pass) -> Result<Tensor, TchError> {
        let head = query.size()[3];
        let scores = query.f_mul_scalar(1.0 / (head as f64).sqrt())?.f_matmul(&key.f_transpose(2, 3)?)?;
        let scores = mask.map_or_else(|| Ok(scores.shallow_clone()), |it| scores.f_add(it))?;
        self.dropout.forward(scores.f_softmax(-1, None::<Kind>)?, pass)?.f_matmul(value)
    }
}

/// Attention, then a network of two linear maps, each added to what it was given and normed.
pub(crate) struct Block {
    pub attention: Attention,
    pub attention_dropout: Dropout,
    pub attention_norm: LayerNorm,
    pub up: Linear,
    pub activation: Activation,
    pub down: Linear,
    pub down_dropout: Dropout,
    pub down_norm: LayerNorm,
}

impl Block {
    /// `to` (batch, queries, width): the hidden states that are wanted, a part of `from` (batch, seq, width).
    pub(crate) fn forward(&self, to: &Tensor, from: &Tensor, mask: Option<&Tensor>, pass: &Pass) -> Result<Tensor, TchError> {
        let mixed = self.attention.forward(to, from, mask, pass)?;
        let xs = self.attention_norm.forward(&self.attention_dropout.add(&mixed, to, pass)?)?;
        let ys = self.down.forward(&self.activation.forward(&self.up.forward(&xs)?)?)?;
        self.down_norm.forward(&self.down_dropout.add(&ys, &xs, pass)?)
    }
}
