//! Any number of classes, each by itself: `torch.nn.BCEWithLogitsLoss`, with `pos_weight` and label
//! smoothing.

use super::Evaluated;
use super::supervised::Criterion;
use anyhow::Result;
use finetuned_answers::Target;
use finetuned_job::plan::Plan;
use tch::{Device, Kind, Reduction, Tensor};

pub(super) struct BinaryCrossEntropy {
    classes: usize,
    /// (classes): what having a class weighs against lacking it, where that is not the same.
    pos_weight: Option<Tensor>,
    label_smoothing: f64,
}

impl BinaryCrossEntropy {
    pub(super) fn new(plan: &Plan, device: Device) -> Result<BinaryCrossEntropy> {
        let train = &plan.train;
        let classes = plan.data.outputs().len();
        BinaryCrossEntropy::with(classes, &train.class_weight_values, train.label_smoothing, device)
    }

    /// `pos_weight`: of each class; empty where all weigh the same.
    pub(super) fn with(
        classes: usize,
        pos_weight: &[f64],
        label_smoothing: f64,
        device: Device,
    ) -> Result<BinaryCrossEntropy> {
        let on_device = || Tensor::f_from_slice(pos_weight)?.f_to_kind(Kind::Float)?.f_to(device);
        let pos_weight = (!pos_weight.is_empty()).then(on_device).transpose()?;
        Ok(BinaryCrossEntropy { classes, pos_weight, label_smoothing })
    }
}

impl Criterion for BinaryCrossEntropy {
    /// (batch, classes) of 0 and 1
    fn targets(&self, targets: &[&Target], device: Device) -> Result<Tensor> {
        let mut rows = vec![0_f32; targets.len() * self.classes];
        for (row, target) in rows.chunks_mut(self.classes.max(1)).zip(targets) {
            target.classes().iter().for_each(|&it| row[it as usize] = 1.0);
        }
        let shape = [targets.len() as i64, self.classes as i64];
        Ok(Tensor::f_from_slice(&rows)?.f_view(shape)?.f_to(device)?)
    }

    fn weight(&self, targets: &[&Target]) -> f64 {
        (targets.len() * self.classes) as f64
    }

    fn loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let smoothed = targets.f_mul_scalar(1.0 - self.label_smoothing)?;
        let smoothed = smoothed.f_add_scalar(self.label_smoothing / 2.0)?;
        Ok(outputs.f_binary_cross_entropy_with_logits(
            &smoothed,
            None,
            self.pos_weight.as_ref(),
            Reduction::Sum,
        )?)
    }

    /// Probabilities of the classes, and of each example the mean of the classes' cross-entropies,
    /// without smoothing and weights.
    fn evaluate(&self, outputs: &Tensor, targets: &Tensor) -> Result<Evaluated> {
        let losses = outputs.f_binary_cross_entropy_with_logits::<Tensor>(
            &targets.f_to_kind(Kind::Double)?,
            None,
            None,
            Reduction::None,
        )?;
        let losses = losses.f_mean_dim([-1].as_slice(), false, Kind::Double)?;
        Ok(Evaluated { rows: None, weights: None, values: outputs.f_sigmoid()?, losses })
    }
}
