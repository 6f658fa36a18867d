//! Attention that knows how far tokens stand from one another: a number for each head and distance
//! (T5, Raffel et al. 2020; so MPNet has it), or products of what tokens are with embeddings of
//! distances (DeBERTa, He et al. 2021). Far distances share buckets, which are computed as
//! transformers does, operation by operation in fp32. All layers share one table.

use crate::error::ModelError;
use crate::layers::{Attention, Dropout, Embedding, LayerNorm, Linear, Relative, RunScores};
use crate::load::Names;
use crate::model::Pass;
use tch::{Device, Kind, TchError, Tensor};

/// What a config says, checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RelativeConfig {
    /// MPNet's, with [`T5_BUCKETS`].
    Bias,
    Disentangled {
        /// Distances that the table has, to either side.
        span: i64,
        /// Where distances have buckets, the one that only the last bucket reaches.
        farthest: Option<i64>,
        /// What tokens are, with where others stand.
        content_to_position: bool,
        /// Where tokens stand, with what others are.
        position_to_content: bool,
        /// The table goes through a norm.
        normed: bool,
    },
}

/// transformers computes with no other number of buckets for MPNet.
pub(crate) const T5_BUCKETS: i64 = 32;
const T5_FARTHEST: f64 = 128.0;

/// What the layers share.
pub(crate) struct Table {
    config: RelativeConfig,
    rows: Embedding,
    norm: Option<LayerNorm>,
}

impl Table {
    pub(crate) fn new(
        p: &Names,
        config: RelativeConfig,
        [heads, width]: [i64; 2],
        eps: f64,
    ) -> Result<Table, ModelError> {
        let table = |name, rows, width| Embedding::new(p / name, rows, width, None);
        let (rows, normed) = match config {
            RelativeConfig::Bias => (table("relative_attention_bias", T5_BUCKETS, heads)?, false),
            RelativeConfig::Disentangled { span, normed, .. } => {
                (table("rel_embeddings", 2 * span, width)?, normed)
            }
        };
        let norm = normed.then(|| LayerNorm::new(p / "LayerNorm", width, eps)).transpose()?;
        Ok(Table { config, rows, norm })
    }

    /// As the layer of this attention sees it.
    pub(crate) fn of_layer(&self, attention: &Attention, dropout: Dropout) -> Box<dyn Relative> {
        let rows = self.rows.shallow_clone();
        let RelativeConfig::Disentangled {
            span,
            farthest,
            content_to_position,
            position_to_content,
            ..
        } = self.config
        else {
            return Box::new(Bias(rows));
        };
        let map = |wanted: bool, map: &Linear| wanted.then(|| map.shallow_clone());
        Box::new(Disentangled {
            rows,
            norm: self.norm.as_ref().map(LayerNorm::shallow_clone),
            dropout,
            key: map(content_to_position, &attention.key),
            query: map(position_to_content, &attention.query),
            heads: attention.heads,
            span,
            farthest,
        })
    }
}

/// Every distance of texts of at most so many tokens: from that of the first token to the last one
/// up to that of the last to the first.
fn distances(longest: i64, device: Device) -> Result<Tensor, TchError> {
    Tensor::f_arange_start(1 - longest, longest, (Kind::Int64, device))
}

/// (n, tokens, …): what stands in `all`, a row for each of [`distances`], for the first n tokens to
/// each of their text.
fn between(all: &Tensor, n: i64, tokens: i64) -> Result<Tensor, TchError> {
    let range = |end| Tensor::f_arange(end, (Kind::Int64, all.device()));
    let places = range(n)?.f_unsqueeze(1)?.f_sub(&range(tokens)?)?;
    let places = places.f_add_scalar((all.size()[0] - 1) / 2)?;
    all.f_index_select(0, &places.f_view([-1])?)?.f_unflatten(0, [n, tokens])
}

/// How many queries of a text, (texts, heads, any, head), look at how many keys.
fn sizes(query: &Tensor, key: &Tensor) -> (i64, i64) {
    (query.size()[2], key.size()[2])
}

/// (buckets, heads)
struct Bias(Embedding);

impl Relative for Bias {
    fn kinds(&self) -> f64 {
        1.0
    }

    fn scores<'a>(
        &'a self,
        longest: i64,
        xs: &Tensor,
        _: &Pass,
    ) -> Result<Box<RunScores<'a>>, TchError> {
        let all = self.0.forward(&t5_buckets(&distances(longest, xs.device())?)?)?;
        Ok(Box::new(move |query: &Tensor, key: &Tensor| {
            let (n, tokens) = sizes(query, key);
            between(&all, n, tokens)?.f_permute([2, 0, 1])?.f_unsqueeze(0)
        }))
    }
}

/// Half of the buckets are for tokens that follow; of each half, half are for one distance each.
fn t5_buckets(distances: &Tensor) -> Result<Tensor, TchError> {
    const HALF: i64 = T5_BUCKETS / 2;
    const EXACT: i64 = HALF / 2;
    let follows = distances.f_lt(0)?.f_to_kind(Kind::Int64)?.f_mul_scalar(HALF)?;
    let far = distances.f_abs()?;
    let logarithm = far.f_to_kind(Kind::Float)?.f_div_scalar(EXACT)?.f_log()?;
    let steps = logarithm
        .f_div_scalar((T5_FARTHEST / EXACT as f64).ln())?
        .f_mul_scalar(HALF - EXACT)?
        .f_to_kind(Kind::Int64)?;
    let shared = steps.f_add_scalar(EXACT)?.f_clamp_max(HALF - 1)?;
    far.f_where_self(&far.f_lt(EXACT)?, &shared)?.f_add(&follows)
}

struct Disentangled {
    /// (2 * span, width)
    rows: Embedding,
    norm: Option<LayerNorm>,
    /// Of the table.
    dropout: Dropout,
    /// The layer's own maps, where they act on the table.
    key: Option<Linear>,
    query: Option<Linear>,
    heads: i64,
    span: i64,
    farthest: Option<i64>,
}

impl Relative for Disentangled {
    fn kinds(&self) -> f64 {
        1.0 + [&self.key, &self.query].into_iter().flatten().count() as f64
    }

    fn scores<'a>(
        &'a self,
        longest: i64,
        xs: &Tensor,
        pass: &Pass,
    ) -> Result<Box<RunScores<'a>>, TchError> {
        let buckets = self.buckets(&distances(longest, xs.device())?)?;
        // Only rows that any text needs.
        let first = buckets.f_min()?.f_int64_value(&[])?;
        let last = buckets.f_max()?.f_int64_value(&[])?;
        let buckets = buckets.f_sub_scalar(first)?;
        let mut rows = self.rows.rows(first, last - first + 1)?;
        if let Some(norm) = &self.norm {
            rows = norm.forward(&rows)?;
        }
        let rows = self.dropout.forward(rows, pass)?;
        // (heads, head, rows)
        let mapped = |map: &Option<Linear>| {
            let of = |it: &Linear| {
                it.forward(&rows)?.f_unflatten(1, [self.heads, -1])?.f_permute([1, 2, 0])
            };
            map.as_ref().map(of).transpose()
        };
        let (keys, queries) = (mapped(&self.key)?, mapped(&self.query)?);
        let scale = 1.0 / (xs.size2()?.1 as f64 / self.heads as f64 * self.kinds()).sqrt();
        Ok(Box::new(move |query: &Tensor, key: &Tensor| {
            let (n, tokens) = sizes(query, key);
            let places = between(&buckets, n, tokens)?;
            let gather = |products: Tensor, places: &Tensor| {
                let size = [&products.size()[..2], &places.size()[..]].concat();
                products.f_gather(3, &places.f_expand(size, false)?, false)
            };
            let mut scores = Tensor::f_zeros([1, 1, 1, 1], (query.kind(), query.device()))?;
            if let Some(keys) = &keys {
                scores = scores.f_add(&gather(query.f_matmul(keys)?, &places)?)?;
            }
            if let Some(queries) = &queries {
                let back = gather(key.f_matmul(queries)?, &places.f_transpose(0, 1)?)?;
                scores = scores.f_add(&back.f_transpose(2, 3)?)?;
            }
            scores.f_mul_scalar(scale)
        }))
    }
}

impl Disentangled {
    /// The table's row for each distance.
    fn buckets(&self, distances: &Tensor) -> Result<Tensor, TchError> {
        let buckets = match self.farthest {
            Some(farthest) => log_buckets(distances, self.span, farthest)?,
            None => distances.shallow_clone(),
        };
        buckets.f_add_scalar(self.span)?.f_clamp(0, 2 * self.span - 1)
    }
}

/// Half of the buckets are for one distance each, to either side.
fn log_buckets(distances: &Tensor, buckets: i64, farthest: i64) -> Result<Tensor, TchError> {
    let half = buckets / 2;
    let near = distances.f_abs()?.f_le(half)?;
    let far = distances.f_abs()?.f_clamp_min(half - 1)?.f_to_kind(Kind::Float)?;
    let logarithm = far.f_div_scalar(half)?.f_log()?;
    let whole = Tensor::from(((farthest - 1) as f64 / half as f64) as f32).f_log()?;
    let steps = logarithm.f_div(&whole.f_to(distances.device())?)?.f_mul_scalar(half - 1)?;
    let steps = steps.f_ceil()?.f_add_scalar(half)?.f_to_kind(Kind::Int64)?;
    distances.f_where_self(&near, &steps.f_mul(&distances.f_sign()?)?)
}
