//! The units in which numbers are learnt: of each its mean and standard deviation over the training
//! examples.
//!
//! A model learns in these units, so that the learning rate does not depend on whether something is
//! weighed in grams or in tons; the finished one gives numbers in the units of the data, or has
//! these beside it.

use crate::checkpoint::Named;
use anyhow::Result;
use finetuned_job::data::NumberReport;
use tch::{Device, Kind, Tensor};

/// Names in model.safetensors. Tensors of a plugin's head are called `plugin.NAME.…`, those of a
/// model after its architecture: neither can be in the way.
const MEAN: &str = "units.mean";
const DEVIATION: &str = "units.deviation";

/// Of each number. One that is always the same has no unit: 1.
pub(crate) fn deviations(numbers: &[NumberReport]) -> Vec<f64> {
    numbers.iter().map(|it| if 0.0 < it.deviation { it.deviation } else { 1.0 }).collect()
}

pub(crate) struct Units {
    /// (numbers)
    mean: Tensor,
    deviation: Tensor,
}

impl Units {
    /// None where there are no numbers.
    pub(crate) fn of(numbers: &[NumberReport], device: Device) -> Result<Option<Units>> {
        let mean: Vec<f64> = numbers.iter().map(|it| it.mean).collect();
        let deviation = deviations(numbers);
        (!numbers.is_empty()).then(|| Units::new(&mean, &deviation, device)).transpose()
    }

    fn new(mean: &[f64], deviation: &[f64], device: Device) -> Result<Units> {
        let tensor = |it: &[f64]| Tensor::f_from_slice(it)?.f_to_kind(Kind::Float)?.f_to(device);
        Ok(Units { mean: tensor(mean)?, deviation: tensor(deviation)? })
    }

    pub(crate) fn device(&self) -> Device {
        self.mean.device()
    }

    /// (…, numbers) of the data -> in these units.
    pub(crate) fn down(&self, numbers: &Tensor) -> Result<Tensor> {
        Ok(numbers.f_sub(&self.mean)?.f_div(&self.deviation)?)
    }

    /// (…, numbers) in these units -> of the data.
    pub(crate) fn up(&self, outputs: &Tensor) -> Result<Tensor> {
        Ok(outputs.f_mul(&self.deviation)?.f_add(&self.mean)?)
    }

    /// Of a finished model whose last linear map is not known: it stays in units of its own, which
    /// stand beside it.
    pub(crate) fn tensors(&self) -> Named {
        vec![
            (MEAN.into(), self.mean.shallow_clone()),
            (DEVIATION.into(), self.deviation.shallow_clone()),
        ]
    }

    /// Back from [`Units::tensors`], each of which `take` gives.
    pub(crate) fn restore(mut take: impl FnMut(&str) -> Result<Tensor>) -> Result<Units> {
        Ok(Units { mean: take(MEAN)?, deviation: take(DEVIATION)? })
    }

    /// Makes a linear map that a model ends with, (numbers, width) and (numbers), give numbers of
    /// the data.
    pub(crate) fn fold(&self, weight: &Tensor, bias: &Tensor) -> Result<()> {
        tch::no_grad(|| {
            let plain = self.up(bias)?;
            let _ = weight.shallow_clone().f_mul_(&self.deviation.f_unsqueeze(1)?)?;
            bias.shallow_clone().f_copy_(&plain)?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn units_beside_a_model_are_those_that_it_learnt_in() {
        let units = {
            let number = |mean, deviation| NumberReport { mean, deviation, ..Default::default() };
            Units::of(&[number(10_000.0, 250.0), number(-0.5, 0.0)], Device::Cpu).unwrap().unwrap()
        };
        let mut saved = units.tensors();
        let mut take = |name: &str| {
            let at = saved.iter().position(|it| it.0 == name).with_context(|| name.to_string())?;
            Ok(saved.swap_remove(at).1)
        };
        let again = Units::restore(&mut take).unwrap();
        let numbers = Tensor::from_slice(&[9_500.0_f32, -0.5, 10_250.0, 1.5]).view([2, 2]);
        let down = units.down(&numbers).unwrap();
        assert_eq!(Vec::<f32>::try_from(down.view(-1)).unwrap(), [-2.0, 0.0, 1.0, 2.0]);
        let up = again.up(&down).unwrap();
        assert_eq!(Vec::<f32>::try_from(up.view(-1)).unwrap(), [9_500.0, -0.5, 10_250.0, 1.5]);
        assert!(Units::restore(take).is_err(), "nothing is left");
    }
}
