//! Decides whether a plugin's head, in evaluation, computes nothing but a linear map of the
//! features. Then the finished model can have a head of its own family, and needs no plugin to be
//! opened.

use crate::plugins::{HeadInstance, PassNumbers};
use anyhow::Result;
use tch::{Kind, Tensor};

/// How far roundings of fp32 lead, for a largest output of 1.
const EXACT: f64 = 1e-5;
/// Farther than any example is from the others.
const FAR: f64 = -3.0;

/// (outputs, width) and (outputs); none where the head computes something else. `features`: (batch,
/// width), of examples.
pub(crate) fn linear_map(
    head: &HeadInstance,
    features: &Tensor,
) -> Result<Option<(Tensor, Tensor)>> {
    let ask = |features: &Tensor| head.forward(features, None, None, PassNumbers::EVALUATION);
    tch::no_grad(|| {
        // Between two examples lies the mean of what it says of both. A head that bends is found
        // out by this, before it is asked things that no model says.
        let middle = |it: &Tensor| it.f_add(&it.f_roll([1], [0])?)?.f_mul_scalar(0.5);
        if !alike(&middle(&ask(features)?)?, &ask(&middle(features)?)?)? {
            return Ok(None);
        }
        let width = features.size2()?.1;
        let (kind, device) = (Kind::Float, features.device());
        let bias = ask(&Tensor::f_zeros([1, width], (kind, device))?)?;
        let weight = ask(&Tensor::f_eye(width, (kind, device))?)?
            .f_sub(&bias)?
            .f_transpose(0, 1)?
            .f_contiguous()?;
        let bias = bias.f_squeeze_dim(0)?;
        for tried in [features.shallow_clone(), features.f_mul_scalar(FAR)?] {
            if !alike(&tried.f_linear(&weight, Some(&bias))?, &ask(&tried)?)? {
                return Ok(None);
            }
        }
        Ok(Some((weight, bias)))
    })
}

fn alike(a: &Tensor, b: &Tensor) -> Result<bool> {
    let most = |it: &Tensor| it.f_abs()?.f_max()?.f_double_value(&[]);
    Ok(most(&a.f_sub(b)?)? <= EXACT * most(b)?.max(1.0))
}
