//! What the encoders share that norm after each sum: embeddings, a row of blocks, and the heads for
//! texts, tokens and the vocabulary. A family is the names of its tensors, and a config.

use crate::architecture::{Architecture, TextFacts};
use crate::classifier::{Bend, ClassifierNames, TextClassifier};
use crate::config_json::{ConfigJson, LAYERS_MAX};
use crate::error::ModelError;
use crate::layers::{
    self, Activation, Attention, Block, Classifier, Dropout, Embedding, LayerNorm, Linear,
};
use crate::layout::Layout;
use crate::load::{Fill, Loader, Names, Part};
use crate::model::{BuildOptions, HeadKind, Pass, Pooling, Rows};
use crate::relative::{RelativeConfig, Table};
use crate::stages::{Stage, Stages};
use tch::{Kind, TchError, Tensor};

/// What a transformer encoder is made of, whatever its family calls it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub vocab_size: i64,
    /// Of the embeddings; where it is not the layers', a linear map follows.
    pub embedding_size: i64,
    pub hidden_size: i64,
    pub layers: i64,
    pub heads: i64,
    pub intermediate_size: i64,
    pub activation: String,
    /// How tokens know their place; `absolute` is what is built.
    pub position_embedding_type: String,
    pub is_decoder: bool,
    /// Rows of the table of positions; 0: there is none.
    pub position_rows: i64,
    /// The padding token's number, where places are counted from it.
    pub positions_from: Option<i64>,
    /// Most tokens of a text.
    pub max_positions: i64,
    /// Rows of the table of token types; 0: there is none.
    pub token_types: i64,
    pub layer_norm_eps: f64,
    pub pad_token_id: Option<i64>,
    pub initializer_range: f64,
    /// Of hidden states.
    pub dropout: f64,
    /// Of attention's weights: not the config's number but the caller's, see
    /// [`crate::BuildOptions`].
    pub attention_dropout: f64,
    /// Of what attention gives, where that is dropped.
    pub mixed_dropout: Option<f64>,
    /// Of what the head for a text is given, where that is dropped.
    pub features_dropout: Option<f64>,
    /// Within the head for a text.
    pub classifier_dropout: f64,
    /// Of the head for a token.
    pub token_dropout: f64,
    /// The head of masked language modelling ends with the table of token embeddings.
    pub tie_word_embeddings: bool,
    /// What attention sees of how far tokens stand from one another.
    pub relative: Option<RelativeConfig>,
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
            ("the classifier's dropout", self.features_dropout.unwrap_or(0.0)),
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
            ("the embeddings' size", self.embedding_size),
            ("the number of layers", self.layers),
            ("the number of heads", self.heads),
            ("the intermediate size", self.intermediate_size),
            ("max_position_embeddings", self.max_positions),
        ];
        for (key, size) in sizes {
            if !(1..=i64::from(i32::MAX)).contains(&size) {
                return Err(json.wrong(key, size, "a positive number of 31 bits"));
            }
        }
        if !(0..=i64::from(i32::MAX)).contains(&self.token_types) {
            return Err(json.wrong("type_vocab_size", self.token_types, "at least 0"));
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
    pub block: BlockNames,
    pub classifier: ClassifierNames,
    pub vocabulary: VocabularyNames,
    /// The config's name for the number of layers.
    pub layers_key: &'static str,
    /// What of a text's tokens makes its row, where no layer could take their mean.
    pub pooling: Option<Pooling>,
}

/// Of a layer.
pub(crate) struct BlockNames {
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    /// Of what attention gives.
    pub mixed: &'static str,
    pub mixed_norm: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub down_norm: &'static str,
}

/// Of the head of masked language modelling.
pub(crate) struct VocabularyNames {
    pub dense: &'static str,
    /// Where it is not the config's.
    pub activation: Option<&'static str>,
    pub norm: &'static str,
    /// The last map's; the weight is the token embeddings' unless the config says otherwise, and
    /// always where it has no name here.
    pub weight: Option<&'static str>,
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
            token_types: self.config.token_types.max(1) as u32,
            dropout: self.config.dropout,
            layers_key: self.dialect.layers_key,
            pooling: self.dialect.pooling,
            causal: false,
        })
    }

    fn has_head(&self, head: HeadKind) -> bool {
        let HeadKind::Linear(_, wanted) = head else { return true };
        self.dialect.pooling.is_none_or(|it| it == wanted)
    }

    fn head_deviation(&self) -> f64 {
        self.config.initializer_range
    }

    fn build(&self, loader: &Loader, options: &BuildOptions) -> Result<Stages, ModelError> {
        let mut config = self.config.clone();
        config.attention_dropout = options.attention_dropout;
        if let Some(p) = options.dropout {
            (config.dropout, config.classifier_dropout, config.token_dropout) = (p, p, p);
            config.mixed_dropout = config.mixed_dropout.map(|_| p);
            config.features_dropout = config.features_dropout.map(|_| p);
        }
        let (dialect, c) = (self.dialect, &config);
        let body = |part| loader.part(part) / dialect.prefix;
        let stem = Box::new(Embeddings::new(&body(Part::Embeddings), c)?);
        let sizes = [c.heads, c.hidden_size];
        let shared = body(Part::Embeddings) / "encoder";
        let distances = c.relative.map(|it| Table::new(&shared, it, sizes, c.layer_norm_eps));
        let distances = distances.transpose()?;
        let mean = matches!(options.head, HeadKind::Linear(_, Pooling::Mean));
        let rows = if mean { Rows::PerToken } else { options.head.rows() };
        // Above those of the checkpoint there may be one more, which gives the mean.
        let top = loader.added_layer().unwrap_or(self.layers() - 1);
        let layers = (0..=top)
            .map(|depth| {
                let p = body(Part::Layer(depth)) / dialect.layers / depth;
                let name = format!("{}.{}.{depth}", dialect.prefix, dialect.layers);
                let mut block = block(&p, &dialect.block, depth, c)?;
                block.attention.relative = distances.as_ref().map(|it| {
                    it.of_layer(&block.attention, Dropout::of_distances(c.dropout, depth))
                });
                if loader.added_layer() == Some(depth) {
                    block.set_mean().map_err(|source| ModelError::Tensor { name, source })?;
                }
                let layer = Layer { block, first_only: depth == top && rows == Rows::PerExample };
                Ok(Box::new(layer) as Box<dyn Stage>)
            })
            .collect::<Result<Vec<Box<dyn Stage>>, ModelError>>()?;
        let mut tail: Vec<Box<dyn Stage>> = Vec::new();
        if let HeadKind::Linear(classes, pooling) = options.head {
            let (eps, bend) = (c.layer_norm_eps, dialect.classifier.bend);
            tail.push(Box::new(Row { pooling, eps, bend, classes }));
        }
        let p = loader.part(Part::Head);
        let head: Option<Box<dyn Stage>> = match options.head {
            HeadKind::Classes(classes) => Some(Box::new(TextClassifier::new(
                &p,
                &dialect.classifier,
                c.hidden_size,
                classes,
                (c.features_dropout, c.classifier_dropout),
            )?)),
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

struct Embeddings {
    words: Embedding,
    positions: Option<Embedding>,
    max_positions: i64,
    positions_from: Option<i64>,
    token_types: Option<Embedding>,
    norm: LayerNorm,
    dropout: Dropout,
    project: Option<Linear>,
}

impl Embeddings {
    /// `body`: the root of the body's names.
    fn new(body: &Names, c: &Config) -> Result<Embeddings, ModelError> {
        let (p, width) = (body / "embeddings", c.embedding_size);
        let table = |name, rows, padding| Embedding::new(&p / name, rows, width, padding);
        let positions = || table("position_embeddings", c.position_rows, c.positions_from);
        let types = || table("token_type_embeddings", c.token_types, None);
        let project = || Linear::new(body / "embeddings_project", width, c.hidden_size);
        Ok(Embeddings {
            words: table("word_embeddings", c.vocab_size, c.positions_from.or(c.pad_token_id))?,
            positions: (0 < c.position_rows).then(positions).transpose()?,
            max_positions: c.max_positions,
            positions_from: c.positions_from,
            token_types: (0 < c.token_types).then(types).transpose()?,
            norm: LayerNorm::new(&p / "LayerNorm", width, c.layer_norm_eps)?,
            dropout: Dropout::of_embeddings(c.dropout),
            project: (width != c.hidden_size).then(project).transpose()?,
        })
    }

    /// (tokens): where places are counted from the padding token's number, the first token that is
    /// no padding stands behind it, and a padding token that a text names stands at it (fairseq's
    /// `make_positions`).
    fn places(&self, ids: &Tensor, layout: &Layout) -> Result<Tensor, TchError> {
        let Some(padding) = self.positions_from else { return Ok(layout.places().shallow_clone()) };
        let counts = ids.f_ne(padding)?.f_to_kind(Kind::Int64)?;
        layout.cumulative(&counts)?.f_mul(&counts)?.f_add_scalar(padding)
    }
}

impl Stage for Embeddings {
    fn forward(&self, ids: &Tensor, layout: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        layout.check_longest(self.max_positions)?;
        let positions = self.positions.as_ref();
        let positions = positions.map(|it| it.forward(&self.places(ids, layout)?)).transpose()?;
        let types = self.token_types.as_ref().map(|it| it.of_token_types(layout)).transpose()?;
        let place = match (positions, types) {
            (Some(a), Some(b)) => Some(a.f_add(&b)?),
            (a, b) => a.or(b),
        };
        let words = self.words.forward(ids)?;
        let xs = place.map_or(Ok(words.shallow_clone()), |it| words.f_add(&it))?;
        let xs = self.dropout.forward(self.norm.forward(&xs)?, pass)?;
        self.project.as_ref().map_or(Ok(xs.shallow_clone()), |it| it.forward(&xs))
    }
}

fn block(p: &Names, names: &BlockNames, depth: usize, c: &Config) -> Result<Block, ModelError> {
    let (width, inner, eps) = (c.hidden_size, c.intermediate_size, c.layer_norm_eps);
    Ok(Block {
        attention: Attention {
            query: Linear::new(p / names.query, width, width)?,
            key: Linear::new(p / names.key, width, width)?,
            value: Linear::new(p / names.value, width, width)?,
            output: Linear::new(p / names.mixed, width, width)?,
            heads: c.heads,
            dropout: Dropout::of_layer(c.attention_dropout, depth, 0),
            relative: None,
        },
        attention_dropout: Dropout::of_layer(c.mixed_dropout.unwrap_or(0.0), depth, 1),
        attention_norm: LayerNorm::new(p / names.mixed_norm, width, eps)?,
        up: Linear::new(p / names.up, width, inner)?,
        activation: Activation::named(&c.activation).unwrap_or(Activation::Gelu),
        down: Linear::new(p / names.down, inner, width)?,
        down_dropout: Dropout::of_layer(c.dropout, depth, 2),
        down_norm: LayerNorm::new(p / names.down_norm, width, eps)?,
    })
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
            Pooling::First => self.bend.of_row(xs, self.classes),
            Pooling::Mean => {
                self.bend.of_row(&layers::normed_mean(xs, layout, self.eps)?, self.classes)
            }
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
        let (width, shape) = (c.embedding_size, [c.vocab_size, c.embedding_size]);
        let dense = Linear::new(&p / names.dense, c.hidden_size, width)?;
        let norm = LayerNorm::new(&p / names.norm, width, c.layer_norm_eps)?;
        let owner = format!("{}.{WORD_EMBEDDINGS}", dialect.prefix);
        let (tied, bias) = (c.tie_word_embeddings || names.weight.is_none(), names.bias);
        let weight = match names.weight {
            Some(own) if !tied => p.tensor(own, &shape, Fill::Random)?,
            Some(other) => p.tied(&owner, other)?,
            None => p.shared(&owner)?,
        };
        let used = names.bias_again.filter(|_| !tied).unwrap_or(bias);
        let bias_tensor = p.tensor(used, &[c.vocab_size], Fill::Zero)?;
        match names.bias_again {
            Some(again) if tied => drop(p.tied(bias, again)?),
            // Nothing is computed from it then, but the folder's library expects it.
            Some(_) => drop(p.buffer(bias, &[c.vocab_size], Fill::Zero)?),
            None => {}
        }
        let activation = names.activation.unwrap_or(&c.activation);
        let activation = Activation::named(activation).unwrap_or(Activation::Gelu);
        Ok(Vocabulary { dense, activation, norm, weight, bias: bias_tensor })
    }
}

impl Stage for Vocabulary {
    /// (tokens, width) -> (tokens, vocabulary)
    fn forward(&self, xs: &Tensor, _: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        let xs = self.norm.forward(&self.activation.forward(&self.dense.forward(xs)?)?)?;
        layers::linear(&xs, &self.weight, Some(&self.bias))
    }
}
