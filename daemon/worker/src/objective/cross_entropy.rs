//! One class of several: `torch.nn.CrossEntropyLoss`, with class weights and label smoothing.

use super::Evaluated;
use super::supervised::Criterion;
use anyhow::Result;
use finetuned_answers::Target;
use finetuned_job::plan::Plan;
use tch::{Device, Kind, Reduction, TchError, Tensor};

/// torch's default for a label that does not count; ours all do.
pub(super) const IGNORE_INDEX: i64 = -100;

pub(super) struct CrossEntropy {
    /// (classes), where classes weigh differently; on the device, and to be read.
    class_weights: Option<(Tensor, Vec<f64>)>,
    pub(super) label_smoothing: f64,
}

impl CrossEntropy {
    pub(super) fn new(plan: &Plan, device: Device) -> Result<CrossEntropy> {
        CrossEntropy::with(&plan.train.class_weight_values, plan.train.label_smoothing, device)
    }

    /// `weights`: of each class; empty where all weigh the same.
    pub(super) fn with(weights: &[f64], label_smoothing: f64, device: Device) -> Result<Self> {
        let on_device = || Tensor::f_from_slice(weights)?.f_to_kind(Kind::Float)?.f_to(device);
        let class_weights =
            (!weights.is_empty()).then(|| Ok::<_, tch::TchError>((on_device()?, weights.to_vec())));
        Ok(CrossEntropy { class_weights: class_weights.transpose()?, label_smoothing })
    }

    /// How many these classes are, or the sum of their weights.
    pub(super) fn weight_of(&self, classes: impl Iterator<Item = u32>) -> f64 {
        match &self.class_weights {
            Some((_, weights)) => classes.map(|it| weights[it as usize]).sum(),
            None => classes.count() as f64,
        }
    }
}

/// Of all rows of `outputs`. `weights`: of the classes.
pub(super) fn sum(
    outputs: &Tensor,
    targets: &Tensor,
    weights: Option<&Tensor>,
    label_smoothing: f64,
) -> Result<Tensor, TchError> {
    outputs.f_cross_entropy_loss(targets, weights, Reduction::Sum, IGNORE_INDEX, label_smoothing)
}

fn class(target: &Target) -> u32 {
    target.classes().first().copied().unwrap_or(0)
}

impl Criterion for CrossEntropy {
    /// (batch) int64
    fn targets(&self, targets: &[&Target], device: Device) -> Result<Tensor> {
        let classes: Vec<i64> = targets.iter().map(|it| class(it).into()).collect();
        Ok(Tensor::f_from_slice(&classes)?.f_to(device)?)
    }

    fn example_weight(&self, targets: &[&Target]) -> f64 {
        self.weight_of(targets.iter().map(|it| class(it)))
    }

    fn loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let weights = self.class_weights.as_ref().map(|it| &it.0);
        Ok(sum(outputs, targets, weights, self.label_smoothing)?)
    }

    fn weigh(&self, losses: &Tensor, targets: &Tensor) -> Result<Tensor> {
        Ok(match &self.class_weights {
            Some((weights, _)) => losses.f_mul(&weights.f_index_select(0, targets)?)?,
            None => losses.shallow_clone(),
        })
    }

    /// Probabilities of the classes, and the cross-entropy without smoothing and weights.
    fn evaluate(&self, outputs: &Tensor, targets: &Tensor) -> Result<Evaluated> {
        let log_p = outputs.f_log_softmax(-1, Kind::Double)?;
        let losses = log_p.f_gather(1, &targets.f_unsqueeze(1)?, false)?;
        Ok(Evaluated {
            rows: None,
            weights: None,
            values: log_p.f_exp()?,
            losses: losses.f_squeeze_dim(1)?.f_neg()?,
        })
    }
}
