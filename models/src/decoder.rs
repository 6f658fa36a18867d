//! What Llama's relatives and GPT-2 share: blocks that norm what they are given and add to it, and
//! the heads for texts, tokens and the vocabulary. Embeddings, names and the linear maps of a block
//! are the families'.

use crate::architecture::TextFacts;
use crate::cache::KeyValues;
use crate::causal::{Causal, Projected};
use crate::config_json::ConfigJson;
use crate::error::ModelError;
use crate::layers::{self, Activation, Classifier, Dropout, Linear};
use crate::layout::Layout;
use crate::load::Names;
use crate::model::{BuildOptions, HeadKind, Pass, Rows};
use crate::rotary::{Angles, Rotary};
use crate::stages::Stage;
use tch::{TchError, Tensor};

/// transformers' default for a head over tokens.
pub(crate) const TOKEN_DROPOUT: f64 = 0.1;

/// Which heads there are: a text's row is its last token's as it is, so that none of the kind
/// [`HeadKind::Linear`] could be given the form of a family's own class.
pub(crate) fn has_head(head: HeadKind) -> bool {
    !matches!(head, HeadKind::Linear(..))
}

pub(crate) fn facts(
    max_positions: i64,
    pad_token_id: Option<i64>,
    dropout: f64,
    layers_key: &'static str,
) -> TextFacts {
    TextFacts {
        max_positions: max_positions as u32,
        pad_token_id: pad_token_id.map(|it| it as u32),
        token_types: 1,
        dropout,
        layers_key,
        pooling: None,
        causal: true,
    }
}

/// # Errors
/// The token that fills up short texts is none of the vocabulary.
pub(crate) fn check_padding(
    json: &ConfigJson,
    pad_token_id: Option<i64>,
    vocabulary: i64,
) -> Result<(), ModelError> {
    match pad_token_id.filter(|it| !(0..vocabulary).contains(it)) {
        Some(pad) => {
            let below = format!("below the vocabulary's size {vocabulary}");
            Err(json.wrong("pad_token_id", pad, below))
        }
        None => Ok(()),
    }
}

/// What stands below the first block checks of texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub max_positions: i64,
    /// The token that no text may end with.
    no_last: Option<i64>,
}

impl Limits {
    /// transformers takes as a text's last token the last one that does not fill it up, so a head
    /// for texts would see another one there where a text ends with such a token.
    pub(crate) fn new(max_positions: i64, pad_token_id: Option<i64>, head: HeadKind) -> Limits {
        let per_text = head.rows() == Rows::PerExample && !matches!(head, HeadKind::None(_));
        Limits { max_positions, no_last: pad_token_id.filter(|_| per_text) }
    }

    /// `ids`: (tokens) int64
    pub(crate) fn check(&self, ids: &Tensor, layout: &Layout) -> Result<(), TchError> {
        layout.check_longest(self.max_positions)?;
        let Some(pad) = self.no_last else { return Ok(()) };
        if layout.last_tokens(ids)?.f_eq(pad)?.f_any()?.f_int64_value(&[])? != 0 {
            let message = format!("a text ends with the token {pad}, which fills up short texts");
            return Err(TchError::Shape(message));
        }
        Ok(())
    }
}

/// What a family's blocks compute between a norm and a sum.
pub(crate) trait Maps: Send {
    /// Queries, keys and values of (tokens, width), normed; queries only of the last token of each
    /// text where no others are wanted.
    fn project(&self, xs: &Tensor, layout: &Layout, last_only: bool)
    -> Result<Projected, TchError>;

    /// (rows, heads * head) -> (rows, width)
    fn output(&self, mixed: &Tensor) -> Result<Tensor, TchError>;

    /// (rows, width), normed -> the same shape
    fn network(&self, xs: &Tensor) -> Result<Tensor, TchError>;

    /// The norms before attention (0) and before the network (1).
    fn norm(&self, which: usize, xs: &Tensor) -> Result<Tensor, TchError>;
}

/// Attention, then a network, each of what was normed before and added to what was not.
struct Block {
    maps: Box<dyn Maps>,
    causal: Causal,
    attention_dropout: Dropout,
    network_dropout: Dropout,
    /// Only each text's last token is wanted of it.
    last_only: bool,
}

/// So many blocks, from the first to the last, with this dropout of hidden states. `block`: of
/// each, its maps, and how many tokens a token sees.
pub(crate) fn blocks(
    count: usize,
    (options, hidden): (&BuildOptions, f64),
    block: impl Fn(usize) -> Result<(Box<dyn Maps>, Option<i64>), ModelError>,
) -> Result<Vec<Box<dyn Stage>>, ModelError> {
    let of = |depth: usize| {
        let (maps, window) = block(depth)?;
        let dropout = Dropout::of_layer(options.attention_dropout, depth, 0);
        let block = Block {
            maps,
            causal: Causal { window, dropout },
            attention_dropout: Dropout::of_layer(hidden, depth, 1),
            network_dropout: Dropout::of_layer(hidden, depth, 2),
            last_only: depth + 1 == count && options.head.rows() == Rows::PerExample,
        };
        Ok(Box::new(block) as Box<dyn Stage>)
    };
    (0..count).map(of).collect()
}

/// What [`Maps::project`] gives where places are angles. `query` and `key`: what stands at these
/// angles -> (rows, heads, head); `value`: the same of values, which are not turned.
pub(crate) fn turned(
    rotary: &Rotary,
    (xs, layout, last_only): (&Tensor, &Layout, bool),
    query: impl Fn(&Tensor, &Angles) -> Result<Tensor, TchError>,
    key: impl Fn(&Tensor, &Angles) -> Result<Tensor, TchError>,
    value: impl Fn(&Tensor) -> Result<Tensor, TchError>,
) -> Result<Projected, TchError> {
    let angles = rotary.angles(layout.places(), xs.kind())?;
    let (keys, values) = (key(xs, &angles)?, value(xs)?);
    let queries = if last_only {
        let places = layout.last_tokens(layout.places())?;
        query(&layout.last_tokens(xs)?, &rotary.angles(&places, xs.kind())?)?
    } else {
        query(xs, &angles)?
    };
    Ok([queries, keys, values])
}

/// A network with a gate (Shazeer 2020), by the names that Llama has.
pub(crate) struct Gated {
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl Gated {
    pub(crate) fn new(
        p: &Names,
        (width, inner): (i64, i64),
        bias: bool,
        activation: Activation,
    ) -> Result<Gated, ModelError> {
        let map = |name, inputs, outputs| Linear::with_bias(p / name, inputs, outputs, bias);
        let (gate, up) = (map("gate_proj", width, inner)?, map("up_proj", width, inner)?);
        Ok(Gated { gate, up, down: map("down_proj", inner, width)?, activation })
    }

    /// (rows, width) -> the same shape
    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        let gate = self.activation.forward(&self.gate.forward(xs)?)?;
        self.down.forward(&gate.f_mul(&self.up.forward(xs)?)?)
    }
}

impl Block {
    fn run(
        &self,
        xs: &Tensor,
        layout: &Layout,
        pass: &Pass,
        mix: impl FnOnce(&Projected) -> Result<Tensor, TchError>,
    ) -> Result<Tensor, TchError> {
        let normed = self.maps.norm(0, xs)?;
        let mixed = mix(&self.maps.project(&normed, layout, self.last_only)?)?;
        let own = if self.last_only { layout.last_tokens(xs)? } else { xs.shallow_clone() };
        let xs = self.attention_dropout.add(&self.maps.output(&mixed)?, &own, pass)?;
        let ys = self.maps.network(&self.maps.norm(1, &xs)?)?;
        self.network_dropout.add(&ys, &xs, pass)
    }
}

impl Stage for Block {
    /// (tokens, width) -> the same, or (texts, width)
    fn forward(&self, xs: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        self.run(xs, layout, pass, |it| self.causal.forward(it, layout, pass))
    }

    fn extend(&self, xs: &Tensor, at: &Layout, cache: &mut KeyValues) -> Result<Tensor, TchError> {
        self.run(xs, at, &Pass::evaluation(), |it| self.causal.extend(it, at, cache))
    }
}

/// What decides the head.
pub(crate) struct HeadFacts {
    pub width: i64,
    pub vocabulary: i64,
    /// The table of token embeddings, where the head for the vocabulary shares it.
    pub shared: Option<String>,
    /// The head for a token has this name.
    pub per_token: &'static str,
    /// Of the head for a text.
    pub dropout: f64,
    /// Of the head for a token.
    pub token_dropout: f64,
}

/// The map of the head for texts, and for the vocabulary, has these names in all families.
const SCORE: &str = "score";
const VOCABULARY: &str = "lm_head";

pub(crate) fn head(
    p: Names,
    head: HeadKind,
    facts: &HeadFacts,
) -> Result<Option<Box<dyn Stage>>, ModelError> {
    let HeadFacts { width, vocabulary, .. } = *facts;
    Ok(match (head, &facts.shared) {
        (HeadKind::Classes(classes), _) => Some(Box::new(Plain {
            dropout: Dropout::of_head(facts.dropout, 0),
            linear: Linear::with_bias(p / SCORE, width, classes, false)?,
        })),
        (HeadKind::PerToken(classes), _) => {
            let p = p / facts.per_token;
            Some(Box::new(Classifier::new(p, width, classes, facts.token_dropout)?))
        }
        (HeadKind::Vocabulary, Some(owner)) => {
            Some(Box::new(Shared(p.tied(owner, &format!("{VOCABULARY}.weight"))?)))
        }
        (HeadKind::Vocabulary, None) => Some(Box::new(Plain {
            dropout: Dropout::of_head(0.0, 0),
            linear: Linear::with_bias(p / VOCABULARY, width, vocabulary, false)?,
        })),
        (HeadKind::Linear(..) | HeadKind::None(_) | HeadKind::Keep, _) => None,
    })
}

/// A linear map without a bias, behind dropout.
struct Plain {
    dropout: Dropout,
    linear: Linear,
}

impl Stage for Plain {
    fn forward(&self, xs: &Tensor, _: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        self.linear.forward(&self.dropout.forward(xs.shallow_clone(), pass)?)
    }
}

/// The table of token embeddings, (vocabulary, width), as the head for the vocabulary.
struct Shared(Tensor);

impl Stage for Shared {
    fn forward(&self, xs: &Tensor, _: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        layers::linear(xs, &self.0, None)
    }
}
