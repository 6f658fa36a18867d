//! Any number of classes, each by itself: `torch.nn.BCEWithLogitsLoss`, with label smoothing.

use super::Evaluated;
use super::supervised::Criterion;
use anyhow::Result;
use finetuned_answers::Target;
use finetuned_job::plan::Plan;
use tch::{Device, Kind, Reduction, Tensor};

pub(super) struct BinaryCrossEntropy {
    classes: usize,
    label_smoothing: f64,
}

impl BinaryCrossEntropy {
    pub(super) fn new(plan: &Plan) -> BinaryCrossEntropy {
        BinaryCrossEntropy::with(plan.data.outputs().len(), plan.train.label_smoothing)
    }

    pub(super) fn with(classes: usize, label_smoothing: f64) -> BinaryCrossEntropy {
        BinaryCrossEntropy { classes, label_smoothing }
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
        Ok(outputs.f_binary_cross_entropy_with_logits::<Tensor>(
            &smoothed,
            None,
            None,
            Reduction::Sum,
        )?)
    }

    /// Probabilities of the classes, and of each example the mean of the classes' cross-entropies.
    fn evaluate(&self, outputs: &Tensor, targets: &Tensor) -> Result<Evaluated> {
        let losses = outputs.f_binary_cross_entropy_with_logits::<Tensor>(
            &targets.f_to_kind(Kind::Double)?,
            None,
            None,
            Reduction::None,
        )?;
        let losses = losses.f_mean_dim([-1].as_slice(), false, Kind::Double)?;
        Ok(Evaluated { rows: None, values: outputs.f_sigmoid()?, losses })
    }
}
