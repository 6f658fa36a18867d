//! What a family of models is to the table, and one model of it to whoever builds it.

use crate::config_json::{ClassNames, ConfigJson};
use crate::error::ModelError;
use crate::gguf::Outline;
use crate::load::Loader;
use crate::model::{BuildOptions, HeadKind, Pooling, Rows};
use crate::stages::Stages;

/// One family of models.
pub(crate) struct Family {
    /// What it builds, by timm's names.
    pub timm: &'static [&'static str],
    /// And by transformers': `model_type`, with the classes that a finished model is opened with.
    pub transformers: &'static [(&'static str, ClassNames)],
    pub read: fn(&ConfigJson) -> Result<Box<dyn Architecture>, ModelError>,
}

/// What only models of texts have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextFacts {
    /// Most tokens of a text, special ones included.
    pub max_positions: u32,
    /// The token that fills up short texts, where the config has one.
    pub pad_token_id: Option<u32>,
    /// Values of a token's type that the model tells apart; 1 where it has no token types.
    pub token_types: u32,
    /// The config's own probability for hidden states.
    pub dropout: f64,
    /// The config's name for the number of layers.
    pub layers_key: &'static str,
    /// What of a text's tokens makes its row, where that is not for the folder to say.
    pub pooling: Option<Pooling>,
    /// A token sees only those before it: the model can go on with a text.
    pub causal: bool,
}

/// One model of a family, known by its numbers: what stands in its config, checked.
pub(crate) trait Architecture {
    /// Of the features.
    fn width(&self) -> i64;

    /// Blocks, which are what a recipe's `last:N` counts.
    fn layers(&self) -> usize;

    /// What the names of the body begin with, and the first parts of the names in a checkpoint of
    /// the body alone; timm has no such prefix.
    fn body(&self) -> (&'static str, &'static [&'static str]) {
        ("", &[])
    }

    /// First parts of the names of a head's tensors that were pretrained with the body, as a pooler
    /// within it was, and so are worth having for another task.
    fn with_body(&self) -> &'static [&'static str] {
        &[]
    }

    /// None: it looks at images.
    fn text(&self) -> Option<TextFacts> {
        None
    }

    /// Whether there is such a head: one for each image, unless the family says otherwise.
    fn has_head(&self, head: HeadKind) -> bool {
        matches!(head, HeadKind::Classes(_) | HeadKind::None(Rows::PerExample))
    }

    /// What a new head is drawn with. The default is that of transformers and ConvNeXt, and close
    /// to torch's own for a linear map. timm's for EfficientNet and MobileNet, 1 / sqrt(classes),
    /// drowns what the features say.
    fn head_deviation(&self) -> f64 {
        0.02
    }

    /// Whether the library wants to read in the config what size images have.
    fn names_size(&self) -> bool {
        false
    }

    /// What llama.cpp wants to know of it, where it has such models.
    ///
    /// # Errors
    /// Why llama.cpp can't compute what it computes.
    fn gguf(&self) -> Result<Outline, String> {
        Err("llama.cpp goes on with texts, by models of Llama, Mistral, Qwen2, Qwen3 and GPT-2"
            .into())
    }

    /// `options.head` is one of those that there are, and never [`HeadKind::Keep`].
    fn build(&self, loader: &Loader, options: &BuildOptions) -> Result<Stages, ModelError>;
}
