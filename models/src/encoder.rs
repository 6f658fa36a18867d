//! What BERT, RoBERTa and DistilBERT share: embeddings, a row of blocks, and the heads for texts,
//! tokens and the vocabulary. Names, embeddings, blocks and the head for texts are the families'.

use crate::architecture::{Architecture, TextFacts};
use crate::config_json::{ConfigJson, LAYERS_MAX};
use crate::error::ModelError;
use crate::layers::{self, Activation, Block, Classifier, LayerNorm, Linear};
use crate::layout::Layout;
use crate::load::{Fill, Loader, Names, Part};
use crate::model::{BuildOptions, HeadKind, Pass, Pooling, Rows};
use crate::stages::{Stage, Stages};
use tch::{TchError, Tensor};

/// What a transformer encoder is made of, whatever its family calls it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub vocab_size: i64,
    pub hidden_size: i64,
    pub layers: i64,
    pub heads: i64,
    pub intermediate_size: i64,
    pub activation: String,
    /// How tokens know their place; `absolute` is what is built.
    pub position_embedding_type: String,
    pub is_decoder: bool,
    /// Rows of the table of positions.
    pub position_rows: i64,
    /// Most tokens of a text.
    pub max_positions: i64,
    pub type_vocab_size: i64,
    pub layer_norm_eps: f64,
    pub pad_token_id: Option<i64>,
    pub initializer_range: f64,
    /// Of hidden states.
    pub dropout: f64,
    /// Of attention's weights: not the config's number but the caller's, see
    /// [`crate::BuildOptions`].
    pub attention_dropout: f64,
    /// Of the head for a text.
    pub classifier_dropout: f64,
    /// Of the head for a token.
    pub token_dropout: f64,
    /// The head of masked language modelling ends with the table of token embeddings.
    pub tie_word_embeddings: bool,
}

impl Config {
    /// # Errors
    /// A number that no model can have, named with its key.
    fn check(&self, json: &ConfigJson) -> Result<(), ModelError> {
        self.check_sizes(json)?;
        if Activation::named(&self.activation).is_none() {
            let known = format!("one of {}", Activation::names());
            return Err(json.wrong("the activation", &self.activation, known));
        }
        if self.position_embedding_type != "absolute" {
            return Err(json.wrong(
                "position_embedding_type",
                &self.position_embedding_type,
                "absolute, the only one that is built",
            ));
        }
        if self.is_decoder {
            return Err(json.wrong("is_decoder", true, "false: only encoders are built"));
        }
        for (key, p) in [
            ("the dropout", self.dropout),
            ("the attention's dropout", self.attention_dropout),
            ("the classifier's dropout", self.classifier_dropout),
            ("the classifier's dropout", self.token_dropout),
        ] {
            if !(0.0..1.0).contains(&p) {
                return Err(json.wrong(key, p, "at least 0 and below 1"));
            }
        }
        for (key, size) in
            [("layer_norm_eps", self.layer_norm_eps), ("initializer_range", self.initializer_range)]
        {
            if !(size.is_finite() && 0.0 < size) {
                return Err(json.wrong(key, size, "above 0"));
            }
        }
        Ok(())
    }

    fn check_sizes(&self, json: &ConfigJson) -> Result<(), ModelError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("the hidden size", self.hidden_size),
            ("the number of layers", self.layers),
            ("the number of heads", self.heads),
            ("the intermediate size", self.intermediate_size),
            ("max_position_embeddings", self.max_positions),
            ("type_vocab_size", self.type_vocab_size),
        ];
        for (key, size) in sizes {
            if !(1..=i64::from(i32::MAX)).contains(&size) {
                return Err(json.wrong(key, size, "a positive number of 31 bits"));
            }
        }
        if LAYERS_MAX < self.layers {
            let most = format!("at most {LAYERS_MAX}");
            return Err(json.wrong("the number of layers", self.layers, most));
        }
        if self.hidden_size % self.heads != 0 {
            let divisor = format!("a divisor of the hidden size {}", self.hidden_size);
            return Err(json.wrong("the number of heads", self.heads, divisor));
        }
        if let Some(pad) = self.pad_token_id.filter(|it| !(0..self.vocab_size).contains(it)) {
            let below = format!("below the vocabulary's size {}", self.vocab_size);
            return Err(json.wrong("pad_token_id", pad, below));
        }
        Ok(())
    }
}

/// What tells one family from another.
pub(crate) struct Dialect {
    /// What the names of the body begin with in the classes that have a head.
    pub prefix: &'static str,
    /// First parts of the names in a checkpoint without that prefix.
    pub body: &'static [&'static str],
    /// Below the prefix.
    pub layers: &'static str,
    pub embeddings: fn(Names, &Config) -> Made,
    pub block: fn(Names, usize, &Config) -> Result<Block, ModelError>,
    /// The head for so many classes of a text.
    pub classifier: fn(Names, i64, &Config) -> Made,
    pub vocabulary: VocabularyNames,
    /// What a text's row must go through so that the head for texts can be a linear map of it:
    /// nearly nothing. With the number of classes.
    pub bend: Bend,
    /// The config's name for the number of layers.
    pub layers_key: &'static str,
}

type Bend = fn(&Tensor, i64) -> Result<Tensor, TchError>;

type Made = Result<Box<dyn Stage>, ModelError>;

/// Of the head of masked language modelling.
pub(crate) struct VocabularyNames {
    pub dense: &'static str,
    pub norm: &'static str,
    /// The last map's; the weight is the token embeddings' unless the config says otherwise.
    pub weight: &'static str,
    pub bias: &'static str,
    /// Another name for it, where the weight is tied; else the one that is used.
    pub bias_again: Option<&'static str>,
}

/// A head that is one linear map has this name in all families.
pub(crate) const LINEAR_CLASSIFIER: &str = "classifier";
/// The table of token embeddings, below the prefix.
const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings.weight";

struct Encoder {
    dialect: &'static Dialect,
    config: Config,
}

/// # Errors
/// Numbers that no model can have.
pub(crate) fn checked(
    dialect: &'static Dialect,
    config: Config,
    json: &ConfigJson,
) -> Result<Box<dyn Architecture>, ModelError> {
    config.check(json)?;
    Ok(Box::new(Encoder { dialect, config }))
}

impl Architecture for Encoder {
    fn width(&self) -> i64 {
        self.config.hidden_size
    }

    fn layers(&self) -> usize {
        self.config.layers as usize
    }

    fn body(&self) -> (&'static str, &'static [&'static str]) {
        (self.dialect.prefix, self.dialect.body)
    }

    fn text(&self) -> Option<TextFacts> {
        Some(TextFacts {
            max_positions: self.config.max_positions as u32,
            pad_token_id: self.config.pad_token_id.map(|it| it as u32),
            token_types: self.config.type_vocab_size as u32,
            dropout: self.config.dropout,
            layers_key: self.dialect.layers_key,
            causal: false,
        })
    }

    fn has_head(&self, _: HeadKind) -> bool {
        true
    }

    fn head_deviation(&self) -> f64 {
        self.config.initializer_range
    }

    fn build(&self, loader: &Loader, options: &BuildOptions) -> Result<Stages, ModelError> {
        let mut config = self.config.clone();
        config.attention_dropout = options.attention_dropout;
        if let Some(p) = options.dropout {
            (config.dropout, config.classifier_dropout, config.token_dropout) = (p, p, p);
        }
        let (dialect, c) = (self.dialect, &config);
        let body = |part| loader.part(part) / dialect.prefix;
        let stem = (dialect.embeddings)(body(Part::Embeddings) / "embeddings", c)?;
        let mean = matches!(options.head, HeadKind::Linear(_, Pooling::Mean));
        let rows = if mean { Rows::PerToken } else { options.head.rows() };
        // Above those of the checkpoint there may be one more, which gives the mean.
        let top = loader.added_layer().unwrap_or(self.layers() - 1);
        let layers = (0..=top)
            .map(|depth| {
                let p = body(Part::Layer(depth)) / dialect.layers / depth;
                let name = format!("{}.{}.{depth}", dialect.prefix, dialect.layers);
                let block = (dialect.block)(p, depth, c)?;
                if loader.added_layer() == Some(depth) {
                    block.set_mean().map_err(|source| ModelError::Tensor { name, source })?;
                }
                let layer = Layer { block, first_only: depth == top && rows == Rows::PerExample };
                Ok(Box::new(layer) as Box<dyn Stage>)
            })
            .collect::<Result<Vec<Box<dyn Stage>>, ModelError>>()?;
        let mut tail: Vec<Box<dyn Stage>> = Vec::new();
        if let HeadKind::Linear(classes, pooling) = options.head {
            let (eps, bend) = (c.layer_norm_eps, dialect.bend);
            tail.push(Box::new(Row { pooling, eps, bend, classes }));
        }
        let p = loader.part(Part::Head);
        let head: Option<Box<dyn Stage>> = match options.head {
            HeadKind::Classes(classes) => Some((dialect.classifier)(p, classes, c)?),
            HeadKind::Linear(classes, _) => Some(Box::new(Classifier::new(
                p / LINEAR_CLASSIFIER,
                c.hidden_size,
                classes,
                c.classifier_dropout,
            )?)),
            HeadKind::PerToken(classes) => Some(Box::new(Classifier::new(
                p / LINEAR_CLASSIFIER,
                c.hidden_size,
                classes,
                c.token_dropout,
            )?)),
            HeadKind::Vocabulary => Some(Box::new(Vocabulary::new(p, dialect, c)?)),
            HeadKind::None(_) | HeadKind::Keep => None,
        };
        Ok(Stages::new(stem, layers, tail, head))
    }
}

/// Makes a text's row of its tokens, or of the first, which is all that is there then.
struct Row {
    pooling: Pooling,
    eps: f64,
    bend: Bend,
    classes: i64,
}

impl Stage for Row {
    /// (tokens, width) or (texts, width) -> (texts, width)
    fn forward(&self, xs: &Tensor, layout: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        match self.pooling {
            Pooling::First => (self.bend)(xs, self.classes),
            Pooling::Mean => (self.bend)(&layers::normed_mean(xs, layout, self.eps)?, self.classes),
        }
    }
}

struct Layer {
    block: Block,
    /// Only each text's first token is wanted of it.
    first_only: bool,
}

impl Stage for Layer {
    /// (tokens, width) -> the same, or (texts, width)
    fn forward(&self, xs: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        if self.first_only {
            return self.block.forward(&layout.first_tokens(xs)?, xs, layout, pass);
        }
        self.block.forward(xs, xs, layout, pass)
    }
}

/// The head of masked language modelling: which token stands here?
struct Vocabulary {
    dense: Linear,
    activation: Activation,
    norm: LayerNorm,
    /// (vocabulary, width)
    weight: Tensor,
    bias: Tensor,
}

impl Vocabulary {
    fn new(p: Names, dialect: &Dialect, c: &Config) -> Result<Vocabulary, ModelError> {
        let names = &dialect.vocabulary;
        let dense = Linear::new(&p / names.dense, c.hidden_size, c.hidden_size)?;
        let norm = LayerNorm::new(&p / names.norm, c.hidden_size, c.layer_norm_eps)?;
        let (weight, bias) = if c.tie_word_embeddings {
            let owner = format!("{}.{WORD_EMBEDDINGS}", dialect.prefix);
            (p.tied(&owner, names.weight)?, p.tensor(names.bias, &[c.vocab_size], Fill::Zero)?)
        } else {
            let bias = names.bias_again.unwrap_or(names.bias);
            (
                p.tensor(names.weight, &[c.vocab_size, c.hidden_size], Fill::Random)?,
                p.tensor(bias, &[c.vocab_size], Fill::Zero)?,
            )
        };
        match names.bias_again {
            Some(again) if c.tie_word_embeddings => drop(p.tied(names.bias, again)?),
            // Nothing is computed from it then, but the folder's library expects it.
            Some(_) => drop(p.buffer(names.bias, &[c.vocab_size], Fill::Zero)?),
            None => {}
        }
        let activation = Activation::named(&c.activation).unwrap_or(Activation::Gelu);
        Ok(Vocabulary { dense, activation, norm, weight, bias })
    }
}

impl Stage for Vocabulary {
    /// (tokens, width) -> (tokens, vocabulary)
    fn forward(&self, xs: &Tensor, _: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        let xs = self.norm.forward(&self.activation.forward(&self.dense.forward(xs)?)?)?;
        layers::linear(&xs, &self.weight, Some(&self.bias))
    }
}
