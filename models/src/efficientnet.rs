//! EfficientNet-Lite (Google 2020: EfficientNet, Tan and Le 2019, without squeeze and excitation
//! and with ReLU6), as timm has it: `efficientnet_lite0`, and `tf_` for weights that were trained
//! with TensorFlow's padding.

use crate::architecture::{Architecture, Family};
use crate::config_json::ConfigJson;
use crate::conv::{self, ConvNorm, Nonlinearity, NormRule, Padding, Pool, Shape};
use crate::error::ModelError;
use crate::inverted::{self, Level, Manner, Row, inverted, scaled, separable};
use crate::load::{Loader, Part};
use crate::model::BuildOptions;
use crate::stages::Stages;
use serde::Deserialize;

/// Width and depth for those of Lite0.
const VARIANTS: &[(&str, f64, f64)] = &[
    ("efficientnet_lite0", 1.0, 1.0),
    ("efficientnet_lite1", 1.0, 1.1),
    ("efficientnet_lite2", 1.1, 1.2),
    ("efficientnet_lite3", 1.2, 1.4),
    ("efficientnet_lite4", 1.4, 1.8),
];

const STAGES: [&[Row]; 7] = [
    &[separable(1, 3, 1, 16)],
    &[inverted(2, 3, 2, 6.0, 24)],
    &[inverted(2, 5, 2, 6.0, 40)],
    &[inverted(3, 3, 2, 6.0, 80)],
    &[inverted(3, 5, 1, 6.0, 112)],
    &[inverted(4, 5, 2, 6.0, 192)],
    &[inverted(1, 3, 1, 6.0, 320)],
];

/// Neither end grows with the width.
const STEM: i64 = 32;
const FEATURES: i64 = 1280;

pub(crate) const FAMILY: Family = Family {
    timm: &[
        "efficientnet_lite0",
        "efficientnet_lite1",
        "efficientnet_lite2",
        "efficientnet_lite3",
        "efficientnet_lite4",
        "tf_efficientnet_lite0",
        "tf_efficientnet_lite1",
        "tf_efficientnet_lite2",
        "tf_efficientnet_lite3",
        "tf_efficientnet_lite4",
    ],
    transformers: &[],
    read,
};

/// What timm marks with `tf_`.
pub(crate) const TENSORFLOW: (Padding, NormRule) =
    (Padding::Same, NormRule { eps: 1e-3, momentum: 0.1 });

struct EfficientNet {
    width: f64,
    depth: f64,
    manner: Manner,
}

/// No argument of timm's `create_model` for one changes what is built here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {}

fn read(config: &ConfigJson) -> Result<Box<dyn Architecture>, ModelError> {
    let Args {} = config.conv_args()?;
    let name = config.architecture();
    let (plain, (padding, norm)) = match name.strip_prefix("tf_") {
        Some(plain) => (plain, TENSORFLOW),
        None => (name, (Padding::Even, NormRule::TORCH)),
    };
    let Some(&(_, width, depth)) = VARIANTS.iter().find(|it| it.0 == plain) else {
        return Err(config.wrong("architecture", name, "an EfficientNet-Lite"));
    };
    Ok(Box::new(EfficientNet {
        width,
        depth,
        manner: Manner { padding, norm, nonlinearity: Nonlinearity::Relu6 },
    }))
}

impl EfficientNet {
    fn levels(&self) -> Vec<Level> {
        let ends = [0, STAGES.len() - 1];
        STAGES
            .iter()
            .enumerate()
            .map(|(k, &rows)| Level {
                rows,
                depth: if ends.contains(&k) { 1.0 } else { self.depth },
            })
            .collect()
    }
}

impl Architecture for EfficientNet {
    fn width(&self) -> i64 {
        FEATURES
    }

    fn layers(&self) -> usize {
        inverted::count(&self.levels())
    }

    fn build(&self, loader: &Loader, options: &BuildOptions) -> Result<Stages, ModelError> {
        let Manner { padding, norm, nonlinearity } = self.manner;
        let stem = loader.part(Part::Embeddings);
        let shape = Shape { kernel: 3, stride: 2, padding, ..Shape::pointwise(3, STEM) };
        let stem = ConvNorm::new(&stem / "conv_stem", &stem / "bn1", shape, norm, nonlinearity)?;
        let layers = inverted::blocks(loader, &self.levels(), STEM, self.width, self.manner)?;
        let top = loader.part(Part::Layer(self.layers() - 1));
        let shape = Shape::pointwise(scaled(320, self.width), FEATURES);
        let tail = ConvNorm::new(&top / "conv_head", &top / "bn2", shape, norm, nonlinearity)?;
        let head = conv::head(loader.part(Part::Head) / "classifier", FEATURES, options)?;
        Ok(Stages::new(Box::new(stem), layers, vec![Box::new(tail), Box::new(Pool)], head))
    }
}
