//! Attention of tokens to themselves and to what stands before them in their own text, with as many
//! queries to a key as the model has: what all decoders share. How queries, keys and values are
//! made is the families'.

use crate::cache::KeyValues;
use crate::layers::Dropout;
use crate::layout::{Layout, Run};
use crate::model::Pass;
use tch::{Kind, TchError, Tensor};

/// Queries of all tokens, or of the last one of each text, (rows, heads, head); keys and values of
/// all tokens, (tokens, groups, head) each.
pub(crate) type Projected = [Tensor; 3];

pub(crate) struct Causal {
    /// How many tokens a token sees, itself among them; all of its text where there is no number.
    pub window: Option<i64>,
    /// Of the weights.
    pub dropout: Dropout,
}

impl Causal {
    /// (rows, heads * head)
    pub(crate) fn forward(
        &self,
        projected: &Projected,
        layout: &Layout,
        pass: &Pass,
    ) -> Result<Tensor, TchError> {
        each_run(projected, layout, |at, [query, key, value]| {
            self.look(&query, &key, &value, &pass.of_run(at.place))
        })
    }

    /// The same of tokens that follow those in the cache, which is given theirs; in evaluation.
    pub(crate) fn extend(
        &self,
        projected: &Projected,
        layout: &Layout,
        cache: &mut KeyValues,
    ) -> Result<Tensor, TchError> {
        let texts = layout.runs.iter().map(|it| it.texts).sum();
        cache.make_room(texts, layout.longest(), &projected[1])?;
        each_run(projected, layout, |at, [query, key, value]| {
            let [key, value] = cache.append(at.text, at.run.past, [&key, &value])?;
            self.look(&query, &key, &value, &Pass::evaluation())
        })
    }

    /// Queries (texts, heads, n, head) of the last n of the tokens that keys and values, (texts,
    /// groups, tokens, head), are of.
    fn look(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        pass: &Pass,
    ) -> Result<Tensor, TchError> {
        let (n, tokens) = (query.size()[2], key.size()[2]);
        // Those that not even the first query sees.
        let unseen = self.window.map_or(0, |it| (tokens - n + 1 - it).max(0));
        let seen = |xs: &Tensor| xs.f_narrow(2, unseen, tokens - unseen);
        let (key, value, tokens) = (seen(key)?, seen(value)?, tokens - unseen);
        let window = self.window.filter(|it| *it < tokens);
        let dropout = pass.train && self.dropout.acts();
        // The kernel knows this mask by itself.
        let causal = 1 < n && n == tokens && window.is_none() && !dropout;
        let mask =
            (1 < n && !causal).then(|| mask(n, tokens, window, query.device())).transpose()?;
        if dropout {
            return self.written_out(query, &key, &value, mask, pass);
        }
        let grouped = query.size()[1] != key.size()[1];
        Tensor::f_scaled_dot_product_attention::<Tensor>(
            query, &key, &value, mask, 0.0, causal, None, grouped,
        )
    }

    /// The formula: libtorch's kernels would draw the noise from a generator with a state.
    fn written_out(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: Option<Tensor>,
        pass: &Pass,
    ) -> Result<Tensor, TchError> {
        let (heads, head) = (query.size()[1], query.size()[3]);
        let each = |xs: &Tensor| xs.f_repeat_interleave_self_int(heads / xs.size()[1], 1, None);
        let scores = query
            .f_mul_scalar(1.0 / (head as f64).sqrt())?
            .f_matmul(&each(key)?.f_transpose(2, 3)?)?;
        let scores = match mask {
            Some(seen) => scores.f_masked_fill(&seen.f_logical_not()?, f64::NEG_INFINITY)?,
            None => scores,
        };
        self.dropout.forward(scores.f_softmax(-1, None::<Kind>)?, pass)?.f_matmul(&each(value)?)
    }
}

/// Where a run lies.
pub(crate) struct At<'a> {
    run: &'a Run,
    /// Which of the batch's runs it is.
    pub place: usize,
    /// Its first text.
    text: i64,
}

/// What `look` gives, (texts, heads, n, head), for queries, keys and values of each run, (texts,
/// any, n, head) each, one behind the other: (rows, heads * head)
pub(crate) fn each_run(
    projected: &Projected,
    layout: &Layout,
    mut look: impl FnMut(At, Projected) -> Result<Tensor, TchError>,
) -> Result<Tensor, TchError> {
    let [queries, keys, values] = projected;
    let (rows, heads, head) = queries.size3()?;
    let last_only = rows != keys.size3()?.0;
    let queries = if last_only {
        split(queries, layout, |it| it.texts)?
    } else {
        split(queries, layout, |it| it.texts * it.length)?
    };
    let keys = split(keys, layout, |it| it.texts * it.length)?;
    let values = split(values, layout, |it| it.texts * it.length)?;
    let (mut mixed, mut text) = (Vec::with_capacity(layout.runs.len()), 0);
    let parts = queries.into_iter().zip(keys).zip(values);
    for ((place, run), ((query, key), value)) in layout.runs.iter().enumerate().zip(parts) {
        let seen = look(At { run, place, text }, [query, key, value])?;
        mixed.push(seen.f_transpose(1, 2)?.f_reshape([-1, heads * head])?);
        text += run.texts;
    }
    Tensor::f_cat(&mixed, 0)
}

/// (any, heads, head) -> (texts, heads, n, head) of each run, which has so many rows. It is one
/// operation, so that gradients are put together once.
fn split(
    xs: &Tensor,
    layout: &Layout,
    rows: impl Fn(&Run) -> i64,
) -> Result<Vec<Tensor>, TchError> {
    let sizes: Vec<i64> = layout.runs.iter().map(rows).collect();
    let of_run = |(xs, run): (Tensor, &Run)| xs.f_unflatten(0, [run.texts, -1])?.f_transpose(1, 2);
    xs.f_split_with_sizes(sizes, 0)?.into_iter().zip(&layout.runs).map(of_run).collect()
}

/// (n, tokens): which of the tokens each of the last n sees.
fn mask(n: i64, tokens: i64, window: Option<i64>, device: tch::Device) -> Result<Tensor, TchError> {
    let past = tokens - n;
    let seen = Tensor::f_ones([n, tokens], (Kind::Bool, device))?.f_tril(past)?;
    match window {
        Some(window) => seen.f_triu(past - window + 1),
        None => Ok(seen),
    }
}
