//! What timm and transformers call the tensors of a vision transformer. The model is the same; only
//! names, and how positions are resampled, tell the libraries apart.

/// The names of one library. Those of a layer stand below `layers.N`, and what is below `body` all
/// begins so.
pub(crate) struct Scheme {
    /// Empty where the names of the body begin with nothing of their own.
    pub body: &'static str,
    pub class_token: &'static str,
    pub distillation_token: &'static str,
    pub registers: &'static str,
    pub mask_token: &'static str,
    pub positions: &'static str,
    pub patches: &'static str,
    pub layers: &'static str,
    pub attention_norm: &'static str,
    pub attention: Projections,
    pub output: &'static str,
    pub attention_scale: &'static str,
    pub network_norm: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub network_scale: &'static str,
    pub norm: &'static str,
    /// Outside of the body; one for each token that the logits are the mean of.
    pub heads: &'static [&'static str],
    pub resampling: Resampling,
    /// The library resamples positions in each pass; else its config has to name the size that they
    /// are stored for.
    pub any_size: bool,
}

/// How positions are resampled for another grid of patches: bicubic, and …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resampling {
    /// … with a filter that widens where it shrinks.
    Timm,
    /// … with a filter that does not.
    Transformers,
}

/// How query, key and value are stored.
#[derive(Clone, Copy)]
pub(crate) enum Projections {
    Joined(&'static str),
    Split([&'static str; 3]),
}

/// `timm.models.vision_transformer`, 1.0.
pub(crate) const TIMM: Scheme = Scheme {
    body: "",
    class_token: "cls_token",
    distillation_token: "dist_token",
    registers: "reg_token",
    mask_token: "mask_token",
    positions: "pos_embed",
    patches: "patch_embed.proj",
    layers: "blocks",
    attention_norm: "norm1",
    attention: Projections::Joined("attn.qkv"),
    output: "attn.proj",
    attention_scale: "ls1.gamma",
    network_norm: "norm2",
    up: "mlp.fc1",
    down: "mlp.fc2",
    network_scale: "ls2.gamma",
    norm: "norm",
    heads: &["head"],
    resampling: Resampling::Timm,
    any_size: false,
};

/// The same where the head is given the mean of all patches (`global_pool="avg"`).
pub(crate) const TIMM_MEAN: Scheme = Scheme { norm: "fc_norm", ..TIMM };

/// `timm.models.deit` with a distillation token.
pub(crate) const TIMM_DISTILLED: Scheme = Scheme { heads: &["head", "head_dist"], ..TIMM };

/// `ViTForImageClassification`.
pub(crate) const VIT: Scheme = Scheme {
    body: "vit",
    class_token: "embeddings.cls_token",
    distillation_token: "embeddings.distillation_token",
    registers: "embeddings.register_tokens",
    mask_token: "embeddings.mask_token",
    positions: "embeddings.position_embeddings",
    patches: "embeddings.patch_embeddings.projection",
    layers: "encoder.layer",
    attention_norm: "layernorm_before",
    attention: Projections::Split([
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
    ]),
    output: "attention.output.dense",
    attention_scale: "layer_scale1.lambda1",
    network_norm: "layernorm_after",
    up: "intermediate.dense",
    down: "output.dense",
    network_scale: "layer_scale2.lambda1",
    norm: "layernorm",
    heads: &["classifier"],
    resampling: Resampling::Transformers,
    any_size: false,
};

/// `DeiTForImageClassification`.
pub(crate) const DEIT: Scheme = Scheme { body: "deit", ..VIT };

/// `Dinov2ForImageClassification`.
pub(crate) const DINOV2: Scheme = Scheme {
    body: "dinov2",
    attention_norm: "norm1",
    network_norm: "norm2",
    up: "mlp.fc1",
    down: "mlp.fc2",
    any_size: true,
    ..VIT
};

/// The same with a gated network (`use_swiglu_ffn`).
pub(crate) const DINOV2_GATED: Scheme =
    Scheme { up: "mlp.weights_in", down: "mlp.weights_out", ..DINOV2 };
