//! Attention that knows how far tokens stand from one another: a number for each head and distance
//! (T5, Raffel et al. 2020; so MPNet has it). Far distances share buckets, which are computed as
//! transformers does, operation by operation in fp32. All layers share one table.

use crate::error::ModelError;
use crate::layers::{Attention, Dropout, Embedding, Relative, RunScores};
use crate::load::Names;
use crate::model::Pass;
use tch::{Device, Kind, TchError, Tensor};

/// What a config says, checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RelativeConfig {
    /// MPNet's, with [`T5_BUCKETS`].
    Bias,
}

/// transformers computes with no other number of buckets for MPNet.
pub(crate) const T5_BUCKETS: i64 = 32;
const T5_FARTHEST: f64 = 128.0;

/// What the layers share: (buckets, heads).
pub(crate) struct Table(Embedding);

impl Table {
    pub(crate) fn new(
        p: &Names,
        _: RelativeConfig,
        [heads, _]: [i64; 2],
        _: f64,
    ) -> Result<Table, ModelError> {
        Embedding::new(p / "relative_attention_bias", T5_BUCKETS, heads, None).map(Table)
    }

    /// As any layer sees it.
    pub(crate) fn of_layer(&self, _: &Attention, _: Dropout) -> Box<dyn Relative> {
        Box::new(Bias(self.0.shallow_clone()))
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
