//! ResNet (He et al. 2015), with the stride of a bottleneck in its 3x3 convolution ("v1.5"): as
//! timm and torchvision have it, which share their names, and as `ResNetForImageClassification`.

use crate::architecture::{Architecture, Family};
use crate::config_json::{ClassNames, ConfigJson, Origin};
use crate::conv::{self, ConvNorm, Nonlinearity, NormRule, Padding, Pool, Shape};
use crate::error::ModelError;
use crate::layout::Layout;
use crate::load::{Loader, Names, Part};
use crate::model::{BuildOptions, Pass};
use crate::stages::{Stage, Stages};
use serde::Deserialize;
use tch::{TchError, Tensor};

/// Blocks of each of the four resolutions, and whether they are bottlenecks.
const VARIANTS: &[(&str, [usize; 4], bool)] = &[
    ("resnet18", [2, 2, 2, 2], false),
    ("resnet34", [3, 4, 6, 3], false),
    ("resnet50", [3, 4, 6, 3], true),
    ("resnet101", [3, 4, 23, 3], true),
    ("resnet152", [3, 8, 36, 3], true),
];

pub(crate) const FAMILY: Family = Family {
    timm: &["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"],
    transformers: &[(
        "resnet",
        ClassNames::of_images("ResNetModel", "ResNetForImageClassification"),
    )],
    read,
};

/// Channels of a bottleneck's output for one of its 3x3 convolution.
const EXPANSION: i64 = 4;

struct ResNet {
    /// Under transformers' names.
    transformers: bool,
    bottleneck: bool,
    /// Channels after the first convolution.
    stem: i64,
    /// Blocks and output channels of each resolution.
    levels: Vec<(usize, i64)>,
    /// The first of them halves the resolution too.
    first_halves: bool,
    /// A bottleneck's stride is in its first convolution ("v1").
    early_stride: bool,
}

/// Arguments of timm's `create_model` for a ResNet that are built.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    layers: Option<Vec<usize>>,
    channels: Option<Vec<i64>>,
}

/// `ResNetConfig` with its defaults.
#[derive(Deserialize)]
#[serde(default)]
struct HfConfig {
    num_channels: i64,
    embedding_size: i64,
    hidden_sizes: Vec<i64>,
    depths: Vec<usize>,
    layer_type: String,
    hidden_act: String,
    downsample_in_first_stage: bool,
    downsample_in_bottleneck: bool,
}

impl Default for HfConfig {
    fn default() -> HfConfig {
        HfConfig {
            num_channels: 3,
            embedding_size: 64,
            hidden_sizes: vec![256, 512, 1024, 2048],
            depths: vec![3, 4, 6, 3],
            layer_type: "bottleneck".into(),
            hidden_act: "relu".into(),
            downsample_in_first_stage: false,
            downsample_in_bottleneck: false,
        }
    }
}

fn read(config: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let model = match config.origin {
        Origin::Timm { architecture } => timm(config, architecture)?,
        Origin::Transformers { .. } => transformers(config)?,
    };
    config.check_sizes("the stem's channels", [&model.stem])?;
    config.check_sizes("a stage's channels", model.levels.iter().map(|it| &it.1))?;
    config.check_depths(model.levels.iter().map(|it| it.0))?;
    if model.bottleneck && model.levels.iter().any(|it| it.1 % EXPANSION != 0) {
        return Err(config.wrong(
            "hidden_sizes",
            format!("{:?}", model.levels),
            format!("multiples of {EXPANSION}"),
        ));
    }
    Ok(Box::new(model))
}

fn timm(config: &ConfigJson, architecture: &str) -> Result<ResNet, ModelError> {
    let Some((_, blocks, bottleneck)) = VARIANTS.iter().find(|it| it.0 == architecture) else {
        return Err(config.wrong("architecture", architecture, "a ResNet"));
    };
    let args: Args = config.conv_args()?;
    let blocks = args.layers.unwrap_or(blocks.to_vec());
    let channels = args.channels.unwrap_or(vec![64, 128, 256, 512]);
    if blocks.len() != channels.len() || 4 < blocks.len() {
        return Err(config.wrong(
            "model_args.layers",
            format!("{blocks:?}"),
            format!("as many as the {} channels, at most 4", channels.len()),
        ));
    }
    config.check_sizes("model_args.channels", &channels)?;
    let expansion = if *bottleneck { EXPANSION } else { 1 };
    let levels = blocks.into_iter().zip(channels.iter().map(|it| expansion * it)).collect();
    Ok(ResNet {
        transformers: false,
        bottleneck: *bottleneck,
        stem: 64,
        levels,
        first_halves: false,
        early_stride: false,
    })
}

fn transformers(config: &ConfigJson) -> Result<ResNet, ModelError> {
    let json: HfConfig = config.whole()?;
    if json.num_channels != 3 {
        return Err(config.wrong("num_channels", json.num_channels, "3, for red, green and blue"));
    }
    if json.hidden_act != "relu" {
        return Err(config.wrong("hidden_act", json.hidden_act, "relu"));
    }
    if !["basic", "bottleneck"].contains(&json.layer_type.as_str()) {
        return Err(config.wrong("layer_type", json.layer_type, "basic or bottleneck"));
    }
    if json.depths.len() != json.hidden_sizes.len() {
        return Err(config.wrong(
            "depths",
            format!("{:?}", json.depths),
            format!("as many as the {} hidden sizes", json.hidden_sizes.len()),
        ));
    }
    Ok(ResNet {
        transformers: true,
        bottleneck: json.layer_type == "bottleneck",
        stem: json.embedding_size,
        levels: json.depths.into_iter().zip(json.hidden_sizes).collect(),
        first_halves: json.downsample_in_first_stage,
        early_stride: json.downsample_in_bottleneck,
    })
}

impl Architecture for ResNet {
    fn width(&self) -> i64 {
        self.levels.last().map_or(0, |it| it.1)
    }

    fn layers(&self) -> usize {
        self.levels.iter().map(|it| it.0).sum()
    }

    fn body(&self) -> (&'static str, &'static [&'static str]) {
        if self.transformers { ("resnet", &["embedder", "encoder"]) } else { ("", &[]) }
    }

    fn build(&self, loader: &Loader, options: &BuildOptions) -> Result<Stages, ModelError> {
        let stem = loader.part(Part::Embeddings);
        let (conv, norm) = if self.transformers {
            let p = stem / "resnet" / "embedder" / "embedder";
            (&p / "convolution", &p / "normalization")
        } else {
            (&stem / "conv1", &stem / "bn1")
        };
        let shape = Shape {
            inputs: 3,
            outputs: self.stem,
            kernel: 7,
            stride: 2,
            groups: 1,
            padding: Padding::Even,
        };
        let stem =
            Box::new(Stem(ConvNorm::new(conv, norm, shape, NormRule::TORCH, Nonlinearity::Relu)?));
        let layers = self.blocks(loader)?;
        let head = loader.part(Part::Head);
        let head = if self.transformers { head / "classifier" / 1 } else { head / "fc" };
        Ok(Stages::new(
            stem,
            layers,
            vec![Box::new(Pool)],
            conv::head(head, self.width(), options)?,
        ))
    }
}

impl ResNet {
    fn blocks(&self, loader: &Loader) -> Result<Vec<Box<dyn Stage>>, ModelError> {
        let mut layers: Vec<Box<dyn Stage>> = Vec::new();
        let mut inputs = self.stem;
        for (level, &(blocks, outputs)) in self.levels.iter().enumerate() {
            for nth in 0..blocks {
                let root = loader.part(Part::Layer(layers.len()));
                let p = if self.transformers {
                    root / "resnet" / "encoder" / "stages" / level / "layers" / nth
                } else {
                    root / format!("layer{}", level + 1) / nth
                };
                let halves = nth == 0 && (0 < level || self.first_halves);
                layers.push(Box::new(self.block(
                    p,
                    inputs,
                    outputs,
                    if halves { 2 } else { 1 },
                )?));
                inputs = outputs;
            }
        }
        Ok(layers)
    }

    fn block(&self, p: Names, inputs: i64, outputs: i64, stride: i64) -> Result<Block, ModelError> {
        let inner = if self.bottleneck { outputs / EXPANSION } else { outputs };
        // Kernel, stride, outputs of each convolution.
        let (early, late) = if self.early_stride { (stride, 1) } else { (1, stride) };
        let plan: &[(i64, i64, i64)] = if self.bottleneck {
            &[(1, early, inner), (3, late, inner), (1, 1, outputs)]
        } else {
            &[(3, stride, inner), (3, 1, outputs)]
        };
        let mut path = Vec::new();
        let mut channels = inputs;
        for (k, &(kernel, stride, outputs)) in plan.iter().enumerate() {
            let (conv, norm) = if self.transformers {
                let p = &p / "layer" / k;
                (&p / "convolution", &p / "normalization")
            } else {
                (&p / format!("conv{}", k + 1), &p / format!("bn{}", k + 1))
            };
            let then = if k + 1 == plan.len() { Nonlinearity::None } else { Nonlinearity::Relu };
            let shape = Shape {
                inputs: channels,
                outputs,
                kernel,
                stride,
                groups: 1,
                padding: Padding::Even,
            };
            path.push(ConvNorm::new(conv, norm, shape, NormRule::TORCH, then)?);
            channels = outputs;
        }
        let shortcut = if stride == 1 && inputs == outputs {
            None
        } else {
            let (conv, norm) = if self.transformers {
                (&p / "shortcut" / "convolution", &p / "shortcut" / "normalization")
            } else {
                (&p / "downsample" / 0, &p / "downsample" / 1)
            };
            let shape = Shape { stride, ..Shape::pointwise(inputs, outputs) };
            Some(ConvNorm::new(conv, norm, shape, NormRule::TORCH, Nonlinearity::None)?)
        };
        Ok(Block { path, shortcut })
    }
}

struct Stem(ConvNorm);

impl Stage for Stem {
    fn forward(&self, xs: &Tensor, _: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        self.0.forward(xs, pass)?.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)
    }
}

struct Block {
    path: Vec<ConvNorm>,
    /// None: what comes in is added as it is.
    shortcut: Option<ConvNorm>,
}

impl Stage for Block {
    fn forward(&self, xs: &Tensor, _: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        let mut ys = xs.shallow_clone();
        for unit in &self.path {
            ys = unit.forward(&ys, pass)?;
        }
        let shortcut = match &self.shortcut {
            Some(unit) => unit.forward(xs, pass)?,
            None => xs.shallow_clone(),
        };
        Nonlinearity::Relu.apply(ys.f_add_(&shortcut)?)
    }
}
