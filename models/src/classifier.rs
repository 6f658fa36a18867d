//! The head for a text that encoders share: two linear maps with a bend between them. Decides how
//! it can be one linear map nevertheless, which training begins with. The names of its tensors are
//! the families'.

use crate::error::ModelError;
use crate::layers::{Activation, Dropout, Linear};
use crate::layout::Layout;
use crate::load::Names;
use crate::model::Pass;
use crate::stages::Stage;
use tch::{TchError, Tensor};

/// What stands between the two maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bend {
    Tanh,
    /// Of all activations f(y) - f(-y) = y, so that a bend need not bend anything.
    Activation(Activation),
}

/// What features are divided by before tanh, which is so close to a line there that it only
/// shortens what is far out. A power of two, which no product rounds; larger ones would leave a
/// head that can hardly be trained on.
const TANH_SCALE: f64 = 32.0;
/// What features are raised by before an activation, which is a line from there on: those of normed
/// tokens are above -FLOOR as good as always.
const FLOOR: f64 = 16.0;

impl Bend {
    fn forward(self, xs: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Bend::Tanh => xs.f_tanh(),
            Bend::Activation(it) => it.forward(xs),
        }
    }

    /// What a text's row must go through so that the head can be a linear map of it for so many
    /// classes: nearly nothing.
    pub(crate) fn of_row(self, xs: &Tensor, classes: i64) -> Result<Tensor, TchError> {
        match self {
            Bend::Tanh => {
                self.forward(&xs.f_mul_scalar(1.0 / TANH_SCALE)?)?.f_mul_scalar(TANH_SCALE)
            }
            Bend::Activation(_) if 2 * classes <= xs.size2()?.1 => Ok(xs.shallow_clone()),
            Bend::Activation(_) => self.forward(&xs.f_add_scalar(FLOOR)?)?.f_sub_scalar(FLOOR),
        }
    }
}

/// Where the tensors of a family's head are, and what it does.
pub(crate) struct ClassifierNames {
    pub dense: &'static str,
    pub output: &'static str,
    pub bend: Bend,
}

pub(crate) struct TextClassifier {
    /// Of what the head is given.
    features_dropout: Option<Dropout>,
    dense: Linear,
    bend: Bend,
    dropout: Dropout,
    output: Linear,
}

impl TextClassifier {
    /// `dropout`: of what the head is given, where the family has such, and of what bends.
    pub(crate) fn new(
        p: &Names,
        names: &ClassifierNames,
        width: i64,
        classes: i64,
        dropout: (Option<f64>, f64),
    ) -> Result<TextClassifier, ModelError> {
        let (of_features, of_bent) = dropout;
        Ok(TextClassifier {
            features_dropout: of_features.map(|it| Dropout::of_head(it, 0)),
            dense: Linear::new(p / names.dense, width, width)?,
            bend: names.bend,
            dropout: Dropout::of_head(of_bent, of_features.is_some().into()),
            output: Linear::of_outputs(p / names.output, width, classes)?,
        })
    }
}

impl Stage for TextClassifier {
    fn forward(&self, features: &Tensor, _: &Layout, pass: &Pass) -> Result<Tensor, TchError> {
        let mut xs = features.shallow_clone();
        if let Some(dropout) = &self.features_dropout {
            xs = dropout.forward(xs, pass)?;
        }
        let xs = self.bend.forward(&self.dense.forward(&xs)?)?;
        self.output.forward(&self.dropout.forward(xs, pass)?)
    }

    /// Outputs and their opposites, whose difference they are, where there is room for both.
    fn set_linear(&self, weight: &Tensor, bias: &Tensor) -> Result<bool, TchError> {
        let (classes, width) = weight.size2()?;
        let spare = width - 2 * classes;
        if self.bend == Bend::Tanh || spare < 0 {
            return Ok(false);
        }
        let both = |it: &Tensor| -> Result<Tensor, TchError> {
            let nothing =
                it.f_new_zeros([&[spare], &it.size()[1..]].concat(), (it.kind(), it.device()))?;
            Tensor::f_cat(&[it.shallow_clone(), it.f_neg()?, nothing], 0)
        };
        let one = Tensor::f_eye(classes, (weight.kind(), weight.device()))?;
        let nothing = weight.f_new_zeros([classes, spare], (weight.kind(), weight.device()))?;
        let difference = Tensor::f_cat(&[one.shallow_clone(), one.f_neg()?, nothing], 1)?;
        self.dense.set(&both(weight)?, &both(bias)?)?;
        self.output.set(&difference, &bias.f_zeros_like()?)?;
        Ok(true)
    }

    /// A linear map of [`Bend::of_row`] of what it is given.
    fn set_bent(&self, weight: &Tensor, bias: &Tensor) -> Result<(), TchError> {
        if self.bend == Bend::Tanh {
            self.dense.set_identity(1.0 / TANH_SCALE, 0.0)?;
            return self.output.set(&weight.f_mul_scalar(TANH_SCALE)?, bias);
        }
        if self.set_linear(weight, bias)? {
            return Ok(());
        }
        self.dense.set_identity(1.0, FLOOR)?;
        let raised = weight.f_sum_dim_intlist(1, false, None)?.f_mul_scalar(FLOOR)?;
        self.output.set(weight, &bias.f_sub(&raised)?)
    }
}
