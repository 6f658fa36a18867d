//! What the architectures truly share: linear maps, norms, dropout, and the transformer block with
//! the norm after each sum (Vaswani et al. 2017, as in BERT, Devlin et al. 2018). Names and sizes
//! are the families'.

use crate::adapter::Slot;
use crate::config_json::LAYERS_MAX;
use crate::error::ModelError;
use crate::layout::Layout;
use crate::load::{Fill, Names};
use crate::model::{LinearSlot, Pass, SITE_BITS};
use crate::stages::Stage;
use crate::storage;
use tch::{Kind, TchError, Tensor};

/// One of all linear maps, which may be rounded in training.
pub(crate) fn linear(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor, TchError> {
    finetuned_libtorch::f_linear(xs, weight, bias).map_err(torch)
}

pub(crate) struct Linear(LinearSlot);

impl Linear {
    pub(crate) fn new(p: Names, inputs: i64, outputs: i64) -> Result<Linear, ModelError> {
        Linear::with_bias(p, inputs, outputs, true)
    }

    /// One that gives the model's outputs.
    pub(crate) fn of_outputs(p: Names, inputs: i64, outputs: i64) -> Result<Linear, ModelError> {
        p.list_output();
        Linear::new(p, inputs, outputs)
    }

    /// With a bias, or without.
    pub(crate) fn with_bias(
        p: Names,
        inputs: i64,
        outputs: i64,
        bias: bool,
    ) -> Result<Linear, ModelError> {
        let weight = p.matrix("weight", [outputs, inputs])?;
        let bias = bias.then(|| p.tensor("bias", &[outputs], Fill::Zero)).transpose()?;
        let slot = LinearSlot { weight, bias, adapter: Slot::default() };
        p.list_linear(&slot);
        Ok(Linear(slot))
    }

    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        let LinearSlot { weight, bias, adapter } = &self.0;
        match adapter.get()? {
            None => linear(xs, weight, bias.as_ref()),
            Some(adapter) => adapter.forward(xs, weight, bias.as_ref()),
        }
    }

    /// The `n` outputs from `start` on.
    pub(crate) fn narrow(&self, start: i64, n: i64) -> Result<Linear, TchError> {
        let narrow = |it: &Tensor| it.f_narrow(0, start, n);
        let bias = self.0.bias.as_ref().map(narrow).transpose()?;
        let adapter = self.0.adapter.narrow(start, n)?;
        Ok(Linear(LinearSlot { weight: narrow(&self.0.weight)?, bias, adapter }))
    }

    /// Overwrites its numbers: (outputs, inputs), (outputs).
    pub(crate) fn set(&self, weight: &Tensor, bias: &Tensor) -> Result<(), TchError> {
        for (own, new) in [(Some(&self.0.weight), weight), (self.0.bias.as_ref(), bias)] {
            let Some(own) = own else {
                return Err(TchError::Shape("a bias for a linear map that has none".into()));
            };
            if own.size() != new.size() {
                return Err(TchError::Shape(format!(
                    "{:?} in place of {:?}",
                    new.size(),
                    own.size()
                )));
            }
            tch::no_grad(|| own.shallow_clone().f_copy_(new))?;
        }
        Ok(())
    }
}

impl Linear {
    /// Gives `factor` times what it is given, and `shift` more, for which it takes a bias.
    pub(crate) fn set_identity(&self, factor: f64, shift: f64) -> Result<(), TchError> {
        let own = &self.0.weight;
        let (outputs, inputs) = own.size2()?;
        let kind = (own.kind(), own.device());
        let weight = Tensor::f_zeros([outputs, inputs], kind)?;
        let _ = weight.f_diagonal(0, 0, 1)?.f_fill_(factor)?;
        if self.0.bias.is_none() && shift == 0.0 {
            return tch::no_grad(|| own.shallow_clone().f_copy_(&weight));
        }
        self.set(&weight, &Tensor::f_full([outputs], shift, kind)?)
    }

    /// The same tensors and adapter.
    pub(crate) fn shallow_clone(&self) -> Linear {
        Linear(self.0.shallow_clone())
    }
}

pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Option<Tensor>,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn new(p: Names, width: i64, eps: f64) -> Result<LayerNorm, ModelError> {
        LayerNorm::with_bias(p, width, eps, true)
    }

    /// With a bias, or without.
    pub(crate) fn with_bias(
        p: Names,
        width: i64,
        eps: f64,
        bias: bool,
    ) -> Result<LayerNorm, ModelError> {
        let weight = p.norm_tensor("weight", &[width], Fill::One)?;
        let bias = bias.then(|| p.norm_tensor("bias", &[width], Fill::Zero)).transpose()?;
        Ok(LayerNorm { weight, bias, eps })
    }

    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        let (weight, bias) = (Some(&self.weight), self.bias.as_ref());
        xs.f_layer_norm(self.weight.size(), weight, bias, self.eps, true)
    }

    /// Makes it multiply by 1, and add nothing.
    pub(crate) fn set_plain(&self) -> Result<(), TchError> {
        for (part, value) in [(Some(&self.weight), 1.0), (self.bias.as_ref(), 0.0)] {
            let Some(part) = part else { continue };
            let _ = tch::no_grad(|| part.shallow_clone().f_fill_(value))?;
        }
        Ok(())
    }

    /// The same tensors.
    pub(crate) fn shallow_clone(&self) -> LayerNorm {
        let bias = self.bias.as_ref().map(Tensor::shallow_clone);
        LayerNorm { weight: self.weight.shallow_clone(), bias, eps: self.eps }
    }
}

/// A table of vectors; the row of the padding token gets no gradient, as in torch.nn.Embedding.
pub(crate) struct Embedding {
    weight: Tensor,
    padding_idx: i64,
    /// What its vectors are computed with.
    dtype: Kind,
}

impl Embedding {
    pub(crate) fn new(
        p: Names,
        rows: i64,
        width: i64,
        padding: Option<i64>,
    ) -> Result<Embedding, ModelError> {
        /// torch's number for "no padding row".
        const NO_PADDING: i64 = -1;
        Ok(Embedding {
            weight: p.matrix("weight", [rows, width])?,
            dtype: p.dtype(),
            padding_idx: padding.unwrap_or(NO_PADDING),
        })
    }

    pub(crate) fn forward(&self, ids: &Tensor) -> Result<Tensor, TchError> {
        let found = Tensor::f_embedding(&self.weight, ids, self.padding_idx, false, false)?;
        storage::wide(&found, self.dtype)
    }

    /// The `n` rows from `start` on: (n, width)
    pub(crate) fn rows(&self, start: i64, n: i64) -> Result<Tensor, TchError> {
        storage::wide(&self.weight.f_narrow(0, start, n)?, self.dtype)
    }

    /// The same table.
    pub(crate) fn shallow_clone(&self) -> Embedding {
        Embedding { weight: self.weight.shallow_clone(), ..*self }
    }

    /// Of a table of token types: (tokens, width), or (1, width) where all are of one type.
    pub(crate) fn of_token_types(&self, layout: &Layout) -> Result<Tensor, TchError> {
        layout.token_types().map_or_else(|| self.rows(0, 1), |it| self.forward(it))
    }
}

/// A place in a model where dropout acts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropout {
    p: f64,
    site: u64,
}

/// Places of dropout in one layer.
const LAYER_SITES: u64 = 3;
/// The head's places come after those of the deepest model.
const HEAD_SITE: u64 = 1 + LAYER_SITES * LAYERS_MAX as u64;
/// Then those of what layers make of distances.
const DISTANCES_SITE: u64 = HEAD_SITE + 16;
const _: () = assert!(DISTANCES_SITE + LAYERS_MAX as u64 + 1 < 1 << SITE_BITS);

impl Dropout {
    pub(crate) fn of_embeddings(p: f64) -> Dropout {
        Dropout { p, site: 0 }
    }

    /// The `nth` of a layer, below [`LAYER_SITES`].
    pub(crate) fn of_layer(p: f64, depth: usize, nth: u64) -> Dropout {
        Dropout { p, site: 1 + LAYER_SITES * depth as u64 + nth }
    }

    /// Of the table of distances, as a layer sees it.
    pub(crate) fn of_distances(p: f64, depth: usize) -> Dropout {
        Dropout { p, site: DISTANCES_SITE + depth as u64 }
    }

    pub(crate) fn of_head(p: f64, nth: u64) -> Dropout {
        Dropout { p, site: HEAD_SITE + nth }
    }

    /// Whether it does anything in a pass that trains.
    pub(crate) fn acts(&self) -> bool {
        self.p != 0.0
    }

    pub(crate) fn forward(&self, xs: Tensor, pass: &Pass) -> Result<Tensor, TchError> {
        if !pass.train || !self.acts() {
            return Ok(xs);
        }
        finetuned_libtorch::f_dropout(&xs, self.p, pass.seed, pass.stream(self.site)).map_err(torch)
    }

    /// `dropout(xs) + residual` in one pass over memory.
    pub(crate) fn add(
        &self,
        xs: &Tensor,
        residual: &Tensor,
        pass: &Pass,
    ) -> Result<Tensor, TchError> {
        if !pass.train || !self.acts() {
            return xs.f_add(residual);
        }
        finetuned_libtorch::f_dropout_add(xs, residual, self.p, pass.seed, pass.stream(self.site))
            .map_err(torch)
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

/// One linear map, behind dropout: a head.
pub(crate) struct Classifier {
    dropout: Dropout,
    linear: Linear,
}

impl Classifier {
    pub(crate) fn new(
        p: Names,
        width: i64,
        classes: i64,
        dropout: f64,
    ) -> Result<Classifier, ModelError> {
        let dropout = Dropout::of_head(dropout, 0);
        Ok(Classifier { dropout, linear: Linear::of_outputs(p, width, classes)? })
    }
}

impl Stage for Classifier {
    fn forward(&self, xs: &Tensor, _: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        self.linear.forward(&self.dropout.forward(xs.shallow_clone(), pass)?)
    }

    fn set_linear(&self, weight: &Tensor, bias: &Tensor) -> Result<bool, TchError> {
        self.linear.set(weight, bias).map(|()| true)
    }
}

/// Query, key and value are three products: one over their joined weights took 4 to 6 % longer with
/// its gradients (libtorch 2.13, CPU), since what it gives and gets back must be taken apart and
/// put together.
pub(crate) struct Attention {
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    pub output: Linear,
    pub heads: i64,
    /// Of the weights.
    pub dropout: Dropout,
    /// What is seen of how far tokens stand from one another.
    pub relative: Option<Box<dyn Relative>>,
}

/// What attention's scores have beside products of queries and keys.
pub(crate) trait Relative: Send {
    /// How many scores are added up, those products among them, as far as they are scaled for it.
    fn kinds(&self) -> f64;

    /// For one pass of a layer that is given `xs`, (tokens, width), of texts that have `longest`
    /// tokens at most.
    fn scores<'a>(
        &'a self,
        longest: i64,
        xs: &Tensor,
        pass: &Pass,
    ) -> Result<Box<RunScores<'a>>, TchError>;
}

/// Queries, (texts, heads, any, head), of the first or of all tokens, and keys of all, (texts,
/// heads, tokens, head), to what is added to their scores, (texts or 1, heads, any, tokens).
pub(crate) type RunScores<'a> = dyn Fn(&Tensor, &Tensor) -> Result<Tensor, TchError> + 'a;

/// Scaled dot-product attention of queries, keys and values, (texts, heads, any, head); `added`: to
/// the scaled products.
pub(crate) fn attend(
    [query, key, value]: &[Tensor; 3],
    added: Option<Tensor>,
    scale: f64,
    dropout: &Dropout,
    pass: &Pass,
) -> Result<Tensor, TchError> {
    if !pass.train || !dropout.acts() {
        return Tensor::f_scaled_dot_product_attention::<Tensor>(
            query, key, value, added, 0.0, false, scale, false,
        );
    }
    // The formula written out: libtorch's kernels would draw the noise from a generator with a
    // state.
    let scores = query.f_mul_scalar(scale)?.f_matmul(&key.f_transpose(2, 3)?)?;
    let scores = added.map_or(Ok(scores.shallow_clone()), |it| scores.f_add(&it))?;
    dropout.forward(scores.f_softmax(-1, None::<Kind>)?, pass)?.f_matmul(value)
}

impl Attention {
    /// The tokens `to` (each text's first ones, or all) look at all of their text, `from` (tokens,
    /// width); as many come back as `to` has.
    fn forward(
        &self,
        to: &Tensor,
        from: &Tensor,
        layout: &Layout,
        pass: &Pass,
    ) -> Result<Tensor, TchError> {
        let (tokens, width) = to.size2()?;
        let first_only = tokens != from.size2()?.0;
        let parts = |xs: Tensor, sizes: Vec<i64>| xs.f_split_with_sizes(sizes, 0);
        let sizes = |first_only: bool| {
            layout
                .runs
                .iter()
                .map(|it| if first_only { it.texts } else { it.texts * it.length })
                .collect()
        };
        let queries = parts(self.query.forward(to)?, sizes(first_only))?;
        let keys = parts(self.key.forward(from)?, sizes(false))?;
        let values = parts(self.value.forward(from)?, sizes(false))?;
        let relative = self.relative.as_ref();
        let scores = relative.map(|it| it.scores(layout.longest(), from, pass)).transpose()?;
        let kinds = relative.map_or(1.0, |it| it.kinds());
        let scale = 1.0 / ((width / self.heads) as f64 * kinds).sqrt();
        let mut mixed = Vec::with_capacity(layout.runs.len());
        for (place, run) in layout.runs.iter().enumerate() {
            // (texts * any, width) -> (texts, heads, any, head)
            let split = |xs: &Tensor| {
                xs.f_view([run.texts, -1, self.heads, width / self.heads])?.f_transpose(1, 2)
            };
            let run = [split(&queries[place])?, split(&keys[place])?, split(&values[place])?];
            let added = scores.as_ref().map(|it| it(&run[0], &run[1])).transpose()?;
            let seen = attend(&run, added, scale, &self.dropout, &pass.of_run(place))?;
            mixed.push(seen.f_transpose(1, 2)?.f_reshape([-1, width])?);
        }
        self.output.forward(&Tensor::f_cat(&mixed, 0)?)
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
    /// `to`: the tokens whose hidden states are wanted, all of `from` (tokens, width) or the first
    /// of each text.
    pub(crate) fn forward(
        &self,
        to: &Tensor,
        from: &Tensor,
        layout: &Layout,
        pass: &Pass,
    ) -> Result<Tensor, TchError> {
        let mixed = self.attention.forward(to, from, layout, pass)?;
        let xs = self.attention_norm.forward(&self.attention_dropout.add(&mixed, to, pass)?)?;
        let ys = self.down.forward(&self.activation.forward(&self.up.forward(&xs)?)?)?;
        self.down_norm.forward(&self.down_dropout.add(&ys, &xs, pass)?)
    }
}

/// How often the mean of a text's tokens is counted beside the hidden state of its first token,
/// which a block always adds: a power of two, which no product rounds, and small enough for fp16.
const MEAN_SHARE: f64 = 128.0;

/// What a block gives for a text's first token that attends to all tokens alike, and whose network
/// gives nothing: see [`Block::set_mean`].
pub(crate) fn normed_mean(xs: &Tensor, layout: &Layout, eps: f64) -> Result<Tensor, TchError> {
    let sum = layout.means(xs)?.f_mul_scalar(MEAN_SHARE)?.f_add(&layout.first_tokens(xs)?)?;
    let norm = |xs: &Tensor| xs.f_layer_norm::<Tensor>([xs.size2()?.1], None, None, eps, true);
    norm(&norm(&sum)?)
}

impl Block {
    /// Makes it give, for each text's first token, [`normed_mean`] of what it is given.
    pub(crate) fn set_mean(&self) -> Result<(), TchError> {
        let Attention { query, key, value, output, .. } = &self.attention;
        for nothing in [query, key, &self.up, &self.down] {
            nothing.set_identity(0.0, 0.0)?;
        }
        value.set_identity(MEAN_SHARE, 0.0)?;
        output.set_identity(1.0, 0.0)?;
        self.attention_norm.set_plain()?;
        self.down_norm.set_plain()
    }
}
