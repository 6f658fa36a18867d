//! What a vision transformer is made of, whatever its library calls it.

use crate::layers::Activation;

/// What a vision transformer is made of, whatever its library calls it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    /// The grid of patches that positions are stored for is side x side; none: as large as the file
    /// has it.
    pub side: Option<i64>,
    /// Side of a patch, pixels.
    pub patch: i64,
    pub width: i64,
    pub layers: i64,
    pub heads: i64,
    /// Width of what the second map of a block's network takes.
    pub inner: i64,
    pub activation: Activation,
    /// The first map gives twice `inner`: a gate, and what passes it.
    pub gated: bool,
    pub qkv_bias: bool,
    pub layer_scale: bool,
    pub norm_eps: f64,
    /// A second token stands for the image: in pretraining, it learnt from a teacher.
    pub distilled: bool,
    pub registers: i64,
    /// The body has a token for masked patches, which only pretraining used.
    pub mask_token: bool,
    /// How many of the tokens before the patches have a position.
    pub placed: i64,
    pub pool: Pool,
}

/// What the head is given of the last hidden states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    /// The first tokens, one for each of the scheme's heads.
    Tokens,
    /// The mean of the patches, normed afterwards.
    Mean,
    /// The first token, and the mean of the patches.
    TokenAndMean,
}
