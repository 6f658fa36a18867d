//! Numbers: the mean of their squared errors, `torch.nn.MSELoss`, each in units of its standard
//! deviation over the training examples, so that none of several dominates and all losses of a run
//! can be compared.

use super::Evaluated;
use super::supervised::Criterion;
use crate::units::deviations;
use anyhow::Result;
use finetuned_answers::Target;
use finetuned_job::data::NumberReport;
use tch::{Device, Kind, Reduction, Tensor};

pub(super) struct SquaredError {
    /// Of each number over the training examples; 1 where it is always the same.
    deviations: Vec<f64>,
}

impl SquaredError {
    /// `outputs`: how many numbers, where nothing is known of them.
    pub(super) fn new(numbers: &[NumberReport], outputs: usize) -> SquaredError {
        if numbers.is_empty() {
            return SquaredError::with(vec![1.0; outputs]);
        }
        SquaredError::with(deviations(numbers))
    }

    pub(super) fn with(deviations: Vec<f64>) -> SquaredError {
        SquaredError { deviations }
    }
}

impl Criterion for SquaredError {
    /// (batch, numbers), of the data
    fn targets(&self, targets: &[&Target], device: Device) -> Result<Tensor> {
        let rows = targets.iter().flat_map(|it| it.numbers());
        let rows: Vec<f32> = rows.map(|&it| it as f32).collect();
        let shape = [targets.len() as i64, self.deviations.len() as i64];
        Ok(Tensor::f_from_slice(&rows)?.f_view(shape)?.f_to(device)?)
    }

    fn weight(&self, targets: &[&Target]) -> f64 {
        (targets.len() * self.deviations.len()) as f64
    }

    fn loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor> {
        Ok(outputs.f_mse_loss(targets, Reduction::Sum)?)
    }

    fn mixes_targets(&self) -> bool {
        true
    }

    /// The numbers, and of each example the mean of their squared errors in units of their
    /// deviation.
    fn evaluate(&self, outputs: &Tensor, targets: &Tensor) -> Result<Evaluated> {
        let deviations = Tensor::f_from_slice(&self.deviations)?.f_to(outputs.device())?;
        let errors = outputs.f_sub(&targets.f_to_kind(Kind::Double)?)?.f_div(&deviations)?;
        let losses = errors.f_square()?.f_mean_dim([-1].as_slice(), false, Kind::Double)?;
        Ok(Evaluated { rows: None, weights: None, values: outputs.shallow_clone(), losses })
    }
}
