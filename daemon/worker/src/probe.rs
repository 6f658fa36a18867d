//! A linear probe: the linear map of what the frozen base gives for an example that fits the
//! training examples best. Decides what it learns from and how strong its penalty is; the fit is
//! `fit`'s, and what becomes of the probe is left to `training`.

mod fit; // features and targets -> a linear map

use crate::batches;
use crate::evaluate::Evaluation;
use crate::examples::ExampleSet;
use crate::failures::model_failure;
use crate::learner::Learner;
use crate::modality;
use crate::network::Network;
use crate::prepare::Prepared;
use crate::source::Source;
use crate::stored::{Examples, Stored};
use crate::units::Units;
use anyhow::Result;
use finetuned_job::outcome::{self, Failure, FailureKind};
use finetuned_job::plan::Plan;
use finetuned_job::task;
use finetuned_models::{BuildOptions, HeadKind, Pass};
use fit::{Link, Map, Rows};
use tch::{Device, Kind, Tensor};

/// Of features whose variances add up to 1: from too strong a penalty to one too weak.
const STRENGTHS: [f64; 7] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];
/// Where there are too few examples to tell.
const STRENGTH_DEFAULT: f64 = 1.0;
const FOLDS: usize = 5;
/// Fewer are too few to be divided.
const CROSS_VALIDATED_MIN: usize = 2 * FOLDS;
/// Up to so many each fold is held out once; of more, one says enough.
const EVERY_FOLD_MAX: usize = 2_000;
/// A probe learns little from more, and must take seconds.
const EXAMPLES_MAX: usize = 20_000;
/// Of the mean loss's gradient, while strengths are compared and in the end.
const ROUGH: f64 = 1e-4;
const EXACT: f64 = 1e-6;

pub(crate) struct Probe {
    /// (outputs, width) and (outputs), fp32: of features as they are.
    pub weight: Tensor,
    pub bias: Tensor,
    pub outcome: outcome::Probe,
}

/// Whether there is one: it is a map of one row for each example.
pub(crate) fn is_of(plan: &Plan) -> bool {
    modality::of(plan.task.modality).rows() == finetuned_models::Rows::PerExample
}

/// Before anything has trained.
pub(crate) fn probe(
    learner: &Learner,
    (plan, prepared): (&Plan, &Prepared),
    train: Examples,
    mut check: impl FnMut() -> Result<()>,
) -> Result<Probe> {
    let own = frozen(learner, prepared)?;
    let network = own.as_ref().unwrap_or(&learner.network);
    // What is cached belongs to the model that learns, whose rows are others.
    let train = Examples { cache: train.cache.filter(|_| own.is_none()), ..train };
    let chosen = some(train.set);
    let seen: Vec<u32> = chosen.concat();
    let features = features(network, train, chosen, &mut check)?;
    let order = Tensor::f_from_slice(&seen.iter().map(|&it| i64::from(it)).collect::<Vec<i64>>())?;
    let features = features.f_index_select(0, &order)?;
    let scale = Scale::of(&features)?;
    let units = learner.network.units.as_ref();
    let rows = rows(plan, train.set, &seen, scale.down(&features)?, units)?;
    let c = strength(&rows, &keys(train.set, &seen), &mut check)?;
    let map = scale.up(&rows.fit(c, EXACT, None)?)?;

    let (split, set) = prepared.data.report_split();
    let examples = Examples { set, cache: None };
    let theirs = self::features(network, examples, set.evaluation_batches(), &mut check)?;
    let outputs = map.outputs(&theirs)?;
    let outputs = match units {
        Some(units) => units.up(&outputs.f_to(units.device())?)?,
        None => outputs,
    };
    let scores = Evaluation::of_outputs(&outputs, learner.objective.as_ref(), set)?.scores_only(
        split,
        set,
        plan,
        &prepared.extensions,
    )?;
    let mut metrics = scores.metrics;
    metrics.insert("loss".into(), scores.loss);
    let device = learner.network.device;
    let float = |it: &Tensor| it.f_to_kind(Kind::Float)?.f_to(device);
    Ok(Probe {
        weight: float(&map.weight)?,
        bias: float(&map.bias)?,
        outcome: outcome::Probe { c, metrics, start: None },
    })
}

/// Where what learns has no row for a text that a linear map could take: the base by itself.
fn frozen(learner: &Learner, prepared: &Prepared) -> Result<Option<Network>> {
    let Some(pooling) = prepared.base.pooling().map_err(model_failure)? else { return Ok(None) };
    if learner.takes_rows() {
        return Ok(None);
    }
    let device = learner.network.device;
    let options = BuildOptions { device, ..BuildOptions::new(HeadKind::Linear(1, pooling)) };
    let model = prepared.base.build(&options).map_err(model_failure)?.model;
    let parts = model.parts().clone();
    Ok(Some(Network { model, head: None, parts, outputs: 1, device, units: None }))
}

/// Batches of all examples, or of those that the lot falls on.
fn some(set: &ExampleSet) -> Vec<Vec<u32>> {
    if set.len() <= EXAMPLES_MAX {
        return set.evaluation_batches();
    }
    let mut left = EXAMPLES_MAX;
    let groups = batches::groups(&set.lengths()).into_iter();
    groups
        .take_while(|it| {
            let room = 0 < left;
            left = left.saturating_sub(it.len());
            room
        })
        .collect()
}

/// (examples, width) f64 on the CPU; zeros for those that no batch has.
fn features(
    network: &Network,
    examples: Examples,
    batches: Vec<Vec<u32>>,
    check: &mut impl FnMut() -> Result<()>,
) -> Result<Tensor> {
    let mut all: Option<Tensor> = None;
    let mut source = Stored::plain(examples, batches, network.device);
    while let Some(batch) = source.next(network) {
        let batch = batch?;
        let rows = tch::no_grad(|| network.model.features(&batch.input, &Pass::evaluation()))?.xs;
        let rows = rows.f_flatten(1, -1)?.f_to_device_(Device::Cpu, Kind::Double, false, false)?;
        let places: Vec<i64> = batch.indices.iter().map(|&it| i64::from(it)).collect();
        let size = [examples.set.len() as i64, rows.size2()?.1];
        let all = match &mut all {
            Some(all) => all,
            none => none.insert(Tensor::f_zeros(size, tch::kind::DOUBLE_CPU)?),
        };
        let _ = all.f_index_copy_(0, &Tensor::f_from_slice(&places)?, &rows)?;
        check()?;
    }
    let all = all.unwrap_or_default();
    if all.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
        let message = "the base model gives features that are no numbers";
        return Err(Failure::new(FailureKind::Model, message)
            .with_cure("fetch it again, or set model.base to another")
            .into());
    }
    Ok(all)
}

/// Brings features to a mean of 0 and variances that add up to 1, the same for all, so that one
/// strength means the same for every base.
struct Scale {
    /// (width)
    mean: Tensor,
    deviation: f64,
}

impl Scale {
    fn of(features: &Tensor) -> Result<Scale> {
        let mean = features.f_mean_dim([0_i64].as_slice(), false, Kind::Double)?;
        let squares = features.f_sub(&mean)?.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
        let deviation = (squares / features.size()[0].max(1) as f64).sqrt();
        Ok(Scale { mean, deviation: if 0.0 < deviation { deviation } else { 1.0 } })
    }

    fn down(&self, features: &Tensor) -> Result<Tensor> {
        Ok(features.f_sub(&self.mean)?.f_div_scalar(self.deviation)?)
    }

    /// A map of features in this scale -> of features as they are.
    fn up(&self, map: &Map) -> Result<Map> {
        let weight = map.weight.f_div_scalar(self.deviation)?;
        let bias = map.bias.f_sub(&weight.f_mv(&self.mean)?)?;
        Ok(Map { weight, bias })
    }
}

/// `features`: of the examples `seen`.
fn rows(
    plan: &Plan,
    set: &ExampleSet,
    seen: &[u32],
    features: Tensor,
    units: Option<&Units>,
) -> Result<Rows> {
    let link = match plan.task.objective {
        task::Objective::CrossEntropy | task::Objective::TokenCrossEntropy => Link::Softmax,
        task::Objective::BinaryCrossEntropy => Link::Sigmoid,
        task::Objective::SquaredError => Link::Identity,
    };
    let outputs = plan.data.outputs().len();
    // Those of several labels weigh labels, not examples.
    let weigh = |class: usize| plan.train.class_weight_values.get(class).copied().unwrap_or(1.0);
    let positive: Vec<f64> =
        (0..outputs).map(|it| if link == Link::Sigmoid { weigh(it) } else { 1.0 }).collect();
    let mut targets = Vec::with_capacity(seen.len() * outputs);
    let mut weights = Vec::with_capacity(seen.len());
    for target in set.targets(seen) {
        let mut row = vec![0.0; outputs];
        target.classes().iter().for_each(|&it| row[it as usize] = 1.0);
        targets.extend(if link == Link::Identity { target.numbers().to_vec() } else { row });
        let class = target.classes().first().map_or(0, |&it| it as usize);
        weights.push(if link == Link::Softmax { weigh(class) } else { 1.0 });
    }
    let targets = Tensor::f_from_slice(&targets)?.f_view([-1, outputs as i64])?;
    let targets = match units {
        Some(units) => units.down(&targets.f_to(units.device())?)?.f_to(Device::Cpu)?,
        None => targets,
    };
    let (weights, positive) = (Tensor::f_from_slice(&weights)?, Tensor::f_from_slice(&positive)?);
    Ok(Rows { link, features, targets, weights, positive })
}

/// What examples are divided by, so that each fold has some of each class.
fn keys(set: &ExampleSet, seen: &[u32]) -> Vec<u32> {
    set.targets(seen).iter().map(|it| it.classes().first().copied().unwrap_or(0)).collect()
}

/// The strength with the smallest loss on folds that were held out.
fn strength(rows: &Rows, keys: &[u32], check: &mut impl FnMut() -> Result<()>) -> Result<f64> {
    if keys.len() < CROSS_VALIDATED_MIN {
        return Ok(STRENGTH_DEFAULT);
    }
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_key(|&it| (keys[it], batches::mix(0, it as u64)));
    let mut fold_of = vec![0; keys.len()];
    order.iter().enumerate().for_each(|(rank, &it)| fold_of[it] = rank % FOLDS);
    let number = if keys.len() <= EVERY_FOLD_MAX { FOLDS } else { 1 };
    let part = |within: &dyn Fn(usize) -> bool| {
        let of: Vec<i64> =
            (0..keys.len()).filter(|&it| within(fold_of[it])).map(|it| it as i64).collect();
        rows.select(&of)
    };
    let mut folds: Vec<(Rows, Rows, Option<Map>)> = (0..number)
        .map(|fold| Ok((part(&|it| it != fold)?, part(&|it| it == fold)?, None)))
        .collect::<Result<_>>()?;
    let mut best = (STRENGTH_DEFAULT, f64::INFINITY);
    for c in STRENGTHS {
        let mut loss = 0.0;
        for (learnt, held_out, map) in &mut folds {
            let found = learnt.fit(c, ROUGH, map.as_ref())?;
            loss += held_out.loss(&found)?;
            *map = Some(found);
            check()?;
        }
        if best.1 <= loss {
            break; // a weaker penalty is worse still
        }
        best = (c, loss);
    }
    Ok(best.0)
}
