//! The transformer block with its norms before attention and network (Vaswani et al. 2017 as
//! rearranged by Dosovitskiy et al. 2020), with layer scale (Touvron et al. 2021) and a gated
//! network (Shazeer 2020) where the config has them.

use crate::error::ModelError;
use crate::layers::{Activation, Dropout, LayerNorm, Linear};
use crate::layout::Layout;
use crate::load::{Fill, Names};
use crate::model::Pass;
use crate::stages::Stage;
use crate::vit::names::{Projections, Scheme};
use crate::vit::shape::Shape;
use tch::{Kind, TchError, Tensor};

pub(crate) struct Block {
    attention_norm: LayerNorm,
    attention: Attention,
    attention_scale: Option<Tensor>,
    network_norm: LayerNorm,
    network: Network,
    network_scale: Option<Tensor>,
}

impl Block {
    pub(crate) fn new(
        p: &Names,
        names: &Scheme,
        c: &Shape,
        dropout: Option<Dropout>,
    ) -> Result<Block, ModelError> {
        // Listed among the norms: like their weights, it is near 1 or 0 for each channel, and not
        // decayed.
        let scale =
            |name| c.layer_scale.then(|| p.norm_tensor(name, &[c.width], Fill::One)).transpose();
        Ok(Block {
            attention_norm: LayerNorm::new(p / names.attention_norm, c.width, c.norm_eps)?,
            attention: Attention::new(p, names, c, dropout)?,
            attention_scale: scale(names.attention_scale)?,
            network_norm: LayerNorm::new(p / names.network_norm, c.width, c.norm_eps)?,
            network: Network::new(p, names, c)?,
            network_scale: scale(names.network_scale)?,
        })
    }

    /// (batch, tokens, width) -> (batch, wanted, width): as [`Stage::forward`], for the first
    /// `wanted` tokens.
    pub(crate) fn first(&self, xs: &Tensor, wanted: i64, pass: &Pass) -> Result<Tensor, TchError> {
        let mixed = self.attention.forward(&self.attention_norm.forward(xs)?, wanted, pass)?;
        let xs = sum(&xs.f_narrow(1, 0, wanted)?, &mixed, self.attention_scale.as_ref())?;
        let ys = self.network.forward(&self.network_norm.forward(&xs)?)?;
        sum(&xs, &ys, self.network_scale.as_ref())
    }
}

impl Stage for Block {
    /// (batch, tokens, width) -> the same
    fn forward(&self, xs: &Tensor, _: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        self.first(xs, xs.size3()?.1, pass)
    }
}

fn sum(xs: &Tensor, ys: &Tensor, scale: Option<&Tensor>) -> Result<Tensor, TchError> {
    scale.map_or_else(|| xs.f_add(ys), |scale| xs.f_addcmul(ys, scale))
}

struct Network {
    up: Linear,
    activation: Activation,
    gated: bool,
    down: Linear,
}

impl Network {
    fn new(p: &Names, names: &Scheme, c: &Shape) -> Result<Network, ModelError> {
        let outputs = if c.gated { 2 * c.inner } else { c.inner };
        Ok(Network {
            up: Linear::new(p / names.up, c.width, outputs)?,
            activation: c.activation,
            gated: c.gated,
            down: Linear::new(p / names.down, c.inner, c.width)?,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        let ys = self.up.forward(xs)?;
        if !self.gated {
            return self.down.forward(&self.activation.forward(&ys)?);
        }
        // (batch, tokens, 2 * inner) -> the gate's half, then what passes it
        let inner = ys.size()[2] / 2;
        let gate = self.activation.forward(&ys.f_narrow(2, 0, inner)?)?;
        self.down.forward(&gate.f_mul(&ys.f_narrow(2, inner, inner)?)?)
    }
}

struct Attention {
    projections: Stored,
    output: Linear,
    heads: i64,
    /// Of the weights, where there is any.
    dropout: Option<Dropout>,
}

/// Query, key and value.
enum Stored {
    Joined(Linear),
    Split([Linear; 3]),
}

impl Attention {
    fn new(
        p: &Names,
        names: &Scheme,
        c: &Shape,
        dropout: Option<Dropout>,
    ) -> Result<Attention, ModelError> {
        let projection = |name, outputs| Linear::with_bias(p / name, c.width, outputs, c.qkv_bias);
        let projections = match names.attention {
            Projections::Joined(name) => Stored::Joined(projection(name, 3 * c.width)?),
            Projections::Split([query, key, value]) => Stored::Split([
                projection(query, c.width)?,
                projection(key, c.width)?,
                projection(value, c.width)?,
            ]),
        };
        Ok(Attention {
            projections,
            output: Linear::new(p / names.output, c.width, c.width)?,
            heads: c.heads,
            dropout,
        })
    }

    /// The first `wanted` tokens of `xs` (batch, tokens, width) look at all of them: (batch,
    /// wanted, width).
    fn forward(&self, xs: &Tensor, wanted: i64, pass: &Pass) -> Result<Tensor, TchError> {
        let (batch, _, width) = xs.size3()?;
        let head = width / self.heads;
        // (batch, any, width) -> (batch, heads, any, head)
        let split = |xs: &Tensor| xs.f_view([batch, -1, self.heads, head])?.f_transpose(1, 2);
        let [query, key, value] = self.project(xs, wanted)?;
        let (query, key, value) = (split(&query)?, split(&key)?, split(&value)?);
        let mixed = match self.dropout.filter(|_| pass.train) {
            // The formula written out: libtorch's kernels would draw the noise from a generator
            // with a state.
            Some(dropout) => {
                let scores = query
                    .f_mul_scalar(1.0 / (head as f64).sqrt())?
                    .f_matmul(&key.f_transpose(2, 3)?)?;
                dropout.forward(scores.f_softmax(-1, None::<Kind>)?, pass)?.f_matmul(&value)?
            }
            None => Tensor::f_scaled_dot_product_attention::<Tensor>(
                &query, &key, &value, None, 0.0, false, None, false,
            )?,
        };
        self.output.forward(&mixed.f_transpose(1, 2)?.f_reshape([batch, wanted, width])?)
    }

    /// Query of the first `wanted` tokens, key and value of all, (batch, any, width) each.
    fn project(&self, xs: &Tensor, wanted: i64) -> Result<[Tensor; 3], TchError> {
        let (_, tokens, width) = xs.size3()?;
        let first = xs.f_narrow(1, 0, wanted)?;
        let parts = match &self.projections {
            Stored::Split([query, key, value]) => {
                vec![query.forward(&first)?, key.forward(xs)?, value.forward(xs)?]
            }
            Stored::Joined(joined) if wanted == tokens => joined.forward(xs)?.f_chunk(3, 2)?,
            Stored::Joined(joined) => {
                let query = joined.narrow(0, width)?.forward(&first)?;
                let pair = joined.narrow(width, 2 * width)?.forward(xs)?;
                [vec![query], pair.f_chunk(2, 2)?].into_iter().flatten().collect()
            }
        };
        parts.try_into().map_err(|it: Vec<Tensor>| {
            TchError::Shape(format!("{} parts of attention in place of 3", it.len()))
        })
    }
}
