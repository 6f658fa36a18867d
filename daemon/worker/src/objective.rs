//! Decides what is minimised, and what an output means: cross-entropy and probabilities of classes,
//! binary cross-entropy for each of several labels, the mean square error of numbers. As
//! transformers' `problem_type` has it.

use crate::checkpoint::Named;
use crate::examples::Targets;
use crate::feed::{self, Batch};
use crate::network::Forward;
use crate::plugins::{LossInstance, PassNumbers};
use anyhow::{Result, bail};
use finetuned_job::plan::Plan;
use finetuned_job::task::Answer;
use tch::{Device, Kind, Reduction, Tensor};

/// Names of a [`Scale`] in model.safetensors. Tensors of a plugin's head are called
/// `plugin.NAME.…`, those of a model after its architecture: neither can be in the way.
const MEAN: &str = "units.mean";
const DEVIATION: &str = "units.deviation";

pub(crate) struct Objective {
    problem: Answer,
    /// (classes), where classes weigh differently; on the device, and to be read.
    class_weights: Option<(Tensor, Vec<f64>)>,
    label_smoothing: f64,
    /// In the place of all that.
    plugin: Option<LossInstance>,
}

impl Objective {
    pub(crate) fn new(plan: &Plan, plugin: Option<LossInstance>, device: Device) -> Objective {
        let weights = &plan.train.class_weight_values;
        let on_device = || Tensor::from_slice(weights).to_kind(Kind::Float).to(device);
        Objective {
            problem: plan.data.problem,
            class_weights: (!weights.is_empty()).then(|| (on_device(), weights.clone())),
            label_smoothing: plan.train.label_smoothing,
            plugin,
        }
    }

    /// What a batch weighs in the mean: its examples or the sum of their class weights; the outputs
    /// that are judged, where each is judged alone. A plugin's loss judges whole examples. Mixing
    /// changes nothing: partners are a permutation of the batch.
    pub(crate) fn weight(&self, targets: &Targets, batch: &[u32]) -> f64 {
        match (targets, &self.class_weights) {
            (Targets::Classes(classes), Some((_, weights))) => {
                batch.iter().map(|&it| weights[classes[it as usize] as usize]).sum()
            }
            (Targets::Classes(_), None) => batch.len() as f64,
            _ if self.plugin.is_some() => batch.len() as f64,
            (Targets::Sets { width, .. } | Targets::Numbers { width, .. }, _) => {
                (batch.len() * width) as f64
            }
        }
    }

    /// The sum of a batch's losses, to be divided by the weight of the whole update. Where numbers
    /// are learnt, outputs are in units of `scale`.
    pub(crate) fn loss(
        &self,
        said: &Forward,
        targets: &Targets,
        batch: &Batch,
        scale: Option<&Scale>,
        pass: PassNumbers,
    ) -> Result<Tensor> {
        let outputs = &said.outputs;
        let truth = truth(targets, &batch.indices, scale, outputs.device())?;
        if let Some(plugin) = &self.plugin {
            return self.by_plugin(plugin, said, &truth, batch, pass);
        }
        let Some(mix) = &batch.mix else { return self.plain(outputs, &truth) };
        // Cross-entropy is linear in its target: the mean of two losses is the loss of the mean.
        let partners = truth.f_index_select(0, &feed::partners(mix)?.f_to(truth.device())?)?;
        if self.problem == Answer::Numbers {
            return self.plain(
                outputs,
                &truth
                    .f_mul_scalar(mix.lambda)?
                    .f_add(&partners.f_mul_scalar(1.0 - mix.lambda)?)?,
            );
        }
        let (own, other) = (self.plain(outputs, &truth)?, self.plain(outputs, &partners)?);
        Ok(own.f_mul_scalar(mix.lambda)?.f_add(&other.f_mul_scalar(1.0 - mix.lambda)?)?)
    }

    fn by_plugin(
        &self,
        plugin: &LossInstance,
        said: &Forward,
        truth: &Tensor,
        batch: &Batch,
        pass: PassNumbers,
    ) -> Result<Tensor> {
        if batch.mix.is_some() {
            bail!("a plugin's loss was given examples that are mixed with each other");
        }
        let losses = plugin.forward(&said.outputs, truth, said.features.as_ref(), pass)?;
        let weighted = match &self.class_weights {
            Some((weights, _)) => losses.f_mul(&weights.f_index_select(0, truth)?)?,
            None => losses,
        };
        Ok(weighted.f_sum(Kind::Float)?)
    }

    fn plain(&self, outputs: &Tensor, truth: &Tensor) -> Result<Tensor> {
        /// torch's default for a label that does not count; ours all do.
        const IGNORE_INDEX: i64 = -100;
        Ok(match self.problem {
            Answer::Class => {
                let weights = self.class_weights.as_ref().map(|(it, _)| it);
                outputs.f_cross_entropy_loss(
                    truth,
                    weights,
                    Reduction::Sum,
                    IGNORE_INDEX,
                    self.label_smoothing,
                )?
            }
            Answer::Classes => {
                let smoothed = truth
                    .f_mul_scalar(1.0 - self.label_smoothing)?
                    .f_add_scalar(self.label_smoothing / 2.0)?;
                outputs.f_binary_cross_entropy_with_logits::<Tensor>(
                    &smoothed,
                    None,
                    None,
                    Reduction::Sum,
                )?
            }
            Answer::Numbers => outputs.f_mse_loss(truth, Reduction::Sum)?,
        })
    }
}

/// What a model in training should say: (batch) int64 classes, or (batch, outputs) fp32, numbers in
/// units of `scale`.
pub(crate) fn truth(
    targets: &Targets,
    batch: &[u32],
    scale: Option<&Scale>,
    device: Device,
) -> Result<Tensor> {
    let truth = targets.tensor(batch, device)?;
    scale.map_or(Ok(truth.shallow_clone()), |it| it.down(&truth))
}

/// Weights of classes by how many examples each has: n / (classes * count), scikit-learn's
/// "balanced".
pub(crate) fn balanced(counts: &[u64]) -> Vec<f64> {
    let (examples, classes) = (counts.iter().sum::<u64>() as f64, counts.len() as f64);
    counts.iter().map(|&it| examples / (classes * it as f64)).collect()
}

/// What a model says of each example, in f64: (batch, outputs) probabilities or numbers, and
/// (batch) the loss.
pub(crate) fn judged(
    problem: Answer,
    outputs: &Tensor,
    targets: &Tensor,
) -> Result<(Tensor, Tensor)> {
    // In f64, so that the mean over many examples does not depend on rounding.
    let outputs = outputs.f_to_kind(Kind::Double)?;
    Ok(match problem {
        Answer::Class => {
            let log_p = outputs.f_log_softmax(-1, Kind::Double)?;
            let losses =
                log_p.f_gather(1, &targets.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?.f_neg()?;
            (log_p.f_exp()?, losses)
        }
        Answer::Classes => {
            let losses = outputs.f_binary_cross_entropy_with_logits::<Tensor>(
                &targets.f_to_kind(Kind::Double)?,
                None,
                None,
                Reduction::None,
            )?;
            (outputs.f_sigmoid()?, losses.f_mean_dim(1, false, Kind::Double)?)
        }
        Answer::Numbers => {
            let losses = outputs.f_mse_loss(&targets.f_to_kind(Kind::Double)?, Reduction::None)?;
            (outputs, losses.f_mean_dim(1, false, Kind::Double)?)
        }
    })
}

/// Mean and deviation of the numbers that are learnt. A model learns in these units, so that the
/// learning rate does not depend on whether something is told in grams or in tons; the finished one
/// speaks plainly, or has them beside it.
pub(crate) struct Scale {
    /// (numbers)
    mean: Tensor,
    deviation: Tensor,
}

impl Scale {
    pub(crate) fn new(mean: &[f64], deviation: &[f64], device: Device) -> Result<Scale> {
        // A number that is always the same has no unit.
        let deviation: Vec<f64> =
            deviation.iter().map(|&it| if 0.0 < it { it } else { 1.0 }).collect();
        let tensor = |it: &[f64]| Tensor::f_from_slice(it)?.f_to_kind(Kind::Float)?.f_to(device);
        Ok(Scale { mean: tensor(mean)?, deviation: tensor(&deviation)? })
    }

    fn down(&self, numbers: &Tensor) -> Result<Tensor> {
        Ok(numbers.f_sub(&self.mean)?.f_div(&self.deviation)?)
    }

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

    /// Back from [`Scale::tensors`], each of which `take` gives.
    pub(crate) fn restore(mut take: impl FnMut(&str) -> Result<Tensor>) -> Result<Scale> {
        Ok(Scale { mean: take(MEAN)?, deviation: take(DEVIATION)? })
    }

    /// Makes the last linear map of a model, (numbers, width) and (numbers), speak plainly.
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
    use finetuned_models::Input;
    use serde::Deserialize;
    use std::time::Duration;

    #[derive(Deserialize)]
    struct Fixture {
        labels: Vec<u32>,
        sets: Vec<f32>,
        numbers: Vec<f32>,
        class_weights: Vec<f64>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        problem: Answer,
        label_smoothing: f64,
        weighted: bool,
        outputs: Vec<f32>,
        loss: f64,
        gradient: Vec<f64>,
    }

    const WIDTH: usize = 3;
    /// Roundings of fp32 at the size of these numbers.
    const EXACT: f64 = 1e-6;

    /// Made by tests/data/make_objective.py with torch 2.13.0 and scikit-learn 1.9.1.
    fn fixture() -> Fixture {
        serde_json::from_str(include_str!("../tests/data/objective.json"))
            .expect("written by make_objective.py")
    }

    /// Mean loss and gradient of an update whose forward passes see these examples.
    fn update(
        objective: &Objective,
        case: &Case,
        targets: &Targets,
        micro_batches: &[&[u32]],
    ) -> (f64, Vec<f64>) {
        let outputs =
            Tensor::from_slice(&case.outputs).view([-1, WIDTH as i64]).set_requires_grad(true);
        let whole: f64 = micro_batches.iter().map(|it| objective.weight(targets, it)).sum();
        let mut loss = 0.0;
        for batch in micro_batches {
            let rows: Vec<i64> = batch.iter().map(|&it| i64::from(it)).collect();
            let said = Forward {
                outputs: outputs.index_select(0, &Tensor::from_slice(&rows)),
                features: None,
            };
            let batch = Batch {
                indices: batch.to_vec(),
                input: Input::pixels(Tensor::new()),
                mix: None,
                once: Duration::ZERO,
            };
            let pass = PassNumbers { train: true, seed: 0, step: 1, micro: 0 };
            let part = objective.loss(&said, targets, &batch, None, pass).unwrap() / whole;
            part.backward();
            loss += part.double_value(&[]);
        }
        (loss, Vec::try_from(outputs.grad().view([-1]).to_kind(Kind::Double)).unwrap())
    }

    #[test]
    fn a_batch_has_torchs_loss_however_it_is_cut() {
        let fixture = fixture();
        for case in &fixture.cases {
            let targets = match case.problem {
                Answer::Class => Targets::Classes(fixture.labels.clone()),
                Answer::Classes => Targets::Sets { rows: fixture.sets.clone(), width: WIDTH },
                Answer::Numbers => Targets::Numbers { rows: fixture.numbers.clone(), width: WIDTH },
            };
            let weights = Tensor::from_slice(&fixture.class_weights).to_kind(Kind::Float);
            let class_weights = case.weighted.then(|| (weights, fixture.class_weights.clone()));
            let objective = Objective {
                problem: case.problem,
                class_weights,
                label_smoothing: case.label_smoothing,
                plugin: None,
            };
            // The mean over all examples of an update, not of the means of its parts, which are
            // unlike in size.
            let cuts: [&[&[u32]]; 3] = [
                &[&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
                &[&[9, 0, 5, 2], &[4, 3, 1, 8, 7], &[6]],
                &[&[0, 1, 2, 3, 4, 5], &[6, 7, 8, 9]],
            ];
            for cut in cuts {
                let (loss, gradient) = update(&objective, case, &targets, cut);
                let name = format!(
                    "{:?}, smoothing {}, weighted {}, {cut:?}",
                    case.problem, case.label_smoothing, case.weighted
                );
                assert!((loss - case.loss).abs() < EXACT, "{name}: {loss}, torch {}", case.loss);
                assert!(
                    gradient.iter().zip(&case.gradient).all(|(a, b)| (a - b).abs() < EXACT),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn units_beside_a_model_are_those_that_it_learnt_in() {
        let scale = Scale::new(&[10_000.0, -0.5], &[250.0, 0.0], Device::Cpu).unwrap();
        let mut saved = scale.tensors();
        let mut take = |name: &str| {
            Ok(saved
                .swap_remove(saved.iter().position(|it| it.0 == name).context(name.to_string())?)
                .1)
        };
        let again = Scale::restore(&mut take).unwrap();
        let targets = Targets::Numbers { rows: vec![9_500.0, -0.5, 10_250.0, 1.5], width: 2 };
        let down = truth(&targets, &[0, 1], Some(&scale), Device::Cpu).unwrap();
        assert_eq!(Vec::<f32>::try_from(down.view(-1)).unwrap(), [-2.0, 0.0, 1.0, 2.0]);
        assert_eq!(
            Vec::<f32>::try_from(again.up(&down).unwrap().view(-1)).unwrap(),
            [9_500.0, -0.5, 10_250.0, 1.5]
        );
        assert!(Scale::restore(take).is_err(), "nothing is left");
    }

    #[test]
    fn balanced_weights_are_scikit_learns() {
        let fixture = fixture();
        let counts =
            [0, 1, 2].map(|class| fixture.labels.iter().filter(|&&it| it == class).count() as u64);
        let found = balanced(&counts);
        assert!(
            found.iter().zip(&fixture.class_weights).all(|(a, b)| (a - b).abs() < EXACT),
            "{found:?}"
        );
    }
}
