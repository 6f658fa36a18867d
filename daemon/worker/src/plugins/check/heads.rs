//! What is tried of a head.

use super::targets::targets;
use super::teller::{Fault, Outcome, Seen, Teller};
use super::{Trial, slopes, steady};
use crate::plugins::{HeadFeatures, HeadInstance, HeadShape, PassNumbers};
use anyhow::Result;
use std::collections::BTreeSet;
use tch::{Device, Kind, Tensor};

const WIDTH: i64 = 8;
const OUTPUTS: i64 = 3;
const BATCH: i64 = 5;
const SEQ: i64 = 4;
const SEED: i64 = 17;

const TRAINING: PassNumbers = PassNumbers { train: true, seed: 17, step: 3, micro: 0 };

/// What a head is given.
struct Input {
    features: Tensor,
    mask: Option<Tensor>,
    labels: Tensor,
}

impl Input {
    fn new(head: &HeadInstance, batch: i64) -> Result<Input, Fault> {
        tch::manual_seed(SEED);
        let HeadShape { width, outputs, problem, .. } = head.shape();
        let labels = targets(problem, batch, outputs)?;
        let options = (Kind::Float, Device::Cpu);
        Ok(match head.features() {
            HeadFeatures::Pooled => {
                Input { features: Tensor::f_randn([batch, width], options)?, mask: None, labels }
            }
            HeadFeatures::Sequence => {
                // Rows of 1, 2, … SEQ tokens, then from 1 again.
                let lengths = Tensor::f_arange(batch, (Kind::Int64, Device::Cpu))?
                    .f_remainder(SEQ)?
                    .f_add_scalar(1)?
                    .f_unsqueeze(1)?;
                let mask = Tensor::f_arange(SEQ, (Kind::Int64, Device::Cpu))?
                    .f_unsqueeze(0)?
                    .f_lt_tensor(&lengths)?
                    .f_to_kind(Kind::Int64)?;
                Input {
                    features: Tensor::f_randn([batch, SEQ, width], options)?,
                    mask: Some(mask),
                    labels,
                }
            }
        })
    }

    fn evaluate(&self, head: &HeadInstance) -> Result<Tensor, Fault> {
        Ok(tch::no_grad(|| {
            head.forward(&self.features, self.mask.as_ref(), None, PassNumbers::EVALUATION)
        })?)
    }

    /// With torch's generator where it stood at every such pass, so that noise is the same.
    fn train(&self, head: &HeadInstance) -> Result<Tensor, Fault> {
        tch::manual_seed(SEED);
        Ok(head.forward(&self.features, self.mask.as_ref(), Some(&self.labels), TRAINING)?)
    }
}

fn create(trial: Trial<'_>, seed: u64, width: i64, outputs: i64) -> Result<HeadInstance, Fault> {
    tch::manual_seed(seed as i64);
    Ok(trial.plugins.head(
        trial.name,
        "{}",
        HeadShape { device: Device::Cpu, width, outputs, seed, problem: trial.problem },
    )?)
}

pub(super) fn check(trial: Trial<'_>, subject: &str, teller: &mut Teller) -> Result<()> {
    let mut head = None;
    let built = teller.probe(subject, "parameters", || {
        let made = create(trial, 1, WIDTH, OUTPUTS)?;
        let found = made.parameters()?;
        let numbers: usize = found.iter().map(|it| it.tensor.numel()).sum();
        let names: Vec<&str> = found.iter().map(|it| it.name.as_str()).collect();
        let seen = format!(
            "{} in {}, for {WIDTH} features and {OUTPUTS} outputs",
            numbers,
            if names.is_empty() { "none".into() } else { names.join(", ") }
        );
        head = Some(made);
        Ok(Seen::Passed(seen))
    })?;
    let Some(head) = head.filter(|_| built) else { return Ok(()) };
    if !teller.probe(subject, "shapes", || shapes(&head))? {
        return Ok(());
    }
    teller.probe(subject, "determinism", || determinism(trial, &head))?;
    teller.probe(subject, "gradients", || gradients(&head))?;
    teller.probe(subject, "inputs", || inputs_stay(&head))?;
    teller.probe(subject, "save and load", || save_and_load(trial, &head))?;
    teller.probe(subject, "memory", || {
        let input = Input::new(&head, BATCH)?;
        steady(|| input.train(&head).map(drop))
    })?;
    teller.probe(subject, "cost", || cost(trial))?;
    Ok(())
}

fn shapes(head: &HeadInstance) -> Outcome {
    for batch in [BATCH, 1, 64] {
        let input = Input::new(head, batch)?;
        let _ = input.evaluate(head)?;
        let _ = input.train(head)?;
    }
    let kind = if head.features() == HeadFeatures::Sequence {
        "(batch, seq, width) with a mask"
    } else {
        "(batch, width)"
    };
    Ok(Seen::Passed(format!("{kind} to (batch, {OUTPUTS}), for batches of 1, {BATCH} and 64")))
}

fn determinism(trial: Trial<'_>, head: &HeadInstance) -> Outcome {
    let input = Input::new(head, BATCH)?;
    if !input.evaluate(head)?.equal(&input.evaluate(head)?) {
        return Err("two evaluations of the same input differ".to_string().into());
    }
    if !input.train(head)?.equal(&input.train(head)?) {
        return Err("two training passes with the same seed, step and generator differ: a killed run could not go on bit for bit".to_string().into());
    }
    let copy = create(trial, 1, WIDTH, OUTPUTS)?;
    let fresh = create(trial, 1, WIDTH, OUTPUTS)?;
    for (a, b) in copy.parameters()?.iter().zip(fresh.parameters()?) {
        if a.name != b.name || !a.tensor.equal(&b.tensor) {
            return Err(
                format!("two heads of the same seed begin with another `{}`", a.name).into()
            );
        }
    }
    Ok(Seen::Passed("same input, same output; same seed, same beginning".into()))
}

fn gradients(head: &HeadInstance) -> Outcome {
    let input = Input::new(head, BATCH)?;
    let weights = Tensor::f_randn([BATCH, OUTPUTS], (Kind::Double, Device::Cpu))?;
    let input = Input { features: input.features.set_requires_grad(true), ..input };
    let parameters: Vec<_> = head.parameters()?.into_iter().filter(|it| it.trainable).collect();
    for it in &parameters {
        let _ = it.tensor.set_requires_grad(true);
    }
    let scalar = || -> Result<Tensor, Fault> {
        Ok(input.train(head)?.f_to_kind(Kind::Double)?.f_mul(&weights)?.f_sum(Kind::Double)?)
    };
    let value = scalar()?;
    if !value.requires_grad() {
        return Err("the outputs are cut off from the gradient graph".to_string().into());
    }
    value.f_backward()?;
    let measure = || Ok(tch::no_grad(scalar)?.f_double_value(&[])?);
    let mut worst = slopes::judge("the features", &input.features, measure)?;
    for it in &parameters {
        worst = slopes::judge(&format!("the parameter `{}`", it.name), &it.tensor, measure)?
            .into_iter()
            .chain(worst)
            .reduce(f64::max);
    }
    Ok(match worst {
        Some(worst) => Seen::Passed(format!(
            "features and {} parameters within {:.1} % of finite differences",
            parameters.len(),
            worst * 100.0
        )),
        None => {
            Seen::Noted("no direction is smooth enough to compare with finite differences".into())
        }
    })
}

fn inputs_stay(head: &HeadInstance) -> Outcome {
    let (input, held) = (Input::new(head, BATCH)?, Input::new(head, BATCH)?);
    let _ = tch::no_grad(|| input.train(head))?;
    let _ = input.evaluate(head)?;
    let same_mask = input.mask.iter().zip(&held.mask).all(|(a, b)| a.equal(b));
    if input.features.equal(&held.features) && input.labels.equal(&held.labels) && same_mask {
        Ok(Seen::Passed("stay as they are".into()))
    } else {
        Err("it changes the numbers of its input".to_string().into())
    }
}

/// As a checkpoint does: values by name into a head that began otherwise.
fn save_and_load(trial: Trial<'_>, head: &HeadInstance) -> Outcome {
    let input = Input::new(head, BATCH)?;
    let (saved, other) = (head.parameters()?, create(trial, 2, WIDTH, OUTPUTS)?);
    let loaded = other.parameters()?;
    let names = |list: &[crate::plugins::Parameter]| {
        list.iter().map(|it| it.name.clone()).collect::<BTreeSet<_>>()
    };
    if names(&saved) != names(&loaded) {
        return Err("another instance of the same shape has other parameters".to_string().into());
    }
    for it in loaded {
        let Some(from) = saved.iter().find(|from| from.name == it.name) else { continue };
        tch::no_grad(|| it.tensor.shallow_clone().f_copy_(&from.tensor))?;
    }
    if !input.evaluate(head)?.equal(&input.evaluate(&other)?) {
        return Err("a head with the same parameters gives other outputs: it remembers something that it does not name as a parameter"
            .to_string()
            .into());
    }
    Ok(Seen::Passed("the same outputs, bit for bit".into()))
}

/// As many outputs as features, so that the lightest head there is, one that gives its input back,
/// can be timed.
fn cost(trial: Trial<'_>) -> Outcome {
    const CALLS: u32 = 20_000;
    let head = create(trial, 1, WIDTH, WIDTH)?;
    let input = Input::new(&head, 1)?;
    let _no_graph = tch::no_grad_guard();
    let start = std::time::Instant::now();
    for _ in 0..CALLS {
        let _ =
            head.forward(&input.features, input.mask.as_ref(), None, PassNumbers::EVALUATION)?;
    }
    let ns = start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS);
    Ok(Seen::Passed(format!("{ns:.0} ns for one example, tensor work and checks included")))
}
