//! MobileNetV3 (Howard et al. 2019), large and small, as timm has it: the last linear map but one
//! comes after pooling and belongs to the body here, since it is pretrained too.

use crate::architecture::{Architecture, Family};
use crate::config_json::ConfigJson;
use crate::conv::{self, ConvNorm, Nonlinearity, NormRule, Padding, Pointwise, Pool, Shape};
use crate::efficientnet::TENSORFLOW;
use crate::error::ModelError;
use crate::inverted::{self, Level, Manner, Row, inverted, plain, scaled, separable};
use crate::layout::Layout;
use crate::load::{Loader, Part};
use crate::model::{BuildOptions, Pass};
use crate::stages::{Stage, Stages};
use serde::Deserialize;
use tch::{TchError, Tensor};

const LARGE: &[&[Row]] = &[
    &[separable(1, 3, 1, 16).relu()],
    &[inverted(1, 3, 2, 4.0, 24).relu(), inverted(1, 3, 1, 3.0, 24).relu()],
    &[inverted(3, 5, 2, 3.0, 40).squeezed().relu()],
    &[inverted(1, 3, 2, 6.0, 80), inverted(1, 3, 1, 2.5, 80), inverted(2, 3, 1, 2.3, 80)],
    &[inverted(2, 3, 1, 6.0, 112).squeezed()],
    &[inverted(3, 5, 2, 6.0, 160).squeezed()],
    &[plain(960)],
];

const SMALL: &[&[Row]] = &[
    &[separable(1, 3, 2, 16).squeezed().relu()],
    &[inverted(1, 3, 2, 4.5, 24).relu(), inverted(1, 3, 1, 3.67, 24).relu()],
    &[inverted(1, 5, 2, 4.0, 40).squeezed(), inverted(2, 5, 1, 6.0, 40).squeezed()],
    &[inverted(2, 5, 1, 3.0, 48).squeezed()],
    &[inverted(3, 5, 2, 6.0, 96).squeezed()],
    &[plain(576)],
];

struct Size {
    stages: &'static [&'static [Row]],
    /// Channels of the last stage.
    top: i64,
    features: i64,
}

const SIZES: &[(&str, Size)] = &[
    ("large", Size { stages: LARGE, top: 960, features: 1280 }),
    ("small", Size { stages: SMALL, top: 576, features: 1024 }),
];
const WIDTHS: &[(&str, f64)] = &[("050", 0.5), ("075", 0.75), ("100", 1.0)];
const STEM: i64 = 16;
/// Below, the stem keeps its width.
const STEM_SCALES_FROM: f64 = 0.75;

pub(crate) const FAMILY: Family = Family {
    timm: &[
        "mobilenetv3_large_075",
        "mobilenetv3_large_100",
        "mobilenetv3_small_050",
        "mobilenetv3_small_075",
        "mobilenetv3_small_100",
        "tf_mobilenetv3_large_075",
        "tf_mobilenetv3_large_100",
        "tf_mobilenetv3_small_075",
        "tf_mobilenetv3_small_100",
    ],
    transformers: &[],
    read,
};

struct MobileNet {
    size: &'static Size,
    width: f64,
    manner: Manner,
}

/// No argument of timm's `create_model` for one changes what is built here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {}

fn read(config: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let Args {} = config.conv_args()?;
    let name = config.architecture();
    let (padding, norm) =
        if name.starts_with("tf_") { TENSORFLOW } else { (Padding::Even, NormRule::TORCH) };
    let size = SIZES.iter().find(|it| name.contains(it.0)).map(|it| &it.1);
    let width = WIDTHS.iter().find(|it| name.ends_with(it.0)).map(|it| it.1);
    let (Some(size), Some(width)) = (size, width) else {
        return Err(config.wrong("architecture", name, "a MobileNetV3"));
    };
    Ok(Box::new(MobileNet {
        size,
        width,
        manner: Manner { padding, norm, nonlinearity: Nonlinearity::HardSwish },
    }))
}

impl MobileNet {
    fn levels(&self) -> Vec<Level> {
        self.size.stages.iter().map(|&rows| Level { rows, depth: 1.0 }).collect()
    }
}

impl Architecture for MobileNet {
    fn width(&self) -> i64 {
        self.size.features
    }

    fn layers(&self) -> usize {
        inverted::count(&self.levels())
    }

    fn build(&self, loader: &Loader, options: &BuildOptions) -> Result<Stages, ModelError> {
        let Manner { padding, norm, nonlinearity } = self.manner;
        let root = loader.part(Part::Embeddings);
        let channels = if self.width < STEM_SCALES_FROM { STEM } else { scaled(STEM, self.width) };
        let shape = Shape { kernel: 3, stride: 2, padding, ..Shape::pointwise(3, channels) };
        let stem = ConvNorm::new(&root / "conv_stem", &root / "bn1", shape, norm, nonlinearity)?;
        let layers = inverted::blocks(loader, &self.levels(), channels, self.width, self.manner)?;
        let top = loader.part(Part::Layer(self.layers() - 1));
        let inputs = scaled(self.size.top, self.width);
        let tail = Top(Pointwise::new(&top / "conv_head", inputs, self.size.features)?);
        top.list_with_head("conv_head");
        let head = conv::head(loader.part(Part::Head) / "classifier", self.size.features, options)?;
        Ok(Stages::new(Box::new(stem), layers, vec![Box::new(Pool), Box::new(tail)], head))
    }
}

struct Top(Pointwise);

impl Stage for Top {
    fn forward(&self, xs: &Tensor, _: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        Nonlinearity::HardSwish.apply(self.0.forward(xs)?)
    }
}
