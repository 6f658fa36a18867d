//! The blocks that EfficientNet and MobileNet are rows of (Sandler et al. 2018; squeeze and
//! excitation: Hu et al. 2017), under timm's names, and how a row scales with a model's width and
//! depth.

use crate::conv::{ConvNorm, Nonlinearity, NormRule, Padding, Pointwise, Shape};
use crate::error::ModelError;
use crate::layout::Layout;
use crate::load::{Loader, Names, Part};
use crate::model::Pass;
use crate::stages::Stage;
use tch::{TchError, Tensor};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Depthwise, then pointwise ("ds" in timm).
    Separable,
    /// Wider, depthwise, narrower ("ir").
    Inverted,
    /// One convolution ("cn").
    Plain,
}

/// Blocks of one kind in a row. Only the first has the stride.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    form: Form,
    repeats: usize,
    kernel: i64,
    stride: i64,
    /// Channels within for one that comes in.
    expansion: f64,
    channels: i64,
    squeeze: bool,
    relu: bool,
}

pub(crate) const fn separable(repeats: usize, kernel: i64, stride: i64, channels: i64) -> Row {
    Row {
        form: Form::Separable,
        repeats,
        kernel,
        stride,
        expansion: 1.0,
        channels,
        squeeze: false,
        relu: false,
    }
}

pub(crate) const fn inverted(
    repeats: usize,
    kernel: i64,
    stride: i64,
    expansion: f64,
    channels: i64,
) -> Row {
    Row {
        form: Form::Inverted,
        repeats,
        kernel,
        stride,
        expansion,
        channels,
        squeeze: false,
        relu: false,
    }
}

pub(crate) const fn plain(channels: i64) -> Row {
    Row {
        form: Form::Plain,
        repeats: 1,
        kernel: 1,
        stride: 1,
        expansion: 1.0,
        channels,
        squeeze: false,
        relu: false,
    }
}

impl Row {
    /// With squeeze and excitation.
    pub(crate) const fn squeezed(self) -> Row {
        Row { squeeze: true, ..self }
    }

    /// With ReLU, whatever the model has elsewhere.
    pub(crate) const fn relu(self) -> Row {
        Row { relu: true, ..self }
    }
}

/// What all blocks of a model have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub padding: Padding,
    pub norm: NormRule,
    pub nonlinearity: Nonlinearity,
}

/// `channels * width`, made a multiple of 8 that is not below nine tenths of it.
pub(crate) fn scaled(channels: i64, width: f64) -> i64 {
    let wanted = channels as f64 * width;
    let near = ((wanted + 4.0) as i64 / 8 * 8).max(8);
    if (near as f64) < 0.9 * wanted { near + 8 } else { near }
}

/// Blocks of one stage of timm's, each as deep as `depth` says.
pub(crate) struct Level {
    pub rows: &'static [Row],
    pub depth: f64,
}

impl Level {
    /// (row, blocks) in turn. Only stages of one row are ever made deeper.
    fn repeats(&self) -> impl Iterator<Item = (&'static Row, usize)> {
        let depth = self.depth;
        self.rows.iter().map(move |it| (it, (it.repeats as f64 * depth).ceil() as usize))
    }
}

pub(crate) fn count(levels: &[Level]) -> usize {
    levels.iter().flat_map(Level::repeats).map(|it| it.1).sum()
}

/// `blocks.STAGE.BLOCK` from `inputs` channels upwards.
pub(crate) fn blocks(
    loader: &Loader,
    levels: &[Level],
    inputs: i64,
    width: f64,
    manner: Manner,
) -> Result<Vec<Box<dyn Stage>>, ModelError> {
    let mut layers: Vec<Box<dyn Stage>> = Vec::new();
    let mut channels = inputs;
    for (stage, level) in levels.iter().enumerate() {
        let repeated = level.repeats().flat_map(|(row, blocks)| {
            (0..blocks).map(move |nth| (row, if nth == 0 { row.stride } else { 1 }))
        });
        for (block, (row, stride)) in repeated.enumerate() {
            let p = loader.part(Part::Layer(layers.len())) / "blocks" / stage / block;
            let outputs = scaled(row.channels, width);
            layers.push(Box::new(Block::new(p, row, channels, outputs, stride, manner)?));
            channels = outputs;
        }
    }
    Ok(layers)
}

struct Block {
    before: Vec<ConvNorm>,
    squeeze: Option<Squeeze>,
    after: Option<ConvNorm>,
    /// What comes in is added.
    residual: bool,
}

impl Block {
    fn new(
        p: Names,
        row: &Row,
        inputs: i64,
        outputs: i64,
        stride: i64,
        manner: Manner,
    ) -> Result<Block, ModelError> {
        let Manner { padding, norm, nonlinearity } = manner;
        let then = if row.relu { Nonlinearity::Relu } else { nonlinearity };
        let unit = |conv: &str, bn: &str, shape: Shape, then| {
            ConvNorm::new(&p / conv, &p / bn, shape, norm, then)
        };
        let deep = |channels: i64| Shape {
            kernel: row.kernel,
            stride,
            groups: channels,
            padding,
            ..Shape::pointwise(channels, channels)
        };
        let squeeze = |channels: i64| {
            if row.squeeze { Squeeze::new(&p / "se", channels).map(Some) } else { Ok(None) }
        };
        let residual = stride == 1 && inputs == outputs;
        Ok(match row.form {
            Form::Plain => {
                let shape = Shape {
                    kernel: row.kernel,
                    stride,
                    padding,
                    ..Shape::pointwise(inputs, outputs)
                };
                Block {
                    before: vec![unit("conv", "bn1", shape, then)?],
                    squeeze: None,
                    after: None,
                    residual: false,
                }
            }
            Form::Separable => Block {
                before: vec![unit("conv_dw", "bn1", deep(inputs), then)?],
                squeeze: squeeze(inputs)?,
                after: Some(unit(
                    "conv_pw",
                    "bn2",
                    Shape::pointwise(inputs, outputs),
                    Nonlinearity::None,
                )?),
                residual,
            },
            Form::Inverted => {
                let wide = scaled(inputs, row.expansion);
                Block {
                    before: vec![
                        unit("conv_pw", "bn1", Shape::pointwise(inputs, wide), then)?,
                        unit("conv_dw", "bn2", deep(wide), then)?,
                    ],
                    squeeze: squeeze(wide)?,
                    after: Some(unit(
                        "conv_pwl",
                        "bn3",
                        Shape::pointwise(wide, outputs),
                        Nonlinearity::None,
                    )?),
                    residual,
                }
            }
        })
    }
}

impl Stage for Block {
    fn forward(&self, xs: &Tensor, _: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        let mut ys =
            self.before.iter().try_fold(xs.shallow_clone(), |xs, unit| unit.forward(&xs, pass))?;
        if let Some(squeeze) = &self.squeeze {
            ys = squeeze.forward(&ys)?;
        }
        if let Some(after) = &self.after {
            ys = after.forward(&ys, pass)?;
        }
        if self.residual { ys.f_add_(xs) } else { Ok(ys) }
    }
}

/// Weighs channels by what the whole image has of them, with the hard sigmoid of MobileNetV3.
struct Squeeze {
    reduce: Pointwise,
    expand: Pointwise,
}

impl Squeeze {
    fn new(p: Names, channels: i64) -> Result<Squeeze, ModelError> {
        /// Channels within for one outside.
        const RATIO: f64 = 0.25;
        let within = scaled(channels, RATIO);
        Ok(Squeeze {
            reduce: Pointwise::new(&p / "conv_reduce", channels, within)?,
            expand: Pointwise::new(&p / "conv_expand", within, channels)?,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        let (batch, channels, _, _) = xs.size4()?;
        let seen =
            self.reduce.forward(&xs.f_mean_dim([2i64, 3].as_slice(), false, None)?)?.f_relu_()?;
        let gate = self.expand.forward(&seen)?.f_hardsigmoid()?;
        xs.f_mul(&gate.f_view([batch, channels, 1, 1])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_scale_as_timm_rounds_them() {
        let cases = [
            (32, 1.0, 32),
            (16, 0.5, 8),
            (24, 0.75, 24),
            (40, 0.75, 32),
            (24, 1.1, 24),
            (112, 1.4, 160),
            (16, 3.67, 56),
            (72, 0.25, 24),
        ];
        for (channels, width, expected) in cases {
            assert_eq!(scaled(channels, width), expected, "{channels} * {width}");
        }
    }
}
