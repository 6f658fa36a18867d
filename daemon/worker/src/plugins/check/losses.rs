//! What is tried of a loss.

use super::targets::targets;
use super::teller::{Fault, Outcome, Seen, Teller};
use super::{Trial, slopes, steady};
use crate::plugins::{LossInstance, LossShape, PassNumbers};
use anyhow::Result;
use tch::{Device, Kind, Tensor};

const WIDTH: i64 = 8;
const OUTPUTS: i64 = 3;
const BATCH: i64 = 6;
const SEED: i64 = 17;
/// Logits of a model that is sure of itself, or has diverged a little.
const LARGE: f64 = 1e3;

const TRAINING: PassNumbers = PassNumbers { train: true, seed: 17, step: 3, micro: 0 };

struct Input {
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
}

impl Input {
    fn new(loss: &LossInstance, batch: i64) -> Result<Input, Fault> {
        tch::manual_seed(SEED);
        let LossShape { outputs, problem, .. } = loss.shape();
        let options = (Kind::Float, Device::Cpu);
        Ok(Input {
            logits: Tensor::f_randn([batch, outputs], options)?,
            labels: targets(problem, batch, outputs)?,
            features: Tensor::f_randn([batch, WIDTH], options)?,
        })
    }

    fn losses(&self, loss: &LossInstance) -> Result<Tensor, Fault> {
        tch::manual_seed(SEED);
        Ok(loss.forward(&self.logits, &self.labels, Some(&self.features), TRAINING)?)
    }
}

pub(super) fn check(trial: Trial<'_>, subject: &str, teller: &mut Teller) -> Result<()> {
    let mut loss = None;
    let works = teller.probe(subject, "shapes", || {
        let made = trial.plugins.loss(
            trial.name,
            "{}",
            LossShape { device: Device::Cpu, outputs: OUTPUTS, problem: trial.problem },
        )?;
        for batch in [BATCH, 1, 64] {
            let _ = Input::new(&made, batch)?.losses(&made)?;
        }
        loss = Some(made);
        Ok(Seen::Passed(format!("(batch, {OUTPUTS}) to (batch), for batches of 1, {BATCH} and 64")))
    })?;
    let Some(loss) = loss.filter(|_| works) else { return Ok(()) };
    teller.probe(subject, "determinism", || {
        let input = Input::new(&loss, BATCH)?;
        if input.losses(&loss)?.equal(&input.losses(&loss)?) {
            Ok(Seen::Passed("same input, same output".into()))
        } else {
            Err("two passes with the same input and generator differ".to_string().into())
        }
    })?;
    teller.probe(subject, "gradients", || gradients(&loss))?;
    teller.probe(subject, "large logits", || {
        let input = Input::new(&loss, BATCH)?;
        let input = Input { logits: input.logits.f_mul_scalar(LARGE)?, ..input };
        let _ = input.losses(&loss)?;
        Ok(Seen::Passed(format!("finite at logits around {LARGE}")))
    })?;
    teller.probe(subject, "inputs", || {
        let (input, held) = (Input::new(&loss, BATCH)?, Input::new(&loss, BATCH)?);
        let _ = input.losses(&loss)?;
        let same = [
            (&input.logits, &held.logits),
            (&input.labels, &held.labels),
            (&input.features, &held.features),
        ]
        .iter()
        .all(|(a, b)| a.equal(b));
        if same {
            Ok(Seen::Passed("stay as they are".into()))
        } else {
            Err("it changes the numbers of its input".to_string().into())
        }
    })?;
    teller.probe(subject, "memory", || {
        let input = Input::new(&loss, BATCH)?;
        steady(|| input.losses(&loss).map(drop))
    })?;
    Ok(())
}

fn gradients(loss: &LossInstance) -> Outcome {
    let input = Input::new(loss, BATCH)?;
    let weights = Tensor::f_rand([BATCH], (Kind::Double, Device::Cpu))?;
    let input = Input {
        logits: input.logits.set_requires_grad(true),
        features: input.features.set_requires_grad(true),
        ..input
    };
    let scalar = || -> Result<Tensor, Fault> {
        Ok(input.losses(loss)?.f_to_kind(Kind::Double)?.f_mul(&weights)?.f_sum(Kind::Double)?)
    };
    let value = scalar()?;
    if !value.requires_grad() {
        return Err("the losses are cut off from the gradient graph".to_string().into());
    }
    value.f_backward()?;
    let measure = || Ok(tch::no_grad(scalar)?.f_double_value(&[])?);
    let (mut worst, mut compared) = (None, vec![]);
    // A loss is about logits, or about features; it need not be about both.
    for (name, tensor) in [("logits", &input.logits), ("features", &input.features)] {
        if tensor.grad().defined() {
            worst = slopes::judge(&format!("the {name}"), tensor, measure)?
                .into_iter()
                .chain(worst)
                .reduce(f64::max);
            compared.push(name);
        }
    }
    Ok(match worst {
        Some(worst) => Seen::Passed(format!(
            "{} within {:.1} % of finite differences",
            compared.join(" and "),
            worst * 100.0
        )),
        None => {
            Seen::Noted("no direction is smooth enough to compare with finite differences".into())
        }
    })
}
