//! ConvNeXt (Liu et al. 2022) as timm has it and as `ConvNextForImageClassification`. Its norms are
//! over the channels of a pixel, so it has no statistics that move.

use crate::architecture::{Architecture, Family};
use crate::config_json::{ClassNames, ConfigJson, Origin};
use crate::conv::{self, Conv2d, Padding, Pointwise, Pool, Shape};
use crate::error::ModelError;
use crate::layers::{LayerNorm, Linear};
use crate::layout::Layout;
use crate::load::{Fill, Loader, Names, Part};
use crate::model::{BuildOptions, Pass};
use crate::stages::{Stage, Stages};
use serde::Deserialize;
use tch::{TchError, Tensor};

/// Blocks and channels of each resolution, and whether timm writes the linear maps as convolutions.
type Variant = (&'static str, [usize; 4], [i64; 4], bool);

const VARIANTS: &[Variant] = &[
    ("convnext_atto", [2, 2, 6, 2], [40, 80, 160, 320], true),
    ("convnext_femto", [2, 2, 6, 2], [48, 96, 192, 384], true),
    ("convnext_pico", [2, 2, 6, 2], [64, 128, 256, 512], true),
    ("convnext_nano", [2, 2, 8, 2], [80, 160, 320, 640], true),
    ("convnext_tiny", [3, 3, 9, 3], [96, 192, 384, 768], false),
    ("convnext_small", [3, 3, 27, 3], [96, 192, 384, 768], false),
    ("convnext_base", [3, 3, 27, 3], [128, 256, 512, 1024], false),
    ("convnext_large", [3, 3, 27, 3], [192, 384, 768, 1536], false),
    ("convnext_xlarge", [3, 3, 27, 3], [256, 512, 1024, 2048], false),
];

pub(crate) const FAMILY: Family = Family {
    timm: &[
        "convnext_atto",
        "convnext_femto",
        "convnext_pico",
        "convnext_nano",
        "convnext_tiny",
        "convnext_small",
        "convnext_base",
        "convnext_large",
        "convnext_xlarge",
    ],
    transformers: &[(
        "convnext",
        ClassNames::of_images("ConvNextModel", "ConvNextForImageClassification"),
    )],
    read,
};

/// Of all norms but the last one, which has the config's.
const EPS: f64 = 1e-6;
/// Inner channels of a block for one outside.
const EXPANSION: i64 = 4;

struct ConvNext {
    names: &'static Dialect,
    patch: i64,
    levels: Vec<(usize, i64)>,
    /// Linear maps are stored as convolutions.
    pointwise: bool,
    /// Blocks scale what they add.
    scale: bool,
    last_eps: f64,
}

/// What the two libraries call the same things.
struct Dialect {
    body: (&'static str, &'static [&'static str]),
    stem: [&'static str; 2],
    downsample: &'static str,
    blocks: &'static str,
    depthwise: &'static str,
    norm: &'static str,
    up: &'static str,
    down: &'static str,
    scale: &'static str,
    last_norm: &'static str,
    head: &'static str,
    /// What stands before `stages`.
    stages: &'static str,
}

const TIMM: Dialect = Dialect {
    body: ("", &[]),
    stem: ["stem.0", "stem.1"],
    stages: "stages",
    downsample: "downsample",
    blocks: "blocks",
    depthwise: "conv_dw",
    norm: "norm",
    up: "mlp.fc1",
    down: "mlp.fc2",
    scale: "gamma",
    last_norm: "head.norm",
    head: "head.fc",
};

const TRANSFORMERS: Dialect = Dialect {
    body: ("convnext", &["embeddings", "encoder", "layernorm"]),
    stem: ["convnext.embeddings.patch_embeddings", "convnext.embeddings.layernorm"],
    stages: "convnext.encoder.stages",
    downsample: "downsampling_layer",
    blocks: "layers",
    depthwise: "dwconv",
    norm: "layernorm",
    up: "pwconv1",
    down: "pwconv2",
    scale: "layer_scale_parameter",
    last_norm: "convnext.layernorm",
    head: "classifier",
};

/// Arguments of timm's `create_model` for a ConvNeXt that are built.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    depths: Option<Vec<usize>>,
    dims: Option<Vec<i64>>,
    conv_mlp: Option<bool>,
}

/// `ConvNextConfig` with its defaults.
#[derive(Deserialize)]
#[serde(default)]
struct HfConfig {
    num_channels: i64,
    patch_size: i64,
    hidden_sizes: Vec<i64>,
    depths: Vec<usize>,
    hidden_act: String,
    layer_norm_eps: f64,
    layer_scale_init_value: f64,
}

impl Default for HfConfig {
    fn default() -> HfConfig {
        HfConfig {
            num_channels: 3,
            patch_size: 4,
            hidden_sizes: vec![96, 192, 384, 768],
            depths: vec![3, 3, 9, 3],
            hidden_act: "gelu".into(),
            layer_norm_eps: 1e-12,
            layer_scale_init_value: 1e-6,
        }
    }
}

fn read(config: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let (model, depths, sizes) = match config.origin {
        Origin::Timm { architecture } => timm(config, architecture)?,
        Origin::Transformers { .. } => transformers(config)?,
    };
    if depths.len() != sizes.len() {
        return Err(config.wrong(
            "depths",
            format!("{depths:?}"),
            format!("as many as the {} channels", sizes.len()),
        ));
    }
    config.check_sizes("patch_size", [&model.patch])?;
    config.check_sizes("a stage's channels", &sizes)?;
    config.check_depths(depths.iter().copied())?;
    Ok(Box::new(ConvNext { levels: depths.into_iter().zip(sizes).collect(), ..model }))
}

fn timm(
    config: &ConfigJson,
    architecture: &str,
) -> Result<(ConvNext, Vec<usize>, Vec<i64>), ModelError> {
    let Some(&(_, depths, dims, pointwise)) = VARIANTS.iter().find(|it| it.0 == architecture)
    else {
        return Err(config.wrong("architecture", architecture, "a ConvNeXt"));
    };
    let args: Args = config.conv_args()?;
    let pointwise = args.conv_mlp.unwrap_or(pointwise);
    let model = ConvNext {
        names: &TIMM,
        patch: 4,
        levels: Vec::new(),
        pointwise,
        scale: true,
        last_eps: EPS,
    };
    Ok((model, args.depths.unwrap_or(depths.to_vec()), args.dims.unwrap_or(dims.to_vec())))
}

fn transformers(config: &ConfigJson) -> Result<(ConvNext, Vec<usize>, Vec<i64>), ModelError> {
    let json: HfConfig = config.whole()?;
    if json.num_channels != 3 {
        return Err(config.wrong("num_channels", json.num_channels, "3, for red, green and blue"));
    }
    if json.hidden_act != "gelu" {
        return Err(config.wrong("hidden_act", json.hidden_act, "gelu"));
    }
    let scale = 0.0 < json.layer_scale_init_value;
    let model = ConvNext {
        names: &TRANSFORMERS,
        patch: json.patch_size,
        levels: Vec::new(),
        pointwise: false,
        scale,
        last_eps: json.layer_norm_eps,
    };
    Ok((model, json.depths, json.hidden_sizes))
}

impl Architecture for ConvNext {
    fn width(&self) -> i64 {
        self.levels.last().map_or(0, |it| it.1)
    }

    fn layers(&self) -> usize {
        self.levels.iter().map(|it| it.0).sum()
    }

    fn body(&self) -> (&'static str, &'static [&'static str]) {
        self.names.body
    }

    fn build(&self, loader: &Loader, options: &BuildOptions) -> Result<Stages, ModelError> {
        let first = self.levels.first().map_or(0, |it| it.1);
        let root = loader.part(Part::Embeddings);
        let [conv, norm] = self.names.stem;
        let patches = Shape {
            kernel: self.patch,
            stride: self.patch,
            padding: Padding::Valid,
            ..Shape::pointwise(3, first)
        };
        let stem = Stem {
            conv: Conv2d::with_bias(&root / conv, patches)?,
            norm: LayerNorm::new(&root / norm, first, EPS)?,
        };

        let mut layers: Vec<Box<dyn Stage>> = Vec::new();
        let mut inputs = first;
        for (level, &(blocks, channels)) in self.levels.iter().enumerate() {
            for nth in 0..blocks {
                let p = loader.part(Part::Layer(layers.len())) / self.names.stages / level;
                let before = if nth == 0 && 0 < level {
                    Some(Downsample::new(&p / self.names.downsample, inputs, channels)?)
                } else {
                    None
                };
                layers.push(Box::new(self.block(
                    &p / self.names.blocks / nth,
                    before,
                    channels,
                )?));
            }
            inputs = channels;
        }
        let top = loader.part(Part::Layer(self.layers() - 1));
        let norm = &top / self.names.last_norm;
        let tail = LastNorm(LayerNorm::new(norm, self.width(), self.last_eps)?);
        top.list_with_head(self.names.last_norm);
        let head = conv::head(loader.part(Part::Head) / self.names.head, self.width(), options)?;
        Ok(Stages::new(Box::new(stem), layers, vec![Box::new(Pool), Box::new(tail)], head))
    }
}

impl ConvNext {
    fn block(
        &self,
        p: Names,
        before: Option<Downsample>,
        channels: i64,
    ) -> Result<Block, ModelError> {
        let depthwise =
            Shape { kernel: 7, groups: channels, ..Shape::pointwise(channels, channels) };
        let inner = EXPANSION * channels;
        // A scale acts like the weight of a norm, and is decayed as little.
        let scale = if self.scale {
            Some(p.norm_tensor(self.names.scale, &[channels], Fill::One)?)
        } else {
            None
        };
        Ok(Block {
            before,
            depthwise: Conv2d::with_bias(&p / self.names.depthwise, depthwise)?,
            norm: LayerNorm::new(&p / self.names.norm, channels, EPS)?,
            up: Map::new(&p / self.names.up, channels, inner, self.pointwise)?,
            down: Map::new(&p / self.names.down, inner, channels, self.pointwise)?,
            scale,
        })
    }
}

/// (batch, channels, height, width) -> (batch, height, width, channels), which is how it lies in
/// memory.
fn channels_last(xs: &Tensor) -> Result<Tensor, TchError> {
    xs.f_permute([0, 2, 3, 1])
}

/// The way back.
fn channels_first(xs: &Tensor) -> Result<Tensor, TchError> {
    xs.f_permute([0, 3, 1, 2])
}

struct Stem {
    conv: Conv2d,
    norm: LayerNorm,
}

impl Stage for Stem {
    fn forward(&self, xs: &Tensor, _: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        channels_first(&self.norm.forward(&channels_last(&self.conv.forward(xs)?)?)?)
    }
}

/// Halves the resolution between two stages.
struct Downsample {
    norm: LayerNorm,
    conv: Conv2d,
}

impl Downsample {
    fn new(p: Names, inputs: i64, outputs: i64) -> Result<Downsample, ModelError> {
        let shape = Shape {
            kernel: 2,
            stride: 2,
            padding: Padding::Valid,
            ..Shape::pointwise(inputs, outputs)
        };
        Ok(Downsample {
            norm: LayerNorm::new(&p / 0, inputs, EPS)?,
            conv: Conv2d::with_bias(&p / 1, shape)?,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        self.conv.forward(&channels_first(&self.norm.forward(&channels_last(xs)?)?)?)
    }
}

/// A linear map under either of its forms.
enum Map {
    Linear(Linear),
    Pointwise(Pointwise),
}

impl Map {
    fn new(p: Names, inputs: i64, outputs: i64, pointwise: bool) -> Result<Map, ModelError> {
        Ok(if pointwise {
            Map::Pointwise(Pointwise::new(p, inputs, outputs)?)
        } else {
            Map::Linear(Linear::new(p, inputs, outputs)?)
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Map::Linear(map) => map.forward(xs),
            Map::Pointwise(map) => map.forward(xs),
        }
    }
}

struct Block {
    before: Option<Downsample>,
    depthwise: Conv2d,
    norm: LayerNorm,
    up: Map,
    down: Map,
    scale: Option<Tensor>,
}

impl Stage for Block {
    fn forward(&self, xs: &Tensor, _: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        let xs =
            self.before.as_ref().map_or_else(|| Ok(xs.shallow_clone()), |it| it.forward(xs))?;
        let ys = self.norm.forward(&channels_last(&self.depthwise.forward(&xs)?)?)?;
        let mut ys = self.down.forward(&self.up.forward(&ys)?.f_gelu("none")?)?;
        if let Some(scale) = &self.scale {
            ys = ys.f_mul(scale)?;
        }
        channels_first(&ys)?.f_add(&xs)
    }
}

struct LastNorm(LayerNorm);

impl Stage for LastNorm {
    fn forward(&self, xs: &Tensor, _: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        self.0.forward(xs)
    }
}
