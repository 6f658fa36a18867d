//! The loss of sampled answers: how much likelier each token is than when it was sampled, clipped,
//! times how much better its answer is, and how far the model has gone from its base.

use anyhow::Result;
use finetuned_job::recipe::{GrpoChoice, GrpoLoss};
use tch::{Kind, Tensor};

/// Tokens of answers, one answer behind the other: log-probabilities, (tokens) each.
pub(super) struct Tokens {
    pub now: Tensor,
    /// By the model that sampled them.
    pub old: Tensor,
    /// By the base, where somebody asks for it.
    pub base: Option<Tensor>,
    /// Of each answer, its tokens and its advantage.
    pub of: Vec<(usize, f64)>,
}

/// The sum over all tokens; of `grpo` each over those of its answer, of `bnpo` over all of them.
pub(super) fn sum(of: &Tokens, choice: &GrpoChoice) -> Result<Tensor> {
    let each = |value: fn(&(usize, f64)) -> f64| -> Result<Tensor> {
        let all: Vec<f32> =
            of.of.iter().flat_map(|it| std::iter::repeat_n(value(it) as f32, it.0)).collect();
        Ok(Tensor::f_from_slice(&all)?.f_to(of.now.device())?)
    };
    let advantages = each(|it| it.1)?;
    let ratio = of.now.f_sub(&of.old)?.f_exp()?;
    let clipped = ratio.f_clamp(1.0 - choice.epsilon, 1.0 + choice.epsilon_high)?;
    let mut losses = ratio.f_mul(&advantages)?.f_minimum(&clipped.f_mul(&advantages)?)?.f_neg()?;
    if let Some(base) = &of.base {
        let ahead = base.f_sub(&of.now)?;
        let divergence = ahead.f_exp()?.f_sub(&ahead)?.f_sub_scalar(1.0)?;
        losses = losses.f_add(&divergence.f_mul_scalar(choice.beta)?)?;
    }
    let weighted = match choice.loss_type {
        GrpoLoss::Grpo => losses.f_mul(&each(|it| 1.0 / it.0 as f64)?)?,
        GrpoLoss::Bnpo => losses.f_div_scalar(losses.numel() as f64)?,
        GrpoLoss::DrGrpo | GrpoLoss::Dapo => losses,
    };
    Ok(weighted.f_sum(Kind::Float)?)
}
