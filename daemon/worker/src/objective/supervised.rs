//! Learning from targets with one forward pass: what is common to all criteria. Mixed examples, a
//! plugin's loss in the criterion's place, and the units of numbers are seen to here; what a
//! criterion computes is in its own file.

use super::{Evaluated, Objective};
use crate::examples::ExampleSet;
use crate::modality::partners;
use crate::network::{Forward, Network};
use crate::plugins::{LossInstance, PassNumbers};
use crate::source::Batch;
use anyhow::{Result, bail};
use finetuned_answers::Target;
use finetuned_models::Pass;
use tch::{Device, Kind, Tensor};

/// A loss over rows of outputs, and what they mean.
pub(super) trait Criterion {
    /// What a model should say of these examples, in the units of the data.
    fn targets(&self, targets: &[&Target], device: Device) -> Result<Tensor>;

    /// What these examples weigh in the mean over an update, where each has one loss.
    fn example_weight(&self, targets: &[&Target]) -> f64 {
        targets.len() as f64
    }

    /// The same where each has as many as [`Criterion::loss`] sums up.
    fn weight(&self, targets: &[&Target]) -> f64 {
        self.example_weight(targets)
    }

    /// The sum of the losses; `outputs` and `targets` in the units that the model learns in.
    fn loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor>;

    /// (batch): these losses of examples, as their classes weigh.
    fn weigh(&self, losses: &Tensor, _targets: &Tensor) -> Result<Tensor> {
        Ok(losses.shallow_clone())
    }

    /// Whether the loss of a mean of two targets is wanted where examples are mixed. Else the mean
    /// of two losses is, which is the same for a loss that is linear in its target.
    fn mixes_targets(&self) -> bool {
        false
    }

    /// Of outputs in f64 and the units of the data.
    fn evaluate(&self, outputs: &Tensor, targets: &Tensor) -> Result<Evaluated>;
}

pub(super) struct Supervised {
    pub criterion: Box<dyn Criterion>,
    /// In the place of the criterion's loss.
    pub plugin: Option<LossInstance>,
}

impl Objective for Supervised {
    /// A plugin's loss is one for each example. Mixing changes nothing: partners are a permutation
    /// of the batch.
    fn weight(&self, set: &ExampleSet, batch: &[u32], _: &Pass) -> f64 {
        let targets = set.targets(batch);
        match self.plugin {
            Some(_) => self.criterion.example_weight(&targets),
            None => self.criterion.weight(&targets),
        }
    }

    fn loss(&self, network: &Network, batch: &Batch, pass: &Pass) -> Result<Tensor> {
        let targets = self.criterion.targets(&batch.set.targets(&batch.indices), network.device)?;
        let targets =
            network.units.as_ref().map_or(Ok(targets.shallow_clone()), |it| it.down(&targets))?;
        let labels = network.head.is_some().then_some(&targets);
        let forward = network.forward(&batch.input, None, labels, pass)?;
        if let Some(plugin) = &self.plugin {
            if batch.mix.is_some() {
                bail!("a plugin's loss was given examples that are mixed with each other");
            }
            return by_plugin(plugin, self.criterion.as_ref(), &forward, &targets, pass);
        }
        let outputs = &forward.outputs;
        let Some(mix) = &batch.mix else { return self.criterion.loss(outputs, &targets) };
        let theirs = targets.f_index_select(0, &partners(mix)?.f_to(targets.device())?)?;
        let mean = |own: &Tensor, theirs: &Tensor| -> Result<Tensor> {
            let own = own.f_mul_scalar(mix.lambda)?;
            Ok(own.f_add(&theirs.f_mul_scalar(1.0 - mix.lambda)?)?)
        };
        if self.criterion.mixes_targets() {
            return self.criterion.loss(outputs, &mean(&targets, &theirs)?);
        }
        mean(&self.criterion.loss(outputs, &targets)?, &self.criterion.loss(outputs, &theirs)?)
    }

    fn evaluate_outputs(&self, outputs: &Tensor, targets: &[&Target]) -> Result<Evaluated> {
        self.criterion.evaluate(outputs, &self.criterion.targets(targets, outputs.device())?)
    }
}

/// The sum of a plugin's losses, as the criterion weighs them.
pub(super) fn by_plugin(
    plugin: &LossInstance,
    criterion: &dyn Criterion,
    forward: &Forward,
    targets: &Tensor,
    pass: &Pass,
) -> Result<Tensor> {
    let numbers = PassNumbers::of(pass);
    let losses = plugin.forward(&forward.outputs, targets, forward.features.as_ref(), numbers)?;
    Ok(criterion.weigh(&losses, targets)?.f_sum(Kind::Float)?)
}

#[cfg(test)]
mod tests {
    use super::super::binary_cross_entropy::BinaryCrossEntropy;
    use super::super::cross_entropy::CrossEntropy;
    use super::super::squared_error::SquaredError;
    use super::*;
    use finetuned_job::task::Answer;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Fixture {
        labels: Vec<u32>,
        sets: Vec<f32>,
        numbers: Vec<f64>,
        class_weights: Vec<f64>,
        pos_weights: Vec<f64>,
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
        serde_json::from_str(include_str!("../../tests/data/objective.json"))
            .expect("written by make_objective.py")
    }

    fn criterion(fixture: &Fixture, case: &Case) -> (Box<dyn Criterion>, Vec<Target>) {
        let smoothing = case.label_smoothing;
        match case.problem {
            Answer::Classes => {
                let set = |row: &[f32]| (0..3_u32).filter(|it| row[*it as usize] == 1.0).collect();
                let sets = fixture.sets.chunks(WIDTH).map(set);
                let targets = sets.map(|it: Vec<u32>| Target::of_classes(it));
                let weights = if case.weighted { &fixture.pos_weights[..] } else { &[] };
                let criterion = BinaryCrossEntropy::with(WIDTH, weights, smoothing, Device::Cpu);
                (Box::new(criterion.unwrap()), targets.collect())
            }
            Answer::Numbers => {
                let targets = fixture.numbers.chunks(WIDTH).map(Target::of_numbers);
                (Box::new(SquaredError::with(vec![1.0; WIDTH])), targets.collect())
            }
            _ => {
                let weights = if case.weighted { &fixture.class_weights[..] } else { &[] };
                let criterion = CrossEntropy::with(weights, smoothing, Device::Cpu).unwrap();
                let targets = fixture.labels.iter().map(|it| Target::of_classes([*it]));
                (Box::new(criterion), targets.collect())
            }
        }
    }

    /// Mean loss and gradient of an update whose forward passes see these examples.
    fn update(
        criterion: &dyn Criterion,
        targets: &[Target],
        case: &Case,
        micro_batches: &[&[u32]],
    ) -> (f64, Vec<f64>) {
        let outputs =
            Tensor::from_slice(&case.outputs).view([-1, WIDTH as i64]).set_requires_grad(true);
        let of = |batch: &[u32]| -> Vec<&Target> {
            batch.iter().map(|it| &targets[*it as usize]).collect()
        };
        let whole: f64 = micro_batches.iter().map(|it| criterion.weight(&of(it))).sum();
        let mut loss = 0.0;
        for batch in micro_batches {
            let rows: Vec<i64> = batch.iter().map(|&it| i64::from(it)).collect();
            let targets = criterion.targets(&of(batch), Device::Cpu).unwrap();
            let outputs = outputs.index_select(0, &Tensor::from_slice(&rows));
            let part = criterion.loss(&outputs, &targets).unwrap() / whole;
            part.backward();
            loss += part.double_value(&[]);
        }
        (loss, Vec::try_from(outputs.grad().view([-1]).to_kind(Kind::Double)).unwrap())
    }

    #[test]
    fn a_batch_has_torchs_loss_however_it_is_cut() {
        let fixture = fixture();
        for case in &fixture.cases {
            let (criterion, targets) = criterion(&fixture, case);
            // The mean over all examples of an update, not of the means of its parts, which are
            // unlike in size.
            let cuts: [&[&[u32]]; 3] = [
                &[&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
                &[&[9, 0, 5, 2], &[4, 3, 1, 8, 7], &[6]],
                &[&[0, 1, 2, 3, 4, 5], &[6, 7, 8, 9]],
            ];
            for cut in cuts {
                let (loss, gradient) = update(criterion.as_ref(), &targets, case, cut);
                let name = format!(
                    "{:?}, smoothing {}, weighted {}, {cut:?}",
                    case.problem, case.label_smoothing, case.weighted
                );
                assert!((loss - case.loss).abs() < EXACT, "{name}: {loss}, torch {}", case.loss);
                let mut each = gradient.iter().zip(&case.gradient);
                assert!(each.all(|(a, b)| (a - b).abs() < EXACT), "{name}");
            }
        }
    }

    #[test]
    fn balanced_weights_are_scikit_learns_and_torchs() {
        let fixture = fixture();
        let counts =
            [0, 1, 2].map(|class| fixture.labels.iter().filter(|&&it| it == class).count() as u64);
        let found = crate::class_weights::balanced(&counts);
        let mut each = found.iter().zip(&fixture.class_weights);
        assert!(each.all(|(a, b)| (a - b).abs() < EXACT), "{found:?}");
        let count = |label: usize| {
            fixture.sets.iter().skip(label).step_by(WIDTH).filter(|it| **it == 1.0).count() as u64
        };
        let examples = (fixture.sets.len() / WIDTH) as u64;
        let found = crate::class_weights::positive(&[0, 1, 2].map(count), examples);
        let mut each = found.iter().zip(&fixture.pos_weights);
        assert!(each.all(|(a, b)| (a - b).abs() < EXACT), "{found:?}");
    }

    #[test]
    fn no_number_of_several_dominates_the_loss() {
        let criterion = SquaredError::with(vec![1000.0, 0.1]);
        let targets = [Target::of_numbers([5000.0, 1.0]), Target::of_numbers([7000.0, 1.2])];
        let targets = criterion.targets(&[&targets[0], &targets[1]], Device::Cpu).unwrap();
        let outputs = Tensor::from_slice(&[6000.0, 1.0, 7000.0, 1.3]).view([2, 2]);
        let losses = criterion.evaluate(&outputs, &targets).unwrap().losses;
        let losses: Vec<f64> = Vec::try_from(losses).unwrap();
        // One deviation off in one of two numbers.
        assert!(losses.iter().all(|it| (it - 0.5).abs() < EXACT), "{losses:?}");
    }
}
