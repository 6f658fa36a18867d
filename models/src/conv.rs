//! What convolutional nets truly share: convolution, batch norm, both as one, and the head.
//! Names and sizes are the families'.

use crate::error::ModelError;
use crate::layers::{Classifier, linear};
use crate::layout::Layout;
use crate::load::{Fill, Names};
use crate::model::{BuildOptions, HeadKind, Pass};
use crate::stages::Stage;
use tch::{TchError, Tensor};

/// What stands around an image, so that stride 1 leaves its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// None at all: patches that do not overlap.
    Valid,
    /// The same on all sides.
    Even,
    /// TensorFlow's: as little as the stride needs, more of it below and on the right.
    Same,
}

/// A convolution in numbers; kernels are square.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub inputs: i64,
    pub outputs: i64,
    pub kernel: i64,
    pub stride: i64,
    pub groups: i64,
    pub padding: Padding,
}

impl Shape {
    /// Kernel 1, stride 1.
    pub(crate) fn pointwise(inputs: i64, outputs: i64) -> Shape {
        Shape { inputs, outputs, kernel: 1, stride: 1, groups: 1, padding: Padding::Even }
    }
}

pub(crate) struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    shape: Shape,
}

impl Conv2d {
    pub(crate) fn new(p: Names, shape: Shape) -> Result<Conv2d, ModelError> {
        let Shape { inputs, outputs, kernel, groups, .. } = shape;
        Ok(Conv2d {
            weight: p.tensor(
                "weight",
                &[outputs, inputs / groups, kernel, kernel],
                Fill::Random,
            )?,
            bias: None,
            shape,
        })
    }

    pub(crate) fn with_bias(p: Names, shape: Shape) -> Result<Conv2d, ModelError> {
        let bias = |p: &Names| p.tensor("bias", &[shape.outputs], Fill::Zero);
        let conv = Conv2d::new(p.clone(), shape)?;
        Ok(Conv2d { bias: Some(bias(&p)?), ..conv })
    }

    /// (batch, inputs, height, width) -> (batch, outputs, height / stride, width / stride)
    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        self.with(xs, &self.weight, self.bias.as_ref())
    }

    /// As [`Conv2d::forward`], with other numbers of the same shape.
    fn with(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        /// Fewer input channels are less than a block of oneDNN's on any CPU.
        const BLOCK: i64 = 16;
        let Shape { inputs, kernel, stride, groups, padding, .. } = self.shape;
        if kernel == 1 && 1 < stride && inputs < BLOCK {
            // Each output looks at one pixel: those pixels, and a stride of 1. The gradients of
            // oneDNN's own strided kernels (3.12) write past their scratch memory here, where
            // channels lie last (its issue 6035). With more channels theirs are right, and faster.
            let pixels = |xs: &Tensor, axis| xs.f_slice(axis, None, None, stride);
            let xs = pixels(&pixels(xs, 2)?, 3)?;
            return xs.f_conv2d(weight, bias, [1, 1], [0, 0], [1, 1], groups);
        }
        let conv = |xs: &Tensor, padding: [i64; 2]| {
            xs.f_conv2d(weight, bias, [stride, stride], padding, [1, 1], groups)
        };
        match padding {
            Padding::Valid => return conv(xs, [0, 0]),
            Padding::Even => return conv(xs, [(kernel - 1) / 2; 2]),
            Padding::Same => {}
        }
        let (_, _, height, width) = xs.size4()?;
        let missing =
            |size: i64| (((size + stride - 1) / stride - 1) * stride + kernel - size).max(0);
        let (rows, columns) = (missing(height), missing(width));
        if rows % 2 == 0 && columns % 2 == 0 {
            return conv(xs, [rows / 2, columns / 2]);
        }
        conv(
            &xs.f_constant_pad_nd([columns / 2, columns - columns / 2, rows / 2, rows - rows / 2])?,
            [0, 0],
        )
    }
}

/// Batch norm (Ioffe and Szegedy 2015), with statistics that move by `momentum` of what a batch
/// has.
pub(crate) struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    /// Counts the batches. Nothing here needs it; torch has it, so it is kept right.
    num_batches_tracked: Tensor,
    rule: NormRule,
}

/// What a family decides for all its batch norms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NormRule {
    pub eps: f64,
    pub momentum: f64,
}

impl NormRule {
    /// torch's.
    pub(crate) const TORCH: NormRule = NormRule { eps: 1e-5, momentum: 0.1 };
}

impl BatchNorm {
    pub(crate) fn new(p: Names, width: i64, rule: NormRule) -> Result<BatchNorm, ModelError> {
        Ok(BatchNorm {
            weight: p.norm_tensor("weight", &[width], Fill::One)?,
            bias: p.norm_tensor("bias", &[width], Fill::Zero)?,
            running_mean: p.buffer("running_mean", &[width], Fill::Zero)?,
            running_var: p.buffer("running_var", &[width], Fill::One)?,
            num_batches_tracked: p.counter("num_batches_tracked")?,
            rule,
        })
    }

    /// With the statistics of the batch, which the running ones then move towards, once.
    fn train(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor, TchError> {
        if xs.numel() as i64 == self.weight.size1()? {
            // One pixel of one image has no variance: what a batch would have is unknown.
            let (factor, offset) = self.affine()?;
            return xs.f_mul(&factor.f_view([-1, 1, 1])?)?.f_add(&offset.f_view([-1, 1, 1])?);
        }
        if !pass.again {
            let _ = tch::no_grad(|| self.num_batches_tracked.shallow_clone().f_add_scalar_(1))?;
        }
        let running = |it| (!pass.again).then_some(it);
        let (mean, var) = (running(&self.running_mean), running(&self.running_var));
        xs.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            mean,
            var,
            true,
            self.rule.momentum,
            self.rule.eps,
            false,
        )
    }

    /// The norm by running statistics as `factor * x + offset`, for each channel.
    fn affine(&self) -> Result<(Tensor, Tensor), TchError> {
        let factor =
            self.running_var.f_add_scalar(self.rule.eps)?.f_rsqrt()?.f_mul(&self.weight)?;
        let offset = self.bias.f_sub(&self.running_mean.f_mul(&factor)?)?;
        Ok((factor, offset))
    }
}

/// A linear map that timm writes as a convolution of kernel 1.
pub(crate) struct Pointwise {
    weight: Tensor,
    bias: Tensor,
}

impl Pointwise {
    pub(crate) fn new(p: Names, inputs: i64, outputs: i64) -> Result<Pointwise, ModelError> {
        Ok(Pointwise {
            weight: p.tensor("weight", &[outputs, inputs, 1, 1], Fill::Random)?,
            bias: p.tensor("bias", &[outputs], Fill::Zero)?,
        })
    }

    /// (any, inputs) -> (any, outputs)
    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        linear(xs, &self.weight.f_flatten(1, 3)?, Some(&self.bias))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nonlinearity {
    None,
    Relu,
    Relu6,
    HardSwish,
}

impl Nonlinearity {
    /// May write its result over what it is given.
    pub(crate) fn apply(self, mut xs: Tensor) -> Result<Tensor, TchError> {
        match self {
            Nonlinearity::None => Ok(xs),
            Nonlinearity::Relu => xs.f_relu_(),
            Nonlinearity::Relu6 => xs.f_relu6_(),
            Nonlinearity::HardSwish => xs.f_hardswish(),
        }
    }
}

/// Convolution without bias, batch norm, nonlinearity.
pub(crate) struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
    then: Nonlinearity,
}

impl ConvNorm {
    pub(crate) fn new(
        conv: Names,
        norm: Names,
        shape: Shape,
        rule: NormRule,
        then: Nonlinearity,
    ) -> Result<ConvNorm, ModelError> {
        Ok(ConvNorm {
            conv: Conv2d::new(conv, shape)?,
            norm: BatchNorm::new(norm, shape.outputs, rule)?,
            then,
        })
    }

    pub(crate) fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor, TchError> {
        if pass.train && !pass.frozen_statistics {
            return self.then.apply(self.norm.train(&self.conv.forward(xs)?, pass)?);
        }
        // A norm that stands still is a part of the convolution: one pass over memory less.
        let folded = || {
            let (factor, offset) = self.norm.affine()?;
            Ok::<_, TchError>((self.conv.weight.f_mul(&factor.f_view([-1, 1, 1, 1])?)?, offset))
        };
        let (weight, bias) = if pass.train { folded() } else { tch::no_grad(folded) }?;
        self.then.apply(self.conv.with(xs, &weight, Some(&bias))?)
    }
}

impl Stage for ConvNorm {
    fn forward(&self, xs: &Tensor, _: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        self.forward(xs, pass)
    }
}

/// (batch, channels, height, width) -> (batch, channels): the mean over the image.
pub(crate) struct Pool;

impl Stage for Pool {
    fn forward(&self, xs: &Tensor, _: &Layout, _: &Pass) -> Result<Tensor, TchError> {
        xs.f_mean_dim([2i64, 3].as_slice(), false, None)
    }
}

/// The head of a convolutional net, where one is wanted: one linear map, behind dropout that is off
/// unless the caller asks for it. Stochastic depth does not exist here: both are 0 in timm's models
/// too, unless a training script says otherwise.
pub(crate) fn head(
    p: Names,
    width: i64,
    options: &BuildOptions,
) -> Result<Option<Box<dyn Stage>>, ModelError> {
    let HeadKind::Classes(classes) = options.head else { return Ok(None) };
    Ok(Some(Box::new(Classifier::new(p, width, classes, options.dropout.unwrap_or(0.0))?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// Where oneDNN writes too far, it need not be where anybody looks: one pass is not enough.
    const PASSES: usize = 40;

    #[test]
    fn few_channels_and_a_stride_leave_gradients_and_heap_alone() {
        let float = (Kind::Float, Device::Cpu);
        let shape = Shape { stride: 2, ..Shape::pointwise(8, 16) };
        let weight = Tensor::randn([16, 8, 1, 1], float).set_requires_grad(true);
        let conv = Conv2d { weight: weight.shallow_clone(), bias: None, shape };
        for _ in 0..PASSES {
            let pixels = Tensor::randn([7, 24, 24, 8], float);
            let channels_last = pixels.permute([0, 3, 1, 2]);
            let seen = Tensor::randn([7, 16, 12, 12], float);
            let outputs = conv.forward(&channels_last).unwrap();
            (&outputs * &seen).sum(Kind::Float).backward();
            let strided = pixels.slice(1, None, None, 2).slice(2, None, None, 2);
            let expected = Tensor::einsum("bohw,bhwi->oi", &[seen, strided], None::<i64>);
            let off = (weight.grad().view([16, 8]) - expected).abs().max().double_value(&[]);
            assert!(off < 1e-3, "{off}");
            let _ = weight.grad().zero_();
        }
    }
}
