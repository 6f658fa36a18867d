//! Where the texts of a batch lie, one behind the other. Everything but attention is computed token
//! by token, for all texts at once, and sees no border. Images have none: theirs is empty.

use crate::model::Input;
use tch::{TchError, Tensor};

pub(crate) struct Layout {
    pub runs: Vec<Run>,
    /// (texts) int64: each text's first token.
    starts: Tensor,
    /// (texts) int64
    lengths: Tensor,
    /// (tokens) int64: each token's place in its text.
    places: Tensor,
    /// (tokens) int64: each token's part of its text, where there is more than one.
    token_types: Option<Tensor>,
}

/// Neighbouring texts of one length, which attention takes as one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub texts: i64,
    pub length: i64,
    /// Tokens of each that were read before, and are no part of the batch.
    pub past: i64,
}

impl Layout {
    /// # Errors
    /// Token types that are not one for each token.
    pub(crate) fn of(input: &Input) -> Result<Layout, TchError> {
        Layout::following(input, &vec![0; input.lengths.len()])
    }

    /// Of texts that go on behind so many tokens of each.
    ///
    /// # Errors
    /// As [`Layout::of`]; another number of texts.
    pub(crate) fn following(input: &Input, past: &[i64]) -> Result<Layout, TchError> {
        let Input { xs, lengths, token_types, .. } = input;
        let tokens = lengths.iter().sum::<i64>();
        if let Some(types) = token_types.as_ref().filter(|it| it.size() != [tokens]) {
            let size = types.size();
            return Err(TchError::Shape(format!("token types {size:?} for {tokens} tokens")));
        }
        if past.len() != lengths.len() {
            let (there, texts) = (past.len(), lengths.len());
            return Err(TchError::Shape(format!("{texts} texts that follow {there}")));
        }
        let texts: Vec<(i64, i64)> = lengths.iter().copied().zip(past.iter().copied()).collect();
        let runs = texts
            .chunk_by(|a, b| a == b)
            .map(|it| Run { texts: it.len() as i64, length: it[0].0, past: it[0].1 })
            .collect();
        let starts: Vec<i64> =
            lengths.iter().scan(0, |end, it| Some(std::mem::replace(end, *end + it))).collect();
        let places: Vec<i64> =
            texts.iter().flat_map(|&(length, past)| past..past + length).collect();
        let tensor = |values: &[i64]| Tensor::f_from_slice(values)?.f_to(xs.device());
        Ok(Layout {
            runs,
            starts: tensor(&starts)?,
            lengths: tensor(lengths)?,
            places: tensor(&places)?,
            token_types: token_types.as_ref().map(Tensor::shallow_clone),
        })
    }

    /// The same tensors.
    pub(crate) fn shallow_clone(&self) -> Layout {
        Layout {
            runs: self.runs.clone(),
            starts: self.starts.shallow_clone(),
            lengths: self.lengths.shallow_clone(),
            places: self.places.shallow_clone(),
            token_types: self.token_types.as_ref().map(Tensor::shallow_clone),
        }
    }

    /// (tokens) int64: 0, 1, 2, … in each text, or on from where it goes on.
    pub(crate) fn places(&self) -> &Tensor {
        &self.places
    }

    /// (tokens) int64: each token's part of its text; none where all are of the first.
    pub(crate) fn token_types(&self) -> Option<&Tensor> {
        self.token_types.as_ref()
    }

    /// (tokens, …) -> (texts, …)
    pub(crate) fn first_tokens(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        xs.f_index_select(0, &self.starts)
    }

    /// (tokens, …) -> (texts, …)
    pub(crate) fn last_tokens(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        xs.f_index_select(0, &self.starts.f_add(&self.lengths)?.f_sub_scalar(1)?)
    }

    /// Tokens of the longest text, with those before the batch.
    pub(crate) fn longest(&self) -> i64 {
        self.runs.iter().map(|it| it.past + it.length).max().unwrap_or(0)
    }

    /// # Errors
    /// A text is longer than a model of so many positions reads.
    pub(crate) fn check_longest(&self, most: i64) -> Result<(), TchError> {
        let longest = self.longest();
        if most < longest {
            let message = format!("a text of {longest} tokens for a model of {most} positions");
            return Err(TchError::Shape(message));
        }
        Ok(())
    }

    /// The mean of each text's tokens: (tokens, width) -> (texts, width)
    pub(crate) fn means(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        let sizes: Vec<i64> = self.runs.iter().map(|it| it.texts * it.length).collect();
        let means: Vec<Tensor> = xs
            .f_split_with_sizes(sizes, 0)?
            .into_iter()
            .zip(&self.runs)
            .map(|(xs, run)| xs.f_unflatten(0, [run.texts, run.length])?.f_mean_dim(1, false, None))
            .collect::<Result<_, TchError>>()?;
        Tensor::f_cat(&means, 0)
    }

    /// Sums of what stands before each token in its own text, itself included: (tokens) ->
    /// (tokens).
    pub(crate) fn cumulative(&self, counts: &Tensor) -> Result<Tensor, TchError> {
        let sums = counts.f_cumsum(0, counts.kind())?;
        let before = self.first_tokens(&sums.f_sub(counts)?)?;
        sums.f_sub(&before.f_repeat_interleave_self_tensor(
            &self.lengths,
            0,
            self.places.size()[0],
        )?)
    }
}
